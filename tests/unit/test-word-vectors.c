/* Alignment and words as OpenAI's code has them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoding/words.h"

#include <string.h>

#include "decoding/alignment.h"
#include "test-data.h"
#include "test-vectors.h"
#include "tokenizer/tokenizer-private.h"

static float *
read_floats (JsonArray *array, guint *n)
{
  float *values;

  *n = json_array_get_length (array);
  values = g_new (float, *n);
  for (guint i = 0; i < *n; i++)
    values[i] = (float) json_array_get_double_element (array, i);
  return values;
}

static void
check_dtw (JsonObject *row)
{
  JsonArray *cost = json_object_get_array_member (row, "cost");
  const guint n_rows = json_array_get_length (cost);
  g_autoptr (GArray) expected_rows =
      test_vectors_ids (json_object_get_array_member (row, "text"));
  g_autoptr (GArray) expected_columns =
      test_vectors_ids (json_object_get_array_member (row, "time"));
  g_autoptr (GArray) rows = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr (GArray) columns = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr (GArray) values = g_array_new (FALSE, FALSE, sizeof (float));
  guint n_columns = 0, n;

  for (guint i = 0; i < n_rows; i++) {
    g_autofree float *each =
        read_floats (json_array_get_array_element (cost, i), &n_columns);

    g_array_append_vals (values, each, n_columns);
  }
  g_array_set_size (rows, n_rows + n_columns);
  g_array_set_size (columns, n_rows + n_columns);
  n = npu_dtw ((float *) values->data, n_rows, n_columns, (guint *) rows->data,
      (guint *) columns->data);
  g_array_set_size (rows, n);
  g_array_set_size (columns, n);
  test_vectors_assert_ids ("text", rows, expected_rows);
  test_vectors_assert_ids ("time", columns, expected_columns);
}

static void
check_median (JsonObject *row)
{
  guint n, n_expected;
  g_autofree float *x =
      read_floats (json_object_get_array_member (row, "x"), &n);
  g_autofree float *expected =
      read_floats (json_object_get_array_member (row, "y"), &n_expected);

  g_assert_cmpint (json_object_get_int_member (row, "width"), ==, 7);
  npu_median_filter (x, n);
  g_assert_cmpuint (n, ==, n_expected);
  for (guint i = 0; i < n; i++)
    g_assert_cmpfloat (x[i], ==, expected[i]);
}

static void
check_merge (JsonObject *row)
{
  JsonArray *texts = json_object_get_array_member (row, "words");
  JsonArray *result = json_object_get_array_member (row, "result");
  g_autoptr (GArray) words = npu_words_new ();

  for (guint i = 0; i < json_array_get_length (texts); i++) {
    const NpuWord word = {
        g_strdup (json_array_get_string_element (texts, i)), 1, 0, 0, 0};

    g_array_append_val (words, word);
  }
  npu_words_merge_punctuation (words);
  g_assert_cmpuint (words->len, ==, json_array_get_length (result));
  for (guint i = 0; i < words->len; i++) {
    const NpuWord *word = &g_array_index (words, NpuWord, i);
    JsonObject *expected = json_array_get_object_element (result, i);

    g_assert_cmpstr (
        word->text, ==, json_object_get_string_member (expected, "word"));
    g_assert_cmpuint (word->n_tokens, ==,
        json_array_get_length (
            json_object_get_array_member (expected, "tokens")));
  }
}

static void
test_align (void)
{
  static const struct {
    const char *name;
    void (*check) (JsonObject *row);
  } kinds[] = {
      {"dtw", check_dtw}, {"median", check_median}, {"merge", check_merge}};
  g_autoptr (JsonNode) root = test_vectors_load ("decoding/vectors/align.json");

  for (guint i = 0; root && i < G_N_ELEMENTS (kinds); i++) {
    JsonArray *rows = json_object_get_array_member (
        json_node_get_object (root), kinds[i].name);

    for (guint j = 0; j < json_array_get_length (rows); j++) {
      JsonObject *row = json_array_get_object_element (rows, j);

      g_test_message (
          "%s: %s", kinds[i].name, json_object_get_string_member (row, "name"));
      kinds[i].check (row);
    }
  }
}

/* All but the last of the vector's, which is the text's end. */
static void
check_words (NpuTokenizer *tokenizer, JsonObject *row)
{
  const gboolean by_character =
      npu_language_has_no_spaces (json_object_get_string_member (row, "lang"));
  g_autoptr (GArray) ids =
      test_vectors_ids (json_object_get_array_member (row, "ids"));
  JsonArray *texts = json_object_get_array_member (row, "words");
  JsonArray *tokens = json_object_get_array_member (row, "word_tokens");
  g_autoptr (GArray) words = npu_words_split (
      tokenizer, (guint32 *) ids->data, ids->len, by_character);

  g_assert_cmpuint (words->len + 1, ==, json_array_get_length (texts));
  for (guint i = 0; i < words->len; i++) {
    const NpuWord *word = &g_array_index (words, NpuWord, i);

    g_assert_cmpstr (word->text, ==, json_array_get_string_element (texts, i));
    g_assert_cmpuint (word->n_tokens, ==,
        json_array_get_length (json_array_get_array_element (tokens, i)));
  }
}

static void
test_words (void)
{
  g_autofree char *path =
      test_data_path ("models/assets/multilingual.tiktoken");
  g_autoptr (NpuTokenizer) tokenizer =
      path ? npu_tokenizer_new_of_file (51865, path, NULL) : NULL;
  g_autoptr (JsonNode) root =
      tokenizer ? test_vectors_load ("decoding/vectors/words.json") : NULL;
  JsonArray *rows = root ? json_node_get_array (root) : NULL;

  for (guint i = 0; rows && i < json_array_get_length (rows); i++)
    check_words (tokenizer, json_array_get_object_element (rows, i));
}

/* Decoding's oddest tokens: whatever they are, words are whole characters and
 * have all tokens. */
static void
test_odd_tokens (void)
{
  g_autofree char *path =
      test_data_path ("models/assets/multilingual.tiktoken");
  g_autoptr (NpuTokenizer) tokenizer =
      path ? npu_tokenizer_new_of_file (51865, path, NULL) : NULL;
  GRand *rand = g_rand_new_with_seed (7);

  for (guint round = 0; tokenizer && round < 3000; round++) {
    const guint n = g_rand_int_range (rand, 1, 12);
    guint32 tokens[12];
    g_autoptr (GArray) words = NULL;
    guint n_tokens = 0;

    /* Single bytes mostly, which are the lowest ids. */
    for (guint i = 0; i < n; i++)
      tokens[i] =
          g_rand_int_range (rand, 0, g_rand_boolean (rand) ? 256 : 50257);
    words = npu_words_split (tokenizer, tokens, n, round % 2);
    npu_words_merge_punctuation (words);
    for (guint i = 0; i < words->len; i++) {
      const NpuWord *word = &g_array_index (words, NpuWord, i);

      g_assert_true (g_utf8_validate (word->text, -1, NULL));
      n_tokens += word->n_tokens;
    }
    g_assert_cmpuint (n_tokens, ==, n);
  }
  g_rand_free (rand);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/word-vectors/align", test_align);
  g_test_add_func ("/word-vectors/words", test_words);
  g_test_add_func ("/word-vectors/odd-tokens", test_odd_tokens);
  return g_test_run ();
}
