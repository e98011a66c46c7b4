/* Products of unsigned bytes with constant int8 weights, with AVX2 alone: as
 * fast as vpmaddubsw and vpmaddwd can go, which is twice as fast as float.
 *
 * Pairs of products are added in 16 bits: weights are at most 63.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "x86/avx2.h"
#include "x86/npu-x86.h"

#include <string.h>

#define LANES 8
#define PANEL (2 * LANES) /* columns */
#define ROWS 6            /* 12 accumulators */
#define QUAD 4            /* inputs that a lane adds up in one step */

/* Inputs whose weights for a panel, 16 KiB, stay in the first cache. */
#define DEPTH 1024

/* 8 lanes of 32 bits, see attention-s8-avx2.h. */
typedef int32_t NpuInts __attribute__ ((vector_size (32)));

NPU_INLINE __m256i
broadcast_quad (const uint8_t *x)
{
  int32_t bits;

  memcpy (&bits, x, sizeof bits);
  return _mm256_set1_epi32 (bits);
}

NPU_INLINE NpuInts
dot_u8s8 (NpuInts acc, __m256i x, __m256i y)
{
  return acc + (NpuInts) _mm256_madd_epi16 (
                   _mm256_maddubs_epi16 (x, y), _mm256_set1_epi16 (1));
}

/* c[rows][PANEL] = or += a[rows][k] * b[k / QUAD][PANEL][QUAD] */
NPU_INLINE void
multiply (int32_t *c, ptrdiff_t c_stride, const uint8_t *a, ptrdiff_t a_stride,
    const int8_t *b, int k, int add, const int rows)
{
  NpuInts acc[ROWS][2];

  for (int i = 0; i < rows; i++)
    for (int g = 0; g < 2; g++)
      acc[i][g] = add ? (NpuInts) _mm256_loadu_si256 (
                            (const __m256i *) (c + i * c_stride + g * LANES))
                      : (NpuInts) _mm256_setzero_si256 ();
  for (int j = 0; j < k; j += QUAD, b += PANEL * QUAD) {
    const __m256i left = _mm256_load_si256 ((const __m256i *) b);
    const __m256i right =
        _mm256_load_si256 ((const __m256i *) (b + LANES * QUAD));

    for (int i = 0; i < rows; i++) {
      const __m256i x = broadcast_quad (a + i * a_stride + j);

      acc[i][0] = dot_u8s8 (acc[i][0], x, left);
      acc[i][1] = dot_u8s8 (acc[i][1], x, right);
    }
  }
  for (int i = 0; i < rows; i++)
    for (int g = 0; g < 2; g++)
      _mm256_storeu_si256 (
          (__m256i *) (c + i * c_stride + g * LANES), (__m256i) acc[i][g]);
}

/* Not inlined: each loop has the registers for itself. */
#define MULTIPLY(rows)                                                         \
  static __attribute__ ((noinline)) void multiply_##rows (int32_t *c,          \
      ptrdiff_t c_stride, const uint8_t *a, ptrdiff_t a_stride,                \
      const int8_t *b, int k, int add)                                         \
  {                                                                            \
    multiply (c, c_stride, a, a_stride, b, k, add, rows);                      \
  }

MULTIPLY (6)
MULTIPLY (4)
MULTIPLY (1)

static void
run (int32_t *c, ptrdiff_t c_stride, const uint8_t *a, ptrdiff_t a_stride,
    const int8_t *packed, int rows, int n, int k)
{
  for (int first = 0; first < k; first += DEPTH)
    for (int column = 0; column < n; column += PANEL) {
      const int8_t *b = packed + (size_t) column * k + (size_t) first * PANEL;
      const int depth = npu_min_int (k - first, DEPTH);
      const uint8_t *from = a + first;
      int32_t *to = c + column;
      int i = 0;

      for (; i + 6 <= rows; i += 6)
        multiply_6 (to + i * c_stride, c_stride, from + i * a_stride, a_stride,
            b, depth, first > 0);
      for (; i + 4 <= rows; i += 4)
        multiply_4 (to + i * c_stride, c_stride, from + i * a_stride, a_stride,
            b, depth, first > 0);
      for (; i < rows; i++)
        multiply_1 (to + i * c_stride, c_stride, from + i * a_stride, a_stride,
            b, depth, first > 0);
    }
}

/* [n / PANEL][k / QUAD][PANEL][QUAD] */
static void
pack (int8_t *packed, const int8_t *weight, int n, int k)
{
  for (int column = 0; column < n; column += PANEL)
    for (int j = 0; j < k; j += QUAD)
      for (int i = 0; i < PANEL; i++, packed += QUAD)
        memcpy (packed, weight + (size_t) (column + i) * k + j, QUAD);
}

void
npu_gemm_init_s8_avx2 (NpuKernels *kernels)
{
  kernels->gemm_s8 =
      (NpuGemmKernel){.max_weight = 63, .pack = pack, .run = run};
}
