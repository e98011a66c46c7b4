/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pre-tokenizer.h"

#include <string.h>

#include "utf8.h"

typedef enum { END, SPACE, LETTER, NUMBER, OTHER } CharClass;

/* What \s, \p{L} and \p{N} say of the character that text[n] begins with, and
 * its bytes. */
static CharClass
classify (const char *text, gsize n, gsize *length)
{
  gunichar c;

  *length = 0;
  if (n == 0)
    return END;
  c = g_utf8_get_char (text);
  *length = g_utf8_skip[(guchar) *text];
  if (npu_unichar_is_white_space (c))
    return SPACE;
  switch (g_unichar_type (c)) {
    case G_UNICODE_UPPERCASE_LETTER:
    case G_UNICODE_LOWERCASE_LETTER:
    case G_UNICODE_TITLECASE_LETTER:
    case G_UNICODE_MODIFIER_LETTER:
    case G_UNICODE_OTHER_LETTER:
      return LETTER;
    case G_UNICODE_DECIMAL_NUMBER:
    case G_UNICODE_LETTER_NUMBER:
    case G_UNICODE_OTHER_NUMBER:
      return NUMBER;
    default:
      return OTHER;
  }
}

static gsize
match_contraction (const char *text, gsize n)
{
  static const char *const contractions[] = {
      "'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};

  for (guint i = 0; i < G_N_ELEMENTS (contractions); i++) {
    const gsize length = strlen (contractions[i]);

    if (length <= n && memcmp (text, contractions[i], length) == 0)
      return length;
  }
  return 0;
}

/* The longest run of @wanted from @at on; its end. */
static gsize
run_of (CharClass wanted, const char *text, gsize n, gsize at)
{
  gsize length;

  while (classify (text + at, n - at, &length) == wanted)
    at += length;
  return at;
}

/* \s+(?!\S)|\s+: a run of white space leaves its last character to the word
 * behind it, unless it is the only one. */
static gsize
match_white_space (const char *text, gsize n)
{
  gsize end = 0, last = 0, length;

  while (classify (text + end, n - end, &length) == SPACE) {
    last = end;
    end += length;
  }
  return end < n && last > 0 ? last : end;
}

gsize
npu_next_piece (const char *text, gsize n)
{
  const gsize contraction = match_contraction (text, n);
  const gsize space = *text == ' ' ? 1 : 0;
  gsize length;
  CharClass first;

  if (contraction > 0)
    return contraction;
  first = classify (text + space, n - space, &length);
  if (first == LETTER || first == NUMBER || first == OTHER)
    return run_of (first, text, n, space);
  return match_white_space (text, n);
}
