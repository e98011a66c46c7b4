/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "outputnames.h"

#include <string.h>
#include <sys/stat.h>

static char *
stem_of (const char *file)
{
  char *name = g_path_get_basename (file);
  char *dot = strrchr (name, '.');

  if (dot && dot != name)
    *dot = '\0';
  return name;
}

static gboolean
is_same_file (const char *a, const char *b)
{
  struct stat at_a, at_b;

  return stat (a, &at_a) == 0 && stat (b, &at_b) == 0 &&
         at_a.st_dev == at_b.st_dev && at_a.st_ino == at_b.st_ino;
}

static gboolean
is_free (const char *path, GHashTable *taken, char *const *kept)
{
  if (g_hash_table_contains (taken, path))
    return FALSE;
  for (; *kept; kept++) {
    if (is_same_file (path, *kept))
      return FALSE;
  }
  return TRUE;
}

/* Of a checkpoint: what has an extension of ours. */
static const char *const names[] = {"tokenizer.json", "vocab.json",
    "vocabulary.json", "vocabulary.txt", "config.json", "merges.txt",
    "generation_config.json", "preprocessor_config.json",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "model.safetensors.index.json"};

/* Ends with -tokenizer.json or .tokenizer.json, as a model's vocabulary may. */
static gboolean
is_vocabulary (const char *name)
{
  return g_str_has_suffix (name, "-tokenizer.json") ||
         g_str_has_suffix (name, ".tokenizer.json");
}

static void
add_vocabularies (GPtrArray *paths, const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    if (is_vocabulary (name))
      g_ptr_array_add (paths, g_build_filename (folder, name, NULL));
  }
}

GStrv
output_names_list_kept (
    const char *const *files, const char *model, const char *vocabulary)
{
  const gboolean is_folder = g_file_test (model, G_FILE_TEST_IS_DIR);
  g_autofree char *folder =
      is_folder ? g_strdup (model) : g_path_get_dirname (model);
  GPtrArray *paths = g_ptr_array_new ();

  for (; *files; files++)
    g_ptr_array_add (paths, g_strdup (*files));
  g_ptr_array_add (paths, g_strdup (model));
  if (vocabulary)
    g_ptr_array_add (paths, g_strdup (vocabulary));
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_ptr_array_add (paths, g_build_filename (folder, names[i], NULL));
  add_vocabularies (paths, folder);
  g_ptr_array_add (paths, NULL);
  return (GStrv) g_ptr_array_free (paths, FALSE);
}

GStrv
output_names_new (const char *const *files, char *const *kept,
    const char *folder, const char *extension)
{
  g_autoptr (GHashTable) taken = g_hash_table_new (g_str_hash, g_str_equal);
  GPtrArray *paths = g_ptr_array_new ();

  for (const char *const *file = files; *file; file++) {
    g_autofree char *stem = stem_of (*file);
    g_autofree char *first = g_strdup_printf ("%s.%s", stem, extension);
    char *path = g_build_filename (folder, first, NULL);

    for (guint n = 2; !is_free (path, taken, kept); n++) {
      g_autofree char *name = g_strdup_printf ("%s-%u.%s", stem, n, extension);

      g_free (path);
      path = g_build_filename (folder, name, NULL);
    }
    g_hash_table_add (taken, path);
    g_ptr_array_add (paths, path);
  }
  g_ptr_array_add (paths, NULL);
  return (GStrv) g_ptr_array_free (paths, FALSE);
}
