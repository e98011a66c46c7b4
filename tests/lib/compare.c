/* How far two arrays of rows are apart: by direction, over the whole and in
 * the worst row, and by value.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "compare.h"

#include <math.h>
#include <string.h>

/* Two zero vectors are alike; a zero and another one have nothing in common; a
 * NaN stays one. */
static double
cosine (double dot, double square_a, double square_b)
{
  if (isnan (dot))
    return dot;
  if (square_a == 0 && square_b == 0)
    return 1;
  if (square_a == 0 || square_b == 0)
    return 0;
  return dot / sqrt (square_a * square_b);
}

void
compare_arrays (const float *actual, const float *expected, gsize rows,
    gsize columns, Comparison *result)
{
  double dot = 0, square_a = 0, square_e = 0, sum_error = 0;

  memset (result, 0, sizeof *result);
  result->worst_row_cosine = 1;

  for (gsize r = 0; r < rows; r++) {
    double row_dot = 0, row_square_a = 0, row_square_e = 0, row_cosine;

    for (gsize c = 0; c < columns; c++) {
      double a = actual[r * columns + c];
      double e = expected[r * columns + c];
      double error = fabs (a - e);

      row_dot += a * e;
      row_square_a += a * a;
      row_square_e += e * e;
      sum_error += error;
      /* Negated comparisons let a NaN in, and nothing replaces it. */
      if (!(error <= result->max_error) && !isnan (result->max_error)) {
        result->max_error = error;
        result->max_error_row = r;
        result->max_error_column = c;
      }
    }

    row_cosine = cosine (row_dot, row_square_a, row_square_e);
    if (!(row_cosine >= result->worst_row_cosine) &&
        !isnan (result->worst_row_cosine)) {
      result->worst_row_cosine = row_cosine;
      result->worst_row = r;
    }
    dot += row_dot;
    square_a += row_square_a;
    square_e += row_square_e;
  }

  result->cosine = cosine (dot, square_a, square_e);
  result->mean_error = sum_error / (rows * columns);
  result->rms = sqrt (square_e / (rows * columns));
}

void
compare_print (const char *what, const Comparison *result)
{
  g_test_message ("%s: cosine %.9f, worst row %.9f (row %" G_GSIZE_FORMAT
                  "), max error %.3g (row %" G_GSIZE_FORMAT
                  ", column %" G_GSIZE_FORMAT "), mean error %.3g, rms %.3g",
      what, result->cosine, result->worst_row_cosine, result->worst_row,
      result->max_error, result->max_error_row, result->max_error_column,
      result->mean_error, result->rms);
}

void
compare_check (const char *what, const float *actual, const float *expected,
    gsize rows, gsize columns, double min_cosine, double min_row_cosine,
    Comparison *result)
{
  Comparison own;

  if (!result)
    result = &own;
  compare_arrays (actual, expected, rows, columns, result);
  compare_print (what, result);
  g_assert_cmpfloat (result->cosine, >=, min_cosine);
  g_assert_cmpfloat (result->worst_row_cosine, >=, min_row_cosine);
}

void
compare_check_same (const char *what, const float *actual,
    const float *expected, gsize rows, gsize columns)
{
  for (gsize i = 0; i < rows * columns; i++) {
    if (memcmp (&actual[i], &expected[i], sizeof (float)) != 0)
      g_error ("%s: row %" G_GSIZE_FORMAT " of %" G_GSIZE_FORMAT
               ", column %" G_GSIZE_FORMAT ": %.9g differs from %.9g",
          what, i / columns, rows, i % columns, (double) actual[i],
          (double) expected[i]);
  }
}
