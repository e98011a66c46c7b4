/* Loose tiles: attention, and the whole block, at several depths and batches on
 * the same inputs.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "bench.h"

#define ELEMENTS (64 * 64)
#define COLUMNS                                                                \
  256 /* of the block's product: four times its input, as MLPs                 \
       */

/* The inputs of all configurations and the outputs of one. */
typedef struct {
  guint n_tiles;
  gboolean is_block;
  gint8 *data; /* q, k, v of each tile */
  NpuTile *k, *v;
  NpuAttentionTile *list;
  float gamma[64], beta[64], bias[COLUMNS];
  float *weight;
  NpuTilesBlock block;
  gsize n_outputs;
  float *outputs; /* attention; in a block layernorm, matmul, gelu follow */
} Workload;

static Workload *
workload_new (guint n_tiles, gboolean is_block)
{
  Workload *work = g_new0 (Workload, 1);
  GRand *rand = g_rand_new_with_seed (1);

  work->n_tiles = n_tiles;
  work->is_block = is_block;
  work->data = g_new (gint8, 3 * n_tiles * ELEMENTS);
  work->k = g_new (NpuTile, n_tiles);
  work->v = g_new (NpuTile, n_tiles);
  work->list = g_new (NpuAttentionTile, n_tiles);
  work->weight = g_new (float, COLUMNS * 64);
  for (guint i = 0; i < 3 * n_tiles * ELEMENTS; i++)
    work->data[i] = (gint8) g_rand_int_range (rand, -127, 128);
  for (guint i = 0; i < n_tiles; i++) {
    const gint8 *q = work->data + 3 * i * ELEMENTS;

    work->k[i] = (NpuTile){.data = q + ELEMENTS, .scale = 0.02f};
    work->v[i] = (NpuTile){.data = q + 2 * ELEMENTS, .scale = 0.01f};
    work->list[i] = (NpuAttentionTile){.q = {.data = q, .scale = 0.02f},
        .k = &work->k[i],
        .v = &work->v[i],
        .n_kv = 1};
  }
  for (guint i = 0; i < 64; i++)
    work->gamma[i] = (float) g_rand_double_range (rand, 0.5, 1.5);
  for (guint i = 0; i < COLUMNS * 64; i++)
    work->weight[i] = (float) g_rand_double_range (rand, -0.2, 0.2);
  g_rand_free (rand);

  work->block = (NpuTilesBlock){
      .gamma = work->gamma,
      .beta = work->beta,
      .weight = work->weight,
      .bias = work->bias,
      .n = COLUMNS,
  };
  work->n_outputs =
      (gsize) n_tiles * 64 * (is_block ? 2 * 64 + 2 * COLUMNS : 64);
  work->outputs = g_new0 (float, work->n_outputs);
  return work;
}

static void
workload_free (Workload *work)
{
  g_free (work->data);
  g_free (work->k);
  g_free (work->v);
  g_free (work->list);
  g_free (work->weight);
  g_free (work->outputs);
  g_free (work);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Workload, workload_free)

static gboolean
workload_run (Workload *work, NpuTiles *tiles, GError **error)
{
  const gsize rows = (gsize) work->n_tiles * 64;
  const NpuTilesResults results = {
      .attention = work->outputs,
      .layernorm = work->outputs + rows * 64,
      .matmul = work->outputs + rows * 2 * 64,
      .gelu = work->outputs + rows * (2 * 64 + COLUMNS),
  };

  if (work->is_block)
    return npu_tiles_block (tiles, work->list, work->n_tiles, &results, error);
  return npu_tiles_attention (
      tiles, work->list, work->n_tiles, work->outputs, error);
}

static NpuTiles *
open_tiles (const Bench *bench, NpuDevice *device, const Workload *work,
    guint depth, guint batch, GError **error)
{
  const NpuTilesOptions options = {
      .depth = depth,
      .batch = batch,
      .product = strcmp (bench->precision, "int8") == 0 ? NPU_PRODUCT_S8
                                                        : NPU_PRODUCT_F32,
  };

  return npu_tiles_new (
      device, &options, work->is_block ? &work->block : NULL, error);
}

static gboolean
run_config (BenchConfig *config, NpuStats *stats, GError **error)
{
  if (!workload_run (config->user_data, config->object, error))
    return FALSE;
  npu_tiles_get_last_stats (config->object, stats);
  return TRUE;
}

/* --- a mode ------------------------------------------------------------ */

static gboolean
print_lines (BenchConfig *config, GError **error)
{
  NpuStats stats;

  g_print ("depth %u, batch %u:\n", config->depth, config->batch);
  npu_tiles_set_verbose (config->object, stdout);
  if (!config->run (config, &stats, error))
    return FALSE;
  npu_tiles_set_verbose (config->object, NULL);
  return TRUE;
}

/* Adds the results of configurations of one batch; the first has depth 1. */
static gboolean
add_results (Bench *bench, const char *mode, Workload *work,
    BenchConfig *configs, guint n_configs, GError **error)
{
  g_autofree float *sequential = g_new (float, work->n_outputs);
  double sequential_ms = 0;

  for (guint i = 0; i < n_configs; i++) {
    NpuStats median, stats;
    BenchResult result;

    bench_config_median (&configs[i], &median);
    bench_result_init (bench, &result, mode, &configs[i], &median);
    result.workload = work->is_block ? "block" : "attention";
    result.memory_size = npu_tiles_get_memory_size (configs[i].object);

    memset (work->outputs, 0xff, work->n_outputs * sizeof (float));
    if (!configs[i].run (&configs[i], &stats, error))
      return FALSE;
    if (i == 0) {
      memcpy (sequential, work->outputs, work->n_outputs * sizeof (float));
      sequential_ms = result.list_ms;
    }
    result.correlation =
        bench_correlation (work->outputs, sequential, work->n_outputs);
    result.speedup = sequential_ms / result.list_ms;
    g_array_append_val (bench->results, result);
  }
  return TRUE;
}

gboolean
bench_run_tiles (
    Bench *bench, const char *mode, const char *workload, GError **error)
{
  static const guint all_batches[] = {1, 2, 4, 8, 24}, own_batch[] = {0};
  const gboolean is_batch = strcmp (mode, BENCH_BATCH) == 0;
  const guint *batches = is_batch ? all_batches : own_batch;
  const guint n_batches = is_batch ? G_N_ELEMENTS (all_batches) : 1;
  const GArray *depths = bench->options.depths;
  const guint n_configs = n_batches * depths->len;
  g_autoptr (Workload) work =
      workload_new (bench->options.n_tiles, strcmp (workload, "block") == 0);
  g_autofree BenchConfig *configs = g_new0 (BenchConfig, n_configs);
  guint n_open = 0;
  gboolean done = TRUE;

  for (; done && n_open < n_configs; n_open += done ? 1 : 0) {
    BenchConfig *config = &configs[n_open];

    config->depth = g_array_index (depths, guint, n_open % depths->len);
    /* Of one batch at all depths, so that depth alone differs. */
    config->batch = n_open % depths->len > 0 ? configs[n_open - 1].batch
                                             : batches[n_open / depths->len];
    config->run = run_config;
    config->user_data = work;
    config->object = open_tiles (
        bench, bench->device, work, config->depth, config->batch, error);
    done = config->object != NULL;
    if (done)
      config->batch = npu_tiles_get_batch (config->object);
  }

  done = done && bench_measure (bench, workload, configs, n_configs, error);
  for (guint i = 0; done && i < n_configs; i += depths->len)
    done = add_results (bench, mode, work, configs + i, depths->len, error);
  for (guint i = 0; done && bench->options.verbose && i < n_configs; i++)
    done = print_lines (&configs[i], error);

  for (guint i = 0; i < n_open; i++) {
    npu_tiles_free (configs[i].object);
    bench_config_clear (&configs[i]);
  }
  return done;
}

/* --- a run to be traced ------------------------------------------------ */

typedef struct {
  Workload *work;
  NpuTiles *tiles;
} Traced;

static gboolean
traced_run (gpointer object, GError **error)
{
  Traced *traced = object;

  return workload_run (traced->work, traced->tiles, error);
}

static void
traced_free (gpointer object)
{
  Traced *traced = object;

  npu_tiles_free (traced->tiles);
  workload_free (traced->work);
  g_free (traced);
}

gboolean
bench_tiles_traced (Bench *bench, NpuDevice *device, guint depth, guint batch,
    BenchTraced *traced, GError **error)
{
  Traced *object;

  if (device != npu_device_get_host (device)) {
    g_set_error_literal (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "--trace and --svg draw windows on an NPU: use them with --encoder");
    return FALSE;
  }
  object = g_new0 (Traced, 1);
  object->work = workload_new (bench->options.n_tiles, TRUE);
  object->tiles = open_tiles (bench, device, object->work, depth, batch, error);
  if (object->tiles == NULL) {
    traced_free (object);
    return FALSE;
  }
  *traced = (BenchTraced){
      .executor = npu_tiles_get_executor (object->tiles),
      .run = traced_run,
      .free = traced_free,
      .object = object,
  };
  return TRUE;
}
