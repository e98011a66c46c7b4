/* The CPU beside a device, for what is too small for a launch: the kernels that
 * a client calls from its commands (npu_device_run_list()).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-device.h"
#include "npu-few.h"
#include "npu-kernels.h"

G_BEGIN_DECLS

/* Constant as long as its device. */
typedef struct {
  NpuDevice *device;
  NpuKernels kernels; /* the table for this CPU */
  NpuFewKernels few;
} NpuHost;

/* (transfer none) (nullable): NULL where the device has no CPU. */
const NpuHost *npu_host_of (NpuDevice *device);

G_END_DECLS
