/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "q8-weights.h"

#include <math.h>

#include "npu-kernels.h"

/* Quantises w[k] to @q, the largest magnitude to @levels steps; returns the
 * scale. */
static float
quantise_column (gint8 *q, const float *w, guint k, int levels, gint32 *sum)
{
  float largest = 0.0f;

  *sum = 0;
  for (guint j = 0; j < k; j++) {
    const float magnitude = fabsf (w[j]);
    largest = magnitude > largest ? magnitude : largest;
  }
  for (guint j = 0; j < k; j++) {
    q[j] = (gint8) (largest > 0.0f ? rintf (w[j] / largest * (float) levels)
                                   : 0.0f);
    *sum += q[j];
  }
  return largest / (float) levels;
}

void
q8_weights_quantise (gint8 *q, float *scale, gint32 *sum, const float *weight,
    guint n, guint k, int levels)
{
  g_autofree float *signs = g_new (float, k);
  g_autofree float *rotated = g_new (float, k);

  npu_rotation_signs (signs, (int) k);
  for (guint i = 0; i < n; i++) {
    for (guint j = 0; j < k; j++)
      rotated[j] = weight[(gsize) i * k + j] * signs[j];
    npu_rotation_apply (rotated, (int) k);
    scale[i] = quantise_column (q + (gsize) i * k, rotated, k, levels, &sum[i]);
  }
}
