/* Products of a tile with constant weights: the loops around a block of rows
 * that is held in registers. The file that includes this one defines Input,
 * Weight and Sum, the types of A, the weights and C, PANEL, the columns of a
 * block, in two registers, ROWS, its rows, STEP, the inputs that a lane takes
 * at once, DEPTH, PREFETCH, the lines of 64 bytes of the next panel that are
 * asked for at every ROWS rows, or 0, and GEMM (name), the names of functions.
 *
 * Weights are packed by panels, [n / PANEL][k / STEP][PANEL][STEP], and taken
 * in blocks of DEPTH inputs, which stay in the first cache while all rows are
 * multiplied with them. A sum is made in the order of its inputs, whatever rows
 * are computed beside it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/npu-x86.h"

#include <string.h>

#define multiply_all GEMM (multiply_all)
#define multiply_last GEMM (multiply_last)
#define multiply_one GEMM (multiply_one)

#define LAST_ROWS (NPU_TILE_ROWS % ROWS)

/* c[rows][PANEL] = or += a[rows][k] * b[k / STEP][PANEL][STEP], rows at most
 * ROWS and a constant. */
NPU_INLINE void multiply (Sum *c, ptrdiff_t c_stride, const Input *a,
    ptrdiff_t a_stride, const Weight *b, int k, int add, const int rows);

/* Not inlined: each loop has the registers for itself. */
#define MULTIPLY(name, rows)                                                   \
  static __attribute__ ((noinline)) void multiply_##name (Sum *c,              \
      ptrdiff_t c_stride, const Input *a, ptrdiff_t a_stride, const Weight *b, \
      int k, int add)                                                          \
  {                                                                            \
    multiply (c, c_stride, a, a_stride, b, k, add, rows);                      \
  }

MULTIPLY (all, ROWS)
MULTIPLY (last, LAST_ROWS)
MULTIPLY (one, 1)

NPU_INLINE void
prefetch (const char *line, int n)
{
  for (int i = 0; i < n; i++)
    _mm_prefetch (line + i * 64, _MM_HINT_T1);
}

static void
GEMM (run) (void *c, ptrdiff_t c_stride, const void *a, ptrdiff_t a_stride,
    const void *packed, int rows, int n, int k)
{
  for (int first = 0; first < k; first += DEPTH)
    for (int column = 0; column < n; column += PANEL) {
      const Weight *b = (const Weight *) packed + (size_t) column * k +
                        (size_t) first * PANEL;
      const int depth = npu_min_int (k - first, DEPTH);
      const Input *from = (const Input *) a + first;
      Sum *to = (Sum *) c + column;
      /* Past the weights' end nothing is read, and nothing faults. */
      const char *next = (const char *) (b + (size_t) k * PANEL);
      int i = 0;

      for (; i + ROWS <= rows; i += ROWS, next += PREFETCH * 64) {
        prefetch (next, PREFETCH);
        multiply_all (to + i * c_stride, c_stride, from + i * a_stride,
            a_stride, b, depth, first > 0);
      }
      for (; i + LAST_ROWS <= rows; i += LAST_ROWS)
        multiply_last (to + i * c_stride, c_stride, from + i * a_stride,
            a_stride, b, depth, first > 0);
      for (; i < rows; i++)
        multiply_one (to + i * c_stride, c_stride, from + i * a_stride,
            a_stride, b, depth, first > 0);
    }
}

static void
GEMM (pack) (void *packed, const void *weight, int n, int k)
{
  const Weight *from = weight;
  Weight *to = packed;

  for (int column = 0; column < n; column += PANEL)
    for (int j = 0; j < k; j += STEP)
      for (int i = 0; i < PANEL; i++, to += STEP)
        memcpy (
            to, from + (size_t) (column + i) * k + j, STEP * sizeof (Weight));
}
