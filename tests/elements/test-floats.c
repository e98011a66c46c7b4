/* Conversion to half precision against a slow one, and the search for values
 * that are not finite.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <string.h>

#include "floats.h"

static float
float_of (guint32 bits)
{
  float x;

  memcpy (&x, &bits, sizeof x);
  return x;
}

static double
value_of_half (guint16 half)
{
  int exponent = (half >> 10) & 31;
  double value = exponent == 0 ? ldexp (half & 0x3ff, -24)
                               : ldexp (0x400 + (half & 0x3ff), exponent - 25);

  return half & 0x8000 ? -value : value;
}

/* By bisection of the 31744 finite magnitudes, and infinity as 2^16. */
static guint16
nearest_half (float x)
{
  double magnitude = fabs ((double) x);
  guint16 low = 0, high = 0x7c00;
  double below, above;

  if (isnan (x))
    return 0x7e00 | (signbit (x) ? 0x8000 : 0);
  if (isinf (x))
    return 0x7c00 | (signbit (x) ? 0x8000 : 0);
  while (high - low > 1) {
    guint16 middle = (low + high) / 2;

    if (value_of_half (middle) <= magnitude)
      low = middle;
    else
      high = middle;
  }
  below = magnitude - value_of_half (low);
  above = value_of_half (high) - magnitude;
  if (above < below || (above == below && (high & 1) == 0))
    low = high;
  return low | (signbit (x) ? 0x8000 : 0);
}

static void
check_half (guint32 bits)
{
  float x = float_of (bits);
  guint16 expected = nearest_half (x);
  guint16 half;

  floats_to_half (&half, &x, 1);
  if (half != expected)
    g_error ("%a (0x%08x) became 0x%04x, not 0x%04x", x, bits, half, expected);
}

/* Memory that comes from downstream begins anywhere. */
static void
test_any_address (void)
{
  const float x[] = {
      1.0f, -2.0f, 0.5f, 65504.0f, 1e-6f, 3.0f, 4.0f, 5.0f, 6.0f};
  const gsize n = G_N_ELEMENTS (x);
  guint16 expected[G_N_ELEMENTS (x)];
  guint8 bytes[sizeof expected + 2];
  float back[G_N_ELEMENTS (x)];

  floats_to_half (expected, x, n);
  for (gsize skew = 0; skew < 2; skew++) {
    memset (bytes, 0xa5, sizeof bytes);
    floats_to_half (bytes + skew, x, n);
    g_assert_cmpmem (bytes + skew, sizeof expected, expected, sizeof expected);
    g_assert_cmpuint (bytes[sizeof expected + skew], ==, 0xa5);
    floats_from_half (back, bytes + skew, n);
    g_assert_cmpfloat (back[3], ==, 65504.0f);
  }
}

static void
test_every_half_and_its_neighbours (void)
{
  for (guint half = 0; half < 0x7c00; half++) {
    double value = value_of_half (half);
    double next = value_of_half (half + 1);
    float exact = value, tie = (value + next) / 2;
    guint32 bits, tie_bits;

    memcpy (&bits, &exact, sizeof bits);
    memcpy (&tie_bits, &tie, sizeof tie_bits);
    for (int step = -1; step <= 1; step++) {
      if (bits != 0 || step >= 0) {
        check_half (bits + step);
        check_half ((bits + step) ^ 0x80000000u);
      }
      check_half (tie_bits + step);
      check_half ((tie_bits + step) ^ 0x80000000u);
    }
  }
}

static void
test_all_kinds_of_floats (void)
{
  static const guint32 special[] = {0x7f800000, 0xff800000, 0x7fc00000,
      0xffc00001, 0x7f800001, 0x7f7fffff, 1, 0x80000001, 0x007fffff, 0x477fefff,
      0x477ff000, 0x477ff001, 0x33000000, 0x33000001, 0x32ffffff};
  g_autoptr (GRand) rand = g_rand_new_with_seed (16);

  for (guint i = 0; i < G_N_ELEMENTS (special); i++)
    check_half (special[i]);
  for (guint i = 0; i < 300000; i++)
    check_half (g_rand_int (rand));
}

static void
test_find_non_finite (void)
{
  static const guint32 bad[] = {
      0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffffffff};
  enum { N = 100 };
  float x[N];

  for (gsize i = 0; i < N; i++)
    x[i] = float_of (i % 2 ? 0x7f7fffff : 0x80000001);
  g_assert_cmpuint (floats_find_non_finite (x, N), ==, N);
  g_assert_cmpuint (floats_find_non_finite (x, 0), ==, 0);

  for (gsize i = 0; i < N; i++) {
    float was = x[i];

    x[i] = float_of (bad[i % G_N_ELEMENTS (bad)]);
    g_assert_cmpuint (floats_find_non_finite (x, N), ==, i);
    g_assert_cmpuint (floats_find_non_finite (x, i), ==, i);
    x[i] = was;
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/floats/any-address", test_any_address);
  g_test_add_func ("/floats/half-is-the-nearest-ties-to-even",
      test_every_half_and_its_neighbours);
  g_test_add_func ("/floats/half-of-any-bits", test_all_kinds_of_floats);
  g_test_add_func ("/floats/first-nan-or-infinity", test_find_non_finite);
  return g_test_run ();
}
