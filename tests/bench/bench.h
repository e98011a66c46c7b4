/* npuenc-bench: what its modes share. A mode makes configurations, has them
 * measured in turn, and adds a result for each; the results are printed,
 * written as JSON, and the best is named.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <npuenc.h>

#include "bench-estimate.h"
#include "bench-peak.h"

G_BEGIN_DECLS

/* Modes, as they are named in JSON. */
#define BENCH_PIPELINED "pipelined"
#define BENCH_BATCH "batch"
#define BENCH_ENCODER "encoder"
#define BENCH_ROOFLINE "roofline"
#define BENCH_DECODER "decoder"

typedef struct {
  char *device, *overlays, *model, *json, *trace, *svg;
  guint n_tiles;
  GArray *depths; /* of guint, ascending, 1 first: what others compare with */
  guint threads, repeat, latency_us;
  NpuPrecision precision;
  gboolean batch_analysis, pipelined, encoder, decoder, roofline, small;
  gboolean scaling;
  gboolean verbose;
} BenchOptions;

/* Part of a window's time: one operation, summed over the blocks. */
typedef struct {
  char name[24];
  double ms, time_percent;
  double gflop; /* NAN: not counted */
  double peak_share;
  /* Of all threads, and its share of the peak: what others on the machine take
   * does not count, nor does waiting. */
  double processor_ms, processor_share;
  /* That of the window in which it took least of the processors: the peak is
   * that of the best round, too. */
  double best_share;
  const char *peak; /* bench_type_name(), or NULL */
} BenchStage;

#define BENCH_MAX_STAGES 16
#define BENCH_LAUNCH_DEPTH 3 /* of what a launch costs */

/* Runs of each configuration before any that counts. */
#define BENCH_WARM_UP 2

/* Medians; what a mode does not measure is NAN, or NULL. */
typedef struct {
  const char *mode;
  const char *workload; /* "attention", "block" or NULL */
  const char *model;
  const char *precision; /* that was chosen */
  guint depth, batch;
  guint64 tiles, launches, stalls;
  double tile_ms, list_ms, window_ms;
  double dma_write_ms, compute_ms, dma_read_ms, dma_overhead_percent;
  double speedup, correlation, realtime_factor, peak_share;
  double processor_ms, processor_share; /* as a stage's */
  double best_share;                    /* of all operations' best */
  double load_ms; /* from the model's path to an encoder that is ready */
  double mel_ms;  /* of a window, in one thread */
  guint rows;     /* decoder: sequences a step; else 0 */
  guint windows;  /* that they read */
  double token_ms, prompt_tokens_per_second; /* where rows is not 0 */
  gsize memory_size;                         /* 0: not measured */
  guint n_stages;
  BenchStage stages[BENCH_MAX_STAGES];
} BenchResult;

/* Medians: of a list of launches and of a window of a second, with one thread
 * and with all. */
typedef struct {
  double list_one_us, list_us, second_one_ms, second_ms;
} BenchSmall;

/* Of windows of some seconds: one thread and all, medians; ratio is that of one
 * thread to all within a round. The best are of the fastest round of each: what
 * a shared machine's quiet moments allow. */
typedef struct {
  guint seconds;
  double one_ms, ms, ratio, processor_one_ms, processor_ms;
  double best_one_ms, best_ms;
} BenchLength;

/* What the processors allow: windows of 30 s of independent encoders with one
 * thread each, as many at once as there are threads, beside one alone. */
typedef struct {
  guint encoders;     /* 0: not measured */
  double ratio, best; /* windows in a time, in multiples of one alone: the
                       * median of rounds, and by the fastest of each */
} BenchIndependent;

#define BENCH_N_LENGTHS 6

typedef struct {
  BenchOptions options;
  NpuDevice *device;
  const char *precision; /* of what is measured now: "int8", not "auto" */
  char *model_name;      /* of the model that was measured, or NULL */
  GArray *results;       /* of BenchResult */
  gboolean has_peaks;
  BenchPeaks peaks;
  gboolean has_small;
  BenchSmall small;
  gboolean has_lengths;
  BenchLength lengths[BENCH_N_LENGTHS];
  BenchIndependent independent;
  /* Per launch of an empty kernel at depth 3: in the executor, outside of the
   * device's verbs; the host's processor time; the whole, by the clock. */
  double executor_us, host_us, empty_launch_us;
  double others_percent; /* of the processors, used by other programs; or NAN */
  gsize peak_memory;     /* bytes, of this process; 0: not measured */
  BenchEstimate estimate; /* of windows on an NPU */
} Bench;

/* One configuration: an object and how it runs once. */
typedef struct _BenchConfig BenchConfig;
struct _BenchConfig {
  guint depth, batch;
  gpointer object;
  gboolean (*run) (BenchConfig *config, NpuStats *stats, GError **error);
  gpointer user_data;
  GArray *samples; /* of NpuStats, each of n_lists runs */
  guint n_lists;
};

/* Threads that compute on the CPU, for the device or beside it. */
guint npu_device_get_n_workers (const NpuDevice *device);

/* --- bench-options.c */
gboolean bench_options_parse (
    BenchOptions *options, int *argc, char ***argv, GError **error);
void bench_options_clear (BenchOptions *options);

/* --- bench-measure.c */
/* Warms all up, then runs each in turn, options.repeat times; a sample has as
 * many runs as make it long enough for the clock. */
gboolean bench_measure (const Bench *bench, const char *what,
    BenchConfig *configs, guint n_configs, GError **error);
/* The median of each field, of one run. */
void bench_config_median (const BenchConfig *config, NpuStats *median);
void bench_config_clear (BenchConfig *config);
double bench_median (double *values, guint n);
/* Time of all threads of this process: others on the machine do not count. */
guint64 bench_processor_ns (void);
/* 1 where the two are the same in every bit, else Pearson's. */
double bench_correlation (const float *a, const float *b, gsize n);
/* A result with what statistics tell. */
void bench_result_init (const Bench *bench, BenchResult *result,
    const char *mode, const BenchConfig *config, const NpuStats *median);

/* --- the modes */
gboolean bench_run_tiles (
    Bench *bench, const char *mode, const char *workload, GError **error);
/* The same on a device that has programs: @name is one of them. */
gboolean bench_run_program (
    Bench *bench, const char *mode, const char *name, GError **error);
gboolean bench_run_encoder (Bench *bench, GError **error);
/* bench-decoder.c; a decoder's result has load_ms to one that is ready. */
gboolean bench_run_decoder (Bench *bench, GError **error);
void bench_print_decoder (const Bench *bench, guint first_result);
/* bench-mel.c: what whispermel computes for a window of noise; the median. */
double bench_mel_ms (guint n_mels, guint repeat);
gboolean bench_run_launch (Bench *bench, GError **error);
/* bench-small.c: measures and prints. */
gboolean bench_run_small (Bench *bench, GError **error);
/* bench-scaling.c: measures and prints. */
gboolean bench_run_scaling (Bench *bench, GError **error);

/* --- bench-window.c: an encoder with noise for it. n_frames may be made less
 * later. Clear it whether it could be opened or not. */
typedef struct {
  NpuEncoder *encoder;
  float *mel, *states;
  guint n_frames;
} BenchWindow;

gboolean bench_window_open (BenchWindow *window, const Bench *bench,
    const NpuModel *model, NpuDevice *device, guint n_frames, GError **error);
gboolean bench_window_run (gpointer window, GError **error);
void bench_window_clear (BenchWindow *window);

/* bench-independent.c: measures and prints. */
gboolean bench_run_independent (
    Bench *bench, const NpuModel *model, GError **error);

/* --- bench-trace.c */
/* Runs the deepest configuration of the richest workload once more with a
 * trace, and draws it. */
gboolean bench_trace (Bench *bench, GError **error);

/* --- for bench-trace.c: one configuration, to be run by its executor */
typedef struct {
  NpuExecutor *executor;
  gboolean (*run) (gpointer object, GError **error);
  void (*free) (gpointer object);
  gpointer object;
} BenchTraced;

gboolean bench_tiles_traced (Bench *bench, NpuDevice *device, guint depth,
    guint batch, BenchTraced *traced, GError **error);
gboolean bench_encoder_traced (Bench *bench, NpuDevice *device, guint depth,
    guint batch, BenchTraced *traced, GError **error);

/* --- bench-report.c */
void bench_print_header (const Bench *bench);
void bench_print_results (
    const Bench *bench, const char *title, guint first_result);
void bench_print_best (
    const Bench *bench, const char *what, guint first_result);
/* Of windows: what there is besides encoding them. */
void bench_print_around (const Bench *bench, guint first_result);
void bench_print_peaks (const Bench *bench);
void bench_print_launch_cost (const Bench *bench);
void bench_print_others (const Bench *bench);

/* --- bench-json.c */
gboolean bench_write_json (const Bench *bench, GError **error);
/* "AMD EPYC", or "unknown". Free with g_free(). */
char *bench_cpu_name (void);

G_END_DECLS
