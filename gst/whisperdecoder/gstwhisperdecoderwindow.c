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
#include "windowpauses.h"

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
        "a buffer has %" G_GSIZE_FORMAT
        " bytes, but its caps, %u positions of %u %s values, make %" G_GSIZE_FORMAT,
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

const GstSegment *
gst_whisper_decoder_get_segment (GstWhisperDecoder *self)
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

/* Whether what has no whole text at a window's end comes again. */
static void
ask_upstream (GstWhisperDecoder *self)
{
  g_autoptr (GstQuery) query = window_event_new_follow_query ();
  WindowFollow follow = {0};

  if (gst_pad_peer_query (GST_BASE_TRANSFORM_SINK_PAD (self), query))
    follow = window_event_parse_follow (query);
  npu_transcript_set_followed (self->session->transcript,
      follow.follows && self->settings.batch == 1, follow.varies);
  npu_transcript_set_overlap (self->session->transcript, follow.overlap);
  self->overlaps = follow.overlap > 0;
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

/* --- text ---------------------------------------------------------------- */

static GstWhisperDecoderVerbosity
get_verbosity (GstWhisperDecoder *self)
{
  GstWhisperDecoderVerbosity verbosity;

  GST_OBJECT_LOCK (self);
  verbosity = self->settings.verbosity;
  GST_OBJECT_UNLOCK (self);
  return verbosity;
}

static void
log_segment (GstWhisperDecoder *self, const NpuSegment *segment)
{
  const GstWhisperDecoderVerbosity verbosity = get_verbosity (self);

  if (verbosity < GST_WHISPER_DECODER_VERBOSITY_STAGES)
    return;
  GST_INFO_OBJECT (self,
      "%" GST_TIME_FORMAT " to %" GST_TIME_FORMAT ", %u tokens: %s",
      GST_TIME_ARGS (segment->start), GST_TIME_ARGS (segment->end),
      segment->n_tokens, segment->text);
  if (verbosity < GST_WHISPER_DECODER_VERBOSITY_TILES)
    return;
  for (guint i = 0; i < segment->n_tokens; i++)
    GST_INFO_OBJECT (self, "  token %u: %u", i, segment->tokens[i]);
}

static void
take_segment (const NpuSegment *segment, gpointer user_data)
{
  GstWhisperDecoder *self = user_data;
  const char *language =
      gst_whisper_decoder_session_language (&self->settings, segment->window);

  log_segment (self, segment);
  gst_whisper_decoder_tell_language (self, language);
  text_output_add (
      &self->output, segment, gst_whisper_decoder_get_segment (self), language);
}

static void
log_window (GstWhisperDecoder *self, const GstWhisperDecoderStats *stats)
{
  if (get_verbosity (self) >= GST_WHISPER_DECODER_VERBOSITY_SUMMARY)
    GST_INFO_OBJECT (self,
        "window %" G_GUINT64_FORMAT " at %" GST_TIME_FORMAT
        ": %.2f s of audio in %.3f ms, %" G_GUINT64_FORMAT
        " tokens in %" G_GUINT64_FORMAT " tries, language %s (%.2f)",
        stats->report.window, GST_TIME_ARGS (stats->report.timestamp),
        (double) stats->report.duration / GST_SECOND, stats->total_time / 1e6,
        stats->tokens, stats->tries,
        stats->language ? stats->language : "not known", stats->language_prob);
}

void
gst_whisper_decoder_publish (GstWhisperDecoder *self,
    const GstWhisperDecoderWindow *window, const NpuDecodedWindow *decoded,
    guint64 total_time)
{
  GstStructure *structure = NULL;
  GstWhisperDecoderStats stats;

  gst_whisper_decoder_stats_init_window (&stats, self->session, window,
      gst_whisper_decoder_get_segment (self), decoded, total_time);
  GST_OBJECT_LOCK (self);
  gst_whisper_decoder_stats_add (&self->totals, &stats);
  if (self->settings.post_messages)
    structure = gst_whisper_decoder_stats_to_structure (&stats);
  GST_OBJECT_UNLOCK (self);

  log_window (self, &stats);
  if (structure)
    gst_element_post_message (GST_ELEMENT (self),
        gst_message_new_element (GST_OBJECT (self), structure));
}

static void
begin_text (const QueuedWindow *queued, gpointer user_data)
{
  GstWhisperDecoder *self = user_data;

  if (self->overlaps && queued->goes_on && !queued->is_before)
    return; /* text from before it may still come */
  text_output_begin_window (
      &self->output, queued->window.start, queued->is_before);
}

static void
end_text (const QueuedWindow *queued, const NpuDecodedWindow *decoded,
    guint64 used_until, gpointer user_data)
{
  GstWhisperDecoder *self = user_data;

  gst_whisper_decoder_publish (self, &queued->window, decoded,
      decoded ? queued->opening_time + decoded->decoding_time : 0);
  /* Of several windows at once, the next has begun. */
  if (self->settings.batch == 1)
    tell_upstream (self, used_until);
  text_output_advance (&self->output, used_until);
}

void
gst_whisper_decoder_init_windows (GstWhisperDecoder *self)
{
  window_queue_init (&self->windows);
  self->windows.begin = begin_text;
  self->windows.segment = take_segment;
  self->windows.end = end_text;
  self->windows.user_data = self;
}

/* --- decoding ------------------------------------------------------------ */

typedef gboolean (*TakeStates) (GstWhisperDecoderSession *session,
    const GstWhisperDecoderWindow *window, GError **error);

/* @take is given the window with the states that are in @inbuf. */
static gboolean
with_states (GstWhisperDecoder *self, GstWhisperDecoderWindow *window,
    GstBuffer *inbuf, TakeStates take, GError **error)
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
  window->states = get_floats (self, &map, error);
  done = window->states && take (self->session, window, error);
  window->states = NULL;
  gst_buffer_unmap (inbuf, &map);
  return done;
}

gboolean
gst_whisper_decoder_set_states (GstWhisperDecoder *self,
    GstWhisperDecoderWindow *window, GstBuffer *inbuf, GError **error)
{
  return with_states (
      self, window, inbuf, gst_whisper_decoder_session_set_states, error);
}

/* Begins to decode a window whose states are in @inbuf; there is room. */
static gboolean
open_window (GstWhisperDecoder *self, QueuedWindow *queued, GstBuffer *inbuf,
    GError **error)
{
  const guint64 begin = npu_clock_ns ();
  const NpuPause *pauses;
  gboolean done;
  guint n;

  ask_upstream (self);
  pauses = window_pauses_get (inbuf, &n);
  npu_transcript_set_pauses (self->session->transcript, pauses, n);
  done = with_states (
      self, &queued->window, inbuf, gst_whisper_decoder_session_begin, error);
  queued->opening_time = npu_clock_ns () - begin;
  return done;
}

/* What the user may change about it. */
static const char *
properties_of (const GError *error)
{
  if (error->domain != NPU_ERROR)
    return NULL;
  if (error->code == NPU_ERROR_SETTINGS || error->code == NPU_ERROR_FORMAT)
    return "properties model, vocabulary";
  if (error->code == NPU_ERROR_READ)
    return "property model";
  return "properties device, timeout";
}

GstFlowReturn
gst_whisper_decoder_fail_window (GstWhisperDecoder *self, const GError *error)
{
  window_queue_clear (&self->windows);
  npu_transcript_reset (self->session->transcript);
  if (g_error_matches (error, NPU_ERROR, NPU_ERROR_CANCELLED))
    return GST_FLOW_FLUSHING;
  gst_whisper_decoder_post_error (
      GST_ELEMENT (self), error, properties_of (error));
  return GST_FLOW_ERROR;
}

GstFlowReturn
gst_whisper_decoder_finish_windows (GstWhisperDecoder *self)
{
  g_autoptr (GError) error = NULL;

  if (!self->session ||
      window_queue_run (&self->windows, self->session, TRUE, &error))
    return GST_FLOW_OK;
  return gst_whisper_decoder_fail_window (self, error);
}

void
gst_whisper_decoder_finish_text (GstWhisperDecoder *self)
{
  if (!self->session || !self->overlaps)
    return;
  npu_transcript_finish (self->session->transcript, take_segment, self);
  text_output_advance (&self->output, self->windows.last_end);
}

/* Time that goes back is another stream. */
static gboolean
begin_stream (GstWhisperDecoder *self, GError **error)
{
  if (!window_queue_run (&self->windows, self->session, TRUE, error))
    return FALSE;
  gst_whisper_decoder_finish_text (self);
  npu_transcript_reset (self->session->transcript);
  return TRUE;
}

GstFlowReturn
gst_whisper_decoder_take_window (GstWhisperDecoder *self, GstBuffer *inbuf)
{
  g_autoptr (GError) error = NULL;
  QueuedWindow queued = {0};

  init_times (self, &queued.window, inbuf);
  if (queued.window.duration == 0)
    return GST_FLOW_OK;
  text_output_drop_unsent (&self->output);
  queued.is_before = GST_CLOCK_TIME_IS_VALID (self->last_start) &&
                     queued.window.start < self->last_start;
  if (self->live.active)
    return gst_whisper_decoder_live_take_window (
        self, &queued.window, queued.is_before, inbuf);
  /* Digital silence has no text, whatever a decoder would make of it. */
  queued.is_silence = GST_BUFFER_FLAG_IS_SET (inbuf, GST_BUFFER_FLAG_GAP);
  if ((queued.is_before && !begin_stream (self, &error)) ||
      (!queued.is_silence && !open_window (self, &queued, inbuf, &error)))
    return gst_whisper_decoder_fail_window (self, error);
  self->last_start = queued.window.start;
  window_queue_push (&self->windows, &queued);
  if (!window_queue_run (&self->windows, self->session, FALSE, &error))
    return gst_whisper_decoder_fail_window (self, error);
  return GST_FLOW_OK;
}
