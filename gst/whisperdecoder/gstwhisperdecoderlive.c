/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstwhisperdecoderlive.h"

#include "common/gstnpulive.h"
#include "gstwhisperdecoderprivate.h"
#include "livejson.h"
#include "npu-clock.h"
#include "npu-error.h"
#include "unsyncedpad.h"
#include "windowevent.h"
#include "windowpauses.h"

#define GST_CAT_DEFAULT gst_whisper_decoder_debug

#define FINAL_TRANSCRIPT "rstranscribe/final-transcript"

/* Between windows, where there was none before. */
#define USUAL_STEP (500 * GST_MSECOND)
#define LONGEST_STEP (2 * GST_SECOND)

/* A machine may be so many times slower from one window to the next without a
 * word being late, as far as this part of the latency allows; nor does it take
 * more to leave words open that may go on. */
#define SLOWER 4
#define RESERVE 5

/* --- time --------------------------------------------------------------- */

static void
look_at_clock (GstWhisperDecoder *self, GstWhisperDecoderNow *now)
{
  gst_npu_query_latency (
      GST_BASE_TRANSFORM_SINK_PAD (self), &now->is_live, &now->upstream);
  now->now = gst_npu_get_running_time (GST_ELEMENT (self));
  now->is_live &= GST_CLOCK_TIME_IS_VALID (now->now);
}

/* Where the stream would be if nothing took time, a step included that upstream
 * counts in its latency: NONE where that is not known. */
static GstClockTime
get_expected_position (GstWhisperDecoder *self, const GstWhisperDecoderNow *now)
{
  const GstSegment *segment = gst_whisper_decoder_get_segment (self);
  const GstClockTime running =
      now->now > now->upstream ? now->now - now->upstream : 0;

  if (!now->is_live)
    return GST_CLOCK_TIME_NONE;
  return gst_segment_position_from_running_time (
      segment, GST_FORMAT_TIME, running + self->live.lateness);
}

static GstClockTime
get_latency (GstWhisperDecoder *self)
{
  GstClockTime latency;

  GST_OBJECT_LOCK (self);
  latency = self->settings.latency * GST_MSECOND;
  GST_OBJECT_UNLOCK (self);
  return latency;
}

/* Between the window that ends at @end and the next one. */
static GstClockTime
guess_step (GstWhisperDecoder *self, GstClockTime end, gboolean is_late)
{
  const GstClockTime last = self->live.last_end;
  GstClockTime step = USUAL_STEP;

  if (GST_CLOCK_TIME_IS_VALID (last) && end > last)
    step = end - last;
  if (is_late) /* upstream may leave out one step more than it did */
    step *= 2;
  return MIN (step, LONGEST_STEP);
}

/* A window that has been heard. */
typedef struct {
  GstWhisperDecoder *self;
  GstClockTime end;
  const GstWhisperDecoderNow *at_start;
} HeardWindow;

/* Words that begin before it would be too late in the next window, even if that
 * took four times as long as this one. Those at the end of the audio are none
 * yet, however late they are. */
static guint64
find_due (gpointer user_data)
{
  const HeardWindow *heard = user_data;
  GstWhisperDecoder *self = heard->self;
  const GstClockTime end = heard->end, latency = get_latency (self);
  GstWhisperDecoderNow now = *heard->at_start;
  GstClockTime due = end, expected, margin;

  now.now = gst_npu_get_running_time (GST_ELEMENT (self));
  now.is_live &= GST_CLOCK_TIME_IS_VALID (now.now);
  expected = get_expected_position (self, &now);
  if (GST_CLOCK_TIME_IS_VALID (expected)) {
    const GstClockTime took =
        expected + USUAL_STEP - MIN (expected + USUAL_STEP, end);

    due = MAX (end, expected + guess_step (self, end, expected > end));
    due += MIN (took * (SLOWER - 1), latency / RESERVE);
  }
  GST_OBJECT_LOCK (self);
  margin = self->settings.margin;
  GST_OBJECT_UNLOCK (self);
  margin = MIN (margin, latency / RESERVE);
  due -= MIN (due, latency);
  return MIN (due, end - MIN (end, margin));
}

/* --- what is told ------------------------------------------------------- */

/* In the streaming thread, after an update. */
static void
note_delay (GstWhisperDecoder *self, const NpuLiveUpdate *update,
    const GstWhisperDecoderNow *at_start)
{
  const GstClockTime allowed = at_start->upstream + get_latency (self);
  const GstSegment *segment = gst_whisper_decoder_get_segment (self);
  GstClockTime now, said, delay;
  guint ms;
  gboolean is_new;

  if (!at_start->is_live || update->n_words == 0)
    return;
  now = gst_npu_get_running_time (GST_ELEMENT (self));
  said = gst_segment_to_running_time (
      segment, GST_FORMAT_TIME, update->words[0].start);
  if (!GST_CLOCK_TIME_IS_VALID (now) || !GST_CLOCK_TIME_IS_VALID (said))
    return;
  said -= MIN (said, self->live.lateness);
  delay = now > said ? now - said : 0;
  ms = (guint) MIN (delay / GST_MSECOND, G_MAXUINT);
  GST_OBJECT_LOCK (self);
  is_new = ms > self->live.max_observed_delay;
  if (is_new)
    self->live.max_observed_delay = ms;
  GST_OBJECT_UNLOCK (self);
  if (!is_new)
    return;
  g_object_notify (G_OBJECT (self), "max-observed-delay");
  if (delay > allowed + self->live.lateness)
    gst_element_message_full_with_details (GST_ELEMENT (self),
        GST_MESSAGE_WARNING, GST_CORE_ERROR, GST_CORE_ERROR_CLOCK,
        g_strdup_printf (
            "Text comes %u ms after it was said, later than latency and lateness allow: raise property latency, or take a smaller model.",
            ms),
        NULL, __FILE__, GST_FUNCTION, __LINE__,
        gst_structure_new ("whisperdecoder/excessive-delay",
            "new-observed-max-delay", GST_TYPE_CLOCK_TIME, delay, NULL));
}

static void
tell_now (GstWhisperDecoder *self, const GstWhisperDecoderWindow *window,
    const NpuLiveUpdate *update, const char *language)
{
  const GstClockTime end = window->start + window->duration;
  gboolean posts;

  if (unsynced_pad_is_linked (GST_ELEMENT (self)))
    unsynced_pad_push (GST_ELEMENT (self),
        live_update_to_json (update, window->start, end, language),
        gst_npu_get_running_time (GST_ELEMENT (self)));
  GST_OBJECT_LOCK (self);
  posts = self->settings.post_messages;
  GST_OBJECT_UNLOCK (self);
  if (posts)
    gst_element_post_message (GST_ELEMENT (self),
        gst_message_new_element (GST_OBJECT (self),
            gst_structure_new ("whisperdecoder-text", "start",
                GST_TYPE_CLOCK_TIME, window->start, "end", GST_TYPE_CLOCK_TIME,
                end, "committed", G_TYPE_STRING, update->committed, "partial",
                G_TYPE_STRING, update->partial, "language", G_TYPE_STRING,
                language, NULL)));
}

static void
tell_upstream (GstWhisperDecoder *self, const NpuLiveUpdate *update)
{
  if (update->until > 0)
    gst_pad_push_event (GST_BASE_TRANSFORM_SINK_PAD (self),
        window_event_new_advance (update->until,
            update->sentence > 0 ? update->sentence : GST_CLOCK_TIME_NONE,
            self->segment_seqnum));
}

/* --- what goes out ------------------------------------------------------ */

static void
add_word (
    GstWhisperDecoder *self, const NpuLiveWord *word, const char *language)
{
  const GstSegment *segment = gst_whisper_decoder_get_segment (self);
  char *text = self->output.json
                   ? live_word_to_json (word, word->start, word->end, language)
                   : g_strdup (word->text);

  text_output_add_text (&self->output, word->start, word->end, segment, text);
}

/* Words, their time and the end of an utterance. @expected: or NONE */
static void
put_out (GstWhisperDecoder *self, const NpuLiveUpdate *update, gboolean is_last,
    GstClockTime expected, const char *language)
{
  const GstClockTime latency = get_latency (self);
  GstClockTime decided = update->decided;

  if (update->n_words > 0)
    gst_whisper_decoder_tell_language (self, language);
  for (guint i = 0; i < update->n_words; i++)
    add_word (self, &update->words[i], language);
  if (is_last)
    text_output_add_event (
        &self->output, gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM,
                           gst_structure_new_empty (FINAL_TRANSCRIPT)));
  /* Time goes on, whether there is text or not. */
  if (GST_CLOCK_TIME_IS_VALID (expected) && expected > latency)
    decided = MAX (decided, expected - latency);
  text_output_advance (&self->output, decided);
}

void
gst_whisper_decoder_live_finish (GstWhisperDecoder *self)
{
  NpuLiveUpdate update;

  if (!self->live.active || !self->live.is_open || !self->session)
    return;
  self->live.is_open = FALSE;
  npu_live_transcript_end (self->session->live, &update);
  put_out (self, &update, TRUE, GST_CLOCK_TIME_NONE, self->live.language);
}

/* --- windows ------------------------------------------------------------ */

/* What was written to properties since the last window. */
static void
take_settings (GstWhisperDecoder *self)
{
  g_autofree char *code = NULL;
  g_autoptr (GError) error = NULL;
  gboolean has_language, has_margin;
  guint64 margin;
  int language;

  GST_OBJECT_LOCK (self);
  has_language = self->live.has_new_language;
  has_margin = self->live.has_new_margin;
  self->live.has_new_language = self->live.has_new_margin = FALSE;
  margin = self->settings.margin;
  if (has_language)
    code = g_strdup (self->settings.language_code);
  GST_OBJECT_UNLOCK (self);

  if (has_margin)
    npu_live_transcript_set_margin (self->session->live, margin);
  if (!has_language)
    return;
  if (gst_whisper_decoder_session_find_language (
          self->session, code, &language, &error))
    npu_live_transcript_set_language (self->session->live, language);
  else
    GST_ELEMENT_WARNING (self, RESOURCE, SETTINGS,
        ("%s; the language stays as it is.", error->message), (NULL));
}

static const char *
get_language (const GstWhisperDecoder *self, const NpuLiveUpdate *update)
{
  if (self->settings.task == NPU_TASK_TRANSLATE || update->language < 0)
    return "en";
  return npu_language_get_code ((guint) update->language);
}

static gboolean
decode (GstWhisperDecoder *self, GstWhisperDecoderWindow *window,
    GstBuffer *inbuf, const NpuLiveWindow *live, NpuLiveUpdate *update,
    GError **error)
{
  if (GST_BUFFER_FLAG_IS_SET (inbuf, GST_BUFFER_FLAG_GAP)) {
    npu_live_transcript_add_silence (self->session->live, live, update);
    return TRUE;
  }
  return gst_whisper_decoder_set_states (self, window, inbuf, error) &&
         npu_live_transcript_add_window (
             self->session->live, live, update, error);
}

static void
publish (GstWhisperDecoder *self, const GstWhisperDecoderWindow *window,
    const NpuLiveUpdate *update, guint64 total_time)
{
  const NpuDecodedWindow decoded = {
      .avg_logprob = update->avg_logprob,
      .no_speech_prob = update->no_speech_prob,
      .n_tries = 1,
      .n_steps = update->n_tokens,
      .language = update->language,
      .language_prob = update->language_prob,
  };

  gst_whisper_decoder_publish (self, window, &decoded, total_time);
}

static void
take_update (GstWhisperDecoder *self, const GstWhisperDecoderWindow *window,
    const NpuLiveUpdate *update, gboolean is_last,
    const GstWhisperDecoderNow *now)
{
  const char *language = get_language (self, update);

  if (update->has_looped)
    GST_WARNING_OBJECT (self,
        "the decoder repeated itself in the window at %" GST_TIME_FORMAT
        ", and was stopped",
        GST_TIME_ARGS (window->start));
  self->live.language = language;
  self->live.is_open = !is_last;
  self->live.last_end = window->start + window->duration;
  tell_upstream (self, update);
  note_delay (self, update, now);
  tell_now (self, window, update, language);
  put_out (self, update, is_last, get_expected_position (self, now), language);
}

GstFlowReturn
gst_whisper_decoder_live_take_window (GstWhisperDecoder *self,
    GstWhisperDecoderWindow *window, gboolean is_before, GstBuffer *inbuf)
{
  const guint64 begin = npu_clock_ns ();
  const gboolean is_last =
      GST_BUFFER_FLAG_IS_SET (inbuf, GST_BUFFER_FLAG_MARKER);
  GstWhisperDecoderNow now;
  HeardWindow heard = {self, window->start + window->duration, &now};
  NpuLiveWindow live = {
      .n_positions = window->n_positions,
      .start = window->start,
      .duration = window->duration,
      .is_new = GST_BUFFER_FLAG_IS_SET (inbuf, GST_BUFFER_FLAG_DISCONT),
      .is_last = is_last,
      .find_due = find_due,
      .user_data = &heard,
  };
  NpuLiveUpdate update;
  g_autoptr (GError) error = NULL;

  live.pauses = window_pauses_get (inbuf, &live.n_pauses);
  if (live.is_new)
    gst_whisper_decoder_live_finish (self);
  if (is_before) {
    gst_whisper_decoder_live_finish (self);
    npu_live_transcript_reset (self->session->live);
  }
  self->last_start = window->start;
  text_output_begin_window (&self->output, window->start, is_before);
  take_settings (self);
  look_at_clock (self, &now);
  if (!decode (self, window, inbuf, &live, &update, &error))
    return gst_whisper_decoder_fail_window (self, error);
  publish (self, window, &update, npu_clock_ns () - begin);
  take_update (self, window, &update, is_last, &now);
  return GST_FLOW_OK;
}

/* --- events and queries ------------------------------------------------- */

void
gst_whisper_decoder_live_reset (GstWhisperDecoder *self)
{
  GstWhisperDecoderLive *live = &self->live;

  GST_OBJECT_LOCK (self);
  live->active = self->settings.commit == GST_WHISPER_DECODER_COMMIT_ALIGNATT;
  GST_OBJECT_UNLOCK (self);
  live->is_open = FALSE;
  live->last_end = GST_CLOCK_TIME_NONE;
  if (self->session)
    npu_live_transcript_reset (self->session->live);
}

gboolean
gst_whisper_decoder_live_is_ended_by (
    const GstWhisperDecoder *self, GstEvent *event)
{
  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_EOS:
    case GST_EVENT_SEGMENT:
    case GST_EVENT_SEGMENT_DONE:
    case GST_EVENT_GAP:
    case GST_EVENT_STREAM_START:
      return self->live.active && self->live.is_open;
    default:
      return FALSE;
  }
}

GstEvent *
gst_whisper_decoder_live_take_segment (GstWhisperDecoder *self, GstEvent *event)
{
  GstSegment segment;
  GstEvent *late;

  GST_OBJECT_LOCK (self);
  self->live.lateness =
      self->live.active ? self->settings.lateness * GST_MSECOND : 0;
  GST_OBJECT_UNLOCK (self);
  if (self->live.lateness == 0)
    return event;
  gst_event_copy_segment (event, &segment);
  segment.base += self->live.lateness;
  late = gst_event_new_segment (&segment);
  gst_event_set_seqnum (late, gst_event_get_seqnum (event));
  gst_event_unref (event);
  return late;
}

#define PARENT_CLASS                                                           \
  GST_BASE_TRANSFORM_CLASS (g_type_class_peek (GST_TYPE_BASE_TRANSFORM))

static gboolean
answer_query (
    GstBaseTransform *base, GstPadDirection direction, GstQuery *query)
{
  GstWhisperDecoder *self = GST_WHISPER_DECODER (base);
  gboolean commits;

  GST_OBJECT_LOCK (self);
  commits = self->settings.commit == GST_WHISPER_DECODER_COMMIT_ALIGNATT;
  GST_OBJECT_UNLOCK (self);
  if (direction == GST_PAD_SRC && commits &&
      GST_QUERY_TYPE (query) == GST_QUERY_LATENCY)
    /* Words come so much later than upstream's windows. */
    return gst_npu_answer_latency (
        GST_BASE_TRANSFORM_SINK_PAD (self), query, get_latency (self));
  return PARENT_CLASS->query (base, direction, query);
}

/* --- properties and pads ------------------------------------------------ */

void
gst_whisper_decoder_live_notify (GstWhisperDecoder *self, guint id)
{
  GST_OBJECT_LOCK (self);
  self->live.has_new_language |= id == GST_WHISPER_DECODER_LANGUAGE_CODE;
  self->live.has_new_margin |= id == GST_WHISPER_DECODER_MARGIN;
  GST_OBJECT_UNLOCK (self);
  if (id == GST_WHISPER_DECODER_LATENCY)
    gst_element_post_message (
        GST_ELEMENT (self), gst_message_new_latency (GST_OBJECT (self)));
}

static GstStaticPadTemplate unsynced_template =
    GST_STATIC_PAD_TEMPLATE (UNSYNCED_PAD_NAME, GST_PAD_SRC, GST_PAD_REQUEST,
        GST_STATIC_CAPS (UNSYNCED_PAD_CAPS));

static GstPad *
request_new_pad (GstElement *element, GstPadTemplate *pad_template,
    const char *name, const GstCaps *caps)
{
  return unsynced_pad_request (element, pad_template, name);
}

static void
release_pad (GstElement *element, GstPad *pad)
{
  gst_pad_set_active (pad, FALSE);
  gst_element_remove_pad (element, pad);
}

void
gst_whisper_decoder_live_install (
    GstBaseTransformClass *base_class, guint first_id)
{
  GstElementClass *element_class = GST_ELEMENT_CLASS (base_class);

  base_class->query = answer_query;
  element_class->request_new_pad = request_new_pad;
  element_class->release_pad = release_pad;
  gst_element_class_add_static_pad_template (element_class, &unsynced_template);

  /**
   * GstWhisperDecoder:max-observed-delay:
   *
   * The longest time from the start of a word to its text, since the start, in
   * ms, where words are committed one by one and the clock runs.
   *
   * Since: 1.0
   */
  g_object_class_install_property (G_OBJECT_CLASS (base_class), first_id,
      g_param_spec_uint ("max-observed-delay", "Max observed delay",
          "Longest time from the start of a word to its text, in ms (Since: 1.0)",
          0, G_MAXUINT, 0, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}
