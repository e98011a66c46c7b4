/* Few rows, in C.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA c

#include "npu-few.h"
#include "npu-kernels-internal.h"
#include "npu-math.h"

#include <math.h>
#include <string.h>

#if NPU_HAVE_X86
#include "x86/npu-x86.h"
#endif

#define dot NPU_KERNEL (few_dot)
#define scaled_weight NPU_KERNEL (few_scaled_weight)
#define softmax_of_run NPU_KERNEL (few_softmax_of_run)
#define weights_s16 NPU_KERNEL (few_weights_s16)
#define zero_of NPU_KERNEL (few_zero_of)
#define largest_of_group NPU_KERNEL (few_largest_of_group)
#define scale_of_grouped NPU_KERNEL (few_scale_of_grouped)

#define DIM NPU_HEAD_DIM
#define GROUP NPU_FEW_GROUP
#define LEVELS ((float) NPU_Q8_LEVELS)
#define FACTOR_BITS 7 /* below the point: 8 bits by 15 are 16 and these */
#define FACTOR_HALF (1 << (FACTOR_BITS - 1))

/* Sums run in this many lanes: compilers may not reorder a float sum. */
#define LANES 16

static void
NPU_KERNEL (few_dot_s8) (int32_t *c, ptrdiff_t c_stride, const int16_t *a,
    ptrdiff_t a_stride, const int8_t *weight, int rows, int n, int k)
{
  for (int column = 0; column < n; column++, weight += k)
    for (int i = 0; i < rows; i++) {
      int32_t sum = 0;

      for (int j = 0; j < k; j++)
        sum += a[i * a_stride + j] * weight[j];
      c[i * c_stride + column] = sum;
    }
}

static void
NPU_KERNEL (few_dot_s16) (int32_t *c, ptrdiff_t c_stride, const int16_t *a,
    ptrdiff_t a_stride, const int16_t *weight, int rows, int n, int k)
{
  for (int column = 0; column < n; column++, weight += k)
    for (int i = 0; i < rows; i++) {
      int32_t sum = 0;

      for (int j = 0; j < k; j++)
        sum += a[i * a_stride + j] * weight[j];
      c[i * c_stride + column] = sum;
    }
}

/* The 16-bit weight of 8 bits times a group's factor. */
static int32_t
scaled_weight (int32_t weight, int32_t factor)
{
  return (weight * factor + FACTOR_HALF) >> FACTOR_BITS;
}

static void
NPU_KERNEL (few_dot_grouped) (int32_t *c, ptrdiff_t c_stride, const int16_t *a,
    ptrdiff_t a_stride, const int8_t *weight, const int16_t *factors, int rows,
    int n, int k)
{
  for (int column = 0; column < n; column++, weight += k, factors += k / GROUP)
    for (int i = 0; i < rows; i++) {
      const int16_t *x = a + i * a_stride;
      int32_t sum = 0;

      for (int j = 0; j < k; j++)
        sum += x[j] * scaled_weight (weight[j], factors[j / GROUP]);
      c[i * c_stride + column] = sum;
    }
}

static float
dot (const float *x, const float *y, int k)
{
  float lanes[LANES] = {0};

  for (int j = 0; j < k; j += LANES)
    for (int i = 0; i < LANES; i++)
      lanes[i] += x[j + i] * y[j + i];
  for (int n = LANES / 2; n > 0; n /= 2)
    for (int i = 0; i < n; i++)
      lanes[i] += lanes[i + n];
  return lanes[0];
}

static void
NPU_KERNEL (few_dot_f32) (float *c, ptrdiff_t c_stride, const float *a,
    ptrdiff_t a_stride, const float *weight, int rows, int n, int k)
{
  for (int column = 0; column < n; column++, weight += k)
    for (int i = 0; i < rows; i++)
      c[i * c_stride + column] = dot (a + i * a_stride, weight, k);
}

/* Scores become weights, whose sum and largest score are noted. */
static void
softmax_of_run (NpuAttended *to, float *score, int n)
{
  to->max = score[0];
  to->sum = 0.0f;
  for (int i = 1; i < n; i++)
    to->max = score[i] > to->max ? score[i] : to->max;
  for (int i = 0; i < n; i++) {
    score[i] = npu_exp2 (score[i] - to->max);
    to->sum += score[i];
  }
}

static void
NPU_KERNEL (few_attend_f32) (NpuAttended *to, const float *q,
    const float *const *keys, ptrdiff_t k_at, ptrdiff_t v_at, int n_keys,
    float scale)
{
  float score[NPU_FEW_KEYS];

  for (int i = 0; i < n_keys; i++)
    score[i] = dot (q, keys[i] + k_at, DIM) * (scale * NPU_LOG2E);
  softmax_of_run (to, score, n_keys);
  memset (to->o, 0, sizeof to->o);
  for (int i = 0; i < n_keys; i++)
    for (int j = 0; j < DIM; j++)
      to->o[j] += score[i] * keys[i][v_at + j];
}

/* weight[n] = round (score v_scale / *step), the largest of which is 2^15 - 1
 * steps. */
static void
weights_s16 (int16_t *weight, float *step, const float *score,
    const float *v_scale, int n)
{
  float largest = 0.0f, inverse;

  for (int i = 0; i < n; i++)
    largest = score[i] * v_scale[i] > largest ? score[i] * v_scale[i] : largest;
  inverse = largest < NPU_S16_SMALLEST ? 0.0f : INT16_MAX / largest;
  *step = largest / INT16_MAX;
  for (int i = 0; i < n; i++)
    weight[i] = (int16_t) (npu_bits_of_float (score[i] * v_scale[i] * inverse +
                                              NPU_ROUND_MAGIC) -
                           npu_bits_of_float (NPU_ROUND_MAGIC));
}

static void
NPU_KERNEL (few_attend_s8) (NpuAttended *to, const int16_t *q, const int8_t *k,
    const float *k_scale, const int8_t *v, const float *v_scale, int n_keys,
    float scale)
{
  float score[NPU_FEW_KEYS], step;
  int16_t weight[NPU_FEW_KEYS + 1];
  int32_t sum[DIM] = {0};

  for (int i = 0; i < n_keys; i++) {
    int32_t s = 0;

    for (int j = 0; j < DIM; j++)
      s += q[j] * k[i * DIM + j];
    score[i] = (float) s * k_scale[i] * (scale * NPU_LOG2E);
  }
  softmax_of_run (to, score, n_keys);
  weights_s16 (weight, &step, score, v_scale, n_keys);
  weight[n_keys] = 0;
  for (int i = 0; i < n_keys; i += 2)
    for (int j = 0; j < DIM; j++)
      sum[j] += weight[i] * v[i * DIM + 2 * j] +
                weight[i + 1] * v[i * DIM + 2 * j + 1];
  for (int j = 0; j < DIM; j++)
    to->o[j] = (float) sum[j] * step;
}

void
npu_attended_join (float *o, const NpuAttended *runs, int n_runs)
{
  float max = runs[0].max, sum = 0.0f, inverse;

  for (int i = 1; i < n_runs; i++)
    max = runs[i].max > max ? runs[i].max : max;
  memset (o, 0, DIM * sizeof *o);
  for (int i = 0; i < n_runs; i++) {
    const float weight = npu_exp2 (runs[i].max - max);

    sum += weight * runs[i].sum;
    for (int j = 0; j < DIM; j++)
      o[j] += weight * runs[i].o[j];
  }
  inverse = 1.0f / sum;
  for (int j = 0; j < DIM; j++)
    o[j] *= inverse;
}

/* 0, or a NaN where x[k] has one, or an infinity. */
static float
zero_of (const float *x, int k)
{
  float lanes[LANES] = {0};

  for (int j = 0; j < k; j += LANES)
    for (int i = 0; i < LANES; i++)
      lanes[i] += x[j + i] * 0.0f;
  for (int i = 1; i < LANES; i++)
    lanes[0] += lanes[i];
  return lanes[0];
}

static float
NPU_KERNEL (few_quantize_s8) (int8_t *y, const float *x, int k)
{
  const float largest = npu_largest_magnitude (x, k), zero = zero_of (x, k);
  float inverse;

  if (largest < NPU_Q8_SMALLEST || zero != 0.0f) {
    memset (y, 0, (size_t) k);
    return zero;
  }
  inverse = NPU_Q8_LEVELS / largest;
  for (int j = 0; j < k; j++)
    y[j] = (int8_t) (npu_bits_of_float (x[j] * inverse + NPU_ROUND_MAGIC) -
                     npu_bits_of_float (NPU_ROUND_MAGIC));
  return largest / NPU_Q8_LEVELS;
}

/* y[GROUP] = round (x inverse), where that is a byte. */
static void
round_group (int8_t *y, const float *x, float inverse)
{
  for (int j = 0; j < GROUP; j++)
    y[j] = (int8_t) (npu_bits_of_float (x[j] * inverse + NPU_ROUND_MAGIC) -
                     npu_bits_of_float (NPU_ROUND_MAGIC));
}

static float
largest_of_group (const float *x)
{
  float most = 0.0f;

  for (int j = 0; j < GROUP; j++)
    most = fabsf (x[j]) > most ? fabsf (x[j]) : most;
  return most;
}

/* What a 16-bit weight of 1 is: the norm is NPU_GROUPED_NORM, unless the
 * largest group's factor would have more than 15 bits. */
static float
scale_of_grouped (const float *x, float largest, int k)
{
  const float least = largest / INT16_MAX * ((1 << FACTOR_BITS) / LEVELS);
  double squares[LANES] = {0};

  for (int j = 0; j < k; j += LANES)
    for (int i = 0; i < LANES; i++)
      squares[i] += (double) x[j + i] * x[j + i];
  for (int i = 1; i < LANES; i++)
    squares[0] += squares[i];
  return fmaxf ((float) (sqrt (squares[0]) / NPU_GROUPED_NORM), least);
}

float
npu_few_quantize_grouped (int8_t *y, int16_t *factors, const float *x, int k)
{
  const float largest = npu_largest_magnitude (x, k), zero = zero_of (x, k);
  float scale;

  if (largest < NPU_GROUPED_SMALLEST || zero != 0.0f) {
    memset (y, 0, (size_t) k);
    memset (factors, 0, (size_t) k / GROUP * sizeof *factors);
    return zero;
  }
  scale = scale_of_grouped (x, largest, k);
  for (int group = 0; group < k / GROUP; group++, x += GROUP, y += GROUP) {
    const float most = largest_of_group (x);
    const float factor = most / LEVELS / scale * (1 << FACTOR_BITS) + 0.5f;

    factors[group] = (int16_t) npu_min_int ((int) factor, INT16_MAX);
    round_group (y, x, most < NPU_Q8_SMALLEST ? 0.0f : LEVELS / most);
  }
  return scale;
}

void
npu_few_init (NpuFewKernels *kernels, unsigned cpu_flags)
{
  *kernels = (NpuFewKernels){NPU_KERNEL (few_dot_s8), NPU_KERNEL (few_dot_s16),
      NPU_KERNEL (few_dot_grouped), NPU_KERNEL (few_dot_f32),
      NPU_KERNEL (few_attend_f32), NPU_KERNEL (few_attend_s8),
      NPU_KERNEL (few_quantize_s8)};
#if NPU_HAVE_X86
  if (!(cpu_flags & NPU_CPU_AVX2))
    return;
  npu_few_init_avx2 (kernels);
  if (cpu_flags & NPU_CPU_AVX_VNNI)
    npu_few_init_avxvnni (kernels);
  if (!(cpu_flags & NPU_CPU_AVX512))
    return;
  npu_few_init_avx512 (kernels);
  if (cpu_flags & NPU_CPU_AVX512_VNNI)
    npu_few_init_avx512vnni (kernels);
#endif
}
