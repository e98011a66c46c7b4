/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "describe-check.h"

#include <string.h>

/* The line of these stages, without the blanks that align it. */
static char *
line_of (const char *table, const char *stages)
{
  g_auto (GStrv) lines = g_strsplit (table, "\n", -1);

  for (guint i = 0; lines[i]; i++) {
    const char *rest = lines[i] + strlen (stages);
    g_auto (GStrv) words = NULL;

    /* Two blanks end a name, which may have one. */
    if (!g_str_has_prefix (lines[i], stages) || !g_str_has_prefix (rest, "  "))
      continue;
    words = g_regex_split_simple (" +", g_strchug ((char *) rest), 0, 0);
    return g_strjoinv (" ", words);
  }
  g_error ("no line of '%s' in\n%s", stages, table);
}

void
describe_check_line (const char *table, const char *stages, const char *words)
{
  g_autofree char *line = line_of (table, stages);

  g_assert_cmpstr (line, ==, words);
}
