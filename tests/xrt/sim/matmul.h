/* Matrix products for each instruction set.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <stddef.h>

/* Floats of scratch that any of them needs, 64-byte aligned. */
#define SIM_MATMUL_SCRATCH(rows, k)                                            \
  ((size_t) (k) * (32 + ((size_t) (rows) + 7) / 8 * 8))

typedef void SimMatmul (float *c, ptrdiff_t ldc, const float *a, const float *b,
    int rows, int k, int n, float *scratch);

SimMatmul sim_matmul_plain, sim_matmul_avx2, sim_matmul_avx512;
