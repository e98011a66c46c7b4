/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overlap.h"

#include <math.h>
#include <string.h>

#include "cue-text.h"

/* Words that were given are kept so long, to be known again. */
#define MEMORY_NS G_GUINT64_CONSTANT (2000000000)

/* Times of the same word in two windows are that near. */
#define NEAR_NS 1e9
/* Those of a short one, which comes more often, and has no like neighbour. */
#define VERY_NEAR_NS 3e8
#define LONG_WORD 4
#define LONG_RUN 3

/* A segment of a window that is gone. */
typedef struct {
  NpuSegment segment;      /* its tokens and window are those below */
  NpuDecodedWindow window; /* without tokens and text */
  guint32 *tokens;
  guint n_words;
} Copy;

typedef struct {
  NpuTimedWord word;
  char *key; /* its letters and digits alone, folded */
  Copy *copy;
  guint index; /* in the copy's words */
  gboolean is_told;
} Heard;

/* --- what is kept -------------------------------------------------------- */

static void
copy_free (gpointer data)
{
  Copy *copy = data;

  g_free (copy->tokens);
  g_free (copy);
}

static void
clear_heard (gpointer data)
{
  Heard *heard = data;

  g_free (heard->word.text);
  g_free (heard->key);
}

static Heard *
nth (const NpuOverlap *overlap, guint i)
{
  return &g_array_index (overlap->words, Heard, i);
}

static guint64
middle_of (const Heard *heard)
{
  return heard->word.start + (heard->word.end - heard->word.start) / 2;
}

void
npu_overlap_init (NpuOverlap *overlap, guint32 eot)
{
  *overlap = (NpuOverlap){
      .eot = eot,
      .segments = g_ptr_array_new_with_free_func (copy_free),
      .words = g_array_new (FALSE, FALSE, sizeof (Heard)),
  };
  g_array_set_clear_func (overlap->words, clear_heard);
}

void
npu_overlap_clear (NpuOverlap *overlap)
{
  g_ptr_array_unref (overlap->segments);
  g_array_unref (overlap->words);
}

void
npu_overlap_reset (NpuOverlap *overlap)
{
  g_ptr_array_set_size (overlap->segments, 0);
  g_array_set_size (overlap->words, 0);
  overlap->end = overlap->told = 0;
}

static char *
key_of (const char *text)
{
  g_autofree char *folded = g_utf8_casefold (text, -1);
  GString *key = g_string_new (NULL);

  for (const char *at = folded; *at; at = g_utf8_next_char (at)) {
    const gunichar c = g_utf8_get_char (at);

    if (g_unichar_isalnum (c))
      g_string_append_unichar (key, c);
  }
  return g_string_free (key, FALSE);
}

static void
add_word (NpuOverlap *overlap, Copy *copy, const NpuTimedWord *word)
{
  Heard heard = {.word = *word,
      .key = key_of (word->text),
      .copy = copy,
      .index = copy->n_words++};

  heard.word.text = g_strdup (word->text);
  g_array_append_val (overlap->words, heard);
}

static guint
count_text (const NpuOverlap *overlap, const NpuSegment *segment)
{
  guint n = 0;

  for (guint i = 0; i < segment->n_tokens; i++)
    n += segment->tokens[i] < overlap->eot;
  return n;
}

void
npu_overlap_add (NpuOverlap *next, const NpuSegment *segment)
{
  Copy *copy = g_new0 (Copy, 1);
  NpuTimedWord whole = {.start = segment->start,
      .end = segment->end,
      .text = (char *) segment->text,
      .n_tokens = count_text (next, segment)};

  copy->segment = *segment;
  copy->window = *segment->window;
  copy->window.tokens = NULL;
  copy->window.text = NULL;
  copy->tokens =
      g_memdup2 (segment->tokens, segment->n_tokens * sizeof (guint32));
  copy->segment.tokens = copy->tokens;
  copy->segment.window = &copy->window;
  g_ptr_array_add (next->segments, copy);
  for (guint i = 0; i < segment->n_words; i++)
    add_word (next, copy, &segment->words[i]);
  if (segment->n_words == 0)
    add_word (next, copy, &whole);
}

/* --- giving -------------------------------------------------------------- */

/* The tokens of @n_words of a segment from @first on: its timestamps at an end
 * that is its own. Returns how many. */
static guint
find_tokens (const NpuOverlap *overlap, guint first, guint n_words,
    const guint32 **tokens)
{
  const Copy *copy = nth (overlap, first)->copy;
  guint n_before = 0, n_text = 0, begin = 0, end;

  for (guint i = first - nth (overlap, first)->index; i < first; i++)
    n_before += nth (overlap, i)->word.n_tokens;
  for (guint i = first; i < first + n_words; i++)
    n_text += nth (overlap, i)->word.n_tokens;
  for (; begin < copy->segment.n_tokens && n_before > 0; begin++)
    n_before -= copy->tokens[begin] < overlap->eot;
  for (end = begin; end < copy->segment.n_tokens && n_text > 0; end++)
    n_text -= copy->tokens[end] < overlap->eot;
  if (nth (overlap, first)->index + n_words == copy->n_words)
    end = copy->segment.n_tokens;
  *tokens = copy->tokens + begin;
  return end - begin;
}

/* Words [first, first + n) of one segment. */
static void
give_part (NpuOverlap *overlap, guint first, guint n, NpuSegmentFunc func,
    gpointer user_data)
{
  const Copy *copy = nth (overlap, first)->copy;
  const gboolean has_begin = nth (overlap, first)->index == 0;
  const gboolean has_end = nth (overlap, first)->index + n == copy->n_words;
  g_autofree NpuTimedWord *words = g_new (NpuTimedWord, n);
  g_autoptr (GString) joined = g_string_new (NULL);
  g_autoptr (GString) text = g_string_new (NULL);
  NpuSegment segment = copy->segment;
  guint64 at;

  segment.start =
      MAX (has_begin ? segment.start : nth (overlap, first)->word.start,
          overlap->told);
  at = segment.start;
  for (guint i = 0; i < n; i++) {
    Heard *heard = nth (overlap, first + i);

    heard->is_told = TRUE;
    words[i] = heard->word;
    words[i].start = MAX (words[i].start, at);
    words[i].end = at = MAX (words[i].end, words[i].start);
    g_string_append (joined, heard->word.text);
  }
  segment.end = has_end ? MAX (segment.end, at) : at;
  if (segment.end <= segment.start) /* its time is another's */
    segment.end = MIN (segment.start + NPU_TIMESTAMP_NS, overlap->end);
  npu_cue_text_append (text, joined->str, joined->len);
  if (text->len == 0 || segment.start >= segment.end)
    return;
  segment.text = text->str;
  segment.n_tokens = find_tokens (overlap, first, n, &segment.tokens);
  segment.words = words;
  segment.n_words = copy->segment.n_words > 0 ? n : 0;
  overlap->told = segment.end;
  if (func)
    func (&segment, user_data);
}

/* Words [first, end) that have not been given, a segment at a time. */
static void
give (NpuOverlap *overlap, guint first, guint end, NpuSegmentFunc func,
    gpointer user_data)
{
  guint n;

  while (first < end && nth (overlap, first)->is_told)
    first++;
  for (; first < end; first += n) {
    for (n = 1; first + n < end &&
                nth (overlap, first + n)->copy == nth (overlap, first)->copy;
         n++)
      ;
    give_part (overlap, first, n, func, user_data);
  }
}

/* --- which words --------------------------------------------------------- */

typedef struct {
  const NpuOverlap *first, *second;
  guint n_second;    /* of the second's words, that begin in what is shared */
  guint n_told;      /* of the first's words */
  double start, end; /* what is shared */
} Shared;

static double
distance (const Shared *shared, guint i, guint j)
{
  return fabs ((double) middle_of (nth (shared->first, i)) -
               (double) middle_of (nth (shared->second, j)));
}

static gboolean
is_same (const Shared *shared, guint i, guint j)
{
  const char *key = nth (shared->first, i)->key;

  return *key != '\0' && strcmp (key, nth (shared->second, j)->key) == 0 &&
         distance (shared, i, j) < NEAR_NS;
}

/* How many words around [i] and [j] are the same, these included. */
static guint
count_run (const Shared *shared, guint i, guint j)
{
  const guint n = shared->first->words->len;
  guint before = 0, behind = 0;

  while (before < i && before < j &&
         is_same (shared, i - before - 1, j - before - 1))
    before++;
  while (i + behind < n && j + behind < shared->n_second &&
         is_same (shared, i + behind, j + behind))
    behind++;
  return before + behind;
}

static double
rate (const Shared *shared, guint i, guint j)
{
  const guint run = count_run (shared, i, j);
  const double centre = (shared->start + shared->end) / 2;
  const double off =
      fabs ((double) middle_of (nth (shared->first, i)) - centre);

  if (run == 1 && g_utf8_strlen (nth (shared->first, i)->key, -1) < LONG_WORD &&
      distance (shared, i, j) > VERY_NEAR_NS)
    return -1;
  return 2 + MIN (run, LONG_RUN) - distance (shared, i, j) / NEAR_NS -
         off / (shared->end - shared->start);
}

/* A word that both have: the first's text ends behind it, the second's begins
 * there. */
static gboolean
find_same (const Shared *shared, guint *n_first, guint *from_second)
{
  double best = 0;

  for (guint i = 0; i < shared->first->words->len; i++) {
    for (guint j = 0; j < shared->n_second; j++) {
      const double rated = is_same (shared, i, j) ? rate (shared, i, j) : 0;

      if (rated > best) {
        best = rated;
        *n_first = i + 1;
        *from_second = j + 1;
      }
    }
  }
  return best > 0;
}

/* Behind the first's words up to @n_first, by their times. */
static guint
skip_second (const Shared *shared, guint from, guint n_first, double cut)
{
  if (n_first > 0)
    cut = MAX (cut, (double) nth (shared->first, n_first - 1)->word.end);
  while (from < shared->n_second &&
         (double) middle_of (nth (shared->second, from)) < cut)
    from++;
  return from;
}

static void
cut_in_middle (const Shared *shared, guint *n_first, guint *from_second)
{
  const NpuOverlap *first = shared->first;
  double cut = (shared->start + shared->end) / 2;

  /* Only one has text there. */
  if (shared->n_told == first->words->len)
    cut = shared->start;
  else if (shared->n_second == 0)
    cut = shared->end;
  *n_first = shared->n_told;
  while (*n_first < first->words->len &&
         (double) middle_of (nth (first, *n_first)) < cut)
    (*n_first)++;
  *from_second = skip_second (shared, 0, *n_first, cut);
}

/* --- windows ------------------------------------------------------------- */

static void
find_cut (const NpuOverlap *overlap, const NpuOverlap *next, guint64 start,
    guint *n_first, guint *from_second)
{
  Shared shared = {
      overlap, next, .start = (double) start, .end = (double) overlap->end};

  *n_first = overlap->words->len;
  *from_second = 0;
  if (overlap->end <= start)
    return;
  while (shared.n_told < overlap->words->len &&
         nth (overlap, shared.n_told)->is_told)
    shared.n_told++;
  while (shared.n_second < next->words->len &&
         nth (next, shared.n_second)->word.start < overlap->end)
    shared.n_second++;
  if (!find_same (&shared, n_first, from_second)) {
    cut_in_middle (&shared, n_first, from_second);
  } else if (*n_first < shared.n_told) {
    *n_first = shared.n_told; /* they cannot be taken back */
    *from_second = skip_second (&shared, *from_second, *n_first, 0);
  }
}

/* Where the words begin that another window may still hear, with those of their
 * segment: so it is not cut for that. */
static guint
find_waiting (const NpuOverlap *overlap, guint from, guint64 until)
{
  guint i = from;

  while (i < overlap->words->len && middle_of (nth (overlap, i)) < until)
    i++;
  while (i > from && i < overlap->words->len &&
         nth (overlap, i)->copy == nth (overlap, i - 1)->copy)
    i--;
  return i;
}

static void
forget (NpuOverlap *overlap, guint64 until)
{
  guint n = 0;

  while (n < overlap->words->len && nth (overlap, n)->is_told &&
         nth (overlap, n)->word.end + MEMORY_NS < until)
    n++;
  /* A segment's words are kept together: they are counted. */
  while (n > 0 && n < overlap->words->len && nth (overlap, n)->index > 0)
    n--;
  g_array_remove_range (overlap->words, 0, n);
}

/* @overlap takes what @next has, which is empty then. */
static void
take (NpuOverlap *overlap, NpuOverlap *next)
{
  const NpuOverlap old = *overlap;

  *overlap = *next;
  overlap->told = old.told;
  *next = old;
  npu_overlap_reset (next);
}

guint64
npu_overlap_join (NpuOverlap *overlap, NpuOverlap *next, guint64 start,
    guint64 end, guint64 shared, NpuSegmentFunc func, gpointer user_data)
{
  guint64 until = end - MIN (shared, end - start);
  guint n_first, from, waiting;

  find_cut (overlap, next, start, &n_first, &from);
  give (overlap, 0, n_first, func, user_data);
  take (overlap, next);
  overlap->end = end;
  for (guint i = 0; i < from; i++)
    nth (overlap, i)->is_told = TRUE;
  waiting = find_waiting (overlap, from, until);
  give (overlap, from, waiting, func, user_data);
  if (waiting < overlap->words->len)
    until = MIN (until, nth (overlap, waiting)->word.start);
  forget (overlap, until);
  return MAX (until, overlap->told);
}

void
npu_overlap_finish (
    NpuOverlap *overlap, NpuSegmentFunc func, gpointer user_data)
{
  give (overlap, 0, overlap->words->len, func, user_data);
  npu_overlap_reset (overlap);
}
