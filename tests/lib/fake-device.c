/* The fake device: launches on worker threads, at once, or when waited for.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "fake-device.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "device/npu-device-impl.h"
#include "npu-clock.h"

typedef struct {
  NpuDevice base;
  FakeOptions options;
  pthread_t *workers;

  /* pthread's, as ThreadSanitizer knows those. Guards all below. */
  pthread_mutex_t lock;
  pthread_cond_t queued, completed;
  gboolean quit;
  GPtrArray *in_flight; /* FakeRun, in the order of submission */
  GArray *log;          /* FakeRecord */
  GRand *random;
  guint n_submissions;
  guint64 moment;
  guint fail_submit, fail_launch, hang, n_hang;
  guint64 sync_time[2];
  guint64 hung_time;
  guint violations;
} FakeDevice;

typedef enum {
  RUN_IDLE, /* or completed */
  RUN_QUEUED,
  RUN_COMPUTING,
  RUN_HUNG,
} RunState;

typedef struct {
  NpuRun base;
  RunState state;
  NpuLaunch launch;
  guint record; /* index in the log */
  guint64 checksum;
  gboolean fails, failed;
  NpuRunTimes times;
} FakeRun;

static FakeDevice *
fake (NpuDevice *device)
{
  return (FakeDevice *) device;
}

static void
sleep_ns (guint64 ns)
{
  struct timespec left = {(time_t) (ns / 1000000000), (long) (ns % 1000000000)};

  while (ns > 0 && nanosleep (&left, &left) < 0 && errno == EINTR)
    ;
}

static guint64
checksum (const NpuBuffer *buffer)
{
  guint64 sum = 14695981039346656037u;

  for (gsize i = 0; buffer != NULL && i < buffer->size; i++)
    sum = (sum ^ buffer->data[i]) * 1099511628211u;
  return sum;
}

/* --- launches --------------------------------------------------------- */

/* Without the lock: the launch is this thread's. */
static void
compute (FakeDevice *device, FakeRun *run, guint64 delay, guint8 garbage)
{
  const FakeOptions *options = &device->options;
  const NpuLaunch *launch = &run->launch;

  run->times.start = npu_clock_ns ();
  sleep_ns (delay);
  /* Inputs are read late, so that whoever writes them early is found out. */
  if (options->watch_input && checksum (launch->args[0]) != run->checksum)
    __atomic_fetch_add (&device->violations, 1, __ATOMIC_RELAXED);
  for (guint i = 0; options->tile != NULL && i < launch->n_tiles; i++)
    options->tile (launch, launch->first_tile + i, options->user_data);
  if (options->scribble && launch->args[0] != NULL)
    memset (launch->args[0]->data, garbage, launch->args[0]->size);
  run->times.end = npu_clock_ns ();
}

/* With the lock. */
static void
complete (FakeDevice *device, FakeRun *run)
{
  run->state = RUN_IDLE;
  run->failed = run->fails;
  g_ptr_array_remove (device->in_flight, run);
  if (!device->options.no_log) {
    FakeRecord *record = &g_array_index (device->log, FakeRecord, run->record);

    record->completed = device->moment++;
    record->start = run->times.start;
    record->end = run->times.end;
  }
  pthread_cond_broadcast (&device->completed);
}

/* With the lock, in the thread of a caller. */
static void
compute_here (FakeDevice *device, FakeRun *run)
{
  guint8 garbage = (guint8) g_rand_int (device->random);

  run->state = RUN_COMPUTING;
  pthread_mutex_unlock (&device->lock);
  compute (device, run, device->options.launch_time, garbage);
  pthread_mutex_lock (&device->lock);
  complete (device, run);
}

/* With the lock: a launch that a worker may take, or NULL. */
static FakeRun *
pick (FakeDevice *device)
{
  FakeRun *picked = NULL;
  guint n_seen = 0;

  for (guint i = 0; i < device->in_flight->len; i++) {
    FakeRun *run = g_ptr_array_index (device->in_flight, i);

    if (run->state != RUN_QUEUED)
      continue;
    if (!device->options.scramble)
      return run;
    if (g_rand_int_range (device->random, 0, ++n_seen) == 0)
      picked = run;
  }
  return picked;
}

static void *
work (void *data)
{
  FakeDevice *device = data;

  pthread_mutex_lock (&device->lock);
  while (!device->quit) {
    FakeRun *run = pick (device);
    guint64 delay = device->options.launch_time;
    guint8 garbage;

    if (run == NULL) {
      pthread_cond_wait (&device->queued, &device->lock);
      continue;
    }
    if (device->options.scramble)
      delay = (guint64) (g_rand_double (device->random) * (double) delay);
    garbage = (guint8) g_rand_int (device->random);
    run->state = RUN_COMPUTING;
    pthread_mutex_unlock (&device->lock);
    compute (device, run, delay, garbage);
    pthread_mutex_lock (&device->lock);
    complete (device, run);
  }
  pthread_mutex_unlock (&device->lock);
  return NULL;
}

/* --- runs ------------------------------------------------------------- */

static NpuRun *
fake_run_new (NpuDevice *device, const NpuRunOptions *options, GError **error)
{
  FakeRun *run = g_new0 (FakeRun, 1);

  run->base.device = device;
  return &run->base;
}

static void
fake_run_free (NpuRun *base)
{
  FakeDevice *device = fake (base->device);
  FakeRun *run = (FakeRun *) base;

  pthread_mutex_lock (&device->lock);
  if (run->state == RUN_QUEUED && device->options.mode == FAKE_ON_WAIT)
    compute_here (device, run);
  while (run->state != RUN_IDLE)
    pthread_cond_wait (&device->completed, &device->lock);
  pthread_mutex_unlock (&device->lock);
  g_free (run);
}

static void
log_submission (FakeDevice *device, FakeRun *run)
{
  FakeRecord record = {
      .kernel = run->launch.kernel,
      .first_tile = run->launch.first_tile,
      .n_tiles = run->launch.n_tiles,
      .in_flight = device->in_flight->len,
      .submitted = device->moment++,
      .completed = G_MAXUINT64,
      .submit_time = npu_clock_ns (),
  };

  run->record = device->log->len;
  g_array_append_val (device->log, record);
}

static gboolean
fake_submit (NpuRun *base, const NpuLaunch *launch, GError **error)
{
  FakeDevice *device = fake (base->device);
  FakeRun *run = (FakeRun *) base;
  gboolean ok = TRUE;
  guint n;

  pthread_mutex_lock (&device->lock);
  n = device->n_submissions++;
  if (run->state != RUN_IDLE || launch->kernel->device != base->device) {
    __atomic_fetch_add (&device->violations, 1, __ATOMIC_RELAXED);
    ok = FALSE;
  }
  if (!ok || n == device->fail_submit) {
    pthread_mutex_unlock (&device->lock);
    g_set_error (
        error, NPU_ERROR, NPU_ERROR_FAILED, "the test refuses to submit");
    return FALSE;
  }

  run->launch = *launch;
  if (device->options.watch_input)
    run->checksum = checksum (launch->args[0]);
  run->fails = n == device->fail_launch;
  run->failed = FALSE;
  if (!device->options.no_log)
    log_submission (device, run);
  g_ptr_array_add (device->in_flight, run);
  if (n >= device->hang && n - device->hang < device->n_hang) {
    run->state = RUN_HUNG;
  } else if (device->options.mode == FAKE_AT_ONCE) {
    compute_here (device, run);
  } else {
    run->state = RUN_QUEUED;
    pthread_cond_signal (&device->queued);
  }
  pthread_mutex_unlock (&device->lock);
  return TRUE;
}

static gboolean
is_at_work (FakeDevice *device)
{
  for (guint i = 0; i < device->in_flight->len; i++) {
    const FakeRun *run = g_ptr_array_index (device->in_flight, i);

    if (run->state == RUN_COMPUTING ||
        (run->state == RUN_QUEUED && device->options.mode != FAKE_ON_WAIT))
      return TRUE;
  }
  return FALSE;
}

/* Only what hangs times out, however busy this machine is, and not before the
 * others are done. Called with the lock. */
static void
wait_for (FakeDevice *device, const FakeRun *run, guint64 timeout)
{
  const guint64 deadline = npu_clock_ns () + timeout;
  const struct timespec until = {
      (time_t) (deadline / 1000000000), (long) (deadline % 1000000000)};
  gboolean is_over = FALSE;

  while (run->state != RUN_IDLE &&
         !(run->state == RUN_HUNG && is_over && !is_at_work (device))) {
    if (run->state == RUN_HUNG && !is_over)
      is_over = pthread_cond_timedwait (
                    &device->completed, &device->lock, &until) == ETIMEDOUT;
    else
      pthread_cond_wait (&device->completed, &device->lock);
  }
  if (run->state != RUN_IDLE)
    __atomic_fetch_add (&device->hung_time, timeout, __ATOMIC_RELAXED);
}

static gboolean
fake_wait (NpuRun *base, guint64 timeout, NpuRunTimes *times, GError **error)
{
  FakeDevice *device = fake (base->device);
  FakeRun *run = (FakeRun *) base;
  gboolean done, failed;

  pthread_mutex_lock (&device->lock);
  if (run->state == RUN_QUEUED && device->options.mode == FAKE_ON_WAIT)
    compute_here (device, run);
  wait_for (device, run, timeout);
  done = run->state == RUN_IDLE;
  failed = run->failed;
  if (done)
    *times = run->times;
  pthread_mutex_unlock (&device->lock);

  if (!done) {
    g_set_error_literal (
        error, NPU_ERROR, NPU_ERROR_TIMEOUT, "the test lets the launch hang");
    return FALSE;
  }
  if (failed) {
    g_set_error_literal (
        error, NPU_ERROR, NPU_ERROR_LAUNCH, "the test lets the launch fail");
    return FALSE;
  }
  return TRUE;
}

static gboolean
fake_is_done (NpuRun *base)
{
  FakeDevice *device = fake (base->device);
  gboolean done;

  pthread_mutex_lock (&device->lock);
  done = ((FakeRun *) base)->state == RUN_IDLE;
  pthread_mutex_unlock (&device->lock);
  return done;
}

/* --- buffers, kernels ------------------------------------------------- */

static gboolean
fake_query (NpuDevice *device, const NpuOp *op, guint depth,
    NpuSupport *support, GError **error)
{
  support->batch = 1;
  return TRUE;
}

static NpuBuffer *
fake_buffer_new (NpuDevice *device, gsize size, GError **error)
{
  NpuBuffer *buffer = g_new0 (NpuBuffer, 1);

  buffer->device = device;
  buffer->size = size;
  buffer->data = g_aligned_alloc0 (1, size, 64);
  return buffer;
}

static void
fake_buffer_free (NpuBuffer *buffer)
{
  g_aligned_free (buffer->data);
  g_free (buffer);
}

static gboolean
fake_buffer_sync (NpuBuffer *buffer, NpuSyncDirection direction, gsize offset,
    gsize size, GError **error)
{
  FakeDevice *device = fake (buffer->device);
  guint64 start = npu_clock_ns ();
  guint64 taken;

  sleep_ns (device->options.sync_time);
  taken = npu_clock_ns () - start;
  __atomic_fetch_add (&device->sync_time[direction], taken, __ATOMIC_RELAXED);
  return TRUE;
}

static NpuKernel *
fake_kernel_open (NpuDevice *device, const NpuOp *op, GError **error)
{
  NpuKernel *kernel = g_new0 (NpuKernel, 1);

  kernel->device = device;
  return kernel;
}

static void
fake_kernel_free (NpuKernel *kernel)
{
  g_free (kernel);
}

/* --- the device ------------------------------------------------------- */

static void
fake_free (NpuDevice *base)
{
  FakeDevice *device = fake (base);

  g_assert_cmpuint (device->in_flight->len, ==, 0);
  pthread_mutex_lock (&device->lock);
  device->quit = TRUE;
  pthread_cond_broadcast (&device->queued);
  pthread_mutex_unlock (&device->lock);
  for (guint i = 0; i < device->options.n_workers; i++)
    pthread_join (device->workers[i], NULL);

  pthread_cond_destroy (&device->queued);
  pthread_cond_destroy (&device->completed);
  pthread_mutex_destroy (&device->lock);
  g_ptr_array_unref (device->in_flight);
  g_array_unref (device->log);
  g_rand_free (device->random);
  g_free (device->workers);
  g_free (base->name);
  g_free (base->description);
  g_free (device);
}

static const NpuDeviceClass fake_class = {
    .free = fake_free,
    .query = fake_query,
    .buffer_new = fake_buffer_new,
    .buffer_free = fake_buffer_free,
    .buffer_sync = fake_buffer_sync,
    .kernel_open = fake_kernel_open,
    .kernel_free = fake_kernel_free,
    .run_new = fake_run_new,
    .run_free = fake_run_free,
    .submit = fake_submit,
    .wait = fake_wait,
    .is_done = fake_is_done,
};

NpuDevice *
fake_device_new (const FakeOptions *options)
{
  FakeDevice *device = g_new0 (FakeDevice, 1);
  pthread_condattr_t monotonic;

  device->base.klass = &fake_class;
  device->base.name = g_strdup (options->name != NULL ? options->name : "fake");
  device->base.description = g_strdup ("a fake");
  device->options = *options;
  if (options->mode != FAKE_WORKERS)
    device->options.n_workers = 0;
  device->in_flight = g_ptr_array_new ();
  device->log = g_array_new (FALSE, TRUE, sizeof (FakeRecord));
  device->random = g_rand_new_with_seed (1);
  device->fail_submit = device->fail_launch = device->hang = G_MAXUINT;

  pthread_mutex_init (&device->lock, NULL);
  pthread_cond_init (&device->queued, NULL);
  pthread_condattr_init (&monotonic);
  pthread_condattr_setclock (&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init (&device->completed, &monotonic);
  pthread_condattr_destroy (&monotonic);

  device->workers = g_new0 (pthread_t, device->options.n_workers);
  for (guint i = 0; i < device->options.n_workers; i++)
    g_assert_cmpint (
        pthread_create (&device->workers[i], NULL, work, device), ==, 0);
  return &device->base;
}

NpuKernel *
fake_kernel_new (NpuDevice *device)
{
  return fake_kernel_open (device, NULL, NULL);
}

static void
inject (NpuDevice *base, guint fail_submit, guint fail_launch, guint hang,
    guint n_hang)
{
  FakeDevice *device = fake (base);

  pthread_mutex_lock (&device->lock);
  device->n_submissions = 0;
  device->fail_submit = fail_submit;
  device->fail_launch = fail_launch;
  device->hang = hang;
  device->n_hang = n_hang;
  pthread_mutex_unlock (&device->lock);
}

void
fake_device_fail_submit_at (NpuDevice *device, guint n)
{
  inject (device, n, G_MAXUINT, G_MAXUINT, 0);
}

void
fake_device_fail_launch_at (NpuDevice *device, guint n)
{
  inject (device, G_MAXUINT, n, G_MAXUINT, 0);
}

void
fake_device_hang_at (NpuDevice *device, guint first, guint n_launches)
{
  inject (device, G_MAXUINT, G_MAXUINT, first, n_launches);
}

void
fake_device_behave (NpuDevice *device)
{
  inject (device, G_MAXUINT, G_MAXUINT, G_MAXUINT, 0);
}

void
fake_device_release (NpuDevice *base)
{
  FakeDevice *device = fake (base);

  pthread_mutex_lock (&device->lock);
  for (guint i = device->in_flight->len; i-- > 0;) {
    FakeRun *run = g_ptr_array_index (device->in_flight, i);

    if (run->state == RUN_HUNG)
      complete (device, run);
  }
  pthread_mutex_unlock (&device->lock);
}

void
fake_device_complete_all (NpuDevice *base)
{
  FakeDevice *device = fake (base);
  guint i = 0;

  pthread_mutex_lock (&device->lock);
  while (i < device->in_flight->len) {
    FakeRun *run = g_ptr_array_index (device->in_flight, i);

    if (run->state == RUN_QUEUED)
      compute_here (device, run);
    else
      i++;
  }
  pthread_mutex_unlock (&device->lock);
}

void
fake_device_complete_newest (NpuDevice *base)
{
  FakeDevice *device = fake (base);
  FakeRun *run;

  pthread_mutex_lock (&device->lock);
  run = g_ptr_array_index (device->in_flight, device->in_flight->len - 1);
  g_assert (run->state == RUN_QUEUED);
  compute_here (device, run);
  pthread_mutex_unlock (&device->lock);
}

const FakeRecord *
fake_device_get_log (NpuDevice *device, guint *n_records)
{
  const FakeRecord *records;

  pthread_mutex_lock (&fake (device)->lock);
  *n_records = fake (device)->log->len;
  records = (const FakeRecord *) fake (device)->log->data;
  pthread_mutex_unlock (&fake (device)->lock);
  return records;
}

guint
fake_device_get_in_flight (NpuDevice *device)
{
  guint n;

  pthread_mutex_lock (&fake (device)->lock);
  n = fake (device)->in_flight->len;
  pthread_mutex_unlock (&fake (device)->lock);
  return n;
}

guint64
fake_device_get_sync_time (NpuDevice *device, NpuSyncDirection direction)
{
  return __atomic_load_n (
      &fake (device)->sync_time[direction], __ATOMIC_RELAXED);
}

guint64
fake_device_get_hung_time (NpuDevice *device)
{
  return __atomic_load_n (&fake (device)->hung_time, __ATOMIC_RELAXED);
}

guint
fake_device_get_violations (NpuDevice *device)
{
  return __atomic_load_n (&fake (device)->violations, __ATOMIC_RELAXED);
}
