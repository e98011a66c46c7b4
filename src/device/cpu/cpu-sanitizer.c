/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu-sanitizer.h"

#ifdef CPU_HAVE_SANITIZER

#include <glib.h>

/* Of the sanitizers' runtimes; one of them is there. */
extern void *__asan_region_is_poisoned (void *begin, size_t size)
    __attribute__ ((weak));
extern void __tsan_read1 (void *at) __attribute__ ((weak));
extern void __tsan_write1 (void *at) __attribute__ ((weak));

#define TILES(rows) ((size_t) ((rows) + NPU_TILE_ROWS - 1) / NPU_TILE_ROWS)
#define LINE 64 /* bytes */

/* The tables that are called. */
static NpuKernels real;
static NpuFewKernels real_few;

/* The report is that of a load, also of what a kernel would write. */
static void
check_address (const void *at, size_t size)
{
  const volatile char *bad = NULL;

  if (__asan_region_is_poisoned)
    bad = __asan_region_is_poisoned ((void *) at, size);
  if (bad)
    (void) *bad;
}

/* A race is one of whole lines of cache; a byte of each tells it. */
static void
reads (const void *at, size_t size)
{
  char *bytes = (char *) at;

  check_address (at, size);
  if (!__tsan_read1 || size == 0)
    return;
  for (size_t i = 0; i < size; i += LINE)
    __tsan_read1 (bytes + i);
  __tsan_read1 (bytes + size - 1);
}

static void
writes (void *at, size_t size)
{
  char *bytes = at;

  check_address (at, size);
  if (!__tsan_write1 || size == 0)
    return;
  for (size_t i = 0; i < size; i += LINE)
    __tsan_write1 (bytes + i);
  __tsan_write1 (bytes + size - 1);
}

/* Constants: a race would be one of all of it with their making. */
static void
reads_constant (const void *at, size_t size)
{
  check_address (at, size);
  if (__tsan_read1 && size > 0) {
    __tsan_read1 ((char *) at);
    __tsan_read1 ((char *) at + size - 1);
  }
}

/* Rows of @size bytes, @stride bytes from each other. */
static void
reads_rows (const void *at, ptrdiff_t stride, int rows, size_t size)
{
  for (int i = 0; i < rows; i++)
    reads ((const char *) at + i * stride, size);
}

static void
writes_rows (void *at, ptrdiff_t stride, int rows, size_t size)
{
  for (int i = 0; i < rows; i++)
    writes ((char *) at + i * stride, size);
}

#define F ((ptrdiff_t) sizeof (float))
#define S ((ptrdiff_t) sizeof (int16_t))

/* --- attention, products ---------------------------------------------------
 */

#define ATTENTION_PACK(name, field)                                            \
  static void name##_##field (                                                 \
      void *tile, const float *x, ptrdiff_t stride, int rows)                  \
  {                                                                            \
    reads_rows (x, stride *F, rows, NPU_HEAD_DIM *F);                          \
    writes (tile, real.name.field##_tile_size);                                \
    real.name.pack_##field (tile, x, stride, rows);                            \
  }

#define ATTENTION(name)                                                        \
  ATTENTION_PACK (name, q)                                                     \
  ATTENTION_PACK (name, k)                                                     \
  ATTENTION_PACK (name, v)                                                     \
  static void name##_run (float *o, ptrdiff_t o_stride, const void *q,         \
      const void *k, const void *v, int q_rows, int kv_rows, float scale,      \
      void *scratch)                                                           \
  {                                                                            \
    reads (q, real.name.q_tile_size);                                          \
    reads (k, TILES (kv_rows) * real.name.k_tile_size);                        \
    reads (v, TILES (kv_rows) * real.name.v_tile_size);                        \
    writes (scratch, real.name.scratch_size);                                  \
    writes_rows (o, o_stride *F, q_rows, NPU_HEAD_DIM *F);                     \
    real.name.run (o, o_stride, q, k, v, q_rows, kv_rows, scale, scratch);     \
  }

ATTENTION (attention_f32)
ATTENTION (attention_s8)
ATTENTION (attention_bf16)

#define GEMM(name, size)                                                       \
  static void name##_pack (void *packed, const void *weight, int n, int k)     \
  {                                                                            \
    reads (weight, (size_t) n *k *size);                                       \
    writes (packed, (size_t) n *k *size);                                      \
    real.name.pack (packed, weight, n, k);                                     \
  }                                                                            \
  static void name##_run (void *c, ptrdiff_t c_stride, const void *a,          \
      ptrdiff_t a_stride, const void *packed, int rows, int n, int k)          \
  {                                                                            \
    reads_rows (a, a_stride *size, rows, (size_t) k *size);                    \
    reads_constant (packed, (size_t) n *k *size);                              \
    writes_rows (c, c_stride *F, rows, (size_t) n *F);                         \
    real.name.run (c, c_stride, a, a_stride, packed, rows, n, k);              \
  }

GEMM (gemm_f32, F)
GEMM (gemm_s16, S)
GEMM (gemm_bf16, S)

/* --- rows ------------------------------------------------------------------
 */

static void
layernorm_f32 (float *y, ptrdiff_t y_stride, const float *x, ptrdiff_t x_stride,
    const float *gamma, const float *beta, float eps, int rows, int d)
{
  reads_rows (x, x_stride * F, rows, (size_t) d * F);
  reads (gamma, (size_t) d * F);
  reads (beta, (size_t) d * F);
  writes_rows (y, y_stride * F, rows, (size_t) d * F);
  real.layernorm_f32 (y, y_stride, x, x_stride, gamma, beta, eps, rows, d);
}

static void
layernorm_q8 (uint8_t *y, float *scale, const float *x, ptrdiff_t x_stride,
    const float *gamma, const float *beta, float eps, int rows, int d)
{
  reads_rows (x, x_stride * F, rows, (size_t) d * F);
  reads (gamma, (size_t) d * F);
  reads (beta, (size_t) d * F);
  writes (y, (size_t) rows * d);
  writes (scale, (size_t) rows * F);
  real.layernorm_q8 (y, scale, x, x_stride, gamma, beta, eps, rows, d);
}

static void
gelu_f32 (float *y, const float *x, size_t n)
{
  reads (x, n * F);
  writes (y, n * F);
  real.gelu_f32 (y, x, n);
}

static void
quantize_q8 (uint8_t *y, float *scale, const float *x, ptrdiff_t x_stride,
    const float *column_scale, int rows, int k)
{
  reads_rows (x, x_stride * F, rows, (size_t) k * F);
  reads (column_scale, (size_t) k * F);
  writes (y, (size_t) rows * k);
  writes (scale, (size_t) rows * F);
  real.quantize_q8 (y, scale, x, x_stride, column_scale, rows, k);
}

static void
quantize_s16 (int16_t *y, float *scale, const float *x, ptrdiff_t x_stride,
    int rows, int k)
{
  reads_rows (x, x_stride * F, rows, (size_t) k * F);
  writes (y, (size_t) rows * k * S);
  writes (scale, (size_t) rows * F);
  real.quantize_s16 (y, scale, x, x_stride, rows, k);
}

static void
convert_bf16 (uint16_t *y, const float *x, size_t n)
{
  reads (x, n * F);
  writes (y, n * S);
  real.convert_bf16 (y, x, n);
}

static void
check_epilogue (float *y, ptrdiff_t y_stride, const NpuEpilogue *epilogue,
    int rows, size_t size)
{
  if (epilogue->bias)
    reads (epilogue->bias, size);
  if (epilogue->residual)
    reads_rows (epilogue->residual, epilogue->residual_stride * F, rows, size);
  writes_rows (y, y_stride * F, rows, size);
}

static void
epilogue_f32 (float *y, ptrdiff_t y_stride, const float *acc,
    ptrdiff_t acc_stride, const NpuEpilogue *epilogue, int rows, int n)
{
  reads_rows (acc, acc_stride * F, rows, (size_t) n * F);
  check_epilogue (y, y_stride, epilogue, rows, (size_t) n * F);
  real.epilogue_f32 (y, y_stride, acc, acc_stride, epilogue, rows, n);
}

static void
epilogue_s32 (float *y, ptrdiff_t y_stride, const int32_t *acc,
    ptrdiff_t acc_stride, const float *row_scale, const float *weight_scale,
    const int32_t *zero_sum, const NpuEpilogue *epilogue, int rows, int n)
{
  reads_rows (acc, acc_stride * F, rows, (size_t) n * F);
  check_epilogue (y, y_stride, epilogue, rows, (size_t) n * F);
  reads (row_scale, (size_t) rows * F);
  reads (weight_scale, (size_t) n * F);
  reads (zero_sum, (size_t) n * F);
  real.epilogue_s32 (y, y_stride, acc, acc_stride, row_scale, weight_scale,
      zero_sum, epilogue, rows, n);
}

static void
linear_s8_pack (void *packed, const void *weight, int n, int k)
{
  reads (weight, (size_t) n * k);
  writes (packed, (size_t) n * k);
  real.linear_s8.pack (packed, weight, n, k);
}

static void
linear_s8_run (float *y, ptrdiff_t y_stride, const uint8_t *a,
    const void *packed, const NpuLinearS8 *linear, int rows, int n, int k)
{
  const size_t size = (size_t) n * F;

  reads (a, (size_t) rows * k);
  reads_constant (packed, (size_t) n * k);
  reads (linear->row_scale, (size_t) rows * F);
  reads (linear->weight_scale, size);
  reads (linear->zero_sum, size);
  check_epilogue (y, y_stride, &linear->epilogue, rows, size);
  real.linear_s8.run (y, y_stride, a, packed, linear, rows, n, k);
}

/* --- few rows --------------------------------------------------------------
 */

#define DOT(name, Sum, Element, Weight)                                        \
  static void name (Sum *c, ptrdiff_t c_stride, const Element *a,              \
      ptrdiff_t a_stride, const Weight *weight, int rows, int n, int k)        \
  {                                                                            \
    reads_rows (a, a_stride *(ptrdiff_t) sizeof *a, rows, k * sizeof *a);      \
    reads_constant (weight, (size_t) n *k * sizeof *weight);                   \
    writes_rows (c, c_stride *F, rows, (size_t) n *F);                         \
    real_few.name (c, c_stride, a, a_stride, weight, rows, n, k);              \
  }

DOT (dot_s8, int32_t, int16_t, int8_t)
DOT (dot_s16, int32_t, int16_t, int16_t)
DOT (dot_f32, float, float, float)

static void
dot_grouped (int32_t *c, ptrdiff_t c_stride, const int16_t *a,
    ptrdiff_t a_stride, const int8_t *weight, const int16_t *factors, int rows,
    int n, int k)
{
  reads_rows (a, a_stride * S, rows, (size_t) k * S);
  reads_constant (weight, (size_t) n * k);
  reads_constant (factors, (size_t) n * (k / NPU_FEW_GROUP) * sizeof *factors);
  writes_rows (c, c_stride * F, rows, (size_t) n * F);
  real_few.dot_grouped (c, c_stride, a, a_stride, weight, factors, rows, n, k);
}

static void
attend_f32 (NpuAttended *to, const float *q, const float *const *keys,
    ptrdiff_t k_at, ptrdiff_t v_at, int n_keys, float scale)
{
  reads (q, NPU_HEAD_DIM * F);
  reads (keys, (size_t) n_keys * sizeof *keys);
  for (int i = 0; i < n_keys; i++) {
    reads (keys[i] + k_at, NPU_HEAD_DIM * F);
    reads (keys[i] + v_at, NPU_HEAD_DIM * F);
  }
  writes (to, sizeof *to);
  real_few.attend_f32 (to, q, keys, k_at, v_at, n_keys, scale);
}

static void
attend_s8 (NpuAttended *to, const int16_t *q, const int8_t *k,
    const float *k_scale, const int8_t *v, const float *v_scale, int n_keys,
    float scale)
{
  reads (q, NPU_HEAD_DIM * S);
  reads (k, (size_t) n_keys * NPU_HEAD_DIM);
  reads (k_scale, (size_t) n_keys * F);
  reads (v, (size_t) (n_keys + 1) / 2 * 2 * NPU_HEAD_DIM);
  reads (v_scale, (size_t) n_keys * F);
  writes (to, sizeof *to);
  real_few.attend_s8 (to, q, k, k_scale, v, v_scale, n_keys, scale);
}

static float
quantize_s8 (int8_t *y, const float *x, int k)
{
  reads (x, (size_t) k * F);
  writes (y, (size_t) k);
  return real_few.quantize_s8 (y, x, k);
}

/* --- tables ----------------------------------------------------------------
 */

#define WRAP_ATTENTION(name)                                                   \
  kernels->name.pack_q = name##_q;                                             \
  kernels->name.pack_k = name##_k;                                             \
  kernels->name.pack_v = name##_v;                                             \
  kernels->name.run = name##_run

/* Not every table has it. */
#define WRAP_GEMM(gemm)                                                        \
  if (kernels->gemm.run) {                                                     \
    kernels->gemm.pack = gemm##_pack;                                          \
    kernels->gemm.run = gemm##_run;                                            \
  }

void
cpu_sanitizer_wrap (NpuKernels *kernels, NpuFewKernels *few, unsigned flags)
{
  static gsize first; /* flags and 1 */

  if (g_once_init_enter (&first)) {
    real = *kernels;
    real_few = *few;
    g_once_init_leave (&first, (gsize) flags + 1);
  }
  if (first != (gsize) flags + 1)
    return;

  WRAP_ATTENTION (attention_f32);
  WRAP_ATTENTION (attention_s8);
  WRAP_ATTENTION (attention_bf16);
  WRAP_GEMM (gemm_f32);
  WRAP_GEMM (gemm_s16);
  WRAP_GEMM (linear_s8);
  WRAP_GEMM (gemm_bf16);
  kernels->layernorm_f32 = layernorm_f32;
  kernels->layernorm_q8 = layernorm_q8;
  kernels->gelu_f32 = gelu_f32;
  kernels->quantize_q8 = quantize_q8;
  kernels->quantize_s16 = quantize_s16;
  kernels->convert_bf16 = convert_bf16;
  kernels->epilogue_f32 = epilogue_f32;
  kernels->epilogue_s32 = epilogue_s32;
  few->dot_s8 = dot_s8;
  few->dot_s16 = dot_s16;
  few->dot_grouped = dot_grouped;
  few->dot_f32 = dot_f32;
  few->attend_f32 = attend_f32;
  few->attend_s8 = attend_s8;
  few->quantize_s8 = quantize_s8;
}

#endif
