/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cpu-device.h"

G_BEGIN_DECLS

/* The thread of a worker of @device, a CpuDevice, until that quits. */
gpointer cpu_worker_main (gpointer device);

G_END_DECLS
