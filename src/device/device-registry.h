/* The devices that this process has open, by kind, number and options: the only
 * file that names cpu and xrt.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-device.h"

G_BEGIN_DECLS

/* Opens `xrt` or `xrt:N`, as npu_device_open() does: NOT_FOUND where there is
 * no such device. */
typedef NpuDevice *(*NpuDeviceOpenFunc) (
    const char *name, const NpuDeviceOptions *options, GError **error);

/* For tests without an NPU: @open stands in for the XRT device from now on;
 * NULL puts that back. */
void npu_device_replace_xrt (NpuDeviceOpenFunc open);

/* Whoever opens the device from now on gets another. */
void npu_device_forget (NpuDevice *device);

G_END_DECLS
