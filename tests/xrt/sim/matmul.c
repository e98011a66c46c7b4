/* Matrix product in f32, built once for each instruction set: SIM_MATMUL is its
 * name there, SIM_VECTOR the bytes of a vector, SIM_ROWS rows at a time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "matmul.h"

#include <stdlib.h>
#include <string.h>

typedef float Vector __attribute__ ((vector_size (SIM_VECTOR)));

#define LANES (SIM_VECTOR / (int) sizeof (float))
#define WIDTH (2 * LANES)

/* panel[k][WIDTH] of b[k][n] from a column on, padded with zeros. */
static void
pack (float *panel, const float *b, int k, int n, int width)
{
  for (int i = 0; i < k; i++) {
    memcpy (panel, b + (ptrdiff_t) i * n, (size_t) width * sizeof *b);
    memset (panel + width, 0, (size_t) (WIDTH - width) * sizeof *b);
    panel += WIDTH;
  }
}

/* strip[k][SIM_ROWS_AT_ONCE] of a[rows][k]; missing rows are zeros. */
static void
transpose (float *strip, const float *a, int rows, int k)
{
  for (int i = 0; i < k; i++)
    for (int row = 0; row < SIM_ROWS_AT_ONCE; row++)
      *strip++ = row < rows ? a[(ptrdiff_t) row * k + i] : 0;
}

static void
block (float *c, ptrdiff_t ldc, const float *strip, const float *panel,
    int rows, int k, int width)
{
  Vector sum[SIM_ROWS_AT_ONCE][2] = {0};
  float line[WIDTH];

  for (int i = 0; i < k; i++) {
    const Vector *b = (const Vector *) (panel + (ptrdiff_t) i * WIDTH);
    const Vector low = b[0], high = b[1];

    for (int row = 0; row < SIM_ROWS_AT_ONCE; row++) {
      const float a = strip[i * SIM_ROWS_AT_ONCE + row];
      sum[row][0] += a * low;
      sum[row][1] += a * high;
    }
  }
  for (int row = 0; row < rows; row++) {
    memcpy (line, sum[row], sizeof line);
    memcpy (c + row * ldc, line, (size_t) width * sizeof *c);
  }
}

void
SIM_MATMUL (float *c, ptrdiff_t ldc, const float *a, const float *b, int rows,
    int k, int n, float *scratch)
{
  float *panel = scratch, *strips = scratch + (ptrdiff_t) k * WIDTH;
  const int n_strips = (rows + SIM_ROWS_AT_ONCE - 1) / SIM_ROWS_AT_ONCE;
  const ptrdiff_t strip_size = (ptrdiff_t) k * SIM_ROWS_AT_ONCE;

  for (int i = 0; i < n_strips; i++)
    transpose (strips + i * strip_size, a + i * strip_size,
        rows - i * SIM_ROWS_AT_ONCE, k);
  for (int column = 0; column < n; column += WIDTH) {
    const int width = n - column < WIDTH ? n - column : WIDTH;

    pack (panel, b + column, k, n, width);
    for (int i = 0; i < n_strips; i++) {
      const int left = rows - i * SIM_ROWS_AT_ONCE;
      block (c + (ptrdiff_t) i * SIM_ROWS_AT_ONCE * ldc + column, ldc,
          strips + i * strip_size, panel,
          left < SIM_ROWS_AT_ONCE ? left : SIM_ROWS_AT_ONCE, k, width);
    }
  }
}
