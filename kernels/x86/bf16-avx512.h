/* Helpers of the kernels with AVX512-BF16.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/avx512.h"

/* acc += x[0] y[0] + x[1] y[1] in each lane, in acc's register;
 * npu_add_product_avx512() tells why. */
NPU_INLINE void
npu_add_pairs_bf16 (__m512 *acc, __m512 x, __m512 y)
{
  __asm__("vdpbf16ps %2, %1, %0" : "+v"(*acc) : "v"(x), "v"(y));
}
