/* What vector-avx2.h and vector-avx512.h have in common; they include it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

NPU_INLINE Vector
load_vector (const float *x)
{
  return load_first (x, LANES);
}

NPU_INLINE void
store_vector (float *y, Vector v)
{
  store_first (y, v, LANES);
}
