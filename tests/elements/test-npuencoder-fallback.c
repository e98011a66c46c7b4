/* npuencoder on an NPU that fails: with device=auto every window comes out, in
 * order, once, and right; with device=xrt there is an error.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "encoder-rig.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "fake-npu.h"
#include "gstnpuencoder.h"
#include "model-writer.h"
#include "small-model.h"

#define N_FRAMES 60
#define N_SEEDS 4
#define OVERLAYS "." /* auto looks for an NPU where there are some */
#define BF16 3       /* of GstNpuEncoderPrecision */

/* Computes what the CPU does, to the byte. */
static const FakeNpuOptions well = {
    .ops = FAKE_NPU_ALL_BF16 & ~FAKE_NPU_GELU, .threads = 2, .heads = 2};

/* The file of a small model: loading takes most of the time of a test. */
static char *small_model;

static EncoderRig *
new_rig (const char *device, guint timeout_ms)
{
  EncoderRig *rig = encoder_rig_new ("model", small_model, "device", device,
      "overlays", OVERLAYS, "precision", BF16, "timeout", timeout_ms, NULL);

  encoder_rig_set_frames (rig, N_FRAMES);
  return rig;
}

/* A small model in a file, (transfer full). */
static char *
write_model (void)
{
  NpuModel *model = small_model_new (TINY_N_MELS, 128, 2, 0);
  char *path = encoder_temp_file ();
  g_autoptr (GError) error = NULL;

  test_model_write (model, path, TEST_MODEL_OPENAI, NPU_DTYPE_F32, &error);
  g_assert_no_error (error);
  small_model_free (model);
  return path;
}

static EncoderRig *
new_rig_of (const char *model, const char *device)
{
  EncoderRig *rig = encoder_rig_new ("model", model, "device", device,
      "overlays", OVERLAYS, "precision", BF16, NULL);

  encoder_rig_set_frames (rig, N_FRAMES);
  return rig;
}

/* Warnings that were on the bus and not yet checked, but for that of the
 * model's random weights. */
static GQueue warnings = G_QUEUE_INIT;

static void
check_nothing_is_left (void)
{
  g_assert_true (g_queue_is_empty (&warnings));
  fake_npu_install (NULL);
  g_assert_cmpint (fake_npu_get_counts ().n_alive, ==, 0);
}

/* The CPU's states of each seed's window. */
static GBytes *
expected_states (guint seed)
{
  static GBytes *expected[N_SEEDS];

  if (!expected[seed]) {
    g_autoptr (EncoderRig) rig = new_rig ("cpu", 600000);

    expected[seed] = encoder_rig_encode (rig, N_FRAMES, seed);
  }
  return expected[seed];
}

static gboolean
push (EncoderRig *rig, guint number)
{
  return gst_harness_push (
             rig->harness, encoder_mel_buffer (N_FRAMES, number % N_SEEDS,
                               number * N_FRAMES * FRAME)) == GST_FLOW_OK;
}

/* Takes what is on the bus up to the next statistics, which are returned, or
 * all of it. */
static GstStructure *
take_messages (EncoderRig *rig)
{
  GstStructure *stats = NULL;
  GstMessage *message;

  while (!stats && (message = encoder_pop_message (rig->bus,
                        GST_MESSAGE_ELEMENT | GST_MESSAGE_WARNING, 0))) {
    GError *error = NULL;

    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ELEMENT) {
      stats = gst_structure_copy (gst_message_get_structure (message));
    } else {
      gst_message_parse_warning (message, &error, NULL);
      if (strstr (error->message, "are random"))
        g_error_free (error);
      else
        g_queue_push_tail (&warnings, error);
    }
    gst_message_unref (message);
  }
  return stats;
}

/* Fails the test unless the next warning has @part; without, if there is
 * one. */
static void
check_warning (EncoderRig *rig, GQuark domain, int code, const char *part)
{
  GError *error;

  g_assert_null (take_messages (rig));
  error = g_queue_pop_head (&warnings);
  if (!part) {
    g_assert_no_error (error);
    return;
  }
  g_assert_error (error, domain, code);
  g_test_message ("%s", error->message);
  if (!strstr (error->message, part))
    g_error ("'%s' is not in '%s'", part, error->message);
  g_error_free (error);
}

/* Encodes window @number and checks what comes out; returns the statistics. */
static GstStructure *
encode (EncoderRig *rig, guint number)
{
  GstBuffer *states;
  GstStructure *stats;
  GBytes *bytes;

  g_assert_true (push (rig, number));
  states = gst_harness_try_pull (rig->harness);
  g_assert_nonnull (states);
  g_assert_null (gst_harness_try_pull (rig->harness));
  g_assert_cmpuint (GST_BUFFER_PTS (states), ==, number * N_FRAMES * FRAME);
  bytes = encoder_take_bytes (states);
  g_assert_true (g_bytes_equal (bytes, expected_states (number % N_SEEDS)));
  g_bytes_unref (bytes);
  stats = take_messages (rig);
  g_assert_nonnull (stats);
  return stats;
}

static void
check_device (EncoderRig *rig, guint number, const char *device)
{
  GstStructure *stats = encode (rig, number);
  guint64 window;

  g_assert_cmpstr (gst_structure_get_string (stats, "device"), ==, device);
  g_assert_true (gst_structure_get_uint64 (stats, "window", &window));
  g_assert_cmpuint (window, ==, number + 1);
  gst_structure_free (stats);
}

/* --- auto --------------------------------------------------------------- */

static void
test_random_failures (void)
{
  FakeNpuOptions ill = well;
  EncoderRig *rig;
  const guint n_windows = g_test_slow () ? 200 : 40;
  guint n_on_cpu = 0, i;

  ill.failure_rate = 0.6 / n_windows;
  fake_npu_install (&ill);
  rig = new_rig ("auto", 600000);
  for (i = 0; i < n_windows; i++) {
    GstStructure *stats = encode (rig, i);
    const char *device = gst_structure_get_string (stats, "device");

    g_assert_cmpstr (gst_structure_get_string (stats, "precision"), ==, "bf16");
    if (g_str_equal (device, "cpu"))
      n_on_cpu++;
    else
      g_assert_cmpstr (device, ==, "xrt:0");
    gst_structure_free (stats);
  }
  g_test_message ("%u windows of %u on the CPU after %u failed launches",
      n_on_cpu, n_windows, fake_npu_get_counts ().n_failed);
  g_assert_cmpuint (n_on_cpu, >=, 5);
  g_assert_cmpuint (n_on_cpu, <, n_windows / 2);
  g_assert_cmpuint (warnings.length, ==, n_on_cpu);
  g_queue_clear_full (&warnings, (GDestroyNotify) g_error_free);
  g_assert_cmpuint (fake_npu_get_counts ().n_failed, >=, n_on_cpu);
  encoder_rig_free (rig);
  check_nothing_is_left ();
}

static void
test_one_failure (void)
{
  FakeNpuOptions ill = well;
  EncoderRig *rig;

  ill.fail_at = 4;
  fake_npu_install (&ill);
  rig = new_rig ("auto", 600000);
  check_warning (rig, 0, 0, NULL);
  check_device (rig, 0, "cpu");
  check_warning (rig, GST_STREAM_ERROR, GST_STREAM_ERROR_ENCODE,
      "This window is encoded again on the CPU; the next is tried on xrt:0.");
  for (guint i = 1; i < 4; i++)
    check_device (rig, i, "xrt:0");
  check_warning (rig, 0, 0, NULL);
  encoder_rig_free (rig);
  check_nothing_is_left ();
}

/* States that are no numbers are noticed, though no launch failed. */
static void
test_corrupts (void)
{
  FakeNpuOptions ill = well;
  EncoderRig *rig;

  fake_npu_install (&well);
  rig = new_rig ("auto", 600000);
  check_device (rig, 0, "xrt:0");
  ill.corrupt_at = fake_npu_get_counts ().n_launches + 6;
  fake_npu_change (&ill);
  check_device (rig, 1, "cpu");
  check_warning (
      rig, GST_STREAM_ERROR, GST_STREAM_ERROR_ENCODE, "window 2 at 0:00:");
  check_device (rig, 2, "xrt:0");
  check_warning (rig, 0, 0, NULL);
  encoder_rig_free (rig);
  check_nothing_is_left ();
}

static void
test_gives_up (void)
{
  FakeNpuOptions ill = well;
  EncoderRig *rig;
  guint i;

  ill.failure_rate = 1;
  fake_npu_install (&ill);
  rig = new_rig ("auto", 600000);
  for (i = 0; i < 2; i++) {
    check_device (rig, i, "cpu");
    check_warning (rig, GST_STREAM_ERROR, GST_STREAM_ERROR_ENCODE,
        "the next is tried on xrt:0");
  }
  /* One that does not fail starts the count anew. */
  fake_npu_change (&well);
  check_device (rig, i++, "xrt:0");
  fake_npu_change (&ill);
  for (; i < 5; i++) {
    check_device (rig, i, "cpu");
    check_warning (rig, GST_STREAM_ERROR, GST_STREAM_ERROR_ENCODE,
        "the next is tried on xrt:0");
  }
  check_device (rig, i++, "cpu");
  check_warning (rig, GST_STREAM_ERROR, GST_STREAM_ERROR_ENCODE,
      "3 windows in a row failed on xrt:0: this one and all that follow are "
      "encoded on the CPU.");
  fake_npu_change (&well);
  for (; i < 8; i++)
    check_device (rig, i, "cpu");
  check_warning (rig, 0, 0, NULL);
  encoder_rig_free (rig);
  check_nothing_is_left ();
}

static void
test_lost (void)
{
  FakeNpuOptions ill = well;
  EncoderRig *rig;
  guint i;

  fake_npu_install (&well);
  rig = new_rig ("auto", 600000);
  check_device (rig, 0, "xrt:0");
  ill.lose_at = fake_npu_get_counts ().n_launches + 5;
  fake_npu_change (&ill);
  check_device (rig, 1, "cpu");
  check_warning (rig, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
      "xrt:0 has gone: this window and all that follow are encoded on the "
      "CPU.");
  for (i = 2; i < 5; i++)
    check_device (rig, i, "cpu");
  check_warning (rig, 0, 0, NULL);
  encoder_rig_free (rig);
  check_nothing_is_left ();
}

static void
test_hangs (void)
{
  FakeNpuOptions ill = well;
  EncoderRig *rig;

  ill.hang_at = 6;
  ill.hang_time = 600 * GST_SECOND;
  fake_npu_install (&ill);
  rig = new_rig ("auto", 2000);
  check_device (rig, 0, "cpu");
  check_warning (rig, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED,
      "did not complete within 2000 ms");
  /* Nothing more goes to a device that hangs. */
  check_device (rig, 1, "cpu");
  check_warning (
      rig, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED, "still in flight");
  fake_npu_change (&well); /* which ends the hang */
  check_device (rig, 2, "xrt:0");
  encoder_rig_free (rig);
  check_nothing_is_left ();
}

/* Stopping waits for the launch that hangs, since it may yet write. */
static void
test_stopped_while_hanging (void)
{
  FakeNpuOptions ill = well;
  EncoderRig *rig;

  ill.hang_at = 6;
  ill.hang_time = 600 * GST_MSECOND;
  fake_npu_install (&ill);
  rig = new_rig ("auto", 300);
  g_assert_true (push (rig, 0));
  gst_structure_free (take_messages (rig));
  check_warning (rig, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED,
      "did not complete within 300 ms");
  encoder_rig_free (rig);
  check_nothing_is_left ();
}

/* A flush in a window that the CPU takes over ends it; the next goes well. */
static void
test_flush (void)
{
  FakeNpuOptions ill = well;
  EncoderRig *rig;

  ill.fail_at = 4;
  fake_npu_install (&ill);
  rig = new_rig ("auto", 600000);
  check_device (rig, 0, "cpu");
  gst_harness_push_event (rig->harness, gst_event_new_flush_start ());
  gst_harness_push_event (rig->harness, gst_event_new_flush_stop (TRUE));
  encoder_rig_set_frames (rig, N_FRAMES);
  ill.fail_at = fake_npu_get_counts ().n_launches + 4;
  fake_npu_change (&ill);
  check_device (rig, 1, "cpu");
  check_device (rig, 2, "xrt:0");
  g_assert_cmpuint (warnings.length, ==, 2);
  g_queue_clear_full (&warnings, (GDestroyNotify) g_error_free);
  encoder_rig_free (rig);
  check_nothing_is_left ();
}

/* --- the model's file ---------------------------------------------------- */

/* The file is gone: the CPU reads what was opened. */
static void
test_model_vanished (void)
{
  g_autofree char *path = write_model ();
  g_autoptr (EncoderRig) cpu = new_rig_of (path, "cpu");
  g_autoptr (GBytes) expected = encoder_rig_encode (cpu, N_FRAMES, 1);
  g_autoptr (GBytes) states = NULL;
  FakeNpuOptions ill = well;
  EncoderRig *rig;

  gst_element_set_state (cpu->element, GST_STATE_NULL); /* nothing to share */
  ill.fail_at = 4;
  fake_npu_install (&ill);
  rig = new_rig_of (path, "auto");
  g_assert_cmpint (g_unlink (path), ==, 0);
  states = encoder_rig_encode (rig, N_FRAMES, 1);
  g_assert_true (g_bytes_equal (states, expected));
  gst_structure_free (take_messages (rig));
  check_warning (rig, GST_STREAM_ERROR, GST_STREAM_ERROR_ENCODE,
      "encoded again on the CPU");
  encoder_rig_free (rig);
  check_nothing_is_left ();
}

/* The file is another one by now: an error that says so, and no states of a
 * mixture of two models. */
static void
test_model_changed (void)
{
  static const char zeros[4096];

  for (guint truncate = 0; truncate < 2; truncate++) {
    g_autofree char *path = write_model ();
    FakeNpuOptions ill = well;
    EncoderRig *rig;
    int fd;

    ill.fail_at = 4;
    fake_npu_install (&ill);
    rig = new_rig_of (path, "auto");
    fd = open (path, O_WRONLY | O_CLOEXEC | (truncate ? O_TRUNC : O_APPEND));
    g_assert_cmpint (write (fd, zeros, sizeof zeros), ==, sizeof zeros);
    close (fd);
    g_assert_false (push (rig, 0));
    g_assert_null (gst_harness_try_pull (rig->harness));
    encoder_check_error (rig->bus, GST_RESOURCE_ERROR,
        GST_RESOURCE_ERROR_OPEN_READ, "window 1 at 0:00:00",
        "and the CPU cannot take its place", "shortened or written to", path,
        NULL);
    encoder_rig_free (rig);
    g_unlink (path);
    check_nothing_is_left ();
  }
}

/* --- what is told ------------------------------------------------------- */

static void
test_stats (void)
{
  FakeNpuOptions ill = well;
  EncoderRig *rig;
  GstStructure *stats, *totals;
  guint64 tiles, again, total;

  fake_npu_install (&well);
  rig = new_rig ("auto", 600000);
  g_object_set (rig->element, "verbosity", 2, NULL);
  stats = encode (rig, 0);
  g_assert_cmpstr (gst_structure_get_string (stats, "placement"), ==,
      "final norm: cpu; 16 stages: xrt:0");
  g_assert_true (gst_structure_get_uint64 (stats, "tiles", &tiles));
  gst_structure_free (stats);

  ill.fail_at = fake_npu_get_counts ().n_launches + 10;
  fake_npu_change (&ill);
  stats = encode (rig, 1);
  g_assert_cmpstr (gst_structure_get_string (stats, "placement"), ==, "cpu");
  g_assert_cmpuint (
      gst_value_array_get_size (gst_structure_get_value (stats, "stages")), ==,
      17);
  /* What was computed twice counts twice. */
  g_assert_true (gst_structure_get_uint64 (stats, "tiles", &again));
  g_assert_cmpuint (again, >, tiles);
  g_assert_cmpuint (again, <, 2 * tiles);
  gst_structure_free (stats);

  g_object_get (rig->element, "stats", &totals, NULL);
  g_assert_true (gst_structure_get_uint64 (totals, "tiles", &total));
  g_assert_cmpuint (total, ==, tiles + again);
  g_assert_cmpstr (gst_structure_get_string (totals, "device"), ==, "cpu");
  gst_structure_free (totals);
  check_warning (rig, GST_STREAM_ERROR, GST_STREAM_ERROR_ENCODE,
      "encoded again on the CPU");
  encoder_rig_free (rig);
  check_nothing_is_left ();
}

static void
test_why_not (void)
{
  const FakeNpuOptions locked = {.open_error = NPU_ERROR_FAILED,
      .open_message = "RLIMIT_MEMLOCK is too small"};
  const FakeNpuOptions none = {
      .open_error = NPU_ERROR_NOT_FOUND, .open_message = "there is none"};
  FakeNpuOptions busy = well;
  EncoderRig *rig;

  fake_npu_install (&locked);
  rig = new_rig ("auto", 600000);
  check_warning (rig, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_READ_WRITE,
      "RLIMIT_MEMLOCK is too small. Windows are encoded on the CPU.");
  check_device (rig, 0, "cpu");
  encoder_rig_free (rig);

  fake_npu_install (&none);
  rig = new_rig ("auto", 600000);
  check_warning (rig, 0, 0, NULL);
  check_device (rig, 0, "cpu");
  encoder_rig_free (rig);

  busy.refuse_kernels = TRUE;
  fake_npu_install (&busy);
  rig = new_rig ("auto", 600000);
  check_warning (rig, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_BUSY,
      "all contexts are in use. Windows are encoded on the CPU.");
  check_device (rig, 0, "cpu");
  encoder_rig_free (rig);
  check_nothing_is_left ();
}

/* --- xrt ---------------------------------------------------------------- */

static void
check_xrt_error (
    const FakeNpuOptions *ill, GQuark domain, int code, const char *part)
{
  EncoderRig *rig;

  fake_npu_install (ill);
  rig = new_rig ("xrt", 300);
  g_assert_false (push (rig, 0));
  g_assert_null (gst_harness_try_pull (rig->harness));
  encoder_check_error (rig->bus, domain, code, part, NULL);
  encoder_rig_free (rig);
  check_nothing_is_left ();
}

static void
test_xrt_errors (void)
{
  FakeNpuOptions fails = well, hangs = well, lost = well;

  fails.fail_at = 4;
  check_xrt_error (
      &fails, GST_STREAM_ERROR, GST_STREAM_ERROR_ENCODE, "state 'error'");
  hangs.hang_at = 4;
  hangs.hang_time = 600 * GST_MSECOND;
  check_xrt_error (&hangs, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED,
      "did not complete within 300 ms");
  lost.lose_at = 4;
  check_xrt_error (&lost, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
      "xrt:0 has gone");
}

static void
test_xrt_does_not_start (void)
{
  FakeNpuOptions busy = well;
  g_autoptr (GstBus) bus = gst_bus_new ();
  GstElement *element = gst_element_factory_make ("npuencoder", NULL);

  busy.refuse_kernels = TRUE;
  fake_npu_install (&busy);
  gst_object_ref_sink (element);
  gst_element_set_bus (element, bus);
  g_object_set (
      element, "model", small_model, "device", "xrt", "precision", BF16, NULL);
  g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==,
      GST_STATE_CHANGE_FAILURE);
  encoder_check_error (bus, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_BUSY,
      "all contexts are in use", NULL);
  gst_element_set_bus (element, NULL);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_object_unref (element);
  check_nothing_is_left ();
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  gst_init (&argc, &argv);
  g_assert_true (GST_ELEMENT_REGISTER (npuencoder, NULL));
  g_test_add_func (
      "/npuencoder/fallback/random-failures", test_random_failures);
  g_test_add_func ("/npuencoder/fallback/one-failure", test_one_failure);
  g_test_add_func ("/npuencoder/fallback/corrupts", test_corrupts);
  g_test_add_func ("/npuencoder/fallback/gives-up", test_gives_up);
  g_test_add_func ("/npuencoder/fallback/lost", test_lost);
  g_test_add_func ("/npuencoder/fallback/hangs", test_hangs);
  g_test_add_func (
      "/npuencoder/fallback/stopped-while-hanging", test_stopped_while_hanging);
  g_test_add_func ("/npuencoder/fallback/flush", test_flush);
  g_test_add_func ("/npuencoder/fallback/model-vanished", test_model_vanished);
  g_test_add_func ("/npuencoder/fallback/model-changed", test_model_changed);
  g_test_add_func ("/npuencoder/fallback/stats", test_stats);
  g_test_add_func ("/npuencoder/fallback/says-why-not", test_why_not);
  g_test_add_func ("/npuencoder/fallback/xrt-errors", test_xrt_errors);
  g_test_add_func (
      "/npuencoder/fallback/xrt-does-not-start", test_xrt_does_not_start);
  small_model = write_model ();
  status = g_test_run ();
  g_unlink (small_model);
  g_free (small_model);
  return status;
}
