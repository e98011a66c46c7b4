/* Launches that a device must not begin, and what it does not do: each is an
 * error that says why.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "device/npu-device.h"

#define ROWS 130
#define N 64

typedef struct {
  NpuDevice *device;
  NpuKernel *kernel;
  NpuBuffer *buffers[4];
  NpuRun *run;
  NpuLaunch launch; /* that fits */
} Rig;

static void
rig_init (Rig *rig, const NpuOp *op)
{
  const NpuDeviceOptions options = {.threads = 1};
  g_autoptr (GError) error = NULL;

  *rig = (Rig){.device = npu_device_open ("cpu", &options, NULL)};
  rig->kernel = npu_kernel_open (rig->device, op, &error);
  g_assert_no_error (error);
  rig->run = npu_run_new (rig->device, NULL, NULL);
  rig->launch =
      (NpuLaunch){.kernel = rig->kernel, .rows = op->rows, .n_tiles = 1};
  for (guint i = 0; i < G_N_ELEMENTS (rig->buffers); i++)
    if (rig->kernel->arg_size[i] > 0) {
      rig->buffers[i] =
          npu_buffer_new (rig->device, rig->kernel->arg_size[i] + 64, NULL);
      rig->launch.args[i] = rig->buffers[i];
    }
}

static void
rig_clear (Rig *rig)
{
  npu_run_free (rig->run);
  for (guint i = 0; i < G_N_ELEMENTS (rig->buffers); i++)
    npu_buffer_free (rig->buffers[i]);
  npu_kernel_unref (rig->kernel);
  npu_device_unref (rig->device);
}

static void
check_runs (Rig *rig)
{
  g_autoptr (GError) error = NULL;

  npu_run_submit (rig->run, &rig->launch, &error);
  g_assert_no_error (error);
  npu_run_wait (rig->run, G_MAXUINT64, NULL, &error);
  g_assert_no_error (error);
}

static void
check_refused (Rig *rig, const NpuLaunch *launch, const char *part)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (npu_run_submit (rig->run, launch, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, part));
}

static const NpuOp gelu = {.kind = NPU_OP_GELU, .rows = ROWS, .gelu = {.n = N}};
static const NpuOp attention = {.kind = NPU_OP_ATTENTION,
    .rows = ROWS,
    .attention = {.heads = 2, .kv_rows = 64, .scale = 0.125f}};

static void
test_rows_and_tiles (void)
{
  NpuLaunch launch;
  Rig rig;

  rig_init (&rig, &gelu);
  check_runs (&rig);
  launch = rig.launch;
  launch.rows = ROWS + 1;
  check_refused (&rig, &launch, "131 rows");
  launch.rows = 0;
  check_refused (&rig, &launch, "0 rows");
  launch = rig.launch;
  launch.n_tiles = 4;
  check_refused (&rig, &launch, "4 tiles from tile 0 of 3");
  launch.n_tiles = 0;
  check_refused (&rig, &launch, "0 tiles");
  launch.n_tiles = G_MAXUINT;
  launch.first_tile = 1;
  check_refused (&rig, &launch, "of 3");
  launch = rig.launch;
  launch.rows = 64;
  launch.first_tile = 1;
  check_refused (&rig, &launch, "1 tiles from tile 1 of 1");
  rig_clear (&rig);
}

static void
test_keys_and_heads (void)
{
  NpuLaunch launch;
  Rig rig;

  rig_init (&rig, &attention);
  rig.launch.kv_rows = 64;
  check_runs (&rig);
  launch = rig.launch;
  launch.kv_rows = 65;
  check_refused (&rig, &launch, "65 keys");
  launch = rig.launch;
  launch.kv_rows = 0; /* as many as rows */
  check_refused (&rig, &launch, "130 keys");
  launch = rig.launch;
  launch.first_tile = 6;
  check_refused (&rig, &launch, "of 6");
  rig_clear (&rig);
}

static void
test_offsets (void)
{
  NpuLaunch launch;
  Rig rig;

  rig_init (&rig, &gelu);
  launch = rig.launch;
  launch.offset[NPU_ARG_Y] = 4;
  g_assert_true (npu_run_submit (rig.run, &launch, NULL));
  npu_run_wait (rig.run, G_MAXUINT64, NULL, NULL);
  launch.offset[NPU_ARG_Y] = 2;
  check_refused (&rig, &launch, "no multiple of 4");
  launch.offset[NPU_ARG_Y] = 128;
  check_refused (&rig, &launch, "bytes from byte 128");
  rig_clear (&rig);

  rig_init (&rig, &attention);
  launch = rig.launch;
  launch.kv_rows = 64;
  launch.offset[NPU_ARG_K] = 32;
  check_refused (&rig, &launch, "no multiple of 64");
  rig_clear (&rig);
}

/* Verbs that fail say why. */
static void
test_errors_are_set (void)
{
  NpuOp op = gelu;
  g_autoptr (GError) error = NULL;
  Rig rig;

  rig_init (&rig, &gelu);
  g_assert_false (npu_buffer_sync (
      rig.buffers[0], NPU_SYNC_TO_DEVICE, rig.buffers[0]->size, 1, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
  g_clear_error (&error);
  op.rows = 0;
  g_assert_null (npu_kernel_open (rig.device, &op, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
  rig_clear (&rig);
}

/* Storages and products that do not go together are refused in words. */
static void
test_what_does_not_go_together (void)
{
  static const float weight[N * N];
  const NpuOp linear = {.kind = NPU_OP_LINEAR,
      .rows = ROWS,
      .weight = weight,
      .linear = {.k = N, .n = N, .product = NPU_PRODUCT_S16}};
  const NpuDeviceOptions options = {.threads = 1};
  NpuDevice *device = npu_device_open ("cpu", &options, NULL);
  NpuKernel *kernel = npu_kernel_open (device, &linear, NULL);
  NpuOp ops[] = {linear, linear, gelu, attention};
  static const char *const words[] = {"reads int8, multiplies int16",
      "writes int8 tiles", "gelu with 64 columns, reads int8",
      "attention with 128 columns, reads f32, writes int8"};

  g_assert_nonnull (kernel);
  npu_kernel_unref (kernel);
  ops[0].linear.a_storage = NPU_STORAGE_Q8;
  ops[1].linear.c_storage = NPU_STORAGE_Q8;
  ops[1].linear.c_layout = NPU_LAYOUT_QKV_TILES;
  ops[1].linear.heads = 2;
  ops[2].gelu.storage = NPU_STORAGE_Q8;
  ops[3].attention.o_storage = NPU_STORAGE_Q8;
  for (guint i = 0; i < G_N_ELEMENTS (ops); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (npu_kernel_open (device, &ops[i], &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED);
    g_test_message ("%s", error->message);
    g_assert_nonnull (strstr (error->message, words[i]));
  }
  npu_device_unref (device);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/launch/rows-and-tiles", test_rows_and_tiles);
  g_test_add_func ("/launch/keys-and-heads", test_keys_and_heads);
  g_test_add_func ("/launch/offsets", test_offsets);
  g_test_add_func ("/launch/errors-are-set", test_errors_are_set);
  g_test_add_func (
      "/launch/what-does-not-go-together", test_what_does_not_go_together);
  return g_test_run ();
}
