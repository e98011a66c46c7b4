/* Lists of dependent commands on the CPU: the thread that submits a list runs
 * it, workers that are free join and leave.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "cpu-device.h"

G_BEGIN_DECLS

/* Implements run_list of the device's class. */
gboolean cpu_device_run_list (NpuDevice *device, const NpuCommand *commands,
    guint n_commands, guint64 timeout, const gint *cancelled, GError **error);

/* With the device's lock held: a list that a worker may join, or NULL. */
CpuList *cpu_device_next_list (CpuDevice *device);

/* Called without the lock by a worker that has joined @list, which it leaves:
 * when the list has ended, after 20 us without a unit to take, and after
 * CPU_LIST_TURN in any case, so that the ring's tiles have their turn. */
void cpu_list_help (CpuDevice *device, CpuList *list);

G_END_DECLS
