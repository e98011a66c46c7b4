/* Logit rules, beam search and compression ratio as OpenAI's code has them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoding/compression.h"

#include <math.h>
#include <string.h>

#include "decoding/search.h"
#include "scripted-source.h"
#include "test-data.h"
#include "test-vectors.h"
#include "tokenizer/tokenizer-private.h"

static NpuTokenizer *
open_multilingual (void)
{
  g_autofree char *path =
      test_data_path ("models/assets/multilingual.tiktoken");

  return path ? npu_tokenizer_new_of_file (51865, path, NULL) : NULL;
}

static float *
read_logits (JsonObject *row, guint n_vocab)
{
  const float otherwise =
      (float) json_object_get_double_member (row, "logits_default");
  JsonObject *exceptions = json_object_get_object_member (row, "logits");
  g_autoptr (GList) ids = json_object_get_members (exceptions);
  float *logits = g_new (float, n_vocab);

  for (guint i = 0; i < n_vocab; i++)
    logits[i] = otherwise;
  for (GList *id = ids; id; id = id->next)
    logits[g_ascii_strtoull (id->data, NULL, 10)] =
        (float) json_object_get_double_member (exceptions, id->data);
  return logits;
}

/* Ours forbids languages, and timestamps where they are off, which OpenAI's
 * code does not: without these rules it must be the same. */
static guint
choose_openai_filters (
    const NpuDecodingOptions *options, NpuLogitFilter *filters)
{
  NpuLogitFilter all[NPU_MAX_LOGIT_FILTERS];
  const guint n_all = npu_logit_filters_choose (options, all);
  guint n = 0;

  for (guint i = 0; i < n_all; i++) {
    if (all[i] != npu_filter_languages && all[i] != npu_filter_no_timestamps)
      filters[n++] = all[i];
  }
  return n;
}

static void
check_rule (NpuTokenizer *tokenizer, JsonObject *row)
{
  const NpuSpecialTokens *special = npu_tokenizer_get_special (tokenizer);
  const char *name = json_object_get_string_member (row, "name");
  const double latest = test_vectors_number (row, "max_initial_index", -1);
  const guint32 chosen = (guint32) json_object_get_int_member (row, "choose");
  g_autoptr (GArray) sampled =
      test_vectors_ids (json_object_get_array_member (row, "sampled"));
  g_autofree float *logits = read_logits (row, special->n_vocab);
  NpuLogitFilter filters[NPU_MAX_LOGIT_FILTERS];
  NpuDecodingOptions options;
  NpuFilterContext context = {special, &options,
      npu_tokenizer_get_blank (tokenizer), (guint32 *) sampled->data,
      sampled->len};
  NpuNextToken next;
  guint n_finite = 0;
  g_autoptr (GError) error = NULL;

  g_test_message ("%s", name);
  npu_decoding_options_init (&options);
  options.timestamps = json_object_get_boolean_member (row, "timestamps");
  options.max_initial_timestamp = latest < 0 ? G_MAXUINT : (guint) latest;
  options.suppress =
      npu_tokenizer_get_suppressed (tokenizer, &options.n_suppress);
  npu_next_token_read (&next, &context, filters,
      choose_openai_filters (&options, filters), NULL, NULL, logits, &error);
  g_assert_no_error (error);

  for (guint i = 0; i < special->n_vocab; i++)
    n_finite += isfinite (logits[i]) ? 1 : 0;
  g_assert_cmpuint (next.best[0].id, ==, chosen);
  g_assert_cmpuint (
      n_finite, ==, json_object_get_int_member (row, "finite_count"));
  g_assert_cmpfloat_with_epsilon (npu_next_token_logprob (&next, chosen),
      json_object_get_double_member (row, "logprob"), 2e-5);
}

static void
test_logit_rules (void)
{
  g_autoptr (NpuTokenizer) tokenizer = open_multilingual ();
  g_autoptr (JsonNode) root =
      tokenizer ? test_vectors_load ("decoding/vectors/logit-rules.json")
                : NULL;
  JsonArray *rows = root ? json_node_get_array (root) : NULL;

  for (guint i = 0; rows && i < json_array_get_length (rows); i++)
    check_rule (tokenizer, json_array_get_object_element (rows, i));
}

/* logits[step][last token][id]; the sequence begins with one token. */
static void
logits_of_toy (
    gpointer data, guint window, const guint32 *tokens, guint n, float *logits)
{
  JsonArray *steps = data;
  JsonArray *step = json_array_get_array_element (steps, n - 1);
  JsonArray *row = json_array_get_array_element (step, tokens[n - 1]);

  for (guint i = 0; i < json_array_get_length (row); i++)
    logits[i] = (float) json_array_get_double_element (row, i);
}

static void
assert_same_answer (NpuAnswer *answer, JsonObject *expected)
{
  g_autoptr (GArray) tokens =
      test_vectors_ids (json_object_get_array_member (expected, "tokens"));

  test_vectors_assert_ids ("answer", answer->tokens, tokens);
  g_assert_cmpfloat_with_epsilon (answer->sum,
      json_object_get_double_member (expected, "sum_logprob"), 2e-4);
}

/* Lets a search come to its end. */
static void
run_search (NpuSearch *search, ScriptedSource *scripted, float *rows)
{
  const guint n_vocab = search->special->n_vocab;
  g_autoptr (GArray) asked = g_array_new (FALSE, FALSE, sizeof (NpuDecoderRow));

  npu_search_begin (search, 0);
  while (npu_search_ask (search, asked) > 0) {
    float *logits[NPU_MAX_ANSWERS];

    for (guint i = 0; i < asked->len; i++)
      logits[i] = rows + (gsize) i * n_vocab;
    g_assert_true (scripted->source.step (
        scripted, (NpuDecoderRow *) asked->data, asked->len, logits, NULL));
    g_assert_true (npu_search_take (search, logits, 0, NULL));
    g_array_set_size (asked, 0);
  }
}

static void
check_beams (JsonObject *row)
{
  const guint n_vocab = (guint) json_object_get_int_member (row, "vocab");
  const guint size = (guint) json_object_get_int_member (row, "beam");
  const NpuSpecialTokens special = {.n_vocab = n_vocab,
      .eot = (guint32) json_object_get_int_member (row, "eot"),
      .timestamp_begin = n_vocab};
  g_autoptr (ScriptedSource) scripted = scripted_source_new (
      n_vocab, logits_of_toy, json_object_get_array_member (row, "logits"));
  const NpuDecoderRow start = {
      0, (guint32) json_object_get_int_member (row, "start"), TRUE};
  JsonArray *finished = json_object_get_array_member (row, "finished");
  g_autofree float *first = g_new (float, n_vocab);
  g_autofree float *rows = g_new (float, (gsize) n_vocab *size);
  NpuDecodingOptions options;
  NpuSearch search = {&scripted->source, &special, &options, .n_start = 1,
      .max_tokens = (guint) json_object_get_int_member (row, "steps")};
  NpuAnswer best;
  GArray *all;

  npu_decoding_options_init (&options);
  options.timestamps = FALSE;
  options.beam_size = size;
  options.patience = (float) test_vectors_number (row, "patience", 1);
  options.length_penalty =
      (float) test_vectors_number (row, "length_penalty", -1);
  scripted->source.begin (scripted, 0, 0);
  g_assert_true (scripted->source.step (scripted, &start, 1, &first, NULL));
  g_assert_true (
      npu_search_read (&search, NULL, 0, 0, first, &search.first, NULL));
  run_search (&search, scripted, rows);

  all = search.strategy->get_answers (&search);
  g_assert_cmpuint (all->len, ==, json_array_get_length (finished));
  for (guint i = 0; i < all->len; i++)
    assert_same_answer (
        npu_answers_get (all, i), json_array_get_object_element (finished, i));
  npu_search_end (&search, &best);
  assert_same_answer (
      &best, json_array_get_object_element (
                 finished, (guint) json_object_get_int_member (row, "chosen")));
  npu_answer_clear (&best);
}

static void
test_beam (void)
{
  g_autoptr (JsonNode) root = test_vectors_load ("decoding/vectors/beam.json");
  JsonArray *rows = root ? json_node_get_array (root) : NULL;

  for (guint i = 0; rows && i < json_array_get_length (rows); i++) {
    g_test_message ("search %u", i);
    check_beams (json_array_get_object_element (rows, i));
  }
}

static void
test_compression (void)
{
  g_autoptr (JsonNode) root =
      test_vectors_load ("decoding/vectors/compression.json");
  JsonArray *rows = root ? json_node_get_array (root) : NULL;

  for (guint i = 0; rows && i < json_array_get_length (rows); i++) {
    JsonObject *row = json_array_get_object_element (rows, i);
    const char *text = json_object_get_string_member (row, "text");
    const float ratio = npu_compression_ratio (text, strlen (text));

    g_assert_cmpfloat_with_epsilon (
        ratio, json_object_get_double_member (row, "ratio"), 1e-4);
    g_assert_cmpint (
        ratio > 2.4f, ==, json_object_get_boolean_member (row, "above_2_4"));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/decoding-vectors/logit-rules", test_logit_rules);
  g_test_add_func ("/decoding-vectors/beam", test_beam);
  g_test_add_func ("/decoding-vectors/compression", test_compression);
  return g_test_run ();
}
