/* What other threads do to the storm's elements while they stream.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "storm.h"

static void
set_encoder_property (Storm *storm, Tape *tape)
{
  GstElement *encoder = storm->encoder;
  static const char *const models[] = {
      "/nonexistent", "synthetic:nope", "", NULL};
  static const char *const traces[] = {"/nonexistent/trace", "/dev/null", NULL};

  switch (tape_below (tape, 10)) {
    case 8:
      g_object_set (encoder, "trace-location",
          tape_below (tape, 2) ? storm->trace : TAPE_ONE_OF (tape, traces),
          NULL);
      break;
    case 0:
      g_object_set (encoder, "verbosity", tape_below (tape, 4), NULL);
      break;
    case 1:
      g_object_set (encoder, "post-messages", tape_below (tape, 2), NULL);
      break;
    case 2:
      /* One in 18 is out of range, as elsewhere one of several. */
      g_object_set (encoder, "depth", tape_below (tape, 18), NULL);
      break;
    case 3:
      g_object_set (encoder, "batch-size", tape_below (tape, 25), NULL);
      break;
    case 4:
      if (!storm->decoder || storm->decoder != encoder)
        g_object_set (encoder, "output-type", tape_below (tape, 2), NULL);
      break;
    case 5:
      g_object_set (encoder, "threads", 1 + tape_below (tape, 3), NULL);
      break;
    case 6:
      g_object_set (encoder, "model",
          tape_below (tape, 12) ? storm->model : TAPE_ONE_OF (tape, models),
          NULL);
      break;
    case 7:
      g_object_set (encoder, "timeout",
          tape_below (tape, 6) ? 60000 : 1 + tape_below (tape, 3), NULL);
      break;
    default:
      g_object_set (encoder, "precision", tape_below (tape, 4), NULL);
  }
}

static void
set_mel_property (GstElement *mel, Tape *tape)
{
  static const int n_mels[] = {0, 80, 128};
  static const char *const modes[] = {"fixed", "follow", "growing", "pauses"};
  static const guint64 times[] = {
      100 * GST_MSECOND, 500 * GST_MSECOND, GST_SECOND, 10 * GST_SECOND, 1};
  static const guint64 hops[] = {
      0, 10 * GST_MSECOND, 500 * GST_MSECOND, GST_SECOND, 3 * GST_SECOND};

  switch (tape_below (tape, 7)) {
    case 5:
      g_object_set (mel, "step", TAPE_ONE_OF (tape, times), "silence",
          TAPE_ONE_OF (tape, times), "quantum", TAPE_ONE_OF (tape, times),
          NULL);
      break;
    case 6:
      g_object_set (mel, "vad", tape_below (tape, 3), "padding",
          TAPE_ONE_OF (tape, times), NULL);
      break;
    case 0:
      g_object_set (mel, "n-mels", TAPE_ONE_OF (tape, n_mels), NULL);
      break;
    case 1:
      g_object_set (mel, "window",
          GST_SECOND + tape_below (tape, 3) * 20 * GST_MSECOND, NULL);
      break;
    case 2:
      gst_util_set_object_arg (
          G_OBJECT (mel), "mode", TAPE_ONE_OF (tape, modes));
      break;
    case 3:
      g_object_set (mel, "tail", tape_below (tape, 2), NULL);
      break;
    default:
      g_object_set (mel, "hop", TAPE_ONE_OF (tape, hops), NULL);
  }
}

static void
set_decoder_text (Storm *storm, Tape *tape)
{
  /* The good ones first: with the others nothing starts. */
  const gboolean is_good = tape_below (tape, 8) > 0;
  static const char *const languages[] = {
      "auto", "", "en", "zh-CN", "German", "xx", "\xff"};
  static const char *const tokens[] = {
      "-1", "", "1, 50256", NULL, "1,2,999999999", "a", ","};
  static const char *const prompts[] = {
      NULL, "", "Ask not.", "\xf0\x28\x8c\x28", "<|endoftext|>"};

  switch (tape_below (tape, 6)) {
    case 4:
      g_object_set (storm->decoder, "batch", 1 + tape_below (tape, 4), NULL);
      break;
    case 5:
      g_object_set (storm->decoder, "hot-words", TAPE_ONE_OF (tape, prompts),
          "language-interval", (guint64) tape_below (tape, 2) * GST_SECOND,
          NULL);
      break;
    case 0:
      g_object_set (storm->decoder, "language-code",
          languages[tape_below (tape, is_good ? 5 : 7)], NULL);
      break;
    case 1:
      g_object_set (storm->decoder, "suppress-tokens",
          tokens[tape_below (tape, is_good ? 4 : 7)], NULL);
      break;
    case 2:
      g_object_set (
          storm->decoder, "initial-prompt", TAPE_ONE_OF (tape, prompts), NULL);
      break;
    default:
      g_object_set (storm->decoder, "vocabulary",
          is_good ? storm->vocabulary : storm->model, NULL);
  }
}

static void
set_decoder_property (Storm *storm, Tape *tape)
{
  static const double temperatures[] = {0.0, 0.2, 1.0};
  GstElement *decoder = storm->decoder;

  switch (tape_below (tape, 14)) {
    case 8:
      gst_util_set_object_arg (G_OBJECT (decoder), "commit",
          tape_below (tape, 3) ? "alignatt" : "all");
      break;
    case 9:
      g_object_set (decoder, "text", tape_below (tape, 2), "line-length",
          tape_below (tape, 3) * 21, "lines", tape_below (tape, 3), NULL);
      break;
    case 10:
      g_object_set (decoder, "hallucination-silence-threshold",
          (guint64) tape_below (tape, 3) * GST_SECOND, "margin",
          (guint64) tape_below (tape, 4) * 4 * GST_SECOND, NULL);
      break;
    case 11:
      g_object_set (decoder, "latency", tape_below (tape, 70) * 1000,
          "lateness", tape_below (tape, 2) * 500, NULL);
      break;
    case 0:
      g_object_set (decoder, "verbosity", tape_below (tape, 4), NULL);
      break;
    case 1:
      g_object_set (decoder, "beam-size", tape_below (tape, 5), NULL);
      break;
    case 2:
      g_object_set (decoder, "best-of", 1 + tape_below (tape, 4), NULL);
      break;
    case 3:
      g_object_set (decoder, "temperature", TAPE_ONE_OF (tape, temperatures),
          "seed", (guint64) tape_u32 (tape), NULL);
      break;
    case 4:
      g_object_set (decoder, "timestamps", tape_below (tape, 3), NULL);
      break;
    case 5:
      g_object_set (decoder, "task", tape_below (tape, 2), NULL);
      break;
    case 6:
      g_object_set (
          decoder, "condition-on-previous-text", tape_below (tape, 2), NULL);
      break;
    case 7:
      if (decoder != storm->encoder)
        g_object_set (
            decoder, "model", tape_below (tape, 8) ? storm->model : NULL, NULL);
      break;
    default:
      set_decoder_text (storm, tape);
  }
}

void
storm_set_property (Storm *storm, Tape *tape)
{
  const guint decision = tape_below (tape, 3);

  if (storm->decoder && (!storm->encoder || decision == 0))
    set_decoder_property (storm, tape);
  else if (storm->encoder && (!storm->mel || decision == 1))
    set_encoder_property (storm, tape);
  else
    set_mel_property (storm->mel, tape);
}

static void
read_things (Storm *storm, Tape *tape)
{
  g_autoptr (GstQuery) query = NULL;
  g_autoptr (GstCaps) caps = NULL;
  g_autoptr (GstStructure) stats = NULL;

  GstElement *counting =
      storm->decoder && tape_below (tape, 2) ? storm->decoder : storm->encoder;

  switch (tape_below (tape, 5)) {
    case 0:
      if (counting)
        g_object_get (counting, "stats", &stats, NULL);
      break;
    case 1:
      if (counting)
        g_signal_emit_by_name (counting, "reset-stats");
      break;
    case 2:
      query = gst_query_new_latency ();
      gst_pad_peer_query (storm->sink, query);
      break;
    case 3:
      caps = gst_pad_peer_query_caps (
          tape_below (tape, 2) ? storm->sink : storm->src, NULL);
      break;
    default:
      query = gst_query_new_position (GST_FORMAT_TIME);
      gst_pad_peer_query (storm->sink, query);
  }
}

/* What a decoder would send, or nonsense of the same name. */
static GstEvent *
new_advance (Tape *tape)
{
  static const guint64 untils[] = {0, GST_SECOND, 500 * GST_MSECOND, 1,
      GST_CLOCK_TIME_NONE, G_MAXUINT64 - 1, G_MAXINT64};
  const guint64 until = tape_below (tape, 3)
                            ? tape_u32 (tape) % 4000 * GST_MSECOND
                            : TAPE_ONE_OF (tape, untils);

  if (tape_below (tape, 8) == 1)
    return gst_event_new_custom (
        GST_EVENT_CUSTOM_UPSTREAM, gst_structure_new ("whisper/advance",
                                       "until", G_TYPE_STRING, "soon", NULL));
  return gst_event_new_custom (GST_EVENT_CUSTOM_UPSTREAM,
      gst_structure_new ("whisper/advance", "until", G_TYPE_UINT64, until,
          "sentence", G_TYPE_UINT64, TAPE_ONE_OF (tape, untils), "seqnum",
          G_TYPE_UINT, STORM_SEQNUM + (tape_below (tape, 8) == 1), NULL));
}

static void
send_upstream (Storm *storm, Tape *tape)
{
  GstEvent *event;

  switch (tape_below (tape, 5)) {
    case 3:
      event = new_advance (tape);
      break;
    case 0:
      event = gst_event_new_qos (GST_QOS_TYPE_UNDERFLOW, 2.0, GST_SECOND, 0);
      break;
    case 1:
      event = gst_event_new_latency (tape_below (tape, 2) * GST_SECOND);
      break;
    case 2:
      event = gst_event_new_seek (tape_below (tape, 2) ? 1.0 : -1.0,
          GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, GST_SEEK_TYPE_SET, 0,
          GST_SEEK_TYPE_NONE, 0);
      break;
    default:
      g_mutex_lock (&storm->sink_lock);
      storm->wanted_mels = 40 * tape_below (tape, 4);
      g_mutex_unlock (&storm->sink_lock);
      event = gst_event_new_reconfigure ();
  }
  gst_pad_push_event (storm->sink, event);
}

static void
change_state (Storm *storm, Tape *tape)
{
  static const GstState states[] = {GST_STATE_NULL, GST_STATE_READY,
      GST_STATE_PAUSED, GST_STATE_PLAYING, GST_STATE_PLAYING, GST_STATE_PLAYING,
      GST_STATE_PLAYING};

  gst_element_set_state (storm->pipeline, TAPE_ONE_OF (tape, states));
}

void
storm_read_messages (Storm *storm)
{
  GstMessage *message;

  while ((message = gst_bus_pop (storm->bus))) {
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
      g_autoptr (GError) error = NULL;

      gst_message_parse_error (message, &error, NULL);
      if (!*error->message || !g_utf8_validate (error->message, -1, NULL))
        g_error ("an error without words, or none of UTF-8");
    }
    gst_message_unref (message);
  }
}

void
storm_meddle (Storm *storm, Tape *tape)
{
  while (tape->left) {
    const guint decision = tape_below (tape, 20);

    if (decision < 5)
      read_things (storm, tape);
    else if (decision < 9)
      storm_set_property (storm, tape);
    else if (decision < 12)
      storm_flush (storm, tape);
    else if (decision < 15)
      change_state (storm, tape);
    else if (decision < 17)
      send_upstream (storm, tape);
    else if (decision < 18)
      storm_read_messages (storm);
    else
      g_usleep (tape_u8 (tape) * (storm->decoder ? 100 : 4));
  }
}
