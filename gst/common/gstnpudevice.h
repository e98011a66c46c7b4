/* Opening the device that an element's properties name.
 *
 * An application that wants two pools of workers answers the message
 * need-context of type "npuenc.device" with a context whose structure has a
 * string `pool`: elements of one pool share their device, and elements of
 * another have another. Without an answer all are of one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "device/npu-device.h"

G_BEGIN_DECLS

#define GST_NPU_DEVICE_CONTEXT "npuenc.device"

/* Whether a property `device` leaves the choice. */
gboolean gst_npu_device_is_auto (const char *name);

/**
 * gst_npu_device_open:
 * @name: (nullable): of the device, as the property `device` has it
 * @options: without a pool, which comes from the element's context
 *
 * Returns: as npu_device_open().
 */
NpuDevice *gst_npu_device_open (GstElement *element, const char *name,
    const NpuDeviceOptions *options, GError **error);

G_END_DECLS
