/* Which words of a growing window are final, on a virtual clock.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoding/commitment.h"

#include <math.h>

#include "decoding/random.h"
#include "decoding/repetition.h"

#define MS G_GUINT64_CONSTANT (1000000)
#define MAX_WORDS 64

static const NpuCommitmentOptions usual = {500 * MS, -1, 0.6f, 0};

/* A hypothesis in the making: each word is one token, or more. */
typedef struct {
  NpuHypothesis h;
  guint32 tokens[4 * MAX_WORDS];
  NpuHypothesisWord words[MAX_WORDS], out[MAX_WORDS];
  NpuCommit commit;
} Heard;

static void
heard_begin (Heard *heard, guint64 start_ms, guint64 end_ms)
{
  *heard = (Heard){.h = {.start = start_ms * MS, .end = end_ms * MS}};
  heard->h.tokens = heard->tokens;
  heard->h.words = heard->words;
  heard->h.avg_logprob = -0.2f;
  heard->h.no_speech_prob = 0.01f;
}

static void
heard_add (Heard *heard, guint32 token, guint64 start_ms, guint64 end_ms)
{
  NpuHypothesisWord *word = &heard->words[heard->h.n_words++];

  *word = (NpuHypothesisWord){.first = heard->h.n_tokens,
      .n = 1,
      .start = start_ms * MS,
      .end = end_ms * MS,
      .peak = (start_ms + end_ms) / 2 * MS,
      .sound = token};
  heard->tokens[heard->h.n_tokens++] = token;
}

static void
commit (NpuCommitment *commitment, Heard *heard)
{
  npu_commitment_add (commitment, &heard->h, heard->out, &heard->commit);
}

static guint
begin (NpuCommitment *commitment, guint64 start_ms, gboolean is_new)
{
  const guint32 *prefix, *draft;
  guint n_prefix, n_draft;

  npu_commitment_begin (
      commitment, start_ms * MS, is_new, &prefix, &n_prefix, &draft, &n_draft);
  return n_prefix;
}

/* --- a speaker ---------------------------------------------------------- */

/* Word i is token 1000 + i, from 400 i to 400 i + 300 ms. A decoder that hears
 * to @now hears all that has begun 100 ms ago, and what is at the edge wrong.
 */
static void
hear_speaker (Heard *heard, const guint32 *prefix, guint n_prefix,
    guint64 start, guint64 now, guint n_spoken)
{
  const guint next = n_prefix > 0 ? prefix[n_prefix - 1] - 1000 + 1
                                  : (guint) ((start + 399) / 400);

  heard_begin (heard, start, now);
  for (guint i = next; i < n_spoken && 400 * i + 100 <= now; i++) {
    const guint64 end = 400 * i + 300;
    const gboolean is_cut = end > now;

    heard_add (heard, is_cut ? 5000 + (guint32) now : 1000 + i, 400 * i,
        MIN (end, now));
  }
}

/* Windows grow by 500 ms and are cut at @cut, if that is not 0, wherever the
 * words are; all words come once, in order, soon. */
static void
run_speaker (guint64 longest, gboolean at_until)
{
  const guint n_spoken = 60;
  g_autoptr (NpuCommitment) commitment = npu_commitment_new (&usual);
  guint64 start = 0, last_end = 0;
  guint n_out = 0;

  for (guint64 now = 1000; now <= 400 * n_spoken; now += 500) {
    const guint32 *prefix, *draft;
    guint n_prefix, n_draft;
    Heard heard;

    npu_commitment_begin (commitment, start * MS, now == 1000, &prefix,
        &n_prefix, &draft, &n_draft);
    for (guint i = 0; i < n_prefix; i++)
      g_assert_cmpuint (prefix[i], ==, 1000 + n_out - n_prefix + i);
    hear_speaker (&heard, prefix, n_prefix, start, now, n_spoken);
    heard.h.is_last = now == 400 * n_spoken;
    commit (commitment, &heard);
    g_assert_cmpuint (heard.commit.first, ==, 0);
    for (guint i = 0; i < heard.commit.n_committed; i++) {
      const NpuHypothesisWord *word = &heard.out[i];

      g_assert_cmpuint (heard.tokens[word->first], ==, 1000 + n_out);
      g_assert_cmpuint (word->start, >=, last_end);
      g_assert_cmpuint (word->start, ==, 400 * MS * n_out);
      g_assert_cmpuint (word->end, ==, (400 * n_out + 300) * MS);
      last_end = word->end;
      /* margin and a step, and the next word has to begin */
      if (n_out > 0)
        g_assert_cmpuint (now * MS, <=, word->end + (500 + 500) * MS);
      n_out++;
    }
    g_assert_cmpuint (heard.commit.until, ==, last_end);
    g_assert_cmpuint (heard.commit.decided, >=, last_end);
    if (now - start > longest)
      start = at_until ? last_end / MS : now - longest / 2;
  }
  g_assert_cmpuint (n_out, ==, n_spoken);
}

static void
test_speaker (void)
{
  run_speaker (1000000, FALSE);
  run_speaker (5000, TRUE);
  run_speaker (5000, FALSE); /* in the middle of words */
}

/* Queues between the elements: windows that begin where others were cut long
 * ago. */
static void
test_late_cut (void)
{
  g_autoptr (NpuCommitment) commitment = npu_commitment_new (&usual);
  Heard heard;

  g_assert_cmpuint (begin (commitment, 0, TRUE), ==, 0);
  heard_begin (&heard, 0, 3000);
  heard_add (&heard, 1, 0, 500);
  heard_add (&heard, 2, 500, 1000);
  heard_add (&heard, 3, 1000, 1500);
  heard_add (&heard, 4, 2000, 2900);
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed, ==, 3);
  g_assert_cmpuint (heard.commit.n_shown, ==, 1);

  g_assert_cmpuint (begin (commitment, 0, FALSE), ==, 3);
  g_assert_cmpuint (begin (commitment, 490, FALSE), ==, 2); /* a frame early */
  g_assert_cmpuint (begin (commitment, 700, FALSE), ==, 2);
  g_assert_cmpuint (begin (commitment, 1500, FALSE), ==, 0);
  /* what has left does not come back */
  g_assert_cmpuint (begin (commitment, 0, FALSE), ==, 0);
}

/* What is left of a word at a cut is not said again; a word that is as long as
 * words are is. */
static void
test_rest_at_cut (void)
{
  for (guint64 length = 100; length <= 200; length += 100) {
    g_autoptr (NpuCommitment) commitment = npu_commitment_new (&usual);
    Heard heard;

    begin (commitment, 0, TRUE);
    heard_begin (&heard, 0, 3000);
    heard_add (&heard, 1, 0, 500);
    heard_add (&heard, 2, 500, 1000);
    heard_add (&heard, 3, 2900, 3000);
    commit (commitment, &heard);
    g_assert_cmpuint (heard.commit.n_committed, ==, 2);

    g_assert_cmpuint (begin (commitment, 1000, FALSE), ==, 0);
    heard_begin (&heard, 1000, 3500);
    heard_add (&heard, 2, 1000, 1000 + length);
    heard_add (&heard, 3, 1000 + length, 2500);
    heard_add (&heard, 4, 2500, 3500);
    commit (commitment, &heard);
    g_assert_cmpuint (heard.commit.first, ==, length == 100 ? 1 : 0);
    g_assert_cmpuint (heard.commit.n_committed, ==, length == 100 ? 1 : 2);
  }
}

/* --- what is final ------------------------------------------------------ */

static void
test_margin (void)
{
  g_autoptr (NpuCommitment) commitment = npu_commitment_new (&usual);
  Heard heard;

  begin (commitment, 0, TRUE);
  heard_begin (&heard, 0, 2000);
  heard_add (&heard, 1, 0, 1000);
  heard_add (&heard, 2, 1000, 1500); /* just */
  heard_add (&heard, 3, 1500, 1501); /* too near */
  heard_add (&heard, 4, 1501, 1502);
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed, ==, 2);
  g_assert_cmpuint (heard.commit.n_shown, ==, 2);
  g_assert_cmpuint (heard.commit.until, ==, 1500 * MS);
  g_assert_cmpuint (heard.commit.decided, ==, 1500 * MS);
}

static void
test_last_word_waits (void)
{
  g_autoptr (NpuCommitment) commitment = npu_commitment_new (&usual);
  Heard heard;

  begin (commitment, 0, TRUE);
  heard_begin (&heard, 0, 5000);
  heard_add (&heard, 1, 0, 1000);
  heard_add (&heard, 2, 1000, 1500);
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed, ==, 1);

  begin (commitment, 0, FALSE);
  heard_begin (&heard, 0, 5000);
  heard_add (&heard, 2, 1000, 1500);
  heard.words[0].ends_sentence = TRUE;
  heard.h.is_last = TRUE;
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed, ==, 1);
  g_assert_cmpuint (heard.commit.sentence, ==, 1500 * MS);
  g_assert_cmpuint (heard.commit.decided, ==, 5000 * MS);
  /* the next utterance is no continuation, but what was heard of it already
   * is left out */
  g_assert_cmpuint (begin (commitment, 1200, TRUE), ==, 0);
  heard_begin (&heard, 1200, 7000);
  heard_add (&heard, 2, 1200, 1500);
  heard_add (&heard, 9, 6000, 6500);
  heard.h.is_last = TRUE;
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.first, ==, 1);
  g_assert_cmpuint (heard.commit.n_committed, ==, 1);
}

static void
test_due (void)
{
  g_autoptr (NpuCommitment) commitment = npu_commitment_new (&usual);
  Heard heard;

  begin (commitment, 0, TRUE);
  heard_begin (&heard, 0, 3000);
  heard_add (&heard, 1, 900, 2900);
  heard.h.is_held = TRUE;
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed, ==, 0);
  heard.h.due = 900 * MS;
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed, ==, 0);
  heard.h.due = 901 * MS;
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed, ==, 1);
}

static void
test_held (void)
{
  g_autoptr (NpuCommitment) commitment = npu_commitment_new (&usual);
  Heard heard;

  begin (commitment, 0, TRUE);
  heard_begin (&heard, 0, 3000);
  heard_add (&heard, 1, 100, 500);
  heard_add (&heard, 2, 500, 900);
  heard.h.is_held = TRUE;
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed, ==, 0);
  g_assert_cmpuint (heard.commit.n_shown, ==, 2);
  heard.h.is_held = FALSE;
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed, ==, 1);
}

/* --- guards ------------------------------------------------------------- */

static guint
find (const guint32 *tokens, guint n)
{
  guint length;
  const guint found = npu_repetition_find (tokens, n, &length);

  g_assert_cmpint (length > 0, ==, found < n);
  return found;
}

static void
test_find_repetition (void)
{
  const guint32 plain[] = {1, 2, 3, 1, 2, 3, 4, 4, 4, 5, 6, 5, 6, 5, 6};
  const guint32 threes[] = {9, 1, 2, 3, 1, 2, 3, 1, 2, 3};
  const guint32 ones[] = {9, 8, 4, 4, 4, 4};
  guint32 many[17 * 3];
  const guint32 eights[] = {
      1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8};

  g_assert_cmpuint (find (NULL, 0), ==, 0);
  g_assert_cmpuint (
      find (plain, G_N_ELEMENTS (plain)), ==, G_N_ELEMENTS (plain));
  g_assert_cmpuint (find (threes, G_N_ELEMENTS (threes)), ==, 4);
  g_assert_cmpuint (find (ones, G_N_ELEMENTS (ones)), ==, 3);
  g_assert_cmpuint (find (ones, 5), ==, 5);
  g_assert_cmpuint (find (eights, G_N_ELEMENTS (eights)), ==, 8);
  for (guint n = 16; n <= 17; n++) {
    for (guint i = 0; i < 3 * n; i++)
      many[i] = i % n;
    g_assert_cmpuint (find (many, 3 * n), ==, n == 16 ? n : 3 * n);
  }
}

/* Words 10, 11, 12 over and over from @at on, each 300 ms by the way through
 * the matrix; a decoder that repeats itself looks at the same audio. */
static void
heard_add_rounds (Heard *heard, guint n, guint64 at, gboolean is_said)
{
  for (guint i = 0; i < n; i++) {
    NpuHypothesisWord *word = &heard->words[heard->h.n_words];

    heard_add (heard, 10 + i % 3, at + 300 * i, at + 300 * i + 300);
    if (!is_said)
      word->peak = (at + 300 * (i % 3) + 150) * MS;
  }
}

/* Of a loop the first round is kept; without the prefix, what is committed does
 * not come again, however it is written. */
static void
test_loop (void)
{
  g_autoptr (NpuCommitment) commitment = npu_commitment_new (&usual);
  NpuVerdict verdict;
  Heard heard;

  begin (commitment, 0, TRUE);
  heard_begin (&heard, 0, 5000);
  heard_add (&heard, 1, 0, 400);
  heard_add_rounds (&heard, 9, 400, FALSE);
  verdict = npu_commitment_judge (commitment, &heard.h);
  g_assert_true (verdict.has_looped);
  g_assert_false (verdict.keeps_all);
  g_assert_cmpuint (verdict.until, ==, 1300 * MS);
  commit (commitment, &heard);
  g_assert_true (heard.commit.has_looped);
  g_assert_cmpuint (heard.commit.n_committed, ==, 3); /* the last one waits */
  g_assert_cmpuint (heard.commit.n_shown, ==, 1);

  g_assert_cmpuint (begin (commitment, 0, FALSE), ==, 3);
  heard_begin (&heard, 0, 5500);
  heard.h.is_anew = TRUE;
  heard_add (&heard, 1, 0, 400);
  heard_add (&heard, 10, 450, 700);
  heard_add (&heard, 11, 1000, 1700); /* later than before: the same word */
  heard.tokens[heard.words[2].first] = 99; /* in capitals */
  heard_add (&heard, 20, 1800, 2400);
  heard_add (&heard, 21, 2400, 3000);
  verdict = npu_commitment_judge (commitment, &heard.h);
  g_assert_true (verdict.keeps_all);
  commit (commitment, &heard);
  g_assert_false (heard.commit.has_looped);
  g_assert_cmpuint (heard.commit.first, ==, 3);
  g_assert_cmpuint (heard.commit.n_committed, ==, 1);
  g_assert_cmpuint (heard.tokens[heard.out[3].first], ==, 20);
  g_assert_cmpuint (begin (commitment, 1300, FALSE), ==, 1);
}

static void
test_loop_in_prefix (void)
{
  for (guint is_said = 0; is_said < 2; is_said++) {
    g_autoptr (NpuCommitment) commitment = npu_commitment_new (&usual);
    Heard heard;

    begin (commitment, 0, TRUE);
    heard_begin (&heard, 0, 3000);
    heard_add_rounds (&heard, 4, 0, TRUE);
    commit (commitment, &heard);
    g_assert_cmpuint (heard.commit.n_committed, ==, 3);
    begin (commitment, 0, FALSE);
    heard_begin (&heard, 0, 6000);
    heard_add_rounds (&heard, 6, 900, FALSE);
    if (is_said) {
      heard_begin (&heard, 0, 6000);
      heard_add_rounds (&heard, 6, 900, TRUE);
    }
    commit (commitment, &heard);
    g_assert_cmpint (heard.commit.has_looped, ==, !is_said);
    g_assert_cmpuint (heard.commit.n_committed, ==, is_said ? 5 : 0);
    g_assert_cmpuint (heard.commit.n_shown, ==, is_said ? 1 : 0);

    if (!is_said)
      continue;
    /* what has been said is no reason to doubt what follows */
    begin (commitment, 0, FALSE);
    heard_begin (&heard, 0, 6500);
    heard_add_rounds (&heard, 1, 2400, FALSE);
    heard_add (&heard, 20, 2700, 3000);
    heard_add (&heard, 21, 3000, 3300);
    heard.h.is_last = TRUE;
    commit (commitment, &heard);
    g_assert_cmpuint (heard.commit.n_committed, ==, 3);
  }
}

/* Somebody says it again and again. */
static void
test_said_again (void)
{
  g_autoptr (NpuCommitment) commitment = npu_commitment_new (&usual);
  Heard heard;

  begin (commitment, 0, TRUE);
  heard_begin (&heard, 0, 5000);
  heard_add_rounds (&heard, 9, 400, TRUE);
  heard_add (&heard, 20, 3100, 3500);
  heard.h.is_last = TRUE;
  commit (commitment, &heard);
  g_assert_false (heard.commit.has_looped);
  g_assert_cmpuint (heard.commit.n_committed, ==, 10);

  /* each further on, but behind the audio */
  begin (commitment, 5000, TRUE);
  heard_begin (&heard, 5000, 6500);
  heard_add_rounds (&heard, 9, 5000, TRUE);
  heard.h.is_last = TRUE;
  commit (commitment, &heard);
  g_assert_true (heard.commit.has_looped);
  g_assert_cmpuint (heard.commit.n_committed, ==, 3);
}

static void
test_jump_back (void)
{
  g_autoptr (NpuCommitment) commitment = npu_commitment_new (&usual);
  Heard heard;

  begin (commitment, 0, TRUE);
  heard_begin (&heard, 0, 9000);
  heard_add (&heard, 1, 0, 6000);
  heard.words[0].peak = 5900 * MS;
  heard_add (&heard, 2, 6000, 6500);
  heard.words[1].peak = 1800 * MS;
  heard_add (&heard, 3, 6500, 7000);
  commit (commitment, &heard);
  /* nor is the first sure, with nothing sound behind it */
  g_assert_cmpuint (heard.commit.n_committed, ==, 0);
  g_assert_cmpuint (heard.commit.n_shown, ==, 1);
  heard.words[1].peak = 1900 * MS; /* 4 s */
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed, ==, 2);
}

/* Words for which the audio has no room, as those of a loop at its end. */
static void
test_crowd (void)
{
  g_autoptr (NpuCommitment) commitment = npu_commitment_new (&usual);
  Heard heard;

  begin (commitment, 0, TRUE);
  heard_begin (&heard, 0, 2000);
  heard_add (&heard, 1, 0, 1000);
  heard_add (&heard, 2, 1000, 1900);
  for (guint i = 0; i < 6; i++)
    heard_add (&heard, 3 + i, 1900, 1900 + i / 5 * 100);
  heard.h.is_last = TRUE;
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed, ==, 2);
  g_assert_cmpuint (heard.commit.n_shown, ==, 0);
}

/* Text on the silence behind the audio, even at the end. */
static void
test_behind_audio (void)
{
  g_autoptr (NpuCommitment) commitment = npu_commitment_new (&usual);
  Heard heard;

  begin (commitment, 0, TRUE);
  heard_begin (&heard, 0, 2000);
  heard_add (&heard, 1, 0, 1900);
  heard_add (&heard, 2, 3000, 3500);
  heard.h.is_last = TRUE;
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed, ==, 1);
  g_assert_cmpuint (heard.commit.n_shown, ==, 0);
  g_assert_cmpuint (heard.commit.until, ==, 1900 * MS);
}

static void
test_silence (void)
{
  g_autoptr (NpuCommitment) commitment = npu_commitment_new (&usual);
  Heard heard;

  begin (commitment, 0, TRUE);
  heard_begin (&heard, 0, 3000);
  heard_add (&heard, 1, 0, 500);
  heard_add (&heard, 2, 500, 600);
  heard.h.no_speech_prob = 0.61f;
  heard.h.due = 3000 * MS;
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed + heard.commit.n_shown, ==, 0);
  g_assert_cmpuint (heard.commit.decided, ==, 0);

  heard.h.no_speech_prob = 0.1f;
  heard.h.avg_logprob = -1.01f;
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed + heard.commit.n_shown, ==, 0);
  heard.h.avg_logprob = NAN;
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed + heard.commit.n_shown, ==, 0);
  heard.h.avg_logprob = -0.99f;
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed, ==, 2);
  /* no time was given away while it was unlikely */
  g_assert_cmpuint (heard.out[0].start, ==, 0);

  /* behind words that are sure, silence is not asked, and one word may be
   * unlikely */
  begin (commitment, 0, FALSE);
  heard_begin (&heard, 0, 4000);
  heard_add (&heard, 3, 2500, 3000);
  heard_add (&heard, 4, 3000, 3100);
  heard.h.no_speech_prob = 0.9f;
  heard.h.avg_logprob = -2;
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed, ==, 1);
  heard_add (&heard, 5, 3100, 3200);
  commit (commitment, &heard);
  g_assert_cmpuint (heard.commit.n_committed, ==, 0);
}

static void
test_draft (void)
{
  g_autoptr (NpuCommitment) commitment = npu_commitment_new (&usual);
  const guint32 *prefix, *draft;
  guint n_prefix, n_draft;
  Heard heard;

  begin (commitment, 0, TRUE);
  heard_begin (&heard, 0, 2000);
  heard_add (&heard, 1, 0, 500);
  heard_add (&heard, 2, 500, 1900);
  heard_add (&heard, 3, 1900, 2000);
  commit (commitment, &heard);
  npu_commitment_begin (
      commitment, 0, FALSE, &prefix, &n_prefix, &draft, &n_draft);
  g_assert_cmpuint (n_prefix, ==, 1);
  g_assert_cmpuint (n_draft, ==, 2);
  g_assert_cmpuint (draft[0], ==, 2);
  g_assert_cmpuint (draft[1], ==, 3);
  npu_commitment_begin (
      commitment, 0, TRUE, &prefix, &n_prefix, &draft, &n_draft);
  g_assert_cmpuint (n_prefix + n_draft, ==, 0);
}

/* --- anything ----------------------------------------------------------- */

static void
fill_at_random (Heard *heard, NpuRandom *random, guint64 start, guint64 end)
{
  const guint n = (guint) (npu_random_next (random) * 20);

  heard_begin (heard, start, end);
  for (guint i = 0; i < n; i++) {
    const guint64 at =
        start + (guint64) (npu_random_next (random) * (end - start + 3000));

    heard_add (heard, (guint32) (npu_random_next (random) * 4), at,
        at + (guint64) (npu_random_next (random) * 900));
    heard->words[i].peak =
        npu_random_next (random) < 0.1 ? 0 : heard->words[i].start;
  }
  heard->h.is_last = npu_random_next (random) < 0.1;
  heard->h.is_held = npu_random_next (random) < 0.1;
  heard->h.is_anew = npu_random_next (random) < 0.2;
  heard->h.due = (guint64) (npu_random_next (random) * 1.2 * end) * MS;
  heard->h.avg_logprob = (float) (-2 * npu_random_next (random));
  heard->h.no_speech_prob = (float) npu_random_next (random);
}

/* Whatever is heard: times never run back, nothing comes before what was
 * decided, and the prefix is bounded by the window. */
static void
test_anything (void)
{
  NpuRandom random = {7};
  g_autoptr (NpuCommitment) commitment = npu_commitment_new (&usual);
  guint64 start = 0, now = 0, last = 0, decided = 0;

  for (guint round = 0; round < 20000; round++) {
    const NpuCommit *out;
    Heard heard;

    now += (guint64) (npu_random_next (&random) * 1000);
    if (npu_random_next (&random) < 0.2 || now - start > 12000)
      start = now - (guint64) (npu_random_next (&random) * MIN (now, 6000));
    g_assert_cmpuint (
        begin (commitment, start, npu_random_next (&random) < 0.05), <, 4000);
    fill_at_random (&heard, &random, start, now);
    commit (commitment, &heard);
    out = &heard.commit;
    g_assert_cmpuint (
        out->first + out->n_committed + out->n_shown, <=, heard.h.n_words);
    for (guint i = 0; i < out->n_committed; i++) {
      const NpuHypothesisWord *word = &heard.out[out->first + i];

      g_assert_cmpuint (word->start, >=, MAX (last, decided));
      g_assert_cmpuint (word->end, >=, word->start);
      last = word->end;
    }
    g_assert_cmpuint (out->until, <=, out->decided);
    g_assert_cmpuint (out->sentence, <=, out->until);
    g_assert_cmpuint (out->decided, >=, decided);
    decided = out->decided;
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/commitment/speaker", test_speaker);
  g_test_add_func ("/commitment/late-cut", test_late_cut);
  g_test_add_func ("/commitment/rest-at-cut", test_rest_at_cut);
  g_test_add_func ("/commitment/margin", test_margin);
  g_test_add_func ("/commitment/last-word-waits", test_last_word_waits);
  g_test_add_func ("/commitment/due", test_due);
  g_test_add_func ("/commitment/held", test_held);
  g_test_add_func ("/commitment/find-repetition", test_find_repetition);
  g_test_add_func ("/commitment/loop", test_loop);
  g_test_add_func ("/commitment/loop-in-prefix", test_loop_in_prefix);
  g_test_add_func ("/commitment/said-again", test_said_again);
  g_test_add_func ("/commitment/jump-back", test_jump_back);
  g_test_add_func ("/commitment/crowd", test_crowd);
  g_test_add_func ("/commitment/behind-audio", test_behind_audio);
  g_test_add_func ("/commitment/silence", test_silence);
  g_test_add_func ("/commitment/draft", test_draft);
  g_test_add_func ("/commitment/anything", test_anything);
  return g_test_run ();
}
