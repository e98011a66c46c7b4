/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-npu.h"

#include <pthread.h>
#include <string.h>

#include "device/device-registry.h"
#include "device/npu-device-impl.h"
#include "device/op-args.h"
#include "fake-npu-pieces.h"
#include "npu-clock.h"

typedef struct {
  NpuDevice base;
  NpuDevice *array; /* computes */
  gboolean lost;
} FakeNpu;

typedef struct {
  NpuBuffer base;
  NpuBuffer *memory; /* the device's */
  NpuBuffer host;    /* base.data as a buffer of the array */
} FakeNpuBuffer;

typedef struct {
  NpuKernel base;
  NpuOp op;          /* its pointers are dead */
  NpuKernel *kernel; /* of the array */
} FakeNpuKernel;

typedef struct {
  NpuRun base;
  NpuRun *run; /* of the array */
  gboolean fails;
  guint64 hung_until; /* 0 where it does not hang */
  gboolean corrupts;
  NpuLaunch launch;
} FakeNpuRun;

/* Of all devices: pthread's, as ThreadSanitizer knows those. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FakeNpuOptions options;
static FakeNpuCounts counts;
static guint32 random_state;

static FakeNpuOptions
current_options (void)
{
  FakeNpuOptions copy;

  pthread_mutex_lock (&lock);
  copy = options;
  pthread_mutex_unlock (&lock);
  return copy;
}

static void
count_alive (gint n)
{
  pthread_mutex_lock (&lock);
  counts.n_alive += n;
  pthread_mutex_unlock (&lock);
}

static gboolean
is_there (NpuDevice *device, GError **error)
{
  if (!__atomic_load_n (&((FakeNpu *) device)->lost, __ATOMIC_RELAXED))
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_LOST,
      "device %s has gone; see the kernel's log", device->name);
  return FALSE;
}

/* --- buffers ----------------------------------------------------------- */

static NpuBuffer *
fake_npu_buffer_new (NpuDevice *device, gsize size, GError **error)
{
  FakeNpuBuffer *buffer = g_new0 (FakeNpuBuffer, 1);

  buffer->base.device = device;
  buffer->base.size = size;
  buffer->base.data = g_aligned_alloc0 (1, MAX (size, 64), 64);
  buffer->memory = npu_buffer_new (((FakeNpu *) device)->array, size, error);
  g_assert_nonnull (buffer->memory);
  memset (buffer->memory->data, 0xff, size);
  buffer->host = *buffer->memory;
  buffer->host.data = buffer->base.data;
  count_alive (1);
  return &buffer->base;
}

static void
fake_npu_buffer_free (NpuBuffer *base)
{
  FakeNpuBuffer *buffer = (FakeNpuBuffer *) base;

  npu_buffer_free (buffer->memory);
  g_aligned_free (buffer->base.data);
  g_free (buffer);
  count_alive (-1);
}

static void
copy (NpuBuffer *base, NpuSyncDirection direction, gsize offset, gsize size)
{
  guint8 *host = base->data + offset;
  guint8 *memory = ((FakeNpuBuffer *) base)->memory->data + offset;

  g_assert_cmpuint (offset + size, <=, base->size);
  if (direction == NPU_SYNC_TO_DEVICE)
    memcpy (memory, host, size);
  else
    memcpy (host, memory, size);
  pthread_mutex_lock (&lock);
  counts.synced[direction] += size;
  pthread_mutex_unlock (&lock);
}

static gboolean
fake_npu_buffer_sync (NpuBuffer *base, NpuSyncDirection direction, gsize offset,
    gsize size, GError **error)
{
  if (!is_there (base->device, error))
    return FALSE;
  copy (base, direction, offset, size);
  return TRUE;
}

/* --- kernels ----------------------------------------------------------- */

static gboolean
is_supported (const NpuOp *op)
{
  const FakeNpuOps ops = current_options ().ops;

  switch (op->kind) {
    case NPU_OP_LINEAR:
      return (op->linear.product == NPU_PRODUCT_BF16 &&
                 (ops & FAKE_NPU_LINEAR_BF16)) ||
             (op->linear.product == NPU_PRODUCT_S8 &&
                 (ops & FAKE_NPU_LINEAR_Q8));
    case NPU_OP_ATTENTION:
      return op->attention.qkv_storage == NPU_STORAGE_BF16 &&
             (ops & FAKE_NPU_ATTENTION);
    case NPU_OP_LAYERNORM:
      return op->layernorm.y_storage == NPU_STORAGE_BF16 &&
             (ops & FAKE_NPU_LAYERNORM);
    case NPU_OP_GELU:
      return op->gelu.storage == NPU_STORAGE_BF16 && (ops & FAKE_NPU_GELU);
    default:
      return FALSE;
  }
}

/* Rows that overlap are packed by the host, and so are attention tiles. */
static guint
host_args_for (const NpuOp *op)
{
  guint args = 0;

  if (op->kind != NPU_OP_LINEAR)
    return 0;
  if (op->linear.a_stride && op->linear.a_stride != op->linear.k)
    args |= NPU_ARG_BIT (NPU_ARG_A);
  if (op->linear.c_layout == NPU_LAYOUT_QKV_TILES)
    args |= NPU_ARG_BIT (NPU_ARG_QKV_Q) | NPU_ARG_BIT (NPU_ARG_QKV_K) |
            NPU_ARG_BIT (NPU_ARG_QKV_V);
  else if (current_options ().host_epilogue)
    args |= NPU_ARG_BIT (NPU_ARG_C) | NPU_ARG_BIT (NPU_ARG_R);
  return args;
}

static NpuKernel *
fake_npu_kernel_open (NpuDevice *device, const NpuOp *op, GError **error)
{
  FakeNpuKernel *kernel;
  NpuOp array_op = *op;

  if (current_options ().refuse_kernels) {
    g_set_error_literal (
        error, NPU_ERROR, NPU_ERROR_BUSY, "all contexts are in use");
    return NULL;
  }
  if (!is_supported (op)) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
        "%s has no overlay for that", device->name);
    return NULL;
  }
  /* Its tiles of queries are not those of the CPU: twice as large. */
  if (op->kind == NPU_OP_ATTENTION)
    array_op.attention.scale *= 0.5f;
  kernel = g_new0 (FakeNpuKernel, 1);
  kernel->op = *op;
  kernel->kernel =
      npu_kernel_open (((FakeNpu *) device)->array, &array_op, error);
  if (!kernel->kernel) {
    g_free (kernel);
    return NULL;
  }
  kernel->base = *kernel->kernel;
  kernel->base.device = device;
  kernel->base.host_args = host_args_for (op);
  if (op->kind == NPU_OP_ATTENTION)
    kernel->base.groups_per_launch = current_options ().heads;
  count_alive (1);
  return &kernel->base;
}

static void
fake_npu_kernel_free (NpuKernel *base)
{
  npu_kernel_unref (((FakeNpuKernel *) base)->kernel);
  g_free (base);
  count_alive (-1);
}

static void
fake_npu_pack_tile (const NpuKernel *base, guint arg, guint8 *data, guint tile,
    const float *x, gsize stride, guint rows)
{
  const FakeNpuKernel *kernel = (const FakeNpuKernel *) base;
  float doubled[64 * 64];

  g_assert_cmpint (kernel->op.kind, ==, NPU_OP_ATTENTION);
  for (guint i = 0; i < rows * 64; i++)
    doubled[i] = x[i / 64 * stride + i % 64] * (arg == NPU_ARG_Q ? 2 : 1);
  npu_kernel_pack_tile (kernel->kernel, arg, data, tile, doubled, 64, rows);
}

/* --- runs -------------------------------------------------------------- */

static NpuRun *
fake_npu_run_new (
    NpuDevice *device, const NpuRunOptions *wishes, GError **error)
{
  FakeNpuRun *run = g_new0 (FakeNpuRun, 1);

  run->base.device = device;
  run->run = npu_run_new (((FakeNpu *) device)->array, wishes, error);
  count_alive (1);
  return &run->base;
}

/* Until its time is over, or the test wants no hangs any more. */
static gboolean
hangs (const FakeNpuRun *run)
{
  return npu_clock_ns () < run->hung_until && current_options ().hang_at > 0;
}

static gboolean
fake_npu_is_done (NpuRun *base)
{
  FakeNpuRun *run = (FakeNpuRun *) base;

  return !hangs (run) && npu_run_is_done (run->run);
}

static void
fake_npu_run_free (NpuRun *base)
{
  FakeNpuRun *run = (FakeNpuRun *) base;

  while (hangs (run))
    g_usleep (1000);
  npu_run_free (run->run);
  g_free (run);
  count_alive (-1);
}

/* Copies what the launch reads or writes of its own, and crosses. */
static void
sync_launch (const NpuLaunch *launch, NpuSyncDirection direction)
{
  const FakeNpuKernel *kernel = (const FakeNpuKernel *) launch->kernel;
  const guint args = launch->sync_args & (direction == NPU_SYNC_TO_DEVICE
                                                 ? npu_op_reads (&kernel->op)
                                                 : npu_op_writes (&kernel->op));

  for (guint arg = 0; arg < NPU_MAX_ARGS; arg++) {
    FakeNpuPieces pieces;

    if (!(args & NPU_ARG_BIT (arg)))
      continue;
    if (kernel->base.host_args & NPU_ARG_BIT (arg)) {
      pthread_mutex_lock (&lock);
      counts.n_syncs_wasted++;
      pthread_mutex_unlock (&lock);
    }
    fake_npu_pieces_of (&kernel->op, kernel->kernel, launch, arg, &pieces);
    for (guint i = 0; i < pieces.n; i++)
      copy (launch->args[arg], direction,
          launch->offset[arg] + pieces.offset + i * pieces.step, pieces.size);
  }
}

static gboolean
fake_npu_prepare (NpuRun *run, const NpuLaunch *launch, GError **error)
{
  if (!is_there (run->device, error))
    return FALSE;
  sync_launch (launch, NPU_SYNC_TO_DEVICE);
  return TRUE;
}

static gboolean
fake_npu_finish (NpuRun *run, const NpuLaunch *launch, GError **error)
{
  if (!is_there (run->device, error))
    return FALSE;
  sync_launch (launch, NPU_SYNC_FROM_DEVICE);
  return TRUE;
}

/* Decides what becomes of a launch. */
static void
draw_fate (FakeNpuRun *run)
{
  FakeNpu *device = (FakeNpu *) run->base.device;
  guint n;

  pthread_mutex_lock (&lock);
  n = ++counts.n_launches;
  random_state = random_state * 1664525u + 1013904223u;
  run->fails = n == options.fail_at ||
               (random_state >> 8) < options.failure_rate * (1 << 24);
  run->corrupts = n == options.corrupt_at;
  run->hung_until =
      n == options.hang_at ? npu_clock_ns () + options.hang_time : 0;
  if (options.lose_at > 0 && n >= options.lose_at)
    __atomic_store_n (&device->lost, TRUE, __ATOMIC_RELAXED);
  if (run->fails || run->hung_until)
    counts.n_failed++;
  pthread_mutex_unlock (&lock);
}

static gboolean
fake_npu_submit (NpuRun *base, const NpuLaunch *launch, GError **error)
{
  FakeNpuRun *run = (FakeNpuRun *) base;
  const FakeNpuKernel *kernel = (const FakeNpuKernel *) launch->kernel;
  NpuLaunch array_launch = *launch;

  if (!is_there (base->device, error))
    return FALSE;
  draw_fate (run);
  run->launch = *launch;
  array_launch.kernel = kernel->kernel;
  array_launch.sync_args = 0;
  for (guint arg = 0; arg < NPU_MAX_ARGS; arg++) {
    FakeNpuBuffer *buffer = (FakeNpuBuffer *) launch->args[arg];

    if (buffer)
      array_launch.args[arg] = kernel->base.host_args & NPU_ARG_BIT (arg)
                                   ? &buffer->host
                                   : buffer->memory;
  }
  /* What hangs or fails may have computed anything: here, nothing. */
  return run->fails || run->hung_until ||
         npu_run_submit (run->run, &array_launch, error);
}

/* What the launch has written becomes NaNs, of whatever type. */
static void
corrupt (const NpuLaunch *launch)
{
  const FakeNpuKernel *kernel = (const FakeNpuKernel *) launch->kernel;
  const guint written = npu_op_writes (&kernel->op);

  for (guint arg = 0; arg < NPU_MAX_ARGS; arg++) {
    FakeNpuBuffer *buffer = (FakeNpuBuffer *) launch->args[arg];
    const gboolean on_host = kernel->base.host_args & NPU_ARG_BIT (arg);
    FakeNpuPieces pieces;

    if (!buffer || !(written & NPU_ARG_BIT (arg)))
      continue;
    fake_npu_pieces_of (&kernel->op, kernel->kernel, launch, arg, &pieces);
    for (guint i = 0; i < pieces.n; i++)
      memset ((on_host ? buffer->host.data : buffer->memory->data) +
                  launch->offset[arg] + pieces.offset + i * pieces.step,
          0xff, pieces.size);
  }
}

static gboolean
fake_npu_wait (
    NpuRun *base, guint64 timeout, NpuRunTimes *times, GError **error)
{
  FakeNpuRun *run = (FakeNpuRun *) base;
  const guint64 end = npu_clock_ns () + timeout;

  while (hangs (run) && npu_clock_ns () < end)
    g_usleep (1000);
  if (hangs (run)) {
    g_set_error_literal (
        error, NPU_ERROR, NPU_ERROR_TIMEOUT, "the test lets the launch hang");
    return FALSE;
  }
  if (!run->fails && !run->hung_until)
    g_assert_true (npu_run_wait (run->run, G_MAXINT64, times, NULL));
  if (run->corrupts)
    corrupt (&run->launch);
  run->corrupts = FALSE;
  if (!is_there (base->device, error))
    return FALSE;
  if (run->fails || run->hung_until) {
    g_set_error_literal (error, NPU_ERROR, NPU_ERROR_LAUNCH,
        "the device reports state 'error' for the command");
    return FALSE;
  }
  return TRUE;
}

/* --- the device -------------------------------------------------------- */

static gboolean
refuse (const NpuDevice *device, GError **error)
{
  g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
      "%s has no overlay for that", device->name);
  return FALSE;
}

static gboolean
fake_npu_query (NpuDevice *device, const NpuOp *op, guint depth,
    NpuSupport *support, GError **error)
{
  const guint batch = current_options ().batch;

  support->batch = batch ? batch : 24;
  return is_supported (op) || refuse (device, error);
}

static void
fake_npu_free (NpuDevice *base)
{
  npu_device_unref (((FakeNpu *) base)->array);
  npu_device_unref (base->host);
  g_free (base->name);
  g_free (base->description);
  g_free (base);
  count_alive (-1);
}

static const NpuDeviceClass fake_npu_class = {
    .free = fake_npu_free,
    .query = fake_npu_query,
    .buffer_new = fake_npu_buffer_new,
    .buffer_free = fake_npu_buffer_free,
    .buffer_sync = fake_npu_buffer_sync,
    .kernel_open = fake_npu_kernel_open,
    .kernel_free = fake_npu_kernel_free,
    .pack_tile = fake_npu_pack_tile,
    .run_new = fake_npu_run_new,
    .run_free = fake_npu_run_free,
    .prepare = fake_npu_prepare,
    .finish = fake_npu_finish,
    .submit = fake_npu_submit,
    .wait = fake_npu_wait,
    .is_done = fake_npu_is_done,
};

static NpuDevice *
fake_npu_open (
    const char *name, const NpuDeviceOptions *device_options, GError **error)
{
  const FakeNpuOptions now = current_options ();
  const NpuDeviceOptions cpu = {.threads = now.threads ? now.threads : 1};
  FakeNpu *device;

  if (now.open_message) {
    g_set_error_literal (error, NPU_ERROR, now.open_error, now.open_message);
    return NULL;
  }
  device = g_new0 (FakeNpu, 1);
  device->base.klass = &fake_npu_class;
  device->base.name = g_strdup (strcmp (name, "xrt") == 0 ? "xrt:0" : name);
  device->base.description = g_strdup ("a fake NPU");
  device->base.host = npu_device_open ("cpu", &cpu, error);
  device->array = npu_device_open ("cpu", &cpu, error);
  g_assert_nonnull (device->base.host);
  g_assert_nonnull (device->array);
  count_alive (1);
  pthread_mutex_lock (&lock);
  counts.n_opened++;
  pthread_mutex_unlock (&lock);
  return &device->base;
}

void
fake_npu_change (const FakeNpuOptions *to)
{
  pthread_mutex_lock (&lock);
  options = *to;
  pthread_mutex_unlock (&lock);
}

void
fake_npu_install (const FakeNpuOptions *to)
{
  npu_device_replace_xrt (to ? fake_npu_open : NULL);
  if (!to)
    return;
  fake_npu_change (to);
  pthread_mutex_lock (&lock);
  counts = (FakeNpuCounts){.n_alive = counts.n_alive};
  random_state = 1;
  pthread_mutex_unlock (&lock);
}

FakeNpuCounts
fake_npu_get_counts (void)
{
  FakeNpuCounts copy;

  pthread_mutex_lock (&lock);
  copy = counts;
  pthread_mutex_unlock (&lock);
  return copy;
}
