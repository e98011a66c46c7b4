/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu-device.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "cpu-count.h"
#include "cpu-isa.h"
#include "cpu-list.h"
#include "device/npu-deadline.h"
#include "npu-clock.h"

typedef struct {
  NpuRun base;
  NpuLaunch launch;
  guint next_tile; /* the first that no worker took */
  guint n_unfinished;
  gboolean in_flight;
  gboolean waited_for; /* a thread sleeps until it is done */
  guint64 ready_time;  /* when it may start */
  NpuRunTimes times;
  GList link; /* in the device's queue */
} CpuRun;

/* --- workers ----------------------------------------------------------- */

static guint8 *
aligned_new (gsize size)
{
  void *data = NULL;

  if (posix_memalign (&data, 64, MAX (size, 64)))
    return NULL;
  return data;
}

/* Helps with a list, if there is one. Lists go before the ring's tiles, as they
 * take microseconds; but not when this worker's last tile is long ago. With the
 * lock held, which is let go meanwhile. */
static gboolean
help_with_list (CpuDevice *device, guint64 *last_tile)
{
  CpuList *list;

  if (g_queue_is_empty (&device->lists))
    return FALSE;
  if (g_queue_is_empty (&device->queue))
    *last_tile = npu_clock_ns ();
  else if (npu_clock_ns () - *last_tile >= CPU_LIST_TURN)
    return FALSE;
  list = cpu_device_next_list (device);
  if (!list)
    return FALSE;
  g_mutex_unlock (&device->lock);
  cpu_list_help (device, list);
  g_mutex_lock (&device->lock);
  return TRUE;
}

/* Waits for a run to take a tile of; NULL to quit. With the lock held. */
static CpuRun *
next_run (CpuDevice *device, guint64 *last_tile)
{
  for (;;) {
    CpuRun *run;

    if (help_with_list (device, last_tile))
      continue;
    run = g_queue_peek_head (&device->queue);
    if (!run) {
      if (device->quit)
        return NULL;
      device->n_asleep++;
      g_cond_wait (&device->work, &device->lock);
    } else if (device->latency && npu_clock_ns () < run->ready_time) {
      g_cond_wait_until (
          &device->work, &device->lock, (gint64) (run->ready_time / 1000));
    } else {
      return run;
    }
  }
}

/* @n is 1, or 2 where the kernel has that. */
static void
run_tiles (CpuWorker *worker, const NpuLaunch *launch, guint tile, guint n)
{
  const CpuKernel *kernel = (const CpuKernel *) launch->kernel;

  if (worker->scratch_size < kernel->scratch_size) {
    free (worker->scratch);
    worker->scratch = aligned_new (kernel->scratch_size);
    if (!worker->scratch)
      g_error ("no memory for %" G_GSIZE_FORMAT " bytes of a worker's scratch",
          kernel->scratch_size);
    worker->scratch_size = kernel->scratch_size;
  }
  if (n == 2)
    kernel->run_pair (kernel, launch, tile, worker);
  else
    kernel->run_tile (kernel, launch, tile, worker);
}

/* Of a tile, seen by the device's observer. */
static void
run_tile_observed (
    const CpuDevice *device, CpuWorker *worker, const CpuRun *run, guint tile)
{
  const guint64 start = npu_clock_ns ();

  run_tiles (worker, &run->launch, tile, 1);
  device->tile_observer (worker->number, run->launch.kernel, tile, start,
      npu_clock_ns (), device->tile_observer_data);
}

/* How many tiles of a run a worker takes. Not two of the last ones, so that
 * workers end together, and one where each is observed. */
static guint
n_tiles_to_take (const CpuDevice *device, const CpuRun *run)
{
  const CpuKernel *kernel = (const CpuKernel *) run->launch.kernel;
  const guint rest = run->launch.n_tiles - run->next_tile;

  return kernel->run_pair && rest >= 2 * device->base.n_workers &&
                 !device->tile_observer
             ? 2
             : 1;
}

/* With the lock held, which is let go while a waiting thread is woken: on one
 * core it would run at once, only to sleep again for the lock. The run is its
 * owner's from there on. */
static void
complete_run (CpuDevice *device, CpuRun *run)
{
  const gboolean waited_for = run->waited_for;

  run->times.end = npu_clock_ns ();
  run->in_flight = FALSE;
  if (waited_for) {
    g_mutex_unlock (&device->lock);
    g_cond_broadcast (&device->done);
    g_mutex_lock (&device->lock);
  }
}

static gpointer
worker_main (gpointer data)
{
  CpuDevice *device = data;
  CpuWorker worker = {.gemm = cpu_gemm_thread_new ()};
  guint64 last_tile = 0; /* when it was taken, where lists wait */
  CpuRun *run;

  if (device->latency)
    /* The kernel's default slack of 50 us would be half of such a latency. */
    prctl (PR_SET_TIMERSLACK, 1000, 0, 0, 0);

  g_mutex_lock (&device->lock);
  worker.number = device->n_begun++;
  while ((run = next_run (device, &last_tile))) {
    const guint tile = run->launch.first_tile + run->next_tile;
    const guint n = n_tiles_to_take (device, run);

    if (run->next_tile == 0)
      run->times.start = npu_clock_ns ();
    run->next_tile += n;
    if (run->next_tile == run->launch.n_tiles)
      g_queue_pop_head_link (&device->queue);
    g_mutex_unlock (&device->lock);

    if (G_UNLIKELY (device->tile_observer != NULL))
      run_tile_observed (device, &worker, run, tile);
    else
      run_tiles (&worker, &run->launch, tile, n);

    g_mutex_lock (&device->lock);
    if (!g_queue_is_empty (&device->lists))
      last_tile = npu_clock_ns ();
    run->n_unfinished -= n;
    if (run->n_unfinished == 0)
      complete_run (device, run);
  }
  g_mutex_unlock (&device->lock);

  free (worker.scratch);
  cpu_gemm_thread_free (worker.gemm);
  return NULL;
}

/* --- runs -------------------------------------------------------------- */

static NpuRun *
cpu_run_new (NpuDevice *base, GError **error)
{
  CpuRun *run = g_new0 (CpuRun, 1);

  run->base.device = base;
  run->link.data = run;
  return &run->base;
}

/* How many workers to wake for a new launch; with the lock held. To wake one is
 * a system call even where none sleeps, so each is called once; one that woke
 * up by itself is counted twice, which costs a call. */
static guint
n_workers_to_call (CpuDevice *device, guint n_tiles)
{
  guint n = MIN (n_tiles, device->n_asleep);

  /* With a latency, one call might wake a worker that waits for an older
   * launch's time, and leave idle ones asleep. */
  if (device->latency)
    return device->base.n_workers + 1;
  /* All at once is one call. */
  if (n > 1)
    n = device->n_asleep;
  device->n_asleep -= n;
  return n;
}

static gboolean
cpu_submit (NpuRun *base, const NpuLaunch *launch, GError **error)
{
  CpuRun *run = (CpuRun *) base;
  CpuDevice *device = (CpuDevice *) base->device;
  guint n_called;

  g_mutex_lock (&device->lock);
  g_assert (!run->in_flight);
  run->launch = *launch;
  run->next_tile = 0;
  run->n_unfinished = launch->n_tiles;
  run->in_flight = TRUE;
  run->ready_time = device->latency ? npu_clock_ns () + device->latency : 0;
  g_queue_push_tail_link (&device->queue, &run->link);
  n_called = n_workers_to_call (device, launch->n_tiles);
  g_mutex_unlock (&device->lock);

  /* Without the lock, which they would sleep for again. */
  if (n_called == 1)
    g_cond_signal (&device->work);
  else if (n_called > 1)
    g_cond_broadcast (&device->work);
  return TRUE;
}

static gboolean
cpu_wait (NpuRun *base, guint64 timeout, NpuRunTimes *times, GError **error)
{
  CpuRun *run = (CpuRun *) base;
  CpuDevice *device = (CpuDevice *) base->device;
  NpuDeadline deadline = npu_deadline_in (timeout);
  gboolean in_time;

  g_mutex_lock (&device->lock);
  run->waited_for = TRUE;
  while (run->in_flight &&
         npu_deadline_wait (&deadline, &device->done, &device->lock))
    ;
  run->waited_for = FALSE;
  in_time = !run->in_flight;
  if (in_time && times)
    *times = run->times;
  g_mutex_unlock (&device->lock);

  if (!in_time)
    g_set_error (error, NPU_ERROR, NPU_ERROR_TIMEOUT,
        "the CPU did not complete a launch within %" G_GUINT64_FORMAT " ms",
        timeout / 1000000);
  return in_time;
}

static gboolean
cpu_is_done (NpuRun *base)
{
  CpuRun *run = (CpuRun *) base;
  CpuDevice *device = (CpuDevice *) base->device;
  gboolean done;

  g_mutex_lock (&device->lock);
  done = !run->in_flight;
  g_mutex_unlock (&device->lock);
  return done;
}

static void
cpu_run_free (NpuRun *base)
{
  CpuRun *run = (CpuRun *) base;

  cpu_wait (base, G_MAXUINT64, NULL, NULL);
  g_free (run);
}

/* --- buffers ----------------------------------------------------------- */

typedef struct {
  NpuBuffer base;
  gpointer memory;
} CpuBuffer;

/* Not cleared here but by calloc(), which has no need to touch what is fresh
 * from the kernel: memory that no window reaches stays out of the process. */
static NpuBuffer *
cpu_buffer_new (NpuDevice *device, gsize size, GError **error)
{
  CpuBuffer *buffer;
  const gsize alignment = 64;
  guint8 *memory =
      size <= G_MAXSIZE - alignment ? calloc (1, size + alignment) : NULL;

  if (!memory) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED,
        "no memory for a buffer of %" G_GSIZE_FORMAT " bytes", size);
    return NULL;
  }
  buffer = g_new0 (CpuBuffer, 1);
  buffer->memory = memory;
  buffer->base.device = device;
  buffer->base.data =
      memory + (alignment - GPOINTER_TO_SIZE (memory) % alignment);
  buffer->base.size = size;
  return &buffer->base;
}

static void
cpu_buffer_free (NpuBuffer *base)
{
  CpuBuffer *buffer = (CpuBuffer *) base;

  free (buffer->memory);
  g_free (buffer);
}

static gboolean
cpu_buffer_sync (NpuBuffer *buffer, NpuSyncDirection direction, gsize offset,
    gsize size, GError **error)
{
  return TRUE; /* host and device are one */
}

/* --- device ------------------------------------------------------------ */

/* A launch costs the submitting thread two context switches, so it carries
 * several tiles for every worker; all of the ring's make at least twice the
 * workers, so that none waits for the host. At the usual depth of 3 the ring
 * holds a full window's 24 row tiles: while another process has the core of one
 * worker, the others do not run out of tiles. */
static guint
cpu_batch_for (NpuDevice *base, const NpuOp *op, guint depth)
{
  const CpuDevice *device = (const CpuDevice *) base;
  const guint for_workers = (2 * device->base.n_workers + depth - 1) / depth;

  return CLAMP (for_workers, 8, 24);
}

static void
cpu_device_free (NpuDevice *base)
{
  CpuDevice *device = (CpuDevice *) base;

  g_mutex_lock (&device->lock);
  device->quit = TRUE;
  g_cond_broadcast (&device->work);
  g_mutex_unlock (&device->lock);
  for (guint i = 0; i < device->base.n_workers; i++)
    g_thread_join (device->workers[i]);

  g_free (device->workers);
  g_cond_clear (&device->work);
  g_cond_clear (&device->done);
  g_mutex_clear (&device->lock);
  g_free (base->name);
  g_free (base->description);
  g_free (base->note);
  g_free (device);
}

static const NpuDeviceClass cpu_device_class = {
    .free = cpu_device_free,
    .batch_for = cpu_batch_for,
    .buffer_new = cpu_buffer_new,
    .buffer_free = cpu_buffer_free,
    .buffer_sync = cpu_buffer_sync,
    .kernel_open = cpu_kernel_open,
    .kernel_free = cpu_kernel_free,
    .pack_tile = cpu_kernel_pack_tile,
    .run_new = cpu_run_new,
    .run_free = cpu_run_free,
    .submit = cpu_submit,
    .wait = cpu_wait,
    .is_done = cpu_is_done,
    .run_list = cpu_device_run_list,
};

CpuDevice *
cpu_device_from (NpuDevice *device)
{
  return device->klass == &cpu_device_class ? (CpuDevice *) device : NULL;
}

/* The instruction sets to use: all there are, or for tests and comparisons
 * those up to the one that NPUENC_CPU names. */
static gboolean
chosen_cpu_flags (unsigned *flags, GError **error)
{
  static const struct {
    const char *name;
    unsigned flags;
  } levels[] = {
      {"c", 0},
      {"avx2", NPU_CPU_AVX2},
      {"avxvnni", NPU_CPU_AVX2 | NPU_CPU_AVX_VNNI},
      {"avx512", NPU_CPU_AVX2 | NPU_CPU_AVX512},
      {"avx512vnni", NPU_CPU_AVX2 | NPU_CPU_AVX512 | NPU_CPU_AVX512_VNNI},
  };
  const char *name = g_getenv ("NPUENC_CPU");

  *flags = npu_cpu_flags ();
  if (!name || !*name)
    return TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (levels); i++)
    if (strcmp (name, levels[i].name) == 0) {
      *flags &= levels[i].flags;
      return TRUE;
    }
  g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
      "the environment variable NPUENC_CPU is '%s'; it must be c, avx2, "
      "avxvnni, avx512 or avx512vnni, or unset for the best this CPU has",
      name);
  return FALSE;
}

NpuDevice *
cpu_device_open (const NpuDeviceOptions *options, GError **error)
{
  CpuDevice *device;
  unsigned flags;

  if (options->threads > NPU_MAX_THREADS) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "threads is %u; the CPU device takes at most %d, or 0 for one per "
        "core",
        options->threads, NPU_MAX_THREADS);
    return NULL;
  }
  if (!chosen_cpu_flags (&flags, error) || !cpu_isa_limit (error))
    return NULL;

  device = g_new0 (CpuDevice, 1);
  device->base.klass = &cpu_device_class;
  npu_kernels_init (&device->kernels, flags);
  npu_few_init (&device->few, flags);
  device->base.int8_products =
      (flags & (NPU_CPU_AVX_VNNI | NPU_CPU_AVX512_VNNI)) != 0 &&
      cpu_gemm_s8_is_exact ();
  device->base.int16_products = device->kernels.gemm_s16.run != NULL;
  device->base.fast_int8 =
      device->base.int8_products || device->base.int16_products;
  device->base.fast_bf16 =
      (flags & NPU_CPU_AVX512_BF16) != 0 &&
      ((flags & NPU_CPU_FAST_BF16) != 0 || cpu_gemm_has_amx ()) &&
      cpu_gemm_has_bf16 ();
  device->latency = options->latency;
  device->tile_observer = options->tile_observer;
  device->tile_observer_data = options->tile_observer_data;
  device->base.n_workers =
      options->threads ? options->threads : MIN (cpu_count (), NPU_MAX_THREADS);
  device->base.name = g_strdup ("cpu");
  device->base.description = g_strdup_printf (
      "cpu (%s, %u workers)", device->kernels.name, device->base.n_workers);
  g_mutex_init (&device->lock);
  g_cond_init (&device->work);
  g_cond_init (&device->done);
  g_queue_init (&device->queue);
  g_queue_init (&device->lists);

  device->workers = g_new0 (GThread *, device->base.n_workers);
  for (guint i = 0; i < device->base.n_workers; i++) {
    g_autoptr (GError) cause = NULL;

    device->workers[i] =
        g_thread_try_new ("npuenc-cpu", worker_main, device, &cause);
    if (!device->workers[i]) {
      g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED,
          "cannot start worker %u of %u: %s; a limit of threads (RLIMIT_NPROC, "
          "or pids of the cgroup) may be reached: set threads to fewer",
          i + 1, device->base.n_workers, cause->message);
      device->base.n_workers = i;
      cpu_device_free (&device->base);
      return NULL;
    }
  }
  return &device->base;
}
