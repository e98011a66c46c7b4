/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "non-speech.h"

typedef enum {
  IF_ONE, /* suppressed where it is one token */
  FIRST,  /* its first token is suppressed, however many there are */
} Which;

/* Adds the token of @prefix followed by @mark. */
static void
add_mark (NpuTokenizer *tokenizer, const char *prefix, const char *mark,
    Which which, GArray *suppressed)
{
  g_autofree char *text = g_strconcat (prefix, mark, NULL);
  g_autoptr (GArray) tokens = g_array_new (FALSE, FALSE, sizeof (guint32));

  npu_tokenizer_encode (tokenizer, text, -1, tokens);
  if (tokens->len == 1 || (which == FIRST && tokens->len > 0))
    g_array_append_val (suppressed, g_array_index (tokens, guint32, 0));
}

static int
compare_ids (gconstpointer a, gconstpointer b)
{
  const guint32 x = *(const guint32 *) a, y = *(const guint32 *) b;

  return (x > y) - (x < y);
}

static void
sort_unique (GArray *ids)
{
  guint n = 0;

  g_array_sort (ids, compare_ids);
  for (guint i = 0; i < ids->len; i++) {
    const guint32 id = g_array_index (ids, guint32, i);

    if (n == 0 || g_array_index (ids, guint32, n - 1) != id)
      g_array_index (ids, guint32, n++) = id;
  }
  g_array_set_size (ids, n);
}

GArray *
npu_non_speech_tokens (NpuTokenizer *tokenizer)
{
  static const char *const marks[] = {"\"", "#", "(", ")", "*", "+", "/", ":",
      ";", "<", "=", ">", "@", "[", "\\", "]", "^", "_", "`", "{", "|", "}",
      "~", "「", "」", "『", "』", "<<", ">>", "<<<", ">>>", "--", "---", "-(",
      "-[", "('", "(\"", "((", "))", "(((", ")))", "[[", "]]", "{{", "}}", "♪♪",
      "♪♪♪"};
  /* Several tokens each; U+2640 to U+267F may be suppressed, says OpenAI. */
  static const char *const music[] = {"♩", "♪", "♫", "♬", "♭", "♮", "♯"};
  const NpuSpecialTokens *special = npu_tokenizer_get_special (tokenizer);
  const guint32 not_answers[] = {special->transcribe, special->translate,
      special->sot, special->start_of_prev, special->start_of_lm,
      special->no_speech};
  GArray *suppressed = g_array_new (FALSE, FALSE, sizeof (guint32));

  /* Hyphens and quotes within words stay. */
  add_mark (tokenizer, " ", "-", FIRST, suppressed);
  add_mark (tokenizer, " ", "'", FIRST, suppressed);
  for (guint i = 0; i < G_N_ELEMENTS (marks); i++) {
    add_mark (tokenizer, "", marks[i], IF_ONE, suppressed);
    add_mark (tokenizer, " ", marks[i], IF_ONE, suppressed);
  }
  for (guint i = 0; i < G_N_ELEMENTS (music); i++) {
    add_mark (tokenizer, "", music[i], FIRST, suppressed);
    add_mark (tokenizer, " ", music[i], FIRST, suppressed);
  }
  g_array_append_vals (suppressed, not_answers, G_N_ELEMENTS (not_answers));
  sort_unique (suppressed);
  return suppressed;
}
