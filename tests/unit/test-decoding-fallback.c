/* What is drawn at a temperature, and which attempt is kept.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoding/fallback.h"

#include <math.h>

#include "decoding/logits.h"
#include "decoding/random.h"

/* Frequencies of what is drawn are softmax (logits / temperature). */
static void
test_draw (void)
{
  static const float logits[] = {1, -INFINITY, 0, 2, -INFINITY};
  const float temperature = 0.5f;
  double expected[G_N_ELEMENTS (logits)], sum = 0;
  guint counts[G_N_ELEMENTS (logits)] = {0};
  NpuRandom random = {3};
  const guint n = 20000;

  for (guint i = 0; i < G_N_ELEMENTS (logits); i++)
    sum += expected[i] = exp ((double) logits[i] / temperature);
  for (guint i = 0; i < n; i++)
    counts[npu_logits_draw (logits, G_N_ELEMENTS (logits), temperature,
        npu_random_next (&random))]++;
  for (guint i = 0; i < G_N_ELEMENTS (logits); i++)
    g_assert_cmpfloat_with_epsilon (
        (double) counts[i] / n, expected[i] / sum, 0.01);
  g_assert_cmpuint (npu_logits_draw (logits, 5, temperature, 0), ==, 0);
  g_assert_cmpuint (
      npu_logits_draw (logits, 5, temperature, 1 - 0x1p-53), ==, 3);
}

/* Attempts by a table. */
typedef struct {
  float avg_logprob, compression_ratio;
  gboolean is_cut;
} Attempt;

typedef struct {
  const Attempt *attempts;
  float no_speech_prob;
  guint n;
} Attempts;

static void
attempt (Attempts *attempts, float temperature, NpuDecodedWindow *decoded)
{
  const Attempt *next = &attempts->attempts[attempts->n++];

  g_assert_cmpfloat_with_epsilon (temperature, 0.2 * (attempts->n - 1), 1e-5);
  decoded->tokens = g_array_new (FALSE, FALSE, sizeof (guint32));
  decoded->text = g_strdup ("text");
  decoded->avg_logprob = next->avg_logprob;
  decoded->compression_ratio = next->compression_ratio;
  decoded->is_cut = next->is_cut;
  decoded->no_speech_prob = attempts->no_speech_prob;
}

static void
decode (Attempts *attempts, NpuDecodedWindow *decoded)
{
  NpuDecodingOptions options;
  NpuFallback fallback;
  float temperature;

  npu_decoding_options_init (&options);
  npu_fallback_init (&fallback, &options, 50364);
  while (npu_fallback_needs_attempt (&fallback, &temperature)) {
    NpuDecodedWindow next = {0};

    attempt (attempts, temperature, &next);
    npu_fallback_take (&fallback, &next);
  }
  npu_fallback_end (&fallback, decoded);
}

static void
test_fallback (void)
{
  static const struct {
    Attempt attempts[6];
    float no_speech_prob;
    guint n, kept;
    gboolean has_failed, is_silence;
  } cases[] = {
      {{{-0.3f, 1, FALSE}}, 0.1f, 1, 0, FALSE, FALSE},
      {{{-0.3f, 3, FALSE}, {-1.2f, 1, FALSE}, {-0.9f, 1, FALSE}}, 0.1f, 3, 2,
          FALSE, FALSE},
      /* all fail: the likeliest that does not repeat itself */
      {{{-0.2f, 3, FALSE}, {-1.5f, 1, FALSE}, {-1.2f, 1, FALSE},
           {-1.3f, 1, FALSE}, {-2, 1, FALSE}, {-3, 1, FALSE}},
          0.1f, 6, 2, TRUE, FALSE},
      /* all repeat themselves */
      {{{-0.4f, 3, FALSE}, {-0.2f, 4, FALSE}, {-1, 3, FALSE}, {-1, 3, FALSE},
           {-2, 3, FALSE}, {-3, 3, FALSE}},
          0.1f, 6, 1, TRUE, FALSE},
      /* all do, and the likeliest has no end */
      {{{-0.01f, 20, TRUE}, {-0.3f, 9, FALSE}, {-0.2f, 8, FALSE},
           {-0.1f, 20, TRUE}, {-1, 3, TRUE}, {-2, 3, FALSE}},
          0.1f, 6, 2, TRUE, FALSE},
      /* silence: no other attempt, even where it repeats itself */
      {{{-1.1f, 3, FALSE}}, 0.7f, 1, 0, FALSE, TRUE},
      {{{-1.0f, 1, FALSE}}, 0.7f, 1, 0, FALSE, TRUE},
      {{{-0.9f, 1, FALSE}}, 0.7f, 1, 0, FALSE, FALSE},
      /* what is no speech, and nearly repeats itself */
      {{{-0.9f, 2.3f, FALSE}}, 0.7f, 1, 0, FALSE, TRUE},
      {{{-0.9f, 2.3f, FALSE}}, 0.5f, 1, 0, FALSE, FALSE},
      {{{-0.9f, 2.0f, FALSE}}, 0.7f, 1, 0, FALSE, FALSE},
      {{{-0.9f, 3, FALSE}}, 0.7f, 1, 0, FALSE, TRUE},
      /* who says one thing over and over is likely to */
      {{{-0.04f, 2.3f, FALSE}}, 0.7f, 1, 0, FALSE, FALSE},
      {{{-0.04f, 9, FALSE}, {-0.2f, 2.3f, FALSE}}, 0.7f, 2, 1, FALSE, FALSE},
      {{{-0.04f, 9, TRUE}, {-0.6f, 2.3f, FALSE}}, 0.7f, 2, 1, FALSE, FALSE},
      /* NaN is no success */
      {{{NAN, 1, FALSE}, {-0.5f, 1, FALSE}}, 0.1f, 2, 1, FALSE, FALSE},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    Attempts attempts = {cases[i].attempts, cases[i].no_speech_prob, 0};
    NpuDecodedWindow decoded;

    decode (&attempts, &decoded);
    g_test_message ("case %u", i);
    g_assert_cmpuint (attempts.n, ==, cases[i].n);
    g_assert_cmpuint (decoded.n_tries, ==, cases[i].n);
    g_assert_cmpfloat_with_epsilon (
        decoded.temperature, 0.2 * cases[i].kept, 1e-5);
    g_assert_cmpint (decoded.has_failed, ==, cases[i].has_failed);
    g_assert_cmpint (decoded.is_silence, ==, cases[i].is_silence);
    npu_decoded_window_clear (&decoded);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/decoding-fallback/draw", test_draw);
  g_test_add_func ("/decoding-fallback/attempts", test_fallback);
  return g_test_run ();
}
