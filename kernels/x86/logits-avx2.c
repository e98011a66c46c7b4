/* A row of logits with AVX2.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx2

#include "x86/npu-x86.h"
#include "x86/vector-avx2.h"

NPU_INLINE Vector
max_vector (Vector a, Vector b)
{
  return _mm256_max_ps (a, b);
}

NPU_INLINE unsigned
above (Vector a, Vector b)
{
  return (unsigned) _mm256_movemask_ps (_mm256_cmp_ps (a, b, _CMP_GT_OQ));
}

NPU_INLINE Vector
exp2_vector (Vector v)
{
  return npu_exp2_avx2 (_mm256_max_ps (splat (NPU_EXP2_MIN), v));
}

#include "x86/logits_tmpl.h"

void
npu_logits_init_avx2 (NpuLogitsKernels *kernels)
{
  *kernels = (NpuLogitsKernels){NPU_KERNEL (logits_argmax),
      NPU_KERNEL (logits_log_sum_exp), NPU_KERNEL (logits_best)};
}
