/* One window of whisperdecoder: a buffer of states in, segments out.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "gstwhisperdecoderprivate.h"

#include <string.h>

#include "floats.h"
#include "npu-clock.h"
#include "npu-error.h"
#include "windowevent.h"

#define GST_CAT_DEFAULT gst_whisper_decoder_debug

#define POSITION_DURATION (20 * GST_MSECOND)

/* --- the states --------------------------------------------------------- */

static gboolean
check_states (
    const GstWhisperDecoder *self, const float *states, GError **error)
{
  const gsize n = (gsize) self->format.n_positions * self->format.d;
  const gsize bad = floats_find_non_finite (states, n);

  if (bad == n)
    return TRUE;
  g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
      "the states have a NaN or an infinity at index %" G_GSIZE_FORMAT
      ", position %" G_GSIZE_FORMAT ", value %" G_GSIZE_FORMAT,
      bad, bad / self->format.d, bad % self->format.d);
  return FALSE;
}

/* The floats of a mapped buffer: its own, or a copy in self->states. */
static const float *
get_floats (GstWhisperDecoder *self, const GstMapInfo *map, GError **error)
{
  const gsize n = (gsize) self->format.n_positions * self->format.d;
  const float *states = (const float *) map->data;

  if (map->size != states_format_size (&self->format)) {
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        "a buffer has %" G_GSIZE_FORMAT " bytes, but its caps, %u positions of "
        "%u %s values, make %" G_GSIZE_FORMAT,
        map->size, self->format.n_positions, self->format.d,
        self->format.half ? "float16" : "float32",
        states_format_size (&self->format));
    return NULL;
  }
  if (self->format.half || GPOINTER_TO_SIZE (states) % sizeof (float) != 0) {
    self->states = g_renew (float, self->states, n);
    if (self->format.half)
      floats_from_half (self->states, map->data, n);
    else
      memcpy (self->states, map->data, map->size);
    states = self->states;
  }
  return check_states (self, states, error) ? states : NULL;
}

/* --- time --------------------------------------------------------------- */

static void
init_times (
    GstWhisperDecoder *self, GstWhisperDecoderWindow *window, GstBuffer *inbuf)
{
  const GstClockTime longest = self->format.n_positions * POSITION_DURATION;

  window->n_positions = self->format.n_positions;
  window->start = GST_BUFFER_PTS_IS_VALID (inbuf) ? GST_BUFFER_PTS (inbuf)
                                                  : self->next_start;
  window->duration = GST_BUFFER_DURATION_IS_VALID (inbuf)
                         ? MIN (GST_BUFFER_DURATION (inbuf), longest)
                         : longest;
  window->start = MIN (window->start, G_MAXINT64); /* room for what follows */
  self->next_start = window->start + window->duration;
}

/* Windows that come before any segment have one of time from 0 on. */
static const GstSegment *
get_segment (GstWhisperDecoder *self)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;

  return segment->format == GST_FORMAT_TIME ? segment : &self->no_segment;
}

/* Upstream may cut the next window where this one is used up. */
static void
tell_upstream (GstWhisperDecoder *self, GstClockTime until)
{
  gst_pad_push_event (GST_BASE_TRANSFORM_SINK_PAD (self),
      window_event_new_advance (
          until, GST_CLOCK_TIME_NONE, self->segment_seqnum));
}

/* --- the language ------------------------------------------------------- */

static GstTagList *
new_tags (const GstWhisperDecoder *self)
{
  GstTagList *tags = self->upstream_tags
                         ? gst_tag_list_copy (self->upstream_tags)
                         : gst_tag_list_new_empty ();

  gst_tag_list_set_scope (tags, GST_TAG_SCOPE_STREAM);
  gst_tag_list_add (
      tags, GST_TAG_MERGE_REPLACE, GST_TAG_LANGUAGE_CODE, self->language, NULL);
  return tags;
}

void
gst_whisper_decoder_tell_language (
    GstWhisperDecoder *self, const char *language)
{
  if (!language || g_strcmp0 (language, self->language) == 0)
    return;
  self->language = language;
  text_output_add_event (&self->output, gst_event_new_tag (new_tags (self)));
}

GstEvent *
gst_whisper_decoder_keep_tags (GstWhisperDecoder *self, GstEvent *event)
{
  GstTagList *tags;
  GstEvent *ours;

  gst_event_parse_tag (event, &tags);
  if (gst_tag_list_get_scope (tags) != GST_TAG_SCOPE_STREAM)
    return event;
  gst_clear_tag_list (&self->upstream_tags);
  self->upstream_tags = gst_tag_list_ref (tags);
  if (!self->language)
    return event;
  ours = gst_event_new_tag (new_tags (self));
  gst_event_set_seqnum (ours, gst_event_get_seqnum (event));
  gst_event_unref (event);
  return ours;
}

/* --- decoding ----------------------------------------------------------- */

typedef struct {
  GstWhisperDecoder *self;
  GstWhisperDecoderVerbosity verbosity;
} Take;

static void
log_segment (const Take *take, const NpuSegment *segment)
{
  if (take->verbosity < GST_WHISPER_DECODER_VERBOSITY_STAGES)
    return;
  GST_INFO_OBJECT (take->self,
      "%" GST_TIME_FORMAT " to %" GST_TIME_FORMAT ", %u tokens: %s",
      GST_TIME_ARGS (segment->start), GST_TIME_ARGS (segment->end),
      segment->n_tokens, segment->text);
  if (take->verbosity < GST_WHISPER_DECODER_VERBOSITY_TILES)
    return;
  for (guint i = 0; i < segment->n_tokens; i++)
    GST_INFO_OBJECT (take->self, "  token %u: %u", i, segment->tokens[i]);
}

static void
take_segment (const NpuSegment *segment, gpointer user_data)
{
  const Take *take = user_data;
  GstWhisperDecoder *self = take->self;
  const char *language =
      gst_whisper_decoder_session_language (&self->settings, segment->window);

  log_segment (take, segment);
  gst_whisper_decoder_tell_language (self, language);
  text_output_add (&self->output, segment, get_segment (self), language);
}

static void
publish (GstWhisperDecoder *self, const GstWhisperDecoderWindow *window,
    const NpuDecodedWindow *decoded, guint64 total_time, const Take *take)
{
  GstStructure *structure = NULL;
  GstWhisperDecoderStats stats;

  gst_whisper_decoder_stats_init_window (
      &stats, self->session, window, get_segment (self), decoded, total_time);
  GST_OBJECT_LOCK (self);
  gst_whisper_decoder_stats_add (&self->totals, &stats);
  if (self->settings.post_messages)
    structure = gst_whisper_decoder_stats_to_structure (&stats);
  GST_OBJECT_UNLOCK (self);

  if (take->verbosity >= GST_WHISPER_DECODER_VERBOSITY_SUMMARY)
    GST_INFO_OBJECT (self,
        "window %" G_GUINT64_FORMAT " at %" GST_TIME_FORMAT
        ": %.2f s of audio in %.3f ms, %" G_GUINT64_FORMAT
        " tokens in %" G_GUINT64_FORMAT " tries, language %s (%.2f)",
        stats.window, GST_TIME_ARGS (stats.timestamp),
        (double) stats.duration / GST_SECOND, total_time / 1e6, stats.tokens,
        stats.tries, stats.language ? stats.language : "not known",
        stats.language_prob);
  if (structure)
    gst_element_post_message (GST_ELEMENT (self),
        gst_message_new_element (GST_OBJECT (self), structure));
}

/* Decodes mapped states. */
static gboolean
decode (GstWhisperDecoder *self, GstWhisperDecoderWindow *window,
    const GstMapInfo *map, guint64 *used_until, GError **error)
{
  Take take = {self, GST_WHISPER_DECODER_VERBOSITY_NONE};
  NpuDecodedWindow decoded = {0};
  const guint64 begin = npu_clock_ns ();
  gboolean done;

  GST_OBJECT_LOCK (self);
  take.verbosity = self->settings.verbosity;
  GST_OBJECT_UNLOCK (self);
  window->states = get_floats (self, map, error);
  if (!window->states)
    return FALSE;

  done = gst_whisper_decoder_session_decode (
      self->session, window, take_segment, &take, &decoded, used_until, error);
  if (done)
    publish (self, window, &decoded, npu_clock_ns () - begin, &take);
  npu_decoded_window_clear (&decoded);
  return done;
}

static gboolean
decode_buffer (GstWhisperDecoder *self, GstWhisperDecoderWindow *window,
    GstBuffer *inbuf, guint64 *used_until, GError **error)
{
  gboolean done;
  GstMapInfo map;

  if (!states_format_check_width (&self->format,
          npu_decoder_get_d (self->session->decoder),
          self->session->model->name, error))
    return FALSE;
  if (!gst_buffer_map (inbuf, &map, GST_MAP_READ)) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
        "a buffer of states cannot be mapped for reading");
    return FALSE;
  }
  done = decode (self, window, &map, used_until, error);
  gst_buffer_unmap (inbuf, &map);
  return done;
}

/* Digital silence has no text, whatever a decoder would make of it. */
static void
pass_silence (GstWhisperDecoder *self, const GstWhisperDecoderWindow *window)
{
  const Take take = {self, GST_WHISPER_DECODER_VERBOSITY_NONE};

  publish (self, window, NULL, 0, &take);
}

GstFlowReturn
gst_whisper_decoder_take_window (GstWhisperDecoder *self, GstBuffer *inbuf)
{
  g_autoptr (GError) error = NULL;
  GstWhisperDecoderWindow window;
  guint64 used_until;
  gboolean is_before;

  init_times (self, &window, inbuf);
  if (window.duration == 0)
    return GST_FLOW_OK;
  is_before = GST_CLOCK_TIME_IS_VALID (self->last_start) &&
              window.start < self->last_start;
  if (is_before)
    npu_transcript_reset (self->session->transcript);
  self->last_start = window.start;
  text_output_begin_window (&self->output, window.start, is_before);

  used_until = window.start + window.duration;
  if (GST_BUFFER_FLAG_IS_SET (inbuf, GST_BUFFER_FLAG_GAP)) {
    pass_silence (self, &window);
  } else if (!decode_buffer (self, &window, inbuf, &used_until, &error)) {
    if (g_error_matches (error, NPU_ERROR, NPU_ERROR_CANCELLED))
      return GST_FLOW_FLUSHING;
    gst_whisper_decoder_post_error (GST_ELEMENT (self), error,
        error->domain == NPU_ERROR ? "properties device, timeout" : NULL);
    return GST_FLOW_ERROR;
  }
  tell_upstream (self, used_until);
  text_output_advance (&self->output, used_until);
  return GST_FLOW_OK;
}
