/* Windows that overlap: what both heard is told once, and nothing is lost.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "transcript/overlap.h"

#include <string.h>

#include "decoding/random.h"

#define MS G_GUINT64_CONSTANT (1000000)
#define SECOND (1000 * MS)
#define EOT 1000

/* What a window heard: words with their times in ms, a segment of them all. */
typedef struct {
  GArray *words; /* of NpuTimedWord */
} Answer;

static Answer
answer_new (void)
{
  return (Answer){g_array_new (FALSE, FALSE, sizeof (NpuTimedWord))};
}

static void
answer_clear (Answer *answer)
{
  for (guint i = 0; i < answer->words->len; i++)
    g_free (g_array_index (answer->words, NpuTimedWord, i).text);
  g_array_unref (answer->words);
}

static void
answer_add (Answer *answer, const char *text, guint64 start, guint64 end)
{
  NpuTimedWord word = {.text = g_strconcat (" ", text, NULL),
      .start = start,
      .end = end,
      .probability = 1,
      .n_tokens = 1};

  g_array_append_val (answer->words, word);
}

/* As one segment: a timestamp, a token a word, a timestamp. */
static void
hear (NpuOverlap *next, const Answer *answer)
{
  const guint n = answer->words->len;
  const NpuTimedWord *words = (NpuTimedWord *) answer->words->data;
  const NpuDecodedWindow window = {.language = 1, .avg_logprob = -0.5f};
  g_autofree guint32 *tokens = g_new (guint32, n + 2);
  NpuSegment segment = {.text = "not looked at",
      .tokens = tokens,
      .n_tokens = n + 2,
      .words = words,
      .n_words = n,
      .window = &window};

  if (n == 0)
    return;
  segment.start = words[0].start;
  segment.end = words[n - 1].end;
  tokens[0] = EOT + 1;
  for (guint i = 0; i < n; i++)
    tokens[i + 1] = i;
  tokens[n + 1] = EOT + 2;
  npu_overlap_add (next, &segment);
}

/* What is told: text, with a bar behind each segment. */
typedef struct {
  GString *text;
  guint64 end;
} Told;

static void
take (const NpuSegment *segment, gpointer user_data)
{
  Told *told = user_data;
  guint n_text = 0;
  guint64 at = segment->start;

  g_assert_cmpuint (segment->start, >=, told->end);
  g_assert_cmpuint (segment->start, <, segment->end);
  g_assert_cmpint (segment->window->language, ==, 1);
  g_assert_null (segment->window->tokens);
  for (guint i = 0; i < segment->n_tokens; i++)
    n_text += segment->tokens[i] < EOT;
  g_assert_cmpuint (n_text, ==, segment->n_words);
  for (guint i = 0; i < segment->n_words; i++) {
    g_assert_cmpuint (segment->words[i].start, >=, at);
    g_assert_cmpuint (segment->words[i].end, >=, segment->words[i].start);
    at = segment->words[i].end;
  }
  g_assert_cmpuint (at, <=, segment->end);
  told->end = segment->end;
  g_string_append_printf (told->text, "%s| ", segment->text);
}

/* --- two windows, of 10 s, the second from 6 s on ------------------------ */

/* "word@ms" with blanks between: each word takes 300 ms. */
static Answer
parse (const char *text)
{
  g_auto (GStrv) parts = g_strsplit (text, " ", -1);
  Answer answer = answer_new ();

  for (guint i = 0; parts[i] && *parts[i]; i++) {
    char *at = strchr (parts[i], '@');
    const guint64 start = g_ascii_strtoull (at + 1, NULL, 10) * MS;

    *at = '\0';
    answer_add (&answer, parts[i], start, start + 300 * MS);
  }
  return answer;
}

static void
check_two (const char *first, const char *second, const char *expected)
{
  const char *const texts[] = {first, second};
  Told told = {g_string_new (NULL), 0};
  NpuOverlap overlap, next;

  npu_overlap_init (&overlap, EOT);
  npu_overlap_init (&next, EOT);
  for (guint i = 0; i < 2; i++) {
    Answer answer = parse (texts[i]);

    hear (&next, &answer);
    g_assert_cmpuint (
        npu_overlap_join (&overlap, &next, i * 6 * SECOND,
            i * 6 * SECOND + 10 * SECOND, 4 * SECOND, take, &told),
        <=, i * 6 * SECOND + 6 * SECOND);
    answer_clear (&answer);
  }
  npu_overlap_finish (&overlap, take, &told);
  g_assert_cmpstr (told.text->str, ==, expected);
  npu_overlap_clear (&overlap);
  npu_overlap_clear (&next);
  g_string_free (told.text, TRUE);
}

static void
test_two (void)
{
  /* the same words at about the same times */
  check_two ("a@1000 see@6500 them@7500 come@8500 hom@9700",
      "see@6600 them@7900 come@8300 home@9600 soon@12000",
      "a see them come| home soon| ");
  /* a word around the middle has other times: neither twice nor never */
  check_two ("a@1000 alpha@7700", "alpha@8200 beta@9000", "a alpha| beta| ");
  check_two ("a@1000 alpha@8200 b@9000", "alpha@7600 b@9000", "a alpha b| ");
  /* nothing alike: each has its half */
  check_two ("a@1000 b@6500 c@9000", "d@6500 e@9000", "a b| e| ");
  /* only one heard something there */
  check_two ("a@1000 b@6500 c@9500", "d@12000", "a b c| d| ");
  check_two ("a@1000 b@6500 c@9500", "", "a b c| ");
  check_two ("a@1000", "b@6100 c@9500", "a| b c| ");
  check_two ("", "b@6100 c@9500", "b c| ");
  /* what is said again and again, by its time */
  check_two ("no@6000 no@7000 no@8000 no@9000",
      "no@6050 no@7050 no@8050 no@9050 no@10050", "no no no| no no| ");
  /* marks and capitals are no difference */
  check_two ("one@6500 two,@7500 three@8500", "Two@7400 three.@8600 four@11000",
      "one two,| three. four| ");
}

/* --- many windows -------------------------------------------------------- */

/* Words of a stream of @length as a window hears them that begins at @start:
 * times are off, and what it has a part of is another word, or none. */
static Answer
hear_stream (
    NpuRandom *random, const GArray *stream, guint64 start, guint64 end)
{
  Answer answer = answer_new ();

  for (guint i = 0; i < stream->len; i++) {
    const NpuTimedWord *word = &g_array_index (stream, NpuTimedWord, i);
    const guint64 from = MAX (word->start, start), to = MIN (word->end, end);
    const guint64 late = (guint64) (npu_random_next (random) * 100) * MS;

    if (from >= to)
      continue;
    if (to - from == word->end - word->start)
      answer_add (
          &answer, word->text, MIN (from + late, to), MIN (to + late, end));
    else if (npu_random_next (random) < 0.5)
      answer_add (&answer, "part", from, to);
  }
  return answer;
}

/* Words that are all different, and no two windows know when exactly they come:
 * each is told once, and no part of one. */
static void
check_stream (guint seed)
{
  NpuRandom random = {npu_random_seed (seed, 1)};
  g_autoptr (GArray) stream = g_array_new (FALSE, FALSE, sizeof (NpuTimedWord));
  g_autoptr (GString) expected = g_string_new (NULL);
  Told told = {g_string_new (NULL), 0};
  const guint64 window = 10 * SECOND;
  const guint64 hop = (4 + (guint64) (npu_random_next (&random) * 4)) * SECOND;
  NpuOverlap overlap, next;
  guint64 at = 0, start = 0;

  for (guint i = 0; at < 60 * SECOND; i++) {
    NpuTimedWord word = {.text = g_strdup_printf ("w%u", i)};

    word.start = at + (guint64) (npu_random_next (&random) * 300) * MS;
    word.end =
        word.start + (150 + (guint64) (npu_random_next (&random) * 350)) * MS;
    at = word.end;
    g_array_append_val (stream, word);
    g_string_append_printf (expected, "%s ", word.text);
  }
  npu_overlap_init (&overlap, EOT);
  npu_overlap_init (&next, EOT);
  while (TRUE) {
    const guint64 end = MIN (start + window, at);
    Answer answer = hear_stream (&random, stream, start, end);

    hear (&next, &answer);
    npu_overlap_join (&overlap, &next, start, end, window - hop, take, &told);
    answer_clear (&answer);
    if (end == at)
      break;
    start += hop;
  }
  npu_overlap_finish (&overlap, take, &told);
  g_string_replace (told.text, "|", "", 0);
  g_assert_cmpstr (told.text->str, ==, expected->str);
  for (guint i = 0; i < stream->len; i++)
    g_free (g_array_index (stream, NpuTimedWord, i).text);
  npu_overlap_clear (&overlap);
  npu_overlap_clear (&next);
  g_string_free (told.text, TRUE);
}

static void
test_stream (void)
{
  for (guint seed = 0; seed < 300; seed++) {
    g_test_message ("seed %u", seed);
    check_stream (seed);
  }
}

/* Words as no decoder would find them: of one letter or none, at the same time,
 * in windows that overlap, or do not. take() looks at what comes. */
static void
test_whatever_comes (void)
{
  for (guint seed = 0; seed < 500; seed++) {
    NpuRandom random = {npu_random_seed (seed, 2)};
    Told told = {g_string_new (NULL), 0};
    NpuOverlap overlap, next;
    guint64 start = 0, length;

    g_test_message ("seed %u", seed);
    npu_overlap_init (&overlap, EOT);
    npu_overlap_init (&next, EOT);
    for (guint i = 0; i < 8; i++) {
      const guint n_segments = (guint) (npu_random_next (&random) * 4);
      guint64 at = start;

      length = (guint64) (100 + npu_random_next (&random) * 9900) * MS;
      for (guint j = 0; j < n_segments; j++) {
        const guint n = (guint) (npu_random_next (&random) * 6);
        Answer answer = answer_new ();

        for (guint k = 0; k < n; k++) {
          static const char *const texts[] = {"a", "b", "--", "a.", "long"};
          const guint64 begin = at;

          at += (guint64) (MAX (npu_random_next (&random) - 0.3, 0) *
                           (double) (start + length - at));
          answer_add (&answer, texts[(guint) (npu_random_next (&random) * 5)],
              begin, at);
        }
        if (n > 0 && at > start)
          hear (&next, &answer);
        answer_clear (&answer);
      }
      npu_overlap_join (&overlap, &next, start, start + length,
          (guint64) (npu_random_next (&random) * 6) * SECOND, take, &told);
      start += (guint64) (npu_random_next (&random) * 12000) * MS;
    }
    npu_overlap_finish (&overlap, take, &told);
    npu_overlap_clear (&overlap);
    npu_overlap_clear (&next);
    g_string_free (told.text, TRUE);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/overlap/two-windows", test_two);
  g_test_add_func ("/overlap/each-word-once", test_stream);
  g_test_add_func ("/overlap/whatever-comes", test_whatever_comes);
  return g_test_run ();
}
