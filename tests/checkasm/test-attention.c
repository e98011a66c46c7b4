/* Attention kernels against float64 and against each other.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "compare.h"
#include "rig.h"

#include <string.h>

#define DIM NPU_HEAD_DIM

static const int row_counts[] = {1, 2, 7, 15, 16, 17, 31, 32, 33, 48, 63, 64};
static const int key_counts[] = {1, 2, 3, 4, 5, 8, 9, 16, 31, 33, 47, 62, 63,
    64, 65, 66, 127, 128, 193, 320, 476};

/* A deviation of 2 gives scores of +-16, as Whisper's are. */
#define DEVIATION 2.0

/* The error of a weight is that of its score, which grows with it. */
static void
check_f32 (const NpuAttentionKernel *kernel, double deviation, double limit)
{
  double worst = 0;

  for (guint i = 0; i < G_N_ELEMENTS (key_counts); i++)
    for (guint side = 0; side < N_GUARD_SIDES; side++) {
      const int rows = row_counts[(i * 2 + side) % G_N_ELEMENTS (row_counts)];
      g_auto (Attention) a = {0};
      float expected[64 * DIM], actual[64 * DIM];
      Comparison c;

      attention_init (&a, rows, key_counts[i], deviation);
      ref_attention (&a, expected);
      rig_attention (kernel, &a, side, actual);
      compare_arrays (actual, expected, rows, DIM, &c);
      g_assert_cmpfloat (c.max_error, <=, limit);
      worst = MAX (worst, c.max_error);
    }
  g_test_message ("deviation %g: max error %.2g", deviation, worst);
}

static void
test_f32 (gconstpointer data)
{
  const NpuAttentionKernel *kernel =
      &((const Level *) data)->kernels.attention_f32;

  check_f32 (kernel, 0.5, 2e-6);
  check_f32 (kernel, DEVIATION, 1.2e-5);
}

/* What rounding costs on data without outliers. */
static void
check_rounded (
    const NpuAttentionKernel *kernel, const char *what, double worst_row)
{
  for (guint i = 0; i < G_N_ELEMENTS (key_counts); i++)
    for (guint side = 0; side < N_GUARD_SIDES; side++) {
      const int rows = row_counts[(i * 2 + side) % G_N_ELEMENTS (row_counts)];
      g_auto (Attention) a = {0};
      float expected[64 * DIM], actual[64 * DIM];

      attention_init (&a, rows, key_counts[i], DEVIATION / 2);
      /* Keys have a large common part, which must cost nothing. */
      for (int j = 0; j < key_counts[i]; j++)
        for (int d = 0; d < DIM; d += 5)
          a.k[j * a.stride + d] += 20;
      ref_attention (&a, expected);
      rig_attention (kernel, &a, side, actual);
      compare_check (
          what, actual, expected, rows, DIM, 0.9997, worst_row, NULL);
    }
}

static void
test_s8 (gconstpointer data)
{
  check_rounded (&((const Level *) data)->kernels.attention_s8, "int8", 0.999);
}

static void
test_bf16 (gconstpointer data)
{
  check_rounded (
      &((const Level *) data)->kernels.attention_bf16, "bf16", 0.9998);
}

/* The kernel is as near to float64 as C's is: in sum, as where a weight is
 * rounded another way, one row of few keys may be much better or worse. */
static void
check_as_c (const NpuAttentionKernel *kernel, const NpuAttentionKernel *c)
{
  double sum_by_c = 0, sum_by_kernel = 0;

  for (guint i = 0; i < G_N_ELEMENTS (key_counts); i++) {
    const int rows = row_counts[i % G_N_ELEMENTS (row_counts)];
    g_auto (Attention) a = {0};
    float expected[64 * DIM], actual[64 * DIM];
    Comparison by_c, by_kernel;

    attention_init (&a, rows, key_counts[i], DEVIATION);
    ref_attention (&a, expected);
    rig_attention (c, &a, GUARD_AFTER, actual);
    compare_arrays (actual, expected, rows, DIM, &by_c);
    rig_attention (kernel, &a, GUARD_AFTER, actual);
    compare_arrays (actual, expected, rows, DIM, &by_kernel);
    g_assert_cmpfloat (1 - by_kernel.worst_row_cosine, <=,
        (rows < 8 ? 6 : 1.5) * (1 - by_c.worst_row_cosine) + 1e-5);
    sum_by_c += 1 - by_c.worst_row_cosine;
    sum_by_kernel += 1 - by_kernel.worst_row_cosine;
  }
  g_test_message ("worst rows: %.3g, those of C %.3g", sum_by_kernel, sum_by_c);
  g_assert_cmpfloat (sum_by_kernel, <=, 1.15 * sum_by_c + 1e-5);
}

/* VNNI's integers are those of a reference of their own. */
static void
test_s8_as_c (gconstpointer data)
{
  const Level *level = data;
  NpuKernels c;

  npu_kernels_init (
      &c, level->cpu_flags & (NPU_CPU_AVX_VNNI | NPU_CPU_AVX512_VNNI)
              ? NPU_CPU_C_INT8
              : 0);
  check_as_c (&level->kernels.attention_s8, &c.attention_s8);
}

static void
test_bf16_as_c (gconstpointer data)
{
  NpuKernels c;

  npu_kernels_init (&c, 0);
  check_as_c (
      &((const Level *) data)->kernels.attention_bf16, &c.attention_bf16);
}

/* A query's result does not depend on how many others are in its tile. */
static void
check_independent_rows (const NpuAttentionKernel *kernel)
{
  g_auto (Attention) a = {0};
  float all[64 * DIM], some[64 * DIM];

  attention_init (&a, 64, 200, DEVIATION);
  rig_attention (kernel, &a, GUARD_AFTER, all);
  for (guint i = 0; i < G_N_ELEMENTS (row_counts); i++) {
    a.q_rows = row_counts[i];
    rig_attention (kernel, &a, GUARD_AFTER, some);
    compare_check_same ("fewer queries", some, all, a.q_rows, DIM);
  }
}

static void
test_independent_rows (gconstpointer data)
{
  const Level *level = data;

  check_independent_rows (&level->kernels.attention_f32);
  check_independent_rows (&level->kernels.attention_s8);
  check_independent_rows (&level->kernels.attention_bf16);
}

static void
check_repeatable (const NpuAttentionKernel *kernel)
{
  g_auto (Attention) a = {0};
  float first[64 * DIM], second[64 * DIM];

  attention_init (&a, 50, 300, DEVIATION);
  rig_attention (kernel, &a, GUARD_AFTER, first);
  rig_attention (kernel, &a, GUARD_BEFORE, second);
  compare_check_same ("second run", second, first, a.q_rows, DIM);
}

static void
test_repeatable (gconstpointer data)
{
  const Level *level = data;

  check_repeatable (&level->kernels.attention_f32);
  check_repeatable (&level->kernels.attention_s8);
  check_repeatable (&level->kernels.attention_bf16);
}

static void
test_sizes (gconstpointer data)
{
  const Level *level = data;
  const NpuAttentionKernel *kernels[] = {&level->kernels.attention_f32,
      &level->kernels.attention_s8, &level->kernels.attention_bf16};

  for (guint i = 0; i < G_N_ELEMENTS (kernels); i++) {
    g_assert_cmpuint (kernels[i]->q_tile_size % 64, ==, 0);
    g_assert_cmpuint (kernels[i]->k_tile_size % 64, ==, 0);
    g_assert_cmpuint (kernels[i]->v_tile_size % 64, ==, 0);
    g_assert_cmpuint (kernels[i]->scratch_size % 64, ==, 0);
  }
}

void
add_attention_s8_tests (const Level *level)
{
  add_level_test (level, "attention/int8-is-near-float64", test_s8);
  add_attention_hostile_tests (level);
}

void
add_attention_tests (const Level *level)
{
  add_level_test (level, "attention/sizes-are-multiples-of-64", test_sizes);
  add_level_test (level, "attention/f32-is-float64", test_f32);
  add_level_test (level, "attention/int8-is-near-float64", test_s8);
  add_level_test (level, "attention/int8-is-as-good-as-c", test_s8_as_c);
  add_level_test (level, "attention/bf16-is-near-float64", test_bf16);
  add_level_test (level, "attention/bf16-is-as-good-as-c", test_bf16_as_c);
  add_level_test (
      level, "attention/rows-are-independent", test_independent_rows);
  add_level_test (level, "attention/runs-are-the-same", test_repeatable);
}
