/* Kernels do what plain f32 loops do.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plain.h"
#include "rig.h"

#include <math.h>
#include <string.h>

#define DIM NPU_HEAD_DIM
#define ROWS 19

/* Three blocks of a power of two. */
#define WIDTH 384

static void
check_near (const float *actual, const float *expected, gsize n, double error)
{
  for (gsize i = 0; i < n; i++)
    g_assert_cmpfloat_with_epsilon (
        actual[i], expected[i], error * (1 + fabs ((double) expected[i])));
}

static void
test_attention (gconstpointer data)
{
  const Level *level = data;
  enum { KV_ROWS = 137 };
  g_auto (Attention) a = {0};
  float actual[ROWS * DIM], expected[ROWS * DIM], q[ROWS * DIM];
  float k[DIM * KV_ROWS], v[KV_ROWS * DIM], score[KV_ROWS];

  attention_init (&a, ROWS, KV_ROWS, 1);
  plain_pack (q, a.q, a.stride, ROWS);
  plain_pack_transposed (k, a.k, a.stride, KV_ROWS);
  plain_pack (v, a.v, a.stride, KV_ROWS);
  plain_attention (expected, q, k, v, ROWS, KV_ROWS, a.scale, score);
  rig_attention (&level->kernels.attention_f32, &a, GUARD_AFTER, actual);
  check_near (actual, expected, ROWS * DIM, 5e-6);
}

static void
test_rows (gconstpointer data)
{
  const NpuKernels *kernels = &((const Level *) data)->kernels;
  g_autofree float *x = new_normal (ROWS * WIDTH, 3);
  g_autofree float *gamma = new_normal (WIDTH, 1);
  g_autofree float *beta = new_normal (WIDTH, 1);
  float actual[ROWS * WIDTH], expected[ROWS * WIDTH];
  guint16 actual_bf16[ROWS * WIDTH], expected_bf16[ROWS * WIDTH];

  kernels->layernorm_f32 (
      actual, WIDTH, x, WIDTH, gamma, beta, 1e-5f, ROWS, WIDTH);
  plain_layernorm_f32 (
      expected, WIDTH, x, WIDTH, gamma, beta, 1e-5f, ROWS, WIDTH);
  check_near (actual, expected, ROWS * WIDTH, 5e-6);

  kernels->convert_bf16 (actual_bf16, x, ROWS * WIDTH);
  plain_convert_bf16 (expected_bf16, x, ROWS * WIDTH);
  g_assert_cmpmem (
      actual_bf16, sizeof actual_bf16, expected_bf16, sizeof expected_bf16);
}

static void
test_quantize (gconstpointer data)
{
  const Level *level = data;
  g_autofree float *x = new_normal (ROWS * WIDTH, 3);
  guint8 actual[ROWS * WIDTH], expected[ROWS * WIDTH];
  float actual_scale[ROWS], expected_scale[ROWS], signs[WIDTH];

  npu_rotation_signs (signs, WIDTH);
  level->kernels.quantize_q8 (
      actual, actual_scale, x, WIDTH, signs, ROWS, WIDTH);
  plain_quantize_q8 (expected, expected_scale, x, WIDTH, signs, ROWS, WIDTH);
  check_near (actual_scale, expected_scale, ROWS, 1e-6);
  for (gsize i = 0; i < ROWS * WIDTH; i++)
    g_assert_cmpint (ABS (actual[i] - expected[i]), <=, 1);
}

static void
test_gelu (gconstpointer data)
{
  const NpuKernels *kernels = &((const Level *) data)->kernels;
  g_autofree float *x = new_normal (ROWS * WIDTH, 3);
  g_autofree float *bias = new_normal (WIDTH, 1);
  const NpuEpilogue epilogue = {bias, NPU_GELU_EXACT, NULL, 0};
  float actual[ROWS * WIDTH], expected[ROWS * WIDTH];

  kernels->gelu_f32 (actual, x, ROWS * WIDTH);
  plain_gelu_f32 (expected, x, ROWS * WIDTH);
  check_near (actual, expected, ROWS * WIDTH, 5e-7);

  kernels->epilogue_f32 (actual, WIDTH, x, WIDTH, &epilogue, ROWS, WIDTH);
  plain_epilogue_gelu (expected, x, bias, ROWS, WIDTH);
  check_near (actual, expected, ROWS * WIDTH, 5e-7);
}

static void
test_epilogue (gconstpointer data)
{
  const NpuKernels *kernels = &((const Level *) data)->kernels;
  g_autofree float *x = new_normal (ROWS * WIDTH, 3);
  g_autofree float *bias = new_normal (WIDTH, 1);
  g_autofree float *residual = new_normal (ROWS * WIDTH, 1);
  g_autofree float *row_scale = new_normal (ROWS, 1e-3);
  g_autofree float *weight_scale = new_normal (WIDTH, 1e-3);
  const NpuEpilogue epilogue = {bias, 0, residual, WIDTH};
  float actual[ROWS * WIDTH], expected[ROWS * WIDTH];
  gint32 acc[ROWS * WIDTH];

  kernels->epilogue_f32 (actual, WIDTH, x, WIDTH, &epilogue, ROWS, WIDTH);
  plain_epilogue_f32 (expected, x, bias, residual, ROWS, WIDTH);
  check_near (actual, expected, ROWS * WIDTH, 5e-7);

  for (gsize i = 0; i < ROWS * WIDTH; i++)
    acc[i] = g_test_rand_int_range (-1000000, 1000000);
  kernels->epilogue_s32 (actual, WIDTH, acc, WIDTH, row_scale, weight_scale,
      acc, &epilogue, ROWS, WIDTH);
  plain_epilogue_s32 (
      expected, acc, row_scale, weight_scale, acc, bias, residual, ROWS, WIDTH);
  check_near (actual, expected, ROWS * WIDTH, 1e-6);
}

void
add_plain_tests (const Level *level)
{
  add_level_test (level, "plain-loops/attention", test_attention);
  add_level_test (level, "plain-loops/rows", test_rows);
  add_level_test (level, "plain-loops/quantize", test_quantize);
  add_level_test (level, "plain-loops/gelu", test_gelu);
  add_level_test (level, "plain-loops/epilogue", test_epilogue);
}
