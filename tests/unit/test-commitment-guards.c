/* What guards leave of a hypothesis: loops, jumps back, crowds, silence.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "commitment-rig.h"

#include <math.h>

#include "decoding/repetition.h"

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

/* An utterance of a word or two, when it has ended. */
static void
test_few_words (void)
{
  g_autoptr (NpuCommitment) commitment = npu_commitment_new (&usual);
  Heard heard;

  for (guint n = 1; n <= 3; n++) {
    begin (commitment, n * 2000, TRUE);
    heard_begin (&heard, n * 2000, n * 2000 + 1000);
    for (guint i = 0; i < n; i++)
      heard_add (&heard, i, n * 2000 + i * 300, n * 2000 + (i + 1) * 300);
    heard.h.avg_logprob = -1.24f;
    commit (commitment, &heard);
    g_assert_cmpuint (heard.commit.n_committed + heard.commit.n_shown, ==, 0);
    heard.h.is_last = TRUE;
    heard.h.avg_logprob = -1.26f;
    commit (commitment, &heard);
    g_assert_cmpuint (heard.commit.n_committed, ==, 0);
    heard.h.avg_logprob = -1.24f;
    heard.h.no_speech_prob = 0.61f;
    commit (commitment, &heard);
    g_assert_cmpuint (heard.commit.n_committed, ==, 0);
    heard.h.no_speech_prob = 0.59f;
    commit (commitment, &heard);
    g_assert_cmpuint (heard.commit.n_committed, ==, n <= 2 ? n : 0);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/commitment/find-repetition", test_find_repetition);
  g_test_add_func ("/commitment/few-words", test_few_words);
  g_test_add_func ("/commitment/loop", test_loop);
  g_test_add_func ("/commitment/loop-in-prefix", test_loop_in_prefix);
  g_test_add_func ("/commitment/said-again", test_said_again);
  g_test_add_func ("/commitment/jump-back", test_jump_back);
  g_test_add_func ("/commitment/crowd", test_crowd);
  g_test_add_func ("/commitment/behind-audio", test_behind_audio);
  g_test_add_func ("/commitment/silence", test_silence);
  return g_test_run ();
}
