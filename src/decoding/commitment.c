/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commitment.h"

#include <string.h>

#include "hypothesis.h"
#include "repetition.h"

#define MS G_GUINT64_CONSTANT (1000000)

/* Attention may go back a little, from one word to the next. */
#define LONGEST_JUMP_BACK (4000 * MS)

/* Whoever cuts windows rounds to frames, which are of 10 ms, and the decoder's
 * positions are of 20. */
#define CUT_TOLERANCE (20 * MS)

/* The last word's attention is often a little late. */
#define LATEST_PEAK (300 * MS)

/* A window that was cut behind a word may have a rest of it, no longer than
 * this. */
#define LONGEST_REST (160 * MS)

/* Words at a seam that are compared with what was committed. */
#define SEAM 8

/* What is said again and again is heard further on each time, by no less than
 * this. */
#define SHORTEST_ROUND (80 * MS)

/* So few words alone are less likely each than those of a sentence. */
#define FEW_WORDS 2
#define FEW_WORDS_UNLIKELY 1.25f

/* Nobody says so many words in so short a time. */
#define CROWD 4
#define CROWD_TIME (120 * MS)

/* A word that is heard better moves back by less than this. */
#define SLACK (200 * MS)

/* What was said before so long a silence is about something else. */
#define LONGEST_SILENCE (5000 * MS)

typedef struct {
  guint n; /* tokens */
  guint64 end, peak;
  guint sound;
} CommittedWord;

struct _NpuCommitment {
  NpuCommitmentOptions options;
  GArray *prefix;  /* of guint32: committed and perhaps still in the window */
  GArray *words;   /* of CommittedWord: the same, word by word */
  GArray *context; /* of guint32: what has left the prefix, no more than asked
                    * for */
  GArray *draft;   /* of guint32 */
  guint last;      /* sound of the last word of the utterance, or 0 */
  guint64 until, sentence, decided;
  guint64 anew_until; /* windows that begin before it are heard without a
                       * prefix; 0: none */
  gboolean has_text;  /* in the utterance */
};

NpuCommitment *
npu_commitment_new (const NpuCommitmentOptions *options)
{
  NpuCommitment *commitment = g_new0 (NpuCommitment, 1);

  commitment->options = *options;
  commitment->prefix = g_array_new (FALSE, FALSE, sizeof (guint32));
  commitment->words = g_array_new (FALSE, FALSE, sizeof (CommittedWord));
  commitment->context = g_array_new (FALSE, FALSE, sizeof (guint32));
  commitment->draft = g_array_new (FALSE, FALSE, sizeof (guint32));
  return commitment;
}

void
npu_commitment_free (NpuCommitment *commitment)
{
  g_array_unref (commitment->prefix);
  g_array_unref (commitment->words);
  g_array_unref (commitment->context);
  g_array_unref (commitment->draft);
  g_free (commitment);
}

/* Takes the first words, which are of so many tokens, from the prefix. */
static void
shift_prefix (NpuCommitment *commitment, guint n_words, guint n_tokens)
{
  GArray *context = commitment->context;
  const guint most = commitment->options.context;

  g_array_append_vals (context, commitment->prefix->data, n_tokens);
  if (context->len > most)
    g_array_remove_range (context, 0, context->len - most);
  g_array_remove_range (commitment->words, 0, n_words);
  g_array_remove_range (commitment->prefix, 0, n_tokens);
}

/* What follows is no continuation of what was said. */
static void
end_utterance (NpuCommitment *commitment)
{
  shift_prefix (commitment, commitment->words->len, commitment->prefix->len);
  g_array_set_size (commitment->draft, 0);
  commitment->last = 0;
  /* Its last word may still be in the next window, before what begins there. */
  commitment->anew_until = commitment->until;
  commitment->has_text = FALSE;
}

void
npu_commitment_reset (NpuCommitment *commitment)
{
  commitment->until = commitment->sentence = commitment->decided = 0;
  end_utterance (commitment);
  g_array_set_size (commitment->context, 0);
}

void
npu_commitment_set_margin (NpuCommitment *commitment, guint64 margin)
{
  commitment->options.margin = margin;
}

void
npu_commitment_hear_anew (NpuCommitment *commitment)
{
  commitment->anew_until = MAX (commitment->until, 1);
  g_array_set_size (commitment->context, 0);
}

/* --- the prefix --------------------------------------------------------- */

/* Words that end before @start are not heard any more. */
static void
drop_before (NpuCommitment *commitment, guint64 start)
{
  guint n_words = 0, n_tokens = 0;

  while (n_words < commitment->words->len) {
    const CommittedWord *word =
        &g_array_index (commitment->words, CommittedWord, n_words);

    if (word->end > start + CUT_TOLERANCE)
      break;
    n_tokens += word->n;
    n_words++;
  }
  shift_prefix (commitment, n_words, n_tokens);
}

static gboolean
is_heard_anew (const NpuCommitment *commitment, guint64 start)
{
  return commitment->anew_until > start + CUT_TOLERANCE;
}

void
npu_commitment_begin (NpuCommitment *commitment, guint64 start, gboolean is_new,
    const guint32 **prefix, guint *n_prefix, const guint32 **draft,
    guint *n_draft)
{
  if (is_new)
    end_utterance (commitment);
  drop_before (commitment, start);
  if (is_new || start > commitment->until + LONGEST_SILENCE)
    g_array_set_size (commitment->context, 0);
  if (!is_heard_anew (commitment, start))
    commitment->anew_until = 0;

  *prefix = (const guint32 *) commitment->prefix->data;
  *n_prefix = commitment->anew_until ? 0 : commitment->prefix->len;
  *draft = (const guint32 *) commitment->draft->data;
  *n_draft = commitment->anew_until ? 0 : commitment->draft->len;
}

float
npu_commitment_get_no_speech_threshold (const NpuCommitment *commitment)
{
  return commitment->has_text ? 0 : commitment->options.no_speech_threshold;
}

const guint32 *
npu_commitment_get_context (const NpuCommitment *commitment, guint *n)
{
  *n = commitment->context->len;
  return (const guint32 *) commitment->context->data;
}

/* --- guards ------------------------------------------------------------- */

static gboolean
is_anew (const NpuCommitment *commitment, const NpuHypothesis *h)
{
  return h->is_anew || commitment->anew_until != 0;
}

/* Whether words from @first on are the last @n that are committed. They may be
 * written otherwise. */
static gboolean
is_tail (const NpuCommitment *commitment, const NpuHypothesis *h, guint first,
    guint n)
{
  const guint from = commitment->words->len - n;

  for (guint i = 0; i < n; i++) {
    const CommittedWord *word =
        &g_array_index (commitment->words, CommittedWord, from + i);

    if (word->sound != h->words[first + i].sound)
      return FALSE;
  }
  return TRUE;
}

/* Without a prefix, words that are committed are heard again: those whose
 * middle is before what is committed, and then those that are the same. */
static guint
skip_committed (const NpuCommitment *commitment, const NpuHypothesis *h)
{
  guint first = 0, n;

  while (first < h->n_words && (h->words[first].start / 2 +
                                   h->words[first].end / 2) < commitment->until)
    first++;
  n = MIN (MIN (commitment->words->len, SEAM), h->n_words - first);
  while (n > 0 && !is_tail (commitment, h, first, n))
    n--;
  return first + n;
}

/* Behind a cut nothing is forced, and what is left of the word before it may be
 * heard as the same word once more. */
static guint
skip_rest (const NpuCommitment *commitment, const NpuHypothesis *h)
{
  const NpuHypothesisWord *word = h->words;

  if (commitment->prefix->len > 0 || h->n_words == 0 ||
      word->end > h->start + LONGEST_REST ||
      h->start > commitment->until + LONGEST_REST)
    return 0;
  return commitment->last != 0 && word->sound == commitment->last;
}

/* Of the word of the @i-th token of prefix and hypothesis. */
static guint64
get_peak (const NpuCommitment *commitment, const NpuHypothesis *h,
    guint n_prefix, guint i)
{
  guint word = 0, n = 0;

  if (i >= n_prefix) {
    while (word + 1 < h->n_words && h->words[word + 1].first <= i - n_prefix)
      word++;
    return h->words[word].peak;
  }
  while ((n += g_array_index (commitment->words, CommittedWord, word).n) <= i)
    word++;
  return g_array_index (commitment->words, CommittedWord, word).peak;
}

/* How often tokens[@at, @at + @length) come in a row, in tokens. */
static guint
measure_run (const guint32 *tokens, guint n, guint at, guint length)
{
  guint end = at + length;

  while (end < n && tokens[end] == tokens[end - length])
    end++;
  return end - at;
}

/* Somebody says it again and again: each round is heard further on in the
 * audio. A decoder that has lost its way listens to the same, or to nothing. */
static gboolean
is_said (const NpuCommitment *commitment, const NpuHypothesis *h,
    guint n_prefix, guint at, guint length, guint run)
{
  guint64 last = get_peak (commitment, h, n_prefix, at);

  for (guint i = at + length; i + length <= at + run; i += length) {
    const guint64 peak = get_peak (commitment, h, n_prefix, i);

    if (peak < last + SHORTEST_ROUND)
      return FALSE;
    last = peak;
  }
  return last <= h->end;
}

/* How many words there are before a repetition that nobody says, which may
 * begin in the prefix. */
static guint
count_before_loop (const NpuCommitment *commitment, const NpuHypothesis *h,
    gboolean *has_looped)
{
  const guint n_prefix = is_anew (commitment, h) ? 0 : commitment->prefix->len;
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (guint32));
  const guint32 *tokens;
  guint from = 0, kept = 0, n = 0;

  g_array_append_vals (all, commitment->prefix->data, n_prefix);
  g_array_append_vals (all, h->tokens, h->n_tokens);
  tokens = (const guint32 *) all->data;
  *has_looped = FALSE;
  while (from < all->len && !*has_looped) {
    guint length, at, run;

    kept = from + npu_repetition_find (tokens + from, all->len - from, &length);
    if (length == 0)
      break;
    at = kept - length;
    run = measure_run (tokens, all->len, at, length);
    *has_looped = at + run > n_prefix &&
                  !is_said (commitment, h, n_prefix, at, length, run);
    from = at + run;
  }
  if (!*has_looped)
    return h->n_words;
  while (n < h->n_words && n_prefix + h->words[n].first + h->words[n].n <= kept)
    n++;
  return n;
}

/* The last of a crowd that begins at word @i ends at once: the audio has
 * nothing that they could be. */
static gboolean
is_crowded (const NpuHypothesis *h, guint i)
{
  if (i + CROWD > h->n_words)
    return FALSE;
  return h->words[i + CROWD - 1].end < h->words[i].start + CROWD_TIME;
}

/* How many of words[n] from @first on are where they can be. */
static guint
count_plausible (const NpuCommitment *commitment, const NpuHypothesis *h,
    guint first, guint n)
{
  guint64 farthest = commitment->has_text ? commitment->until : h->start;

  for (guint i = first; i < n; i++) {
    const guint64 peak = h->words[i].peak;

    if (peak + LONGEST_JUMP_BACK < farthest || peak > h->end + LATEST_PEAK ||
        is_crowded (h, i))
      return i;
    farthest = MAX (farthest, peak);
  }
  return n;
}

static gboolean
is_nothing (const NpuCommitment *commitment, const NpuHypothesis *h)
{
  const NpuCommitmentOptions *options = &commitment->options;

  if (!commitment->has_text && h->no_speech_prob > options->no_speech_threshold)
    return TRUE;
  /* A word or two behind what is sure are unlikely while they are spoken. */
  if (commitment->has_text && h->n_words <= FEW_WORDS)
    return FALSE;
  if (h->is_last && h->n_words <= FEW_WORDS)
    return !(h->avg_logprob >= FEW_WORDS_UNLIKELY * options->logprob_threshold);
  return !(h->avg_logprob >= options->logprob_threshold);
}

/* --- commitment --------------------------------------------------------- */

/* The rule for words[i]; @n are sound. */
static gboolean
is_final (
    const NpuCommitment *commitment, const NpuHypothesis *h, guint i, guint n)
{
  const NpuHypothesisWord *word = &h->words[i];

  if (h->is_last || word->start < h->due)
    return TRUE;
  /* A word is whole when the next one has begun. */
  return !h->is_held && i + 1 < n &&
         word->end + commitment->options.margin <= h->end;
}

static void
commit_word (NpuCommitment *commitment, const NpuHypothesis *h,
    const NpuHypothesisWord *word)
{
  const CommittedWord committed = {word->n, word->end, word->peak, word->sound};

  g_array_append_vals (commitment->prefix, h->tokens + word->first, word->n);
  g_array_append_val (commitment->words, committed);
  commitment->last = word->sound;
  commitment->until = word->end;
  if (word->ends_sentence)
    commitment->sentence = word->end;
  commitment->has_text = TRUE;
}

/* Nothing before what is decided, nothing behind the audio. */
static void
order_times (const NpuCommitment *commitment, const NpuHypothesis *h,
    NpuHypothesisWord *words)
{
  guint64 last = MAX (commitment->until, commitment->decided);

  for (guint i = 0; i < h->n_words; i++) {
    NpuHypothesisWord *word = &words[i];

    *word = h->words[i];
    word->start = MAX (MIN (word->start, h->end), last);
    word->end = MAX (MIN (word->end, h->end), word->start);
    last = word->end;
  }
}

/* Where words to come may begin. */
static guint64
find_decided (const NpuCommitment *commitment, const NpuHypothesis *h,
    const NpuHypothesisWord *words, const NpuCommit *commit)
{
  const guint open = commit->first + commit->n_committed;
  const guint64 decided = MAX (commitment->until, commitment->decided);
  guint64 next = h->end;

  if (!h->is_last && commit->n_shown > 0)
    next = words[open].start - MIN (words[open].start, SLACK);
  else if (!h->is_last) /* somebody speaks: all of it may still get text */
    next = h->start;
  return MAX (decided, next);
}

static void
keep_draft (NpuCommitment *commitment, const NpuHypothesis *h, guint open)
{
  const guint from = open < h->n_words ? h->words[open].first : h->n_tokens;

  g_array_set_size (commitment->draft, 0);
  g_array_append_vals (commitment->draft, h->tokens + from,
      MIN (h->n_tokens - from, NPU_HYPOTHESIS_MAX_DRAFT));
}

/* What guards leave of a hypothesis: words [first, n). */
typedef struct {
  guint first, n;
  gboolean has_looped;
  gboolean is_nothing;
} Kept;

static Kept
keep (const NpuCommitment *commitment, const NpuHypothesis *h)
{
  Kept kept = {.is_nothing = is_nothing (commitment, h)};

  kept.n = count_before_loop (commitment, h, &kept.has_looped);
  kept.first = is_anew (commitment, h) ? skip_committed (commitment, h)
                                       : skip_rest (commitment, h);
  kept.first = MIN (kept.first, kept.n);
  kept.n = kept.is_nothing
               ? kept.first
               : count_plausible (commitment, h, kept.first, kept.n);
  return kept;
}

NpuVerdict
npu_commitment_judge (const NpuCommitment *commitment, const NpuHypothesis *h)
{
  const Kept kept = keep (commitment, h);

  return (NpuVerdict){
      .keeps_all = kept.n == h->n_words,
      .has_looped = kept.has_looped,
      .is_silence = kept.is_nothing && !commitment->has_text,
      .until = kept.n > kept.first ? h->words[kept.n - 1].end : 0,
  };
}

void
npu_commitment_add (NpuCommitment *commitment, const NpuHypothesis *h,
    NpuHypothesisWord *words, NpuCommit *commit)
{
  const Kept kept = keep (commitment, h);
  guint open;

  order_times (commitment, h, words);
  for (open = kept.first;
       open < kept.n && is_final (commitment, h, open, kept.n); open++)
    commit_word (commitment, h, &words[open]);
  *commit = (NpuCommit){
      .first = kept.first,
      .n_committed = open - kept.first,
      .n_shown = kept.n - open,
      .until = commitment->until,
      .sentence = commitment->sentence,
      .has_looped = kept.has_looped,
  };
  commit->decided = find_decided (commitment, h, words, commit);
  commitment->decided = commit->decided;

  keep_draft (commitment, h, open);
  if (kept.has_looped)
    g_array_set_size (commitment->context, 0);
  if (h->is_last)
    end_utterance (commitment);
}
