/* Whatever is decoded, windows get on and segments are in order.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "transcript/npu-transcript.h"

#include <string.h>

#include "decoding/random.h"
#include "npu-error.h"
#include "tokenizer/tokenizer-private.h"
#include "transcript/cue-text.h"
#include "transcript/transcript-private.h"

#define MS G_GUINT64_CONSTANT (1000000)
#define SECOND (1000 * MS)

static NpuTokenizer *tokenizer;
static guint32 zero; /* the timestamp 0.00 */

/* The next answer, and what was asked for it. */
typedef struct {
  const guint32 *tokens;
  guint n_tokens;
  gboolean is_cut, fails;
  float no_speech_prob, temperature;
  int language; /* that is detected */

  guint n_calls;
  NpuDecodingOptions asked;
  guint n_prompt;
  guint32 newest; /* of the prompt; 0 without */
} Script;

static gboolean
decode (gpointer data, guint window, const NpuDecodingOptions *options,
    const guint32 *prompt, guint n_prompt, NpuDecodedWindow *decoded,
    GError **error)
{
  Script *script = data;

  script->n_calls++;
  script->asked = *options;
  script->n_prompt = n_prompt;
  script->newest = n_prompt > 0 ? prompt[n_prompt - 1] : 0;
  if (script->fails) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_LOST, "as the script has it");
    return FALSE;
  }
  *decoded = (NpuDecodedWindow){
      .tokens = g_array_new (FALSE, FALSE, sizeof (guint32)),
      .text = g_strdup (""),
      .no_speech_prob = script->no_speech_prob,
      .temperature = script->temperature,
      .n_tries = 1,
      .is_cut = script->is_cut,
      .is_silence = script->no_speech_prob > 0.9f,
      .language = options->language < 0 ? script->language : options->language,
      .language_prob = options->language < 0 ? 0.5f : 1,
  };
  g_array_append_vals (decoded->tokens, script->tokens, script->n_tokens);
  return TRUE;
}

static void
init_options (NpuTranscriptOptions *options)
{
  *options = (NpuTranscriptOptions){
      .condition_on_previous_text = TRUE, .language_interval = G_MAXUINT64};
  npu_decoding_options_init (&options->decoding);
}

static NpuTranscript *
new_transcript (const NpuTranscriptOptions *options, Script *script)
{
  const NpuLogitsSource source = {.n_vocab = 51865, .n_positions = 448};
  NpuTranscript *transcript = npu_transcript_new (&source, tokenizer, options);

  npu_transcript_set_decode_func (transcript, decode, script);
  return transcript;
}

/* What has been heard. */
typedef struct {
  guint64 last_end, audio_end;
  guint n;
  GString *log;
} Heard;

static void
on_segment (const NpuSegment *segment, gpointer data)
{
  Heard *heard = data;

  g_assert_cmpuint (segment->start, >=, heard->last_end);
  g_assert_cmpuint (segment->start, <, segment->end);
  g_assert_cmpuint (segment->end, <=, heard->audio_end);
  g_assert_cmpuint (strlen (segment->text), >, 0);
  g_assert_true (g_utf8_validate (segment->text, -1, NULL));
  g_assert_null (strpbrk (segment->text, "\n\r"));
  g_assert_null (strstr (segment->text, "-->"));
  g_assert_cmpuint (segment->n_tokens, >, 0);
  heard->last_end = segment->end;
  heard->n++;
  if (heard->log)
    g_string_append_printf (
        heard->log, "%.2f-%.2f ", segment->start / 1e9, segment->end / 1e9);
}

/* Adds a window; returns how far it was used, in ms from its start. */
static guint64
add (NpuTranscript *transcript, guint64 start, guint64 duration, Heard *heard)
{
  guint64 used_until;
  g_autoptr (GError) error = NULL;

  heard->audio_end = start + duration;
  npu_transcript_add_window (transcript, 0, start, duration, on_segment, heard,
      NULL, &used_until, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (used_until, <=, start + duration);
  g_assert_cmpuint (used_until, >=, start + MIN (duration, 10 * MS));
  return (used_until - start) / MS;
}

/* Tokens as no decoder would sample them: text, times back and forth, special
 * tokens, half characters. */
static guint
random_answer (NpuRandom *random, guint32 *tokens, guint max)
{
  const guint n = (guint) (npu_random_next (random) * max);

  for (guint i = 0; i < n; i++) {
    const double kind = npu_random_next (random);
    const double value = npu_random_next (random);

    if (kind < 0.4)
      tokens[i] = zero + (guint32) (value * NPU_N_TIMESTAMPS);
    else if (kind < 0.5 && i > 0)
      tokens[i] = tokens[i - 1];
    else if (kind < 0.6)
      tokens[i] = (guint32) (value * 51865);
    else
      tokens[i] = (guint32) (value * 400);
  }
  return n;
}

static void
test_any_answer (void)
{
  NpuRandom random = {11};

  for (guint round = 0; round < 300; round++) {
    guint32 tokens[40];
    Script script = {.tokens = tokens};
    Heard heard = {0};
    NpuTranscriptOptions options;
    g_autoptr (NpuTranscript) transcript = NULL;
    const guint64 end = (guint64) (npu_random_next (&random) * 200 * SECOND);
    guint64 at = 0;
    guint n_windows = 0;

    init_options (&options);
    options.condition_on_previous_text = round % 2;
    transcript = new_transcript (&options, &script);
    while (at < end) {
      script.n_tokens = random_answer (&random, tokens, G_N_ELEMENTS (tokens));
      script.is_cut = npu_random_next (&random) < 0.3;
      script.no_speech_prob = (float) npu_random_next (&random);
      at += add (transcript, at, MIN (30 * SECOND, end - at), &heard) * MS;
      g_assert_cmpuint (script.n_prompt, <=, 223);
      if (end - at < MS)
        break;
      g_assert_cmpuint (++n_windows, <, 30000);
    }
  }
}

static void
test_segments (void)
{
  const guint32 a = 300, t = zero;
  const struct {
    guint32 tokens[8];
    guint n, is_cut, ms, used;
    const char *segments;
  } cases[] = {
      /* pairs: the rest belongs to the next window */
      {{t, a, t + 100, t + 100, a}, 5, 0, 30000, 2000, "0.00-2.00 "},
      {{t, a, t + 100, t + 150, a, t + 200}, 6, 0, 30000, 30000,
          "0.00-2.00 3.00-4.00 "},
      /* cut: goes on at the last closed timestamp */
      {{t, a, t + 100, t + 150, a, t + 200}, 6, 1, 30000, 4000,
          "0.00-2.00 3.00-4.00 "},
      {{t, a, t + 100}, 3, 1, 30000, 2000, "0.00-2.00 "},
      {{t, a, a}, 3, 1, 30000, 30000, "0.00-30.00 "},
      /* without any time */
      {{a, a}, 2, 0, 12340, 12340, "0.00-12.34 "},
      {{0}, 0, 0, 12340, 12340, ""},
      /* its own start; the first timestamp is no end */
      {{t + 30, a}, 2, 0, 10000, 10000, "0.60-10.00 "},
      {{t + 30, a, t + 60}, 3, 0, 10000, 10000, "0.60-1.20 "},
      /* ends within the audio, and so does what is used */
      {{t, a, t + 100}, 3, 0, 550, 550, "0.00-0.55 "},
      {{t + 40, a, t + 100}, 3, 0, 550, 550, "0.00-0.55 "},
      {{t, a, t + 100, t + 200, a, t + 300}, 6, 0, 2500, 2500, "0.00-2.00 "},
      {{t, a, t + 400, t + 400}, 4, 0, 5000, 5000, "0.00-5.00 "},
      {{t, a, t + 1500, t + 1500}, 4, 0, 30000, 30000, "0.00-30.00 "},
      /* pairs that would not get on */
      {{t, t}, 2, 0, 30000, 30000, ""},
      {{t, t, a}, 3, 0, 30000, 30000, "0.00-30.00 "},
      {{t, t, a, t + 50}, 4, 0, 30000, 30000, "0.00-1.00 "},
      /* time goes back: what was closed stays */
      {{t, a, t + 500, t + 500, a, t + 250, t + 250}, 7, 0, 30000, 10000,
          "0.00-10.00 "},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    Script script = {.tokens = cases[i].tokens,
        .n_tokens = cases[i].n,
        .is_cut = cases[i].is_cut};
    g_autoptr (GString) log = g_string_new (NULL);
    Heard heard = {.log = log};
    NpuTranscriptOptions options;
    g_autoptr (NpuTranscript) transcript = NULL;

    g_test_message ("case %u", i);
    init_options (&options);
    transcript = new_transcript (&options, &script);
    g_assert_cmpuint (
        add (transcript, 0, cases[i].ms * MS, &heard), ==, cases[i].used);
    g_assert_cmpstr (log->str, ==, cases[i].segments);
  }
}

/* Where no window goes on from there, what is not whole is text, too. */
static void
test_rest (void)
{
  const guint32 a = 300, t = zero, dot = '.' - '!';
  const struct {
    guint32 tokens[8];
    guint n, is_cut;
    const char *followed, *alone;
  } cases[] = {
      {{t, a, t + 100, t + 100, a}, 5, 0, "0.00-2.00 ",
          "0.00-2.00 2.00-30.00 "},
      {{t, a, t + 100, t + 150, a, a}, 6, 1, "0.00-2.00 ",
          "0.00-2.00 3.00-30.00 "},
      {{t, a, t + 100, t + 150}, 4, 0, "0.00-2.00 ", "0.00-2.00 "},
      {{t, a, t + 100, t + 150, a, t + 200}, 6, 0, "0.00-2.00 3.00-4.00 ",
          "0.00-2.00 3.00-4.00 "},
      {{t, a, t + 100}, 3, 0, "0.00-2.00 ", "0.00-2.00 "},
      {{a, a}, 2, 0, "0.00-30.00 ", "0.00-30.00 "},
      /* a mark alone, which comes where something must, or in noise */
      {{t, a, t + 100, t + 100, dot}, 5, 0, "0.00-2.00 ", "0.00-2.00 "},
      {{t, a, t + 100, t + 100, dot, t + 150}, 6, 0, "0.00-2.00 ",
          "0.00-2.00 "},
      {{t, dot, t + 100, t + 100, a, t + 150}, 6, 0, "2.00-3.00 ",
          "2.00-3.00 "},
  };

  for (guint i = 0; i < 2 * G_N_ELEMENTS (cases); i++) {
    const guint at = i / 2, is_followed = i % 2;
    Script script = {.tokens = cases[at].tokens,
        .n_tokens = cases[at].n,
        .is_cut = cases[at].is_cut};
    g_autoptr (GString) log = g_string_new (NULL);
    Heard heard = {.log = log};
    NpuTranscriptOptions options;
    g_autoptr (NpuTranscript) transcript = NULL;
    guint64 used;

    g_test_message ("case %u", at);
    init_options (&options);
    transcript = new_transcript (&options, &script);
    npu_transcript_set_followed (transcript, is_followed, FALSE);
    used = add (transcript, 0, 30 * SECOND, &heard);
    if (!is_followed)
      g_assert_cmpuint (used, ==, 30000);
    /* Up to half a second before its end. */
    g_assert_cmpuint (script.asked.last_begin, ==, is_followed ? 0 : 1475);
    g_assert_cmpstr (
        log->str, ==, is_followed ? cases[at].followed : cases[at].alone);
    /* The next window is told all of it. */
    add (transcript, 30 * SECOND, 30 * SECOND, &heard);
    if (at == 0)
      g_assert_cmpuint (script.n_prompt, ==, is_followed ? 3 : 5);
  }
}

/* What may begin without text, in windows of any length. */
static void
test_last_begin (void)
{
  const struct {
    guint ms, last_begin;
  } cases[] = {{100, 1}, {500, 1}, {519, 1}, {520, 1}, {559, 2}, {560, 3},
      {29999, 1474}, {30000, 1475}};
  const guint32 tokens[] = {zero, 300, zero + 100};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    Script script = {.tokens = tokens, .n_tokens = 3};
    Heard heard = {0};
    NpuTranscriptOptions options;
    g_autoptr (NpuTranscript) transcript = NULL;

    init_options (&options);
    transcript = new_transcript (&options, &script);
    npu_transcript_set_followed (transcript, FALSE, TRUE);
    add (transcript, 0, cases[i].ms * MS, &heard);
    g_assert_cmpuint (script.asked.last_begin, ==, cases[i].last_begin);
  }
}

/* The only window of a stream is answered as Whisper does, token for token;
 * those after it, and a whole first one, leave nothing. */
static void
test_last_begin_of_the_only_window (void)
{
  const guint32 tokens[] = {zero, 300, zero + 100};
  Script script = {.tokens = tokens, .n_tokens = 3};
  Heard heard = {0};
  NpuTranscriptOptions options;
  g_autoptr (NpuTranscript) transcript = NULL;

  init_options (&options);
  transcript = new_transcript (&options, &script);
  npu_transcript_set_followed (transcript, FALSE, FALSE);
  add (transcript, 0, 29990 * MS, &heard);
  g_assert_cmpuint (script.asked.last_begin, ==, 0);
  add (transcript, 30 * SECOND, 10 * SECOND, &heard);
  g_assert_cmpuint (script.asked.last_begin, ==, 475);

  npu_transcript_reset (transcript);
  heard = (Heard){0};
  add (transcript, 0, 30 * SECOND, &heard);
  g_assert_cmpuint (script.asked.last_begin, ==, 1475);
  npu_transcript_reset (transcript);
  heard = (Heard){0};
  add (transcript, 0, 10 * SECOND, &heard);
  g_assert_cmpuint (script.asked.last_begin, ==, 0);
}

/* Less than 100 ms are not looked at. */
static void
test_short_window (void)
{
  const guint32 tokens[] = {zero, 300, zero + 100};
  Script script = {.tokens = tokens, .n_tokens = 3};
  Heard heard = {0};
  NpuTranscriptOptions options;
  g_autoptr (NpuTranscript) transcript = NULL;
  NpuDecodedWindow decoded;
  guint64 used_until;

  init_options (&options);
  transcript = new_transcript (&options, &script);
  g_assert_cmpuint (add (transcript, 5 * SECOND, 99 * MS, &heard), ==, 99);
  g_assert_cmpuint (add (transcript, 6 * SECOND, 0, &heard), ==, 0);
  g_assert_cmpuint (script.n_calls, ==, 0);
  g_assert_true (npu_transcript_add_window (
      transcript, 0, 0, MS, NULL, NULL, &decoded, &used_until, NULL));
  npu_decoded_window_clear (&decoded);
  add (transcript, 7 * SECOND, 100 * MS, &heard);
  g_assert_cmpuint (script.n_calls, ==, 1);
  g_assert_cmpuint (heard.n, ==, 1);
}

/* The first window with speech decides, until it is forgotten. */
static void
test_language (void)
{
  const guint32 tokens[] = {zero, 300, zero + 100};
  Script script = {.tokens = tokens, .n_tokens = 3};
  Heard heard = {0};
  NpuTranscriptOptions options;
  g_autoptr (NpuTranscript) transcript = NULL;
  NpuDecodedWindow decoded;
  guint64 used_until;

  init_options (&options);
  transcript = new_transcript (&options, &script);
  for (guint i = 0; i < 4; i++) {
    script.no_speech_prob = i == 0 ? 0.95f : i == 1 ? 0.8f : 0.1f;
    script.language = (int) (10 + i);
    g_assert_true (npu_transcript_add_window (transcript, 0, i * 30 * SECOND,
        30 * SECOND, NULL, NULL, &decoded, &used_until, NULL));
    g_assert_cmpint (script.asked.language, ==, i < 3 ? -1 : 12);
    g_assert_cmpfloat (decoded.language_prob, ==, 0.5f);
    npu_decoded_window_clear (&decoded);
  }
  npu_transcript_reset (transcript);
  add (transcript, 0, 30 * SECOND, &heard);
  g_assert_cmpint (script.asked.language, ==, -1);
}

/* Each window has a seed of its own, the same in every run. */
static void
test_seed (void)
{
  const guint32 tokens[] = {zero, 300, zero + 100};
  guint64 seeds[2][3];

  for (guint run = 0; run < 2; run++) {
    for (guint i = 0; i < 3; i++) {
      Script script = {.tokens = tokens, .n_tokens = 3};
      Heard heard = {0};
      NpuTranscriptOptions options;
      g_autoptr (NpuTranscript) transcript = NULL;

      init_options (&options);
      options.decoding.seed = 5;
      transcript = new_transcript (&options, &script);
      if (run == 1 && i > 0) /* whatever was decoded before */
        add (transcript, 0, 30 * SECOND, &heard);
      add (transcript, i * 30 * SECOND, 30 * SECOND, &heard);
      seeds[run][i] = script.asked.seed;
    }
  }
  g_assert_cmpmem (seeds[0], sizeof seeds[0], seeds[1], sizeof seeds[1]);
  g_assert_cmpuint (seeds[0][0], !=, seeds[0][1]);
  g_assert_cmpuint (seeds[0][1], !=, seeds[0][2]);
}

static void
test_history (void)
{
  const guint32 tokens[] = {zero, 300, zero + 100};
  const struct {
    float temperature, no_speech_prob;
    gboolean condition;
    guint n_prompt; /* of the next window, after 2 of the initial prompt */
  } cases[] = {{0, 0, TRUE, 5}, {0.4f, 0, TRUE, 5}, {0.6f, 0, TRUE, 0},
      {0, 0, FALSE, 0}, {0, 0.95f, TRUE, 2}, {0, 0.95f, FALSE, 2}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    Script script = {.tokens = tokens,
        .n_tokens = 3,
        .temperature = cases[i].temperature,
        .no_speech_prob = cases[i].no_speech_prob};
    Heard heard = {0};
    NpuTranscriptOptions options;
    g_autoptr (NpuTranscript) transcript = NULL;

    init_options (&options);
    options.initial_prompt = "\n x \t";
    options.condition_on_previous_text = cases[i].condition;
    transcript = new_transcript (&options, &script);
    add (transcript, 0, 30 * SECOND, &heard);
    g_assert_cmpuint (script.n_prompt, ==, 2); /* " ", "x" */
    add (transcript, 30 * SECOND, 30 * SECOND, &heard);
    g_assert_cmpuint (script.n_prompt, ==, cases[i].n_prompt);
  }
}

/* After an error all is as before. */
static void
test_failure (void)
{
  const guint32 tokens[] = {zero, 300, zero + 100};
  Script script = {.tokens = tokens, .n_tokens = 3};
  Heard heard = {0};
  NpuTranscriptOptions options;
  g_autoptr (NpuTranscript) transcript = NULL;
  g_autoptr (GError) error = NULL;
  guint64 used_until;

  init_options (&options);
  transcript = new_transcript (&options, &script);
  add (transcript, 0, 30 * SECOND, &heard);
  script.fails = TRUE;
  g_assert_false (npu_transcript_add_window (transcript, 0, 30 * SECOND,
      30 * SECOND, on_segment, &heard, NULL, &used_until, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_LOST);
  script.fails = FALSE;
  add (transcript, 30 * SECOND, 30 * SECOND, &heard);
  g_assert_cmpuint (script.n_prompt, ==, 3);
  g_assert_cmpuint (heard.n, ==, 2);
}

static void
test_cue_text (void)
{
  static const struct {
    const char *text;
    gsize n;
    const char *cue;
  } cases[] = {
#define CASE(text, cue) {text, sizeof text - 1, cue}
      CASE ("", ""),
      CASE (" Hello. ", "Hello."),
      CASE (" a\tb\r\n\r\nc  d", "a b c d"),
      CASE ("a\x07\t\n\r\x1b"
            "b",
          "a b"),
      CASE ("a\0b", "ab"),
      CASE ("\n\xe3\x80\x80 \xc2\x85", ""),
      CASE ("\xef\xbb\xbf"
            "Hi",
          "Hi"),
      CASE (" \xef\xbb\xbf Hi", "Hi"),
      CASE ("x --> y", "x \xe2\x86\x92 y"),
      CASE ("x ----> y", "x --\xe2\x86\x92 y"),
      CASE ("x -\x07-> y", "x \xe2\x86\x92 y"),
      CASE ("cut \xef\xbf\xbd", "cut"),
      CASE ("mid\xef\xbf\xbd dle", "mid\xef\xbf\xbd dle"),
      CASE ("\xc2\xab\xc2\xa0oui\xc2\xa0\xc2\xbb",
          "\xc2\xab\xc2\xa0oui\xc2\xa0\xc2\xbb"),
      CASE ("AT&T <b>", "AT&T <b>"),
#undef CASE
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GString) cue = g_string_new ("before");

    npu_cue_text_append (cue, cases[i].text, cases[i].n);
    g_assert_cmpstr (cue->str + strlen ("before"), ==, cases[i].cue);
  }
}

int
main (int argc, char **argv)
{
  NpuSpecialTokens special;
  int failed;

  g_test_init (&argc, &argv, NULL);
  npu_special_tokens_init (&special, 51865);
  zero = special.timestamp_begin;
  tokenizer = npu_tokenizer_new_of_vocabulary (
      npu_vocabulary_new_synthetic (&special, "small"));
  g_test_add_func ("/transcript/any-answer", test_any_answer);
  g_test_add_func ("/transcript/segments", test_segments);
  g_test_add_func ("/transcript/rest", test_rest);
  g_test_add_func ("/transcript/last-begin", test_last_begin);
  g_test_add_func ("/transcript/last-begin-of-the-only-window",
      test_last_begin_of_the_only_window);
  g_test_add_func ("/transcript/short-window", test_short_window);
  g_test_add_func ("/transcript/language", test_language);
  g_test_add_func ("/transcript/seed", test_seed);
  g_test_add_func ("/transcript/history", test_history);
  g_test_add_func ("/transcript/failure", test_failure);
  g_test_add_func ("/transcript/cue-text", test_cue_text);
  failed = g_test_run ();
  npu_tokenizer_unref (tokenizer);
  return failed;
}
