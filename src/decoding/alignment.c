/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "alignment.h"

#include <math.h>
#include <string.h>

#define WIDTH 7 /* of the median */
#define PAD (WIDTH / 2)
#define LANES 8 /* medians at once */

/* --- one head ------------------------------------------------------------ */

/* Lane by lane, by a network of exchanges (Devillard 1998): minima and maxima
 * of whole vectors. */
static inline void
exchange (float *a, float *b)
{
  for (guint i = 0; i < LANES; i++) {
    const float low = a[i] < b[i] ? a[i] : b[i];
    const float high = a[i] < b[i] ? b[i] : a[i];

    a[i] = low;
    b[i] = high;
  }
}

/* y[LANES] = the medians of x[LANES + 6]. */
static void
medians_of_7 (const float *x, float *y)
{
  float p[WIDTH][LANES];

  for (guint i = 0; i < WIDTH; i++)
    memcpy (p[i], x + i, sizeof p[i]);
  exchange (p[0], p[5]);
  exchange (p[0], p[3]);
  exchange (p[1], p[6]);
  exchange (p[2], p[4]);
  exchange (p[0], p[1]);
  exchange (p[3], p[5]);
  exchange (p[2], p[6]);
  exchange (p[2], p[3]);
  exchange (p[3], p[6]);
  exchange (p[4], p[5]);
  exchange (p[1], p[4]);
  exchange (p[1], p[3]);
  exchange (p[3], p[4]);
  memcpy (y, p[3], sizeof p[3]);
}

/* Of a row to be filtered: its ends are reflected, the last lanes are zeros. */
static gsize
padded_size (guint n)
{
  return (gsize) n + 2 * PAD + LANES;
}

static void
filter_row (float *x, guint n, float *padded)
{
  if (n <= PAD)
    return;
  memcpy (padded + PAD, x, n * sizeof *x);
  memset (padded + PAD + n, 0, (PAD + LANES) * sizeof *x);
  for (guint i = 1; i <= PAD; i++) {
    padded[PAD - i] = x[i];
    padded[PAD + n - 1 + i] = x[n - 1 - i];
  }
  for (guint i = 0; i < n; i += LANES) {
    float medians[LANES];

    medians_of_7 (padded + i, medians);
    memcpy (x + i, medians, MIN (n - i, LANES) * sizeof *x);
  }
}

void
npu_median_filter (float *x, guint n)
{
  g_autofree float *padded = g_new (float, padded_size (n));

  filter_row (x, n, padded);
}

static void
softmax (const float *scores, guint n, float *weights)
{
  float max = -INFINITY;
  double sum = 0, scale;

  for (guint i = 0; i < n; i++)
    max = MAX (max, scores[i]);
  for (guint i = 0; i < n; i++)
    sum += weights[i] = expf (scores[i] - max);
  if (!(sum > 0 && sum <= n)) {
    memset (weights, 0, n * sizeof *weights);
    return;
  }
  scale = 1 / sum;
  for (guint i = 0; i < n; i++)
    weights[i] = (float) (weights[i] * scale);
}

/* weights[n_tokens][n]: each position's mean over tokens becomes 0 and its
 * deviation 1. */
static void
normalise (float *weights, guint n_tokens, guint n)
{
  g_autofree double *mean = g_new0 (double, n);
  g_autofree double *square = g_new0 (double, n);

  for (guint t = 0; t < n_tokens; t++)
    for (guint i = 0; i < n; i++)
      mean[i] += weights[(gsize) t * n + i];
  for (guint i = 0; i < n; i++)
    mean[i] /= n_tokens;
  for (guint t = 0; t < n_tokens; t++)
    for (guint i = 0; i < n; i++) {
      const double difference = weights[(gsize) t * n + i] - mean[i];

      square[i] += difference * difference;
    }
  /* Where all tokens look alike, none of them looks here. */
  for (guint i = 0; i < n; i++)
    square[i] = square[i] > 0 ? sqrt (n_tokens / square[i]) : 0;
  for (guint t = 0; t < n_tokens; t++)
    for (guint i = 0; i < n; i++) {
      float *weight = &weights[(gsize) t * n + i];

      *weight = (float) ((*weight - mean[i]) * square[i]);
    }
}

void
npu_alignment_matrix (const float *const *scores, guint n_tokens, guint n_heads,
    guint n_positions, guint n_used, float *matrix)
{
  const gsize n = (gsize) n_tokens * n_used;
  g_autofree float *weights = g_new (float, n);
  g_autofree float *padded = g_new (float, padded_size (n_used));

  memset (matrix, 0, n * sizeof *matrix);
  for (guint head = 0; head < n_heads; head++) {
    for (guint t = 0; t < n_tokens; t++)
      softmax (scores[t] + (gsize) head * n_positions, n_used,
          weights + (gsize) t * n_used);
    normalise (weights, n_tokens, n_used);
    for (guint t = 0; t < n_tokens; t++)
      filter_row (weights + (gsize) t * n_used, n_used, padded);
    for (gsize i = 0; i < n; i++)
      matrix[i] += weights[i];
  }
  for (gsize i = 0; i < n; i++)
    matrix[i] /= n_heads;
}

/* --- the way through ----------------------------------------------------- */

typedef enum { STEP_BOTH, STEP_ROW, STEP_COLUMN } Step;

/* trace[n_rows][n_columns]: the step by which the cheapest way comes to each.
 * Of equal ones the step to the next column, as in OpenAI's code. */
static void
fill_trace (const float *cost, guint n_rows, guint n_columns, guint8 *trace)
{
  /* Sums up to the row above and to this one; before each, infinity. */
  g_autofree float *above = g_new (float, (gsize) n_columns + 1);
  g_autofree float *sums = g_new (float, (gsize) n_columns + 1);

  above[0] = 0;
  for (guint j = 1; j <= n_columns; j++)
    above[j] = INFINITY;
  for (guint i = 0; i < n_rows; i++) {
    float *last = above;

    sums[0] = INFINITY;
    for (guint j = 0; j < n_columns; j++) {
      const float both = above[j], row = above[j + 1], column = sums[j];
      Step step = STEP_COLUMN;
      float sum = column;

      if (both < row && both < column) {
        step = STEP_BOTH;
        sum = both;
      } else if (row < both && row < column) {
        step = STEP_ROW;
        sum = row;
      }
      trace[(gsize) i * n_columns + j] = step;
      sums[j + 1] = cost[(gsize) i * n_columns + j] + sum;
    }
    above = sums;
    sums = last;
  }
}

guint
npu_dtw (const float *cost, guint n_rows, guint n_columns, guint *rows,
    guint *columns)
{
  g_autofree guint8 *trace = g_new (guint8, (gsize) n_rows * n_columns);
  guint i = n_rows - 1, j = n_columns - 1, n = 0;

  fill_trace (cost, n_rows, n_columns, trace);
  for (;;) {
    Step step = trace[(gsize) i * n_columns + j];

    rows[n] = i;
    columns[n++] = j;
    if (i == 0 && j == 0)
      break;
    /* Along the borders there is one way. */
    if (i == 0)
      step = STEP_COLUMN;
    else if (j == 0)
      step = STEP_ROW;
    i -= step != STEP_COLUMN;
    j -= step != STEP_ROW;
  }
  for (guint a = 0, b = n - 1; a < b; a++, b--) {
    const guint row = rows[a], column = columns[a];

    rows[a] = rows[b];
    columns[a] = columns[b];
    rows[b] = row;
    columns[b] = column;
  }
  return n;
}

void
npu_alignment_starts (
    const float *matrix, guint n_tokens, guint n_used, guint *starts)
{
  const gsize n = (gsize) n_tokens * n_used;
  g_autofree float *cost = g_new (float, n);
  g_autofree guint *rows = g_new (guint, (gsize) n_tokens + n_used);
  g_autofree guint *columns = g_new (guint, (gsize) n_tokens + n_used);
  guint n_steps;

  for (gsize i = 0; i < n; i++)
    cost[i] = -matrix[i];
  n_steps = npu_dtw (cost, n_tokens, n_used, rows, columns);
  for (guint i = 0; i < n_steps; i++)
    if (i == 0 || rows[i] != rows[i - 1])
      starts[rows[i]] = columns[i];
}
