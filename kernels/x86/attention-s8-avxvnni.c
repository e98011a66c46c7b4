/* int8 attention with AVX-VNNI: scores and weighted values by vpdpbusd. Queries
 * and keys are as in attention-s8-avx512_tmpl.h: rotated, keys relative to
 * their tile's mean. Weights and values have 8 bits, as in
 * attention-s8-avx512vnni.c, but for a bit of what rounding a weight hands on.
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

#define QUADS (ROWS / 4) /* of keys: their bytes are multiplied together */

typedef struct {
  int8_t x[QUADS][DIM][4]; /* round (x / scale) - middle, keys as in KEY_OF */
  float scale[DIM];
  float middle[DIM]; /* an integer, near the mean's x / scale */
} VTile;

/* The key of a quad's byte: weights of pairs come as low and high halves. */
#define KEY_OF(byte) ((byte) % 2 * 2 + (byte) / 2)

/* Scores are below 64 * 127 * 127. */
#define SCORE_SHIFT 5

/* A weight has 15 bits, 0x7f80 at most, until it has 8. */
#define REST_BITS 7

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

/* --- weights and values -------------------------------------------------- */

/* Which keys of a pair are among the first n. */
NPU_INLINE __m256i
live_keys (int pair, int n)
{
  const int live = n - pair * 2;

  return _mm256_set1_epi32 (live >= 2 ? -1 : live == 1 ? 0xffff : 0);
}

/* The weights of a pair of keys, which is `pair` of n_keys. */
NPU_INLINE __m256i
weigh_pair (
    const Steps *steps, __m256i max, __m256i scores, int pair, const int n_keys)
{
  const __m128i powers = _mm_setr_epi8 (
      0, 0, 0, 0, 0, 0, 0, 0, (char) 128, 64, 32, 16, 8, 4, 2, 1);
  const __m256i x = distance_steps (steps, max, scores);
  const __m256i weight = _mm256_mulhi_epu16 (
      fraction_power (x, 65280, 45307, 15623, 2961), whole_power (x, powers));

  return n_keys < ROWS ? _mm256_and_si256 (weight, live_keys (pair, n_keys))
                       : weight;
}

/* Turns the scores of a quad of keys into weights of 8 bits, which are
 * returned; *rest is what rounding leaves, and hands on. */
NPU_INLINE __m256i
weigh_quad (const Scratch *scratch, __m256i *rest, __m256i max, int quad, int g,
    const int n_keys)
{
  const __m256i low = _mm256_set1_epi16 ((1 << REST_BITS) - 1);
  __m256i pair[2];

  for (int i = 0; i < 2; i++)
    pair[i] = weigh_pair (&scratch->steps[g], max,
        npu_load_ints (&scratch->p[quad * 2 + i][g * LANES]), quad * 2 + i,
        n_keys);
  pair[0] = _mm256_add_epi16 (pair[0], *rest);
  pair[1] = _mm256_add_epi16 (pair[1], _mm256_and_si256 (pair[0], low));
  *rest = _mm256_and_si256 (pair[1], low);
  if (n_keys < ROWS)
    for (int i = 0; i < 2; i++)
      pair[i] = _mm256_and_si256 (pair[i], live_keys (quad * 2 + i, n_keys));
  return _mm256_or_si256 (_mm256_srli_epi16 (pair[0], REST_BITS),
      _mm256_slli_epi16 (_mm256_srli_epi16 (pair[1], REST_BITS), 8));
}

NPU_INLINE void
weigh_quads (
    Scratch *scratch, const __m256i max[GROUPS], int n_quads, const int n_keys)
{
  for (int g = 0; g < GROUPS; g++) {
    __m256i rest = _mm256_set1_epi16 (1 << (REST_BITS - 1));
    NpuInts sum = {0};

    for (int quad = 0; quad < n_quads; quad++) {
      const __m256i bytes =
          weigh_quad (scratch, &rest, max[g], quad, g, n_keys);

      sum = (NpuInts) _mm256_dpbusd_avx_epi32 (
          (__m256i) sum, bytes, _mm256_set1_epi8 (1));
      npu_store_ints (&scratch->p[quad][g * LANES], (NpuInts) bytes);
    }
    npu_store_ints (&scratch->tile_sum[g * LANES], sum);
  }
}

/* Weights in units of 2^-8. */
NPU_INLINE void
weigh (Scratch *scratch, const __m256i max[GROUPS], int n_keys)
{
  if (n_keys == ROWS)
    weigh_quads (scratch, max, QUADS, ROWS);
  else
    weigh_quads (scratch, max, (n_keys + 3) / 4, n_keys);
}

/* Adds the values of columns from d on of n_quads quads of keys, weighted. */
NPU_INLINE void
add_block (Scratch *scratch, const VTile *v, const __m256 unit[GROUPS],
    const __m256 sum[GROUPS], int lane, int d, int n_quads, const int block)
{
  NpuInts acc[BLOCK][GROUPS];

  memset (acc, 0, sizeof acc);
  for (int quad = 0; quad < n_quads; quad++) {
    __m256i x[GROUPS];

    for (int g = 0; g < GROUPS; g++)
      x[g] = npu_load_ints (&scratch->p[quad][g * LANES]);
    for (int i = 0; i < block; i++) {
      const __m256i y = npu_broadcast_32 (v->x[quad][d + i]);

      for (int g = 0; g < GROUPS; g++)
        acc[i][g] =
            (NpuInts) _mm256_dpbusd_avx_epi32 ((__m256i) acc[i][g], x[g], y);
    }
  }
  for (int i = 0; i < block; i++) {
    const __m256 scale = _mm256_set1_ps (v->scale[d + i]);
    const __m256 middle = _mm256_set1_ps (v->middle[d + i]);

    for (int g = 0; g < GROUPS; g++) {
      float *o = &scratch->o[d + i][lane + g * LANES];
      /* Exact, unless the middle is far from 0: values of 0 stay so. */
      const __m256 steps = _mm256_fmadd_ps (
          middle, sum[g], _mm256_cvtepi32_ps ((__m256i) acc[i][g]));

      _mm256_store_ps (
          o, _mm256_fmadd_ps (
                 steps, _mm256_mul_ps (unit[g], scale), _mm256_load_ps (o)));
    }
  }
}

NPU_INLINE void
add_values (Scratch *scratch, const VTile *v, int lane, int n_keys)
{
  const int n_quads = (n_keys + 3) / 4;
  __m256 unit[GROUPS], sum[GROUPS];
  int d = 0;

  for (int g = 0; g < GROUPS; g++) {
    float *total = &scratch->sum[lane + g * LANES];

    unit[g] =
        _mm256_mul_ps (_mm256_load_ps (&scratch->weight[lane + g * LANES]),
            _mm256_set1_ps (0x1p-8f));
    sum[g] = _mm256_cvtepi32_ps (npu_load_ints (&scratch->tile_sum[g * LANES]));
    _mm256_store_ps (
        total, _mm256_fmadd_ps (unit[g], sum[g], _mm256_load_ps (total)));
  }
  for (; d + BLOCK <= DIM; d += BLOCK)
    add_block (scratch, v, unit, sum, lane, d, n_quads, BLOCK);
  add_block (scratch, v, unit, sum, lane, d, n_quads, LAST_BLOCK);
}

/* --- packing ------------------------------------------------------------- */

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

/* Three steps of the Hadamard transform of 8 queries, which lie side by side:
 * between columns @apart, 2 @apart and 4 @apart. Returns the largest
 * magnitudes. */
NPU_INLINE __m256
hadamard_columns (float (*x)[ROWS], int apart, float factor)
{
  __m256 max = _mm256_setzero_ps ();

  for (int i = 0; i < DIM; i += 8 * apart)
    for (int j = i; j < i + apart; j++) {
      __m256 t[8];

      for (int k = 0; k < 8; k++)
        t[k] = _mm256_load_ps (x[j + k * apart]);
      for (int step = 1; step < 8; step *= 2)
        for (int k = 0; k < 8; k++)
          if (!(k & step)) {
            const __m256 a = t[k], b = t[k + step];
            t[k] = _mm256_add_ps (a, b);
            t[k + step] = _mm256_sub_ps (a, b);
          }
      for (int k = 0; k < 8; k++) {
        t[k] = _mm256_mul_ps (t[k], _mm256_set1_ps (factor));
        _mm256_store_ps (x[j + k * apart], t[k]);
        max = _mm256_max_ps (max, npu_abs_avx2 (t[k]));
      }
    }
  return max;
}

static void
NPU_KERNEL (attention_s8_pack_q) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  QTile *q = tile;

  npu_load_columns (q->exact, x, stride, rows);
  for (int first = 0; first < ROWS; first += LANES) {
    float (*exact)[ROWS] = (float (*)[ROWS]) & q->exact[0][first];
    __m256 max, inverse;

    hadamard_columns (exact, 1, 0.125f);
    max = hadamard_columns (exact, 8, 1.0f);
    inverse = _mm256_and_ps (
        _mm256_cmp_ps (max, _mm256_set1_ps (NPU_Q8_SMALLEST), _CMP_GE_OQ),
        _mm256_div_ps (_mm256_set1_ps (127.0f), max));
    _mm256_store_ps (
        &q->scale[first], _mm256_div_ps (max, _mm256_set1_ps (127.0f)));

    for (int d = 0; d < DIM; d += 4) {
      __m256i bytes = _mm256_setzero_si256 ();

      for (int i = 3; i >= 0; i--)
        bytes = _mm256_add_epi32 (_mm256_slli_epi32 (bytes, 8),
            _mm256_cvtps_epi32 (
                _mm256_mul_ps (_mm256_load_ps (exact[d + i]), inverse)));
      npu_store_ints (
          q->x[d / 4][first], (NpuInts) _mm256_add_epi32 (
                                  bytes, _mm256_set1_epi32 ((int) 0x80808080)));
    }
  }
}

/* 128 times the sum of 64 bytes. */
NPU_INLINE int
sum_64_times_128 (const int8_t *x)
{
  __m256i sum = _mm256_setzero_si256 ();
  __m128i four;

  for (int j = 0; j < DIM; j += 4 * LANES)
    sum = _mm256_dpbusd_avx_epi32 (
        sum, _mm256_set1_epi8 (-128), npu_load_ints (x + j));
  four = _mm_add_epi32 (
      _mm256_castsi256_si128 (sum), _mm256_extracti128_si256 (sum, 1));
  four = _mm_add_epi32 (four, _mm_shuffle_epi32 (four, 0x4e));
  return _mm_cvtsi128_si32 (
      _mm_add_epi32 (four, _mm_shuffle_epi32 (four, 0xb1)));
}

static void
NPU_KERNEL (attention_s8_pack_k) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  float rotated[ROWS][DIM] __attribute__ ((aligned (32)));
  KTile *k = tile;
  __m256 mean[DIM / LANES] = {0}, max = _mm256_setzero_ps (), inverse;

  rotate_rows (rotated, x, stride, rows);
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < DIM / LANES; j++)
      mean[j] =
          _mm256_add_ps (mean[j], _mm256_load_ps (&rotated[i][j * LANES]));
  for (int j = 0; j < DIM / LANES; j++) {
    mean[j] = _mm256_mul_ps (mean[j], _mm256_set1_ps (1.0f / (float) rows));
    _mm256_store_ps (&k->mean[j * LANES], mean[j]);
  }
  for (int i = 0; i < rows; i++) {
    for (int j = 0; j < DIM / LANES; j++)
      _mm256_store_ps (&rotated[i][j * LANES],
          _mm256_sub_ps (_mm256_load_ps (&rotated[i][j * LANES]), mean[j]));
    max = _mm256_max_ps (max, max_abs_64 (rotated[i]));
  }
  memset (k->scale, 0, sizeof k->scale);
  k->scale[0] = scale_of (npu_reduce_max_avx2 (max), 127.0f, &inverse);

  for (int i = 0; i < ROWS; i++) {
    quantise_64 (k->x[i], rotated[i], inverse);
    k->correction[i] = -sum_64_times_128 (k->x[i]);
  }
}

/* 8 columns of values. */
NPU_INLINE __m256
load_values (const float *x)
{
  return npu_clamp_avx2 (_mm256_loadu_ps (x), NPU_V_LIMIT);
}

NPU_INLINE __m256
round_even (__m256 x)
{
  return _mm256_round_ps (x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* Columns side by side: sums do not wait for each other. */
#define SIDE 4

/* Scales and middles of SIDE * 8 columns of x, and 1 / scale. */
NPU_INLINE void
scale_columns (VTile *v, __m256 inverse[SIDE], const float *x, ptrdiff_t stride,
    int rows, int d)
{
  __m256 mean[SIDE] = {0}, max[SIDE] = {0};

  for (int i = 0; i < rows; i++)
    for (int j = 0; j < SIDE; j++)
      mean[j] =
          _mm256_add_ps (mean[j], load_values (x + i * stride + d + j * LANES));
  for (int j = 0; j < SIDE; j++)
    mean[j] = _mm256_mul_ps (mean[j], _mm256_set1_ps (1.0f / (float) rows));
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < SIDE; j++)
      max[j] = _mm256_max_ps (
          max[j], npu_abs_avx2 (_mm256_sub_ps (
                      load_values (x + i * stride + d + j * LANES), mean[j])));
  for (int j = 0; j < SIDE; j++) {
    const __m256 largest = _mm256_max_ps (max[j],
        _mm256_mul_ps (npu_abs_avx2 (mean[j]), _mm256_set1_ps (NPU_V8_FINEST)));
    const __m256 nonzero =
        _mm256_cmp_ps (largest, _mm256_set1_ps (NPU_Q8_SMALLEST), _CMP_GE_OQ);

    inverse[j] = _mm256_and_ps (
        nonzero, _mm256_div_ps (_mm256_set1_ps (NPU_V8_LEVELS), largest));
    _mm256_store_ps (&v->scale[d + j * LANES],
        _mm256_and_ps (nonzero,
            _mm256_mul_ps (largest, _mm256_set1_ps (1.0f / NPU_V8_LEVELS))));
    _mm256_store_ps (&v->middle[d + j * LANES],
        round_even (_mm256_mul_ps (mean[j], inverse[j])));
  }
}

/* 8 values of a key less their middles, -127 to 127, in the lowest bytes. */
NPU_INLINE __m256i
quantise_values (const float *x, __m256 inverse, __m256 middle)
{
  const __m256 steps = _mm256_sub_ps (
      round_even (_mm256_mul_ps (load_values (x), inverse)), middle);

  return _mm256_and_si256 (_mm256_set1_epi32 (0xff),
      _mm256_cvtps_epi32 (npu_clamp_avx2 (steps, 127.0f)));
}

static void
NPU_KERNEL (attention_s8_pack_v) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  VTile *v = tile;
  __m256 inverses[DIM / LANES];

  memset (v->x, 0, sizeof v->x);
  for (int d = 0; d < DIM; d += SIDE * LANES)
    scale_columns (v, &inverses[d / LANES], x, stride, rows, d);
  for (int d = 0; d < DIM; d += LANES) {
    const __m256 inverse = inverses[d / LANES];
    const __m256 middle = _mm256_load_ps (&v->middle[d]);

    for (int quad = 0; quad * 4 < rows; quad++) {
      __m256i bytes = _mm256_setzero_si256 ();

      for (int byte = 3; byte >= 0; byte--) {
        const int key = quad * 4 + KEY_OF (byte);

        bytes = _mm256_slli_epi32 (bytes, 8);
        if (key < rows)
          bytes = _mm256_or_si256 (
              bytes, quantise_values (x + key * stride + d, inverse, middle));
      }
      npu_store_ints (v->x[quad][d], (NpuInts) bytes);
    }
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
