/* Small work: launches of one row that depend on each other, as a list, and a
 * window of a second; with one thread and with all, in turn.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "bench.h"
#include "npu-clock.h"

/* base's. */
#define WIDTH 512
#define N_LAYERS 6
#define PER_LAYER 8
#define N_LAUNCHES (N_LAYERS * PER_LAYER + 2)

#define SECOND_FRAMES 100
#define TIMEOUT ((guint64) 60000000000)

/* --- a list -------------------------------------------------------------- */

typedef struct {
  NpuDevice *device;
  NpuKernel *kernels[N_LAUNCHES];
  NpuBuffer *x, *y, *wide;
  NpuLaunch launches[N_LAUNCHES];
  guint n;
  NpuRun *run;
} List;

/* Of what the CPU has, the one that the decoder's weights would be in. */
static NpuProduct
product_for (const Bench *bench)
{
  if (bench->options.precision == NPU_PRECISION_F32)
    return NPU_PRODUCT_F32;
  if (npu_device_has_product (bench->device, NPU_PRODUCT_S8))
    return NPU_PRODUCT_S8;
  return npu_device_has_product (bench->device, NPU_PRODUCT_S16)
             ? NPU_PRODUCT_S16
             : NPU_PRODUCT_F32;
}

static const char *
name_of (NpuProduct product)
{
  if (product == NPU_PRODUCT_F32)
    return "f32";
  return product == NPU_PRODUCT_S8 ? "int8" : "int16";
}

static gboolean
add_launch (List *list, const NpuOp *op, NpuBuffer *in, NpuBuffer *out,
    NpuBuffer *residual, GError **error)
{
  NpuKernel *kernel = npu_kernel_open (list->device, op, error);

  list->kernels[list->n] = kernel;
  list->launches[list->n++] = (NpuLaunch){
      .kernel = kernel, .args = {in, out, residual}, .rows = 1, .n_tiles = 1};
  return kernel != NULL;
}

static gboolean
add_linear (List *list, NpuProduct product, guint k, guint n,
    const float *weight, NpuBuffer *in, NpuBuffer *out, GError **error)
{
  const NpuOp op = {.kind = NPU_OP_LINEAR,
      .rows = 1,
      .weight = weight,
      .linear = {
          .k = k, .n = n, .product = product, .residual = in != list->y}};

  return add_launch (
      list, &op, in, out, op.linear.residual ? out : NULL, error);
}

static gboolean
add_norm (List *list, const float *weight, GError **error)
{
  const NpuOp op = {.kind = NPU_OP_LAYERNORM,
      .rows = 1,
      .weight = weight,
      .bias = weight,
      .layernorm = {.n = WIDTH, .epsilon = 1e-5f}};

  return add_launch (list, &op, list->x, list->y, NULL, error);
}

/* Norm, q, k and v, their output's map, the same of the attention over a window
 * but for k and v, norm, and the two layers of the perceptron. */
static gboolean
add_layer (List *list, NpuProduct product, const float *weight, GError **error)
{
  return add_norm (list, weight, error) &&
         add_linear (list, product, WIDTH, 3 * WIDTH, weight, list->y,
             list->wide, error) &&
         add_linear (
             list, product, WIDTH, WIDTH, weight, list->wide, list->x, error) &&
         add_linear (
             list, product, WIDTH, WIDTH, weight, list->y, list->wide, error) &&
         add_linear (
             list, product, WIDTH, WIDTH, weight, list->wide, list->x, error) &&
         add_norm (list, weight, error) &&
         add_linear (list, product, WIDTH, 4 * WIDTH, weight, list->y,
             list->wide, error) &&
         add_linear (list, product, 4 * WIDTH, WIDTH, weight, list->wide,
             list->x, error);
}

static gboolean
fill_list (List *list, NpuProduct product, GError **error)
{
  const gsize n_weights = 4 * WIDTH * WIDTH;
  const gsize row = 64 * WIDTH * sizeof (float);
  g_autofree float *weight = g_new (float, n_weights);
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  gboolean done;

  for (gsize i = 0; i < n_weights; i++)
    weight[i] = (float) g_rand_double_range (rand, -0.05, 0.05);
  list->x = npu_buffer_new (list->device, row, error);
  list->y = list->x ? npu_buffer_new (list->device, row, error) : NULL;
  list->wide = list->y ? npu_buffer_new (list->device, 4 * row, error) : NULL;
  done = list->wide != NULL;
  for (guint i = 0; done && i < WIDTH; i++)
    ((float *) list->x->data)[i] = (float) g_rand_double_range (rand, -1, 1);
  for (guint i = 0; done && i < N_LAYERS; i++)
    done = add_layer (list, product, weight, error);
  if (done)
    done = add_norm (list, weight, error) &&
           add_linear (
               list, product, WIDTH, WIDTH, weight, list->y, list->wide, error);
  list->run = done ? npu_run_new (list->device, NULL, error) : NULL;
  return list->run != NULL;
}

static void
clear_list (List *list)
{
  npu_run_free (list->run);
  for (guint i = 0; i < list->n; i++)
    npu_kernel_unref (list->kernels[i]);
  npu_buffer_free (list->x);
  npu_buffer_free (list->y);
  npu_buffer_free (list->wide);
}

static gboolean
run_list (gpointer object, GError **error)
{
  List *list = object;

  return npu_run_submit_list (list->run, list->launches, list->n, error) &&
         npu_run_wait (list->run, TIMEOUT, NULL, error);
}

/* --- both ---------------------------------------------------------------- */

/* Medians in ms of @objects' runs, the one with one thread first. */
static gboolean
time_in_turn (gpointer objects[2], gboolean (*run) (gpointer, GError **),
    guint n_runs, guint repeat, double *ms, GError **error)
{
  g_autofree double *times = g_new (double, 2 * repeat);
  gboolean done = TRUE;

  for (guint i = 0; done && i < 2 * (repeat + BENCH_WARM_UP); i++) {
    const guint64 start = npu_clock_ns ();

    for (guint j = 0; done && j < n_runs; j++)
      done = run (objects[i % 2], error);
    if (i >= 2 * BENCH_WARM_UP)
      times[i % 2 * repeat + i / 2 - BENCH_WARM_UP] =
          (double) (npu_clock_ns () - start) / 1e6 / n_runs;
  }
  if (done)
    for (guint i = 0; i < 2; i++)
      ms[i] = bench_median (times + i * repeat, repeat);
  return done;
}

static gboolean
time_lists (Bench *bench, NpuDevice *devices[2], GError **error)
{
  const NpuProduct product = product_for (bench);
  List lists[2] = {{.device = devices[0]}, {.device = devices[1]}};
  gpointer objects[] = {&lists[0], &lists[1]};
  BenchSmall *small = &bench->small;
  double ms[2];
  const gboolean done =
      fill_list (&lists[0], product, error) &&
      fill_list (&lists[1], product, error) &&
      time_in_turn (objects, run_list, 10, bench->options.repeat, ms, error);

  if (done) {
    small->list_one_us = 1e3 * ms[0];
    small->list_us = 1e3 * ms[1];
    g_print ("a list of %u launches of one row, each of which needs the one "
             "before (base's sizes, %s): one thread %.0f us, %u %.0f us "
             "(%.2fx)\n",
        N_LAUNCHES, name_of (product), small->list_one_us,
        npu_device_get_n_workers (devices[1]), small->list_us, ms[1] / ms[0]);
  }
  clear_list (&lists[0]);
  clear_list (&lists[1]);
  return done;
}

static gboolean
time_seconds (Bench *bench, NpuDevice *devices[2], GError **error)
{
  NpuModel *model = npu_model_open (bench->options.model, error);
  BenchWindow seconds[2] = {{0}, {0}};
  gpointer objects[] = {&seconds[0], &seconds[1]};
  BenchSmall *small = &bench->small;
  double ms[2];
  const gboolean done = model &&
                        bench_window_open (&seconds[0], bench, model,
                            devices[0], SECOND_FRAMES, error) &&
                        bench_window_open (&seconds[1], bench, model,
                            devices[1], SECOND_FRAMES, error) &&
                        time_in_turn (objects, bench_window_run, 1,
                            bench->options.repeat, ms, error);

  if (done) {
    small->second_one_ms = ms[0];
    small->second_ms = ms[1];
    g_print ("a window of a second of %s in %s: one thread %.2f ms, %u %.2f ms "
             "(%.2fx)\n",
        model->name, npu_encoder_get_precision (seconds[1].encoder), ms[0],
        npu_device_get_n_workers (devices[1]), ms[1], ms[1] / ms[0]);
  }
  bench_window_clear (&seconds[0]);
  bench_window_clear (&seconds[1]);
  g_clear_pointer (&model, npu_model_unref);
  return done;
}

gboolean
bench_run_small (Bench *bench, GError **error)
{
  NpuDevice *host = npu_device_get_host (bench->device);
  g_autoptr (NpuDevice) one = npu_device_open ("cpu",
      &(NpuDeviceOptions){
          .threads = 1, .latency = 1000 * (guint64) bench->options.latency_us},
      error);
  NpuDevice *devices[] = {one, host};

  g_print ("\n");
  if (!one || !time_lists (bench, devices, error) ||
      !time_seconds (bench, devices, error))
    return FALSE;
  bench->has_small = TRUE;
  return TRUE;
}
