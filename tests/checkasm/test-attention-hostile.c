/* Attention kernels on input that no model gives, and some give after all.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "compare.h"
#include "rig.h"

#include <math.h>
#include <string.h>

#define DIM NPU_HEAD_DIM

typedef void (*Check) (
    const NpuAttentionKernel *kernel, gboolean is_f32, GuardSide side);

static void
check_all (gconstpointer data, Check check)
{
  const Level *level = data;

  for (guint side = 0; side < N_GUARD_SIDES; side++) {
    check (&level->kernels.attention_s8, FALSE, side);
    if (level->cpu_flags & NPU_CPU_C_INT8)
      continue; /* the others are C's */
    check (&level->kernels.attention_f32, TRUE, side);
    check (&level->kernels.attention_bf16, FALSE, side);
  }
}

static void
fill_constant (float *x, const Attention *a, int rows, double value)
{
  for (gsize i = 0; i < (gsize) rows * a->stride; i++)
    x[i] = value;
}

/* Weighted means of v lie between its extremes. */
static void
check_within (const float *o, const Attention *a, double low, double high)
{
  for (int i = 0; i < a->q_rows * DIM; i++) {
    g_assert_true (isfinite (o[i]));
    g_assert_cmpfloat (o[i], >=, low);
    g_assert_cmpfloat (o[i], <=, high);
  }
}

/* --- one key outweighs all others --------------------------------------- */

/* Key `wanted` is a multiple of the queries, which are all alike. */
static void
check_dominant_key (const NpuAttentionKernel *kernel, gboolean is_f32,
    GuardSide side, int kv_rows, int wanted, double factor)
{
  g_auto (Attention) a = {0};
  float actual[64 * DIM];

  attention_init (&a, 37, kv_rows, 1);
  for (int i = 1; i < a.q_rows; i++)
    memcpy (a.q + i * a.stride, a.q, DIM * sizeof (float));
  for (int d = 0; d < DIM; d++)
    a.k[wanted * a.stride + d] = a.q[d] * factor;
  rig_attention (kernel, &a, side, actual);
  for (int i = 0; i < a.q_rows; i++)
    for (int d = 0; d < DIM; d++)
      g_assert_cmpfloat_with_epsilon (actual[i * DIM + d],
          a.v[wanted * a.stride + d], is_f32 ? 1e-6 : 0.02);
}

static void
check_dominant_keys (
    const NpuAttentionKernel *kernel, gboolean is_f32, GuardSide side)
{
  static const int wanted[] = {0, 1, 63, 64, 127, 128, 129};
  static const double factors[] = {30, 1e3, 1e10, 1e30};

  for (guint i = 0; i < G_N_ELEMENTS (wanted); i++)
    for (guint j = 0; j < G_N_ELEMENTS (factors); j++)
      check_dominant_key (kernel, is_f32, side, 130, wanted[i], factors[j]);
}

static void
test_dominant_key (gconstpointer data)
{
  check_all (data, check_dominant_keys);
}

/* --- scores that grow or fall from tile to tile -------------------------- */

static void
check_slope (const NpuAttentionKernel *kernel, gboolean is_f32, GuardSide side)
{
  static const double slopes[] = {0.02, 0.3, 2, 40, -0.3, -40};

  for (guint i = 0; i < G_N_ELEMENTS (slopes); i++) {
    g_auto (Attention) a = {0};
    float actual[64 * DIM], expected[64 * DIM];
    Comparison c;

    attention_init (&a, 64, 64 * 6 + 11, 0.2);
    for (int j = 0; j < a.q_rows; j++)
      a.q[j * a.stride] = 1 + j % 3;
    for (int j = 0; j < a.kv_rows; j++)
      a.k[j * a.stride] = 8 * slopes[i] * j;
    ref_attention (&a, expected);
    rig_attention (kernel, &a, side, actual);
    compare_arrays (actual, expected, a.q_rows, DIM, &c);
    /* Scores of 40 * 400 * 3 have an error of their own in float. */
    if (is_f32)
      g_assert_cmpfloat (
          c.max_error, <=, 4e-6 + 2e-6 * fabs (slopes[i]) * 400 * 3);
    else if (fabs (slopes[i]) < 1)
      g_assert_cmpfloat (c.worst_row_cosine, >=, 0.99);
    else
      check_within (actual, &a, -6, 6);
  }
}

static void
test_slope (gconstpointer data)
{
  check_all (data, check_slope);
}

/* --- extreme numbers ---------------------------------------------------- */

static void
check_denormals (
    const NpuAttentionKernel *kernel, gboolean is_f32, GuardSide side)
{
  g_auto (Attention) a = {0};
  float actual[64 * DIM];
  double mean[DIM] = {0};
  /* Of 8 bits, values up to 4 from their mean are each wrong by up to half of
   * 4/127: what they say of the mean deviates by 9e-4, seven times of which
   * is no accident. */
  const double tolerance = is_f32 ? 1e-6 : 6.4e-3;

  attention_init (&a, 20, 100, 1e-41);
  rig_attention (kernel, &a, side, actual);
  for (int j = 0; j < a.kv_rows; j++)
    for (int d = 0; d < DIM; d++)
      mean[d] += a.v[j * a.stride + d] / a.kv_rows;
  for (int i = 0; i < a.q_rows; i++)
    for (int d = 0; d < DIM; d++)
      g_assert_cmpfloat_with_epsilon (actual[i * DIM + d], mean[d], tolerance);

  for (int j = 0; j < a.kv_rows * a.stride; j++)
    a.v[j] *= 1e-41f;
  rig_attention (kernel, &a, side, actual);
  check_within (actual, &a, -1e-40, 1e-40);
}

static void
test_denormals (gconstpointer data)
{
  check_all (data, check_denormals);
}

static void
check_zeros (const NpuAttentionKernel *kernel, gboolean is_f32, GuardSide side)
{
  g_auto (Attention) a = {0};
  float actual[64 * DIM];

  attention_init (&a, 64, 70, 1);
  fill_constant (a.q, &a, 64, 0);
  fill_constant (a.k, &a, 70, 0);
  fill_constant (a.v, &a, 70, 0);
  rig_attention (kernel, &a, side, actual);
  check_within (actual, &a, 0, 0);
  fill_constant (a.v, &a, 70, 3);
  rig_attention (kernel, &a, side, actual);
  check_within (actual, &a, 2.999998, 3.000002);
}

static void
test_zeros (gconstpointer data)
{
  check_all (data, check_zeros);
}

/* No finite input makes anything but finite output, whatever its scale. */
static void
check_extreme_scales (
    const NpuAttentionKernel *kernel, gboolean is_f32, GuardSide side)
{
  static const double scales[] = {
      1e-37, 1e-30, 1e-10, 1e3, 1e6, 1e10, 1e18, 1e30, 3e38 / 8};

  for (guint i = 0; i < G_N_ELEMENTS (scales); i++)
    for (guint j = 0; j < G_N_ELEMENTS (scales); j++) {
      g_auto (Attention) a = {0};
      float actual[64 * DIM];

      attention_init (&a, 33, 90, 1);
      for (int n = 0; n < a.q_rows * a.stride; n++)
        a.q[n] = CLAMP (a.q[n], -7, 7) * scales[i];
      for (int n = 0; n < a.kv_rows * a.stride; n++)
        a.k[n] = CLAMP (a.k[n], -7, 7) * scales[j];
      rig_attention (kernel, &a, side, actual);
      check_within (actual, &a, -6, 6);
    }
}

static void
test_extreme_scales (gconstpointer data)
{
  check_all (data, check_extreme_scales);
}

static void
check_huge_values (
    const NpuAttentionKernel *kernel, gboolean is_f32, GuardSide side)
{
  static const double scales[] = {1e10, 1e20, 1e30, 3e38 / 8};

  for (guint i = 0; i < G_N_ELEMENTS (scales); i++) {
    g_auto (Attention) a = {0};
    float actual[64 * DIM];

    attention_init (&a, 64, 500, 2);
    for (int n = 0; n < a.kv_rows * a.stride; n++)
      a.v[n] = CLAMP (a.v[n], -7, 7) * scales[i];
    rig_attention (kernel, &a, side, actual);
    check_within (actual, &a, -7 * scales[i], 7 * scales[i]);
  }
}

static void
test_huge_values (gconstpointer data)
{
  check_all (data, check_huge_values);
}

/* Infinities count as very large numbers; a NaN spoils what it touches, and
 * nothing crashes. */
static void
check_infinities (
    const NpuAttentionKernel *kernel, gboolean is_f32, GuardSide side)
{
  g_auto (Attention) a = {0};
  float actual[64 * DIM];

  attention_init (&a, 30, 100, 1);
  for (int i = 0; i < a.q_rows; i++)
    a.q[i * a.stride + 3] = 1;
  a.k[70 * a.stride + 3] = INFINITY;
  a.k[71 * a.stride + 3] = -INFINITY;
  rig_attention (kernel, &a, side, actual);
  for (int i = 0; i < a.q_rows; i++)
    for (int d = 0; d < DIM; d++)
      g_assert_cmpfloat_with_epsilon (
          actual[i * DIM + d], a.v[70 * a.stride + d], is_f32 ? 1e-6 : 0.02);

  a.k[70 * a.stride + 3] = NAN;
  rig_attention (kernel, &a, side, actual);
}

static void
test_infinities (gconstpointer data)
{
  check_all (data, check_infinities);
}

/* --- masking ------------------------------------------------------------ */

/* All keys of the last tile but one are masked, and those that are would
 * have won. */
static void
check_masked (const NpuAttentionKernel *kernel, gboolean is_f32, GuardSide side)
{
  static const int kv_rows[] = {1, 2, 3, 37, 64, 65, 66, 127};

  for (guint i = 0; i < G_N_ELEMENTS (kv_rows); i++) {
    g_auto (Attention) a = {0};
    float actual[64 * DIM], expected[64 * DIM];
    Comparison c;

    attention_init (&a, 64, 128, 1);
    for (int j = 0; j < 128; j++) {
      a.k[j * a.stride] = j < kv_rows[i] ? 0 : 20;
      a.v[j * a.stride] = j < kv_rows[i] ? 0 : 1e6;
    }
    for (int j = 0; j < 64; j++)
      a.q[j * a.stride] = 8;
    a.kv_rows = kv_rows[i];
    ref_attention (&a, expected);
    rig_attention (kernel, &a, side, actual);
    compare_arrays (actual, expected, a.q_rows, DIM, &c);
    for (int j = 0; j < 64; j++)
      g_assert_cmpfloat (actual[j * DIM], ==, 0);
    if (is_f32)
      g_assert_cmpfloat (c.max_error, <=, 1e-5);

    /* Packed as they should be, without the masked keys. */
    a.packed = a.kv_rows;
    rig_attention (kernel, &a, side, actual);
    compare_arrays (actual, expected, a.q_rows, DIM, &c);
    g_assert_cmpfloat (c.worst_row_cosine, >=, 0.999);
  }
}

static void
test_masked (gconstpointer data)
{
  check_all (data, check_masked);
}

/* f32 tiles may hold anything behind the last key. */
static void
test_masked_nan (gconstpointer data)
{
  const NpuAttentionKernel *kernel =
      &((const Level *) data)->kernels.attention_f32;
  g_auto (Attention) a = {0};
  float actual[64 * DIM], expected[64 * DIM];
  Comparison c;

  attention_init (&a, 64, 64, 1);
  for (a.kv_rows = 63; a.kv_rows > 0; a.kv_rows--) {
    fill_constant (a.k + a.kv_rows * a.stride, &a, 1, NAN);
    fill_constant (a.v + a.kv_rows * a.stride, &a, 1, NAN);
    ref_attention (&a, expected);
    rig_attention (kernel, &a, GUARD_AFTER, actual);
    compare_arrays (actual, expected, a.q_rows, DIM, &c);
    g_assert_cmpfloat (c.max_error, <=, 1e-5);
  }
}

void
add_attention_hostile_tests (const Level *level)
{
  add_level_test (level, "attention/one-key-outweighs-all", test_dominant_key);
  add_level_test (level, "attention/scores-that-grow-and-fall", test_slope);
  add_level_test (level, "attention/denormals", test_denormals);
  add_level_test (level, "attention/zeros", test_zeros);
  add_level_test (level, "attention/extreme-scales", test_extreme_scales);
  add_level_test (level, "attention/huge-values", test_huge_values);
  add_level_test (level, "attention/infinities", test_infinities);
  add_level_test (level, "attention/masked-keys", test_masked);
  add_level_test (level, "attention/masked-nan", test_masked_nan);
}
