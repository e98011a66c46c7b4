/* Each operation through real XRT over the simulated driver, against the CPU
 * device or plain loops; with commands smaller than the operation, launches
 * smaller than a command, and short windows.
 *
 * usage: test-xrt-ops SMALL LARGE PAIRS BIAS GELU RESIDUAL: overlays for
 * "tiny", whose commands have 128 rows, 192 columns, one head and tiles for
 * more keys than there are; all of a window; or two heads; and those whose
 * products are followed by a bias, then GELU, or the residual.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <string.h>

#include "npu-kernels.h"
#include "xrt-rig.h"

#define D 384
#define HEADS 6

/* What a test is run with. */
typedef struct {
  const char *overlays;
  guint rows, batch, depth;
} Case;

static const char *small_overlays, *large_overlays, *pairs_overlays;
static const char *const *fused_overlays; /* [3] */

static RigRun
run_of (const Case *c, guint sync_args)
{
  return (RigRun){.rows = c->rows,
      .batch = c->batch,
      .depth = c->depth,
      .sync_args = sync_args};
}

/* Overlays, rows, batches and depths, one after the other. */
static void
for_all_cases (void (*test) (const Case *c))
{
  static const guint rows[] = {1500, 130, 1};
  static const guint batches[] = {24, 2, 1};

  for (guint large = 0; large < 2; large++)
    for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
      for (guint j = 0; j < G_N_ELEMENTS (batches); j++) {
        const Case c = {.overlays = large ? large_overlays : small_overlays,
            .rows = rows[i],
            .batch = batches[j],
            .depth = 1 + (i + j + large) % 4 * 2};

        if (rows[i] == 1 && j > 0)
          continue;
        g_test_message ("%s overlays, %u rows, batch %u, depth %u",
            large ? "large" : "small", c.rows, c.batch, c.depth);
        test (&c);
        rig_assert_clean ();
      }
}

/* --- int8: the CPU's bytes --------------------------------------------- */

/* Runs the same operation on the CPU device; its results in @c. */
static guint8 *
cpu_result (const NpuOp *op, const RigOp *xrt, guint arg, guint rows)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuDevice) cpu = npu_device_open ("cpu", NULL, &error);
  RigOp *same = rig_op_new (cpu, op, NULL);
  const RigRun run = {.rows = rows, .batch = 4, .depth = 2};
  guint8 *result;

  for (guint i = 0; i < NPU_MAX_ARGS; i++)
    if (same->args[i] && xrt->args[i])
      memcpy (same->args[i]->data, xrt->args[i]->data,
          MIN (same->args[i]->size, xrt->args[i]->size));
  rig_op_run (same, &run, &error);
  g_assert_no_error (error);
  result = g_memdup2 (same->args[arg]->data, same->args[arg]->size);
  rig_op_free (same, NULL);
  return result;
}

static void
fill_q8 (NpuBuffer *buffer, guint rows, guint k)
{
  NpuKernels kernels;
  g_autofree float *x = rig_random ((gsize) 64 * k, 7);
  g_autofree float *signs = g_new (float, k);

  npu_kernels_init (&kernels, npu_cpu_flags ());
  npu_rotation_signs (signs, (int) k);
  for (guint tile = 0; tile * 64 < rows; tile++) {
    guint8 *y = buffer->data + tile * NPU_Q8_TILE_SIZE (k);

    for (gsize i = 0; i < (gsize) 64 * k; i++)
      x[i] += 0.01f * (float) (tile + i % 5);
    kernels.quantize_q8 (y, (float *) (y + NPU_Q8_TILE_SCALES (k)), x, k, signs,
        (int) MIN (rows - tile * 64, 64), (int) k);
  }
}

static void
compare_int8 (const Case *c, NpuLinearOp linear)
{
  g_autoptr (NpuDevice) device = rig_open (c->overlays);
  g_autofree float *weight = rig_random ((gsize) linear.n * linear.k, 1);
  g_autofree float *bias = rig_random (linear.n, 2);
  NpuOp op = {.kind = NPU_OP_LINEAR,
      .rows = 1500,
      .weight = weight,
      .bias = bias,
      .linear = linear};
  g_autofree guint8 *expected = NULL;
  g_autoptr (GError) error = NULL;
  const RigRun run = run_of (c, 0);
  gsize size;
  RigOp *xrt;

  op.linear.product = NPU_PRODUCT_S8;
  xrt = rig_op_new (device, &op, NULL);
  if (linear.a_storage == NPU_STORAGE_Q8) {
    fill_q8 (xrt->args[NPU_ARG_A], c->rows, linear.k);
  } else {
    g_autofree float *a =
        rig_random (xrt->args[NPU_ARG_A]->size / sizeof (float), 3);

    memcpy (xrt->args[NPU_ARG_A]->data, a, xrt->args[NPU_ARG_A]->size);
  }
  if (linear.residual)
    for (gsize i = 0; i < (gsize) 1500 * linear.n; i++)
      ((float *) xrt->args[NPU_ARG_R]->data)[i] = (float) (i % 11) * 0.1f;
  expected = cpu_result (&op, xrt, NPU_ARG_C, c->rows);
  rig_op_run (xrt, &run, &error);
  g_assert_no_error (error);
  if (linear.c_storage == NPU_STORAGE_Q8) {
    const guint8 *y = xrt->args[NPU_ARG_C]->data;

    for (guint tile = 0; tile * 64 < c->rows; tile++) {
      const gsize at = tile * NPU_Q8_TILE_SIZE (linear.n);
      const guint rows = MIN (c->rows - tile * 64, 64);
      const gsize scales = at + NPU_Q8_TILE_SCALES (linear.n);

      g_assert_cmpmem (y + at, rows * linear.n, expected + at, rows * linear.n);
      g_assert_cmpmem (y + scales, rows * sizeof (float), expected + scales,
          rows * sizeof (float));
    }
  } else {
    size = (gsize) c->rows * linear.n * sizeof (float);
    g_assert_cmpmem (xrt->args[NPU_ARG_C]->data, size, expected, size);
  }
  rig_op_free (xrt, NULL);
}

static void
test_int8_case (const Case *c)
{
  compare_int8 (c, (NpuLinearOp){.k = D, .n = D, .residual = TRUE});
  compare_int8 (c, (NpuLinearOp){.k = D,
                       .n = 4 * D,
                       .a_storage = NPU_STORAGE_Q8,
                       .c_storage = NPU_STORAGE_Q8,
                       .gelu = TRUE});
  compare_int8 (
      c, (NpuLinearOp){.k = 4 * D, .n = D, .a_storage = NPU_STORAGE_Q8});
}

static void
test_int8 (void)
{
  for_all_cases (test_int8_case);
}

/* --- bf16 -------------------------------------------------------------- */

static double
gelu (double x)
{
  return 0.5 * x * (1.0 + erf (x / sqrt (2.0)));
}

/* One row of the operation in plain loops; @residual is its row, or NULL. */
static void
linear_row (
    float *y, const float *a, const NpuOp *described, const float *residual)
{
  const NpuLinearOp *op = &described->linear;

  for (guint j = 0; j < op->n; j++) {
    double sum = 0;

    for (guint i = 0; i < op->k; i++)
      sum += (double) rig_from_bf16 (rig_to_bf16 (a[i])) *
             rig_from_bf16 (
                 rig_to_bf16 (described->weight[(gsize) j * op->k + i]));
    if (described->bias)
      sum += described->bias[j];
    y[j] = (float) (op->gelu ? gelu (sum) : sum);
    if (residual)
      y[j] += residual[j];
  }
}

static void
fill_a (NpuBuffer *buffer, NpuStorage storage)
{
  const gsize n = buffer->size / (storage == NPU_STORAGE_BF16 ? 2 : 4);
  g_autofree float *a = rig_random (n, 5);

  for (gsize i = 0; i < n; i++)
    if (storage == NPU_STORAGE_BF16)
      ((guint16 *) buffer->data)[i] = rig_to_bf16 (a[i]);
    else
      ((float *) buffer->data)[i] = a[i];
}

static float
read_c (const RigOp *op, NpuStorage storage, guint arg, gsize i)
{
  return storage == NPU_STORAGE_BF16
             ? rig_from_bf16 (((guint16 *) op->args[arg]->data)[i])
             : ((float *) op->args[arg]->data)[i];
}

static void
compare_bf16 (const Case *c, NpuLinearOp linear)
{
  const guint check[] = {0, c->rows / 2, c->rows - 1};
  g_autoptr (NpuDevice) device = rig_open (c->overlays);
  g_autofree float *weight = rig_random ((gsize) linear.n * linear.k, 1);
  g_autofree float *bias = rig_random (linear.n, 2);
  NpuOp op = {.kind = NPU_OP_LINEAR,
      .rows = 1500,
      .weight = weight,
      .bias = bias,
      .linear = linear};
  g_autofree float *expected = g_new (float, linear.n);
  g_autofree float *got = g_new (float, linear.n);
  g_autofree float *a = g_new (float, linear.k);
  g_autoptr (GError) error = NULL;
  const RigRun run =
      run_of (c, NPU_ARG_BIT (NPU_ARG_A) | NPU_ARG_BIT (NPU_ARG_C) |
                     NPU_ARG_BIT (NPU_ARG_R));
  const gsize stride = linear.a_stride ? linear.a_stride : linear.k;
  RigOp *xrt;

  op.linear.product = NPU_PRODUCT_BF16;
  xrt = rig_op_new (device, &op, NULL);
  fill_a (xrt->args[NPU_ARG_A], linear.a_storage);
  if (linear.residual)
    for (gsize i = 0; i < (gsize) 1500 * linear.n; i++)
      ((float *) xrt->args[NPU_ARG_R]->data)[i] = (float) (i % 11) - 5.0f;
  rig_op_run (xrt, &run, &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < G_N_ELEMENTS (check); i++) {
    const float *residual = linear.residual
                                ? (const float *) xrt->args[NPU_ARG_R]->data +
                                      (gsize) check[i] * linear.n
                                : NULL;

    for (guint j = 0; j < linear.k; j++)
      a[j] = read_c (xrt, linear.a_storage, NPU_ARG_A, check[i] * stride + j);
    linear_row (expected, a, &op, residual);
    for (guint j = 0; j < linear.n; j++)
      got[j] = read_c (
          xrt, linear.c_storage, NPU_ARG_C, (gsize) check[i] * linear.n + j);
    g_assert_cmpfloat (rig_cosine (expected, got, linear.n), >, 0.99999);
  }
  rig_op_free (xrt, NULL);
}

static void
test_bf16_case (const Case *c)
{
  compare_bf16 (c, (NpuLinearOp){.k = D, .n = D});
  compare_bf16 (c, (NpuLinearOp){.k = D,
                       .n = 4 * D,
                       .a_storage = NPU_STORAGE_BF16,
                       .c_storage = NPU_STORAGE_BF16,
                       .gelu = TRUE});
  /* as conv2: rows overlap */
  compare_bf16 (
      c, (NpuLinearOp){.k = 3 * D, .n = D, .a_stride = 2 * D, .gelu = TRUE});
}

static void
test_bf16 (void)
{
  for_all_cases (test_bf16_case);
}

/* The overlay does what its name says of the epilogue, the host the rest; an
 * operation without that is not for it. */
static void
test_fused (void)
{
  static const guint rows[] = {1500, 130}, batches[] = {24, 2};
  const NpuLinearOp plain = {.k = D, .n = D};

  for (guint fused = 0; fused < 3; fused++)
    for (guint i = 0; i < 4; i++) {
      const Case c = {.overlays = fused_overlays[fused],
          .rows = rows[i % 2],
          .batch = batches[i / 2],
          .depth = 1 + i};
      NpuLinearOp linear = plain;

      linear.gelu = fused == 1;
      linear.residual = fused == 2;
      compare_bf16 (&c, linear);
      rig_assert_clean ();
    }
  for (guint fused = 1; fused < 3; fused++) {
    g_autoptr (NpuDevice) device = rig_open (fused_overlays[fused]);
    g_autofree float *weight = rig_random (D * D, 1);
    g_autoptr (GError) error = NULL;
    NpuOp op = {
        .kind = NPU_OP_LINEAR, .rows = 1500, .weight = weight, .linear = plain};

    op.linear.product = NPU_PRODUCT_BF16;
    g_assert_null (npu_kernel_open (device, &op, &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED);
  }
}

/* --- layernorm, gelu ---------------------------------------------------- */

static void
test_layernorm_case (const Case *c)
{
  g_autoptr (NpuDevice) device = rig_open (c->overlays);
  g_autofree float *gamma = rig_random (D, 1);
  g_autofree float *beta = rig_random (D, 2);
  const NpuOp op = {.kind = NPU_OP_LAYERNORM,
      .rows = 1500,
      .weight = gamma,
      .bias = beta,
      .layernorm = {.n = D, .y_storage = NPU_STORAGE_BF16, .epsilon = 1e-5f}};
  RigOp *xrt = rig_op_new (device, &op, NULL);
  const RigRun run =
      run_of (c, NPU_ARG_BIT (NPU_ARG_X) | NPU_ARG_BIT (NPU_ARG_Y));
  g_autoptr (GError) error = NULL;

  fill_a (xrt->args[NPU_ARG_X], NPU_STORAGE_F32);
  rig_op_run (xrt, &run, &error);
  g_assert_no_error (error);
  for (guint row = 0; row < c->rows; row++) {
    const float *x = (float *) xrt->args[NPU_ARG_X]->data + (gsize) row * D;
    double mean = 0, variance = 0;

    for (guint i = 0; i < D; i++)
      mean += x[i] / (double) D;
    for (guint i = 0; i < D; i++)
      variance += (x[i] - mean) * (x[i] - mean) / D;
    for (guint i = 0; i < D; i++)
      g_assert_cmpfloat_with_epsilon (
          read_c (xrt, NPU_STORAGE_BF16, NPU_ARG_Y, (gsize) row * D + i),
          (x[i] - mean) / sqrt (variance + 1e-5) * gamma[i] + beta[i], 0.02);
  }
  rig_op_free (xrt, NULL);
}

static void
test_layernorm (void)
{
  for_all_cases (test_layernorm_case);
}

static void
test_gelu_case (const Case *c)
{
  g_autoptr (NpuDevice) device = rig_open (c->overlays);
  const NpuOp op = {.kind = NPU_OP_GELU,
      .rows = 1500,
      .gelu = {.n = 4 * D, .storage = NPU_STORAGE_BF16}};
  RigOp *xrt = rig_op_new (device, &op, NULL);
  const RigRun run =
      run_of (c, NPU_ARG_BIT (NPU_ARG_X) | NPU_ARG_BIT (NPU_ARG_Y));
  g_autoptr (GError) error = NULL;

  fill_a (xrt->args[NPU_ARG_X], NPU_STORAGE_BF16);
  rig_op_run (xrt, &run, &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < (gsize) c->rows * 4 * D; i++)
    g_assert_cmpfloat_with_epsilon (
        read_c (xrt, NPU_STORAGE_BF16, NPU_ARG_Y, i),
        gelu (read_c (xrt, NPU_STORAGE_BF16, NPU_ARG_X, i)), 0.004);
  rig_op_free (xrt, NULL);
}

static void
test_gelu (void)
{
  for_all_cases (test_gelu_case);
}

/* --- attention ---------------------------------------------------------- */

static void
pack_heads (RigOp *xrt, const float *const *qkv, guint rows)
{
  for (guint arg = NPU_ARG_Q; arg <= NPU_ARG_V; arg++)
    for (guint head = 0; head < HEADS; head++)
      for (guint r = 0; r * 64 < rows; r++)
        npu_kernel_pack_tile (xrt->kernel, arg, xrt->args[arg]->data,
            head * 24 + r, qkv[arg] + (gsize) r * 64 * D + head * 64, D,
            MIN (rows - r * 64, 64));
}

static void
attend (float *o, const float *const *qkv, guint head, guint row, guint rows)
{
  g_autofree double *p = g_new (double, rows);
  const float *q = qkv[0] + (gsize) row * D + head * 64;
  double largest = -INFINITY, sum = 0;

  for (guint j = 0; j < rows; j++) {
    p[j] = 0;
    for (guint i = 0; i < 64; i++)
      p[j] += (double) q[i] * qkv[1][(gsize) j * D + head * 64 + i] / 8.0;
    largest = MAX (largest, p[j]);
  }
  for (guint j = 0; j < rows; j++)
    sum += p[j] = exp (p[j] - largest);
  for (guint i = 0; i < 64; i++) {
    double x = 0;

    for (guint j = 0; j < rows; j++)
      x += p[j] / sum * qkv[2][(gsize) j * D + head * 64 + i];
    o[i] = (float) x;
  }
}

/* Packs a window of 1500 rows that is given up before its attention: the
 * device has its keys, and no mask. */
static void
give_up_window (RigOp *xrt, const float *const *qkv)
{
  g_autoptr (GError) error = NULL;

  pack_heads (xrt, qkv, 1500);
  npu_buffer_sync (xrt->args[NPU_ARG_K], NPU_SYNC_TO_DEVICE, 0,
      xrt->args[NPU_ARG_K]->size, &error);
  g_assert_no_error (error);
}

/* A long window, then the short one, the short one again after one that was
 * given up, then the long one: masks that an earlier window left would show,
 * and those that it removed. */
static void
test_attention_case (const Case *c)
{
  g_autoptr (NpuDevice) device = rig_open (c->overlays);
  const NpuOp op = {.kind = NPU_OP_ATTENTION,
      .rows = 1500,
      .attention = {.heads = HEADS,
          .qkv_storage = NPU_STORAGE_BF16,
          .o_storage = NPU_STORAGE_BF16,
          .scale = 0.125f}};
  RigOp *xrt = rig_op_new (device, &op, NULL);
  g_autofree float *q = rig_random ((gsize) 1500 * D, 1);
  g_autofree float *k = rig_random ((gsize) 1500 * D, 2);
  g_autofree float *v = rig_random ((gsize) 1500 * D, 3);
  const float *const qkv[] = {q, k, v};
  const guint windows[] = {1500, c->rows, c->rows, 1500};
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < (gsize) 1500 * D; i++)
    q[i] *= 4.0f;
  for (gsize i = 0; i < G_N_ELEMENTS (windows); i++) {
    const guint rows = windows[i];
    RigRun run = run_of (c, 0xf);

    run.rows = rows;
    run.groups = HEADS;
    run.batch = c->batch == 1 ? 1 : 144; /* a group of heads at least */
    run.batch =
        MAX (run.batch, xrt->kernel->groups_per_launch * ((rows + 63) / 64));
    if (i == 2)
      give_up_window (xrt, qkv);
    pack_heads (xrt, qkv, rows);
    memset (xrt->args[NPU_ARG_O]->data, 0xff, xrt->args[NPU_ARG_O]->size);
    npu_buffer_sync (xrt->args[NPU_ARG_O], NPU_SYNC_TO_DEVICE, 0,
        xrt->args[NPU_ARG_O]->size, &error);
    rig_op_run (xrt, &run, &error);
    g_assert_no_error (error);
    for (guint head = 0; head < HEADS; head++) {
      const guint check[] = {0, rows / 3, rows - 1};

      for (gsize j = 0; j < G_N_ELEMENTS (check); j++) {
        float expected[64], got[64];

        attend (expected, qkv, head, check[j], rows);
        for (guint l = 0; l < 64; l++)
          got[l] = read_c (xrt, NPU_STORAGE_BF16, NPU_ARG_O,
              (gsize) check[j] * D + head * 64 + l);
        g_assert_cmpfloat (rig_cosine (expected, got, 64), >, 0.999);
      }
    }
  }
  rig_op_free (xrt, NULL);
}

static void
test_attention (void)
{
  const Case pairs = {
      .overlays = pairs_overlays, .rows = 700, .batch = 1, .depth = 3};

  for_all_cases (test_attention_case);
  test_attention_case (&pairs);
  rig_assert_clean ();
}

/* --- programs ------------------------------------------------------------ */

static void
test_program (void)
{
  g_autoptr (NpuDevice) device = rig_open (large_overlays);
  const NpuOp op = {.kind = NPU_OP_PROGRAM, .rows = 50, .program = "gelu_512"};
  RigOp *xrt = rig_op_new (device, &op, NULL);
  gint8 *in = (gint8 *) xrt->args[NPU_ARG_IN]->data;
  const gint8 *out = (gint8 *) xrt->args[NPU_ARG_OUT]->data;
  g_autoptr (GError) error = NULL;

  for (guint batch = 1; batch <= 50; batch += 7) {
    const RigRun run = {
        .rows = 50 * 64, .batch = batch, .depth = 3, .sync_args = 3};

    for (guint i = 0; i < 50 * 512; i++)
      in[i] = (gint8) (i * batch);
    rig_op_run (xrt, &run, &error);
    g_assert_no_error (error);
    for (guint i = 0; i < 50 * 512; i++)
      g_assert_cmpint (out[i], ==,
          (int) CLAMP (round (127.0 * gelu (in[i] / 127.0)), -128, 127));
  }
  rig_op_free (xrt, NULL);
}

static void
test_unsupported (void)
{
  g_autoptr (NpuDevice) device = rig_open (large_overlays);
  float one[1] = {1};
  const NpuOp ops[] = {
      {.kind = NPU_OP_LINEAR,
          .rows = 64,
          .weight = one,
          .linear = {.k = 1, .n = 1}},
      {.kind = NPU_OP_GELU, .rows = 64, .gelu = {.n = 4 * D}},
      {.kind = NPU_OP_ATTENTION, .rows = 64, .attention = {.heads = HEADS}},
      {.kind = NPU_OP_PROGRAM, .rows = 1, .program = "none"},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (ops); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (npu_kernel_open (device, &ops[i], &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED);
    g_test_message ("%s", error->message);
    g_assert_nonnull (strstr (error->message, "overlays.ini has no overlay"));
  }
}

static void
test_clean (void)
{
  rig_assert_clean ();
}

int
main (int argc, char **argv)
{
  rig_keep_stdout ();
  g_test_init (&argc, &argv, NULL);
  if (argc != 7)
    g_error ("usage: %s SMALL LARGE PAIRS BIAS GELU RESIDUAL", argv[0]);
  small_overlays = argv[1];
  large_overlays = argv[2];
  pairs_overlays = argv[3];
  fused_overlays = (const char *const *) argv + 4;
  g_test_add_func ("/xrt/ops/int8", test_int8);
  g_test_add_func ("/xrt/ops/bf16", test_bf16);
  g_test_add_func ("/xrt/ops/fused", test_fused);
  g_test_add_func ("/xrt/ops/layernorm", test_layernorm);
  g_test_add_func ("/xrt/ops/gelu", test_gelu);
  g_test_add_func ("/xrt/ops/attention", test_attention);
  g_test_add_func ("/xrt/ops/program", test_program);
  g_test_add_func ("/xrt/ops/unsupported", test_unsupported);
  g_test_add_func ("/xrt/ops/clean", test_clean);
  return g_test_run ();
}
