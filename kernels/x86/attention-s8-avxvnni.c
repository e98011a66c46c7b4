/* int8 attention with AVX-VNNI: scores by vpdpbusd. Queries and keys are as
 * in attention-s8-avx512_tmpl.h: rotated, keys relative to their tile's mean.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avxvnni

#include "x86/attention-avx2.h"
#include "x86/npu-x86.h"

typedef struct {
  uint8_t x[DIM / 4][ROWS][4]; /* round (x / scale) + 128, by four columns */
  float exact[DIM][ROWS];
  float scale[ROWS];
} QTile;

typedef struct {
  int8_t x[ROWS][DIM];      /* round ((x - mean) / scale) */
  int32_t correction[ROWS]; /* -128 times the row's sum: undoes Q's + 128 */
  float mean[DIM];
  float scale[16]; /* one, padded */
} KTile;

/* Scores are below 64 * 127 * 127. */
#define SCORE_SHIFT 5

#include "x86/attention-s8-avx2_tmpl.h"

#define rotate_rows NPU_KERNEL (attention_s8_rotate_rows)

NPU_INLINE void
multiply_scores (NpuInts acc[BLOCK][GROUPS], const QTile *q, const KTile *k,
    int key, int lane, const int block)
{
  for (int i = 0; i < block; i++)
    for (int g = 0; g < GROUPS; g++)
      acc[i][g] = (NpuInts) _mm256_set1_epi32 (k->correction[key + i]);
  for (int d = 0; d < DIM / 4; d++)
    for (int i = 0; i < block; i++) {
      const __m256i y = npu_broadcast_32 (&k->x[key + i][d * 4]);

      for (int g = 0; g < GROUPS; g++)
        acc[i][g] = (NpuInts) _mm256_dpbusd_avx_epi32 ((__m256i) acc[i][g],
            _mm256_load_si256 ((const __m256i *) q->x[d][lane + g * LANES]), y);
    }
}

/* Hadamard transform of 64 floats, one whose square is 64. */
NPU_INLINE void
hadamard (__m256 x[8])
{
  const __m256 signs4 = _mm256_setr_ps (1, 1, 1, 1, -1, -1, -1, -1);
  const __m256 signs2 = _mm256_setr_ps (1, 1, -1, -1, 1, 1, -1, -1);
  const __m256 signs1 = _mm256_setr_ps (1, -1, 1, -1, 1, -1, 1, -1);

  for (int step = 1; step < 8; step *= 2)
    for (int i = 0; i < 8; i++)
      if (!(i & step)) {
        const __m256 a = x[i], b = x[i + step];
        x[i] = _mm256_add_ps (a, b);
        x[i + step] = _mm256_sub_ps (a, b);
      }
  /* (a, b) to (a + b, a - b) at distances 4, 2, 1. */
  for (int i = 0; i < 8; i++) {
    x[i] =
        _mm256_fmadd_ps (x[i], signs4, _mm256_permute2f128_ps (x[i], x[i], 1));
    x[i] = _mm256_fmadd_ps (x[i], signs2, _mm256_permute_ps (x[i], 0x4e));
    x[i] = _mm256_fmadd_ps (x[i], signs1, _mm256_permute_ps (x[i], 0xb1));
  }
}

/* out[64][64] = rotated rows of x; missing rows become zeros. */
static void
rotate_rows (float (*out)[DIM], const float *x, ptrdiff_t stride, int rows)
{
  memset (out[rows], 0, (size_t) (ROWS - rows) * sizeof *out);
  for (int i = 0; i < rows; i++, x += stride) {
    __m256 t[8];

    for (int j = 0; j < 8; j++)
      t[j] = _mm256_mul_ps (
          npu_clamp_avx2 (_mm256_loadu_ps (x + j * LANES), NPU_QK_LIMIT),
          _mm256_set1_ps (0.125f));
    hadamard (t);
    for (int j = 0; j < 8; j++)
      _mm256_store_ps (&out[i][j * LANES], t[j]);
  }
}

/* 64 floats to round (x inverse) as int8. */
NPU_INLINE void
quantise_64 (int8_t *y, const float *x, __m256 inverse)
{
  const __m256i order = _mm256_setr_epi32 (0, 4, 1, 5, 2, 6, 3, 7);

  for (int j = 0; j < DIM; j += 4 * LANES) {
    __m256i q[4];

    for (int i = 0; i < 4; i++)
      q[i] = _mm256_cvtps_epi32 (
          _mm256_mul_ps (_mm256_load_ps (x + j + i * LANES), inverse));
    _mm256_storeu_si256 ((__m256i *) (y + j),
        _mm256_permutevar8x32_epi32 (
            _mm256_packs_epi16 (_mm256_packs_epi32 (q[0], q[1]),
                _mm256_packs_epi32 (q[2], q[3])),
            order));
  }
}

/* The largest magnitude of 64 floats in each lane. */
NPU_INLINE __m256
max_abs_64 (const float *x)
{
  __m256 max = _mm256_setzero_ps ();

  for (int j = 0; j < DIM; j += LANES)
    max = _mm256_max_ps (max, npu_abs_avx2 (_mm256_load_ps (x + j)));
  return max;
}

static void
NPU_KERNEL (attention_s8_pack_q) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  float rotated[ROWS][DIM] __attribute__ ((aligned (32)));
  QTile *q = tile;

  rotate_rows (rotated, x, stride, rows);
  npu_load_columns (q->exact, rotated[0], DIM, ROWS);
  for (int i = 0; i < ROWS; i++) {
    int8_t bytes[DIM];
    __m256 inverse;

    q->scale[i] = scale_of (
        npu_reduce_max_avx2 (max_abs_64 (rotated[i])), 127.0f, &inverse);
    quantise_64 (bytes, rotated[i], inverse);
    for (int d = 0; d < DIM / 4; d++) {
      uint32_t four;

      memcpy (&four, &bytes[d * 4], sizeof four);
      four ^= 0x80808080u;
      memcpy (q->x[d][i], &four, sizeof four);
    }
  }
}

static void
NPU_KERNEL (attention_s8_pack_k) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  float rotated[ROWS][DIM] __attribute__ ((aligned (32)));
  KTile *k = tile;
  __m256 max = _mm256_setzero_ps (), inverse;

  rotate_rows (rotated, x, stride, rows);
  for (int d = 0; d < DIM; d += LANES) {
    __m256 mean = _mm256_setzero_ps ();

    for (int i = 0; i < rows; i++)
      mean = _mm256_add_ps (mean, _mm256_load_ps (&rotated[i][d]));
    mean = _mm256_mul_ps (mean, _mm256_set1_ps (1.0f / (float) rows));
    _mm256_store_ps (&k->mean[d], mean);
    for (int i = 0; i < rows; i++)
      _mm256_store_ps (&rotated[i][d],
          _mm256_sub_ps (_mm256_load_ps (&rotated[i][d]), mean));
  }
  for (int i = 0; i < rows; i++)
    max = _mm256_max_ps (max, max_abs_64 (rotated[i]));
  memset (k->scale, 0, sizeof k->scale);
  k->scale[0] = scale_of (npu_reduce_max_avx2 (max), 127.0f, &inverse);

  for (int i = 0; i < ROWS; i++) {
    int sum = 0;

    quantise_64 (k->x[i], rotated[i], inverse);
    for (int d = 0; d < DIM; d++)
      sum += k->x[i][d];
    k->correction[i] = -128 * sum;
  }
}

void
npu_attention_init_s8_avxvnni (NpuKernels *kernels)
{
  kernels->attention_s8 = (NpuAttentionKernel){
      .q_tile_size = sizeof (QTile),
      .k_tile_size = sizeof (KTile),
      .v_tile_size = sizeof (VTile),
      .scratch_size = sizeof (Scratch),
      .pack_q = NPU_KERNEL (attention_s8_pack_q),
      .pack_k = NPU_KERNEL (attention_s8_pack_k),
      .pack_v = NPU_KERNEL (attention_s8_pack_v),
      .run = NPU_KERNEL (attention_s8_run),
  };
}
