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
is_free (const char *path, GHashTable *taken, const char *const *files)
{
  if (g_hash_table_contains (taken, path))
    return FALSE;
  for (; *files; files++) {
    if (is_same_file (path, *files))
      return FALSE;
  }
  return TRUE;
}

GStrv
output_names_new (
    const char *const *files, const char *folder, const char *extension)
{
  g_autoptr (GHashTable) taken = g_hash_table_new (g_str_hash, g_str_equal);
  GPtrArray *paths = g_ptr_array_new ();

  for (const char *const *file = files; *file; file++) {
    g_autofree char *stem = stem_of (*file);
    g_autofree char *first = g_strdup_printf ("%s.%s", stem, extension);
    char *path = g_build_filename (folder, first, NULL);

    for (guint n = 2; !is_free (path, taken, files); n++) {
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
