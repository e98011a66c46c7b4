/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu-device.h"

#include <string.h>

#include "cpu-count.h"
#include "cpu-isa.h"
#include "cpu-lane.h"
#include "cpu-list.h"
#include "cpu-queue.h"
#include "cpu-sanitizer.h"
#include "cpu-worker.h"

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
  cpu_lanes_clear (device);
  g_cond_clear (&device->work);
  for (guint i = 0; i < CPU_N_WAITERS; i++)
    g_cond_clear (&device->done[i]);
  g_mutex_clear (&device->lock);
  g_free (base->name);
  g_free (base->description);
  g_free (device);
}

static const NpuDeviceClass cpu_device_class = {
    .free = cpu_device_free,
    .query = cpu_device_query,
    .buffer_new = cpu_buffer_new,
    .buffer_free = cpu_buffer_free,
    .buffer_sync = cpu_buffer_sync,
    .kernel_open = cpu_kernel_open,
    .kernel_free = cpu_kernel_free,
    .pack_tile = cpu_kernel_pack_tile,
    .run_new = cpu_run_new,
    .run_free = cpu_run_free,
    .submit = cpu_run_submit,
    .count_joined = cpu_run_count_joined,
    .submit_list = cpu_run_submit_list,
    .wait = cpu_run_wait,
    .is_done = cpu_run_is_done,
    .cancel = cpu_run_cancel,
    .run_list = cpu_device_run_list,
};

const char *
cpu_device_level (void)
{
  const char *name = g_getenv ("NPUENC_CPU");

  return name ? name : "";
}

guint
cpu_device_n_workers (const NpuDeviceOptions *options)
{
  return options->threads ? options->threads
                          : MIN (cpu_count (), NPU_MAX_THREADS);
}

#define CLAIMS_INT8 "c-int8" /* see CpuDevice */

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
      {CLAIMS_INT8, 0},
      {"avx2", NPU_CPU_AVX2},
      {"avxvnni", NPU_CPU_AVX2 | NPU_CPU_AVX_VNNI},
      {"avx512", NPU_CPU_AVX2 | NPU_CPU_AVX512},
      {"avx512vnni", NPU_CPU_AVX2 | NPU_CPU_AVX512 | NPU_CPU_AVX512_VNNI},
  };
  const char *name = cpu_device_level ();

  *flags = npu_cpu_flags ();
  if (!*name)
    return TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (levels); i++)
    if (strcmp (name, levels[i].name) == 0) {
      *flags &= levels[i].flags;
      return TRUE;
    }
  g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
      "the environment variable NPUENC_CPU is '%s'; it must be c, c-int8, avx2, avxvnni, avx512 or avx512vnni, or unset for the best this CPU has",
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
        "threads is %u; the CPU device takes at most %d, or 0 for one per core",
        options->threads, NPU_MAX_THREADS);
    return NULL;
  }
  if (!chosen_cpu_flags (&flags, error) || !cpu_isa_limit (error))
    return NULL;

  device = g_new0 (CpuDevice, 1);
  device->base.klass = &cpu_device_class;
  device->base.tables = &device->host;
  device->host.device = &device->base;
  device->claims_int8 = strcmp (cpu_device_level (), CLAIMS_INT8) == 0;
  if (device->claims_int8)
    flags |= NPU_CPU_C_INT8;
  npu_kernels_init (&device->host.kernels, flags);
  npu_few_init (&device->host.few, flags);
  cpu_sanitizer_wrap (&device->host.kernels, &device->host.few, flags);
  device->int8_products =
      (flags & (NPU_CPU_AVX_VNNI | NPU_CPU_AVX512_VNNI)) != 0 &&
      ((device->host.kernels.linear_s8.run && !cpu_gemm_has_amx ()) ||
          cpu_gemm_s8_is_exact ());
  device->fast_bf16 =
      (flags & NPU_CPU_AVX512_BF16) != 0 &&
      ((flags & NPU_CPU_FAST_BF16) != 0 || cpu_gemm_has_amx ()) &&
      cpu_gemm_has_bf16 ();
  device->latency = options->latency;
  device->tile_observer = options->tile_observer;
  device->tile_observer_data = options->tile_observer_data;
  device->base.n_workers = cpu_device_n_workers (options);
  device->base.name = g_strdup ("cpu");
  device->base.description = g_strdup_printf ("cpu (%s, %u workers)",
      device->host.kernels.name, device->base.n_workers);
  g_mutex_init (&device->lock);
  g_cond_init (&device->work);
  for (guint i = 0; i < CPU_N_WAITERS; i++)
    g_cond_init (&device->done[i]);
  g_queue_init (&device->ready);
  g_queue_init (&device->lists);

  cpu_lanes_init (device);
  device->workers = g_new0 (GThread *, device->base.n_workers);
  for (guint i = 0; i < device->base.n_workers; i++) {
    g_autoptr (GError) cause = NULL;

    device->workers[i] =
        g_thread_try_new ("npuenc-cpu", cpu_worker_main, device, &cause);
    if (!device->workers[i]) {
      g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED,
          "cannot start worker %u of %u: %s; a limit of threads (RLIMIT_NPROC, or pids of the cgroup) may be reached: set threads to fewer",
          i + 1, device->base.n_workers, cause->message);
      device->base.n_workers = i;
      cpu_device_free (&device->base);
      return NULL;
    }
  }
  return &device->base;
}
