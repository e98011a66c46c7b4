/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cue-text.h"

#include <string.h>

#include "tokenizer/utf8.h"

static gboolean
is_line_end_or_tab (gunichar c)
{
  return (c >= 0x09 && c <= 0x0d) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

static gboolean
is_space (gunichar c)
{
  return c == ' ' || is_line_end_or_tab (c);
}

/* @c is left out of what follows @cue. */
static gboolean
is_dropped (const GString *cue, gsize from, gunichar c)
{
  if (c == 0xfeff)
    return cue->len == from;
  return g_unichar_iscntrl (c) && !is_line_end_or_tab (c);
}

static void
append_char (GString *cue, gsize from, gunichar c)
{
  if (is_dropped (cue, from, c))
    return;
  if (!is_space (c)) {
    g_string_append_unichar (cue, c);
    if (cue->len >= from + 3 &&
        memcmp (cue->str + cue->len - 3, "-->", 3) == 0) {
      g_string_truncate (cue, cue->len - 3);
      g_string_append (cue, "\342\206\222"); /* U+2192 */
    }
  } else if (cue->len > from && cue->str[cue->len - 1] != ' ') {
    g_string_append_c (cue, ' ');
  }
}

/* White space and cut characters leave the end, in whatever order. */
static void
strip_end (GString *cue, gsize from)
{
  while (cue->len > from) {
    const char *last = g_utf8_prev_char (cue->str + cue->len);
    const gunichar c = g_utf8_get_char (last);

    if (!npu_unichar_is_white_space (c) && c != 0xfffd)
      return;
    g_string_truncate (cue, (gsize) (last - cue->str));
  }
}

void
npu_cue_text_append (GString *cue, const char *text, gsize n)
{
  const gsize from = cue->len;
  const char *end;

  text = npu_utf8_strip (text, &n);
  end = text + n;
  while (text < end) {
    append_char (cue, from, g_utf8_get_char (text));
    text += g_utf8_skip[(guchar) *text];
  }
  strip_end (cue, from);
}

gboolean
npu_cue_text_has_word (const char *text)
{
  for (; *text; text = g_utf8_next_char (text)) {
    const gunichar c = g_utf8_get_char (text);
    const GUnicodeType type = g_unichar_type (c);

    if (g_unichar_isalnum (c) || type == G_UNICODE_CURRENCY_SYMBOL ||
        type == G_UNICODE_OTHER_SYMBOL)
      return TRUE;
  }
  return FALSE;
}
