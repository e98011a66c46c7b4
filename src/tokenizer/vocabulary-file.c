/* Where a vocabulary is found.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "vocabulary.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/input-file.h"
#include "npu-error.h"

/* tokenizer.json of a multilingual model has 2.5 MB, with all merges. */
#define MAX_SIZE (64 * 1024 * 1024)

gboolean
npu_vocabulary_read (
    NpuVocabulary *vocabulary, const char *text, gsize n, GError **error)
{
  gsize at = 0;

  while (at < n && memchr (" \t\r\n", text[at], 4))
    at++;
  if (at < n && text[at] == '{')
    return npu_vocabulary_read_json (vocabulary, text, n, error);
  /* "[" may be a token of a list of lines. */
  if (at + 1 < n && text[at] == '[' && text[at + 1] != '\n')
    return npu_vocabulary_read_json (vocabulary, text, n, error);
  if (npu_vocabulary_is_tiktoken (text, n))
    return npu_vocabulary_read_tiktoken (vocabulary, text, n, error);
  return npu_vocabulary_read_lines (vocabulary, text, n, error);
}

/* Takes @cause. */
static gboolean
fail_read (const char *path, GError *cause, GError **error)
{
  const gboolean is_missing =
      g_error_matches (cause, G_FILE_ERROR, G_FILE_ERROR_NOENT) ||
      g_error_matches (cause, G_FILE_ERROR, G_FILE_ERROR_NOTDIR);

  if (g_error_matches (cause, G_FILE_ERROR, G_FILE_ERROR_INVAL))
    g_set_error (error, NPU_ERROR, NPU_ERROR_WRONG_TYPE,
        "'%s' is not a vocabulary: that is a file of at most %d MiB", path,
        MAX_SIZE >> 20);
  else
    g_set_error (error, NPU_ERROR,
        is_missing ? NPU_ERROR_NOT_FOUND : NPU_ERROR_OPEN,
        "vocabulary '%s': cannot be read: %s", path, cause->message);
  g_error_free (cause);
  return FALSE;
}

gboolean
npu_vocabulary_is_ggml (const char *location)
{
  const int fd = open (location, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  char magic[4];
  gboolean is_ggml;

  if (fd < 0)
    return FALSE;
  is_ggml = read (fd, magic, sizeof magic) == sizeof magic &&
            memcmp (magic, "lmgg", sizeof magic) == 0;
  close (fd);
  return is_ggml;
}

static NpuVocabulary *
open_file (const NpuSpecialTokens *special, const char *path, GError **error)
{
  g_autoptr (NpuVocabulary) vocabulary = npu_vocabulary_new (special, path);
  g_autofree char *bytes = NULL;
  GError *cause = NULL;
  gsize n = 0;

  if (!npu_input_file_read (path, MAX_SIZE, &bytes, &n, &cause)) {
    fail_read (path, cause, error);
    return NULL;
  }
  if (!npu_vocabulary_read (vocabulary, bytes, n, error) ||
      !npu_vocabulary_finish (vocabulary, error))
    return NULL;
  return g_steal_pointer (&vocabulary);
}

static const char *const names[] = {
    "tokenizer.json", "vocab.json", "vocabulary.json", "vocabulary.txt"};

/* NAME-tokenizer.json or NAME.tokenizer.json beside a model whose name begins
 * with NAME. */
static gboolean
is_of_model (const char *name, const char *model)
{
  const gsize n = strlen (name), n_suffix = strlen ("-tokenizer.json");

  return model && n > n_suffix &&
         (g_str_has_suffix (name, "-tokenizer.json") ||
             g_str_has_suffix (name, ".tokenizer.json")) &&
         strncmp (name, model, n - n_suffix) == 0;
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* What in @folder may be the vocabulary of the file @model (or NULL), likely
 * ones first: full paths. */
static GPtrArray *
list_candidates (const char *folder, const char *model)
{
  GPtrArray *candidates = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) entries = g_ptr_array_new_with_free_func (g_free);
  GDir *dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    g_ptr_array_add (entries, g_strdup (name));
  g_clear_pointer (&dir, g_dir_close);
  g_ptr_array_sort (entries, compare_names);

  for (guint i = 0; i < entries->len; i++) {
    if (is_of_model (entries->pdata[i], model))
      g_ptr_array_add (
          candidates, g_build_filename (folder, entries->pdata[i], NULL));
  }
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (folder, names[i], NULL);

    if (g_file_test (path, G_FILE_TEST_EXISTS))
      g_ptr_array_add (candidates, g_steal_pointer (&path));
  }
  for (guint i = 0; i < entries->len; i++) {
    if (g_str_has_suffix (entries->pdata[i], ".tiktoken"))
      g_ptr_array_add (
          candidates, g_build_filename (folder, entries->pdata[i], NULL));
  }
  return candidates;
}

/* The first in @folder that fits the model; NULL without @error: there is
 * none, good or bad. */
static NpuVocabulary *
open_in_folder (const NpuSpecialTokens *special, const char *folder,
    const char *model, GError **error)
{
  g_autoptr (GPtrArray) candidates = list_candidates (folder, model);
  g_autoptr (GError) first_error = NULL;

  for (guint i = 0; i < candidates->len; i++) {
    NpuVocabulary *vocabulary = open_file (
        special, candidates->pdata[i], first_error ? NULL : &first_error);

    if (vocabulary)
      return vocabulary;
  }
  if (first_error)
    g_propagate_error (error, g_steal_pointer (&first_error));
  return NULL;
}

static void
fail_not_found (const char *folder, const char *model, GError **error)
{
  g_autofree char *inside =
      model
          ? g_strdup_printf (
                "the model '%s' has no vocabulary inside, and there is ", model)
          : g_strdup ("there is ");

  g_set_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND,
      "%snone of tokenizer.json, vocab.json, vocabulary.json, vocabulary.txt and *.tiktoken in the folder '%s': put the model's tokenizer.json there, or name a vocabulary",
      inside, folder);
}

NpuVocabulary *
npu_vocabulary_open (
    const NpuSpecialTokens *special, const char *location, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  NpuVocabulary *vocabulary;

  if (!g_file_test (location, G_FILE_TEST_IS_DIR))
    return open_file (special, location, error);
  vocabulary = open_in_folder (special, location, NULL, &local_error);
  if (local_error)
    g_propagate_error (error, g_steal_pointer (&local_error));
  else if (!vocabulary)
    fail_not_found (location, NULL, error);
  return vocabulary;
}

NpuVocabulary *
npu_vocabulary_open_beside (
    const NpuSpecialTokens *special, const char *model_location, GError **error)
{
  const gboolean is_folder = g_file_test (model_location, G_FILE_TEST_IS_DIR);
  g_autofree char *folder = is_folder ? g_strdup (model_location)
                                      : g_path_get_dirname (model_location);
  g_autofree char *name =
      is_folder ? NULL : g_path_get_basename (model_location);
  g_autoptr (GError) local_error = NULL;
  NpuVocabulary *vocabulary =
      open_in_folder (special, folder, name, &local_error);

  if (local_error)
    g_propagate_error (error, g_steal_pointer (&local_error));
  else if (!vocabulary)
    fail_not_found (folder, model_location, error);
  return vocabulary;
}
