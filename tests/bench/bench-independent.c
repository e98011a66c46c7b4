/* Encoders with one thread each that know nothing of each other, as many at
 * once as the device has threads: what the processors allow a second thread to
 * be worth, whatever an encoder does with it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>

#include "bench.h"
#include "npu-clock.h"

#define WARM_UP_FRAMES 500

/* One of them, in a thread of its own. */
typedef struct {
  NpuDevice *device;
  BenchWindow window;
  gboolean done;
  GError *error;
} Lone;

static gboolean
lone_open (Lone *lone, const Bench *bench, const NpuModel *model, guint i,
    GError **error)
{
  g_autofree char *pool = g_strdup_printf ("independent %u", i);
  const NpuDeviceOptions options = {.threads = 1, .pool = pool};

  lone->device = npu_device_open ("cpu", &options, error);
  return lone->device && bench_window_open (&lone->window, bench, model,
                             lone->device, NPU_MAX_FRAMES, error);
}

static void
lone_clear (Lone *lone)
{
  bench_window_clear (&lone->window);
  g_clear_pointer (&lone->device, npu_device_unref);
}

static gpointer
lone_main (gpointer data)
{
  Lone *lone = data;

  lone->done = bench_window_run (&lone->window, &lone->error);
  return NULL;
}

/* Windows of the first n at once: ms until all are there. */
static gboolean
run_at_once (Lone *lones, guint n, double *ms, GError **error)
{
  g_autofree GThread **threads = g_new (GThread *, n);
  const guint64 start = npu_clock_ns ();
  gboolean done = TRUE;

  for (guint i = 0; i < n; i++)
    threads[i] = g_thread_new ("independent", lone_main, &lones[i]);
  for (guint i = 0; i < n; i++)
    g_thread_join (threads[i]);
  *ms = (double) (npu_clock_ns () - start) / 1e6;
  for (guint i = 0; i < n; i++)
    if (!lones[i].done) {
      if (done)
        g_propagate_error (error, lones[i].error);
      else
        g_error_free (lones[i].error);
      done = FALSE;
    }
  return done;
}

static void
set_frames (Lone *lones, guint n, guint n_frames)
{
  for (guint i = 0; i < n; i++)
    lones[i].window.n_frames = n_frames;
}

/* One alone and all of them in turn. */
static gboolean
run_rounds (Lone *lones, guint n, guint repeat, BenchIndependent *independent,
    GError **error)
{
  g_autofree double *ratios = g_new (double, repeat);
  double alone = 0, all = 0, best_alone = INFINITY, best_all = INFINITY;

  set_frames (lones, n, WARM_UP_FRAMES);
  if (!run_at_once (lones, n, &all, error))
    return FALSE;
  set_frames (lones, n, NPU_MAX_FRAMES);
  for (guint i = 0; i < repeat; i++) {
    if (!run_at_once (lones, 1, &alone, error) ||
        !run_at_once (lones, n, &all, error))
      return FALSE;
    ratios[i] = n * alone / all;
    best_alone = MIN (best_alone, alone);
    best_all = MIN (best_all, all);
  }
  independent->encoders = n;
  independent->ratio = bench_median (ratios, repeat);
  independent->best = n * best_alone / best_all;
  return TRUE;
}

gboolean
bench_run_independent (Bench *bench, const NpuModel *model, GError **error)
{
  const guint n =
      npu_device_get_n_workers (npu_device_get_host (bench->device));
  g_autofree Lone *lones = g_new0 (Lone, n);
  BenchIndependent *independent = &bench->independent;
  gboolean done = TRUE;

  for (guint i = 0; done && i < n; i++)
    done = lone_open (&lones[i], bench, model, i, error);
  done =
      done && run_rounds (lones, n, bench->options.repeat, independent, error);
  for (guint i = 0; i < n; i++)
    lone_clear (&lones[i]);
  if (done)
    g_print ("%u encoders with one thread each and nothing in common, at once: "
             "%.2f times the windows of one alone; by the best rounds %.2f\n",
        n, independent->ratio, independent->best);
  return done;
}
