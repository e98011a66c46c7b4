/* Greedy hypotheses with a forced prefix and a draft.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoding/hypothesis.h"

#include "decoding/random.h"
#include "npu-error.h"
#include "scripted-source.h"
#include "tokenizer/tokenizer-private.h"

#define N_VOCAB 51865
#define N_HEADS 2
#define N_POSITIONS 50

static NpuTokenizer *tokenizer;
static const NpuSpecialTokens *special;

/* An answer: after `n_before` tokens, tokens[0], and so on, then the end. */
typedef struct {
  const guint32 *tokens;
  guint n;
  guint n_before;
  float weight; /* of the right token, above all others */
} Script;

static void
script_logits (
    gpointer data, guint window, const guint32 *tokens, guint n, float *logits)
{
  const Script *script = data;
  const guint at = n - script->n_before;

  for (guint i = 0; i < N_VOCAB; i++)
    logits[i] = -8;
  logits[special->no_speech] = -7.5f;
  if (n < script->n_before)
    return;
  logits[at < script->n ? script->tokens[at] : special->eot] = script->weight;
}

/* Position i of head h after @n tokens: says which token, head and position. */
static void
script_attention (gpointer data, guint window, const guint32 *tokens, guint n,
    float *attention)
{
  for (guint i = 0; i < N_HEADS * N_POSITIONS; i++)
    attention[i] = (float) (tokens[n - 1] * 1000 + i);
}

static const guint32 said[] = {100, 200, 300, 400, 500, 600};
#define N_SAID G_N_ELEMENTS (said)

/* sot, language, transcribe, notimestamps */
#define N_TASK 4

static Script usual = {said, N_SAID, N_TASK, 10};

static void
init_options (NpuDecodingOptions *options)
{
  npu_decoding_options_init (options);
  options->language = 0;
}

static ScriptedSource *
new_source (Script *script)
{
  ScriptedSource *scripted =
      scripted_source_new (N_VOCAB, script_logits, script);

  scripted_source_set_attention (scripted, N_HEADS, script_attention);
  return scripted;
}

static void
decode (
    ScriptedSource *scripted, const NpuHypothesisTask *task, NpuHeard *heard)
{
  NpuDecodingOptions options;
  g_autoptr (GError) error = NULL;

  init_options (&options);
  npu_hypothesis_decode (&scripted->source, tokenizer, 3, N_POSITIONS, &options,
      task, heard, &error);
  g_assert_no_error (error);
}

/* Rows of sot, language, task and notimestamps, then of the answer. */
static void
assert_attention (const NpuHeard *heard, guint n_prefix)
{
  const guint32 task[N_TASK] = {special->sot, special->sot + 1,
      special->transcribe, special->no_timestamps};

  g_assert_cmpuint (heard->first_row, ==, N_TASK - 1);
  g_assert_cmpuint (heard->n_rows, ==, N_TASK + n_prefix + heard->tokens->len);
  for (guint row = 0; row < heard->n_rows; row++) {
    const guint32 token = row < N_TASK ? task[row] : said[row - N_TASK];
    const float *of = heard->attention + (gsize) row * N_HEADS * N_POSITIONS;

    for (guint i = 0; i < N_HEADS * N_POSITIONS; i++)
      g_assert_cmpfloat (of[i], ==, (float) (token * 1000 + i));
  }
}

static void
assert_said (const NpuHeard *heard, guint n_prefix, guint n)
{
  g_assert_cmpuint (heard->tokens->len, ==, n);
  for (guint i = 0; i < n; i++)
    g_assert_cmpuint (
        g_array_index (heard->tokens, guint32, i), ==, said[n_prefix + i]);
}

/* What is likely no speech costs one step, and leaves the decoder behind the
 * prefix. */
static void
test_silence (void)
{
  for (guint n_prefix = 0; n_prefix <= 2; n_prefix++) {
    g_autoptr (ScriptedSource) scripted = new_source (&usual);
    NpuHypothesisTask task = {.prefix = said,
        .n_prefix = n_prefix,
        .draft = said + n_prefix,
        .n_draft = 1,
        .max_tokens = 20,
        .no_speech_threshold = 1e-9f};
    NpuHeard heard;

    decode (scripted, &task, &heard);
    assert_said (&heard, n_prefix, 0);
    assert_attention (&heard, n_prefix);
    g_assert_false (heard.is_cut);
    g_assert_cmpuint (heard.n_steps, ==, 1);
    g_assert_cmpuint (scripted->sequences[0]->len, ==, N_TASK + n_prefix);
    npu_heard_clear (&heard);

    task.no_speech_threshold = 0.5f;
    decode (scripted, &task, &heard);
    assert_said (&heard, n_prefix, N_SAID - n_prefix);
    npu_heard_clear (&heard);
  }
}

/* Whatever prefix and draft: the same tokens, attention and likelihood; a draft
 * that is right costs one step. */
static void
test_any_draft (void)
{
  for (guint n_prefix = 0; n_prefix <= N_SAID; n_prefix++) {
    float avg_logprob = 0;

    for (guint n_right = 0; n_right <= N_SAID - n_prefix; n_right++) {
      for (guint n_wrong = 0; n_wrong < 3; n_wrong++) {
        g_autoptr (ScriptedSource) scripted = new_source (&usual);
        guint32 draft[N_SAID + 3] = {0};
        const NpuHypothesisTask task = {.prefix = said,
            .n_prefix = n_prefix,
            .draft = draft,
            .n_draft = n_right + n_wrong,
            .max_tokens = 20};
        NpuHeard heard;

        for (guint i = 0; i < task.n_draft; i++)
          draft[i] = i < n_right ? said[n_prefix + i] : 999;
        decode (scripted, &task, &heard);
        assert_said (&heard, n_prefix, N_SAID - n_prefix);
        assert_attention (&heard, n_prefix);
        g_assert_false (heard.is_cut);
        if (n_right + n_wrong == 0)
          avg_logprob = heard.avg_logprob;
        g_assert_cmpfloat (heard.avg_logprob, ==, avg_logprob);
        g_assert_cmpfloat (avg_logprob, <, 0);
        g_assert_true (
            heard.no_speech_prob > 0 && heard.no_speech_prob < 0.001f);
        g_assert_cmpuint (heard.n_steps, ==, N_SAID - n_prefix - n_right + 1);
        g_assert_cmpuint (heard.n_sampled, ==, heard.n_steps);
        g_assert_cmpuint (scripted->n_steps, ==, heard.n_steps);
        g_assert_cmpuint (scripted->sequences[0]->len, ==, N_TASK + N_SAID);
        g_assert_cmpuint (scripted->windows[0], ==, 3);
        npu_heard_clear (&heard);
      }
    }
  }
}

/* Logits of products in 8 bits, whose likeliest are made exact row by row. */
static void
test_refined (void)
{
  g_autoptr (ScriptedSource) scripted = new_source (&usual);
  const NpuHypothesisTask task = {.prefix = said,
      .n_prefix = 2,
      .draft = said + 2,
      .n_draft = 3,
      .max_tokens = 20};
  NpuHeard heard;

  scripted_source_set_coarse (scripted, 3);
  decode (scripted, &task, &heard);
  assert_said (&heard, 2, N_SAID - 2);
  g_assert_cmpuint (scripted->n_refined, >=, N_SAID - 2);
  npu_heard_clear (&heard);
}

/* An answer without end has the tokens that it may, and attention for each. */
static void
test_cut (void)
{
  for (guint max = 1; max < N_SAID; max++) {
    for (guint n_draft = 0; n_draft <= N_SAID; n_draft++) {
      g_autoptr (ScriptedSource) scripted = new_source (&usual);
      const NpuHypothesisTask task = {
          .draft = said, .n_draft = n_draft, .max_tokens = max};
      NpuHeard heard;

      decode (scripted, &task, &heard);
      g_assert_true (heard.is_cut);
      assert_said (&heard, 0, max);
      assert_attention (&heard, 0);
      npu_heard_clear (&heard);
    }
  }
}

/* Prompt, prefix and answer have room together. */
static void
test_room (void)
{
  g_autofree guint32 *many = g_new0 (guint32, 1000);
  g_autoptr (ScriptedSource) scripted = new_source (&usual);
  NpuHypothesisTask task = {.prompt = many,
      .n_prompt = 1000,
      .prefix = many,
      .n_prefix = 224,
      .draft = many,
      .n_draft = 1000,
      .max_tokens = 1000};
  NpuDecodingOptions options;
  g_autoptr (GError) error = NULL;
  NpuHeard heard;

  usual.n = 1000;
  usual.tokens = many;
  usual.n_before = 0;
  decode (scripted, &task, &heard);
  g_assert_true (heard.is_cut);
  npu_heard_clear (&heard);
  task.n_prefix = 0;
  task.max_tokens = 20;
  decode (scripted, &task, &heard);
  g_assert_cmpuint (heard.tokens->len, ==, 20);
  g_assert_cmpuint (scripted->sequences[0]->len, ==, 1 + 223 + N_TASK + 20);
  npu_heard_clear (&heard);

  task.n_prefix = 225;
  init_options (&options);
  g_assert_false (npu_hypothesis_decode (&scripted->source, tokenizer, 0,
      N_POSITIONS, &options, &task, &heard, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
  usual = (Script){said, N_SAID, N_TASK, 10};
}

static void
test_failures (void)
{
  for (guint fail_at = 1; fail_at <= N_SAID; fail_at++) {
    g_autoptr (ScriptedSource) scripted = new_source (&usual);
    const NpuHypothesisTask task = {.max_tokens = 20};
    NpuDecodingOptions options;
    g_autoptr (GError) error = NULL;
    NpuHeard heard;

    scripted->fail_at = fail_at;
    init_options (&options);
    g_assert_false (npu_hypothesis_decode (&scripted->source, tokenizer, 0,
        N_POSITIONS, &options, &task, &heard, &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_LAUNCH);
  }
}

int
main (int argc, char **argv)
{
  NpuSpecialTokens tokens;

  g_test_init (&argc, &argv, NULL);
  npu_special_tokens_init (&tokens, N_VOCAB);
  tokenizer = npu_tokenizer_new_of_vocabulary (
      npu_vocabulary_new_synthetic (&tokens, "small"));
  special = npu_tokenizer_get_special (tokenizer);
  g_test_add_func ("/hypothesis/any-draft", test_any_draft);
  g_test_add_func ("/hypothesis/silence", test_silence);
  g_test_add_func ("/hypothesis/refined", test_refined);
  g_test_add_func ("/hypothesis/cut", test_cut);
  g_test_add_func ("/hypothesis/room", test_room);
  g_test_add_func ("/hypothesis/failures", test_failures);
  const int status = g_test_run ();

  npu_tokenizer_unref (tokenizer);
  return status;
}
