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

  switch (tape_below (tape, 9)) {
    case 0:
      g_object_set (encoder, "verbosity", tape_below (tape, 4), NULL);
      break;
    case 1:
      g_object_set (encoder, "post-messages", tape_below (tape, 2), NULL);
      break;
    case 2:
      g_object_set (encoder, "depth", 1 + tape_below (tape, 16), NULL);
      break;
    case 3:
      g_object_set (encoder, "batch-size", tape_below (tape, 25), NULL);
      break;
    case 4:
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
  static const guint64 hops[] = {
      0, 10 * GST_MSECOND, 500 * GST_MSECOND, GST_SECOND, 3 * GST_SECOND};

  switch (tape_below (tape, 3)) {
    case 0:
      g_object_set (mel, "n-mels", TAPE_ONE_OF (tape, n_mels), NULL);
      break;
    case 1:
      g_object_set (mel, "window",
          GST_SECOND + tape_below (tape, 3) * 20 * GST_MSECOND, NULL);
      break;
    default:
      g_object_set (mel, "hop", TAPE_ONE_OF (tape, hops), NULL);
  }
}

void
storm_set_property (Storm *storm, Tape *tape)
{
  if (storm->encoder && (!storm->mel || tape_below (tape, 2)))
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

  switch (tape_below (tape, 5)) {
    case 0:
      if (storm->encoder)
        g_object_get (storm->encoder, "stats", &stats, NULL);
      break;
    case 1:
      if (storm->encoder)
        g_signal_emit_by_name (storm->encoder, "reset-stats");
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

static void
send_upstream (Storm *storm, Tape *tape)
{
  GstEvent *event;

  switch (tape_below (tape, 4)) {
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
      GST_STATE_PAUSED, GST_STATE_PLAYING, GST_STATE_PLAYING};

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
      g_usleep (tape_u8 (tape) * 4);
  }
}
