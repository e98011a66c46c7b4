/* What windows are told before their text, and that they are told it whether
 * they are decoded one by one or at once.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "transcript/npu-transcript.h"

#include <stdlib.h>
#include <string.h>

#include "decoding/random.h"
#include "npu-error.h"
#include "scripted-source.h"
#include "small-vocabulary.h"
#include "tokenizer/tokenizer-private.h"

#define SECOND G_GUINT64_CONSTANT (1000000000)
#define N_WINDOWS 9
#define MAX_PLACES 10

static NpuTokenizer *tokenizer;
static NpuSpecialTokens special;

/* A recording: what is in each place of the source, and what windows have been
 * told: a prompt, a language. */
typedef struct {
  guint contents[MAX_PLACES];
  char *told[N_WINDOWS];
} Recording;

static void
note (Recording *recording, guint content, const guint32 *tokens, guint n)
{
  GString *told = g_string_new (NULL);

  for (guint i = 0; i < n; i++)
    g_string_append_printf (told, "%u ", tokens[i]);
  g_free (recording->told[content]);
  recording->told[content] = g_string_free (told, FALSE);
}

static guint
find (const guint32 *tokens, guint n, guint32 token)
{
  guint i = 0;

  while (i < n && tokens[i] != token)
    i++;
  return i;
}

/* At sot a language, whose window a prompt before it would hide; then text of
 * the window, and of what it has been told. */
static void
speak (
    gpointer data, guint window, const guint32 *tokens, guint n, float *logits)
{
  Recording *recording = data;
  const guint content = recording->contents[window];
  const guint sot = find (tokens, n, special.sot);
  guint64 seed = npu_random_seed (5, content);

  for (guint i = 0; i < special.n_vocab; i++)
    logits[i] = -20;
  if (sot + 1 == n) {
    logits[special.sot + 1 + (sot > 0 ? 90 : content / 3)] = 5;
    logits[special.no_speech] = content == 1 ? 40 : -30;
    return;
  }
  for (guint i = 0; i < n; i++)
    seed = npu_random_seed (seed, tokens[i]);
  if (n == sot + 3) { /* what is before the answer */
    note (recording, content, tokens, n);
    logits[special.timestamp_begin] = 9;
  } else if (n == sot + 4 + content % 4) {
    logits[special.timestamp_begin + 200] = 9;
  } else if (n > sot + 4 + content % 4) {
    logits[special.eot] = 9;
  } else {
    logits[256 + seed % 100] = 9;
  }
}

static void
on_segment (const NpuSegment *segment, gpointer log)
{
  g_string_append_printf (log, "%.2f-%.2f %d %.3f %s\n",
      (double) segment->start / 1e9, (double) segment->end / 1e9,
      segment->window->language, (double) segment->window->language_prob,
      segment->text);
}

static void
take_whole (NpuTranscript *transcript, GString *log)
{
  while (npu_transcript_has_whole (transcript)) {
    guint64 used_until;

    npu_transcript_take_window (transcript, on_segment, log, NULL, &used_until);
  }
}

/* (transfer full): the text of a recording; @most: rows of a step */
static char *
transcribe (Recording *recording, const NpuTranscriptOptions *options,
    guint n_windows, guint *n_steps)
{
  g_autoptr (ScriptedSource) scripted =
      scripted_source_new (special.n_vocab, speak, recording);
  NpuTranscriptOptions of = *options;
  g_autoptr (NpuTranscript) transcript = NULL;
  GString *log = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  of.n_windows = n_windows;
  transcript = npu_transcript_new (&scripted->source, tokenizer, &of);
  for (guint i = 0; i < N_WINDOWS; i++) {
    int place;

    while (take_whole (transcript, log),
        (place = npu_transcript_find_free (transcript)) < 0)
      npu_transcript_step (transcript, &error);
    recording->contents[place] = i;
    npu_transcript_begin_window (
        transcript, (guint) place, i * 30 * SECOND, 30 * SECOND, &error);
    g_assert_no_error (error);
  }
  while (take_whole (transcript, log), npu_transcript_is_open (transcript))
    npu_transcript_step (transcript, &error);
  g_assert_no_error (error);
  *n_steps = scripted->n_steps;
  return g_string_free (log, FALSE);
}

static void
init_options (NpuTranscriptOptions *options)
{
  *options = (NpuTranscriptOptions){.language_interval = G_MAXUINT64};
  npu_decoding_options_init (&options->decoding);
  options->decoding.best_of = 1;
}

static void
clear (Recording *recording)
{
  for (guint i = 0; i < N_WINDOWS; i++)
    g_clear_pointer (&recording->told[i], g_free);
}

/* One by one and at once; what is kept is of one by one. */
static void
check_same (
    Recording *recording, const NpuTranscriptOptions *options, gboolean shares)
{
  guint alone_steps;
  g_autofree char *alone = transcribe (recording, options, 1, &alone_steps);

  g_assert_cmpuint (strlen (alone), >, 0);
  for (guint n = 2; n <= MAX_PLACES; n += 4) {
    Recording other = {0};
    guint n_steps;
    g_autofree char *text = transcribe (&other, options, n, &n_steps);

    g_assert_cmpstr (text, ==, alone);
    if (shares)
      g_assert_cmpuint (n_steps, <, alone_steps);
    else
      g_assert_cmpuint (n_steps, ==, alone_steps);
    for (guint i = 0; i < N_WINDOWS; i++)
      g_assert_cmpstr (other.told[i], ==, recording->told[i]);
    clear (&other);
  }
}

static void
test_language (void)
{
  static const guint64 intervals[] = {
      G_MAXUINT64, 0, 60 * SECOND, 120 * SECOND};

  for (guint i = 0; i < G_N_ELEMENTS (intervals); i++) {
    Recording recording = {0};
    NpuTranscriptOptions options;

    init_options (&options);
    options.language_interval = intervals[i];
    check_same (&recording, &options, TRUE);
    clear (&recording);
  }
}

/* The language of each window as it is told before its text. */
static int
language_of (const Recording *recording, guint content)
{
  g_auto (GStrv) told = g_strsplit (recording->told[content], " ", -1);
  const guint n = g_strv_length (told) - 1; /* the last is empty */

  return atoi (told[n - 2]) - (int) special.sot - 1;
}

/* A prompt changes neither which language is found nor when. */
static void
test_prompt_and_language (void)
{
  for (guint i = 0; i < 3; i++) {
    Recording recording = {0};
    NpuTranscriptOptions options;

    init_options (&options);
    options.language_interval = 0;
    options.hot_words = i == 1 ? "hot" : NULL;
    options.initial_prompt = i == 2 ? "initial" : NULL;
    options.condition_on_previous_text = i == 2;
    check_same (&recording, &options, i < 2);
    for (guint j = 0; j < N_WINDOWS; j++)
      g_assert_cmpint (language_of (&recording, j), ==, j / 3);
    clear (&recording);
  }
}

/* How many tokens are before sot, startofprev included. */
static guint
count_told (const Recording *recording, guint content)
{
  g_auto (GStrv) told = g_strsplit (recording->told[content], " ", -1);
  g_autofree char *sot = g_strdup_printf ("%u", special.sot);
  guint n = 0;

  while (strcmp (told[n], sot) != 0)
    n++;
  return n;
}

/* The first window alone; then it is gone, and windows share their steps. */
static void
test_initial_prompt (void)
{
  Recording recording = {0};
  NpuTranscriptOptions options;

  init_options (&options);
  options.initial_prompt = "abc"; /* " ", "a", "b", "c" */
  check_same (&recording, &options, TRUE);
  g_assert_cmpuint (count_told (&recording, 0), ==, 1 + 4);
  for (guint i = 1; i < N_WINDOWS; i++)
    g_assert_cmpuint (count_told (&recording, i), ==, 0);
  clear (&recording);
}

static void
test_hot_words (void)
{
  Recording recording = {0};
  NpuTranscriptOptions options;

  init_options (&options);
  options.hot_words = "abc";
  check_same (&recording, &options, TRUE);
  for (guint i = 0; i < N_WINDOWS; i++)
    g_assert_cmpuint (count_told (&recording, i), ==, 1 + 4);
  clear (&recording);
}

/* The newest 223 tokens, hot words first. */
static void
test_room (void)
{
  g_autofree char *words = g_strnfill (200, 'x');
  g_autofree char *initial = g_strnfill (300, 'y');

  for (guint has_words = 0; has_words < 2; has_words++) {
    Recording recording = {0};
    NpuTranscriptOptions options;
    g_auto (GStrv) told = NULL;
    guint n_x = 0, n_y = 0;

    init_options (&options);
    options.hot_words = has_words ? words : NULL;
    options.initial_prompt = initial;
    options.condition_on_previous_text = TRUE;
    check_same (&recording, &options, FALSE);
    g_assert_cmpuint (count_told (&recording, 0), ==, 224);
    told = g_strsplit (recording.told[0], " ", -1);
    for (guint i = 1; i < 224; i++) {
      n_x += atoi (told[i]) == 'x' - '!';
      n_y += atoi (told[i]) == 'y' - '!';
    }
    g_assert_cmpuint (n_x, ==, has_words ? 200 : 0);
    g_assert_cmpuint (n_y, ==, has_words ? 223 - 201 : 223);
    clear (&recording);
  }
}

/* After an error nothing is open, and the language is not known. */
static void
test_failure (void)
{
  Recording recording = {0};
  g_autoptr (ScriptedSource) scripted =
      scripted_source_new (special.n_vocab, speak, &recording);
  NpuTranscriptOptions options;
  g_autoptr (NpuTranscript) transcript = NULL;
  g_autoptr (GError) error = NULL;

  init_options (&options);
  options.n_windows = 4;
  transcript = npu_transcript_new (&scripted->source, tokenizer, &options);
  for (guint i = 0; i < 4; i++)
    g_assert_true (npu_transcript_begin_window (
        transcript, i, i * 30 * SECOND, 30 * SECOND, NULL));
  g_assert_cmpint (npu_transcript_find_free (transcript), ==, -1);
  scripted->fail_at = 3;
  g_assert_true (npu_transcript_step (transcript, NULL));
  g_assert_true (npu_transcript_step (transcript, NULL));
  g_assert_false (npu_transcript_step (transcript, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_LAUNCH);
  g_assert_false (npu_transcript_is_open (transcript));
  g_assert_cmpint (npu_transcript_find_free (transcript), ==, 0);

  /* A window of another language is not told that of those. */
  recording.contents[0] = 6;
  g_assert_true (
      npu_transcript_begin_window (transcript, 0, 0, 30 * SECOND, NULL));
  while (!npu_transcript_has_whole (transcript))
    g_assert_true (npu_transcript_step (transcript, NULL));
  g_assert_cmpint (language_of (&recording, 6), ==, 2);
  clear (&recording);
}

int
main (int argc, char **argv)
{
  int failed;

  g_test_init (&argc, &argv, NULL);
  small_vocabulary_special (&special);
  tokenizer = npu_tokenizer_new_of_vocabulary (
      npu_vocabulary_new_synthetic (&special, "small"));
  g_test_add_func ("/transcript-batch/language", test_language);
  g_test_add_func (
      "/transcript-batch/prompt-and-language", test_prompt_and_language);
  g_test_add_func ("/transcript-batch/initial-prompt", test_initial_prompt);
  g_test_add_func ("/transcript-batch/hot-words", test_hot_words);
  g_test_add_func ("/transcript-batch/room", test_room);
  g_test_add_func ("/transcript-batch/failure", test_failure);
  failed = g_test_run ();
  npu_tokenizer_unref (tokenizer);
  return failed;
}
