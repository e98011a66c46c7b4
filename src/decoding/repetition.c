/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repetition.h"

#include <string.h>

#define LONGEST_GRAM 16

/* From @i on, an n-gram of @length comes @times times in a row. */
static gboolean
repeats_at (const guint32 *tokens, guint n, guint i, guint length, guint times)
{
  /* All but the first are the same as what stands @length before them. */
  const guint n_same = length * (times - 1);

  return i + length * times <= n &&
         memcmp (tokens + i, tokens + i + length, n_same * sizeof *tokens) == 0;
}

guint
npu_repetition_find (const guint32 *tokens, guint n, guint *length)
{
  guint found = n;

  *length = 0;
  for (guint gram = 1; gram <= LONGEST_GRAM; gram++) {
    const guint times = gram > 2 ? 3 : 4;

    for (guint i = 0; i + gram < found; i++) {
      if (repeats_at (tokens, n, i, gram, times)) {
        found = i + gram;
        *length = gram;
        break;
      }
    }
  }
  return found;
}
