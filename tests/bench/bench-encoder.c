/* Whole windows of a model: time, realtime factor, and what each operation
 * takes, with its share of the machine's peak.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench-load.h"
#include "bench.h"
#include "npu-kernels.h"
#include "npu-clock.h"

#define N_FRAMES NPU_MAX_FRAMES
#define WINDOW_SECONDS (N_FRAMES / 100.0)
#define TIMEOUT ((guint64) 60000000000)

/* The operations in the order of a window; blocks are summed. */
static const char *const stage_names[] = {"conv1", "conv2", "attention norm",
    "qkv", "attention", "out", "mlp norm", "fc1", "fc2", "final norm"};
#define N_STAGES G_N_ELEMENTS (stage_names)
G_STATIC_ASSERT (N_STAGES <= BENCH_MAX_STAGES);

typedef struct {
  guint n_mels, d, n_heads, n_layers;
  gboolean int8_products, fast_int8, fast_bf16; /* the CPU's */
  float *mel, *states;
  gsize n_states; /* floats */
} Window;

/* What an encoder's observer adds up: of each operation, window after window.
 */
typedef struct {
  Window *window;
  NpuEncoder *encoder;
  GArray *times; /* of StageTimes */
  guint64
      processor_time; /* when the last stage was done, or the window began */
  double load_ms;
  gboolean verbose;
  guint64 n_on_device; /* stages that were not the host's, of all windows */
} Observed;

/* In ns, by the clock and of this process's threads. */
typedef struct {
  guint64 clock[N_STAGES], processor[N_STAGES];
} StageTimes;

static guint
stage_index (const char *kind)
{
  for (guint i = 0; i < N_STAGES; i++)
    if (strcmp (kind, stage_names[i]) == 0)
      return i;
  return N_STAGES;
}

static void
observe (const NpuStage *stage, NpuExecutorEvent event,
    const NpuExecutorEventInfo *info, gpointer user_data)
{
  Observed *seen = user_data;
  const guint index =
      stage_index (npu_encoder_get_stage_kind (seen->encoder, info->stage));
  NpuDevice *device = stage->launch.kernel->device;
  guint64 processor_time, used;

  if (event != NPU_EVENT_STAGE_DONE)
    return;
  /* A stage begins when the one before is done. */
  processor_time = bench_processor_ns ();
  used = processor_time - seen->processor_time;
  seen->processor_time = processor_time;
  seen->n_on_device += npu_device_get_host (device) != device;
  if (index == N_STAGES)
    return;
  if (seen->times->len > 0) {
    StageTimes *times =
        &g_array_index (seen->times, StageTimes, seen->times->len - 1);

    times->clock[index] += info->stats->total_time;
    times->processor[index] += used;
  }
  if (seen->verbose)
    g_print ("  %-24s %4u tiles in %3u launches, %u stalls, %8.3f ms\n",
        stage->name, (guint) info->stats->tiles, (guint) info->stats->launches,
        (guint) info->stats->stalls, (double) info->stats->total_time / 1e6);
}

static gboolean
run_config (BenchConfig *config, NpuStats *stats, GError **error)
{
  Observed *seen = config->user_data;
  StageTimes none = {{0}, {0}};

  g_array_append_val (seen->times, none);
  seen->processor_time = bench_processor_ns ();
  return npu_encoder_encode (config->object, seen->window->mel, N_FRAMES,
      seen->window->states, stats, error);
}

/* For the estimate: a window at a configuration. */
static gboolean
run_window (gpointer user_data, guint64 *n_stages, GError **error)
{
  BenchConfig *config = user_data;
  Observed *seen = config->user_data;
  NpuStats stats;

  seen->n_on_device = 0;
  if (!config->run (config, &stats, error))
    return FALSE;
  *n_stages = seen->n_on_device;
  return TRUE;
}

/* --- the operations ---------------------------------------------------- */

/* Multiply-adds count two; norms are bound by memory and are not counted. */
static double
stage_gflop (const Window *window, guint stage)
{
  const double d = window->d, layers = window->n_layers;
  const double rows = N_FRAMES / 2.0;
  const double linear = 2e-9 * rows * d * d * layers;

  switch (stage) {
    case 0:
      return 2e-9 * N_FRAMES * 3 * window->n_mels * d;
    case 1:
      return 2e-9 * rows * 3 * d * d;
    case 3:
      return 3 * linear;
    case 4:
      return 4e-9 * rows * rows * d * layers;
    case 5:
      return linear;
    case 7:
    case 8:
      return 4 * linear;
    default:
      return NAN;
  }
}

/* Of what an NPU takes with the programs of kernels/aie2: no convolutions. */
static double
npu_gflop (const Window *window)
{
  double sum = 0;

  for (guint i = 2; i < N_STAGES; i++)
    if (!isnan (stage_gflop (window, i)))
      sum += stage_gflop (window, i);
  return sum;
}

/* Of the windows [first, first + n) that were observed, by the clock or of the
 * processor; *least is that of the fastest. */
static double
median_stage_ms (const Observed *seen, guint first, guint n, guint stage,
    gboolean of_processor, double *least)
{
  g_autofree double *values = g_new (double, n);
  double median;

  for (guint i = 0; i < n; i++) {
    const StageTimes *times =
        &g_array_index (seen->times, StageTimes, first + i);

    values[i] =
        (double) (of_processor ? times->processor : times->clock)[stage] / 1e6;
  }
  median = bench_median (values, n);
  *least = values[0]; /* it sorts them */
  return median;
}

/* Attention has bfloat16 products where those are as fast as FMAs. */
static gboolean
attends_in_bf16 (const Window *window)
{
  return window->fast_bf16 && (npu_cpu_flags () & NPU_CPU_FAST_BF16) != 0;
}

/* What an encoder in int8 multiplies where it is careful, and else. */
static BenchType
careful_type (const Window *window, guint stage)
{
  if (stage == 4 && window->int8_products)
    return attends_in_bf16 (window) ? BENCH_BF16 : BENCH_F32;
  return window->fast_int8 ? BENCH_INT16 : BENCH_F32;
}

static BenchType
int8_type (const Window *window, guint stage)
{
  return window->int8_products ? BENCH_INT8 : careful_type (window, stage);
}

/* How much of an operation is careful: the convolutions, and the first block's
 * linear maps; beside int8 products its attention, too. */
static double
careful_part (const Window *window, guint stage)
{
  if (stage < 2)
    return 1;
  return stage == 3 || stage == 5 || stage == 7 || stage == 8 ||
                 (stage == 4 && window->int8_products)
             ? 1.0 / window->n_layers
             : 0;
}

/* Of most of the operation. */
static BenchType
main_type (const Bench *bench, const Window *window, guint stage)
{
  if (strcmp (bench->precision, "bf16") == 0)
    return (stage == 4 ? attends_in_bf16 (window) : window->fast_bf16)
               ? BENCH_BF16
               : BENCH_F32;
  if (strcmp (bench->precision, "int16") == 0 && stage != 4)
    return BENCH_INT16;
  if (strcmp (bench->precision, "int8") != 0)
    return BENCH_F32;
  return stage < 2 ? careful_type (window, stage) : int8_type (window, stage);
}

static double
ms_at_peak (const Bench *bench, const Window *window, guint stage)
{
  const BenchPeak *peaks = bench->peaks.of;
  const double ms = 1e3 * stage_gflop (window, stage);
  const double part =
      strcmp (bench->precision, "int8") == 0 ? careful_part (window, stage) : 0;

  return ms * part / peaks[careful_type (window, stage)].all +
         ms * (1 - part) / peaks[main_type (bench, window, stage)].all;
}

/* Fills the breakdown, and the share of the whole. */
static void
add_stages (const Bench *bench, const Observed *seen, guint first, guint n,
    BenchResult *result)
{
  const guint threads = npu_device_get_n_workers (bench->device);
  double time_at_peak = 0, processor_ms = 0, best_ms = 0;

  for (guint i = 0; i < N_STAGES; i++) {
    BenchStage *stage = &result->stages[i];
    double least;

    g_strlcpy (stage->name, stage_names[i], sizeof stage->name);
    stage->ms = median_stage_ms (seen, first, n, i, FALSE, &least);
    stage->processor_ms = median_stage_ms (seen, first, n, i, TRUE, &least);
    processor_ms += stage->processor_ms;
    best_ms += least;
    stage->time_percent = 100 * stage->ms / result->window_ms;
    stage->gflop = stage_gflop (seen->window, i);
    stage->peak_share = stage->processor_share = stage->best_share = NAN;
    if (isnan (stage->gflop))
      continue;
    stage->peak = bench_type_name (main_type (bench, seen->window, i));
    if (bench->has_peaks) {
      const double ms = ms_at_peak (bench, seen->window, i);

      stage->peak_share = ms / stage->ms;
      stage->processor_share = threads * ms / stage->processor_ms;
      stage->best_share = threads * ms / least;
      time_at_peak += ms;
    }
  }
  result->n_stages = N_STAGES;
  result->processor_ms = processor_ms;
  if (bench->has_peaks) {
    result->peak_share = time_at_peak / result->window_ms;
    result->processor_share = threads * time_at_peak / processor_ms;
    result->best_share = threads * time_at_peak / best_ms;
  }
}

/* --- the mode ---------------------------------------------------------- */

static Window *
window_new (const NpuModel *model, NpuDevice *device)
{
  NpuDevice *host = npu_device_get_host (device);
  Window *window = g_new0 (Window, 1);
  GRand *rand = g_rand_new_with_seed (1);

  window->n_mels = model->n_mels;
  window->d = model->d;
  window->n_heads = model->n_heads;
  window->n_layers = model->n_layers;
  window->int8_products = npu_device_has_product (host, NPU_PRODUCT_S8);
  window->fast_int8 =
      window->int8_products || npu_device_has_product (host, NPU_PRODUCT_S16);
  window->fast_bf16 = npu_device_has_product (host, NPU_PRODUCT_BF16);
  window->mel = g_new (float, (gsize) model->n_mels *N_FRAMES);
  for (guint i = 0; i < model->n_mels * N_FRAMES; i++)
    window->mel[i] = (float) g_rand_double_range (rand, -1, 1.5);
  window->n_states = (gsize) N_FRAMES / 2 * model->d;
  window->states = g_new0 (float, window->n_states);
  g_rand_free (rand);
  return window;
}

static void
window_free (Window *window)
{
  g_free (window->mel);
  g_free (window->states);
  g_free (window);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Window, window_free)

static NpuEncoder *
open_encoder (const Bench *bench, const NpuModel *model, NpuDevice *device,
    guint depth, guint batch, GError **error)
{
  const NpuEncoderOptions options = {
      .depth = depth,
      .batch_size = batch,
      .precision = bench->options.precision,
      .timeout = TIMEOUT,
  };

  return npu_encoder_new (model, device, &options, error);
}

/* Adds the results of configurations of one batch; the first has depth 1. */
static gboolean
add_results (Bench *bench, BenchConfig *configs, guint n_configs,
    const float *reference, double mel_ms, GError **error)
{
  double sequential_ms = 0;

  for (guint i = 0; i < n_configs; i++) {
    Observed *seen = configs[i].user_data;
    const guint n = configs[i].samples->len * configs[i].n_lists;
    NpuStats median, stats;
    BenchResult result;

    bench_config_median (&configs[i], &median);
    bench_result_init (bench, &result, BENCH_ENCODER, &configs[i], &median);
    result.model = bench->model_name;
    result.window_ms = result.list_ms;
    result.realtime_factor = WINDOW_SECONDS / (result.window_ms / 1e3);
    if (i == 0)
      sequential_ms = result.window_ms;
    result.speedup = sequential_ms / result.window_ms;
    result.load_ms = seen->load_ms;
    result.mel_ms = mel_ms;
    add_stages (bench, seen, BENCH_WARM_UP, n, &result);

    memset (
        seen->window->states, 0xff, seen->window->n_states * sizeof (float));
    if (!configs[i].run (&configs[i], &stats, error))
      return FALSE;
    result.correlation = bench_correlation (
        seen->window->states, reference, seen->window->n_states);
    g_array_append_val (bench->results, result);
  }
  return TRUE;
}

static gboolean
measure (Bench *bench, BenchConfig *configs, guint n_configs, GError **error)
{
  const guint n_depths = bench->options.depths->len;
  const Observed *seen = configs[0].user_data;
  g_autofree float *reference = g_new (float, seen->window->n_states);
  gboolean done = bench_measure (bench, "windows", configs, n_configs, error);
  NpuStats stats;
  double mel_ms;

  if (done && (done = configs[0].run (&configs[0], &stats, error)))
    memcpy (reference, seen->window->states,
        seen->window->n_states * sizeof (float));
  mel_ms = bench_mel_ms (seen->window->n_mels, bench->options.repeat);
  for (guint i = 0; done && i < n_configs; i += n_depths)
    done = add_results (bench, configs + i, n_depths, reference, mel_ms, error);
  if (done && npu_device_get_host (bench->device) != bench->device)
    done = bench_estimate (&bench->estimate, npu_gflop (seen->window),
        run_window, &configs[n_depths - 1], error);
  for (guint i = 0; done && bench->options.verbose && i < n_configs; i++) {
    g_print ("depth %u, batch %u:\n", configs[i].depth, configs[i].batch);
    ((Observed *) configs[i].user_data)->verbose = TRUE;
    done = configs[i].run (&configs[i], &stats, error);
  }
  return done;
}

/* --roofline's own result: that of the fastest. */
static void
add_roofline (Bench *bench, guint first)
{
  const BenchResult *best = NULL;

  for (guint i = first; i < bench->results->len; i++) {
    const BenchResult *result = &g_array_index (bench->results, BenchResult, i);

    if (best == NULL || result->window_ms < best->window_ms)
      best = result;
  }
  if (best != NULL && bench->has_peaks) {
    BenchResult result = *best;

    result.mode = BENCH_ROOFLINE;
    g_array_append_val (bench->results, result);
  }
}

gboolean
bench_run_encoder (Bench *bench, GError **error)
{
  static const guint all_batches[] = {1, 2, 4, 8, 24}, own_batch[] = {0};
  const gboolean is_batch = bench->options.batch_analysis;
  const guint *batches = is_batch ? all_batches : own_batch;
  const GArray *depths = bench->options.depths;
  const guint n_configs =
      depths->len * (is_batch ? G_N_ELEMENTS (all_batches) : 1);
  guint64 start = npu_clock_ns ();
  g_autoptr (NpuModel) model = npu_model_open (bench->options.model, error);
  const guint64 model_time = npu_clock_ns () - start;
  g_autoptr (Window) window = NULL;
  g_autofree BenchConfig *configs = g_new0 (BenchConfig, n_configs);
  g_autofree Observed *seen = g_new0 (Observed, n_configs);
  const guint first = bench->results->len;
  guint n_open = 0;
  gboolean done = model != NULL;

  if (!done)
    return FALSE;
  bench->model_name = g_strdup (model->name);
  window = window_new (model, bench->device);
  for (; done && n_open < n_configs; n_open += done ? 1 : 0) {
    BenchConfig *config = &configs[n_open];

    config->depth = g_array_index (depths, guint, n_open % depths->len);
    config->batch = n_open % depths->len > 0 ? configs[n_open - 1].batch
                                             : batches[n_open / depths->len];
    config->run = run_config;
    start = npu_clock_ns ();
    config->object = open_encoder (
        bench, model, bench->device, config->depth, config->batch, error);
    done = config->object != NULL;
    if (!done)
      break;
    seen[n_open].load_ms =
        (double) (model_time + npu_clock_ns () - start) / 1e6;
    config->batch = npu_encoder_get_batch_size (config->object);
    seen[n_open].window = window;
    seen[n_open].encoder = config->object;
    seen[n_open].times = g_array_new (FALSE, FALSE, sizeof (StageTimes));
    config->user_data = &seen[n_open];
    npu_executor_set_observer (
        npu_encoder_get_executor (config->object), observe, &seen[n_open]);
  }

  if (done)
    bench->precision = npu_encoder_get_precision (configs[0].object);
  done = done && measure (bench, configs, n_configs, error);
  if (done)
    add_roofline (bench, first);
  bench->peak_memory = bench_peak_memory ();
  for (guint i = 0; i < n_open; i++) {
    npu_encoder_free (configs[i].object);
    g_array_unref (seen[i].times);
    bench_config_clear (&configs[i]);
  }
  return done;
}

/* --- a run to be traced ------------------------------------------------ */

typedef struct {
  NpuEncoder *encoder;
  Window *window;
} Traced;

static gboolean
traced_run (gpointer object, GError **error)
{
  Traced *traced = object;

  return npu_encoder_encode (traced->encoder, traced->window->mel, N_FRAMES,
      traced->window->states, NULL, error);
}

static void
traced_free (gpointer object)
{
  Traced *traced = object;

  npu_encoder_free (traced->encoder);
  window_free (traced->window);
  g_free (traced);
}

gboolean
bench_encoder_traced (Bench *bench, NpuDevice *device, guint depth, guint batch,
    BenchTraced *traced, GError **error)
{
  g_autoptr (NpuModel) model = npu_model_open (bench->options.model, error);
  Traced *object;

  if (model == NULL)
    return FALSE;
  object = g_new0 (Traced, 1);
  object->window = window_new (model, device);
  object->encoder = open_encoder (bench, model, device, depth, batch, error);
  if (object->encoder == NULL) {
    traced_free (object);
    return FALSE;
  }
  *traced = (BenchTraced){
      .executor = npu_encoder_get_executor (object->encoder),
      .run = traced_run,
      .free = traced_free,
      .object = object,
  };
  return TRUE;
}
