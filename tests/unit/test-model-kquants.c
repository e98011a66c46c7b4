/* ggml's K types: made-up blocks become the floats that the gguf package of
 * Python (0.x, gguf.quants.dequantize) makes of the same bytes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "model/npu-model.h"
#include "quantise.h"

#define N 512 /* two blocks */
#define N_SAMPLES 14

typedef struct {
  NpuDtype dtype;
  const char *name;
  gsize size;      /* of a block */
  gint scale, min; /* where its halves are; -1: no minimum */
  float samples[N_SAMPLES];
  double sum, weighted;
} Case;

static const guint sample_at[N_SAMPLES] = {
    0, 1, 17, 33, 70, 127, 128, 150, 200, 255, 256, 300, 391, 511};

static const Case cases[] = {
    {NPU_DTYPE_Q2_K, "q2_K", 84, 80, 82,
        {0.3125f, 0.3125f, 0.5f, 4.6875f, 8.0f, 6.25f, 5.0f, 7.0f, 8.8125f,
            3.8125f, 10.25f, 6.25f, 2.5f, 6.0f},
        3583.9375, 106092.1875},
    {NPU_DTYPE_Q3_K, "q3_K", 110, 108, -1,
        {0.75f, -0.75f, 1.4375f, -3.375f, 0.0f, -5.0f, 1.75f, -3.5f, -3.375f,
            -1.5f, 8.25f, 0.0f, -2.25f, -1.5f},
        -7.5625, 3138.4375},
    {NPU_DTYPE_Q4_K, "q4_K", 144, 0, 2,
        {24.5f, 24.5f, 37.0f, 30.25f, 8.875f, 34.75f, 40.6875f, 26.9375f,
            17.375f, 33.375f, 65.875f, 48.5f, 79.25f, 52.25f},
        23542.25, 676723.1875},
    {NPU_DTYPE_Q5_K, "q5_K", 176, 0, 2,
        {64.5f, 74.5f, 34.5f, 23.25f, 74.75f, 41.5f, 44.125f, 57.875f, 28.0625f,
            63.4375f, 145.125f, 238.625f, 156.25f, 8.0f},
        34372.75, 972128.0},
    {NPU_DTYPE_Q6_K, "q6_K", 210, 208, -1,
        {106.3125f, 101.25f, -177.1875f, -112.125f, 46.0f, -43.125f, 118.1875f,
            12.25f, -19.875f, 49.0f, 86.625f, 359.375f, -225.0f, -29.25f},
        -3760.8125, -82388.3125},
};

static void
set_half (guint8 *block, gint at, float value)
{
  const guint16 half = quantise_half (value);

  if (at < 0)
    return;
  block[at] = half & 255;
  block[at + 1] = half >> 8;
}

/* Bytes of a linear congruential generator, with scales of 2^-4 and 2^-3 and
 * minimums of -2^-1 and -1. */
static guint8 *
make_blocks (const Case *from)
{
  guint8 *blocks = g_malloc (2 * from->size);
  guint32 x = 12345;

  for (gsize i = 0; i < 2 * from->size; i++) {
    x = x * 1664525u + 1013904223u;
    blocks[i] = x >> 24;
  }
  for (guint i = 0; i < 2; i++) {
    set_half (blocks + i * from->size, from->scale, 0.0625f * (float) (i + 1));
    set_half (blocks + i * from->size, from->min, -0.5f * (float) (i + 1));
  }
  return blocks;
}

static NpuTensor
tensor_of (const Case *from, const guint8 *blocks)
{
  return (NpuTensor){
      .name = from->name,
      .dtype = from->dtype,
      .n_dims = 1,
      .shape = {N},
      .data = blocks,
      .size = 2 * from->size,
  };
}

static void
test_values (gconstpointer data)
{
  const Case *from = data;
  g_autofree guint8 *blocks = make_blocks (from);
  const NpuTensor tensor = tensor_of (from, blocks);
  g_autoptr (GError) error = NULL;
  float values[N], half[N / 2];
  double sum = 0, weighted = 0;

  npu_tensor_read (&tensor, 0, N, values, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < N_SAMPLES; i++)
    g_assert_cmpfloat (values[sample_at[i]], ==, from->samples[i]);
  for (guint i = 0; i < N; i++) {
    sum += values[i];
    weighted += values[i] * (i % 61);
  }
  g_assert_cmpfloat (sum, ==, from->sum);
  g_assert_cmpfloat (weighted, ==, from->weighted);

  npu_tensor_read (&tensor, N / 2, N / 2, half, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (half, sizeof half, values + N / 2, sizeof half);
}

/* The scale or the minimum of the second block is not finite. */
static void
test_not_finite (gconstpointer data)
{
  const Case *from = data;

  for (guint i = 0; i < 2; i++) {
    const gint at = i ? from->min : from->scale;
    g_autofree guint8 *blocks = make_blocks (from);
    const NpuTensor tensor = tensor_of (from, blocks);
    g_autofree char *where =
        g_strdup_printf ("at byte %" G_GSIZE_FORMAT ":", from->size);
    g_autoptr (GError) error = NULL;
    float values[N];

    if (at < 0)
      continue;
    blocks[from->size + (gsize) at + 1] |= 0x7c;
    g_assert_true (npu_tensor_read (&tensor, 0, N / 2, values, NULL));
    g_assert_false (npu_tensor_read (&tensor, 0, N, values, &error));
    g_assert_nonnull (strstr (error->message, where));
    g_assert_nonnull (strstr (error->message, "not a finite number"));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *values =
        g_strdup_printf ("/model/k-quants/%s/values", cases[i].name);
    g_autofree char *not_finite =
        g_strdup_printf ("/model/k-quants/%s/not-finite", cases[i].name);

    g_test_add_data_func (values, &cases[i], test_values);
    g_test_add_data_func (not_finite, &cases[i], test_not_finite);
  }
  return g_test_run ();
}
