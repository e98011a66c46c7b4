/* An NPU without one: real operations over memory of its own, which sees what
 * the host wrote, and is seen by it, through syncs only; and which fails,
 * hangs, or goes away on demand.
 *
 * It computes with a CPU device's kernels, so that its states are that one's,
 * to the byte. Its memory begins as NaNs.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "device/npu-device.h"

G_BEGIN_DECLS

typedef enum {
  FAKE_NPU_LINEAR_BF16 = 1 << 0,
  FAKE_NPU_LINEAR_Q8 = 1 << 1,
  FAKE_NPU_ATTENTION = 1 << 2, /* of bfloat16 */
  FAKE_NPU_LAYERNORM = 1 << 3, /* to bfloat16 */
  FAKE_NPU_GELU = 1 << 4,      /* of bfloat16 */
} FakeNpuOps;

#define FAKE_NPU_ALL_BF16                                                      \
  (FAKE_NPU_LINEAR_BF16 | FAKE_NPU_ATTENTION | FAKE_NPU_LAYERNORM |            \
      FAKE_NPU_GELU)

/* All zero does nothing itself. */
typedef struct {
  FakeNpuOps ops;
  gboolean host_epilogue; /* the outputs of linear maps pass through the host */
  guint threads;          /* of the computing CPU, and of the host's; 0 is 1 */
  guint batch;            /* tiles a launch, 0 = 24 */
  guint heads;         /* whole heads in an attention launch; 0 = any tiles */
  double failure_rate; /* of launches that fail, at random */
  guint fail_at;       /* from 1: these launches, counted over all devices, */
  guint hang_at;       /* fail, hang for hang_time, or are the device's */
  guint lose_at;       /* last; 0 = none */
  guint corrupt_at;    /* likewise: its outputs become NaNs, and it completes */
  guint64 hang_time;   /* ns at most; hang_at = 0 ends it */
  gboolean refuse_kernels; /* opening any fails, and not with UNSUPPORTED */
  NpuError open_error;     /* with a message: opening the device fails */
  const char *open_message;
} FakeNpuOptions;

/* What all fake NPUs did since fake_npu_install(). */
typedef struct {
  guint n_opened, n_launches, n_failed, n_syncs_wasted;
  guint64 synced[2]; /* bytes by NpuSyncDirection */
  gint n_alive;      /* devices, buffers, kernels, runs */
} FakeNpuCounts;

/* npu_device_open() of xrt and xrt:N gives fake NPUs from now on; copies
 * @options but for the message. NULL ends that. */
void fake_npu_install (const FakeNpuOptions *options);
/* Other options for devices that are open, too. */
void fake_npu_change (const FakeNpuOptions *options);
FakeNpuCounts fake_npu_get_counts (void);

G_END_DECLS
