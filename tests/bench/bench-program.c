/* Loose tiles on an NPU: the quick-start guide's attention_64x64, a packed
 * block of q, k and v a command, at several depths and batches.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "bench.h"

typedef struct {
  guint n_blocks;
  gint8 *in, *out;
  gsize out_size; /* of all blocks */
} Blocks;

static gboolean
run_config (BenchConfig *config, NpuStats *stats, GError **error)
{
  const Blocks *blocks = config->user_data;

  if (!npu_program_run (
          config->object, blocks->in, blocks->n_blocks, blocks->out, error))
    return FALSE;
  npu_executor_get_run_stats (npu_program_get_executor (config->object), stats);
  return TRUE;
}

/* Makes the blocks for a program whose sizes are known. */
static void
fill_blocks (Blocks *blocks, NpuProgram *program)
{
  const gsize in_size = npu_program_get_in_size (program) * blocks->n_blocks;
  GRand *rand = g_rand_new_with_seed (1);

  blocks->out_size = npu_program_get_out_size (program) * blocks->n_blocks;
  blocks->in = g_malloc (in_size);
  blocks->out = g_malloc (blocks->out_size);
  for (gsize i = 0; i < in_size; i++)
    blocks->in[i] = (gint8) g_rand_int_range (rand, -64, 65);
  g_rand_free (rand);
}

/* Adds the results of configurations of one batch; the first has depth 1. */
static gboolean
add_results (Bench *bench, const char *mode, Blocks *blocks,
    BenchConfig *configs, guint n_configs, GError **error)
{
  g_autofree float *sequential = g_new (float, blocks->out_size);
  g_autofree float *values = g_new (float, blocks->out_size);
  double sequential_ms = 0;

  for (guint i = 0; i < n_configs; i++) {
    NpuStats median, stats;
    BenchResult result;

    bench_config_median (&configs[i], &median);
    bench_result_init (bench, &result, mode, &configs[i], &median);
    result.workload = "attention";
    result.memory_size = npu_program_get_memory_size (configs[i].object);

    memset (blocks->out, 0x55, blocks->out_size);
    if (!configs[i].run (&configs[i], &stats, error))
      return FALSE;
    for (gsize j = 0; j < blocks->out_size; j++)
      values[j] = blocks->out[j];
    if (i == 0) {
      memcpy (sequential, values, blocks->out_size * sizeof *values);
      sequential_ms = result.list_ms;
    }
    result.correlation =
        bench_correlation (values, sequential, blocks->out_size);
    result.speedup = sequential_ms / result.list_ms;
    g_array_append_val (bench->results, result);
  }
  return TRUE;
}

gboolean
bench_run_program (
    Bench *bench, const char *mode, const char *name, GError **error)
{
  static const guint all_batches[] = {1, 2, 4, 8, 24}, own_batch[] = {0};
  const gboolean is_batch = strcmp (mode, BENCH_BATCH) == 0;
  const guint *batches = is_batch ? all_batches : own_batch;
  const GArray *depths = bench->options.depths;
  const guint n_configs =
      depths->len * (is_batch ? G_N_ELEMENTS (all_batches) : 1);
  g_autofree BenchConfig *configs = g_new0 (BenchConfig, n_configs);
  Blocks blocks = {.n_blocks = bench->options.n_tiles};
  guint n_open = 0;
  gboolean done = TRUE;

  for (; done && n_open < n_configs; n_open += done ? 1 : 0) {
    BenchConfig *config = &configs[n_open];
    const NpuProgramOptions options = {
        .depth = g_array_index (depths, guint, n_open % depths->len),
        .batch = batches[n_open / depths->len],
    };

    config->depth = options.depth;
    config->run = run_config;
    config->user_data = &blocks;
    config->object = npu_program_new (bench->device, name, &options, error);
    done = config->object != NULL;
    if (done)
      config->batch = npu_program_get_batch (config->object);
    if (done && n_open == 0)
      fill_blocks (&blocks, config->object);
  }

  done = done && bench_measure (bench, name, configs, n_configs, error);
  for (guint i = 0; done && i < n_configs; i += depths->len)
    done = add_results (bench, mode, &blocks, configs + i, depths->len, error);

  for (guint i = 0; i < n_open; i++) {
    npu_program_free (configs[i].object);
    bench_config_clear (&configs[i]);
  }
  g_free (blocks.in);
  g_free (blocks.out);
  return done;
}
