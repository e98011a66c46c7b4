/* Ids and texts as OpenAI's tokenizer has them, from every real vocabulary that
 * is at hand.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tokenizer/npu-tokenizer.h"

#include <string.h>

#include "test-data.h"
#include "test-vectors.h"
#include "tokenizer/tokenizer-private.h"

/* Files, or a model and the vocabulary that belongs to it. */
static const struct {
  const char *name, *path;
  guint n_vocab;
  gboolean is_model;
} sources[] = {
    {"gpt2.tiktoken", "models/assets/gpt2.tiktoken", 51864, FALSE},
    {"tokenizer.json", "models/whisper-tiny.en-tokenizer.json", 51864, FALSE},
    {"multilingual.tiktoken", "models/assets/multilingual.tiktoken", 51865,
        FALSE},
    {"multilingual.tiktoken-v3", "models/assets/multilingual.tiktoken", 51866,
        FALSE},
    {"ggml", "models/ggml-base-q8_0.bin", 51865, TRUE},
    {"beside", "models/whisper-tiny.en-f16.safetensors", 51864, TRUE},
};

static NpuTokenizer *
open_source (guint i)
{
  g_autofree char *path = test_data_path (sources[i].path);
  g_autoptr (GError) error = NULL;
  NpuTokenizer *tokenizer;

  if (!path)
    return NULL;
  if (sources[i].is_model) {
    g_autoptr (NpuModel) model = npu_model_open (path, &error);

    g_assert_no_error (error);
    tokenizer = npu_tokenizer_new (model, NULL, &error);
  } else {
    tokenizer = npu_tokenizer_new_of_file (sources[i].n_vocab, path, &error);
  }
  g_assert_no_error (error);
  return tokenizer;
}

static void
test_encode (gconstpointer data)
{
  const guint i = GPOINTER_TO_UINT (data);
  g_autoptr (NpuTokenizer) tokenizer = open_source (i);
  g_autoptr (JsonNode) root =
      tokenizer ? test_vectors_load ("decoding/vectors/encode.json") : NULL;
  const char *wanted = sources[i].n_vocab == 51864 ? "en" : "multi";
  JsonArray *cases = root ? json_node_get_array (root) : NULL;
  guint n = 0;

  for (guint c = 0; cases && c < json_array_get_length (cases); c++) {
    JsonArray *row = json_array_get_array_element (cases, c);
    const char *text = json_array_get_string_element (row, 1);
    g_autoptr (GArray) expected =
        test_vectors_ids (json_array_get_array_element (row, 2));
    g_autoptr (GArray) actual = g_array_new (FALSE, FALSE, sizeof (guint32));

    if (strcmp (json_array_get_string_element (row, 0), wanted) != 0)
      continue;
    npu_tokenizer_encode (tokenizer, text, -1, actual);
    test_vectors_assert_ids (text, actual, expected);
    n++;
  }
  g_test_message ("%u texts", n);
  g_assert_true (!cases || n > 0);
}

static void
test_decode (void)
{
  g_autoptr (NpuTokenizer) tokenizer = open_source (2);
  g_autoptr (JsonNode) root =
      tokenizer ? test_vectors_load ("decoding/vectors/decode.json") : NULL;
  JsonArray *cases = root ? json_node_get_array (root) : NULL;

  for (guint c = 0; cases && c < json_array_get_length (cases); c++) {
    JsonObject *row = json_array_get_object_element (cases, c);
    const char *expected = json_object_get_string_member (row, "text");
    g_autoptr (GArray) ids =
        test_vectors_ids (json_object_get_array_member (row, "ids"));
    g_autoptr (GString) hex = g_string_new (NULL);
    g_autofree char *text = NULL;
    gsize n;

    for (guint t = 0; t < ids->len; t++) {
      const guint8 *bytes = npu_tokenizer_get_bytes (
          tokenizer, g_array_index (ids, guint32, t), &n);

      for (gsize b = 0; b < n; b++)
        g_string_append_printf (hex, "%02x", bytes[b]);
    }
    g_assert_cmpstr (
        hex->str, ==, json_object_get_string_member (row, "bytes"));
    text =
        npu_tokenizer_decode (tokenizer, (guint32 *) ids->data, ids->len, &n);
    g_assert_cmpstr (text, ==, expected);
    if (strlen (expected) < n) /* json-glib's strings end at a NUL */
      g_assert_cmpint (text[strlen (expected)], ==, '\0');
  }
}

/* The column of special-ids.tsv for a size, as "name\tids". */
static char **
read_special (guint column)
{
  g_autofree char *path = test_data_path ("decoding/vectors/special-ids.tsv");
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  GPtrArray *rows = g_ptr_array_new ();

  if (!path)
    return NULL;
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  lines = g_strsplit (g_strchomp (text), "\n", -1);
  for (guint i = 1; lines[i]; i++) {
    g_auto (GStrv) cells = g_strsplit (lines[i], "\t", -1);

    g_ptr_array_add (rows, g_strdup_printf ("%s\t%s", cells[0], cells[column]));
  }
  g_ptr_array_add (rows, NULL);
  return (char **) g_ptr_array_free (rows, FALSE);
}

static void
append_id (GString *text, guint32 id)
{
  g_string_append_printf (text, text->len > 0 ? " %u" : "%u", id);
}

/* What a row of special-ids.tsv should hold for @tokenizer. */
static char *
describe_row (NpuTokenizer *tokenizer, const char *name)
{
  const NpuSpecialTokens *special = npu_tokenizer_get_special (tokenizer);
  const struct {
    const char *name;
    guint32 id;
  } ids[] = {
      {"eot", special->eot},
      {"sot", special->sot},
      {"translate", special->translate},
      {"transcribe", special->transcribe},
      {"startoflm", special->start_of_lm},
      {"startofprev", special->start_of_prev},
      {"nospeech", special->no_speech},
      {"notimestamps", special->no_timestamps},
      {"timestamp 0.00", special->timestamp_begin},
      {"timestamp 30.00", special->timestamp_begin + 1500},
      {"language en (first)", special->sot + 1},
      {"language su (99th)", special->sot + 99},
  };
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (ids); i++) {
    if (strcmp (name, ids[i].name) == 0)
      append_id (text, ids[i].id);
  }
  if (g_str_has_prefix (name, "language yue")) {
    if (special->n_languages > 99)
      append_id (text, special->sot + 100);
    else
      g_string_append_c (text, '-');
  } else if (g_str_has_prefix (name, "suppressed by -1")) {
    guint n;
    const guint32 *suppressed = npu_tokenizer_get_suppressed (tokenizer, &n);

    for (guint i = 0; i < n; i++)
      append_id (text, suppressed[i]);
  } else if (g_str_has_prefix (name, "suppressed as blank")) {
    g_autoptr (GArray) space = g_array_new (FALSE, FALSE, sizeof (guint32));

    npu_tokenizer_encode (tokenizer, " ", -1, space);
    g_assert_cmpuint (space->len, ==, 1);
    append_id (text, g_array_index (space, guint32, 0));
    append_id (text, special->eot);
  }
  return g_string_free (text, FALSE);
}

static void
test_special_ids (gconstpointer data)
{
  const guint i = GPOINTER_TO_UINT (data);
  g_autoptr (NpuTokenizer) tokenizer = open_source (i);
  g_auto (GStrv) rows =
      tokenizer ? read_special (sources[i].n_vocab - 51863) : NULL;

  for (guint r = 0; rows && rows[r]; r++) {
    g_auto (GStrv) cells = g_strsplit (rows[r], "\t", 2);
    g_autofree char *actual = describe_row (tokenizer, cells[0]);

    g_assert_cmpstr (actual, ==, cells[1]);
  }
}

static void
test_languages (void)
{
  g_autofree char *path = test_data_path ("decoding/vectors/languages.txt");
  g_autofree char *text = NULL;
  g_auto (GStrv) codes = NULL;

  if (!path)
    return;
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  codes = g_strsplit_set (g_strchomp (text), " \n", -1);
  for (guint i = 0; i <= g_strv_length (codes); i++)
    g_assert_cmpstr (npu_language_get_code (i), ==, codes[i]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (sources); i++) {
    g_autofree char *encode =
        g_strconcat ("/tokenizer-vectors/encode/", sources[i].name, NULL);
    g_autofree char *ids =
        g_strconcat ("/tokenizer-vectors/special-ids/", sources[i].name, NULL);

    g_test_add_data_func (encode, GUINT_TO_POINTER (i), test_encode);
    g_test_add_data_func (ids, GUINT_TO_POINTER (i), test_special_ids);
  }
  g_test_add_func ("/tokenizer-vectors/decode", test_decode);
  g_test_add_func ("/tokenizer-vectors/languages", test_languages);
  return g_test_run ();
}
