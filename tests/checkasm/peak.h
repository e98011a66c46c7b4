/* What this core can do at most: multiply-adds on registers alone.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

/* ns of this thread: what others do on the machine does not count. */
gint64 cpu_time (void);

/* By the widest instruction that this CPU has: vpdpbusd, or where there is
 * none what FMA gives. A multiply-add counts as two operations. */
double peak_int8_gops (void);
double peak_f32_gflops (void);
