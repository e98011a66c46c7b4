/* Pipelines that start and stop at random, some in the middle of a window, on
 * one device; and on an NPU that goes while they use it, again and again. What
 * comes out is right.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "encoder-rig.h"
#include "fake-npu.h"
#include "gstnpuencoder.h"
#include "plan/npu-precision.h"
#include "patience.h"

#define N_PIPELINES 16
#define N_FRAMES 60
#define MAX_WINDOWS 3 /* of one pipeline, each with its own seed */

/* Launches of an NPU from its opening until it goes: of one window and some. */
#define LIFE 40

/* Computes what the CPU does, to the byte. */
static const FakeNpuOptions well = {
    .ops = FAKE_NPU_ALL_BF16 & ~FAKE_NPU_GELU, .threads = 2, .heads = 2};

typedef struct {
  guint32 seed;
  const char *device;
  GThread *thread;
} Visitor;

static GBytes *expected[MAX_WINDOWS];
static gint n_there; /* visitors; atomic */

static GstElement *
start (const char *device)
{
  g_autofree char *text = g_strdup_printf (
      "appsrc name=in format=time ! npuencoder name=encoder model=" TINY
      " precision=bf16 device=%s overlays=. threads=2 timeout=600000 ! "
      "appsink name=out sync=false",
      device);
  g_autoptr (GError) error = NULL;
  g_autoptr (GstCaps) caps = encoder_mel_caps (N_FRAMES);
  GstElement *pipeline = gst_parse_launch (text, &error);
  g_autoptr (GstElement) in = NULL;

  g_assert_no_error (error);
  in = gst_bin_get_by_name (GST_BIN (pipeline), "in");
  g_object_set (in, "caps", caps, NULL);
  g_assert_cmpint (gst_element_set_state (pipeline, GST_STATE_PLAYING), !=,
      GST_STATE_CHANGE_FAILURE);
  return pipeline;
}

static void
push (GstElement *pipeline, gint number)
{
  g_autoptr (GstElement) in = gst_bin_get_by_name (GST_BIN (pipeline), "in");
  g_autoptr (GstBuffer) window =
      encoder_mel_buffer (N_FRAMES, number, number * N_FRAMES * FRAME);
  GstFlowReturn flow;

  g_signal_emit_by_name (in, "push-buffer", window, &flow);
  g_assert_cmpint (flow, ==, GST_FLOW_OK);
}

static void
pull (GstElement *pipeline, gint number)
{
  g_autoptr (GstElement) out = gst_bin_get_by_name (GST_BIN (pipeline), "out");
  g_autoptr (GstSample) sample = NULL;
  g_autoptr (GBytes) states = NULL;
  GstBuffer *buffer;

  g_signal_emit_by_name (out, "try-pull-sample", PATIENCE, &sample);
  g_assert_nonnull (sample);
  buffer = gst_sample_get_buffer (sample);
  g_assert_cmpuint (GST_BUFFER_PTS (buffer), ==, number * N_FRAMES * FRAME);
  states = encoder_take_bytes (gst_buffer_ref (buffer));
  g_assert_true (g_bytes_equal (states, expected[number]));
}

static void
stop (GstElement *pipeline)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) message =
      gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  g_autoptr (GError) error = NULL;

  if (message)
    gst_message_parse_error (message, &error, NULL);
  g_assert_no_error (error);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
}

/* The first visitor waits for all that it pushes. */
static gpointer
visit (gpointer data)
{
  const Visitor *visitor = data;
  g_autoptr (GRand) random = g_rand_new_with_seed (visitor->seed);

  for (guint i = 0; i < (g_test_slow () ? 3 : 2); i++) {
    GstElement *pipeline = start (visitor->device);
    const gboolean is_first = visitor->seed == 0;
    const gint n = is_first ? 3 : g_rand_int_range (random, 0, 4);
    const gint n_pulled = is_first ? n : g_rand_int_range (random, 0, 4);

    for (gint j = 0; j < n; j++)
      push (pipeline, j);
    for (gint j = 0; j < MIN (n, n_pulled); j++)
      pull (pipeline, j);
    stop (pipeline);
  }
  g_atomic_int_add (&n_there, -1);
  return NULL;
}

/* Has @meddle called until all have left. */
static void
run_visitors (const char *device, void (*meddle) (void))
{
  Visitor visitors[N_PIPELINES];

  n_there = N_PIPELINES;
  for (guint i = 0; i < N_PIPELINES; i++) {
    visitors[i] = (Visitor){i, device, NULL};
    visitors[i].thread = g_thread_new ("pipeline", visit, &visitors[i]);
  }
  while (meddle && g_atomic_int_get (&n_there) > 0) {
    meddle ();
    g_usleep (1000);
  }
  for (guint i = 0; i < N_PIPELINES; i++)
    g_thread_join (visitors[i].thread);
}

static void
test_cpu (void)
{
  run_visitors ("cpu", NULL);
}

/* The NPU that went was LIFE launches old; so will the next be. */
static void
lose_again (void)
{
  static guint n_opened;
  const FakeNpuCounts counts = fake_npu_get_counts ();
  FakeNpuOptions ill = well;

  if (counts.n_opened == n_opened)
    return;
  n_opened = counts.n_opened;
  ill.lose_at = counts.n_launches + LIFE;
  fake_npu_change (&ill);
}

static void
test_lost_npu (void)
{
  FakeNpuCounts counts;

  fake_npu_install (&well);
  run_visitors ("auto", lose_again);
  counts = fake_npu_get_counts ();
  g_test_message ("%u NPUs, %u launches", counts.n_opened, counts.n_launches);
  g_assert_cmpuint (counts.n_opened, >, 1);
  g_assert_cmpint (counts.n_alive, ==, 0);
  fake_npu_install (NULL);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  gst_init (&argc, &argv);
  g_assert_true (GST_ELEMENT_REGISTER (npuencoder, NULL));
  for (guint i = 0; i < MAX_WINDOWS; i++) {
    g_autoptr (EncoderRig) rig = encoder_rig_new (
        "device", "cpu", "threads", 2, "precision", NPU_PRECISION_BF16, NULL);

    encoder_rig_set_frames (rig, N_FRAMES);
    expected[i] = encoder_rig_encode (rig, N_FRAMES, i);
  }
  g_test_add_func ("/npuencoder/storm/cpu", test_cpu);
  g_test_add_func ("/npuencoder/storm/lost-npu", test_lost_npu);
  status = g_test_run ();
  for (guint i = 0; i < MAX_WINDOWS; i++)
    g_bytes_unref (expected[i]);
  return status;
}
