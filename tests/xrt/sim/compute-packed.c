/* The packed programs: int8 in fixed point, all operands in one buffer.
 *
 * GELU and the product of matrices are those of the quick-start guide: GELU's
 * values are in units of 1/127, a product's sums of 32 bits are shifted right
 * by 7, which rounds down, and saturate. Values of attention and layernorm are
 * in sixteenths, gamma in 64ths: an arithmetic of ours.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "sim.h"

#include <math.h>
#include <stdlib.h>

#define UNIT 16.0 /* steps of a value's unit */
#define GAMMA_UNIT 64.0
#define GELU_UNIT 127.0
#define SHIFT 7
#define EPSILON 1e-5

/* Rounds to even, saturates. */
static int8_t
to_int8 (double x)
{
  return (int8_t) rint (x < -128 ? -128 : x > 127 ? 127 : x);
}

/* Scores are whole numbers below 2^24: exact in float. */
static void
attention (const SimProgram *p, const int8_t *in, int8_t *out)
{
  enum { N = NPU_TILE_ROWS, D = NPU_HEAD_DIM };
  const int8_t *q = in, *k = in + N * D, *v = in + 2 * N * D;
  float key[D][N];
  double value[N][D];

  (void) p;
  for (int j = 0; j < N; j++)
    for (int d = 0; d < D; d++) {
      key[d][j] = k[j * D + d];
      value[j][d] = v[j * D + d];
    }
  for (int row = 0; row < N; row++) {
    float dot[N] = {0};
    double s[N], o[D] = {0}, max = -INFINITY, sum = 0;

    for (int d = 0; d < D; d++)
      for (int j = 0; j < N; j++)
        dot[j] += (float) q[row * D + d] * key[d][j];
    for (int j = 0; j < N; j++) {
      s[j] = dot[j] / (sqrt (D) * UNIT * UNIT);
      max = s[j] > max ? s[j] : max;
    }
    for (int j = 0; j < N; j++) {
      sum += s[j] = exp (s[j] - max);
      for (int d = 0; d < D; d++)
        o[d] += s[j] * value[j][d];
    }
    for (int d = 0; d < D; d++)
      out[row * D + d] = to_int8 (o[d] / sum);
  }
}

static void
layernorm (const SimProgram *p, const int8_t *in, int8_t *out)
{
  const int n = p->n;
  const int8_t *gamma = in + n, *beta = in + 2 * n;
  double mean = 0, var = 0;

  for (int i = 0; i < n; i++)
    mean += in[i] / UNIT / n;
  for (int i = 0; i < n; i++)
    var += (in[i] / UNIT - mean) * (in[i] / UNIT - mean) / n;
  for (int i = 0; i < n; i++)
    out[i] = to_int8 (UNIT * ((in[i] / UNIT - mean) / sqrt (var + EPSILON) *
                                     gamma[i] / GAMMA_UNIT +
                                 beta[i] / UNIT));
}

static void
gelu (const SimProgram *p, const int8_t *in, int8_t *out)
{
  for (int i = 0; i < p->n; i++) {
    const double x = in[i] / GELU_UNIT;
    out[i] = to_int8 (GELU_UNIT * x * 0.5 * erfc (-x * M_SQRT1_2));
  }
}

static void
matmul (const SimProgram *p, const int8_t *in, int8_t *out)
{
  const int8_t *b = in + p->rows * p->k;

  for (int row = 0; row < p->rows; row++)
    for (int column = 0; column < p->n; column++) {
      int32_t sum = 0;
      for (int i = 0; i < p->k; i++)
        sum += in[row * p->k + i] * b[i * p->n + column];
      out[row * p->n + column] = to_int8 (sum >> SHIFT);
    }
}

void
sim_compute_packed (const SimProgram *program, const SimArgs *args)
{
  static void (*const programs[]) (
      const SimProgram *, const int8_t *, int8_t *) = {
      [SIM_LINEAR] = matmul,
      [SIM_ATTENTION] = attention,
      [SIM_LAYERNORM] = layernorm,
      [SIM_GELU] = gelu,
  };

  programs[program->op](program, (const int8_t *) args->data[SIM_ARG_IN],
      (int8_t *) args->data[SIM_ARG_OUT]);
}
