/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graphemes.h"

#include <string.h>

#define JOINER 0x200d

/* Combining class of signs that tie the consonant after them to that before. */
#define VIRAMA 9

static gboolean
is_control (gunichar c)
{
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
}

static gboolean
is_skin_tone (gunichar c)
{
  return c >= 0x1f3fb && c <= 0x1f3ff;
}

/* What extends the character before it. */
static gboolean
is_extension (gunichar c)
{
  switch (g_unichar_type (c)) {
    case G_UNICODE_NON_SPACING_MARK:
    case G_UNICODE_ENCLOSING_MARK:
    case G_UNICODE_SPACING_MARK:
      return TRUE;
    default:
      break;
  }
  return c == JOINER || c == 0x200c || is_skin_tone (c) || c == 0x0e33 ||
         c == 0x0eb3 || (c >= 0xff9e && c <= 0xff9f) ||
         (c >= 0xe0020 && c <= 0xe007f);
}

/* Hangul syllables that are written by their letters. */
static gboolean
is_hangul_pair (gunichar a, gunichar b)
{
  const gboolean a_leads = a >= 0x1100 && a <= 0x115f;
  const gboolean is_syllable = a >= 0xac00 && a <= 0xd7a3;
  const gboolean a_has_vowel = (a >= 0x1160 && a <= 0x11a7) || is_syllable;
  const gboolean a_trails = a >= 0x11a8 && a <= 0x11ff;
  const gboolean b_is_vowel = b >= 0x1160 && b <= 0x11a7;
  const gboolean b_trails = b >= 0x11a8 && b <= 0x11ff;

  if (a_leads)
    return (b >= 0x1100 && b <= 0x11a7) || (b >= 0xac00 && b <= 0xd7a3);
  return (a_has_vowel &&
             (b_trails ||
                 (b_is_vowel && (!is_syllable || (a - 0xac00) % 28 == 0)))) ||
         (a_trails && b_trails);
}

static gboolean
is_flag_letter (gunichar c)
{
  return c >= 0x1f1e6 && c <= 0x1f1ff;
}

/* Flags are pairs of letters: whether an odd number of them ends at @end. */
static gboolean
has_open_flag (const char *text, const char *end)
{
  guint n = 0;

  while (end > text) {
    end = g_utf8_prev_char (end);
    if (!is_flag_letter (g_utf8_get_char (end)))
      break;
    n++;
  }
  return n % 2 == 1;
}

/* Emoji that a joiner ties together. */
static gboolean
is_pictograph (gunichar c)
{
  return (c >= 0x1f000 && c <= 0x1faff) || (c >= 0x2190 && c <= 0x2bff) ||
         c == 0xa9 || c == 0xae || c == 0x203c || c == 0x2049 || c == 0x3030;
}

/* Between the end of text and @next. */
static gboolean
breaks (const char *text, const char *end, gunichar next)
{
  gunichar last;

  if (end == text)
    return TRUE;
  last = g_utf8_get_char (g_utf8_prev_char (end));
  if (is_control (last) || is_control (next))
    return !(last == '\r' && next == '\n');
  if (is_extension (next) || is_hangul_pair (last, next))
    return FALSE;
  if (last == JOINER && is_pictograph (next))
    return FALSE;
  if (g_unichar_combining_class (last) == VIRAMA && g_unichar_isalpha (next))
    return FALSE;
  return !(is_flag_letter (next) && has_open_flag (text, end));
}

gboolean
npu_graphemes_break (const char *before, const char *after)
{
  return *after == '\0' ||
         breaks (before, before + strlen (before), g_utf8_get_char (after));
}

guint
npu_graphemes_count (const char *text, gsize n)
{
  guint count = 0;

  for (const char *at = text; at < text + n; at = g_utf8_next_char (at))
    count += breaks (text, at, g_utf8_get_char (at)) ? 1 : 0;
  return count;
}
