/* Beam search of every size against one in plain lists, with copies in the
 * place of forks.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoding/npu-decoding.h"

#include <math.h>
#include <string.h>

#include "decoding/random.h"
#include "scripted-source.h"
#include "small-vocabulary.h"
#include "tokenizer/tokenizer-private.h"

#define MAX_BEAMS 16
#define N_START 4 /* sot, language, task, notimestamps */
#define MAX_TOKENS 224

static NpuTokenizer *tokenizer;
static NpuSpecialTokens special;

typedef struct {
  guint32 seed;
  float end; /* added to eot's logit for each token */
} Model;

/* Text and the end; what must not come is the likeliest now and then. */
static void
random_logits (
    gpointer data, guint window, const guint32 *tokens, guint n, float *logits)
{
  const Model *model = data;
  NpuRandom random = {
      npu_random_seed (npu_random_seed (model->seed, tokens[n - 1]),
          n > N_START + 1 ? tokens[n - 2] : 0)};

  for (guint i = 0; i < special.n_vocab; i++)
    logits[i] = -15;
  for (guint i = 0; i < special.eot; i++)
    logits[i] = (float) (npu_random_next (&random) * 8 - 8);
  logits[special.sot + 1] = (float) (npu_random_next (&random) * 8);
  logits[special.timestamp_begin + 7] = (float) (npu_random_next (&random) * 8);
  logits[special.eot] = (float) (npu_random_next (&random) * 3 - 4) +
                        model->end * (float) (n - N_START);
}

/* --- in plain lists ------------------------------------------------------ */

typedef struct {
  guint32 tokens[MAX_TOKENS + 1];
  guint n;
  double sum;
  gboolean has_ended;
} Answer;

static int
compare_sums (gconstpointer a, gconstpointer b)
{
  const double x = ((const Answer *) a)->sum, y = ((const Answer *) b)->sum;

  return x < y ? 1 : x > y ? -1 : 0;
}

/* Every token that may follow @beam, likeliest first. */
static GArray *
continue_beam (const Model *model, const Answer *beam)
{
  guint32 tokens[N_START + MAX_TOKENS] = {
      special.sot, special.sot + 1, special.transcribe, special.no_timestamps};
  g_autofree float *logits = g_new (float, special.n_vocab);
  GArray *next = g_array_new (FALSE, FALSE, sizeof (Answer));
  double sum = 0;

  memcpy (tokens + N_START, beam->tokens, beam->n * sizeof *tokens);
  random_logits ((gpointer) model, 0, tokens, N_START + beam->n, logits);
  for (guint i = 0; i < special.n_vocab; i++) {
    const gboolean is_language =
        i > special.sot && i <= special.sot + special.n_languages;

    if (!is_language && i < special.no_timestamps)
      sum += exp ((double) logits[i]);
  }
  for (guint32 i = 0; i <= special.eot; i++) {
    Answer answer = *beam;

    answer.tokens[answer.n++] = i;
    answer.sum += logits[i] - log (sum);
    g_array_append_val (next, answer);
  }
  g_array_sort (next, compare_sums);
  return next;
}

static double
rank (const Answer *answer, float penalty)
{
  const guint n = answer->n - (answer->has_ended ? 1 : 0);

  if (penalty >= 0)
    return answer->sum / pow ((5.0 + n) / 6, penalty);
  return n > 0 ? answer->sum / n : -INFINITY;
}

/* One step: the beams that follow @beams; what ends is appended to @finished,
 * which holds @n_wanted at most. */
static GArray *
advance (const Model *model, const GArray *beams, guint size, guint n_wanted,
    GArray *finished)
{
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (Answer));
  GArray *next = g_array_new (FALSE, FALSE, sizeof (Answer));

  for (guint i = 0; i < beams->len; i++) {
    g_autoptr (GArray) of =
        continue_beam (model, &g_array_index (beams, Answer, i));

    g_array_append_vals (all, of->data, size + 1);
  }
  g_array_sort (all, compare_sums);
  for (guint i = 0; i < all->len && next->len < size; i++) {
    Answer *answer = &g_array_index (all, Answer, i);

    answer->has_ended = answer->tokens[answer->n - 1] == special.eot;
    if (!answer->has_ended)
      g_array_append_vals (next, answer, 1);
    else if (finished->len < n_wanted)
      g_array_append_vals (finished, answer, 1);
  }
  return next;
}

static Answer
search (const Model *model, const NpuDecodingOptions *options)
{
  const guint size = options->beam_size;
  const guint n_wanted =
      MAX (1, (guint) lrintf ((float) size * options->patience));
  g_autoptr (GArray) finished = g_array_new (FALSE, FALSE, sizeof (Answer));
  g_autoptr (GArray) beams = g_array_new (FALSE, TRUE, sizeof (Answer));
  Answer best;

  g_array_set_size (beams, 1);
  for (guint n = 0; n < MAX_TOKENS && finished->len < n_wanted; n++) {
    GArray *next = advance (model, beams, size, n_wanted, finished);

    g_array_unref (beams);
    beams = next;
  }
  for (guint i = 0; i < beams->len && finished->len < size; i++)
    g_array_append_vals (finished, &g_array_index (beams, Answer, i), 1);
  best = g_array_index (finished, Answer, 0);
  for (guint i = 1; i < finished->len; i++) {
    const Answer *answer = &g_array_index (finished, Answer, i);

    if (rank (answer, options->length_penalty) >
        rank (&best, options->length_penalty))
      best = *answer;
  }
  return best;
}

/* --- tests --------------------------------------------------------------- */

static void
init_options (NpuDecodingOptions *options, guint size)
{
  npu_decoding_options_init (options);
  options->language = 0;
  options->timestamps = FALSE;
  options->suppress_blank = FALSE;
  options->temperature_increment = 0;
  options->best_of = 1;
  options->beam_size = size;
}

static void
check (const Model *model, const NpuDecodingOptions *options)
{
  g_autoptr (ScriptedSource) scripted =
      scripted_source_new (special.n_vocab, random_logits, (gpointer) model);
  const Answer expected = search (model, options);
  const guint n = expected.n - (expected.has_ended ? 1 : 0);
  NpuDecodedWindow decoded;
  g_autoptr (GError) error = NULL;

  npu_decode_window (&scripted->source, tokenizer, 0, options, NULL, 0, NULL, 0,
      &decoded, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (decoded.tokens->data, decoded.tokens->len * sizeof (guint32),
      expected.tokens, n * sizeof (guint32));
  g_assert_cmpint (decoded.is_cut, ==, !expected.has_ended);
  g_assert_cmpfloat_with_epsilon (
      decoded.avg_logprob, expected.sum / (n + 1), 1e-4);
  /* Beams share a step, and never are more than they may be. */
  g_assert_cmpuint (scripted->most_rows, ==, MAX (options->beam_size, N_START));
  npu_decoded_window_clear (&decoded);
}

static void
test_sizes (void)
{
  for (guint size = 2; size <= MAX_BEAMS; size++) {
    const Model model = {size, 0.15f};
    NpuDecodingOptions options;

    init_options (&options, size);
    check (&model, &options);
  }
}

/* How long it is looked for more, and which of what is found is taken. */
static void
test_patience_and_penalty (void)
{
  static const float patience[] = {0.4f, 1, 1.5f, 3};
  static const float penalty[] = {-1, 0, 0.6f, 1, 2};

  for (guint i = 0; i < G_N_ELEMENTS (patience) * G_N_ELEMENTS (penalty); i++) {
    const Model model = {40 + i, 0.1f};
    NpuDecodingOptions options;

    init_options (&options, 2 + i % 5);
    options.patience = patience[i % G_N_ELEMENTS (patience)];
    options.length_penalty = penalty[i / G_N_ELEMENTS (patience)];
    check (&model, &options);
  }
}

/* No end before the last position, with and without a full prompt. */
static void
test_last_position (void)
{
  const Model model = {7, -1};
  g_autofree guint32 *prompt = g_new0 (guint32, 300);

  for (guint size = 1; size <= MAX_BEAMS; size++) {
    g_autoptr (ScriptedSource) scripted =
        scripted_source_new (special.n_vocab, random_logits, (gpointer) &model);
    NpuDecodingOptions options;
    NpuDecodedWindow decoded;
    g_autoptr (GError) error = NULL;

    init_options (&options, size);
    npu_decode_window (&scripted->source, tokenizer, 0, &options, prompt, 300,
        NULL, 0, &decoded, &error);
    g_assert_no_error (error);
    g_assert_true (decoded.is_cut);
    /* startofprev, 223, sot, language, task, notimestamps; 448 in all */
    g_assert_cmpuint (decoded.tokens->len, ==, 448 - 228);
    g_assert_cmpuint (scripted->most_tokens, ==, 447);
    npu_decoded_window_clear (&decoded);
  }
}

int
main (int argc, char **argv)
{
  int failed;

  g_test_init (&argc, &argv, NULL);
  small_vocabulary_special (&special);
  tokenizer = npu_tokenizer_new_of_vocabulary (
      npu_vocabulary_new_synthetic (&special, "small"));
  g_test_add_func ("/decoding-beam/sizes", test_sizes);
  g_test_add_func (
      "/decoding-beam/patience-and-penalty", test_patience_and_penalty);
  g_test_add_func ("/decoding-beam/last-position", test_last_position);
  failed = g_test_run ();
  npu_tokenizer_unref (tokenizer);
  return failed;
}
