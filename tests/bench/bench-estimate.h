/* What a window would take on an NPU of Phoenix, by figures that others have
 * published, from what it makes the driver do. Only on the simulated NPU, which
 * counts that.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "bench.h"

/**
 * bench_estimate:
 * @config: is run once
 * @gflop: of a window on the NPU
 *
 * Prints launches, switches and bytes of a window and the time of each; without
 * the simulated NPU nothing.
 */
gboolean bench_estimate (BenchConfig *config, double gflop, GError **error);
