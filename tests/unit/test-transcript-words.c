/* Segments with the times of their words: shared out, clamped, and how far a
 * window is used up by them. Where tokens look is scripted.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "transcript/npu-transcript.h"

#include <string.h>

#include "npu-error.h"
#include "tokenizer/tokenizer-private.h"
#include "transcript/transcript-private.h"

#define MS G_GUINT64_CONSTANT (1000000)
#define SECOND (1000 * MS)
#define POSITIONS 1500
#define MAX_TOKENS 64

static NpuTokenizer *tokenizer;
static NpuSpecialTokens special;

/* The next answer: tokens, and for each of its text tokens where it is heard,
 * in positions. */
typedef struct {
  guint32 tokens[MAX_TOKENS];
  guint n_tokens;
  guint at[MAX_TOKENS], n_at;
  guint end; /* where the last one ends */
  float probability;
  gboolean fails;

  guint n_rows; /* that were given since a sequence was begun */
  guint n_looks;
} Script;

static gboolean
decode (gpointer data, guint window, const NpuDecodingOptions *options,
    const guint32 *prompt, guint n_prompt, NpuDecodedWindow *decoded,
    GError **error)
{
  Script *script = data;

  *decoded = (NpuDecodedWindow){
      .tokens = g_array_new (FALSE, FALSE, sizeof (guint32)),
      .text = g_strdup (""),
      .n_tries = 1,
      .language = 0,
      .language_prob = 1,
  };
  g_array_append_vals (decoded->tokens, script->tokens, script->n_tokens);
  return TRUE;
}

static void
begin (gpointer self, guint sequence, guint window)
{
  Script *script = self;

  script->n_rows = 0;
  script->n_looks++;
}

static guint
get_window_positions (gpointer self, guint window)
{
  return POSITIONS;
}

/* Before the text stand sot, language, task and notimestamps, whose last tells
 * where the first token is heard. */
static gboolean
step_attending (gpointer self, const NpuDecoderRow *rows, guint n_rows,
    float *const *logits, float *const *attention, GError **error)
{
  Script *script = self;
  guint n_logits = 0;

  if (script->fails) {
    g_set_error_literal (error, NPU_ERROR, NPU_ERROR_LOST, "as scripted");
    return FALSE;
  }
  for (guint i = 0; i < n_rows; i++) {
    const guint row = script->n_rows++;
    const guint k = row - 3;
    const guint from = row < 3 || k > script->n_at ? 0
                       : k < script->n_at          ? script->at[k]
                                                   : script->end;
    const guint until = row < 3 || k > script->n_at ? 0
                        : k == script->n_at         ? POSITIONS
                        : k + 1 < script->n_at      ? script->at[k + 1]
                                                    : script->end;

    for (guint p = 0; p < POSITIONS; p++)
      attention[i][p] = p >= from && p < until ? 10 : 0;
    if (rows[i].wants_logits) {
      float *to = logits[n_logits++];
      const guint32 next = rows[i + 1 < n_rows ? i + 1 : i].token;

      for (guint id = 0; id < special.n_vocab; id++)
        to[id] = 0;
      /* Of two, all others being far away, the next has it. */
      for (guint id = 0; id < special.eot; id++)
        to[id] = id == next ? 0 : -1000;
      to[next == 0] = 0;
      if (script->probability < 0.5f)
        for (guint id = 0; id < 20; id++)
          to[id] = 0;
    }
  }
  return TRUE;
}

static NpuTranscript *
new_transcript (Script *script, double threshold)
{
  const NpuLogitsSource source = {.self = script,
      .n_vocab = 51865,
      .n_positions = 448,
      .begin = begin,
      .n_heads = 1,
      .get_window_positions = get_window_positions,
      .step_attending = step_attending};
  NpuTranscriptOptions options = {.words = TRUE,
      .hallucination_silence_threshold = threshold,
      .condition_on_previous_text = TRUE,
      .language_interval = G_MAXUINT64};
  NpuTranscript *transcript;

  npu_decoding_options_init (&options.decoding);
  transcript = npu_transcript_new (&source, tokenizer, &options);
  npu_transcript_set_decode_func (transcript, decode, script);
  return transcript;
}

typedef struct {
  GString *log;
  guint64 last_end, until;
} Heard;

/* "1.00-2.00[1.00-1.50 1.50-2.00] " */
static void
on_segment (const NpuSegment *segment, gpointer data)
{
  Heard *heard = data;
  guint64 at = segment->start;

  g_assert_cmpuint (segment->start, >=, heard->last_end);
  g_assert_cmpuint (segment->start, <, segment->end);
  g_assert_cmpuint (segment->end, <=, heard->until);
  heard->last_end = segment->end;
  g_string_append_printf (
      heard->log, "%.2f-%.2f[", segment->start / 1e9, segment->end / 1e9);
  for (guint i = 0; i < segment->n_words; i++) {
    const NpuTimedWord *word = &segment->words[i];

    g_assert_true (g_utf8_validate (word->text, -1, NULL));
    g_assert_cmpuint (word->start, <=, word->end);
    g_assert_cmpuint (word->start, >=, at);
    g_assert_cmpuint (word->end, <=, segment->end);
    at = word->end;
    g_string_append_printf (heard->log, "%s%.2f-%.2f", i ? " " : "",
        word->start / 1e9, word->end / 1e9);
  }
  g_string_append (heard->log, "] ");
}

/* Returns how far the window was used, in ms from its start. */
static guint64
add (NpuTranscript *transcript, guint64 start, guint64 duration, Heard *heard)
{
  guint64 used_until;
  g_autoptr (GError) error = NULL;

  heard->until = start + duration;
  npu_transcript_add_window (transcript, 0, start, duration, on_segment, heard,
      NULL, &used_until, &error);
  g_assert_no_error (error);
  return (used_until - start) / MS;
}

/* "<0.00> a b <1.00>": a time, or a word that is heard at 20 ms times the
 * number that follows it: a@50. A "." is a mark. */
static void
set_answer (Script *script, const char *answer, guint end)
{
  g_auto (GStrv) parts = g_strsplit (answer, " ", -1);

  script->n_tokens = script->n_at = 0;
  script->probability = 1;
  script->end = end;
  for (guint i = 0; parts[i]; i++) {
    const char *at = strchr (parts[i], '@');
    guint32 *token = &script->tokens[script->n_tokens++];

    if (parts[i][0] == '<')
      *token = special.timestamp_begin +
               (guint32) (g_ascii_strtod (parts[i] + 1, NULL) * 50 + 0.5);
    else
      *token = parts[i][0] == '.' ? '.' - '!' : 1000 + i;
    if (at)
      script->at[script->n_at++] = (guint) g_ascii_strtoull (at + 1, NULL, 10);
  }
}

static void
check (Heard *heard, const char *expected)
{
  g_assert_cmpstr (heard->log->str, ==, expected);
  g_string_truncate (heard->log, 0);
}

static Heard
new_heard (void)
{
  return (Heard){.log = g_string_new (NULL)};
}

/* Segments take the times of their words, of which a window's first begins with
 * it, unless it were too long after a pause; the next window begins behind the
 * last one, unless nothing is said after it. */
static void
test_times (void)
{
  Script script = {0};
  g_autoptr (NpuTranscript) transcript = new_transcript (&script, 0);
  Heard heard = new_heard ();

  set_answer (&script,
      "<0.00> a@50 b@70 .@90 <4.00> <4.00> c@200 d@230 <6.00> <6.00>", 250);
  g_assert_cmpuint (add (transcript, 0, 30 * SECOND, &heard), ==, 5000);
  check (&heard, "0.00-1.80[0.00-1.40 1.40-1.80] 4.00-5.00[4.00-4.60 "
                 "4.60-5.00] ");
  /* Here is one timestamp at the end. */
  set_answer (&script, "<0.00> a@20 b@40 <4.00>", 60);
  g_assert_cmpuint (
      add (transcript, 5 * SECOND, 30 * SECOND, &heard), ==, 30000);
  check (&heard, "5.00-6.20[5.00-5.80 5.80-6.20] ");
  /* And none. */
  set_answer (&script, "<0.00> a@20 b@40", 60);
  g_assert_cmpuint (
      add (transcript, 35 * SECOND, 30 * SECOND, &heard), ==, 1200);
  check (&heard, "35.00-36.20[35.00-35.80 35.80-36.20] ");
  g_assert_cmpuint (script.n_looks, ==, 3);
  g_string_free (heard.log, TRUE);
}

/* A stream does not begin at 0, nor does time go back. */
static void
test_stream (void)
{
  Script script = {0};
  g_autoptr (NpuTranscript) transcript = new_transcript (&script, 0);
  Heard heard = new_heard ();

  set_answer (&script, "<0.00> a@50 b@70 <4.00>", 90);
  add (transcript, 3600 * SECOND, 30 * SECOND, &heard);
  check (&heard, "3600.00-3601.80[3600.00-3601.40 3601.40-3601.80] ");
  /* Before the end of the last: kept from going back. */
  add (transcript, 3600 * SECOND, 30 * SECOND, &heard);
  check (&heard, "");
  set_answer (&script, "<0.00> a@50 b@70 <4.00>", 110);
  add (transcript, 3600 * SECOND, 30 * SECOND, &heard);
  check (&heard, "3601.80-3602.20[3601.80-3601.80 3601.80-3602.20] ");
  /* Behind the audio. */
  set_answer (&script, "<0.00> a@50 b@70 <4.00>", 110);
  g_assert_cmpuint (
      add (transcript, 3610 * SECOND, 1200 * MS, &heard), <=, 1200);
  g_string_free (heard.log, TRUE);
}

/* Unlikely text behind silence goes, and the next window begins behind it. */
static void
test_hallucination (void)
{
  const char *answer = "<0.00> a@500 b@520 <12.00> <12.00>";
  Script script = {0};
  g_autoptr (NpuTranscript) with = new_transcript (&script, 2);
  g_autoptr (NpuTranscript) without = new_transcript (&script, 0);
  Heard heard = new_heard (), other = new_heard ();

  set_answer (&script, answer, 540);
  script.probability = 0.01f;
  g_assert_cmpuint (add (without, 0, 30 * SECOND, &other), ==, 10800);
  check (&other, "9.00-10.80[9.00-10.40 10.40-10.80] ");
  g_assert_cmpuint (add (with, 0, 30 * SECOND, &heard), ==, 9000);
  check (&heard, "");
  /* Likely text stays. */
  set_answer (&script, answer, 540);
  add (with, 10 * SECOND, 30 * SECOND, &heard);
  check (&heard, "19.00-20.80[19.00-20.40 20.40-20.80] ");
  g_string_free (heard.log, TRUE);
  g_string_free (other.log, TRUE);
}

/* Nothing is said where it is quiet: a word is heard before that, or behind it.
 * The next window does not know, nor does it begin elsewhere. */
static void
test_pauses (void)
{
  static const NpuPause pauses[] = {{0, 900 * MS}, {920 * MS, 1350 * MS},
      {2000 * MS, 4200 * MS}, {5000 * MS, 5200 * MS}};
  static const NpuPause all = {0, 30 * SECOND}, early = {500 * MS, 1800 * MS};
  const char *answer = "<0.00> a@40 b@70 c@180 d@250 <6.00> <6.00>";
  Script script = {0};
  g_autoptr (NpuTranscript) transcript = new_transcript (&script, 0);
  Heard heard = new_heard ();

  set_answer (&script, answer, 270);
  npu_transcript_set_pauses (transcript, pauses, G_N_ELEMENTS (pauses));
  g_assert_cmpuint (add (transcript, 0, 30 * SECOND, &heard), ==, 5400);
  check (&heard, "0.85-5.40[0.85-1.40 1.40-2.10 3.70-5.00 5.00-5.40] ");
  g_assert_cmpuint (
      add (transcript, 10 * SECOND, 30 * SECOND, &heard), ==, 5400);
  check (
      &heard, "10.80-15.40[10.80-12.20 12.20-13.60 13.60-15.00 15.00-15.40] ");
  /* Its end is often heard early. */
  npu_transcript_reset (transcript);
  heard.last_end = 0;
  npu_transcript_set_pauses (transcript, &early, 1);
  set_answer (&script, "<0.00> a@40 b@60 c@80 <6.00>", 270);
  add (transcript, 0, 30 * SECOND, &heard);
  check (&heard, "0.00-5.40[0.00-0.60 1.30-1.60 1.60-5.40] ");
  npu_transcript_reset (transcript);
  /* What is heard in a pause alone stays where it is. */
  set_answer (&script, answer, 270);
  npu_transcript_set_pauses (transcript, &all, 1);
  add (transcript, 20 * SECOND, 30 * SECOND, &heard);
  check (
      &heard, "20.00-25.40[20.00-21.40 21.40-23.60 23.60-25.00 25.00-25.40] ");
  g_string_free (heard.log, TRUE);
}

/* Somebody begins to speak just before the end of a window, and of that it has
 * no text: the next one begins before. */
static void
test_late_voice (void)
{
  static const NpuPause late = {2000 * MS, 29400 * MS};
  static const NpuPause early = {2000 * MS, 28900 * MS};
  Script script = {0};
  g_autoptr (NpuTranscript) transcript = new_transcript (&script, 0);
  Heard heard = new_heard ();

  set_answer (&script, "<0.00> a@20 b@40 <4.00>", 60);
  npu_transcript_set_pauses (transcript, &late, 1);
  g_assert_cmpuint (add (transcript, 0, 30 * SECOND, &heard), ==, 29200);
  npu_transcript_reset (transcript);
  heard.last_end = 0;
  npu_transcript_set_pauses (transcript, &early, 1);
  g_assert_cmpuint (add (transcript, 0, 30 * SECOND, &heard), ==, 30000);
  npu_transcript_reset (transcript);
  heard.last_end = 0;
  npu_transcript_set_pauses (transcript, &late, 1);
  npu_transcript_set_followed (transcript, FALSE, FALSE);
  g_assert_cmpuint (add (transcript, 0, 30 * SECOND, &heard), ==, 30000);
  g_string_free (heard.log, TRUE);
}

/* The transcript is as it was. */
static void
test_failure (void)
{
  Script script = {0};
  g_autoptr (NpuTranscript) transcript = new_transcript (&script, 0);
  g_autoptr (GError) error = NULL;
  Heard heard = new_heard ();
  guint64 used;

  set_answer (&script, "<0.00> a@50 b@70 <4.00>", 90);
  script.fails = TRUE;
  g_assert_false (npu_transcript_add_window (
      transcript, 0, 0, 30 * SECOND, on_segment, &heard, NULL, &used, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_LOST);
  script.fails = FALSE;
  add (transcript, 0, 30 * SECOND, &heard);
  check (&heard, "0.00-1.80[0.00-1.40 1.40-1.80] ");
  g_string_free (heard.log, TRUE);
}

/* Whatever the answer and wherever tokens look. */
static void
test_random (void)
{
  GRand *rand = g_rand_new_with_seed (5);

  for (guint round = 0; round < 150; round++) {
    Script script = {0};
    g_autoptr (NpuTranscript) transcript =
        new_transcript (&script, round % 3 ? 0 : 1);
    Heard heard = new_heard ();
    guint64 start = g_rand_int_range (rand, 0, 5) * SECOND;

    for (guint window = 0; window < 3; window++) {
      const guint64 duration = g_rand_int_range (rand, 1, 3000) * 10 * MS;

      script.n_tokens = g_rand_int_range (rand, 0, MAX_TOKENS);
      script.n_at = MAX_TOKENS;
      script.end = g_rand_int_range (rand, 0, POSITIONS);
      script.probability = (float) g_rand_double (rand);
      for (guint i = 0; i < MAX_TOKENS; i++) {
        script.at[i] = g_rand_int_range (rand, 0, POSITIONS);
        script.tokens[i] = (guint32) g_rand_int_range (rand, 0, 2000);
        if (g_rand_int_range (rand, 0, 3) == 0)
          script.tokens[i] = special.timestamp_begin +
                             (guint32) g_rand_int_range (rand, 0, 1501);
      }
      start += add (transcript, start, duration, &heard) * MS;
    }
    g_string_free (heard.log, TRUE);
  }
  g_rand_free (rand);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  npu_special_tokens_init (&special, 51865);
  tokenizer = npu_tokenizer_new_of_vocabulary (
      npu_vocabulary_new_synthetic (&special, "small"));
  g_test_add_func ("/transcript-words/times", test_times);
  g_test_add_func ("/transcript-words/stream", test_stream);
  g_test_add_func ("/transcript-words/hallucination", test_hallucination);
  g_test_add_func ("/transcript-words/pauses", test_pauses);
  g_test_add_func ("/transcript-words/late-voice", test_late_voice);
  g_test_add_func ("/transcript-words/failure", test_failure);
  g_test_add_func ("/transcript-words/random", test_random);
  status = g_test_run ();
  npu_tokenizer_unref (tokenizer);
  return status;
}
