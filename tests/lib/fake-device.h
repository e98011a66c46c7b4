/* A device for tests of what drives devices: it computes what the test says,
 * when the test says, and misbehaves on demand.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "device/npu-device.h"

G_BEGIN_DECLS

typedef enum {
  FAKE_WORKERS, /* threads of its own take launches from a queue */
  FAKE_AT_ONCE, /* a launch has completed when submit returns: nothing is ever
                 * slower than the host */
  FAKE_ON_WAIT, /* a launch completes when it is waited for, or by
                 * fake_device_complete_all(): nothing is ever faster */
} FakeMode;

/* Computes one tile of a launch. */
typedef void (*FakeTileFunc) (
    const NpuLaunch *launch, guint tile, gpointer user_data);

/* All zero is a device that computes nothing, in no time, on no threads. */
typedef struct {
  const char *name; /* or NULL */
  FakeMode mode;
  guint n_workers;
  guint64 launch_time;  /* ns that a launch sleeps before it computes */
  guint64 sync_time;    /* ns that npu_buffer_sync() sleeps */
  gboolean scramble;    /* workers take any queued launch, and sleep any part
                         * of launch_time */
  gboolean scribble;    /* a launch leaves garbage in its first argument */
  gboolean watch_input; /* the first argument must not change in flight */
  gboolean no_log;
  FakeTileFunc tile; /* or NULL */
  gpointer user_data;
} FakeOptions;

/* What happened to one launch. Moments number all submissions and
 * completions in the order in which they happened. */
typedef struct {
  const NpuKernel *kernel;
  guint first_tile, n_tiles;
  guint in_flight;              /* others, when it was submitted */
  guint64 submitted, completed; /* moments */
  guint64 start, end;           /* ns, as the device reported them */
  guint64 submit_time;          /* ns */
} FakeRecord;

/* (transfer full): freed by npu_device_unref(). */
NpuDevice *fake_device_new (const FakeOptions *options);

/* A kernel of the device; freed by npu_kernel_unref(). */
NpuKernel *fake_kernel_new (NpuDevice *device);

/* What goes wrong from now on, in place of what was to before; launches are
 * counted from 0 at the call. */
void fake_device_fail_submit_at (NpuDevice *device, guint n);
void fake_device_fail_launch_at (NpuDevice *device, guint n);
void fake_device_hang_at (NpuDevice *device, guint first, guint n_launches);
void fake_device_behave (NpuDevice *device);
/* Lets hung launches complete. */
void fake_device_release (NpuDevice *device);
/* FAKE_ON_WAIT: completes everything in flight that does not hang. */
void fake_device_complete_all (NpuDevice *device);
/* FAKE_ON_WAIT: completes the launch that was submitted last. */
void fake_device_complete_newest (NpuDevice *device);

/* Records in the order of submission; valid until the next submission. */
const FakeRecord *fake_device_get_log (NpuDevice *device, guint *n_records);

guint fake_device_get_in_flight (NpuDevice *device);
/* ns that npu_buffer_sync() took, by direction. */
guint64 fake_device_get_sync_time (
    NpuDevice *device, NpuSyncDirection direction);
/* ns for which launches were waited for that hung nevertheless. */
guint64 fake_device_get_hung_time (NpuDevice *device);
/* How often the contract of a device was broken: a run submitted while in
 * flight, an input changed in flight. */
guint fake_device_get_violations (NpuDevice *device);

G_END_DECLS
