/* Alignment without speech, and the rules for words whose times cannot be
 * right.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoding/word-times.h"

#include <math.h>
#include <string.h>

#include "decoding/alignment.h"

/* --- alignment ----------------------------------------------------------- */

static int
compare_floats (gconstpointer a, gconstpointer b)
{
  const float x = *(const float *) a, y = *(const float *) b;

  return (x > y) - (x < y);
}

static void
test_median (void)
{
  GRand *rand = g_rand_new_with_seed (1);

  for (guint n = 1; n < 40; n++) {
    float x[40], y[40];

    for (guint i = 0; i < n; i++)
      x[i] = y[i] = (float) g_rand_int_range (rand, -5, 5);
    npu_median_filter (y, n);
    for (int i = 0; i < (int) n; i++) {
      float around[7];

      for (int j = 0; j < 7; j++) {
        const int at = ABS (i + j - 3);

        around[j] = x[at < (int) n               ? at
                      : 2 * (int) n - 2 - at < 0 ? 0
                                                 : 2 * (int) n - 2 - at];
      }
      qsort (around, 7, sizeof *around, compare_floats);
      g_assert_cmpfloat (y[i], ==, n <= 3 ? x[i] : around[3]);
    }
  }
  g_rand_free (rand);
}

/* Each way is a way, and none is cheaper. */
static void
test_dtw (void)
{
  GRand *rand = g_rand_new_with_seed (2);

  for (guint round = 0; round < 300; round++) {
    const guint n = g_rand_int_range (rand, 1, 12);
    const guint m = g_rand_int_range (rand, 1, 20);
    float cost[12 * 20], best[12 * 20], sum = 0;
    guint rows[32], columns[32], n_steps;

    for (guint i = 0; i < n * m; i++)
      cost[i] = (float) g_rand_double_range (rand, -1, 1);
    for (guint i = 0; i < n; i++)
      for (guint j = 0; j < m; j++) {
        float least = i || j ? INFINITY : 0;

        if (i)
          least = MIN (least, best[(i - 1) * m + j]);
        if (j)
          least = MIN (least, best[i * m + j - 1]);
        if (i && j)
          least = MIN (least, best[(i - 1) * m + j - 1]);
        best[i * m + j] = least + cost[i * m + j];
      }
    n_steps = npu_dtw (cost, n, m, rows, columns);
    g_assert_cmpuint (n_steps, >=, MAX (n, m));
    for (guint i = 0; i < n_steps; i++) {
      sum += cost[rows[i] * m + columns[i]];
      if (i > 0) {
        g_assert_cmpuint (rows[i] - rows[i - 1], <=, 1);
        g_assert_cmpuint (columns[i] - columns[i - 1], <=, 1);
        g_assert_true (rows[i] != rows[i - 1] || columns[i] != columns[i - 1]);
      }
    }
    g_assert_cmpuint (rows[0] + columns[0], ==, 0);
    g_assert_cmpuint (rows[n_steps - 1], ==, n - 1);
    g_assert_cmpuint (columns[n_steps - 1], ==, m - 1);
    g_assert_cmpfloat_with_epsilon (sum, best[n * m - 1], 1e-4);
  }
  g_rand_free (rand);
}

/* Heads that look ever further: token by token 10 positions. */
static void
test_starts (void)
{
  enum { N = 8, HEADS = 3, POSITIONS = 100, USED = 80 };
  g_autofree float *scores = g_new (float, N *HEADS *POSITIONS);
  g_autofree float *matrix = g_new (float, N *USED);
  const float *each[N];
  guint starts[N];

  for (guint t = 0; t < N; t++) {
    each[t] = scores + t * HEADS * POSITIONS;
    for (guint h = 0; h < HEADS; h++)
      for (guint i = 0; i < POSITIONS; i++)
        /* What is behind the audio must not count. */
        scores[(t * HEADS + h) * POSITIONS + i] = i >= USED     ? 50
                                                  : i / 10 == t ? 8
                                                                : (float) h;
  }
  npu_alignment_matrix (each, N, HEADS, POSITIONS, USED, matrix);
  npu_alignment_starts (matrix, N, USED, starts);
  for (guint t = 0; t < N; t++)
    g_assert_cmpint (ABS ((int) starts[t] - (int) (10 * t)), <=, 1);
}

/* Nothing to go by, one position, no number: times that are times. */
static void
test_odd_scores (void)
{
  static const float values[] = {0, NAN, INFINITY, -INFINITY, 1e38f};
  float scores[5][2 * 9], matrix[5 * 9];
  const float *each[5];
  guint starts[5];

  for (guint v = 0; v < G_N_ELEMENTS (values); v++)
    for (guint used = 1; used <= 9; used++) {
      for (guint t = 0; t < 5; t++) {
        each[t] = scores[t];
        for (guint i = 0; i < 18; i++)
          scores[t][i] = i % 3 == t % 3 ? values[v] : 1;
      }
      npu_alignment_matrix (each, 5, 2, 9, used, matrix);
      for (guint i = 0; i < 5 * used; i++)
        g_assert_true (isfinite (matrix[i]));
      npu_alignment_starts (matrix, 5, used, starts);
      for (guint t = 0; t < 5; t++) {
        g_assert_cmpuint (starts[t], <, used);
        g_assert_cmpuint (starts[t], >=, t ? starts[t - 1] : 0);
      }
    }
}

/* --- times --------------------------------------------------------------- */

typedef struct {
  const char *text;
  double start, end;
} Word;

static GArray *
make_words (const Word *words, guint n)
{
  GArray *made = npu_words_new ();

  for (guint i = 0; i < n; i++) {
    const NpuWord word = {
        g_strdup (words[i].text), 1, words[i].start, words[i].end, 0.9};

    g_array_append_val (made, word);
  }
  return made;
}

#define MAKE(words) make_words (words, G_N_ELEMENTS (words))
#define WORD(array, i) (&g_array_index (array, NpuWord, i))

static void
assert_times (const NpuWord *word, double start, double end)
{
  g_assert_cmpfloat_with_epsilon (word->start, start, 1e-9);
  g_assert_cmpfloat_with_epsilon (word->end, end, 1e-9);
}

static void
test_sentences (void)
{
  static const Word words[] = {{" One", 0, 0.4}, {" two", 0.4, 0.8},
      {".", 0.8, 2.8}, {" Three", 2.8, 5.8}, {" four", 5.8, 9.8},
      {"", 9.8, 9.8}, {" five", 9.8, 10.2}};
  g_autoptr (GArray) made = MAKE (words);
  const NpuWordDurations durations = npu_words_cut_at_sentences (made);

  /* Of 0.4 0.4 2 3 4 0.4 the median is 1.2, and at most 0.7. */
  g_assert_cmpfloat (durations.median, ==, 0.7);
  g_assert_cmpfloat (durations.max, ==, 1.4);
  assert_times (WORD (made, 2), 0.8, 2.2);
  assert_times (WORD (made, 3), 4.4, 5.8);
  /* Neither a mark nor behind one. */
  assert_times (WORD (made, 4), 5.8, 9.8);
}

static void
test_no_durations (void)
{
  static const Word words[] = {{" One", 1, 1}, {".", 1, 1}};
  g_autoptr (GArray) made = MAKE (words);
  g_autoptr (GArray) none = npu_words_new ();

  g_assert_cmpfloat (npu_words_cut_at_sentences (made).max, ==, 0);
  g_assert_cmpfloat (npu_words_cut_at_sentences (none).max, ==, 0);
  assert_times (WORD (made, 1), 1, 1);
}

static void
test_after_pause (void)
{
  static const NpuWordDurations durations = {0.4, 0.8};
  static const Word words[] = {{" One", 10, 15}, {" two", 15, 17}};
  g_autoptr (GArray) made = MAKE (words);
  double start = 10, end = 18;

  npu_words_fit_segment (WORD (made, 0), 2, durations, 5, &start, &end);
  assert_times (WORD (made, 0), 15.4, 16.2);
  assert_times (WORD (made, 1), 16.2, 17);
  g_assert_cmpfloat_with_epsilon (start, 15.4, 1e-9);
  g_assert_cmpfloat_with_epsilon (end, 17, 1e-9);
}

/* No pause before: left as they are, but for the segment's times. */
static void
test_fit (void)
{
  static const NpuWordDurations durations = {0.4, 0.8};
  static const Word words[] = {{" One", 10, 12}, {" two", 12, 15}};
  g_autoptr (GArray) made = MAKE (words);
  double start = 11, end = 14;

  npu_words_fit_segment (WORD (made, 0), 2, durations, 11.9, &start, &end);
  assert_times (WORD (made, 0), 11, 12);
  assert_times (WORD (made, 1), 12, 14);
  g_assert_cmpfloat (start, ==, 11);
  g_assert_cmpfloat (end, ==, 14);

  start = 10.2;
  end = 14.2;
  npu_words_fit_segment (WORD (made, 0), 2, durations, 11.9, &start, &end);
  g_assert_cmpfloat (start, ==, 11);
  g_assert_cmpfloat (end, ==, 14);
}

static void
test_anomalies (void)
{
  static const Word usual[] = {{" One", 0, 0.4}, {" two", 0.4, 0.8}};
  static const Word slow[] = {{" One", 0, 3}, {" two", 3, 6.5}, {".", 7, 7}};
  static const Word marks[] = {{".", 0, 1}};
  g_autoptr (GArray) made = MAKE (usual);
  g_autoptr (GArray) long_ones = MAKE (slow);
  g_autoptr (GArray) only_marks = MAKE (marks);

  g_assert_false (npu_words_are_anomaly (WORD (made, 0), 2));
  WORD (made, 0)->probability = WORD (made, 1)->probability = 0.1;
  g_assert_true (npu_words_are_anomaly (WORD (made, 0), 2));
  g_assert_true (npu_words_are_anomaly (WORD (long_ones, 0), 3));
  g_assert_true (npu_words_are_anomaly (WORD (only_marks, 0), 1));
  g_assert_false (npu_words_are_anomaly (NULL, 0));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/word-times/median", test_median);
  g_test_add_func ("/word-times/dtw", test_dtw);
  g_test_add_func ("/word-times/starts", test_starts);
  g_test_add_func ("/word-times/odd-scores", test_odd_scores);
  g_test_add_func ("/word-times/sentences", test_sentences);
  g_test_add_func ("/word-times/no-durations", test_no_durations);
  g_test_add_func ("/word-times/after-a-pause", test_after_pause);
  g_test_add_func ("/word-times/segment", test_fit);
  g_test_add_func ("/word-times/anomalies", test_anomalies);
  return g_test_run ();
}
