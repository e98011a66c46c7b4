/* Which words of a growing window are final, on a virtual clock.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "commitment-rig.h"

#include "decoding/random.h"

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
  g_test_add_func ("/commitment/draft", test_draft);
  g_test_add_func ("/commitment/anything", test_anything);
  return g_test_run ();
}
