/* How far two arrays of rows are apart: by direction, over the whole and in
 * the worst row, and by value.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A NaN on either side makes every number it touches NaN, so that a check
 * with >= or <= fails. */
typedef struct {
  double cosine; /* over all values */
  double worst_row_cosine;
  gsize worst_row;
  double max_error; /* largest |actual - expected| */
  gsize max_error_row, max_error_column;
  double mean_error; /* mean |actual - expected| */
  double rms;        /* of the expected values: the scale of the errors */
} Comparison;

/* Compares two [rows][columns] arrays. */
void compare_arrays (const float *actual, const float *expected, gsize rows,
    gsize columns, Comparison *result);

/* Prints @result as a test message that begins with @what. */
void compare_print (const char *what, const Comparison *result);

/* Compares, prints, and fails the test where the cosine or that of the worst
 * row is below its minimum. @result may be NULL. */
void compare_check (const char *what, const float *actual,
    const float *expected, gsize rows, gsize columns, double min_cosine,
    double min_row_cosine, Comparison *result);

/* Fails the test, naming the first element that differs, unless the arrays
 * are the same in every bit. */
void compare_check_same (const char *what, const float *actual,
    const float *expected, gsize rows, gsize columns);

G_END_DECLS
