/* bfloat16 attention with AVX512-BF16: both products by vdpbf16ps, sums and
 * softmax in float. Keys are rounded relative to the mean of their tile, whose
 * scores are those of the exact query: what all keys have in common costs no
 * precision.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx512bf16
#define ATTENTION(name) attention_bf16_##name

#include "x86/attention-avx512.h"
#include "x86/ints-avx512.h"
#include "x86/npu-x86.h"

#include <float.h>

#define STEPS (DIM / 2)

typedef struct {
  uint16_t x[DIM / 2][ROWS][2]; /* bfloat16, by two columns */
  float exact[DIM][ROWS];
} QTile;

typedef struct {
  uint16_t x[ROWS][DIM]; /* x - mean in bfloat16 */
  float mean[DIM];
} KTile;

typedef __m512 NpuScores;

NPU_INLINE __m512
first_scores (const KTile *k, int key)
{
  (void) k;
  (void) key;
  return _mm512_setzero_ps ();
}

NPU_INLINE __m512
add_products (__m512 acc, __m512i x, __m512i y)
{
  return _mm512_dpbf16_ps (acc, (__m512bh) x, (__m512bh) y);
}

NPU_INLINE __m512
float_scores (__m512 s)
{
  return s;
}

NPU_INLINE __m512
larger_scores (__m512 a, __m512 b)
{
  return _mm512_max_ps (a, b);
}

NPU_INLINE __m512
lowest_scores (void)
{
  return _mm512_set1_ps (-FLT_MAX);
}

NPU_INLINE __m512
scores_below (__m512 s, __m512 max)
{
  return _mm512_sub_ps (s, max);
}

NPU_INLINE __m512
score_steps (const QTile *q, const KTile *k, int lane, float scale)
{
  (void) q;
  (void) k;
  (void) lane;
  return _mm512_set1_ps (scale);
}

#include "x86/attention-avx512bf16_tmpl.h"

static void
NPU_KERNEL (attention_bf16_pack_q) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  QTile *q = tile;

  for (int first = 0; first < ROWS; first += LANES) {
    npu_load_columns (
        &q->exact[0][first], x + first * stride, stride, rows - first);
    for (int d = 0; d < DIM; d += 2)
      _mm512_store_si512 (
          q->x[d / 2][first], pair_bf16 (_mm512_load_ps (&q->exact[d][first]),
                                  _mm512_load_ps (&q->exact[d + 1][first])));
  }
}

static void
NPU_KERNEL (attention_bf16_pack_k) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  KTile *k = tile;

  memset (k->x, 0, sizeof k->x);
  for (int d = 0; d < DIM; d += LANES) {
    __m512 mean = _mm512_setzero_ps ();

    for (int i = 0; i < rows; i++)
      mean = _mm512_add_ps (
          mean, npu_clamp_avx512 (
                    _mm512_loadu_ps (x + i * stride + d), NPU_QK_LIMIT));
    mean = _mm512_mul_ps (mean, _mm512_set1_ps (1.0f / (float) rows));
    _mm512_store_ps (&k->mean[d], mean);
    for (int i = 0; i < rows; i++)
      _mm256_store_si256 ((__m256i *) &k->x[i][d],
          (__m256i) _mm512_cvtneps_pbh (_mm512_sub_ps (
              npu_clamp_avx512 (
                  _mm512_loadu_ps (x + i * stride + d), NPU_QK_LIMIT),
              mean)));
  }
}

void
npu_attention_init_bf16_avx512bf16 (NpuKernels *kernels)
{
  kernels->attention_bf16 = ATTENTION_KERNEL;
}
