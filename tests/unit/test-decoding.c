/* Rules that must hold whatever the logits are.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoding/npu-decoding.h"

#include <math.h>
#include <string.h>

#include "decoding/search.h"
#include "npu-error.h"
#include "scripted-source.h"
#include "small-vocabulary.h"
#include "tokenizer/tokenizer-private.h"

#define N_VOCAB 51865

static NpuTokenizer *tokenizer;
static const NpuSpecialTokens *special;

static NpuTokenizer *
open_small (guint n_vocab)
{
  NpuSpecialTokens tokens;

  npu_special_tokens_init (&tokens, n_vocab);
  return npu_tokenizer_new_of_vocabulary (
      npu_vocabulary_new_synthetic (&tokens, "small"));
}

/* Logits that a seed and the last tokens decide: some text, some timestamps,
 * some of what must not come, and the end. */
typedef struct {
  guint32 seed;
  float end; /* logit of eot */
  guint32 heard_windows;
} RandomModel;

static void
random_logits (
    gpointer data, guint window, const guint32 *tokens, guint n, float *logits)
{
  RandomModel *model = data;
  guint64 seed = npu_random_seed (model->seed, window);
  NpuRandom random;

  for (guint i = n > 3 ? n - 3 : 0; i < n; i++)
    seed = npu_random_seed (seed, tokens[i]);
  random.state = seed;
  model->heard_windows |= 1u << window;
  for (guint i = 0; i < N_VOCAB; i++)
    logits[i] = -12;
  for (guint i = 0; i < 400; i++) {
    const guint32 id = (guint32) (npu_random_next (&random) * N_VOCAB);

    logits[id] = (float) (npu_random_next (&random) * 16 - 8);
  }
  for (guint i = 0; i < 60; i++) {
    const guint32 id = special->timestamp_begin +
                       (guint32) (npu_random_next (&random) * NPU_N_TIMESTAMPS);

    logits[id] = (float) (npu_random_next (&random) * 16 - 8);
  }
  logits[special->timestamp_begin + 3] = 2;
  logits[special->eot] = model->end;
  logits[special->no_speech] = -5;
}

static void
init_options (NpuDecodingOptions *options)
{
  npu_decoding_options_init (options);
  options->suppress =
      npu_tokenizer_get_suppressed (tokenizer, &options->n_suppress);
  options->temperature_increment = 0;
}

static gboolean
is_timestamp (guint32 token)
{
  return token >= special->timestamp_begin;
}

static void
assert_allowed (const NpuDecodingOptions *options, guint32 token)
{
  const gboolean is_language =
      token > special->sot && token <= special->sot + special->n_languages;

  g_assert_cmpuint (token, <, N_VOCAB);
  g_assert_false (is_language);
  g_assert_cmpuint (token, !=, special->eot);
  g_assert_cmpuint (token, !=, special->no_timestamps);
  g_assert_true (options->timestamps || !is_timestamp (token));
  for (guint i = 0; i < options->n_suppress; i++)
    g_assert_cmpuint (token, !=, options->suppress[i]);
}

/* Begins with a timestamp of at most 1 s; text between pairs; never back. */
static void
assert_timestamps (const GArray *tokens)
{
  guint32 last = special->timestamp_begin;

  g_assert_cmpuint (tokens->len, >, 0);
  for (guint i = 0; i < tokens->len; i++) {
    const guint32 token = g_array_index (tokens, guint32, i);
    const gboolean after =
        i == 0 || is_timestamp (g_array_index (tokens, guint32, i - 1));
    const gboolean after_two =
        i < 2 || is_timestamp (g_array_index (tokens, guint32, i - 2));

    if (i == 0)
      g_assert_true (
          is_timestamp (token) && token <= special->timestamp_begin + 50);
    else if (after)
      g_assert_true (is_timestamp (token) == !after_two);
    if (!is_timestamp (token))
      continue;
    g_assert_cmpuint (token, >=, last);
    if (!after)
      g_assert_cmpuint (token, >, last);
    last = token;
  }
}

static void
test_any_logits (void)
{
  for (guint32 round = 0; round < (g_test_slow () ? 36 : 8); round++) {
    RandomModel model = {round, round % 3 == 0 ? -12.0f : 4.0f, 0};
    g_autoptr (ScriptedSource) scripted =
        scripted_source_new (N_VOCAB, random_logits, &model);
    NpuDecodingOptions options;
    NpuDecodedWindow decoded;
    g_autoptr (GError) error = NULL;

    init_options (&options);
    options.timestamps = round % 2 == 0;
    options.language = 0;
    options.beam_size = (guint[]){1, 2, 5, 1}[round % 4];
    options.temperature = round % 4 == 3 ? 0.8f : 0;
    options.best_of = 3;
    if (round % 5 == 4)
      scripted_source_set_coarse (scripted, 0.5f);
    npu_decode_window (&scripted->source, tokenizer, 3, &options, NULL, 0, NULL,
        0, &decoded, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (model.heard_windows, ==, 1u << 3);
    g_assert_cmpuint (decoded.tokens->len, <=, 224);
    g_assert_true (decoded.is_cut || decoded.tokens->len < 224);
    for (guint i = 0; i < decoded.tokens->len; i++)
      assert_allowed (&options, g_array_index (decoded.tokens, guint32, i));
    if (options.timestamps)
      assert_timestamps (decoded.tokens);
    g_assert_true (decoded.avg_logprob < 0);
    g_assert_true (decoded.no_speech_prob >= 0 && decoded.no_speech_prob <= 1);
    g_assert_true (g_utf8_validate (decoded.text, -1, NULL));
    npu_decoded_window_clear (&decoded);
  }
}

/* As if nothing had been decoded before: seeds are the window's own. */
static void
test_same_again (void)
{
  RandomModel model = {5, 0, 0};
  g_autoptr (GArray) first = NULL;
  guint n_different = 0;

  for (guint round = 0; round < 6; round++) {
    g_autoptr (ScriptedSource) scripted =
        scripted_source_new (N_VOCAB, random_logits, &model);
    NpuDecodingOptions options;
    NpuDecodedWindow decoded;

    init_options (&options);
    options.language = 0;
    options.temperature = 1;
    options.seed = round % 2; /* another window in between */
    g_assert_true (npu_decode_window (&scripted->source, tokenizer, 0, &options,
        NULL, 0, NULL, 0, &decoded, NULL));
    if (!first) {
      first = g_array_ref (decoded.tokens);
    } else if (round % 2 == 0) {
      g_assert_cmpmem (decoded.tokens->data, decoded.tokens->len * 4,
          first->data, first->len * 4);
    } else {
      n_different +=
          decoded.tokens->len != first->len ||
          memcmp (decoded.tokens->data, first->data, first->len * 4) != 0;
    }
    npu_decoded_window_clear (&decoded);
  }
  g_assert_cmpuint (n_different, >, 0);
}

/* Logits of text for ever. */
static void
endless_logits (
    gpointer data, guint window, const guint32 *tokens, guint n, float *logits)
{
  for (guint i = 0; i < N_VOCAB; i++)
    logits[i] = -20;
  for (guint32 id = 1000; id < 1040; id++)
    logits[id] = (float) (id % 7) + (float) (n % 3);
  logits[special->timestamp_begin] = 3;
}

static void
test_positions (void)
{
  g_autofree guint32 *prompt = g_new (guint32, 1000);

  for (guint i = 0; i < 1000; i++)
    prompt[i] = i;
  for (guint beam_size = 1; beam_size <= NPU_MAX_BEAMS; beam_size += 5) {
    g_autoptr (ScriptedSource) scripted =
        scripted_source_new (N_VOCAB, endless_logits, NULL);
    NpuDecodingOptions options;
    NpuDecodedWindow decoded;
    g_autoptr (GError) error = NULL;

    init_options (&options);
    options.language = 4;
    options.beam_size = beam_size;
    npu_decode_window (&scripted->source, tokenizer, 0, &options, prompt, 1000,
        NULL, 0, &decoded, &error);
    g_assert_no_error (error);
    g_assert_true (decoded.is_cut);
    g_assert_cmpuint (decoded.tokens->len, ==, 448 - 224 - 3);
    g_assert_cmpuint (scripted->most_tokens, <=, 448);
    /* startofprev, the newest 223, sot, language, task: at once */
    g_assert_cmpuint (g_array_index (scripted->sequences[0], guint32, 0), ==,
        special->start_of_prev);
    g_assert_cmpuint (
        g_array_index (scripted->sequences[0], guint32, 1), ==, 1000 - 223);
    g_assert_cmpuint (g_array_index (scripted->sequences[0], guint32, 225), ==,
        special->sot + 1 + 4);
    g_assert_cmpuint (scripted->most_rows, ==, 227);
    npu_decoded_window_clear (&decoded);
  }
}

/* A script of one answer: the next token is the likeliest by far. */
typedef struct {
  const guint32 *answer; /* ends with eot */
  guint n_start;         /* tokens before it */
  float languages[100];
  float no_speech;
  float bad; /* one logit at the step below, unless that is 0 */
  guint bad_step;
} Script;

static void
scripted_logits (
    gpointer data, guint window, const guint32 *tokens, guint n, float *logits)
{
  const Script *script = data;

  for (guint i = 0; i < N_VOCAB; i++)
    logits[i] = -30;
  if (tokens[n - 1] == special->sot) {
    for (guint i = 0; i < special->n_languages; i++)
      logits[special->sot + 1 + i] = script->languages[i];
    logits[special->no_speech] = script->no_speech;
  }
  if (n >= script->n_start) {
    guint i = 0;

    while (i < n - script->n_start && script->answer[i] != special->eot)
      i++;
    logits[script->answer[i]] = 10;
  }
  if (script->bad_step == n)
    logits[1234] = script->bad;
}

static void
test_language (void)
{
  const guint32 answer[] = {special->timestamp_begin, 500, 501,
      special->timestamp_begin + 90, special->eot};
  Script script = {.answer = answer, .n_start = 3};
  g_autoptr (ScriptedSource) scripted =
      scripted_source_new (N_VOCAB, scripted_logits, &script);
  NpuDecodingOptions options;

  init_options (&options);
  script.languages[17] = 3;
  for (guint has_prompt = 0; has_prompt < 2; has_prompt++) {
    const guint32 prompt[] = {7, 8};
    NpuDecodedWindow decoded;

    scripted->n_steps = 0;
    script.n_start = has_prompt ? 6 : 3;
    g_assert_true (npu_decode_window (&scripted->source, tokenizer, 0, &options,
        prompt, 2 * has_prompt, NULL, 0, &decoded, NULL));
    g_assert_cmpint (decoded.language, ==, 17);
    g_assert_cmpfloat_with_epsilon (
        decoded.language_prob, expf (3) / (expf (3) + 98), 1e-4);
    g_assert_cmpuint (decoded.tokens->len, ==, 4);
    /* One for the language, one for the rest of the prompt, one a token. */
    g_assert_cmpuint (scripted->n_steps, ==, 6);
    npu_decoded_window_clear (&decoded);
  }
}

/* At sot, unfiltered, whatever comes after it. */
static void
test_no_speech (void)
{
  const guint32 answer[] = {special->timestamp_begin, 500,
      special->timestamp_begin + 9, special->eot};
  const guint32 prompt[] = {7, 8};

  for (guint beam_size = 1; beam_size < 6; beam_size += 4) {
    Script script = {.answer = answer, .n_start = 6, .no_speech = 4};
    g_autoptr (ScriptedSource) scripted =
        scripted_source_new (N_VOCAB, scripted_logits, &script);
    NpuDecodingOptions options;
    NpuDecodedWindow decoded;

    init_options (&options);
    options.language = 0;
    options.beam_size = beam_size;
    g_assert_true (npu_decode_window (&scripted->source, tokenizer, 0, &options,
        prompt, 2, NULL, 0, &decoded, NULL));
    g_assert_cmpfloat_with_epsilon (
        decoded.no_speech_prob, expf (4) / (expf (4) + 99), 1e-4);
    npu_decoded_window_clear (&decoded);
  }
}

static void
test_prefix (void)
{
  const guint32 answer[] = {502, special->timestamp_begin + 90, special->eot};
  const guint32 prefix[] = {special->timestamp_begin + 5, 500, 501};
  Script script = {.answer = answer, .n_start = 6};
  g_autoptr (ScriptedSource) scripted =
      scripted_source_new (N_VOCAB, scripted_logits, &script);
  NpuDecodingOptions options;
  NpuDecodedWindow decoded;
  const guint32 whole[] = {prefix[0], 500, 501, 502, answer[1]};

  init_options (&options);
  options.language = 0;
  g_assert_true (npu_decode_window (&scripted->source, tokenizer, 0, &options,
      NULL, 0, prefix, 3, &decoded, NULL));
  g_assert_cmpmem (
      decoded.tokens->data, decoded.tokens->len * 4, whole, sizeof whole);
  g_assert_false (decoded.is_cut);
  g_assert_true (decoded.avg_logprob > -0.1f);
  npu_decoded_window_clear (&decoded);
}

/* NaN and infinity are said, and nothing hangs. */
static void
test_no_numbers (void)
{
  static const float bad[] = {NAN, INFINITY};
  const guint32 answer[] = {
      special->timestamp_begin, 500, 501, 502, 503, special->eot};

  for (guint i = 0; i < 2 * 5; i++) {
    Script script = {.answer = answer,
        .n_start = 3,
        .bad = bad[i % 2],
        .bad_step = (guint[]){1, 4, 5, 6, 7}[i / 2]};
    g_autoptr (ScriptedSource) scripted =
        scripted_source_new (N_VOCAB, scripted_logits, &script);
    NpuDecodingOptions options;
    NpuDecodedWindow decoded;
    g_autoptr (GError) error = NULL;

    init_options (&options);
    options.language = i % 3 == 0 ? -1 : 0;
    options.beam_size = i % 3 == 1 ? 5 : 1;
    g_assert_false (npu_decode_window (&scripted->source, tokenizer, 0,
        &options, NULL, 0, NULL, 0, &decoded, &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_FAILED);
  }
}

static void
nothing_logits (
    gpointer data, guint window, const guint32 *tokens, guint n, float *logits)
{
  for (guint i = 0; i < N_VOCAB; i++)
    logits[i] = n == 1 ? 0 : -INFINITY;
}

static void
test_nothing_allowed (void)
{
  for (guint beam_size = 1; beam_size < 6; beam_size += 4) {
    g_autoptr (ScriptedSource) scripted =
        scripted_source_new (N_VOCAB, nothing_logits, NULL);
    NpuDecodingOptions options;
    NpuDecodedWindow decoded;
    g_autoptr (GError) error = NULL;

    init_options (&options);
    options.language = 0;
    options.beam_size = beam_size;
    options.temperature_increment = 0.2f;
    npu_decode_window (&scripted->source, tokenizer, 0, &options, NULL, 0, NULL,
        0, &decoded, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (decoded.tokens->len, ==, 0);
    g_assert_cmpstr (decoded.text, ==, "");
    npu_decoded_window_clear (&decoded);
  }
}

/* The source's own errors come through, from any step. */
static void
test_source_fails (void)
{
  for (guint fail_at = 1; fail_at < 6; fail_at++) {
    RandomModel model = {1, -12, 0};
    g_autoptr (ScriptedSource) scripted =
        scripted_source_new (N_VOCAB, random_logits, &model);
    NpuDecodingOptions options;
    NpuDecodedWindow decoded;
    g_autoptr (GError) error = NULL;

    init_options (&options);
    options.beam_size = fail_at % 2 ? 1 : 4;
    scripted->fail_at = fail_at;
    g_assert_false (npu_decode_window (&scripted->source, tokenizer, 0,
        &options, NULL, 0, NULL, 0, &decoded, &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_LAUNCH);
  }
}

/* Coarse logits, exact candidates: the exact one's choice. */
static void
test_refined (void)
{
  for (guint32 round = 0; round < 8; round++) {
    NpuDecodedWindow decoded[2];

    for (guint coarse = 0; coarse < 2; coarse++) {
      RandomModel model = {100 + round, 0, 0};
      g_autoptr (ScriptedSource) scripted =
          scripted_source_new (N_VOCAB, random_logits, &model);
      NpuDecodingOptions options;

      init_options (&options);
      options.timestamps = round % 2;
      if (coarse)
        scripted_source_set_coarse (scripted, 0.05f);
      g_assert_true (npu_decode_window (&scripted->source, tokenizer, 0,
          &options, NULL, 0, NULL, 0, &decoded[coarse], NULL));
    }
    g_assert_cmpint (decoded[0].language, ==, decoded[1].language);
    g_assert_cmpfloat_with_epsilon (
        decoded[0].language_prob, decoded[1].language_prob, 1e-6);
    g_assert_cmpmem (decoded[0].tokens->data, decoded[0].tokens->len * 4,
        decoded[1].tokens->data, decoded[1].tokens->len * 4);
    npu_decoded_window_clear (&decoded[0]);
    npu_decoded_window_clear (&decoded[1]);
  }
}

/* A step so small that it would take for ever. */
static void
test_small_increment (void)
{
  RandomModel model = {1, 4, 0};
  g_autoptr (ScriptedSource) scripted =
      scripted_source_new (N_VOCAB, random_logits, &model);
  NpuDecodingOptions options;
  NpuDecodedWindow decoded;

  init_options (&options);
  options.language = 0;
  options.best_of = 1;
  options.temperature_increment = 1e-7f;
  options.logprob_threshold = 0;
  options.no_speech_threshold = 2;
  g_assert_true (npu_decode_window (&scripted->source, tokenizer, 0, &options,
      NULL, 0, NULL, 0, &decoded, NULL));
  g_assert_true (decoded.has_failed);
  g_assert_cmpuint (decoded.n_tries, <=, 11);
  npu_decoded_window_clear (&decoded);
}

static void
test_settings (void)
{
  g_autoptr (NpuTokenizer) english = open_small (51864);
  RandomModel model = {1, 4, 0};
  g_autoptr (ScriptedSource) scripted =
      scripted_source_new (N_VOCAB, random_logits, &model);

  for (guint i = 0; i < 9; i++) {
    g_autoptr (GError) error = NULL;
    NpuTokenizer *used = tokenizer;
    NpuDecodingOptions options;
    NpuDecodedWindow decoded;

    init_options (&options);
    scripted->source.n_vocab = N_VOCAB;
    if (i == 0)
      options.beam_size = 0;
    else if (i == 1)
      options.beam_size = 17;
    else if (i == 2)
      options.best_of = 0;
    else if (i == 3)
      options.best_of = 17;
    else if (i == 4)
      options.temperature = NAN;
    else if (i == 5)
      options.language = 99;
    else if (i == 6)
      used = english;
    else if (i == 7)
      options.patience = INFINITY;
    if (i == 8) {
      used = english;
      scripted->source.n_vocab = 51864;
      options.task = NPU_TASK_TRANSLATE;
    }
    g_assert_false (npu_decode_window (&scripted->source, used, 0, &options,
        NULL, 0, NULL, 0, &decoded, &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
    g_assert_cmpuint (scripted->n_steps, ==, 0);
  }
}

/* Where one token is likelier by far, only that is computed again. */
static void
test_refined_few (void)
{
  const guint32 answer[] = {special->timestamp_begin, 500, 501, 502,
      special->timestamp_begin + 90, special->eot};
  Script script = {.answer = answer, .n_start = 3};
  g_autoptr (ScriptedSource) scripted =
      scripted_source_new (N_VOCAB, scripted_logits, &script);
  NpuDecodingOptions options;
  NpuDecodedWindow decoded;

  init_options (&options);
  options.language = 0;
  scripted_source_set_coarse (scripted, 0.5f);
  g_assert_true (npu_decode_window (&scripted->source, tokenizer, 0, &options,
      NULL, 0, NULL, 0, &decoded, NULL));
  g_assert_cmpmem (decoded.tokens->data, decoded.tokens->len * 4, answer,
      sizeof answer - sizeof *answer);
  g_assert_cmpuint (scripted->n_refined, ==, decoded.n_steps);
  npu_decoded_window_clear (&decoded);
}

int
main (int argc, char **argv)
{
  int failed;

  g_test_init (&argc, &argv, NULL);
  tokenizer = open_small (N_VOCAB);
  special = npu_tokenizer_get_special (tokenizer);
  g_test_add_func ("/decoding/any-logits", test_any_logits);
  g_test_add_func ("/decoding/same-again", test_same_again);
  g_test_add_func ("/decoding/positions", test_positions);
  g_test_add_func ("/decoding/language", test_language);
  g_test_add_func ("/decoding/no-speech", test_no_speech);
  g_test_add_func ("/decoding/prefix", test_prefix);
  g_test_add_func ("/decoding/no-numbers", test_no_numbers);
  g_test_add_func ("/decoding/nothing-allowed", test_nothing_allowed);
  g_test_add_func ("/decoding/source-fails", test_source_fails);
  g_test_add_func ("/decoding/refined", test_refined);
  g_test_add_func ("/decoding/refined-few", test_refined_few);
  g_test_add_func ("/decoding/small-increment", test_small_increment);
  g_test_add_func ("/decoding/settings", test_settings);
  failed = g_test_run ();
  npu_tokenizer_unref (tokenizer);
  return failed;
}
