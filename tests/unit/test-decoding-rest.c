/* A window that no other goes on from: its answer leaves nothing to one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoding/npu-decoding.h"

#include <math.h>

#include "decoding/logit-filters.h"
#include "scripted-source.h"
#include "small-vocabulary.h"
#include "tokenizer/tokenizer-private.h"

#define N_POSITIONS 448
#define N_START 4 /* sot, language, task, no_timestamps */

static NpuTokenizer *tokenizer;
static const NpuSpecialTokens *special;

/* Whether the end may follow tokens[n]. */
static gboolean
may_end (const guint32 *tokens, guint n, guint last_begin)
{
  g_autofree float *logits = g_new0 (float, special->n_vocab);
  NpuLogitFilter filters[NPU_MAX_LOGIT_FILTERS];
  NpuDecodingOptions options;
  const NpuFilterContext context = {
      special, &options, npu_tokenizer_get_blank (tokenizer), tokens, n};
  guint n_filters;

  npu_decoding_options_init (&options);
  options.last_begin = last_begin;
  n_filters = npu_logit_filters_choose (&options, filters);
  for (guint i = 0; i < n_filters; i++)
    filters[i](&context, logits);
  return isfinite (logits[special->eot]);
}

/* A pair says that speech begins at its time. */
static void
test_pair (void)
{
  const guint32 t = special->timestamp_begin;
  const struct {
    guint32 tokens[5];
    guint n, last_begin;
    gboolean may_end;
  } cases[] = {
      {{t, 40, t + 100, t + 100}, 4, 0, TRUE},
      {{t, 40, t + 100, t + 100}, 4, 100, TRUE},
      {{t, 40, t + 100, t + 100}, 4, 101, FALSE},
      {{t, 40, t + 100, t + 150}, 4, 101, TRUE}, /* it begins at 150 */
      {{t, 40, t + 100, t + 150}, 4, 151, FALSE},
      /* no pair: nothing is said of what comes */
      {{t}, 1, 1475, TRUE},
      {{t, 40}, 2, 1475, TRUE},
      {{t, 40, t + 100}, 3, 1475, TRUE},
      {{t, 40, t + 100, t + 100, 41}, 5, 1475, TRUE},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_test_message ("case %u", i);
    g_assert_cmpint (may_end (cases[i].tokens, cases[i].n, cases[i].last_begin),
        ==, cases[i].may_end);
  }
}

/* Text without end. */
static void
endless_logits (
    gpointer data, guint window, const guint32 *tokens, guint n, float *logits)
{
  for (guint i = 0; i < special->n_vocab; i++)
    logits[i] = -30;
  logits[40 + n % 50] = 10;
}

/* Half of the positions where the rest comes again, else what is left of them
 * by the prompt and by npu_find_words(). */
static void
test_length (void)
{
  const struct {
    guint n_prompt, last_begin, n;
  } cases[] = {{0, 0, 224}, {0, 1475, N_POSITIONS - 5}, {0, 1, N_POSITIONS - 5},
      {100, 0, 224}, {100, 1475, N_POSITIONS - 101 - N_START},
      {223, 0, N_POSITIONS - 224 - N_START},
      {223, 1475, N_POSITIONS - 224 - N_START}};
  guint32 prompt[223] = {0};

  for (guint i = 0; i < 2 * G_N_ELEMENTS (cases); i++) {
    const guint at = i / 2;
    g_autoptr (ScriptedSource) scripted =
        scripted_source_new (special->n_vocab, endless_logits, NULL);
    NpuDecodingOptions options;
    NpuDecodedWindow decoded;
    g_autoptr (GError) error = NULL;

    npu_decoding_options_init (&options);
    options.language = 4;
    options.temperature_increment = 0;
    options.timestamps = FALSE;
    options.beam_size = 1 + i % 2 * 2;
    options.last_begin = cases[at].last_begin;
    npu_decode_window (&scripted->source, tokenizer, 0, &options, prompt,
        cases[at].n_prompt, NULL, 0, &decoded, &error);
    g_assert_no_error (error);
    g_assert_true (decoded.is_cut);
    g_assert_cmpuint (decoded.tokens->len, ==, cases[at].n);
    g_assert_cmpuint (scripted->most_tokens, <=, N_POSITIONS);
    npu_decoded_window_clear (&decoded);
  }
}

int
main (int argc, char **argv)
{
  NpuSpecialTokens tokens;
  int failed;

  g_test_init (&argc, &argv, NULL);
  npu_special_tokens_init (&tokens, 51865);
  tokenizer = npu_tokenizer_new_of_vocabulary (
      npu_vocabulary_new_synthetic (&tokens, "small"));
  special = npu_tokenizer_get_special (tokenizer);
  g_test_add_func ("/decoding-rest/pair", test_pair);
  g_test_add_func ("/decoding-rest/length", test_length);
  failed = g_test_run ();
  npu_tokenizer_unref (tokenizer);
  return failed;
}
