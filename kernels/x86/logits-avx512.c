/* A row of logits with AVX-512.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx512

#include "x86/npu-x86.h"
#include "x86/vector-avx512.h"

NPU_INLINE Vector
max_vector (Vector a, Vector b)
{
  return _mm512_max_ps (a, b);
}

NPU_INLINE unsigned
above (Vector a, Vector b)
{
  return _mm512_cmp_ps_mask (a, b, _CMP_GT_OQ);
}

NPU_INLINE Vector
exp2_vector (Vector v)
{
  return npu_exp2_avx512 (_mm512_max_ps (splat (NPU_EXP2_MIN), v));
}

#include "x86/logits_tmpl.h"

void
npu_logits_init_avx512 (NpuLogitsKernels *kernels)
{
  *kernels = (NpuLogitsKernels){NPU_KERNEL (logits_argmax),
      NPU_KERNEL (logits_log_sum_exp), NPU_KERNEL (logits_best)};
}
