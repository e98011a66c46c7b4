/* A long stream through npuencoder on an NPU that fails at random: every window
 * comes out, in order, once, and right.
 *
 * usage: test-xrt-element-storm OVERLAYS INT8_OVERLAYS
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "element-rig.h"

#include <string.h>

#define N_SEEDS 4

static const char *all_overlays, *int8_overlays;

/* In int8 nothing runs in bf16. */
static EncoderRig *
new_rig (const char *device, int precision)
{
  return element_rig_new (
      device, precision == INT8 ? int8_overlays : all_overlays, precision);
}

/* What windows of one precision are, on either device. */
typedef struct {
  int precision;
  GBytes *cpu[N_SEEDS], *npu[N_SEEDS];
} Expected;

static void
expected_init (Expected *expected, int precision)
{
  g_autoptr (EncoderRig) rig = new_rig ("xrt", precision);
  g_autoptr (NpuDevice) cpu = npu_device_open ("cpu", NULL, NULL);

  expected->precision = precision;
  for (guint i = 0; i < N_SEEDS; i++) {
    expected->cpu[i] = element_rig_cpu_states (precision, i);
    expected->npu[i] = element_rig_push (rig, i, i);
    g_assert_nonnull (expected->npu[i]);
    /* int8 is the same there where the CPU has int8 products. */
    if (precision == INT8 && npu_device_has_product (cpu, NPU_PRODUCT_S8))
      g_assert_true (g_bytes_equal (expected->cpu[i], expected->npu[i]));
    element_rig_check_near (
        expected->npu[i], expected->cpu[i], precision == INT8 ? 0.999 : 0.9999);
  }
}

static void
expected_clear (Expected *expected)
{
  for (guint i = 0; i < N_SEEDS; i++) {
    g_bytes_unref (expected->cpu[i]);
    g_bytes_unref (expected->npu[i]);
  }
}

/* Pushes a window, checks what comes out, and returns whether the NPU did
 * it. */
static gboolean
encode (EncoderRig *rig, const Expected *expected, guint number, GQueue *told)
{
  const guint seed = number % N_SEEDS;
  GBytes *states = element_rig_push (rig, number, seed);
  g_autofree char *device = element_rig_take_messages (rig, told);
  const gboolean on_npu = g_strcmp0 (device, "xrt:0") == 0;

  g_assert_nonnull (states);
  if (!on_npu)
    g_assert_cmpstr (device, ==, "cpu");
  g_assert_true (g_bytes_equal (
      states, on_npu ? expected->npu[seed] : expected->cpu[seed]));
  g_bytes_unref (states);
  return on_npu;
}

/* Whether the element has given the NPU up. */
static gboolean
check_warnings (GQueue *told, gboolean on_npu)
{
  gboolean gave_up = FALSE;
  GError *error;

  g_assert_cmpuint (told->length, ==, on_npu ? 0 : 1);
  while ((error = g_queue_pop_head (told))) {
    gave_up |= strstr (error->message, "in a row failed") != NULL;
    g_assert_true (
        g_error_matches (error, GST_STREAM_ERROR, GST_STREAM_ERROR_ENCODE) ||
        g_error_matches (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_BUSY));
    g_error_free (error);
  }
  return gave_up;
}

static void
run_storm (int precision, guint n_windows, const char *fail)
{
  Expected expected;
  EncoderRig *rig;
  GQueue told = G_QUEUE_INIT;
  guint n_on_cpu = 0, n_back = 0, n_restarts = 0;
  gboolean before = TRUE;

  expected_init (&expected, precision);
  rig_sim ("watchdog_ms", "50");
  rig_sim ("fail", fail);
  rig = new_rig ("auto", precision);
  for (guint i = 0; i < n_windows; i++) {
    const gboolean on_npu = encode (rig, &expected, i, &told);

    n_on_cpu += !on_npu;
    n_back += on_npu && !before;
    before = on_npu;
    if (check_warnings (&told, on_npu)) {
      encoder_rig_free (rig);
      rig = new_rig ("auto", precision);
      n_restarts++;
    }
  }
  rig_sim ("fail", "");
  g_test_message (
      "%u of %u windows on the CPU, %u times back on the NPU, given "
      "up %u times, %u failures",
      n_on_cpu, n_windows, n_back, n_restarts,
      (guint) rig_counters ().failures);
  g_assert_cmpuint (n_on_cpu, >, n_windows / 50);
  g_assert_cmpuint (n_on_cpu, <, n_windows / 2);
  g_assert_cmpuint (n_back, >, n_on_cpu / 3);
  encoder_rig_free (rig);
  expected_clear (&expected);
  rig_sim ("watchdog_ms", "2000");
  rig_assert_clean ();
}

static void
test_bf16 (void)
{
  run_storm (BF16, 200,
      "error:p=0.001:seed=1,abort:p=0.0005:seed=2,submit:p=0.001:seed=3,"
      "hang:p=0.0003:seed=4,context:p=0.001:seed=5,busy:p=0.001:seed=6");
}

static void
test_int8 (void)
{
  run_storm (INT8, 1000,
      "error:p=0.002:seed=7,abort:p=0.001:seed=8,submit:p=0.002:seed=9,"
      "hang:p=0.0005:seed=10,context:p=0.002:seed=11,busy:p=0.002:seed=12");
}

/* The NPU goes in the middle of a window, and stays away. */
static void
test_lost (void)
{
  Expected expected;
  EncoderRig *rig;
  GQueue told = G_QUEUE_INIT;
  GError *error;

  expected_init (&expected, BF16);
  rig = new_rig ("auto", BF16);
  g_assert_true (encode (rig, &expected, 0, &told));
  rig_sim ("fail", "lost:n=7");
  for (guint i = 1; i < 6; i++)
    g_assert_false (encode (rig, &expected, i, &told));
  error = g_queue_pop_head (&told);
  element_rig_check (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
      "xrt:0 has gone: this window and all that follow are encoded on the CPU");
  g_error_free (error);
  g_assert_cmpuint (told.length, ==, 0);
  encoder_rig_free (rig);
  rig_sim ("fail", "");
  expected_clear (&expected);
  rig_assert_clean ();
}

int
main (int argc, char **argv)
{
  rig_keep_stdout ();
  encoder_test_init (&argc, &argv);
  if (argc != 3)
    g_error ("usage: %s OVERLAYS INT8_OVERLAYS", argv[0]);
  all_overlays = argv[1];
  int8_overlays = argv[2];
  g_test_add_func ("/xrt/element-storm/bf16", test_bf16);
  g_test_add_func ("/xrt/element-storm/int8", test_int8);
  g_test_add_func ("/xrt/element-storm/lost", test_lost);
  return g_test_run ();
}
