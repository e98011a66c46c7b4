/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "words.h"

#include <string.h>

#include "tokenizer/utf8.h"

#define REPLACEMENT 0xfffd

/* As Python has them, whose test "text in marks" is true of each part of
 * them. */
#define ASCII_PUNCTUATION "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
#define OPENING "\"'“¿([{-"
#define CLOSING "\"'.。,，!！?？:：”)]}、"

static void
clear_word (gpointer data)
{
  NpuWord *word = data;

  g_free (word->text);
}

GArray *
npu_words_new (void)
{
  GArray *words = g_array_new (FALSE, TRUE, sizeof (NpuWord));

  g_array_set_clear_func (words, clear_word);
  return words;
}

gboolean
npu_language_has_no_spaces (const char *code)
{
  static const char *const codes[] = {
      "zh", "ja", "th", "lo", "my", "yue", NULL};

  return code && g_strv_contains (codes, code);
}

static gboolean
is_part_of (const char *text, const char *marks)
{
  return strstr (marks, text) != NULL;
}

static gboolean
is_stripped_part_of (const char *text, const char *marks)
{
  gsize n = strlen (text);
  const char *stripped = npu_utf8_strip (text, &n);
  g_autofree char *copy = g_strndup (stripped, n);

  return is_part_of (copy, marks);
}

/* --- splitting ----------------------------------------------------------- */

/* The code points of tokens[n], a U+FFFD for what is none. (transfer full) */
static gunichar *
decode (NpuTokenizer *tokenizer, const guint32 *tokens, guint n, gsize *length)
{
  gsize size;
  g_autofree char *text = npu_tokenizer_decode (tokenizer, tokens, n, &size);
  gunichar *points = g_new (gunichar, size + 1);
  const char *end = text + size;

  *length = 0;
  for (const char *at = text; at < end; at += g_utf8_skip[(guchar) *at])
    points[(*length)++] = g_utf8_get_char (at);
  return points;
}

/* Whether points[n], all whole characters so far, are so in the text full[],
 * too, at @offset: a U+FFFD may be what the text says. */
static gboolean
is_whole (const gunichar *points, gsize n, const gunichar *full, gsize n_full,
    gsize offset)
{
  for (gsize i = 0; i < n; i++)
    if (points[i] == REPLACEMENT)
      return offset + i < n_full && full[offset + i] == REPLACEMENT;
  return TRUE;
}

/* A string has no NUL. */
static char *
to_string (const gunichar *points, gsize n)
{
  GString *text = g_string_new (NULL);

  for (gsize i = 0; i < n; i++)
    if (points[i] != 0)
      g_string_append_unichar (text, points[i]);
  return g_string_free (text, FALSE);
}

static GArray *
split_by_character (NpuTokenizer *tokenizer, const guint32 *tokens, guint n)
{
  GArray *words = npu_words_new ();
  gsize n_full, offset = 0;
  g_autofree gunichar *full = decode (tokenizer, tokens, n, &n_full);
  guint first = 0;

  for (guint i = 0; i < n; i++) {
    gsize length;
    g_autofree gunichar *points =
        decode (tokenizer, tokens + first, i + 1 - first, &length);

    if (!is_whole (points, length, full, n_full, offset))
      continue;
    {
      const NpuWord word = {to_string (points, length), i + 1 - first, 0, 0, 0};

      g_array_append_val (words, word);
    }
    offset += length;
    first = i + 1;
  }
  /* The rest of a character that the one before was cut from. */
  if (first < n && words->len == 0) {
    const NpuWord word = {g_strdup (""), 0, 0, 0, 0};

    g_array_append_val (words, word);
  }
  if (first < n)
    g_array_index (words, NpuWord, words->len - 1).n_tokens += n - first;
  return words;
}

/* Pieces without a space before them belong to the word before, unless they are
 * punctuation. */
static GArray *
join_pieces (GArray *pieces)
{
  GArray *words = npu_words_new ();

  for (guint i = 0; i < pieces->len; i++) {
    NpuWord *piece = &g_array_index (pieces, NpuWord, i);
    NpuWord *last =
        i > 0 ? &g_array_index (words, NpuWord, words->len - 1) : NULL;

    if (!last || *piece->text == ' ' ||
        is_stripped_part_of (piece->text, ASCII_PUNCTUATION)) {
      g_array_append_val (words, *piece);
      piece->text = NULL;
    } else {
      char *joined = g_strconcat (last->text, piece->text, NULL);

      g_free (last->text);
      last->text = joined;
      last->n_tokens += piece->n_tokens;
    }
  }
  return words;
}

GArray *
npu_words_split (NpuTokenizer *tokenizer, const guint32 *tokens, guint n,
    gboolean by_character)
{
  g_autoptr (GArray) pieces = split_by_character (tokenizer, tokens, n);

  return by_character ? g_steal_pointer (&pieces) : join_pieces (pieces);
}

/* --- punctuation --------------------------------------------------------- */

/* @to becomes both, @from none. */
static void
join (NpuWord *to, NpuWord *from, gboolean from_is_first)
{
  char *text = from_is_first ? g_strconcat (from->text, to->text, NULL)
                             : g_strconcat (to->text, from->text, NULL);

  g_free (to->text);
  to->text = text;
  to->n_tokens += from->n_tokens;
  *from->text = '\0';
  from->n_tokens = 0;
}

void
npu_words_merge_punctuation (GArray *array)
{
  NpuWord *words = (NpuWord *) array->data;

  for (guint i = array->len - 1, following = i; array->len > 1 && i-- > 0;) {
    NpuWord *previous = &words[i];

    if (*previous->text == ' ' && is_stripped_part_of (previous->text, OPENING))
      join (&words[following], previous, TRUE);
    else
      following = i;
  }
  for (guint previous = 0, i = 1; i < array->len; i++) {
    const char *text = words[previous].text;

    if (!g_str_has_suffix (text, " ") && is_part_of (words[i].text, CLOSING))
      join (&words[previous], &words[i], FALSE);
    else
      previous = i;
  }
}
