/* Elementary functions of the kernels: coefficients, which every instruction
 * set shares, and their plain C form.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

/* exp2 on [-0.5, 0.5], minimax in relative error with a constant term of 1:
 * 9.1e-8, and 1.0e-4 for weights that are rounded to bfloat16 anyway. */
#define NPU_EXP2_C1 0.6931469775976784f
#define NPU_EXP2_C2 0.24022242083111245f
#define NPU_EXP2_C3 0.055507337444713895f
#define NPU_EXP2_C4 0.009671512785811793f
#define NPU_EXP2_C5 0.001326472725254187f

#define NPU_EXP2_SHORT_C1 0.6932829280588603f
#define NPU_EXP2_SHORT_C2 0.24221096784403628f
#define NPU_EXP2_SHORT_C3 0.055008931262647526f

/* Below this exp2 is taken as 0. */
#define NPU_EXP2_MIN -125.0f

/* x + NPU_ROUND_MAGIC rounds |x| < 2^22 to the nearest even integer and holds
 * it in its lowest bits. */
#define NPU_ROUND_MAGIC 0x1.8p23f

/* log2 Phi (-a) = -1 + a P (a), where Phi is the normal distribution. P is
 * minimax on [0, 5.5] in the absolute error of a Phi (-a), 1e-8, and falls up
 * to NPU_GELU_LIMIT, where a Phi (-a) is far below the last bit of a.
 * GELU is then max (x, 0) - a Phi (-a) with a = |x|. */
#define NPU_GELU_P0 -1.151111167799565f
#define NPU_GELU_P1 -0.4591638145253962f
#define NPU_GELU_P2 -0.05261316547630183f
#define NPU_GELU_P3 0.007207105254217486f
#define NPU_GELU_P4 -0.0002236049545770766f
#define NPU_GELU_P5 -0.0001643821389071032f
#define NPU_GELU_P6 4.0282433176030674e-05f
#define NPU_GELU_P7 -4.230536535576792e-06f
#define NPU_GELU_P8 1.7683797332558495e-07f
#define NPU_GELU_LIMIT 10.0f

/* a Phi (-a) with an absolute error of 2.5e-5, for what becomes bytes anyway:
 * a cubic polynomial for each of 8 segments, a in round (a *
 * NPU_GELU_SEGMENTS), minimax, 0 at 0. npu_gelu_short_table[i] has the
 * coefficients of a^i. Beyond the limit it stays at 2e-5. */
#define NPU_GELU_SEGMENTS 1.75f
#define NPU_GELU_SHORT_LIMIT 4.285f

static const float npu_gelu_short_table[4][8] __attribute__ ((aligned (32))) = {
    {0.0f, -0.00291370507f, 0.0168676041f, 0.244471103f, 0.549916208f,
        0.535759449f, 0.283676535f, 0.295406997f},
    {0.500273049f, 0.525318682f, 0.471800268f, -0.000171999534f, -0.470128179f,
        -0.461774498f, -0.220785782f, -0.216769621f},
    {-0.404790521f, -0.479832053f, -0.435278326f, -0.107096322f, 0.134616673f,
        0.134580702f, 0.0576883517f, 0.053095974f},
    {0.0357256196f, 0.115725793f, 0.105251625f, 0.02872294f, -0.0128275789f,
        -0.013244858f, -0.0050564534f, -0.00433966797f},
};

static inline uint32_t
npu_bits_of_float (float x)
{
  uint32_t bits;
  memcpy (&bits, &x, sizeof bits);
  return bits;
}

static inline float
npu_float_of_bits (uint32_t bits)
{
  float x;
  memcpy (&x, &bits, sizeof x);
  return x;
}

/* 2^x for x <= 126; 0 below NPU_EXP2_MIN. */
static inline float
npu_exp2 (float x)
{
  const float t = x + NPU_ROUND_MAGIC;
  const float f = x - (t - NPU_ROUND_MAGIC);
  float p = NPU_EXP2_C5;

  p = p * f + NPU_EXP2_C4;
  p = p * f + NPU_EXP2_C3;
  p = p * f + NPU_EXP2_C2;
  p = p * f + NPU_EXP2_C1;
  p = p * f + 1.0f;
  p = npu_float_of_bits (npu_bits_of_float (p) + (npu_bits_of_float (t) << 23));
  return x < NPU_EXP2_MIN ? 0.0f : p;
}

/* x Phi (x), where x is finite or not. */
static inline float
npu_gelu (float x)
{
  const float magnitude = x < 0.0f ? -x : x;
  const float a = magnitude > NPU_GELU_LIMIT ? NPU_GELU_LIMIT : magnitude;
  float p = NPU_GELU_P8;

  p = p * a + NPU_GELU_P7;
  p = p * a + NPU_GELU_P6;
  p = p * a + NPU_GELU_P5;
  p = p * a + NPU_GELU_P4;
  p = p * a + NPU_GELU_P3;
  p = p * a + NPU_GELU_P2;
  p = p * a + NPU_GELU_P1;
  p = p * a + NPU_GELU_P0;
  return (x < 0.0f ? 0.0f : x) - a * npu_exp2 (p * a - 1.0f);
}

/* The same to 2.5e-5. */
static inline float
npu_gelu_short (float x)
{
  const float magnitude = x < 0.0f ? -x : x;
  const float a =
      magnitude < NPU_GELU_SHORT_LIMIT ? magnitude : NPU_GELU_SHORT_LIMIT;
  const uint32_t i =
      npu_bits_of_float (a * NPU_GELU_SEGMENTS + NPU_ROUND_MAGIC) & 7;
  float p = npu_gelu_short_table[3][i];

  p = p * a + npu_gelu_short_table[2][i];
  p = p * a + npu_gelu_short_table[1][i];
  p = p * a + npu_gelu_short_table[0][i];
  return (x < 0.0f ? 0.0f : x) - p;
}

/* The nearest bfloat16, ties to even, as a float. */
static inline float
npu_round_bf16 (float x)
{
  const uint32_t bits = npu_bits_of_float (x);
  return npu_float_of_bits ((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u);
}

/* The largest |x[n]|, but for NaNs; n is a multiple of 64. In fewer lanes GCC
 * unrolls the inner loop before it would vectorise it, and then does not. */
static inline float
npu_largest_magnitude (const float *x, int n)
{
  float max[64] = {0}, largest = 0.0f;

  for (int j = 0; j < n; j += 64)
    for (int i = 0; i < 64; i++) {
      const float magnitude = fabsf (x[j + i]);
      max[i] = magnitude > max[i] ? magnitude : max[i];
    }
  for (int i = 0; i < 64; i++)
    largest = max[i] > largest ? max[i] : largest;
  return largest;
}
