/* Whoever talks to whispermel while another thread starts and stops it meets a
 * whole element or none: flushes, audio, events, queries, answers of a decoder.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mel-rig.h"
#include "peer-pad.h"
#include "windowevent.h"

#define ROUNDS 200

typedef struct {
  GstElement *element;
  GstPad *src, *sink; /* around it */
  gint stop;
} Storm;

static GstFlowReturn
drop (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  gst_buffer_unref (buffer);
  return GST_FLOW_OK;
}

static void
storm_init (Storm *storm, const char *mode)
{
  g_autoptr (GstPad) sink = NULL, src = NULL;

  *storm = (Storm){
      .element =
          gst_object_ref_sink (gst_element_factory_make ("whispermel", NULL)),
      .src = gst_object_ref_sink (peer_pad_new ("src", GST_PAD_SRC)),
      .sink = gst_object_ref_sink (peer_pad_new ("sink", GST_PAD_SINK)),
  };
  gst_util_set_object_arg (G_OBJECT (storm->element), "mode", mode);
  g_object_set (storm->element, "window", GST_SECOND, NULL);
  gst_util_set_object_arg (G_OBJECT (storm->element), "vad", "none");
  gst_pad_set_chain_function (storm->sink, drop);
  sink = gst_element_get_static_pad (storm->element, "sink");
  src = gst_element_get_static_pad (storm->element, "src");
  gst_pad_link (storm->src, sink);
  gst_pad_link (src, storm->sink);
  gst_pad_set_active (storm->sink, TRUE);
  gst_pad_set_active (storm->src, TRUE);
}

static void
storm_clear (Storm *storm)
{
  gst_element_set_state (storm->element, GST_STATE_NULL);
  gst_pad_set_active (storm->src, FALSE);
  gst_pad_set_active (storm->sink, FALSE);
  gst_object_unref (storm->element);
  gst_object_unref (storm->src);
  gst_object_unref (storm->sink);
}

static gpointer
flush (gpointer data)
{
  Storm *storm = data;

  while (!g_atomic_int_get (&storm->stop)) {
    gst_pad_push_event (storm->src, gst_event_new_flush_start ());
    gst_pad_push_event (storm->src, gst_event_new_flush_stop (TRUE));
    g_thread_yield ();
  }
  return NULL;
}

static void
begin_stream (Storm *storm)
{
  g_autoptr (GstCaps) caps = gst_caps_from_string (AUDIO_CAPS);
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_pad_push_event (storm->src, gst_event_new_stream_start ("storm"));
  gst_pad_push_event (storm->src, gst_event_new_caps (caps));
  gst_pad_push_event (storm->src, gst_event_new_segment (&segment));
}

static gpointer
stream (gpointer data)
{
  static const float noise[RATE] = {[RATE / 3] = 0.5f, [RATE / 2] = -0.5f};
  Storm *storm = data;
  GstClockTime head = 0;

  while (!g_atomic_int_get (&storm->stop)) {
    if (head == 0)
      begin_stream (storm);
    if (gst_pad_push (storm->src, mel_buffer_new (noise, RATE, head)) !=
        GST_FLOW_OK)
      begin_stream (storm);
    gst_pad_push_event (
        storm->src, gst_event_new_gap (head + GST_SECOND, GST_SECOND));
    head += 2 * GST_SECOND;
    if (head == 40 * GST_SECOND) {
      gst_pad_push_event (
          storm->src, gst_event_new_segment_done (GST_FORMAT_TIME, head));
      head = 0;
    }
  }
  return NULL;
}

static gpointer
ask (gpointer data)
{
  Storm *storm = data;

  while (!g_atomic_int_get (&storm->stop)) {
    g_autoptr (GstQuery) latency = gst_query_new_latency ();

    gst_caps_unref (gst_pad_peer_query_caps (storm->sink, NULL));
    gst_caps_unref (gst_pad_peer_query_caps (storm->src, NULL));
    gst_pad_peer_query (storm->sink, latency);
    gst_pad_push_event (storm->sink,
        window_event_new_advance (GST_SECOND / 2, GST_CLOCK_TIME_NONE, 0));
    gst_pad_push_event (storm->sink, gst_event_new_reconfigure ());
    g_object_set (storm->element, "hop", GST_SECOND / 2, NULL);
    g_thread_yield ();
  }
  return NULL;
}

/* With the threads that @funcs are, the element goes up and down. */
static void
run_mode (
    const char *mode, GThreadFunc first, GThreadFunc second, GThreadFunc third)
{
  GThreadFunc funcs[] = {first, second, third};
  GThread *threads[G_N_ELEMENTS (funcs)];
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  Storm storm;

  storm_init (&storm, mode);
  for (guint i = 0; i < G_N_ELEMENTS (funcs); i++)
    threads[i] = funcs[i] ? g_thread_new ("storm", funcs[i], &storm) : NULL;
  for (guint i = 0; i < ROUNDS; i++) {
    gst_element_set_state (storm.element,
        g_rand_boolean (rand) ? GST_STATE_PLAYING : GST_STATE_PAUSED);
    g_usleep (g_rand_int_range (rand, 0, 500));
    gst_element_set_state (storm.element,
        g_rand_boolean (rand) ? GST_STATE_READY : GST_STATE_NULL);
  }
  g_atomic_int_set (&storm.stop, TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (funcs); i++)
    if (threads[i])
      g_thread_join (threads[i]);
  storm_clear (&storm);
}

static void
run (GThreadFunc first, GThreadFunc second, GThreadFunc third)
{
  run_mode ("follow", first, second, third);
  run_mode ("growing", first, second, third);
}

static void
test_flush (void)
{
  run (flush, NULL, NULL);
}

static void
test_audio (void)
{
  run (stream, ask, NULL);
}

static void
test_all (void)
{
  run (flush, stream, ask);
}

/* In the state READY there is nothing to talk to. */
static void
test_ready (void)
{
  Storm storm;

  storm_init (&storm, "follow");
  for (guint i = 0; i < 2; i++) {
    gst_pad_push_event (storm.src, gst_event_new_flush_start ());
    gst_pad_push_event (storm.src, gst_event_new_flush_stop (TRUE));
    g_assert_false (gst_pad_push_event (storm.sink,
        window_event_new_advance (GST_SECOND, GST_CLOCK_TIME_NONE, 0)));
    gst_element_set_state (storm.element, GST_STATE_PAUSED);
    gst_element_set_state (storm.element, GST_STATE_READY);
  }
  storm_clear (&storm);
}

typedef struct {
  GMutex lock;
  GCond cond;
  gboolean is_in, may_go;
} Gate;

/* Holds an event on its way into the element. */
static GstPadProbeReturn
wait_at_gate (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Gate *gate = data;

  g_mutex_lock (&gate->lock);
  gate->is_in = TRUE;
  g_cond_broadcast (&gate->cond);
  while (!gate->may_go)
    g_cond_wait (&gate->cond, &gate->lock);
  g_mutex_unlock (&gate->lock);
  return GST_PAD_PROBE_OK;
}

static gpointer
send_flush_start (gpointer data)
{
  Storm *storm = data;

  gst_pad_push_event (storm->src, gst_event_new_flush_start ());
  return NULL;
}

/* The flush comes to a running element, and its event function is called when
 * that has stopped. */
static void
test_flush_meets_stop (void)
{
  Gate gate = {.is_in = FALSE};
  g_autoptr (GstPad) pad = NULL;
  GThread *thread;
  Storm storm;

  g_mutex_init (&gate.lock);
  g_cond_init (&gate.cond);
  storm_init (&storm, "follow");
  gst_element_set_state (storm.element, GST_STATE_PAUSED);
  pad = gst_element_get_static_pad (storm.element, "sink");
  gst_pad_add_probe (
      pad, GST_PAD_PROBE_TYPE_EVENT_FLUSH, wait_at_gate, &gate, NULL);

  thread = g_thread_new ("flush", send_flush_start, &storm);
  g_mutex_lock (&gate.lock);
  while (!gate.is_in)
    g_cond_wait (&gate.cond, &gate.lock);
  g_mutex_unlock (&gate.lock);
  gst_element_set_state (storm.element, GST_STATE_READY);
  g_mutex_lock (&gate.lock);
  gate.may_go = TRUE;
  g_cond_broadcast (&gate.cond);
  g_mutex_unlock (&gate.lock);
  g_thread_join (thread);

  storm_clear (&storm);
  g_cond_clear (&gate.cond);
  g_mutex_clear (&gate.lock);
}

/* GStreamer warns of audio before its segment, where the element has stopped
 * and started between them. */
static void
forget_warning (const char *domain, GLogLevelFlags level, const char *message,
    gpointer user_data)
{
}

#define ADD(name, func) g_test_add_func ("/whispermel/states/" name, func)

int
main (int argc, char **argv)
{
  mel_test_init (&argc, &argv);
  g_log_set_always_fatal (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL);
  g_log_set_handler ("GStreamer", G_LOG_LEVEL_WARNING, forget_warning, NULL);
  ADD ("events-in-ready", test_ready);
  ADD ("flush-that-meets-a-stop", test_flush_meets_stop);
  ADD ("flushes-while-it-starts-and-stops", test_flush);
  ADD ("audio-and-queries-while-it-starts-and-stops", test_audio);
  ADD ("all-while-it-starts-and-stops", test_all);
  return g_test_run ();
}
