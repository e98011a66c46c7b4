/* Scripted answers through windows, history and segments: the runs of OpenAI's
 * transcribe(), save where it is wrong.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "transcript/transcript-private.h"

#include <string.h>

#include "decoding/compression.h"
#include "decoding/fallback.h"
#include "decoding/prompt.h"
#include "test-data.h"
#include "test-vectors.h"
#include "tokenizer/tokenizer-private.h"
#include "tokenizer/utf8.h"

#define FRAME_NS 10000000
#define WINDOW_FRAMES 3000

/* One run: what the script gives, what was asked of it, what came out. */
typedef struct {
  NpuTokenizer *tokenizer;
  JsonArray *script;
  guint at; /* in the script */
  guint seek, frames;
  GString *calls, *segments;
  /* Of the attempt that runs. */
  const guint32 *prompt;
  guint n_prompt;
} Run;

static void
set_text (Run *run, NpuDecodedWindow *decoded)
{
  gsize n;
  g_autofree char *text = npu_tokenizer_decode (run->tokenizer,
      (guint32 *) decoded->tokens->data, decoded->tokens->len, &n);
  const char *stripped = npu_utf8_strip (text, &n);

  decoded->text = g_strndup (stripped, n);
  decoded->compression_ratio = npu_compression_ratio (stripped, n);
}

static void
append_call (GString *calls, guint seek, guint frames, double temperature,
    const GArray *prompt)
{
  g_string_append_printf (calls, "%u %u %.1f [", seek, frames, temperature);
  for (guint i = 0; i < prompt->len; i++)
    g_string_append_printf (calls, " %u", g_array_index (prompt, guint32, i));
  g_string_append (calls, " ]\n");
}

static void
scripted_attempt (Run *run, float temperature, NpuDecodedWindow *decoded)
{
  JsonObject *answer;
  g_autoptr (GArray) prompt = g_array_new (FALSE, FALSE, sizeof (guint32));

  npu_prompt_append_previous (npu_tokenizer_get_special (run->tokenizer), 448,
      run->prompt, run->n_prompt, prompt);
  append_call (
      run->calls, run->seek, run->frames, (double) temperature, prompt);
  g_assert_cmpuint (run->at, <, json_array_get_length (run->script));
  answer = json_array_get_object_element (run->script, run->at++);
  decoded->tokens =
      test_vectors_ids (json_object_get_array_member (answer, "tokens"));
  decoded->avg_logprob =
      (float) json_object_get_double_member (answer, "avg_logprob");
  decoded->no_speech_prob =
      (float) json_object_get_double_member (answer, "no_speech_prob");
  set_text (run, decoded);
}

static gboolean
scripted_decode (gpointer data, guint window, const NpuDecodingOptions *options,
    const guint32 *prompt, guint n_prompt, NpuDecodedWindow *decoded,
    GError **error)
{
  Run *run = data;
  NpuFallback fallback;
  float temperature;

  run->prompt = prompt;
  run->n_prompt = n_prompt;
  npu_fallback_init (&fallback, options,
      npu_tokenizer_get_special (run->tokenizer)->timestamp_begin);
  while (npu_fallback_needs_attempt (&fallback, &temperature)) {
    NpuDecodedWindow next = {0};

    scripted_attempt (run, temperature, &next);
    npu_fallback_take (&fallback, &next);
  }
  npu_fallback_end (&fallback, decoded);
  return TRUE;
}

static void
append_segment (GString *segments, double start, double end, const char *text,
    double temperature)
{
  g_string_append_printf (
      segments, "%.2f %.2f %.1f '%s'\n", start, end, temperature, text);
}

static void
on_segment (const NpuSegment *segment, gpointer data)
{
  Run *run = data;

  g_assert_cmpuint (segment->start, <, segment->end);
  append_segment (run->segments, segment->start / 1e9, segment->end / 1e9,
      segment->text, (double) segment->window->temperature);
}

/* Where OpenAI's is wrong: our calls (NULL: the same) and segments. */
static const struct {
  const char *name, *calls, *segments;
} ours[] = {
    /* No second look at a window that would give the same again. */
    {"only a timestamp pair", "0 3000 0.0 [ ]\n", ""},
    {"only timestamp pairs for ever", "0 3000 0.0 [ ]\n", ""},
    /* Ends are within the audio. */
    {"pair before the end leaves 10 frames", NULL,
        "0.00 29.90 0.0 'Hello.'\n29.90 30.00 0.0 'World.'\n"},
    {"nearly nothing: 5 frames", "", ""},
    {"clip beyond the end of the audio", "1000 2000 0.0 [ ]\n",
        "10.00 14.00 0.0 'Hello.'\n"},
    {"no closing timestamp, first is 0.60", NULL, "0.60 30.00 0.0 'Hello.'\n"},
};

/* Those of OpenAI's segments that are one. */
static char *
expected_segments (JsonArray *rows)
{
  GString *segments = g_string_new (NULL);

  for (guint i = 0; i < json_array_get_length (rows); i++) {
    JsonObject *row = json_array_get_object_element (rows, i);
    g_autofree char *text =
        g_strstrip (g_strdup (json_object_get_string_member (row, "text")));

    if (*text)
      append_segment (segments, json_object_get_double_member (row, "start"),
          json_object_get_double_member (row, "end"), text,
          json_object_get_double_member (row, "temperature"));
  }
  return g_string_free (segments, FALSE);
}

static char *
expected_calls (JsonArray *rows)
{
  GString *calls = g_string_new (NULL);

  for (guint i = 0; i < json_array_get_length (rows); i++) {
    JsonObject *row = json_array_get_object_element (rows, i);
    g_autoptr (GArray) prompt =
        test_vectors_ids (json_object_get_array_member (row, "prompt"));

    append_call (calls, (guint) json_object_get_int_member (row, "seek"),
        (guint) json_object_get_int_member (row, "frames"),
        json_object_get_double_member (row, "temperature"), prompt);
  }
  return g_string_free (calls, FALSE);
}

/* Windows from frame @from to @to, as the elements cut them. */
static void
run_clip (NpuTranscript *transcript, Run *run, guint from, guint to)
{
  for (guint seek = from; seek < to;) {
    const guint frames = MIN (WINDOW_FRAMES, to - seek);
    guint64 used_until;
    g_autoptr (GError) error = NULL;

    run->seek = seek;
    run->frames = frames;
    npu_transcript_add_window (transcript, 0, (guint64) seek * FRAME_NS,
        (guint64) frames * FRAME_NS, on_segment, run, NULL, &used_until,
        &error);
    g_assert_no_error (error);
    g_assert_cmpuint (used_until, >, (guint64) seek * FRAME_NS);
    g_assert_cmpuint (used_until, <=, (guint64) (seek + frames) * FRAME_NS);
    seek = (guint) (used_until / FRAME_NS);
  }
}

static void
run_clips (
    NpuTranscript *transcript, Run *run, JsonObject *options, guint n_frames)
{
  const char *clips = "0";
  g_auto (GStrv) times = NULL;

  if (json_object_has_member (options, "clip_timestamps"))
    clips = json_object_get_string_member (options, "clip_timestamps");
  times = g_strsplit (clips, ",", -1);
  for (guint i = 0; times[i]; i += 2) {
    const guint from = (guint) (g_ascii_strtod (times[i], NULL) * 100);
    const guint to = times[i + 1]
                         ? (guint) (g_ascii_strtod (times[i + 1], NULL) * 100)
                         : n_frames;

    run_clip (transcript, run, from, MIN (to, n_frames));
    if (!times[i + 1])
      break;
  }
}

static void
read_options (JsonObject *from, NpuTranscriptOptions *options)
{
  *options = (NpuTranscriptOptions){
      .condition_on_previous_text = TRUE, .language_interval = G_MAXUINT64};
  npu_decoding_options_init (&options->decoding);
  options->decoding.language = 0;
  options->decoding.best_of = 1;
  if (json_object_has_member (from, "condition_on_previous_text"))
    options->condition_on_previous_text =
        json_object_get_boolean_member (from, "condition_on_previous_text");
  if (json_object_has_member (from, "initial_prompt"))
    options->initial_prompt =
        json_object_get_string_member (from, "initial_prompt");
  if (json_object_has_member (from, "carry_initial_prompt"))
    options->carry_initial_prompt =
        json_object_get_boolean_member (from, "carry_initial_prompt");
}

static void
check_run (NpuTokenizer *tokenizer, JsonObject *row)
{
  const char *name = json_object_get_string_member (row, "name");
  JsonObject *row_options = json_object_get_object_member (row, "options");
  g_autoptr (GString) calls = g_string_new (NULL);
  g_autoptr (GString) segments = g_string_new (NULL);
  Run run = {tokenizer, json_object_get_array_member (row, "script"),
      .calls = calls, .segments = segments};
  g_autofree char *their_calls =
      expected_calls (json_object_get_array_member (row, "calls"));
  g_autofree char *their_segments =
      expected_segments (json_object_get_array_member (row, "segments"));
  const char *right_calls = their_calls, *right_segments = their_segments;
  const NpuLogitsSource source = {.n_vocab = 51865, .n_positions = 448};
  NpuTranscriptOptions options;
  g_autoptr (NpuTranscript) transcript = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (ours); i++) {
    if (strcmp (name, ours[i].name) != 0)
      continue;
    right_calls = ours[i].calls ? ours[i].calls : right_calls;
    right_segments = ours[i].segments;
  }
  g_test_message ("%s", name);
  read_options (row_options, &options);
  transcript = npu_transcript_new (&source, tokenizer, &options);
  npu_transcript_set_decode_func (transcript, scripted_decode, &run);
  run_clips (transcript, &run, row_options,
      (guint) json_object_get_int_member (row, "frames"));
  g_assert_cmpstr (run.calls->str, ==, right_calls);
  g_assert_cmpstr (run.segments->str, ==, right_segments);
}

static void
test_loop (void)
{
  g_autofree char *path =
      test_data_path ("models/assets/multilingual.tiktoken");
  g_autoptr (JsonNode) root =
      path ? test_vectors_load ("decoding/vectors/loop.json") : NULL;
  JsonArray *rows = root ? json_node_get_array (root) : NULL;
  g_autoptr (NpuTokenizer) tokenizer =
      rows ? npu_tokenizer_new_of_file (51865, path, NULL) : NULL;

  for (guint i = 0; rows && i < json_array_get_length (rows); i++)
    check_run (tokenizer, json_array_get_object_element (rows, i));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/transcript-vectors/loop", test_loop);
  return g_test_run ();
}
