/* npuencoder while it starts and stops: what reaches its pads meanwhile waits,
 * or is refused, and never meets a half-started element.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>
#include <string.h>

#include "encoder-rig.h"
#include "model-writer.h"
#include "small-model.h"
#include "patience.h"
#include "peer-pad.h"

#define FRAMES 20

/* --- while the model is loaded ------------------------------------------- */

/* An element fed by a pad of ours, without a state yet. */
typedef struct {
  GstElement *element;
  GstPad *src;  /* of ours, linked to its sink pad */
  GstPad *sink; /* likewise to its source pad */
  GstBus *bus;
  void (*meanwhile) (GstPad *src); /* in a thread of its own, from start() on */
  gint is_in;                      /* atomic: that thread has begun */
  GThread *thread;
} Start;

static GstFlowReturn
drop_buffer (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  gst_buffer_unref (buffer);
  return GST_FLOW_OK;
}

static gpointer
meanwhile_thread (gpointer data)
{
  Start *start = data;

  g_atomic_int_set (&start->is_in, TRUE);
  start->meanwhile (start->src);
  return NULL;
}

/* Called by the thread that starts the element, in the middle of start(): the
 * warning that the weights are random comes when the model is open and nothing
 * else is. The other thread gets some time to do harm in. */
static GstBusSyncReply
in_start (GstBus *bus, GstMessage *message, gpointer data)
{
  Start *start = data;

  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_WARNING && start->meanwhile &&
      !start->thread) {
    start->thread = g_thread_new ("meanwhile", meanwhile_thread, start);
    while (!g_atomic_int_get (&start->is_in))
      g_thread_yield ();
    g_usleep (100000);
  }
  return GST_BUS_PASS;
}

static void
start_init (Start *start, void (*meanwhile) (GstPad *src))
{
  g_autoptr (GstPad) sink = NULL;
  g_autoptr (GstPad) src = NULL;

  *start = (Start){.meanwhile = meanwhile};
  start->element = gst_element_factory_make ("npuencoder", NULL);
  gst_object_ref_sink (start->element);
  g_object_set (start->element, "model", TINY, "threads", 1, NULL);
  start->bus = gst_bus_new ();
  gst_bus_set_sync_handler (start->bus, in_start, start, NULL);
  gst_element_set_bus (start->element, start->bus);
  start->src = peer_pad_new ("src", GST_PAD_SRC);
  start->sink = peer_pad_new ("sink", GST_PAD_SINK);
  gst_pad_set_chain_function (start->sink, drop_buffer);
  gst_pad_set_active (start->src, TRUE);
  gst_pad_set_active (start->sink, TRUE);
  sink = gst_element_get_static_pad (start->element, "sink");
  src = gst_element_get_static_pad (start->element, "src");
  g_assert_cmpint (gst_pad_link (start->src, sink), ==, GST_PAD_LINK_OK);
  g_assert_cmpint (gst_pad_link (src, start->sink), ==, GST_PAD_LINK_OK);
}

static void
start_clear (Start *start)
{
  g_assert_cmpint (gst_element_set_state (start->element, GST_STATE_NULL), ==,
      GST_STATE_CHANGE_SUCCESS);
  gst_bus_set_sync_handler (start->bus, NULL, NULL, NULL);
  gst_element_set_bus (start->element, NULL);
  gst_object_unref (start->element);
  gst_object_unref (start->src);
  gst_object_unref (start->sink);
  gst_object_unref (start->bus);
}

static void
push_stream (GstPad *src)
{
  g_autoptr (GstCaps) caps = encoder_mel_caps (FRAMES);
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_pad_push_event (src, gst_event_new_stream_start ("s"));
  gst_pad_push_event (src, gst_event_new_caps (caps));
  gst_pad_push_event (src, gst_event_new_segment (&segment));
}

static void
push_flush (GstPad *src)
{
  gst_pad_push_event (src, gst_event_new_flush_start ());
  gst_pad_push_event (src, gst_event_new_flush_stop (TRUE));
}

static void
push_caps (GstPad *src)
{
  g_autoptr (GstCaps) caps = encoder_mel_caps (FRAMES);

  gst_pad_push_event (src, gst_event_new_stream_start ("s"));
  gst_pad_push_event (src, gst_event_new_caps (caps));
}

static void
push_wrong_caps (GstPad *src)
{
  g_autoptr (GstCaps) caps = encoder_mel_caps_from_dimensions ("20:77:1");

  gst_pad_push_event (src, gst_event_new_stream_start ("s"));
  gst_pad_push_event (src, gst_event_new_caps (caps)); /* an error message */
}

static void
push_queries (GstPad *src)
{
  g_autoptr (GstCaps) caps = encoder_mel_caps (FRAMES);
  g_autoptr (GstQuery) query = gst_query_new_allocation (caps, TRUE);

  gst_caps_unref (gst_pad_peer_query_caps (src, NULL));
  gst_pad_peer_query_accept_caps (src, caps);
  gst_pad_peer_query (src, query);
}

static void
push_window (GstPad *src)
{
  push_stream (src);
  gst_pad_push (src, encoder_mel_buffer (FRAMES, 1, 0));
}

/* All of it while start() runs; and then the element encodes. */
static void
check_meanwhile (void (*meanwhile) (GstPad *src))
{
  Start start;

  start_init (&start, meanwhile);
  g_assert_cmpint (gst_element_set_state (start.element, GST_STATE_PLAYING), ==,
      GST_STATE_CHANGE_SUCCESS);
  g_assert_nonnull (start.thread);
  g_thread_join (start.thread);
  push_flush (start.src);
  push_stream (start.src);
  g_assert_cmpint (gst_pad_push (start.src, encoder_mel_buffer (FRAMES, 1, 0)),
      ==, GST_FLOW_OK);
  start_clear (&start);
}

/* Likewise where start() fails after the model was opened. */
static void
check_meanwhile_and_failure (void (*meanwhile) (GstPad *src))
{
  Start start;

  start_init (&start, meanwhile);
  g_object_set (start.element, "device", "none", NULL);
  g_assert_cmpint (gst_element_set_state (start.element, GST_STATE_PLAYING), ==,
      GST_STATE_CHANGE_FAILURE);
  g_assert_nonnull (start.thread);
  g_thread_join (start.thread);
  start_clear (&start);
}

static void
test_meanwhile (gconstpointer data)
{
  void (*const *meanwhile) (GstPad * src) = data;

  check_meanwhile (*meanwhile);
  check_meanwhile_and_failure (*meanwhile);
}

/* --- a storm ------------------------------------------------------------- */

typedef struct {
  GstPad *src;
  guint32 seed;
  gint stop; /* atomic */
  guint n_done;
} Storm;

static gpointer
storm_thread (gpointer data)
{
  Storm *storm = data;
  g_autoptr (GRand) rand = g_rand_new_with_seed (storm->seed);

  while (!g_atomic_int_get (&storm->stop)) {
    switch (g_rand_int_range (rand, 0, 6)) {
      case 0:
        push_flush (storm->src);
        break;
      case 1:
        push_caps (storm->src);
        break;
      case 2:
        push_queries (storm->src);
        break;
      case 3:
        gst_pad_push_event (storm->src, gst_event_new_flush_stop (TRUE));
        break;
      default:
        push_window (storm->src);
        break;
    }
    storm->n_done++;
  }
  return NULL;
}

/* A flush of one thread takes the segment away from under another, or ends its
 * caps on their way while a segment comes after: GStreamer warns, rightly, and
 * it is no fault of the element's. */
static gboolean
is_fatal (const char *domain, GLogLevelFlags level, const char *message,
    gpointer data)
{
  return !strstr (message, "Got data flow before") &&
         !strstr (message, "Sticky event misordering");
}

static void
log_what_is_fatal (const char *domain, GLogLevelFlags level,
    const char *message, gpointer data)
{
  if (is_fatal (domain, level, message, data))
    g_log_default_handler (domain, level, message, data);
}

static char *
small_model_file (void)
{
  NpuModel *model = small_model_new (TINY_N_MELS, 64, 1, 0);
  char *name = encoder_temp_file ();
  g_autoptr (GError) error = NULL;

  test_model_write (model, name, TEST_MODEL_OPENAI, NPU_DTYPE_F16, &error);
  g_assert_no_error (error);
  small_model_free (model);
  return name;
}

static void
test_storm_while_it_starts_and_stops (void)
{
  const guint n = g_test_slow () ? 1000 : 100;
  g_autofree char *model = small_model_file ();
  g_autoptr (GRand) rand = g_rand_new_with_seed (11);
  Storm storms[2];
  GThread *threads[G_N_ELEMENTS (storms)];
  Start start;

  g_test_log_set_fatal_handler (is_fatal, NULL);
  g_log_set_handler ("GStreamer", G_LOG_LEVEL_WARNING | G_LOG_FLAG_FATAL,
      log_what_is_fatal, NULL);
  start_init (&start, NULL);
  g_object_set (start.element, "model", model, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (storms); i++) {
    storms[i] = (Storm){.src = start.src, .seed = i + 1};
    threads[i] = g_thread_new ("storm", storm_thread, &storms[i]);
  }
  for (guint i = 0; i < n; i++) {
    const GstState state =
        (GstState) g_rand_int_range (rand, GST_STATE_NULL, GST_STATE_PLAYING);

    g_assert_cmpint (gst_element_set_state (start.element, state), !=,
        GST_STATE_CHANGE_FAILURE);
    g_usleep ((gulong) g_rand_int_range (rand, 0, 3000));
    g_assert_cmpint (gst_element_set_state (start.element, GST_STATE_PAUSED),
        !=, GST_STATE_CHANGE_FAILURE);
    g_usleep ((gulong) g_rand_int_range (rand, 0, 3000));
  }
  for (guint i = 0; i < G_N_ELEMENTS (storms); i++) {
    g_atomic_int_set (&storms[i].stop, TRUE);
    g_thread_join (threads[i]);
    g_test_message ("%u operations", storms[i].n_done);
    g_assert_cmpuint (storms[i].n_done, >, 0);
  }
  push_flush (start.src);
  push_stream (start.src);
  g_assert_cmpint (gst_pad_push (start.src, encoder_mel_buffer (FRAMES, 1, 0)),
      ==, GST_FLOW_OK);
  start_clear (&start);
  g_unlink (model);
}

/* --- a branch of a running pipeline --------------------------------------- */

/* The encoder is started last, when data flows towards it. */
static void
test_branch_whose_encoder_starts_last (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline =
      gst_parse_launch ("audiotestsrc is-live=true samplesperbuffer=160 ! "
                        "audio/x-raw,format=F32LE,rate=16000,channels=1 ! "
                        "tee name=t allow-not-linked=true ! queue ! fakesink",
          &error);
  enum { ENCODER = 2 };
  const char *const names[] = {"queue", "whispermel", "npuencoder", "fakesink"};
  const guint order[] = {0, 1, 3, ENCODER};
  GstElement *elements[G_N_ELEMENTS (names)];
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstElement) tee = NULL;
  g_autoptr (GstMessage) message = NULL;

  g_assert_no_error (error);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  tee = gst_bin_get_by_name (GST_BIN (pipeline), "t");
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    elements[i] = gst_element_factory_make (names[i], NULL);
  gst_util_set_object_arg (G_OBJECT (elements[1]), "window", "1000000000");
  /* The longer it loads, the more meets it; under a sanitizer all is long. */
  g_object_set (elements[2], "model",
      g_test_slow () ? "synthetic:base" : "synthetic:tiny", NULL);
  g_object_set (elements[3], "async", FALSE, "sync", FALSE, NULL);
  /* From here on the pipeline, which is on its way up, may take them along. */
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    gst_bin_add (GST_BIN (pipeline), elements[i]);
    if (i > 0)
      g_assert_true (gst_element_link (elements[i - 1], elements[i]));
  }
  /* What flows into an element that is not started ends its source. */
  for (guint i = 0; i < G_N_ELEMENTS (order); i++) {
    if (order[i] == ENCODER)
      g_assert_true (gst_element_link (tee, elements[0]));
    g_assert_true (gst_element_sync_state_with_parent (elements[order[i]]));
  }

  message = encoder_pop_message (
      bus, GST_MESSAGE_ELEMENT | GST_MESSAGE_ERROR, PATIENCE);
  g_assert_nonnull (message);
  g_assert_true (gst_message_has_name (message, "npuencoder-stats"));
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *path;
    void (*meanwhile) (GstPad *src);
  } cases[] = {
      {"/npuencoder/start/meanwhile/flush", push_flush},
      {"/npuencoder/start/meanwhile/caps", push_caps},
      {"/npuencoder/start/meanwhile/caps-that-do-not-fit", push_wrong_caps},
      {"/npuencoder/start/meanwhile/queries", push_queries},
      {"/npuencoder/start/meanwhile/window", push_window},
  };

  encoder_test_init (&argc, &argv);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    g_test_add_data_func (cases[i].path, &cases[i].meanwhile, test_meanwhile);
  g_test_add_func ("/npuencoder/start/storm-while-it-starts-and-stops",
      test_storm_while_it_starts_and_stops);
  g_test_add_func ("/npuencoder/start/branch-whose-encoder-starts-last",
      test_branch_whose_encoder_starts_last);
  return g_test_run ();
}
