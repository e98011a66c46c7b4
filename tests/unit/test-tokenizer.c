/* Vocabularies of every form, byte pairs, cut characters.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tokenizer/npu-tokenizer.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "npu-error.h"
#include "small-vocabulary.h"
#include "tokenizer/tokenizer-private.h"
#include "tokenizer/utf8.h"

static char *folder; /* for files that the tests write */

static char *
write_file (const char *name, const char *text, gsize n)
{
  char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, text, (gssize) n, &error);
  g_assert_no_error (error);
  return path;
}

static NpuTokenizer *
open_small (guint n_vocab, VocabularyForm form)
{
  g_autoptr (GString) text = small_vocabulary_write (n_vocab, form);
  g_autofree char *path =
      write_file (vocabulary_form_names[form], text->str, text->len);
  g_autoptr (GError) error = NULL;
  NpuTokenizer *tokenizer = npu_tokenizer_new_of_file (n_vocab, path, &error);

  g_assert_no_error (error);
  g_unlink (path);
  return tokenizer;
}

static void
test_forms (gconstpointer data)
{
  const VocabularyForm form = GPOINTER_TO_UINT (data);

  for (guint n_vocab = 51864; n_vocab <= 51866; n_vocab++) {
    g_autoptr (NpuTokenizer) tokenizer = NULL;
    guint n_text;

    /* Every form and every size, if not with each other. */
    if (!g_test_slow () && n_vocab % 3 != form % 3)
      continue;
    tokenizer = open_small (n_vocab, form);
    n_text = npu_tokenizer_get_special (tokenizer)->eot;
    for (guint id = 0; id < n_text; id += g_test_slow () ? 1 : 17) {
      g_autoptr (GByteArray) expected = small_vocabulary_token (n_vocab, id);
      gsize n;
      const guint8 *bytes = npu_tokenizer_get_bytes (tokenizer, id, &n);

      g_assert_nonnull (bytes);
      g_assert_cmpmem (bytes, n, expected->data, expected->len);
    }
    for (guint id = n_text; id < n_vocab + 10; id++) {
      gsize n = 1;

      g_assert_null (npu_tokenizer_get_bytes (tokenizer, id, &n));
      g_assert_cmpuint (n, ==, 0);
    }
  }
}

/* The decoder's choice of rank: again and again the lowest id, by brute
 * force. */
static GArray *
encode_slowly (NpuTokenizer *tokenizer, const guint8 *bytes, gsize n)
{
  g_autoptr (GArray) ends = g_array_new (FALSE, FALSE, sizeof (guint));
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (guint32));
  const guint n_text = npu_tokenizer_get_special (tokenizer)->eot;

  for (guint i = 0; i <= n; i++)
    g_array_append_val (ends, i);
  for (guint id = 0; id < n_text;) {
    gsize length;
    const guint8 *token = npu_tokenizer_get_bytes (tokenizer, id, &length);
    gboolean found = FALSE;

    for (guint i = 0; i + 2 < ends->len && length > 1 && !found; i++) {
      const guint first = g_array_index (ends, guint, i);
      const guint end = g_array_index (ends, guint, i + 2);

      if (end - first == length && memcmp (bytes + first, token, length) == 0) {
        g_array_remove_index (ends, i + 1);
        found = TRUE;
      }
    }
    id = found ? 0 : id + 1;
  }
  for (guint i = 0; i + 1 < ends->len; i++) {
    const guint first = g_array_index (ends, guint, i);
    const guint end = g_array_index (ends, guint, i + 1);

    for (guint32 id = 0; id < n_text; id++) {
      gsize length;
      const guint8 *token = npu_tokenizer_get_bytes (tokenizer, id, &length);

      if (length == end - first && memcmp (bytes + first, token, length) == 0) {
        g_array_append_val (ids, id);
        break;
      }
    }
  }
  return ids;
}

static void
test_lowest_pair_first (void)
{
  g_autoptr (NpuTokenizer) tokenizer = open_small (51865, VOCABULARY_TIKTOKEN);
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);

  for (guint round = 0; round < (g_test_slow () ? 60 : 12); round++) {
    g_autoptr (GArray) actual = g_array_new (FALSE, FALSE, sizeof (guint32));
    g_autoptr (GArray) expected = NULL;
    char text[24];
    const gsize n = (gsize) g_rand_int_range (rand, 1, sizeof text);

    for (guint i = 0; i < n; i++) /* one piece: letters */
      text[i] = "theal"[g_rand_int_range (rand, 0, 5)];
    expected = encode_slowly (tokenizer, (const guint8 *) text, n);
    npu_tokenizer_encode (tokenizer, text, (gssize) n, actual);
    g_assert_cmpmem (
        actual->data, 4 * actual->len, expected->data, 4 * expected->len);
  }
}

/* Megabytes of one letter are one piece. */
static void
test_long_text (void)
{
  g_autoptr (NpuTokenizer) tokenizer = open_small (51864, VOCABULARY_LINES);
  g_autoptr (GArray) tokens = g_array_new (FALSE, FALSE, sizeof (guint32));
  const gsize n = 1 << 20;
  g_autofree char *text = g_malloc (n);
  g_autofree char *decoded = NULL;
  gsize length;

  memset (text, 'a', n);
  npu_tokenizer_encode (tokenizer, text, (gssize) n, tokens);
  g_assert_cmpuint (tokens->len, ==, n / 4);
  decoded = npu_tokenizer_decode (
      tokenizer, (guint32 *) tokens->data, tokens->len, &length);
  g_assert_cmpmem (decoded, length, text, n);
}

/* Whatever is encoded comes back, names of special tokens too. */
static void
test_round_trip (void)
{
  static const char *const texts[] = {"", " ", "<|endoftext|><|en|>", "I'LL'll",
      "\t\n  x \xc2\x85 y\xe3\x80\x80", "\xef\xbb\xbf ok",
      "\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd"};
  g_autoptr (NpuTokenizer) tokenizer =
      open_small (51866, VOCABULARY_VOCAB_JSON);

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GArray) tokens = g_array_new (FALSE, FALSE, sizeof (guint32));
    g_autofree char *text = NULL;
    gsize length;

    npu_tokenizer_encode (tokenizer, texts[i], -1, tokens);
    for (guint t = 0; t < tokens->len; t++)
      g_assert_cmpuint (g_array_index (tokens, guint32, t), <, 50257);
    text = npu_tokenizer_decode (
        tokenizer, (guint32 *) tokens->data, tokens->len, &length);
    g_assert_cmpstr (text, ==, texts[i]);
    g_assert_cmpuint (length, ==, strlen (texts[i]));
  }
}

static void
test_invalid_utf8 (void)
{
  static const struct {
    const char *bytes;
    gsize n;
    const char *text;
  } cases[] = {
#define R "\xef\xbf\xbd"
      {"\xe6\x97", 2, R},
      {"\xe6\x97"
       "a",
          3, R "a"},
      {"\x80"
       "a",
          2, R "a"},
      {"\xc0\xaf", 2, R R},
      {"\xed\xa0\x80", 3, R R R},
      {"\xf5\xff", 2, R R},
      {"\xf0\x80\x80", 3, R R R},
      {"\xf0\x9f\x91", 3, R},
      {"\xf4\x90\x80\x80", 4, R R R R},
      {"a\0b", 3, "a\0b"},
      {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", 9, R R R R "A"},
#undef R
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GString) text = g_string_new (NULL);

    npu_utf8_append_valid (text, (const guint8 *) cases[i].bytes, cases[i].n);
    if (!memchr (cases[i].bytes, 0, cases[i].n))
      g_assert_cmpstr (text->str, ==, cases[i].text);
    else
      g_assert_cmpmem (text->str, text->len, cases[i].text, 3);
  }
}

static void
test_special (void)
{
  NpuSpecialTokens special;

  for (guint n_vocab = 0; n_vocab < 60000; n_vocab++) {
    const gboolean is_known = n_vocab >= 51864 && n_vocab <= 51866;

    g_assert_cmpint (npu_special_tokens_init (&special, n_vocab), ==, is_known);
    if (is_known)
      g_assert_cmpuint (
          special.timestamp_begin + NPU_N_TIMESTAMPS, ==, n_vocab);
  }
}

static void
test_languages (void)
{
  static const struct {
    const char *name;
    int index;
  } cases[] = {{"en", 0}, {"English", 0}, {"en-GB", 0}, {"PT_br", 8},
      {"zh-Hans-CN", 1}, {"cmn", 1}, {"jv", 97}, {"jw", 97}, {"haw", 93},
      {"yue", -1}, {"xx", -1}, {"", -1}, {"haitian creole", 80}, {"nb-NO", 29}};
  g_autoptr (NpuTokenizer) base = open_small (51865, VOCABULARY_TIKTOKEN);
  g_autoptr (NpuTokenizer) large = open_small (51866, VOCABULARY_TIKTOKEN);
  g_autoptr (NpuTokenizer) english = open_small (51864, VOCABULARY_TIKTOKEN);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpint (
        npu_tokenizer_find_language (base, cases[i].name), ==, cases[i].index);
  g_assert_cmpint (npu_tokenizer_find_language (large, "yue-HK"), ==, 99);
  g_assert_cmpint (npu_tokenizer_find_language (english, "en-US"), ==, 0);
  g_assert_cmpint (npu_tokenizer_find_language (english, "de"), ==, -1);
  g_assert_cmpstr (npu_language_get_code (99), ==, "yue");
  g_assert_null (npu_language_get_code (100));
  g_assert_cmpstr (npu_language_get_name (2), ==, "German");
}

/* The text is refused, and the message says @what. */
static void
assert_refused (guint n_vocab, const char *text, gsize n, const char *what)
{
  g_autofree char *path = write_file ("refused", text, n);
  g_autoptr (GError) error = NULL;

  g_assert_null (npu_tokenizer_new_of_file (n_vocab, path, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_FORMAT);
  if (!strstr (error->message, what) || !strstr (error->message, path))
    g_error ("'%s' does not say '%s'", error->message, what);
  g_unlink (path);
}

static void
test_other_models (void)
{
  for (VocabularyForm form = 0; form < N_VOCABULARY_FORMS; form++) {
    g_autoptr (GString) english = small_vocabulary_write (51864, form);
    g_autoptr (GString) multilingual = small_vocabulary_write (51865, form);

    assert_refused (51865, english->str, english->len, "50256 text tokens");
    assert_refused (
        51864, multilingual->str, multilingual->len, "not <|endoftext|>");
  }
}

/* An added token that the model has elsewhere. */
static void
test_other_special_tokens (void)
{
  static const char added[] =
      ", \"added_tokens\": [{\"id\": 50359, \"content\": \"<|translate|>\"}]}";
  g_autoptr (GString) text =
      small_vocabulary_write (51866, VOCABULARY_TOKENIZER_JSON);
  g_autofree char *path = NULL;
  g_autoptr (NpuTokenizer) tokenizer = NULL;

  g_string_truncate (text, text->len - 1);
  g_string_append (text, added);
  assert_refused (51865, text->str, text->len, "<|translate|>");
  path = write_file ("tokenizer.json", text->str, text->len);
  tokenizer = npu_tokenizer_new_of_file (51866, path, NULL);
  g_assert_nonnull (tokenizer);
  g_unlink (path);
}

/* Every place where a file may end, and every byte that may be wrong, costs an
 * error at most. */
static void
test_damaged (gconstpointer data)
{
  const VocabularyForm form = GPOINTER_TO_UINT (data);
  g_autoptr (GString) text = small_vocabulary_write (51865, form);
  g_autoptr (GRand) rand = g_rand_new_with_seed (form);
  NpuSpecialTokens special;

  npu_special_tokens_init (&special, 51865);
  for (guint round = 0; round < (g_test_slow () ? 40 : 8); round++) {
    g_autoptr (NpuVocabulary) vocabulary =
        npu_vocabulary_new (&special, "damaged");
    g_autoptr (GError) error = NULL;
    g_autofree char *copy = g_memdup2 (text->str, text->len);
    const gsize n =
        round % 2 ? text->len
                  : (gsize) g_rand_int_range (rand, 0, (gint32) text->len);

    if (round % 2) {
      for (guint i = 0; i < 4; i++)
        copy[g_rand_int_range (rand, 0, (gint32) MIN (n, 3000))] =
            (char) g_rand_int (rand);
    }
    if (npu_vocabulary_read (vocabulary, copy, n, &error) &&
        npu_vocabulary_finish (vocabulary, &error))
      g_assert_true (round % 2);
    else
      g_assert_nonnull (error);
  }
}

static void
test_places (void)
{
  g_autoptr (GString) english =
      small_vocabulary_write (51864, VOCABULARY_TIKTOKEN);
  g_autoptr (GString) multilingual =
      small_vocabulary_write (51865, VOCABULARY_TIKTOKEN);
  g_autofree char *first =
      write_file ("a.tiktoken", english->str, english->len);
  g_autofree char *second =
      write_file ("b.tiktoken", multilingual->str, multilingual->len);
  g_autofree char *model = g_build_filename (folder, "tiny.safetensors", NULL);
  NpuSpecialTokens special;
  g_autoptr (NpuVocabulary) by_folder = NULL;
  g_autoptr (NpuVocabulary) beside = NULL;
  g_autoptr (NpuVocabulary) none = NULL;
  g_autoptr (GError) error = NULL;

  npu_special_tokens_init (&special, 51865);
  by_folder = npu_vocabulary_open (&special, folder, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (by_folder->file, ==, second);
  beside = npu_vocabulary_open_beside (&special, model, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (beside->file, ==, second);

  g_unlink (second); /* what is there is wrong: say that */
  none = npu_vocabulary_open_beside (&special, model, &error);
  g_assert_null (none);
  g_assert_error (error, NPU_ERROR, NPU_ERROR_FORMAT);
  g_clear_error (&error);

  g_unlink (first); /* nothing is there: say what was looked for */
  none = npu_vocabulary_open_beside (&special, model, &error);
  g_assert_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "tokenizer.json"));
  g_assert_nonnull (strstr (error->message, folder));
  g_assert_nonnull (strstr (error->message, "tiny.safetensors"));
}

/* NAME-tokenizer.json belongs to the models whose names begin with NAME. */
static void
test_named_place (void)
{
  g_autoptr (GString) text =
      small_vocabulary_write (51864, VOCABULARY_TOKENIZER_JSON);
  g_autofree char *path =
      write_file ("tiny.en-tokenizer.json", text->str, text->len);
  g_autofree char *own = g_build_filename (folder, "tiny.en-f16.bin", NULL);
  g_autofree char *other = g_build_filename (folder, "base.en.bin", NULL);
  NpuSpecialTokens special;
  g_autoptr (NpuVocabulary) found = NULL;
  g_autoptr (NpuVocabulary) none = NULL;

  npu_special_tokens_init (&special, 51864);
  found = npu_vocabulary_open_beside (&special, own, NULL);
  g_assert_cmpstr (found->file, ==, path);
  none = npu_vocabulary_open_beside (&special, other, NULL);
  g_assert_null (none);
  g_unlink (path);
}

static void
test_no_files (void)
{
  g_autofree char *fifo = g_build_filename (folder, "fifo", NULL);
  g_autofree char *missing = g_build_filename (folder, "missing", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (mkfifo (fifo, 0600), ==, 0);
  g_assert_null (npu_tokenizer_new_of_file (51865, fifo, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_WRONG_TYPE);
  g_clear_error (&error);
  g_assert_null (npu_tokenizer_new_of_file (51865, missing, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (npu_tokenizer_new_of_file (51865, folder, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND);
  g_unlink (fifo);
}

/* Names of files are any bytes, messages are UTF-8. */
static void
test_names_that_are_no_text (void)
{
  g_autofree char *path = write_file ("b\xff.json", "{\"a\xff\": 1}", 10);
  g_autofree char *missing = g_build_filename (folder, "\xf0\x28", NULL);
  g_autoptr (NpuModel) model = npu_model_open ("synthetic:tiny", NULL);
  const char *const locations[] = {path, missing};

  for (guint i = 0; i < 2 * G_N_ELEMENTS (locations); i++) {
    const char *location = locations[i / 2];
    g_autoptr (GError) error = NULL;

    g_assert_null (i % 2 ? npu_tokenizer_new (model, location, &error)
                         : npu_tokenizer_new_of_file (51865, location, &error));
    g_assert_nonnull (error);
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
    g_assert_nonnull (strstr (error->message, "\xef\xbf\xbd"));
  }
  g_unlink (path);
}

static void
test_synthetic (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuModel) model = npu_model_open ("synthetic:tiny", &error);
  g_autoptr (NpuTokenizer) tokenizer = NULL;
  g_autoptr (GArray) tokens = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_autofree char *text = NULL;
  gsize n;

  g_assert_no_error (error);
  tokenizer = npu_tokenizer_new (model, NULL, &error);
  g_assert_no_error (error);
  npu_tokenizer_encode (tokenizer, " bakedo, x", -1, tokens);
  text = npu_tokenizer_decode (
      tokenizer, (guint32 *) tokens->data, tokens->len, &n);
  g_assert_cmpstr (text, ==, " bakedo, x");
  g_free (text);
  text = npu_tokenizer_decode (
      tokenizer, (guint32 *) tokens->data, tokens->len, NULL);
  g_assert_cmpstr (text, ==, " bakedo, x");
}

int
main (int argc, char **argv)
{
  int failed;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("tokenizer-XXXXXX", NULL);
  g_assert_nonnull (folder);

  for (guint form = 0; form < N_VOCABULARY_FORMS; form++) {
    g_autofree char *forms =
        g_strconcat ("/tokenizer/form/", vocabulary_form_names[form], NULL);
    g_autofree char *damaged =
        g_strconcat ("/tokenizer/damaged/", vocabulary_form_names[form], NULL);

    g_test_add_data_func (forms, GUINT_TO_POINTER (form), test_forms);
    g_test_add_data_func (damaged, GUINT_TO_POINTER (form), test_damaged);
  }
  g_test_add_func ("/tokenizer/lowest-pair-first", test_lowest_pair_first);
  g_test_add_func ("/tokenizer/long-text", test_long_text);
  g_test_add_func ("/tokenizer/round-trip", test_round_trip);
  g_test_add_func ("/tokenizer/invalid-utf8", test_invalid_utf8);
  g_test_add_func ("/tokenizer/special", test_special);
  g_test_add_func ("/tokenizer/languages", test_languages);
  g_test_add_func ("/tokenizer/other-models", test_other_models);
  g_test_add_func ("/tokenizer/other-special", test_other_special_tokens);
  g_test_add_func ("/tokenizer/places", test_places);
  g_test_add_func ("/tokenizer/named-place", test_named_place);
  g_test_add_func ("/tokenizer/no-files", test_no_files);
  g_test_add_func (
      "/tokenizer/names-that-are-no-text", test_names_that_are_no_text);
  g_test_add_func ("/tokenizer/synthetic", test_synthetic);

  failed = g_test_run ();
  g_rmdir (folder);
  g_free (folder);
  return failed;
}
