/* Products of a tile with constant weights: the loops around a block of rows
 * that is held in registers. The file that includes this one defines Input,
 * Weight and Sum, the types of A, the weights and C, Sums, a register of C,
 * VECTORS, how many of them a row of a block takes, LANES, their columns, ROWS,
 * a block's rows, STEP, the inputs that a lane takes at once, DEPTH, PREFETCH,
 * how many lines of weights are asked for ahead at once, and GEMM (name), the
 * names of functions; and after it multiply_step().
 *
 * Weights are packed by panels, [n / PANEL][k / STEP][PANEL][STEP], and taken
 * in blocks of DEPTH inputs, which stay in the first cache while all rows are
 * multiplied with them; a file that defines no DEPTH goes through the blocks by
 * itself. A sum is made in the order of its inputs, whatever rows
 * are computed beside it.
 *
 * What is not a multiplication is kept little: where a core is shared with
 * another program's thread it is what costs. An address is one of a few bases
 * and up to two strides, which takes no instruction, and a step has constant
 * places from there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/npu-x86.h"

#include <string.h>

#define multiply_all GEMM (multiply_all)
#define multiply_last GEMM (multiply_last)
#define multiply_one GEMM (multiply_one)

#define PANEL (VECTORS * LANES)
#define LAST_ROWS (NPU_TILE_ROWS % ROWS)

#define BASE_ROWS 3 /* base + 0, 1 or 2 strides */
#define N_BASES ((ROWS + BASE_ROWS - 1) / BASE_ROWS)
#define AT_ONCE 4                      /* steps */
#define STEP_SIZE ((int) PANEL * STEP) /* weights */
/* Lines of 64 bytes of the weights of AT_ONCE steps. */
#define LINES ((int) (AT_ONCE * STEP_SIZE * sizeof (Weight) / 64))

/* acc[rows][VECTORS] += a[rows][STEP] times b[PANEL][STEP]; a is `j` from `at`,
 * which are of rows 0, BASE_ROWS, 2 BASE_ROWS, …. */
NPU_INLINE void multiply_step (Sums acc[ROWS][VECTORS],
    const Input *const at[N_BASES], int j, ptrdiff_t a_stride, const Weight *b,
    const int rows);

NPU_INLINE void
advance (const Input *at[N_BASES], const int rows)
{
  NPU_UNROLLED
  for (int i = 0; i * BASE_ROWS < rows; i++) {
    at[i] += AT_ONCE * STEP;
    /* Stays a base: a compiler would make a pointer of every row. */
    __asm__("" : "+r"(at[i]));
  }
}

/* The next row, from where this one is: a compiler would have the addresses of
 * all rows and registers at once, and no place for them. */
NPU_INLINE Sum *
next_row (Sum *row, ptrdiff_t stride)
{
  row += stride;
  __asm__("" : "+r"(row));
  return row;
}

/* c[rows][PANEL] = or += a[rows][k] * b[k / STEP][PANEL][STEP], rows at most
 * ROWS and a constant. One line in LINES of what is `ahead` bytes from b is
 * asked for: past the weights' end nothing is read, and nothing faults. */
NPU_INLINE void
multiply (Sum *c, ptrdiff_t c_stride, const Input *a, ptrdiff_t a_stride,
    const Weight *b, int k, int add, ptrdiff_t ahead, const int rows)
{
  const Weight *const end = b + (ptrdiff_t) k * PANEL;
  const Input *at[N_BASES];
  Sums acc[ROWS][VECTORS];
  Sum *row = c;

  NPU_UNROLLED
  for (int i = 0; i * BASE_ROWS < rows; i++)
    at[i] = a + i * BASE_ROWS * a_stride;
  NPU_UNROLLED
  for (int i = 0; i < rows; i++, row = next_row (row, c_stride))
    for (int g = 0; g < VECTORS; g++)
      acc[i][g] = add ? load_sums (row + g * LANES) : (Sums){0};
  do {
    NPU_UNROLLED
    for (int i = 0; i < PREFETCH; i++)
      _mm_prefetch (
          (const char *) b + ahead + i * (LINES / 2) * 64, _MM_HINT_T1);
    NPU_UNROLLED
    for (int j = 0; j < AT_ONCE; j++, b += STEP_SIZE)
      multiply_step (acc, at, j * STEP, a_stride, b, rows);
    advance (at, rows);
  } while (b != end);
  NPU_UNROLLED
  for (int i = 0; i < rows; i++, c = next_row (c, c_stride))
    for (int g = 0; g < VECTORS; g++)
      store_sums (c + g * LANES, acc[i][g]);
}

/* Not inlined: each loop has the registers for itself. */
#define MULTIPLY(name, rows)                                                   \
  static __attribute__ ((noinline)) void multiply_##name (Sum *c,              \
      ptrdiff_t c_stride, const Input *a, ptrdiff_t a_stride, const Weight *b, \
      int k, int add, ptrdiff_t ahead)                                         \
  {                                                                            \
    multiply (c, c_stride, a, a_stride, b, k, add, ahead, rows);               \
  }

MULTIPLY (all, ROWS)
MULTIPLY (last, LAST_ROWS)
MULTIPLY (one, 1)

#ifdef DEPTH

/* The weights that are used after those of `column` and `first`: at the end
 * those behind, which a caller may want next. */
static const Weight *
GEMM (next) (const Weight *packed, int column, int first, int n, int k)
{
  if (column + PANEL < n)
    return packed + (size_t) (column + PANEL) * k + (size_t) first * PANEL;
  return first + DEPTH < k ? packed + (size_t) (first + DEPTH) * PANEL
                           : packed + (size_t) n * k;
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
      const ptrdiff_t ahead =
          (const char *) GEMM (next) (packed, column, first, n, k) -
          (const char *) b;
      int i = 0, line = 0;

      for (; i + ROWS <= rows; i += ROWS, line = (line + 1) % LINES)
        multiply_all (to + i * c_stride, c_stride, from + i * a_stride,
            a_stride, b, depth, first > 0, ahead + line * 64);
      for (; i + LAST_ROWS <= rows; i += LAST_ROWS)
        multiply_last (to + i * c_stride, c_stride, from + i * a_stride,
            a_stride, b, depth, first > 0, ahead);
      for (; i < rows; i++)
        multiply_one (to + i * c_stride, c_stride, from + i * a_stride,
            a_stride, b, depth, first > 0, ahead);
    }
}

#endif

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

#ifdef DEPTH
#define GEMM_KERNEL                                                            \
  ((NpuGemmKernel){.columns = PANEL, .pack = GEMM (pack), .run = GEMM (run)})
#endif
