/* What programs compute, on rows; attention and the packed programs are in
 * files of their own.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "sim.h"
#include "matmul.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sums of this many products of int8 are exact in f32: 2^10 2^7 2^7 = 2^24. */
#define EXACT_PRODUCTS 1024
#define EPSILON 1e-5f

void *
sim_scratch (size_t size)
{
  void *memory = aligned_alloc (64, (size + 63) / 64 * 64);

  if (!memory) {
    fprintf (stderr, "npusim: no memory for %zu bytes\n", size);
    abort ();
  }
  return memory;
}

const NpuKernels *
sim_kernels (void)
{
  static NpuKernels kernels;
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

  pthread_mutex_lock (&lock);
  if (!kernels.name)
    npu_kernels_init (&kernels, npu_cpu_flags ());
  pthread_mutex_unlock (&lock);
  return &kernels;
}

void
sim_widen_bf16 (float *y, const void *x, size_t n)
{
  const uint16_t *in = x;

  for (size_t i = 0; i < n; i++) {
    const uint32_t bits = (uint32_t) in[i] << 16;
    memcpy (&y[i], &bits, sizeof bits);
  }
}

void
sim_matmul (float *c, ptrdiff_t ldc, const float *a, const float *b, int rows,
    int k, int n)
{
  SimMatmul *matmul = sim_matmul_plain;
  float *scratch = sim_scratch (SIM_MATMUL_SCRATCH (rows, k) * sizeof *scratch);

#ifdef NPU_HAVE_X86
  const unsigned flags = npu_cpu_flags ();
  if (flags & NPU_CPU_AVX512)
    matmul = sim_matmul_avx512;
  else if (flags & NPU_CPU_AVX2)
    matmul = sim_matmul_avx2;
#endif
  matmul (c, ldc, a, b, rows, k, n, scratch);
  free (scratch);
}

/* --- linear */

static void
linear_bf16 (const SimProgram *p, const SimArgs *args)
{
  const size_t rows = (size_t) p->rows, k = (size_t) p->k, n = (size_t) p->n;
  float *a = sim_scratch (rows * k * sizeof *a);
  float *b = sim_scratch (k * n * sizeof *b);
  float *c = sim_scratch (rows * n * sizeof *c);
  const NpuEpilogue epilogue = {
      .bias = p->bias ? (const float *) args->data[SIM_ARG_BIAS] : NULL,
      .gelu = p->gelu ? NPU_GELU_EXACT : NPU_GELU_NONE,
      .residual = p->residual ? (const float *) args->data[SIM_ARG_R] : NULL,
      .residual_stride = p->n,
  };

  sim_widen_bf16 (a, args->data[SIM_ARG_A], rows * k);
  sim_widen_bf16 (b, args->data[SIM_ARG_B], k * n);
  sim_matmul (c, p->n, a, b, p->rows, p->k, p->n);
  for (size_t row = 0; row < rows; row += NPU_TILE_ROWS)
    if (p->bias || p->gelu || p->residual) {
      NpuEpilogue part = epilogue;

      if (part.residual)
        part.residual += row * n;
      sim_kernels ()->epilogue_f32 (c + row * n, p->n, c + row * n, p->n, &part,
          (int) (rows - row < NPU_TILE_ROWS ? rows - row : NPU_TILE_ROWS),
          p->n);
    }
  if (p->c_type == SIM_BF16)
    sim_kernels ()->convert_bf16 (
        (uint16_t *) args->data[SIM_ARG_C], c, rows * n);
  else
    memcpy (args->data[SIM_ARG_C], c, rows * n * sizeof *c);
  free (a);
  free (b);
  free (c);
}

/* Columns [start, start + width) of rows of k bytes, as floats. */
static void
widen_int8 (float *y, const int8_t *x, size_t rows, size_t k, size_t start,
    size_t width)
{
  for (size_t row = 0; row < rows; row++)
    for (size_t i = 0; i < width; i++)
      y[row * width + i] = x[row * k + start + i];
}

static void
linear_int8 (const SimProgram *p, const SimArgs *args)
{
  const size_t rows = (size_t) p->rows, k = (size_t) p->k, n = (size_t) p->n;
  const size_t most = k < EXACT_PRODUCTS ? k : EXACT_PRODUCTS;
  const int8_t *b8 = (const int8_t *) args->data[SIM_ARG_B];
  int32_t *c = (int32_t *) args->data[SIM_ARG_C];
  float *a = sim_scratch (rows * most * sizeof *a);
  float *b = sim_scratch (most * n * sizeof *b);
  float *sum = sim_scratch (rows * n * sizeof *sum);

  for (size_t start = 0; start < k; start += most) {
    const size_t width = k - start < most ? k - start : most;

    widen_int8 (
        a, (const int8_t *) args->data[SIM_ARG_A], rows, k, start, width);
    widen_int8 (b, b8 + start * n, width, n, 0, n);
    sim_matmul (sum, p->n, a, b, p->rows, (int) width, p->n);
    if (!start)
      for (size_t i = 0; i < rows * n; i++)
        c[i] = (int32_t) sum[i];
    else
      for (size_t i = 0; i < rows * n; i++)
        c[i] += (int32_t) sum[i];
  }
  free (a);
  free (b);
  free (sum);
}

void
sim_compute_linear (const SimProgram *program, const SimArgs *args)
{
  if (program->a_type == SIM_INT8)
    linear_int8 (program, args);
  else
    linear_bf16 (program, args);
}

/* --- rows */

static void
layernorm (const SimProgram *p, const SimArgs *args)
{
  const size_t n = (size_t) p->n;
  const float *x = (const float *) args->data[SIM_ARG_X];
  const float *g = (const float *) args->data[SIM_ARG_G];
  uint16_t *y = (uint16_t *) args->data[SIM_ARG_Y];
  float *row = sim_scratch (n * sizeof *row);

  for (size_t i = 0; i < (size_t) p->rows; i++) {
    sim_kernels ()->layernorm_f32 (
        row, p->n, x + i * n, p->n, g, g + n, EPSILON, 1, p->n);
    sim_kernels ()->convert_bf16 (y + i * n, row, n);
  }
  free (row);
}

static void
gelu (const SimProgram *p, const SimArgs *args)
{
  const size_t n = (size_t) p->n;
  const uint16_t *x = (const uint16_t *) args->data[SIM_ARG_X];
  uint16_t *y = (uint16_t *) args->data[SIM_ARG_Y];
  float *row = sim_scratch (n * sizeof *row);

  for (size_t i = 0; i < (size_t) p->rows; i++) {
    sim_widen_bf16 (row, x + i * n, n);
    sim_kernels ()->gelu_f32 (row, row, n);
    sim_kernels ()->convert_bf16 (y + i * n, row, n);
  }
  free (row);
}

void
sim_compute (const SimProgram *program, const SimArgs *args)
{
  if (program->layout == SIM_PACKED)
    sim_compute_packed (program, args);
  else if (program->op == SIM_LINEAR)
    sim_compute_linear (program, args);
  else if (program->op == SIM_ATTENTION)
    sim_compute_attention (program, args);
  else if (program->op == SIM_LAYERNORM)
    layernorm (program, args);
  else
    gelu (program, args);
}
