/* The comparison that the numeric tests judge by must see what is wrong.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "compare.h"

#include <math.h>
#include <string.h>

#define ROWS 5
#define COLUMNS 3

static const float expected[ROWS][COLUMNS] = {
    {1, 2, 3},
    {-4, 5, 6},
    {0, 0, 0},
    {100, -200, 300},
    {1, 1, 1},
};

static void
compare_with (const float (*actual)[COLUMNS], Comparison *result)
{
  compare_arrays (&actual[0][0], &expected[0][0], ROWS, COLUMNS, result);
}

static void
test_same (void)
{
  Comparison c;

  compare_with (expected, &c);
  g_assert_cmpfloat_with_epsilon (c.cosine, 1, 1e-15);
  g_assert_cmpfloat_with_epsilon (c.worst_row_cosine, 1, 1e-15);
  g_assert_cmpfloat (c.max_error, ==, 0);
  g_assert_cmpfloat (c.mean_error, ==, 0);
  g_assert_cmpfloat_with_epsilon (c.rms, sqrt (140094.0 / 15), 1e-9);
}

/* A small row that is wrong hardly moves the whole. */
static void
test_worst_row (void)
{
  float actual[ROWS][COLUMNS];
  Comparison c;

  memcpy (actual, expected, sizeof actual);
  actual[4][0] = -1;
  compare_with (actual, &c);
  g_assert_cmpfloat (c.cosine, >, 0.9999);
  g_assert_cmpfloat_with_epsilon (c.worst_row_cosine, 1.0 / 3, 1e-12);
  g_assert_cmpuint (c.worst_row, ==, 4);
  g_assert_cmpfloat (c.max_error, ==, 2);
  g_assert_cmpuint (c.max_error_row, ==, 4);
  g_assert_cmpuint (c.max_error_column, ==, 0);
  g_assert_cmpfloat_with_epsilon (c.mean_error, 2.0 / 15, 1e-12);
}

/* A row that should be zero has no direction: any value in it is wrong. */
static void
test_zero_row (void)
{
  float actual[ROWS][COLUMNS];
  Comparison c;

  memcpy (actual, expected, sizeof actual);
  actual[2][1] = 1e-6f;
  compare_with (actual, &c);
  g_assert_cmpfloat (c.worst_row_cosine, ==, 0);
  g_assert_cmpuint (c.worst_row, ==, 2);
}

static void
test_nan (void)
{
  for (guint row = 0; row < ROWS; row++) {
    float actual[ROWS][COLUMNS];
    Comparison c;

    memcpy (actual, expected, sizeof actual);
    actual[row][1] = NAN;
    compare_with (actual, &c);
    g_assert_true (isnan (c.cosine));
    g_assert_true (isnan (c.worst_row_cosine));
    g_assert_true (isnan (c.max_error));
    g_assert_true (isnan (c.mean_error));
    g_assert_cmpuint (c.worst_row, ==, row);
    g_assert_cmpuint (c.max_error_row, ==, row);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/compare/same-arrays-do-not-differ", test_same);
  g_test_add_func ("/compare/finds-the-worst-row", test_worst_row);
  g_test_add_func ("/compare/values-in-a-zero-row-are-wrong", test_zero_row);
  g_test_add_func ("/compare/nan-never-passes", test_nan);
  return g_test_run ();
}
