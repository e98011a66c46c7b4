/* int8 attention with AVX-512 VNNI and BF16: scores by vpdpbusd, weighted
 * values by vdpbf16ps.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx512bf16
#define ATTENTION(name) attention_s8_##name

#include "x86/attention-s8-avx512_tmpl.h"
#include "x86/npu-x86.h"

#define STEPS (DIM / 4)

typedef __m512i NpuScores;

NPU_INLINE __m512i
first_scores (const KTile *k, int key)
{
  return _mm512_set1_epi32 (k->correction[key]);
}

NPU_INLINE __m512i
add_products (__m512i acc, __m512i x, __m512i y)
{
  return _mm512_dpbusd_epi32 (acc, x, y);
}

NPU_INLINE __m512
float_scores (__m512i s)
{
  return _mm512_cvtepi32_ps (s);
}

NPU_INLINE __m512i
larger_scores (__m512i a, __m512i b)
{
  return _mm512_max_epi32 (a, b);
}

NPU_INLINE __m512i
lowest_scores (void)
{
  return _mm512_set1_epi32 (INT32_MIN);
}

/* In whole steps: however large scores are, none is lost to rounding. */
NPU_INLINE __m512
scores_below (__m512i s, __m512i max)
{
  return _mm512_cvtepi32_ps (_mm512_sub_epi32 (s, max));
}

NPU_INLINE __m512
score_steps (const QTile *q, const KTile *k, int lane, float scale)
{
  return _mm512_mul_ps (
      _mm512_load_ps (&q->scale[lane]), _mm512_set1_ps (k->scale[0] * scale));
}

#include "x86/attention-avx512bf16_tmpl.h"

void
npu_attention_init_s8_avx512bf16 (NpuKernels *kernels)
{
  kernels->attention_s8 = ATTENTION_KERNEL;
}
