/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "live-text.h"

#include <string.h>

#include "cue-text.h"

#define MS G_GUINT64_CONSTANT (1000000)

/* Readers, of languages that are written with upper and lower case, say words
 * in so much time and so much for each letter: most of them, and the slowest.
 */
#define USUAL_START (120 * MS)
#define USUAL_LETTER (50 * MS)
#define LONGEST_START (300 * MS)
#define LONGEST_LETTER (60 * MS)

void
npu_live_text_init (NpuLiveText *text)
{
  text->words = g_array_new (FALSE, FALSE, sizeof (NpuLiveWord));
  text->chunk = g_string_chunk_new (256);
  text->all = g_string_new (NULL);
}

void
npu_live_text_clear (NpuLiveText *text)
{
  g_array_unref (text->words);
  g_string_chunk_free (text->chunk);
  g_string_free (text->all, TRUE);
}

static gboolean
begins_with_space (NpuTokenizer *tokenizer, guint32 token)
{
  gsize n;
  const guint8 *bytes = npu_tokenizer_get_bytes (tokenizer, token, &n);

  return n > 0 && bytes[0] == ' ';
}

static gboolean
ends_with_punctuation (const char *text, gsize n)
{
  return n > 0 &&
         g_unichar_ispunct (g_utf8_get_char (g_utf8_prev_char (text + n)));
}

/* A mark that came when its word was final already would stand alone. */
static gboolean
is_punctuation (const char *text)
{
  for (; *text; text = g_utf8_next_char (text))
    if (!g_unichar_ispunct (g_utf8_get_char (text)))
      return FALSE;
  return TRUE;
}

/* How many; 0 for what is read out letter by letter, or is longer than it is
 * written. */
static guint
count_letters (const char *text)
{
  gboolean has_case = FALSE;
  guint n = 0;

  for (; *text; text = g_utf8_next_char (text)) {
    const gunichar c = g_utf8_get_char (text);

    if (g_unichar_isdigit (c))
      return 0;
    n += g_unichar_isalpha (c);
    has_case |= g_unichar_islower (c);
  }
  return has_case ? n : 0;
}

/* A word does not begin more than this before a voice that follows a pause, if
 * so much of it is behind the pause: its end is often heard early. */
#define LONGEST_LEAD (250 * MS)
#define LEAST_VOICE (40 * MS)

/* The pause before a word is heard as part of it, and the one behind it as part
 * of the mark there. @first: its first part */
static void
leave_out_pause (NpuLiveWord *word, const NpuHypothesisWord *first)
{
  const guint n = count_letters (word->text);
  const guint64 longest = LONGEST_START + n * LONGEST_LETTER;

  if (n == 0)
    return;
  if (!ends_with_punctuation (word->text, strlen (word->text)) &&
      word->end - word->start > USUAL_START + n * USUAL_LETTER)
    word->start =
        CLAMP (first->onset, word->start, word->end - USUAL_START / 2);
  if (word->end - word->start > longest)
    word->start = CLAMP (first->peak, word->start, word->end - longest);
}

/* Attention leaves a word anywhere in the pause behind it. */
static void
leave_out_end (NpuLiveWord *word, const NpuPause *pause)
{
  if (pause->start >= word->start + LEAST_VOICE && pause->start < word->end &&
      pause->end >= word->end)
    word->end = pause->start;
}

/* Attention comes to a word anywhere in the pause before it, or before that.
 * What is no single word of letters may have a pause within. */
static void
leave_out_quiet (NpuLiveWord *word, const NpuLiveWindow *window)
{
  const gboolean is_word = count_letters (word->text) > 0;
  const guint64 latest = word->end - MIN (word->end, LEAST_VOICE);
  const guint64 begin = word->start;

  for (guint i = 0; i < window->n_pauses; i++) {
    const NpuPause *pause = &window->pauses[i];

    if (pause->end <= latest && (is_word || pause->start <= begin))
      word->start =
          MAX (word->start, pause->end - MIN (pause->end, LONGEST_LEAD));
    leave_out_end (word, pause);
  }
}

/* The text of one run of words, if there is any. */
static void
add_run (NpuLiveText *text, NpuTokenizer *tokenizer,
    const NpuLiveWindow *window, const guint32 *tokens,
    const NpuHypothesisWord *first, const NpuHypothesisWord *last)
{
  const guint n_tokens = last->first + last->n - first->first;
  gsize n;
  g_autofree char *raw =
      npu_tokenizer_decode (tokenizer, tokens + first->first, n_tokens, &n);
  g_autoptr (GString) clean = g_string_new (NULL);
  NpuLiveWord word = {.start = first->start, .end = last->end};

  npu_cue_text_append (clean, raw, n);
  if (is_punctuation (clean->str))
    return;
  word.text = g_string_chunk_insert (text->chunk, clean->str);
  leave_out_pause (&word, first);
  if (window)
    leave_out_quiet (&word, window);
  g_array_append_val (text->words, word);
  if (text->all->len > 0 && raw[0] == ' ')
    g_string_append_c (text->all, ' ');
  g_string_append_len (text->all, clean->str, (gssize) clean->len);
}

/* words[i + 1] stands with words[i]. */
static gboolean
is_joined (NpuTokenizer *tokenizer, const guint32 *tokens,
    const NpuHypothesisWord *words, guint i)
{
  gsize n;
  g_autofree char *before = NULL;

  if (begins_with_space (tokenizer, tokens[words[i + 1].first]))
    return FALSE;
  before =
      npu_tokenizer_decode (tokenizer, tokens + words[i].first, words[i].n, &n);
  return !ends_with_punctuation (before, n);
}

void
npu_live_text_set (NpuLiveText *text, NpuTokenizer *tokenizer,
    const NpuLiveWindow *window, const guint32 *tokens,
    const NpuHypothesisWord *words, guint n)
{
  guint first = 0;

  g_array_set_size (text->words, 0);
  g_string_chunk_clear (text->chunk);
  g_string_truncate (text->all, 0);
  for (guint i = 0; i < n; i++) {
    if (i + 1 < n && is_joined (tokenizer, tokens, words, i))
      continue;
    add_run (text, tokenizer, window, tokens, &words[first], &words[i]);
    first = i + 1;
  }
}
