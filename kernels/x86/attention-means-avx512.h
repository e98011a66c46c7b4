/* Scores of the means of AVX-512's tiles of keys; after QTile and KTile, which
 * have exact[64][64] and mean[64].
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/attention-avx512.h"

#define MEANS 4 /* tiles whose mean scores are computed together */

/* mean[i][query] = scale * q k[i].mean for the next n tiles, MEANS at most. */
NPU_INLINE void
npu_mean_scores (float (*mean)[ROWS], const QTile *q, const KTile *k, int n,
    float scale, const int groups)
{
  __m512 acc[MEANS][GROUPS];

  for (int i = 0; i < MEANS; i++)
    for (int g = 0; g < groups; g++)
      acc[i][g] = _mm512_setzero_ps ();
  for (int d = 0; d < DIM; d++)
    for (int i = 0; i < MEANS; i++) {
      const __m512 y = _mm512_set1_ps (k[npu_min_int (i, n - 1)].mean[d]);
      for (int g = 0; g < groups; g++)
        acc[i][g] = _mm512_fmadd_ps (
            _mm512_load_ps (&q->exact[d][g * LANES]), y, acc[i][g]);
    }
  for (int i = 0; i < MEANS; i++)
    for (int g = 0; g < groups; g++)
      _mm512_store_ps (&mean[i][g * LANES],
          _mm512_mul_ps (acc[i][g], _mm512_set1_ps (scale)));
}
