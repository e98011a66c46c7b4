/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "utf8.h"

/* Table 3-7 of the Unicode standard: the first byte tells how many follow and
 * what the first of these may be. */
static guint
n_bytes_after (guint8 first, guint8 *least, guint8 *most)
{
  *least = 0x80;
  *most = 0xbf;
  if (first >= 0xc2 && first <= 0xdf)
    return 1;
  if (first >= 0xe0 && first <= 0xef) {
    if (first == 0xe0)
      *least = 0xa0; /* no overlong forms */
    else if (first == 0xed)
      *most = 0x9f; /* no surrogates */
    return 2;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (first == 0xf0)
      *least = 0x90;
    else if (first == 0xf4)
      *most = 0x8f; /* nothing past U+10FFFF */
    return 3;
  }
  return 0;
}

guint
npu_utf8_next (const guint8 *bytes, gsize n, gboolean *is_valid)
{
  guint8 least, most;
  guint after = n_bytes_after (bytes[0], &least, &most);

  *is_valid = bytes[0] < 0x80 || after > 0;
  for (guint i = 1; i <= after; i++) {
    if (i >= n || bytes[i] < least || bytes[i] > most) {
      *is_valid = FALSE;
      return i;
    }
    least = 0x80;
    most = 0xbf;
  }
  return 1 + after;
}

void
npu_utf8_append_valid (GString *text, const guint8 *bytes, gsize n)
{
  static const char replacement[] = "\357\277\275"; /* U+FFFD */

  for (gsize i = 0; i < n;) {
    gboolean is_valid;
    const guint length = npu_utf8_next (bytes + i, n - i, &is_valid);

    if (is_valid)
      g_string_append_len (text, (const char *) bytes + i, length);
    else
      g_string_append (text, replacement);
    i += length;
  }
}

gboolean
npu_unichar_is_white_space (gunichar c)
{
  return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
         c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

const char *
npu_utf8_strip (const char *text, gsize *n)
{
  const char *end = text + *n;

  while (text < end && npu_unichar_is_white_space (g_utf8_get_char (text)))
    text = g_utf8_next_char (text);
  while (end > text) {
    const char *last = g_utf8_prev_char (end);

    if (!npu_unichar_is_white_space (g_utf8_get_char (last)))
      break;
    end = last;
  }
  *n = (gsize) (end - text);
  return text;
}
