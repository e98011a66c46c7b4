/* An encoder on an NPU that does some of the operations, with a CPU beside it
 * for the others: the same states, whichever they are.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "compare.h"
#include "encoder-fixture.h"
#include "fake-npu.h"
#include "small-model.h"
#include "test-data.h"

#include <string.h>

#define N_MELS 80
#define D 256        /* four heads */
#define N_LAYERS 2   /* the first is unlike the others */
#define N_FRAMES 430 /* four tiles, the last of 23 rows */
#define TIMEOUT (600 * (guint64) 1000000000)

static void
check_nothing_is_left (void)
{
  g_assert_cmpint (fake_npu_get_counts ().n_alive, ==, 0);
}

/* --- the states --------------------------------------------------------- */

/* Encodes on a fake NPU; its states must be @expected, to the byte where the
 * NPU does no GELU of its own, which rounds once more. */
static void
check_states (const NpuModel *model, const FakeNpuOptions *npu,
    const EncoderSetup *cpu_setup, const float *mel, guint n_frames,
    const float *expected)
{
  EncoderSetup setup = *cpu_setup;
  g_autofree char *what =
      g_strdup_printf ("operations 0x%x, host %d, %u heads, depth %u, batch %u",
          npu->ops, npu->host_epilogue, npu->heads, setup.depth,
          setup.batch_size ? setup.batch_size : npu->batch);
  g_autofree float *states = NULL;

  setup.device = "xrt";
  fake_npu_install (npu);
  states = encoder_fixture_encode_once (model, &setup, mel, n_frames);
  if (setup.precision == NPU_PRECISION_BF16 && (npu->ops & FAKE_NPU_GELU) &&
      (npu->ops & FAKE_NPU_LINEAR_BF16))
    compare_check (
        what, states, expected, n_frames / 2, model->d, 0.99999, 0.9999, NULL);
  else
    compare_check_same (what, states, expected, n_frames / 2, model->d);
  g_assert_cmpuint (fake_npu_get_counts ().n_syncs_wasted, ==, 0);
  fake_npu_install (NULL);
  check_nothing_is_left ();
}

/* The states in int8, which the CPU has only beside an NPU unless it has VNNI:
 * they are near its own. */
static float *
encode_in_int8 (const NpuModel *model, const float *mel, const float *own)
{
  const FakeNpuOptions npu = {.ops = FAKE_NPU_LINEAR_Q8, .threads = 2};
  const EncoderSetup setup = {.precision = NPU_PRECISION_INT8, .device = "xrt"};
  float *states;

  fake_npu_install (&npu);
  states = encoder_fixture_encode_once (model, &setup, mel, N_FRAMES);
  fake_npu_install (NULL);
  compare_check (
      "in int8", states, own, N_FRAMES / 2, model->d, 0.999, 0.99, NULL);
  return states;
}

static void
test_any_operations (gconstpointer precision)
{
  const EncoderSetup setup = {.precision = GPOINTER_TO_INT (precision)};
  NpuModel *model = small_model_new (N_MELS, D, N_LAYERS, 0);
  g_autofree float *mel = test_data_new_mel (N_MELS, N_FRAMES, 1);
  g_autofree float *own =
      encoder_fixture_encode_once (model, &setup, mel, N_FRAMES);
  g_autofree float *in_int8 = NULL;

  if (setup.precision == NPU_PRECISION_INT8)
    in_int8 = encode_in_int8 (model, mel, own);

  for (guint ops = 0; ops < 32; ops += g_test_slow () ? 1 : 5) {
    const FakeNpuOptions npu = {.ops = ops, .threads = 2};
    const float *expected =
        in_int8 && (ops & FAKE_NPU_LINEAR_Q8) ? in_int8 : own;
    FakeNpuOptions host = npu;

    /* In f32 no operation is the NPU's. */
    if (setup.precision == NPU_PRECISION_F32 && ops > 0 && ops < 31)
      continue;
    /* int8's careful stages are 16-bit integers where the CPU has no bfloat16;
     * an NPU computes them in that. */
    if (setup.precision == NPU_PRECISION_INT8 && (ops & FAKE_NPU_LINEAR_BF16))
      continue;
    check_states (model, &npu, &setup, mel, N_FRAMES, expected);
    host.host_epilogue = TRUE;
    check_states (model, &host, &setup, mel, N_FRAMES, expected);
  }
  small_model_free (model);
}

/* On a CPU without such products int8 is the NPU's, or nobody's. */
static void
test_int8_without_products (void)
{
  g_autofree char *level = g_strdup (g_getenv ("NPUENC_CPU"));

  g_setenv ("NPUENC_CPU", "avx2", TRUE);
  test_any_operations (GINT_TO_POINTER (NPU_PRECISION_INT8));
  if (level)
    g_setenv ("NPUENC_CPU", level, TRUE);
  else
    g_unsetenv ("NPUENC_CPU");
}

static void
test_careful_int8 (void)
{
  const EncoderSetup setup = {.precision = NPU_PRECISION_INT8, .device = "xrt"};
  const EncoderSetup cpu = {.precision = NPU_PRECISION_INT8};
  const FakeNpuOptions npu = {
      .ops = FAKE_NPU_LINEAR_Q8 | FAKE_NPU_ALL_BF16, .threads = 2};
  NpuModel *model = small_model_new (N_MELS, D, N_LAYERS, 0);
  g_autofree float *mel = test_data_new_mel (N_MELS, N_FRAMES, 1);
  g_autofree float *expected =
      encoder_fixture_encode_once (model, &cpu, mel, N_FRAMES);
  g_autofree float *states = NULL;

  fake_npu_install (&npu);
  states = encoder_fixture_encode_once (model, &setup, mel, N_FRAMES);
  compare_check ("int8 and bfloat16", states, expected, N_FRAMES / 2, D, 0.999,
      0.99, NULL);
  fake_npu_install (NULL);
  small_model_free (model);
  check_nothing_is_left ();
}

static void
test_schedules (void)
{
  static const guint depths[] = {1, 2, 3, 8};
  static const guint heads[] = {0, 1, 2, 3, 4};
  static const guint batches[] = {1, 3, 24};
  static const guint frames[] = {2, 128, 130, N_FRAMES};
  NpuModel *model = small_model_new (N_MELS, D, N_LAYERS, 0);

  for (guint f = 0; f < G_N_ELEMENTS (frames); f++) {
    const EncoderSetup cpu = {.precision = NPU_PRECISION_BF16};
    const guint n = frames[f];
    g_autofree float *mel = test_data_new_mel (N_MELS, n, 1);
    g_autofree float *expected =
        encoder_fixture_encode_once (model, &cpu, mel, n);

    for (guint i = 0; i < 20; i += g_test_slow () ? 1 : 3) {
      const EncoderSetup setup = {
          .precision = NPU_PRECISION_BF16,
          .depth = depths[i % 4],
          .batch_size = i % 7 == 0 ? 2 : 0,
      };
      const FakeNpuOptions npu = {
          .ops = FAKE_NPU_ALL_BF16 & ~FAKE_NPU_GELU,
          .threads = 2,
          .heads = heads[i % 5],
          .batch = batches[i % 3],
      };

      check_states (model, &npu, &setup, mel, n, expected);
    }
  }
  small_model_free (model);
}

/* What a longer window left in the device's memory must not show. */
static void
test_windows_of_all_lengths (void)
{
  static const guint lengths[] = {430, 2, 128, 430, 130, 126, 300};
  const FakeNpuOptions npu = {
      .ops = FAKE_NPU_ALL_BF16 & ~FAKE_NPU_GELU, .threads = 2, .heads = 2};
  const EncoderSetup cpu = {.precision = NPU_PRECISION_BF16};
  const EncoderSetup setup = {.precision = NPU_PRECISION_BF16, .device = "xrt"};
  NpuModel *model = small_model_new (N_MELS, D, N_LAYERS, 0);
  EncoderFixture *fixture;

  fake_npu_install (&npu);
  fixture = encoder_fixture_new (model, &setup);
  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++) {
    const guint n = lengths[i];
    g_autofree float *mel = test_data_new_mel (N_MELS, n, i);
    g_autofree float *expected =
        encoder_fixture_encode_once (model, &cpu, mel, n);
    g_autofree float *states = encoder_fixture_encode (fixture, mel, n);

    compare_check_same ("after others", states, expected, n / 2, D);
  }
  encoder_fixture_free (fixture);
  fake_npu_install (NULL);
  small_model_free (model);
  check_nothing_is_left ();
}

/* --- what crosses ------------------------------------------------------- */

/* Where everything but the packing of tiles and of overlapping rows is the
 * NPU's, only that and the result of a window cross: each once. */
static void
test_only_what_crosses (void)
{
  const FakeNpuOptions npu = {.ops = FAKE_NPU_ALL_BF16, .threads = 2};
  const EncoderSetup setup = {.precision = NPU_PRECISION_BF16, .device = "xrt"};
  const gsize rows = N_FRAMES / 2;
  NpuModel *model = small_model_new (N_MELS, D, 1, 0);
  EncoderFixture *fixture;
  g_autofree float *mel = test_data_new_mel (N_MELS, N_FRAMES, 1);
  FakeNpuCounts before, after;

  fake_npu_install (&npu);
  fixture = encoder_fixture_new (model, &setup);
  before = fake_npu_get_counts ();
  g_free (encoder_fixture_encode (fixture, mel, N_FRAMES));
  after = fake_npu_get_counts ();

  /* From: conv1's frames, which the host packs for conv2. The final norm is
   * in float, so the host's, and reads the residual. */
  g_assert_cmpuint (
      after.synced[NPU_SYNC_FROM_DEVICE] - before.synced[NPU_SYNC_FROM_DEVICE],
      ==, (N_FRAMES + rows) * D * sizeof (float));
  /* To: tiles, which are the CPU's own in this NPU. */
  g_test_message ("%" G_GUINT64_FORMAT " bytes to the device",
      after.synced[NPU_SYNC_TO_DEVICE] - before.synced[NPU_SYNC_TO_DEVICE]);
  g_assert_cmpuint (
      after.synced[NPU_SYNC_TO_DEVICE] - before.synced[NPU_SYNC_TO_DEVICE], >=,
      3 * rows * D * sizeof (float));
  g_assert_cmpuint (
      after.synced[NPU_SYNC_TO_DEVICE] - before.synced[NPU_SYNC_TO_DEVICE], <=,
      4 * ((rows + 63) / 64 * 64) * D * sizeof (float));
  encoder_fixture_free (fixture);
  fake_npu_install (NULL);
  small_model_free (model);
  check_nothing_is_left ();
}

/* --- where -------------------------------------------------------------- */

static void
check_placement (const FakeNpuOptions *npu, NpuPrecision precision,
    const char *expected_precision, const char *expected)
{
  const NpuEncoderOptions options = {
      .depth = 3, .precision = precision, .timeout = TIMEOUT};
  NpuModel *model = small_model_new (N_MELS, D, N_LAYERS, 0);
  g_autoptr (GError) error = NULL;
  NpuDevice *device;
  NpuEncoder *encoder;
  guint n_here = 0;

  fake_npu_install (npu);
  device = npu_device_open ("xrt", NULL, &error);
  g_assert_no_error (error);
  encoder = npu_encoder_new (model, device, &options, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (npu_encoder_get_placement (encoder), ==, expected);
  g_assert_cmpstr (npu_encoder_get_precision (encoder), ==, expected_precision);
  for (guint i = 0; i < npu_encoder_get_n_stages (encoder); i++) {
    const char *where;

    g_assert_nonnull (npu_encoder_get_stage (encoder, i, &where));
    n_here += strcmp (where, "xrt:0") == 0;
  }
  g_test_message ("%u stages on the device", n_here);
  if (strcmp (expected, "cpu") == 0)
    g_assert_cmpuint (n_here, ==, 0);
  else
    g_assert_cmpuint (n_here, >, 0);
  npu_encoder_free (encoder);
  npu_device_unref (device);
  fake_npu_install (NULL);
  small_model_free (model);
  check_nothing_is_left ();
}

static void
test_placement (void)
{
  const FakeNpuOptions all = {.ops = FAKE_NPU_ALL_BF16};
  const FakeNpuOptions linear = {.ops = FAKE_NPU_LINEAR_BF16};
  const FakeNpuOptions q8 = {.ops = FAKE_NPU_LINEAR_Q8};
  const FakeNpuOptions none = {.ops = 0};

  check_placement (
      &all, NPU_PRECISION_BF16, "bf16", "final norm: cpu; 18 stages: xrt:0");
  check_placement (&linear, NPU_PRECISION_BF16, "bf16",
      "attention norm, attention, mlp norm, final norm: cpu; 10 stages: xrt:0");
  /* Nothing of the first block is int8. */
  check_placement (&q8, NPU_PRECISION_INT8, "int8",
      "conv1, conv2, attention norm, block 0 qkv, attention, block 0 out, "
      "mlp norm, block 0 fc1, block 0 fc2, final norm: cpu; 4 stages: xrt:0");
  check_placement (&none, NPU_PRECISION_BF16, "bf16", "cpu");
  check_placement (&all, NPU_PRECISION_F32, "f32", "cpu");
}

static void
test_automatic_precision (void)
{
  const FakeNpuOptions linear = {.ops = FAKE_NPU_LINEAR_BF16};
  const FakeNpuOptions no_linear = {
      .ops = FAKE_NPU_ATTENTION | FAKE_NPU_LAYERNORM};
  g_autoptr (NpuDevice) cpu = npu_device_open ("cpu", NULL, NULL);

  check_placement (&linear, NPU_PRECISION_AUTO, "bf16",
      "attention norm, attention, mlp norm, final norm: cpu; 10 stages: xrt:0");
  /* This model's states hold in int8. */
  check_placement (&no_linear, NPU_PRECISION_AUTO,
      npu_device_has_product (cpu, NPU_PRODUCT_S8) ||
              npu_device_has_product (cpu, NPU_PRODUCT_S16)
          ? "int8"
          : "f32",
      "cpu");
}

/* --- failures ----------------------------------------------------------- */

/* Encodes a window that fails with @code, and whose message has @part. */
static void
check_failure (
    EncoderFixture *fixture, const float *mel, NpuError code, const char *part)
{
  g_autofree float *states = g_new (float, N_FRAMES / 2 * D);
  g_autoptr (GError) error = NULL;
  NpuStats stats;

  g_assert_false (npu_encoder_encode (
      fixture->encoder, mel, N_FRAMES, states, &stats, &error));
  g_assert_error (error, NPU_ERROR, (int) code);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, part));
}

static void
test_failures (void)
{
  const FakeNpuOptions well = {
      .ops = FAKE_NPU_ALL_BF16 & ~FAKE_NPU_GELU, .threads = 2};
  FakeNpuOptions ill = well;
  const EncoderSetup cpu = {.precision = NPU_PRECISION_BF16};
  const NpuEncoderOptions options = {
      .depth = 3, .precision = NPU_PRECISION_BF16, .timeout = 300000000};
  NpuModel *model = small_model_new (N_MELS, D, N_LAYERS, 0);
  g_autofree float *mel = test_data_new_mel (N_MELS, N_FRAMES, 1);
  g_autofree float *expected =
      encoder_fixture_encode_once (model, &cpu, mel, N_FRAMES);
  g_autofree float *states = NULL;
  g_autoptr (GError) error = NULL;
  EncoderFixture fixture;

  fake_npu_install (&well);
  fixture.device = npu_device_open ("xrt:1", NULL, &error);
  g_assert_no_error (error);
  fixture.encoder = npu_encoder_new (model, fixture.device, &options, &error);
  g_assert_no_error (error);

  ill.fail_at = 5;
  fake_npu_change (&ill);
  check_failure (&fixture, mel, NPU_ERROR_LAUNCH, "block 0");
  fake_npu_change (&well);
  states = encoder_fixture_encode (&fixture, mel, N_FRAMES);
  compare_check_same ("after a failure", states, expected, N_FRAMES / 2, D);

  ill.fail_at = 0;
  ill.hang_at = fake_npu_get_counts ().n_launches + 4;
  ill.hang_time = G_GUINT64_CONSTANT (600000000000);
  fake_npu_change (&ill);
  check_failure (&fixture, mel, NPU_ERROR_TIMEOUT, "within 300 ms");
  check_failure (&fixture, mel, NPU_ERROR_TIMEOUT, "still in flight");
  fake_npu_change (&well); /* which ends the hang */
  g_free (states);
  states = encoder_fixture_encode (&fixture, mel, N_FRAMES);
  compare_check_same ("after a hang", states, expected, N_FRAMES / 2, D);

  ill.hang_at = 0;
  ill.lose_at = fake_npu_get_counts ().n_launches + 6;
  fake_npu_change (&ill);
  check_failure (&fixture, mel, NPU_ERROR_LOST, "xrt:1");
  check_failure (&fixture, mel, NPU_ERROR_LOST, "xrt:1");

  npu_encoder_free (fixture.encoder);
  npu_device_unref (fixture.device);
  fake_npu_install (NULL);
  small_model_free (model);
  check_nothing_is_left ();
}

static void
test_kernels_refused (void)
{
  const FakeNpuOptions npu = {.ops = FAKE_NPU_ALL_BF16, .refuse_kernels = TRUE};
  const NpuEncoderOptions options = {
      .depth = 3, .precision = NPU_PRECISION_BF16, .timeout = TIMEOUT};
  NpuModel *model = small_model_new (N_MELS, D, N_LAYERS, 0);
  g_autoptr (GError) error = NULL;
  NpuDevice *device;

  fake_npu_install (&npu);
  device = npu_device_open ("xrt", NULL, &error);
  g_assert_null (npu_encoder_new (model, device, &options, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_BUSY);
  g_assert_cmpstr (error->message, ==, "conv1: all contexts are in use");
  npu_device_unref (device);
  fake_npu_install (NULL);
  small_model_free (model);
  check_nothing_is_left ();
}

/* --- opening by name ---------------------------------------------------- */

static void
check_auto (const FakeNpuOptions *npu, const char *overlays, const char *name,
    const char *note)
{
  g_autofree char *told = NULL;
  const NpuDeviceOptions options = {
      .threads = 1, .overlays = overlays, .note = &told};
  g_autoptr (GError) error = NULL;
  NpuDevice *device;

  fake_npu_install (npu);
  device = npu_device_open ("auto", &options, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (npu_device_get_name (device), ==, name);
  g_assert_cmpstr (told, ==, note);
  npu_device_unref (device);
  fake_npu_install (NULL);
  check_nothing_is_left ();
}

static void
test_auto (void)
{
  const FakeNpuOptions there = {.ops = FAKE_NPU_ALL_BF16};
  const FakeNpuOptions none = {
      .open_error = NPU_ERROR_NOT_FOUND, .open_message = "there is none"};
  const FakeNpuOptions locked = {
      .open_error = NPU_ERROR_OPEN, .open_message = "join the group render"};

  check_auto (&there, ".", "xrt:0", NULL);
  check_auto (&there, NULL, "cpu", NULL);
  check_auto (&none, ".", "cpu", NULL);
  check_auto (&none, "/nonexistent", "cpu",
      "There is no folder of overlays '/nonexistent', so that no NPU was "
      "looked "
      "for");
  check_auto (&locked, ".", "cpu", "join the group render");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/encoder-npu/same-states-whatever-it-does/bf16",
      GINT_TO_POINTER (NPU_PRECISION_BF16), test_any_operations);
  g_test_add_data_func ("/encoder-npu/same-states-whatever-it-does/int8",
      GINT_TO_POINTER (NPU_PRECISION_INT8), test_any_operations);
  g_test_add_data_func ("/encoder-npu/same-states-whatever-it-does/f32",
      GINT_TO_POINTER (NPU_PRECISION_F32), test_any_operations);
  g_test_add_func (
      "/encoder-npu/int8-where-the-cpu-has-none", test_int8_without_products);
  g_test_add_func (
      "/encoder-npu/int8-with-bfloat16-where-careful", test_careful_int8);
  g_test_add_func (
      "/encoder-npu/same-states-whatever-depth-batch-heads", test_schedules);
  g_test_add_func (
      "/encoder-npu/windows-of-all-lengths", test_windows_of_all_lengths);
  g_test_add_func (
      "/encoder-npu/only-what-crosses-is-synced", test_only_what_crosses);
  g_test_add_func ("/encoder-npu/tells-what-runs-where", test_placement);
  g_test_add_func (
      "/encoder-npu/chooses-bf16-where-it-is", test_automatic_precision);
  g_test_add_func ("/encoder-npu/failures-are-errors", test_failures);
  g_test_add_func (
      "/encoder-npu/kernels-refused-are-an-error", test_kernels_refused);
  g_test_add_func ("/encoder-npu/auto-takes-it-or-says-why-not", test_auto);
  return g_test_run ();
}
