/* Launches cut into row tiles and columns, and threads that compute while they
 * wait: the same bytes in any thread, and nobody is left waiting.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "device/cpu/cpu-gemm.h"
#include "device/npu-device.h"

#define MAX_ROWS 700
#define K 256
#define N 512
#define HEADS 4
#define SECOND ((guint64) 1000000000)

/* --- one linear map ------------------------------------------------------- */

typedef struct {
  NpuDevice *device;
  NpuKernel *kernel;
  NpuBuffer *args[NPU_MAX_ARGS];
} Map;

static NpuDevice *
open_device (guint threads)
{
  g_autoptr (GError) error = NULL;
  NpuDevice *device =
      npu_device_open ("cpu", &(NpuDeviceOptions){.threads = threads}, &error);

  g_assert_no_error (error);
  return device;
}

static void
fill (float *x, gsize n, guint32 seed, float scale)
{
  for (gsize i = 0; i < n; i++) {
    seed = seed * 1664525u + 1013904223u;
    x[i] = scale * ((float) (seed >> 8) / (1 << 23) - 1.0f);
  }
}

static NpuOp
linear_op (guint n)
{
  return (NpuOp){
      .kind = NPU_OP_LINEAR, .rows = MAX_ROWS, .linear = {.k = K, .n = n}};
}

static void
map_init (Map *map, guint threads, NpuOp op, float scale)
{
  const gsize n = op.linear.n, k = op.linear.k;
  g_autofree float *weight = g_new (float, n *k);
  g_autofree float *bias = g_new (float, n);
  g_autoptr (GError) error = NULL;

  fill (weight, n * k, 1, scale);
  fill (bias, n, 2, scale);
  op.weight = weight;
  op.bias = bias;
  *map = (Map){.device = open_device (threads)};
  map->kernel = npu_kernel_open (map->device, &op, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < NPU_MAX_ARGS; i++)
    if (map->kernel->arg_size[i] > 0)
      map->args[i] =
          npu_buffer_new (map->device, map->kernel->arg_size[i], NULL);
  fill ((float *) map->args[NPU_ARG_A]->data, MAX_ROWS * k, 3, scale);
}

static void
map_clear (Map *map)
{
  for (guint i = 0; i < NPU_MAX_ARGS; i++)
    npu_buffer_free (map->args[i]);
  npu_kernel_unref (map->kernel);
  npu_device_unref (map->device);
}

static void
map_run (Map *map, NpuRun *run, guint rows)
{
  NpuLaunch launch = {.kernel = map->kernel, .rows = rows};
  g_autoptr (GError) error = NULL;

  memcpy (launch.args, map->args, sizeof launch.args);
  launch.n_tiles = (rows + 63) / 64;
  npu_run_submit (run, &launch, &error);
  g_assert_no_error (error);
  npu_run_wait (run, 100 * SECOND, NULL, &error);
  g_assert_no_error (error);
}

/* What a launch of @rows rows leaves in its outputs. */
static char *
digest_of (Map *map, guint rows, guint first_output)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  NpuRun *run = npu_run_new (map->device, NULL, NULL);

  for (guint i = first_output; i < NPU_MAX_ARGS; i++)
    if (map->args[i])
      memset (map->args[i]->data, 0, map->args[i]->size);
  map_run (map, run, rows);
  npu_run_free (run);
  for (guint i = first_output; i < NPU_MAX_ARGS; i++)
    if (map->args[i])
      g_checksum_update (checksum, map->args[i]->data, map->args[i]->size);
  return g_strdup (g_checksum_get_string (checksum));
}

/* --- the same bytes ------------------------------------------------------ */

static const guint rows_of[] = {1, 50, 64, 65, 130, 300, MAX_ROWS};

static void
check_same_bytes (const NpuOp *op)
{
  static const guint threads[] = {2, 3, 16};
  Map one;

  map_init (&one, 1, *op, 0.1f);
  for (guint i = 0; i < (g_test_slow () ? G_N_ELEMENTS (threads) : 1); i++) {
    Map many;

    map_init (&many, threads[i], *op, 0.1f);
    for (guint j = 0; j < G_N_ELEMENTS (rows_of); j++) {
      g_autofree char *right = digest_of (&one, rows_of[j], 1);

      for (guint round = 0; round < (g_test_slow () ? 3 : 1); round++) {
        g_autofree char *digest = digest_of (&many, rows_of[j], 1);

        g_assert_cmpstr (digest, ==, right);
      }
    }
    map_clear (&many);
  }
  map_clear (&one);
}

static void
test_float (void)
{
  NpuOp op = linear_op (N);

  check_same_bytes (&op);
  op.linear.product = NPU_PRODUCT_S16;
  check_same_bytes (&op);
  op.linear.product = NPU_PRODUCT_BF16;
  op.linear.gelu = TRUE;
  check_same_bytes (&op);
  op.linear.c_storage = NPU_STORAGE_BF16;
  check_same_bytes (&op);
}

/* Columns that no block divides are not cut. */
static void
test_odd (void)
{
  const NpuOp op = linear_op (100);

  check_same_bytes (&op);
}

/* Rows that become bytes do so when all of their columns are there. */
static void
test_bytes (void)
{
  NpuOp op = linear_op (N);

  op.linear.product = NPU_PRODUCT_S8;
  check_same_bytes (&op);
  op.linear.c_storage = NPU_STORAGE_Q8;
  op.linear.gelu = TRUE;
  check_same_bytes (&op);
}

static void
test_tiles (void)
{
  NpuOp op = linear_op (3 * HEADS * 64);

  op.linear.heads = HEADS;
  op.linear.c_layout = NPU_LAYOUT_QKV_TILES;
  check_same_bytes (&op);
  op.linear.product = NPU_PRODUCT_S8;
  op.linear.c_storage = NPU_STORAGE_Q8;
  check_same_bytes (&op);
}

/* --- parts of a product ---------------------------------------------------
 * Of int8, by oneDNN: the same weights, fewer columns at once. Small values, so
 * that the sums are exact without VNNI. */

static void
check_parts (guint n, guint k, guint rows)
{
  g_autofree gint8 *weight = g_new (gint8, n * k);
  guint8 *a = g_aligned_alloc (64 * k, 1, 64);
  gint32 *c = g_aligned_alloc (64 * n, sizeof *c, 64);
  CpuGemmThread *thread = cpu_gemm_thread_new ();
  const int before = cpu_gemm_set_threads (1);
  guint8 *scratch;
  guint block, part;
  CpuGemm *gemm;

  for (guint i = 0; i < n * k; i++)
    weight[i] = (gint8) (i * 2654435761u >> 13 & 7) - 4;
  for (guint i = 0; i < 64 * k; i++)
    a[i] = (guint8) (i * 2246822519u >> 11 & 15);
  gemm = cpu_gemm_new_s8 (NULL, weight, n, k, NULL);
  g_assert_nonnull (gemm);
  block = cpu_gemm_block_columns (gemm);
  part = cpu_gemm_part_columns (gemm);
  g_assert_cmpuint (block % part, ==, 0);
  g_test_message (
      "%u columns from %u: blocks of %u, parts of %u", n, k, block, part);
  scratch = g_aligned_alloc (cpu_gemm_scratch_size (gemm) + 64, 1, 64);
  for (guint pass = 0; pass < 2; pass++) {
    const guint columns = pass ? block : part;

    for (guint first = 0; first < n; first += columns) {
      cpu_gemm_run (gemm, thread, first, columns, a, k, rows, c, scratch);
      for (guint i = 0; i < rows; i++)
        for (guint j = 0; j < columns; j++) {
          gint32 sum = 0;

          for (guint l = 0; l < k; l++)
            sum += a[i * k + l] * weight[(first + j) * k + l];
          g_assert_cmpint (c[i * columns + j], ==, sum);
        }
    }
  }
  cpu_gemm_set_threads (before);
  cpu_gemm_thread_free (thread);
  cpu_gemm_free (gemm);
  g_aligned_free (a);
  g_aligned_free (c);
  g_aligned_free (scratch);
}

static void
test_parts (void)
{
  check_parts (512, 256, 64);
  check_parts (512, 256, 1);
  check_parts (384, 128, 40);
  check_parts (1152, 64, 32);
  check_parts (100, 64, 64);
}

/* A thread that flushes denormals, as those of audio do, computes as others,
 * and is left as it was. */
static void
test_float_control (void)
{
#if defined(__SSE2__)
  const guint before = _mm_getcsr ();
  const NpuOp op = linear_op (N);
  g_autofree char *right = NULL;

  for (guint threads = 1; threads <= 2; threads++) {
    g_autofree char *digest = NULL;
    Map map;

    map_init (&map, threads, op, 1e-20f); /* products of 1e-40 */
    if (!right)
      right = digest_of (&map, 50, 1);
    _mm_setcsr (before | 0x8040);
    digest = digest_of (&map, 50, 1);
    g_assert_cmphex (_mm_getcsr () & 0x8040, ==, 0x8040);
    _mm_setcsr (before);
    g_assert_cmpstr (digest, ==, right);
    map_clear (&map);
  }
#else
  g_test_skip ("not on this processor");
#endif
}

/* --- many that wait ------------------------------------------------------- */

#define N_HOSTS 8

typedef struct {
  NpuDevice *device;
  NpuKernel *kernel;
  guint seed;
} Host;

/* A stream with up to three launches in flight of one to five tiles, some of
 * them waited for late, and one now and then cancelled. */
static gpointer
run_host (gpointer data)
{
  const Host *host = data;
  const NpuRunOptions options = {.stream = host};
  g_autoptr (GRand) random = g_rand_new_with_seed (host->seed);
  NpuBuffer *x[3], *y[3];
  NpuRun *runs[3];

  for (guint i = 0; i < 3; i++) {
    x[i] =
        npu_buffer_new (host->device, host->kernel->arg_size[NPU_ARG_X], NULL);
    y[i] =
        npu_buffer_new (host->device, host->kernel->arg_size[NPU_ARG_Y], NULL);
    runs[i] = npu_run_new (host->device, &options, NULL);
  }
  for (guint round = 0; round < 200; round++) {
    const guint n = (guint) g_rand_int_range (random, 1, 4);
    const gboolean cancel = g_rand_int_range (random, 0, 8) == 0;
    guint rows[3];

    for (guint i = 0; i < n; i++) {
      rows[i] = (guint) g_rand_int_range (random, 1, 300);
      NpuLaunch launch = {.kernel = host->kernel,
          .args = {x[i], y[i]},
          .rows = rows[i],
          .n_tiles = (rows[i] + 63) / 64};

      ((float *) x[i]->data)[rows[i] * 64 - 1] = (float) (100 + round);
      ((float *) y[i]->data)[rows[i] * 64 - 1] = 0;
      if (g_rand_int_range (random, 0, 16) == 0)
        g_usleep (50);
      g_assert_true (npu_run_submit (runs[i], &launch, NULL));
    }
    if (cancel)
      npu_run_cancel (runs[n - 1]);
    for (guint i = 0; i < n; i++) {
      g_assert_true (npu_run_wait (runs[i], 100 * SECOND, NULL, NULL));
      g_assert_true (npu_run_is_done (runs[i]));
      if (!cancel)
        g_assert_cmpfloat (((float *) y[i]->data)[rows[i] * 64 - 1], ==,
            (float) (100 + round));
    }
  }
  for (guint i = 0; i < 3; i++) {
    npu_run_free (runs[i]);
    npu_buffer_free (x[i]);
    npu_buffer_free (y[i]);
  }
  return NULL;
}

static void
test_many_hosts (gconstpointer data)
{
  g_autoptr (NpuDevice) device = open_device (GPOINTER_TO_UINT (data));
  const NpuOp op = {.kind = NPU_OP_GELU, .rows = 300, .gelu = {.n = 64}};
  NpuKernel *kernel = npu_kernel_open (device, &op, NULL);
  GThread *threads[N_HOSTS];
  Host hosts[N_HOSTS];

  for (guint i = 0; i < N_HOSTS; i++) {
    hosts[i] = (Host){device, kernel, i};
    threads[i] = g_thread_new ("host", run_host, &hosts[i]);
  }
  for (guint i = 0; i < N_HOSTS; i++)
    g_thread_join (threads[i]);
  npu_kernel_unref (kernel);
}

/* A launch that is not waited for long enough is done all the same. */
static void
test_given_up (void)
{
  Map map;
  NpuRun *run;
  NpuLaunch launch = {.rows = MAX_ROWS, .n_tiles = (MAX_ROWS + 63) / 64};
  g_autoptr (GError) error = NULL;

  map_init (&map, 1, linear_op (N), 0.1f);
  run = npu_run_new (map.device, NULL, NULL);
  launch.kernel = map.kernel;
  memcpy (launch.args, map.args, sizeof launch.args);
  do /* on a busy machine it may be done at once */
    g_assert_true (npu_run_submit (run, &launch, NULL));
  while (npu_run_wait (run, 0, NULL, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_TIMEOUT);
  while (!npu_run_is_done (run))
    g_usleep (1000);
  g_assert_true (npu_run_wait (run, 0, NULL, NULL));
  npu_run_free (run);
  map_clear (&map);
}

/* --- lists ---------------------------------------------------------------- */

#define WIDTH 512
#define N_LINKS 50

/* Rows through a linear map, and through it again. */
typedef struct {
  NpuDevice *device;
  NpuKernel *kernel;
  NpuBuffer *x[2];
  NpuRun *run;
  NpuLaunch launches[N_LINKS];
} Chain;

static void
chain_init (Chain *chain, const NpuDeviceOptions *options, NpuProduct product)
{
  g_autofree float *weight = g_new (float, WIDTH *WIDTH);
  const NpuOp op = {.kind = NPU_OP_LINEAR,
      .rows = 200,
      .weight = weight,
      .linear = {.k = WIDTH, .n = WIDTH, .product = product, .gelu = TRUE}};

  fill (weight, WIDTH * WIDTH, 1, 0.1f);
  *chain = (Chain){.device = npu_device_open ("cpu", options, NULL)};
  chain->kernel = npu_kernel_open (chain->device, &op, NULL);
  chain->run = npu_run_new (chain->device, NULL, NULL);
  for (guint i = 0; i < 2; i++)
    chain->x[i] = npu_buffer_new (
        chain->device, chain->kernel->arg_size[NPU_ARG_A], NULL);
  for (guint i = 0; i < N_LINKS; i++)
    chain->launches[i] = (NpuLaunch){.kernel = chain->kernel,
        .args = {chain->x[i % 2], chain->x[(i + 1) % 2]},
        .rows = 1,
        .n_tiles = 1};
}

static void
chain_clear (Chain *chain)
{
  npu_run_free (chain->run);
  npu_buffer_free (chain->x[0]);
  npu_buffer_free (chain->x[1]);
  npu_kernel_unref (chain->kernel);
  npu_device_unref (chain->device);
}

static void
chain_begin (Chain *chain, guint rows)
{
  fill ((float *) chain->x[0]->data, 200 * WIDTH, 2, 1.0f);
  for (guint i = 0; i < N_LINKS; i++) {
    chain->launches[i].rows = rows;
    chain->launches[i].n_tiles = (rows + 63) / 64;
  }
}

/* What it leaves, one launch after the other or as a list. (transfer full) */
static float *
chain_run (Chain *chain, guint rows, gboolean as_list)
{
  NpuRunTimes times = {0};

  chain_begin (chain, rows);
  if (as_list) {
    g_assert_true (
        npu_run_submit_list (chain->run, chain->launches, N_LINKS, NULL));
    g_assert_false (npu_run_is_done (chain->run));
    g_assert_true (npu_run_wait (chain->run, 100 * SECOND, &times, NULL));
    g_assert_cmpuint (times.start, <=, times.end);
    g_assert_cmpuint (times.start, >, 0);
  }
  for (guint i = 0; !as_list && i < N_LINKS; i++) {
    g_assert_true (npu_run_submit (chain->run, &chain->launches[i], NULL));
    g_assert_true (npu_run_wait (chain->run, 100 * SECOND, NULL, NULL));
  }
  g_assert_true (npu_run_is_done (chain->run));
  return g_memdup2 (chain->x[0]->data, rows * WIDTH * sizeof (float));
}

static void
ignore_tile (guint worker, const NpuKernel *kernel, guint tile, guint64 start,
    guint64 end, gpointer user_data)
{
}

/* On a device that keeps its launches to the workers, too, which gets them one
 * by one. */
static void
test_lists (void)
{
  static const NpuDeviceOptions options[] = {{.threads = 1}, {.threads = 2},
      {.threads = 7}, {.threads = 2, .tile_observer = ignore_tile},
      {.threads = 1, .latency = 1000}};
  static const NpuProduct products[] = {NPU_PRODUCT_F32, NPU_PRODUCT_S16};
  static const guint rows[] = {1, 3, 64, 200};

  for (guint t = 0; t < G_N_ELEMENTS (products); t++) {
    Chain one;

    chain_init (&one, &options[0], products[t]);
    for (guint i = 0; i < G_N_ELEMENTS (options); i++) {
      Chain chain;

      chain_init (&chain, &options[i], products[t]);
      for (guint j = 0; j < G_N_ELEMENTS (rows); j++) {
        g_autofree float *right = chain_run (&one, rows[j], FALSE);

        for (guint as_list = 0; as_list < 2; as_list++) {
          g_autofree float *x = chain_run (&chain, rows[j], (gboolean) as_list);

          g_assert_cmpmem (x, rows[j] * WIDTH * sizeof *x, right,
              rows[j] * WIDTH * sizeof *x);
        }
      }
      chain_clear (&chain);
    }
    chain_clear (&one);
  }
}

/* One that cannot be is refused with its list; one that is cancelled or given
 * up leaves a run that can be used again. */
static void
test_lists_that_end (void)
{
  static const NpuDeviceOptions options[] = {
      {.threads = 2}, {.threads = 2, .tile_observer = ignore_tile}};

  for (guint i = 0; i < G_N_ELEMENTS (options); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree float *x = NULL;
    Chain chain;

    chain_init (&chain, &options[i], NPU_PRODUCT_F32);
    chain_begin (&chain, 1);
    chain.launches[N_LINKS - 1].n_tiles = 100;
    g_assert_false (
        npu_run_submit_list (chain.run, chain.launches, N_LINKS, &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
    g_assert_true (npu_run_is_done (chain.run));
    chain_begin (&chain, 1);
    g_assert_true (
        npu_run_submit_list (chain.run, chain.launches, N_LINKS, NULL));
    npu_run_cancel (chain.run);
    npu_run_wait (chain.run, 100 * SECOND, NULL, NULL);
    g_assert_true (npu_run_is_done (chain.run));
    x = chain_run (&chain, 1, TRUE);
    g_assert_true (
        npu_run_submit_list (chain.run, chain.launches, N_LINKS, NULL));
    chain_clear (&chain); /* in flight */
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/device-units/same-bytes/float", test_float);
  g_test_add_func ("/device-units/same-bytes/odd", test_odd);
  g_test_add_func ("/device-units/same-bytes/bytes", test_bytes);
  g_test_add_func ("/device-units/same-bytes/tiles", test_tiles);
  g_test_add_func ("/device-units/parts", test_parts);
  g_test_add_func ("/device-units/float-control", test_float_control);
  for (guint threads = 1; threads <= 4; threads++) {
    g_autofree char *path =
        g_strdup_printf ("/device-units/many-hosts/%u-threads", threads);

    g_test_add_data_func (path, GUINT_TO_POINTER (threads), test_many_hosts);
  }
  g_test_add_func ("/device-units/given-up", test_given_up);
  g_test_add_func ("/device-units/lists", test_lists);
  g_test_add_func ("/device-units/lists-that-end", test_lists_that_end);
  return g_test_run ();
}
