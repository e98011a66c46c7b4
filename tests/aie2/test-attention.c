/* The NPU's attention program against float64, on the tiles that its overlay
 * takes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-aie-programs.h"
#include "compare.h"

#include <glib.h>
#include <math.h>
#include <string.h>

#include "npu-math.h"

#define TILE NPU_AIE_TILE
#define MASKED -3.0e38f
#define LOG2_E 1.4426950408889634

/* One head: tiles as on the device, and the exact values that they hold. */
typedef struct {
  int q_tiles, kv_tiles;
  NpuBf16 *q;    /* [q_tiles][64][64] */
  NpuBf16 *k;    /* [kv_tiles][64][64] */
  NpuBf16 *v;    /* [kv_tiles][64][64] */
  NpuBf16 *bias; /* [kv_tiles][64] */
} Head;

static NpuBf16
narrow (double x)
{
  return npu_bits_of_float (npu_round_bf16 ((float) x)) >> 16;
}

static double
widen (NpuBf16 x)
{
  return npu_float_of_bits ((uint32_t) x << 16);
}

static double
normal (void)
{
  const double u = 1 - g_test_rand_double (), w = g_test_rand_double ();
  return sqrt (-2 * log (u)) * cos (2 * G_PI * w);
}

static NpuBf16 *
new_tiles (int n_tiles, double deviation)
{
  NpuBf16 *x = g_new (NpuBf16, n_tiles * TILE);

  for (int i = 0; i < n_tiles * TILE; i++)
    x[i] = narrow (deviation * normal ());
  return x;
}

/* Whisper's scores q k^T / 8 have a deviation of about @deviation. */
static Head *
head_new (int q_tiles, int kv_tiles, int kv_rows, double deviation)
{
  Head *head = g_new0 (Head, 1);

  head->q_tiles = q_tiles;
  head->kv_tiles = kv_tiles;
  head->q = new_tiles (q_tiles, deviation * LOG2_E / 8);
  head->k = new_tiles (kv_tiles, 1);
  head->v = new_tiles (kv_tiles, 1);
  head->bias = g_new (NpuBf16, kv_tiles * 64);
  for (int i = 0; i < kv_tiles * 64; i++)
    head->bias[i] = i < kv_rows ? 0 : narrow (MASKED);
  return head;
}

static void
head_free (Head *head)
{
  g_free (head->q);
  g_free (head->k);
  g_free (head->v);
  g_free (head->bias);
  g_free (head);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Head, head_free)

static void
reference_row (const Head *head, const NpuBf16 *q, float *o)
{
  const int keys = head->kv_tiles * 64;
  g_autofree double *p = g_new0 (double, keys);
  double largest = -INFINITY, sum = 0;

  for (int i = 0; i < keys; i++) {
    for (int c = 0; c < 64; c++)
      p[i] += widen (q[c]) * widen (head->k[64 * i + c]);
    p[i] += widen (head->bias[i]);
    largest = MAX (largest, p[i]);
  }
  for (int i = 0; i < keys; i++)
    sum += p[i] = exp2 (p[i] - largest);
  for (int c = 0; c < 64; c++) {
    double value = 0;
    for (int i = 0; i < keys; i++)
      value += p[i] * widen (head->v[64 * i + c]);
    o[c] = value / sum;
  }
}

/* What the DMA makes of a tile on its way to the core: eight panels of eight
 * columns. */
static void
to_panels (NpuBf16 *panels, const NpuBf16 *tile)
{
  for (int row = 0; row < 64; row++)
    for (int c = 0; c < 64; c++)
      panels[(c / 8 * 64 + row) * 8 + c % 8] = tile[64 * row + c];
}

/* Runs the program as the core does. Every buffer begins poisoned. */
static void
run_tile (const Head *head, const NpuBf16 *q, float *o)
{
  const gsize q_elements = TILE + 64 * head->kv_tiles;
  g_autofree NpuBf16 *q_buffer = g_new (NpuBf16, q_elements);
  g_autofree NpuBf16 *kv_buffer = g_new (NpuBf16, TILE);
  g_autofree NpuBf16 *o_buffer = g_new (NpuBf16, TILE);
  g_autofree float *acc = g_new (float, TILE);
  g_autofree float *state = g_new (float, NPU_AIE_STATE);

  memset (o_buffer, 0xff, TILE * sizeof *o_buffer);
  memset (acc, 0xff, TILE * sizeof *acc);
  memset (state, 0xff, NPU_AIE_STATE * sizeof *state);
  memcpy (q_buffer, q, TILE * sizeof *q);
  memcpy (q_buffer + TILE, head->bias, 64 * head->kv_tiles * sizeof *q);
  npu_attention_begin (q_buffer, acc, state);
  for (int i = 0; i < head->kv_tiles; i++) {
    to_panels (kv_buffer, head->k + i * TILE);
    npu_attention_scores (q_buffer, kv_buffer, o_buffer, state, i);
    to_panels (kv_buffer, head->v + i * TILE);
    npu_attention_values (o_buffer, kv_buffer, acc, state);
  }
  npu_attention_end (o_buffer, acc, state);
  for (int i = 0; i < TILE; i++)
    o[i] = widen (o_buffer[i]);
}

static void
check_head (
    const char *what, const Head *head, double min_cosine, double max_error)
{
  const int rows = 64 * head->q_tiles;
  g_autofree float *actual = g_new (float, rows * 64);
  g_autofree float *expected = g_new (float, rows * 64);
  Comparison comparison;

  for (int i = 0; i < head->q_tiles; i++)
    run_tile (head, head->q + i * TILE, actual + i * TILE);
  for (int i = 0; i < rows; i++)
    reference_row (head, head->q + 64 * i, expected + 64 * i);
  compare_check (
      what, actual, expected, rows, 64, min_cosine, min_cosine, &comparison);
  g_assert_cmpfloat (comparison.max_error, <=, max_error);
}

static void
test_window (void)
{
  const double deviations[] = {0.1, 1, 3, 10};

  for (guint i = 0; i < G_N_ELEMENTS (deviations); i++) {
    g_autoptr (Head) head = head_new (2, 24, 1500, deviations[i]);
    g_autofree char *what =
        g_strdup_printf ("1500 keys, deviation %g", deviations[i]);
    check_head (what, head, 0.9999, 0.02);
  }
}

static void
test_short (void)
{
  const int rows[] = {1, 2, 3, 28, 63, 64, 65, 100, 127};

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (Head) head = head_new (1, (rows[i] + 63) / 64, rows[i], 2);
    g_autofree char *what = g_strdup_printf ("%d keys", rows[i]);
    check_head (what, head, 0.9999, 0.02);
  }
}

/* The answer is that key's row of v, bit for bit, wherever it is and whatever
 * its score: masked keys have no weight at all, before it or after. */
static void
test_one_key (void)
{
  const int keys[] = {0, 1, 63, 64, 130, 191};
  g_autofree float *o = g_new (float, TILE);

  for (guint n = 0; n < G_N_ELEMENTS (keys); n++) {
    g_autoptr (Head) head = head_new (1, 3, 0, 20);

    head->bias[keys[n]] = 0;
    run_tile (head, head->q, o);
    for (int i = 0; i < TILE; i++)
      g_assert_cmpfloat (o[i], ==, widen (head->v[64 * keys[n] + i % 64]));
  }
}

/* Additions to a score: 63 of its products, the bias, and the running maximum
 * away. Each rounds by 2^-24 of what there is, at most the sum of the products'
 * sizes; products of bfloat16 are exact. */
#define SCORE_ROUNDING (65 * 0x1p-24)

/* A weight is 0 from 2^-127.5 on, and maxima of up to 2^30 are rounded by 64.
 */
#define NO_WEIGHT 256

/* The key that takes all in whatever order a row's scores are added up, or -1
 * where rounding can give another a weight. */
static int
find_clear_key (const Head *head, const NpuBf16 *q, int keys)
{
  double best = -INFINITY, next = -INFINITY, largest = 0;
  int key = -1;

  for (int i = 0; i < keys; i++) {
    double score = 0, size = 0;

    for (int c = 0; c < 64; c++) {
      const double product = widen (q[c]) * widen (head->k[64 * i + c]);

      score += product;
      size += fabs (product);
    }
    largest = MAX (largest, size);
    if (score > best) {
      next = best;
      best = score;
      key = i;
    } else {
      next = MAX (next, score);
    }
  }
  return best - next > 2 * SCORE_ROUNDING * largest + NO_WEIGHT ? key : -1;
}

/* Scores so large that one key takes all: its row of v, bit for bit. Where two
 * are so near each other that it is rounding that decides, a mean of v. */
static void
test_large_scores (void)
{
  const double deviations[] = {1e3, 1e6, 1e8};
  const int keys = 250;
  g_autofree float *o = g_new (float, TILE);

  for (guint i = 0; i < G_N_ELEMENTS (deviations); i++) {
    g_autoptr (Head) head = head_new (1, 4, keys, deviations[i]);
    double largest = 0;
    int n_clear = 0;

    for (int c = 0; c < 64 * keys; c++)
      largest = MAX (largest, fabs (widen (head->v[c])));
    run_tile (head, head->q, o);
    for (int row = 0; row < 64; row++) {
      const int key = find_clear_key (head, head->q + 64 * row, keys);

      n_clear += key >= 0;
      for (int c = 0; c < 64; c++) {
        if (key >= 0)
          g_assert_cmpfloat (
              o[64 * row + c], ==, widen (head->v[64 * key + c]));
        else
          g_assert_cmpfloat (fabs (o[64 * row + c]), <=, 1.01 * largest);
      }
    }
    g_test_message (
        "scores of deviation %g: %d clear rows", deviations[i], n_clear);
    g_assert_cmpint (n_clear, >=, 8); /* half are usual */
  }
}

/* Each tile of keys outdoes those before by far, or falls behind. */
static void
test_steps (void)
{
  for (int sign = -1; sign <= 1; sign += 2) {
    g_autoptr (Head) head = head_new (1, 8, 512, 1);

    for (int row = 0; row < 64; row++)
      head->q[64 * row] = narrow (1);
    for (int key = 0; key < 512; key++)
      head->k[64 * key] = narrow (sign * (key / 64 * 3.7 - 9));
    check_head (sign > 0 ? "rising" : "falling", head, 0.9999, 0.02);
  }
}

/* Equal keys weigh the same: the mean of v. */
static void
test_equal_keys (void)
{
  g_autoptr (Head) head = head_new (1, 2, 128, 1);

  for (int i = 0; i < 2 * TILE; i++)
    head->k[i] = head->k[i % 64];
  check_head ("equal keys", head, 0.9999, 0.003);
}

static void
test_zero_queries (void)
{
  g_autoptr (Head) head = head_new (1, 2, 100, 1);

  memset (head->q, 0, TILE * sizeof *head->q);
  check_head ("padding rows", head, 0.9999, 0.003);
}

/* Nothing depends on what was left in a core by the tile before. */
static void
test_no_memory (void)
{
  g_autoptr (Head) head = head_new (2, 3, 150, 3);
  g_autofree float *first = g_new (float, TILE);
  g_autofree float *again = g_new (float, TILE);

  run_tile (head, head->q, first);
  run_tile (head, head->q + TILE, again);
  run_tile (head, head->q, again);
  compare_check_same ("the same tile again", again, first, 64, 64);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/aie2/attention/window", test_window);
  g_test_add_func ("/aie2/attention/short", test_short);
  g_test_add_func ("/aie2/attention/one-key", test_one_key);
  g_test_add_func ("/aie2/attention/large-scores", test_large_scores);
  g_test_add_func ("/aie2/attention/steps", test_steps);
  g_test_add_func ("/aie2/attention/equal-keys", test_equal_keys);
  g_test_add_func ("/aie2/attention/zero-queries", test_zero_queries);
  g_test_add_func ("/aie2/attention/no-memory", test_no_memory);
  return g_test_run ();
}
