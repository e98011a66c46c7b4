/* An NPU through XRT as a device: opened only where the library was built with
 * XRT.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "device/npu-device.h"

G_BEGIN_DECLS

/* @name is `xrt` or `xrt:N`. Errors as npu_device_open(). */
NpuDevice *xrt_device_open (
    const char *name, const NpuDeviceOptions *options, GError **error);

/* Whether XRT finds an NPU. */
gboolean xrt_device_is_there (void);

G_END_DECLS
