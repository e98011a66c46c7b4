/* Lists of launches through real XRT over the simulated driver: those of one
 * hardware context are one submission up to where the host has something to do,
 * their results are those of one launch after the other, and what fails, hangs
 * or is lost in the middle of a list leaves a run that can be used again.
 *
 * usage: test-xrt-lists PACKED ONE-CONTEXT ROWS: packed programs with a context
 * each, the same in one, and programs on rows in one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "xrt-rig.h"

static const char *packed_overlays, *one_overlays, *rows_overlays;

/* --- a chain of programs -------------------------------------------------- */

#define N_LINKS 5
#define N_BLOCKS 7 /* 24 commands, a chain's, end in the middle of a link */
#define BLOCK 512
#define N_RUNS 6

/* GELU there and back between two buffers, and the last time a product of what
 * is left: each needs what the one before wrote. */
typedef struct {
  NpuKernel *gelu, *product; /* not owned */
  NpuBuffer *x, *y, *z;
  NpuRun *run;
  NpuLaunch launches[N_LINKS];
} Chain;

typedef struct {
  NpuDevice *device;
  NpuKernel *gelu, *product;
  Chain chains[N_RUNS];
  guint8 expected[N_BLOCKS * BLOCK / 2];
} Rig;

static NpuKernel *
open_program (NpuDevice *device, const char *name)
{
  const NpuOp op = {.kind = NPU_OP_PROGRAM, .rows = N_BLOCKS, .program = name};
  g_autoptr (GError) error = NULL;
  NpuKernel *kernel = npu_kernel_open (device, &op, &error);

  g_assert_no_error (error);
  return kernel;
}

static NpuBuffer *
new_buffer (NpuDevice *device, gsize size)
{
  g_autoptr (GError) error = NULL;
  NpuBuffer *buffer = npu_buffer_new (device, size, &error);

  g_assert_no_error (error);
  return buffer;
}

static NpuLaunch
launch_of (NpuKernel *kernel, NpuBuffer *in, NpuBuffer *out)
{
  return (NpuLaunch){.kernel = kernel,
      .args = {in, out},
      .rows = N_BLOCKS * 64,
      .n_tiles = N_BLOCKS};
}

static void
chain_init (Chain *chain, const Rig *rig)
{
  chain->x = new_buffer (rig->device, N_BLOCKS * BLOCK);
  chain->y = new_buffer (rig->device, N_BLOCKS * BLOCK);
  chain->z = new_buffer (rig->device, N_BLOCKS * BLOCK / 2);
  chain->run = npu_run_new (rig->device, NULL, NULL);
  g_assert_nonnull (chain->run);
  for (guint i = 0; i < N_LINKS - 1; i++)
    chain->launches[i] = launch_of (
        rig->gelu, i % 2 ? chain->y : chain->x, i % 2 ? chain->x : chain->y);
  chain->launches[N_LINKS - 1] = launch_of (rig->product, chain->x, chain->z);
  chain->launches[0].sync_args = NPU_ARG_BIT (NPU_ARG_IN);
  chain->launches[N_LINKS - 1].sync_args = NPU_ARG_BIT (NPU_ARG_OUT);
}

static void
chain_clear (Chain *chain)
{
  npu_run_free (chain->run);
  npu_buffer_free (chain->x);
  npu_buffer_free (chain->y);
  npu_buffer_free (chain->z);
}

static void
chain_fill (Chain *chain)
{
  for (guint i = 0; i < N_BLOCKS * BLOCK; i++)
    chain->x->data[i] = (guint8) (30 + (i * i * 31 + i / 7) % 98);
  memset (chain->z->data, 1, chain->z->size);
  g_assert_true (
      npu_buffer_sync (chain->z, NPU_SYNC_TO_DEVICE, 0, chain->z->size, NULL));
}

static gboolean
submit_unfilled (Chain *chain, GError **error)
{
  return npu_run_submit_list (chain->run, chain->launches, N_LINKS, error);
}

static gboolean
chain_submit (Chain *chain, GError **error)
{
  chain_fill (chain);
  return submit_unfilled (chain, error);
}

static void
chain_wait (Chain *chain, const Rig *rig)
{
  g_autoptr (GError) error = NULL;
  NpuRunTimes times = {0};

  npu_run_wait (chain->run, 20 * SECOND, &times, &error);
  g_assert_no_error (error);
  g_assert_true (npu_run_is_done (chain->run));
  g_assert_cmpuint (times.start, >, 0);
  g_assert_cmpuint (times.start, <=, times.end);
  g_assert_cmpmem (chain->z->data, sizeof rig->expected, rig->expected,
      sizeof rig->expected);
}

/* One launch after the other. */
static void
compute_expected (Rig *rig)
{
  Chain *chain = &rig->chains[0];

  chain_fill (chain);
  for (guint i = 0; i < N_LINKS; i++) {
    const NpuLaunch *launch = &chain->launches[i];

    g_assert_true (npu_run_prepare (chain->run, launch, NULL));
    g_assert_true (npu_run_submit (chain->run, launch, NULL));
    g_assert_true (npu_run_wait (chain->run, 20 * SECOND, NULL, NULL));
    g_assert_true (npu_run_finish (chain->run, launch, NULL));
  }
  memcpy (rig->expected, chain->z->data, sizeof rig->expected);
  for (guint i = 1; i < sizeof rig->expected; i++)
    if (rig->expected[i] != rig->expected[0])
      return;
  g_assert_not_reached ();
}

static void
rig_init (Rig *rig, const char *overlays)
{
  rig->device = rig_open (overlays);
  rig->gelu = open_program (rig->device, "gelu_512");
  rig->product = open_program (rig->device, "matmul_16x16");
  for (guint i = 0; i < N_RUNS; i++)
    chain_init (&rig->chains[i], rig);
  compute_expected (rig);
}

static void
rig_clear (Rig *rig)
{
  for (guint i = 0; i < N_RUNS; i++)
    chain_clear (&rig->chains[i]);
  npu_kernel_unref (rig->gelu);
  npu_kernel_unref (rig->product);
  npu_device_unref (rig->device);
  rig_assert_clean ();
}

static void
assert_works (Rig *rig)
{
  g_autoptr (GError) error = NULL;

  rig_sim ("fail", "");
  chain_submit (&rig->chains[0], &error);
  g_assert_no_error (error);
  chain_wait (&rig->chains[0], rig);
}

/* --- how many submissions ------------------------------------------------- */

/* In one context the list is as few submissions as a chain's 24 commands allow.
 * Where its last program has a context of its own, that is one more. */
static void
test_submissions (void)
{
  const char *const folders[] = {one_overlays, packed_overlays};

  for (guint i = 0; i < G_N_ELEMENTS (folders); i++) {
    const guint n_commands = N_LINKS * N_BLOCKS;
    const guint in_last_context = i == 0 ? 0 : N_BLOCKS;
    NpusimCounters before, after;
    Rig rig;

    rig_init (&rig, folders[i]);
    before = rig_counters ();
    assert_works (&rig);
    after = rig_counters ();
    g_assert_cmpuint (after.commands - before.commands, ==, n_commands);
    g_assert_cmpuint (after.submissions - before.submissions, ==,
        (n_commands - in_last_context + 23) / 24 + i);
    g_assert_cmpuint (after.chains - before.chains, ==,
        after.submissions - before.submissions);
    rig_clear (&rig);
  }
}

/* More commands than the driver takes at once: in parts, and right. */
static void
test_long (void)
{
  NpuLaunch launches[2 * 25 * 4 + 1];
  const guint n = G_N_ELEMENTS (launches);
  g_autoptr (GError) error = NULL;
  NpusimCounters before, after;
  Chain *chain;
  Rig rig;

  rig_init (&rig, one_overlays);
  chain = &rig.chains[0];
  for (guint i = 0; i < n - 1; i++) {
    launches[i] = chain->launches[i % 2];
    launches[i].sync_args = 0;
    launches[i].n_tiles = 1;
  }
  launches[n - 1] = chain->launches[N_LINKS - 1];
  launches[0].sync_args = NPU_ARG_BIT (NPU_ARG_IN);
  launches[0].n_tiles = N_BLOCKS; /* all of x is synced */
  chain_fill (chain);
  before = rig_counters ();
  npu_run_submit_list (chain->run, launches, n, &error);
  g_assert_no_error (error);
  npu_run_wait (chain->run, 20 * SECOND, NULL, &error);
  g_assert_no_error (error);
  after = rig_counters ();
  g_assert_cmpuint (after.commands - before.commands, ==, n - 2 + 2 * N_BLOCKS);
  /* 96 commands, 96, and what is left of 213. */
  g_assert_cmpuint (after.submissions - before.submissions, ==, 4 + 4 + 1);
  rig_clear (&rig);
}

/* Several lists in flight at once, as with a ring of that depth. */
static void
test_depth (void)
{
  Rig rig;

  rig_init (&rig, one_overlays);
  rig_sim ("latency_us", "2000");
  for (guint round = 0; round < 3; round++) {
    for (guint i = 0; i < N_RUNS; i++) {
      g_autoptr (GError) error = NULL;

      chain_submit (&rig.chains[i], &error);
      g_assert_no_error (error);
    }
    for (guint i = 0; i < N_RUNS; i++)
      chain_wait (&rig.chains[i], &rig);
  }
  rig_sim ("latency_us", "0");
  rig_clear (&rig);
}

/* One that cannot be is refused with its list, before anything is submitted. */
static void
test_refused (void)
{
  g_autoptr (GError) error = NULL;
  NpusimCounters before;
  Rig rig;

  rig_init (&rig, one_overlays);
  before = rig_counters ();
  rig.chains[0].launches[N_LINKS - 1].offset[NPU_ARG_OUT] = 64;
  g_assert_false (chain_submit (&rig.chains[0], &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
  g_assert_true (npu_run_is_done (rig.chains[0].run));
  g_assert_cmpuint (rig_counters ().submissions, ==, before.submissions);
  rig.chains[0].launches[N_LINKS - 1].offset[NPU_ARG_OUT] = 0;
  assert_works (&rig);
  rig_clear (&rig);
}

/* --- failures in the middle ----------------------------------------------- */

/* What a list says of @fail, with another in flight behind it. */
static GError *
error_of (Rig *rig, const char *fail, guint64 timeout)
{
  GError *error = NULL;
  gboolean behind;

  rig_sim ("fail", fail);
  if (!chain_submit (&rig->chains[0], &error)) {
    g_assert_nonnull (error);
    return error;
  }
  behind = chain_submit (&rig->chains[1], NULL);
  g_assert_false (npu_run_wait (rig->chains[0].run, timeout, NULL, &error));
  g_assert_nonnull (error);
  g_test_message ("%s: %s", fail, error->message);
  if (behind)
    npu_run_wait (rig->chains[1].run, timeout, NULL, NULL);
  g_assert_true (npu_run_is_done (rig->chains[0].run));
  g_assert_true (npu_run_is_done (rig->chains[1].run));
  return error;
}

/* The first, one in the middle, and of the last program: which is named. */
static void
test_error (void)
{
  static const struct {
    const char *fail, *overlay;
  } cases[] = {
      {"error:n=1", "overlay 'gelu_512'"},
      {"error:n=2", "overlay"},
      {"abort:n=2", "overlay"},
      {"command:n=1", "overlay 'gelu_512'"},
      {"command:n=14", "overlay 'gelu_512'"},
      {"command:n=33", "overlay 'matmul_16x16'"},
      {"submit:n=1", "xrt:0"},
      {"submit:n=2", "xrt:0"},
  };
  Rig rig;

  rig_init (&rig, one_overlays);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = error_of (&rig, cases[i].fail, 20 * SECOND);

    g_assert_error (error, NPU_ERROR, NPU_ERROR_LAUNCH);
    if (!strstr (error->message, cases[i].overlay))
      g_error ("'%s' is not in: %s", cases[i].overlay, error->message);
    assert_works (&rig);
  }
  rig_clear (&rig);
}

/* A command in the middle hangs, with the driver's watchdog and without: each
 * launch of the list has the timeout, so that all have five times of it. */
static void
test_hang (void)
{
  static const char *const watchdogs[] = {"2000", "0"};

  for (guint i = 0; i < G_N_ELEMENTS (watchdogs); i++) {
    g_autoptr (GError) error = NULL;
    Rig rig;

    rig_init (&rig, one_overlays);
    rig_sim ("watchdog_ms", watchdogs[i]);
    error = error_of (&rig, "hang:n=2", 20 * MS);
    rig_sim ("watchdog_ms", "2000");
    g_assert_error (error, NPU_ERROR, NPU_ERROR_TIMEOUT);
    g_assert_nonnull (strstr (error->message, "within 100 ms"));
    g_assert_nonnull (strstr (error->message, "'gelu_512', 'matmul_16x16'"));
    assert_works (&rig);
    rig_clear (&rig);
  }
}

/* The driver's watchdog is first. */
static void
test_watchdog (void)
{
  g_autoptr (GError) error = NULL;
  Rig rig;

  rig_init (&rig, one_overlays);
  rig_sim ("watchdog_ms", "100");
  error = error_of (&rig, "hang:n=2", 20 * SECOND);
  rig_sim ("watchdog_ms", "2000");
  g_assert_error (error, NPU_ERROR, NPU_ERROR_LAUNCH);
  g_assert_nonnull (strstr (error->message, "the driver stopped it"));
  assert_works (&rig);
  rig_clear (&rig);
}

static void
test_lost (void)
{
  Rig rig;

  for (guint n = 1; n <= 3; n++) {
    g_autofree char *fail = g_strdup_printf ("lost:n=%u", n);
    g_autoptr (GError) error = NULL;
    g_autoptr (GError) again = NULL;

    rig_init (&rig, one_overlays);
    rig_sim ("latency_us", "2000");
    rig_sim ("fail", fail);
    for (guint i = 0; i < N_RUNS && !error; i++)
      submit_unfilled (&rig.chains[i], &error);
    for (guint i = 0; i < N_RUNS; i++)
      npu_run_wait (
          rig.chains[i].run, 20 * SECOND, NULL, error ? NULL : &error);
    rig_sim ("latency_us", "0");
    g_assert_nonnull (error);
    g_assert_false (submit_unfilled (&rig.chains[0], &again));
    g_assert_error (again, NPU_ERROR, NPU_ERROR_LOST);
    rig_sim ("fail", "");
    rig_clear (&rig);
  }
}

/* What was not submitted yet is not any more. */
static void
test_cancel (void)
{
  NpusimCounters before;
  Rig rig;

  rig_init (&rig, packed_overlays);
  before = rig_counters ();
  g_assert_true (chain_submit (&rig.chains[0], NULL));
  npu_run_cancel (rig.chains[0].run);
  npu_run_wait (rig.chains[0].run, 20 * SECOND, NULL, NULL);
  g_assert_true (npu_run_is_done (rig.chains[0].run));
  g_assert_cmpuint (
      rig_counters ().commands - before.commands, ==, (N_LINKS - 1) * N_BLOCKS);
  assert_works (&rig);
  rig_clear (&rig);
}

/* --- programs on rows ------------------------------------------------------
 */

#define D 384
#define INNER (4 * D)
#define ROWS 256
#define N_STEPS 3

static NpuKernel *
open_step (NpuDevice *device, NpuOp op)
{
  g_autoptr (GError) error = NULL;
  NpuKernel *kernel;

  op.rows = ROWS;
  kernel = npu_kernel_open (device, &op, &error);
  g_assert_no_error (error);
  return kernel;
}

static NpuKernel *
open_product (NpuDevice *device, const float *weight, const float *bias)
{
  return open_step (device, (NpuOp){.kind = NPU_OP_LINEAR,
                                .weight = weight,
                                .bias = bias,
                                .linear = {.k = INNER,
                                    .n = D,
                                    .a_storage = NPU_STORAGE_BF16,
                                    .product = NPU_PRODUCT_BF16}});
}

/* Runs @launches as a list, or one by one as lists of one; how many submissions
 * they were. */
static guint64
run_rows (NpuRun *run, const NpuLaunch *launches, gboolean as_list)
{
  const guint64 before = rig_counters ().submissions;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < N_STEPS; i += as_list ? N_STEPS : 1) {
    npu_run_submit_list (run, launches + i, as_list ? N_STEPS : 1, &error);
    g_assert_no_error (error);
    npu_run_wait (run, 20 * SECOND, NULL, &error);
    g_assert_no_error (error);
  }
  return rig_counters ().submissions - before;
}

/* GELU, a product and LayerNorm of rows, which hand on what they wrote without
 * the host, but where the product's bias is the host's. Launches of less than a
 * command have the host on both sides. */
static const struct {
  guint rows, n_tiles;
  gboolean has_bias;
  guint n_submissions;
} rows_cases[] = {{ROWS, 4, FALSE, 1}, {ROWS, 4, TRUE, 2}, {100, 2, FALSE, 1},
    {ROWS, 1, FALSE, N_STEPS}};

static void
check_rows (
    NpuRun *run, NpuKernel *const *kernels, NpuBuffer *const *buffers, guint c)
{
  const guint rows = rows_cases[c].rows, n_tiles = rows_cases[c].n_tiles;
  const gsize size = MIN (rows, n_tiles * 64) * D * sizeof (guint16);
  NpuBuffer *y = buffers[N_STEPS];
  g_autofree guint16 *expected = NULL;
  NpuLaunch launches[N_STEPS];

  for (guint i = 0; i < N_STEPS; i++)
    launches[i] = (NpuLaunch){.kernel = kernels[i],
        .args = {buffers[i], buffers[i + 1]},
        .rows = rows,
        .n_tiles = n_tiles};
  launches[0].sync_args = NPU_ARG_BIT (NPU_ARG_X);
  launches[N_STEPS - 1].sync_args = NPU_ARG_BIT (NPU_ARG_Y);
  if (rows_cases[c].has_bias)
    launches[N_STEPS - 1].sync_args |= NPU_ARG_BIT (NPU_ARG_X);
  g_assert_cmpuint (run_rows (run, launches, FALSE), ==, N_STEPS);
  expected = g_memdup2 (y->data, size);
  g_assert_true (expected[0] != 0 && expected[size / 2 - 1] != 0);
  memset (y->data, 0, size);
  g_assert_true (npu_buffer_sync (y, NPU_SYNC_TO_DEVICE, 0, size, NULL));
  g_assert_cmpuint (
      run_rows (run, launches, TRUE), ==, rows_cases[c].n_submissions);
  g_assert_cmpmem (y->data, size, expected, size);
}

static void
test_rows (void)
{
  g_autofree float *gamma = rig_random (D, 1), *beta = rig_random (D, 2);
  g_autofree float *weight = rig_random (INNER * D, 3);
  g_autofree float *x = rig_random (ROWS * INNER, 4);
  NpuDevice *device = rig_open (rows_overlays);
  NpuKernel *gelu = open_step (
      device, (NpuOp){.kind = NPU_OP_GELU,
                  .gelu = {.n = INNER, .storage = NPU_STORAGE_BF16}});
  NpuKernel *products[] = {
      open_product (device, weight, NULL), open_product (device, weight, beta)};
  NpuKernel *norm = open_step (device,
      (NpuOp){.kind = NPU_OP_LAYERNORM,
          .weight = gamma,
          .bias = beta,
          .layernorm = {
              .n = D, .y_storage = NPU_STORAGE_BF16, .epsilon = 1e-5f}});
  NpuRun *run = npu_run_new (device, NULL, NULL);
  NpuBuffer *buffers[N_STEPS + 1];

  for (guint i = 0; i <= N_STEPS; i++)
    buffers[i] = new_buffer (device, 2 * ROWS * INNER * sizeof (guint16));
  for (guint i = 0; i < ROWS * INNER; i++)
    ((guint16 *) buffers[0]->data)[i] = rig_to_bf16 (x[i]);
  for (guint c = 0; c < G_N_ELEMENTS (rows_cases); c++) {
    NpuKernel *kernels[] = {gelu, products[rows_cases[c].has_bias], norm};

    check_rows (run, kernels, buffers, c);
  }
  npu_run_free (run);
  for (guint i = 0; i <= N_STEPS; i++)
    npu_buffer_free (buffers[i]);
  npu_kernel_unref (gelu);
  npu_kernel_unref (products[0]);
  npu_kernel_unref (products[1]);
  npu_kernel_unref (norm);
  npu_device_unref (device);
  rig_assert_clean ();
}

int
main (int argc, char **argv)
{
  rig_keep_stdout ();
  g_test_init (&argc, &argv, NULL);
  if (argc != 4)
    g_error ("usage: %s PACKED ONE-CONTEXT ROWS", argv[0]);
  packed_overlays = argv[1];
  one_overlays = argv[2];
  rows_overlays = argv[3];
  g_test_add_func ("/xrt/lists/submissions", test_submissions);
  g_test_add_func ("/xrt/lists/long", test_long);
  g_test_add_func ("/xrt/lists/depth", test_depth);
  g_test_add_func ("/xrt/lists/rows", test_rows);
  g_test_add_func ("/xrt/lists/refused", test_refused);
  g_test_add_func ("/xrt/lists/cancel", test_cancel);
  g_test_add_func ("/xrt/lists/error", test_error);
  g_test_add_func ("/xrt/lists/hang", test_hang);
  g_test_add_func ("/xrt/lists/watchdog", test_watchdog);
  g_test_add_func ("/xrt/lists/lost", test_lost);
  return g_test_run ();
}
