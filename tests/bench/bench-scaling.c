/* Windows of 5 to 30 s with one thread and with all, in turn: what a second
 * thread is worth, and what a second of audio costs by the window's length.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "bench.h"
#include "npu-clock.h"

#define SECONDS(i) (5 * ((i) + 1))

/* Of one length: one thread, then all; a number a round. */
typedef struct {
  double *ms[2], *processor_ms[2];
} Samples;

static gboolean
run_rounds (BenchWindow windows[2], guint repeat,
    Samples samples[BENCH_N_LENGTHS], GError **error)
{
  for (guint i = 0; i < BENCH_WARM_UP * 2; i++) {
    windows[i % 2].n_frames = 100 * SECONDS (0);
    if (!bench_window_run (&windows[i % 2], error))
      return FALSE;
  }
  for (guint round = 0; round < repeat; round++)
    for (guint i = 0; i < BENCH_N_LENGTHS * 2; i++) {
      /* Not always after the same neighbour. */
      const guint at = (i + round) % (BENCH_N_LENGTHS * 2);
      const guint length = at / 2, threads = at % 2;
      const guint64 start = npu_clock_ns ();
      const guint64 processor_start = bench_processor_ns ();

      windows[threads].n_frames = 100 * SECONDS (length);
      if (!bench_window_run (&windows[threads], error))
        return FALSE;
      samples[length].ms[threads][round] =
          (double) (npu_clock_ns () - start) / 1e6;
      samples[length].processor_ms[threads][round] =
          (double) (bench_processor_ns () - processor_start) / 1e6;
    }
  return TRUE;
}

static double
least (const double *values, guint n)
{
  double best = values[0];

  for (guint i = 1; i < n; i++)
    best = MIN (best, values[i]);
  return best;
}

static void
set_length (BenchLength *length, const Samples *samples, guint repeat)
{
  g_autofree double *ratios = g_new (double, repeat);

  /* Within a round, before the medians sort them. */
  for (guint i = 0; i < repeat; i++)
    ratios[i] = samples->ms[0][i] / samples->ms[1][i];
  length->best_one_ms = least (samples->ms[0], repeat);
  length->best_ms = least (samples->ms[1], repeat);
  length->ratio = bench_median (ratios, repeat);
  length->one_ms = bench_median (samples->ms[0], repeat);
  length->ms = bench_median (samples->ms[1], repeat);
  length->processor_one_ms = bench_median (samples->processor_ms[0], repeat);
  length->processor_ms = bench_median (samples->processor_ms[1], repeat);
}

static void
print_lengths (const Bench *bench, const char *precision, guint threads)
{
  const BenchLength *lengths = bench->lengths;
  const BenchLength *last = &lengths[BENCH_N_LENGTHS - 1];

  g_print (
      "\nwindows of %u to %u s of %s in %s, one thread and %u\n"
      "          medians                      best rounds                processor "
      "ms a second\n"
      "seconds   one ms  all ms  one/all   one ms  all ms  one/all   one      "
      "all\n",
      lengths[0].seconds, last->seconds, bench->model_name, precision, threads);
  for (guint i = 0; i < BENCH_N_LENGTHS; i++)
    g_print ("%7u %8.1f %7.1f %8.2f %8.1f %7.1f %8.2f %5.2f %8.2f\n",
        lengths[i].seconds, lengths[i].one_ms, lengths[i].ms, lengths[i].ratio,
        lengths[i].best_one_ms, lengths[i].best_ms,
        lengths[i].best_one_ms / lengths[i].best_ms,
        lengths[i].processor_one_ms / lengths[i].seconds,
        lengths[i].processor_ms / lengths[i].seconds);
  g_print ("a second of %u costs %.2f times one of %u\n", last->seconds,
      last->processor_ms / last->seconds /
          (lengths[0].processor_ms / lengths[0].seconds),
      lengths[0].seconds);
}

gboolean
bench_run_scaling (Bench *bench, GError **error)
{
  NpuDevice *host = npu_device_get_host (bench->device);
  const guint repeat = bench->options.repeat;
  g_autoptr (NpuDevice) one =
      npu_device_open ("cpu", &(NpuDeviceOptions){.threads = 1}, error);
  g_autoptr (NpuModel) model =
      one ? npu_model_open (bench->options.model, error) : NULL;
  g_autofree double *numbers = g_new (double, BENCH_N_LENGTHS * 4 * repeat);
  BenchWindow windows[2] = {{0}, {0}};
  Samples samples[BENCH_N_LENGTHS];
  gboolean done;

  for (guint i = 0; i < BENCH_N_LENGTHS * 2; i++) {
    samples[i / 2].ms[i % 2] = numbers + 2 * i * repeat;
    samples[i / 2].processor_ms[i % 2] = numbers + (2 * i + 1) * repeat;
  }
  done = model &&
         bench_window_open (
             &windows[0], bench, model, one, NPU_MAX_FRAMES, error) &&
         bench_window_open (
             &windows[1], bench, model, host, NPU_MAX_FRAMES, error) &&
         run_rounds (windows, repeat, samples, error);
  if (done) {
    for (guint i = 0; i < BENCH_N_LENGTHS; i++) {
      bench->lengths[i].seconds = SECONDS (i);
      set_length (&bench->lengths[i], &samples[i], repeat);
    }
    bench->has_lengths = TRUE;
    g_free (bench->model_name);
    bench->model_name = g_strdup (model->name);
    print_lengths (bench, npu_encoder_get_precision (windows[1].encoder),
        npu_device_get_n_workers (host));
  }
  bench_window_clear (&windows[0]);
  bench_window_clear (&windows[1]);
  return done && bench_run_independent (bench, model, error);
}
