/* What the files of a device's verbs share.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "device-registry.h"
#include "npu-device-impl.h"

G_BEGIN_DECLS

/* Adds to one of the device's counters; returns what it is then. */
static inline gsize
npu_device_count (gsize *counter, gssize n)
{
  return __atomic_add_fetch (counter, (gsize) n, __ATOMIC_RELAXED);
}

/* Hands @cause, which it takes, on to @error; of a device that is lost it says
 * so to the registry. Returns FALSE. */
gboolean npu_device_fail (NpuDevice *device, GError *cause, GError **error);

G_END_DECLS
