/* Tokens of speech in float are those of OpenAI's code: mel, encoder, decoder
 * and decoding, window by window. GStreamer only reads the files.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoding/words.h"

#include <gst/gst.h>
#include <math.h>
#include <string.h>

#include "encoder/npu-encoder.h"
#include "mel/logmel.h"
#include "test-data.h"
#include "test-vectors.h"

#define N_FRAMES 3000
#define MAX_SAMPLES (N_FRAMES * LOG_MEL_HOP)

/* Sums run in another order than PyTorch's: so near, either may be chosen. */
#define MARGIN 1e-3

/* --- audio ---------------------------------------------------------------- */

static void
on_buffer (GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer data)
{
  GByteArray *samples = data;
  GstMapInfo map;

  g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_READ));
  g_byte_array_append (samples, map.data, (guint) map.size);
  gst_buffer_unmap (buffer, &map);
}

/* (transfer full): floats at 16 kHz */
static GByteArray *
read_audio (const char *path)
{
  GByteArray *samples = g_byte_array_new ();
  g_autoptr (GstElement) pipeline = gst_parse_launch (
      "filesrc name=source ! decodebin ! audioconvert ! audioresample ! "
      "audio/x-raw, format=F32LE, rate=16000, channels=1 ! "
      "fakesink name=sink signal-handoffs=true sync=false",
      NULL);
  g_autoptr (GstElement) source =
      gst_bin_get_by_name (GST_BIN (pipeline), "source");
  g_autoptr (GstElement) sink =
      gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) message = NULL;

  g_object_set (source, "location", path, NULL);
  g_signal_connect (sink, "handoff", G_CALLBACK (on_buffer), samples);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (
      bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  if (GST_MESSAGE_TYPE (message) != GST_MESSAGE_EOS)
    g_clear_pointer (&samples, g_byte_array_unref);
  return samples;
}

/* The path of a clip; NULL without it. *@is_exact: no decoder or resampler can
 * change its samples. */
static char *
find_clip (const char *folder, const char *name, gboolean *is_exact)
{
  static const struct {
    const char *folder, *suffix;
    gboolean is_exact;
  } places[] = {{"audio", ".wav", TRUE}, {"audio", ".flac", TRUE},
      {"audio/lj", ".flac", TRUE}, {"audio/fleurs", ".ogg", FALSE}};

  for (guint i = 0; i < G_N_ELEMENTS (places); i++) {
    g_autofree char *file = g_strconcat (name, places[i].suffix, NULL);
    g_autofree char *path =
        g_build_filename (folder, places[i].folder, file, NULL);

    *is_exact = places[i].is_exact;
    if (g_file_test (path, G_FILE_TEST_EXISTS))
      return g_steal_pointer (&path);
  }
  return NULL;
}

/* --- text ----------------------------------------------------------------- */

typedef struct {
  char *folder; /* of test data */
  NpuDevice *device;
  NpuModel *model;
  NpuEncoder *encoder;
  NpuDecoder *decoder;
  NpuTokenizer *tokenizer;
  NpuLogitsSource source;
  guint n_same, n_near; /* answers */
  guint n_words, n_other_times;
} Rig;

static gboolean
rig_open (Rig *rig, const char *model)
{
  const NpuDeviceOptions device_options = {0};
  const NpuEncoderOptions encoder_options = {
      .depth = 2, .precision = NPU_PRECISION_F32, .timeout = 60000000000};
  const NpuDecoderOptions decoder_options = {.precision = NPU_PRECISION_F32,
      .max_windows = 1,
      .max_sequences = 5,
      .timeout = 60000000000};
  g_autofree char *readme = test_data_path ("README.md");
  g_autofree char *path = test_data_path (model);
  g_autoptr (GError) error = NULL;

  *rig = (Rig){0};
  if (!readme || !path)
    return FALSE;
  rig->folder = g_path_get_dirname (readme);
  rig->device = npu_device_open ("cpu", &device_options, &error);
  g_assert_no_error (error);
  rig->model = npu_model_open (path, &error);
  g_assert_no_error (error);
  rig->tokenizer = npu_tokenizer_new (rig->model, NULL, &error);
  g_assert_no_error (error);
  rig->encoder =
      npu_encoder_new (rig->model, rig->device, &encoder_options, &error);
  g_assert_no_error (error);
  rig->decoder =
      npu_decoder_new (rig->model, rig->device, &decoder_options, &error);
  g_assert_no_error (error);
  npu_logits_source_init (&rig->source, rig->decoder);
  return TRUE;
}

static void
rig_close (Rig *rig)
{
  if (!rig->folder)
    return;
  npu_decoder_free (rig->decoder);
  npu_encoder_free (rig->encoder);
  npu_tokenizer_unref (rig->tokenizer);
  npu_model_unref (rig->model);
  npu_device_unref (rig->device);
  g_free (rig->folder);
}

/* The audio, padded with silence; or with 0.0 behind its last whole frame, as
 * OpenAI's transcribe() has it. */
static void
set_window (Rig *rig, const GByteArray *samples, gboolean zero_tail)
{
  const guint n_mels = npu_encoder_get_n_mels (rig->encoder);
  const guint d = npu_decoder_get_d (rig->decoder);
  const gsize n = MIN (samples->len / sizeof (float), MAX_SAMPLES);
  g_autoptr (LogMel) log_mel = log_mel_new (n_mels);
  g_autofree float *mel = g_new (float, (gsize) n_mels *N_FRAMES);
  g_autofree float *states = g_new (float, (gsize) N_FRAMES / 2 * d);
  g_autoptr (GError) error = NULL;

  log_mel_compute (log_mel, (const float *) samples->data, n, N_FRAMES, mel);
  for (guint m = 0; m < n_mels && zero_tail; m++) {
    for (guint f = (guint) (n / LOG_MEL_HOP); f < N_FRAMES; f++)
      mel[(gsize) m * N_FRAMES + f] = 0;
  }
  npu_encoder_encode (rig->encoder, mel, N_FRAMES, states, NULL, &error);
  g_assert_no_error (error);
  npu_decoder_set_window (rig->decoder, 0, states, N_FRAMES / 2, &error);
  g_assert_no_error (error);
}

/* One answer and the reference's. A choice that was near may differ, and what
 * follows it; of clips that others had to decode and resample, most are the
 * same. */
static void
check_answer (Rig *rig, const char *what, const char *name, gboolean is_exact,
    JsonObject *row, const NpuDecodedWindow *decoded)
{
  g_autoptr (GArray) expected =
      test_vectors_ids (json_object_get_array_member (row, "tokens"));
  const double expected_logprob =
      json_object_get_double_member (row, "avg_logprob");
  const guint n = MIN (expected->len, decoded->tokens->len);
  guint i = 0;

  while (i < n && g_array_index (expected, guint32, i) ==
                      g_array_index (decoded->tokens, guint32, i))
    i++;
  if (i == expected->len && i == decoded->tokens->len) {
    rig->n_same++;
    if (is_exact) {
      g_assert_cmpfloat_with_epsilon (
          decoded->avg_logprob, expected_logprob, 0.01);
      g_assert_cmpfloat_with_epsilon (decoded->no_speech_prob,
          json_object_get_double_member (row, "no_speech_prob"), 0.005);
    }
    return;
  }
  rig->n_near++;
  if (!is_exact) {
    g_test_message ("%s %s: token %u differs", what, name, i);
    return;
  }
  if (json_object_has_member (row, "gaps")) {
    const double gap = json_array_get_double_element (
        json_object_get_array_member (row, "gaps"), i);

    g_test_message (
        "%s %s: token %u differs, where the margin is %g", what, name, i, gap);
    if (gap < MARGIN)
      return;
  }
  g_error ("%s %s: token %u differs: '%s', expected '%s'", what, name, i,
      decoded->text, json_object_get_string_member (row, "text"));
}

static void
check_task (Rig *rig, JsonObject *root, const char *what, const char *name,
    gboolean is_exact, const NpuDecodingOptions *options)
{
  JsonObject *rows = json_object_has_member (root, what)
                         ? json_object_get_object_member (root, what)
                         : NULL;
  JsonObject *row = rows && json_object_has_member (rows, name)
                        ? json_object_get_object_member (rows, name)
                        : NULL;
  NpuDecodedWindow decoded;
  g_autoptr (GError) error = NULL;

  if (!row)
    return;
  npu_decode_window (&rig->source, rig->tokenizer, 0, options, NULL, 0, NULL, 0,
      &decoded, &error);
  g_assert_no_error (error);
  check_answer (rig, what, name, is_exact, row, &decoded);
  npu_decoded_window_clear (&decoded);
}

static const char *
language_of (JsonObject *root, const char *name)
{
  JsonObject *rows = json_object_get_object_member (root, "greedy");

  return json_object_get_string_member (
      json_object_get_object_member (rows, name), "language");
}

/* The likeliest language, and how likely. */
static void
check_language (Rig *rig, JsonObject *root, const char *name, gboolean is_exact)
{
  const NpuSpecialTokens *special = npu_tokenizer_get_special (rig->tokenizer);
  g_autofree float *probabilities = g_new (float, special->n_languages);
  float no_speech_prob;
  JsonArray *likeliest;
  int language;
  g_autoptr (GError) error = NULL;

  if (!json_object_has_member (root, "languages"))
    return;
  likeliest = json_array_get_array_element (
      json_object_get_array_member (
          json_object_get_object_member (root, "languages"), name),
      0);
  language = npu_tokenizer_find_language (
      rig->tokenizer, json_array_get_string_element (likeliest, 0));
  npu_detect_language (
      &rig->source, rig->tokenizer, 0, probabilities, &no_speech_prob, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat_with_epsilon (probabilities[language],
      json_array_get_double_element (likeliest, 1), is_exact ? 0.005 : 0.1);
}

/* Words of the reference's tokens: to the position of 20 ms, one more or less
 * where two were near. Audio that another resampler made sounds likewise. */
static void
check_words (Rig *rig, JsonObject *root, const char *name, gboolean is_exact,
    int language)
{
  JsonObject *clips = json_object_has_member (root, "words")
                          ? json_object_get_object_member (root, "words")
                          : NULL;
  JsonArray *expected = clips && json_object_has_member (clips, name)
                            ? json_object_get_array_member (clips, name)
                            : NULL;
  const gboolean is_multilingual =
      npu_tokenizer_get_special (rig->tokenizer)->is_multilingual;
  g_autoptr (GArray) tokens = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_autoptr (GArray) words = NULL;
  g_autoptr (GError) error = NULL;

  if (!expected)
    return;
  for (guint i = 0; i < json_array_get_length (expected); i++) {
    g_autoptr (GArray) ids = test_vectors_ids (json_object_get_array_member (
        json_array_get_object_element (expected, i), "tokens"));

    g_array_append_vals (tokens, ids->data, ids->len);
  }
  npu_find_words (&rig->source, rig->tokenizer, 0, 0, NPU_TASK_TRANSCRIBE,
      is_multilingual ? language : -1, (guint32 *) tokens->data, tokens->len,
      N_FRAMES / 2, &words, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (words->len, ==, json_array_get_length (expected));
  for (guint i = 0; i < words->len; i++) {
    const NpuWord *word = &g_array_index (words, NpuWord, i);
    JsonObject *row = json_array_get_object_element (expected, i);
    const double start = json_object_get_double_member (row, "start");
    const double end = json_object_get_double_member (row, "end");
    const gboolean is_same =
        fabs (word->start - start) < 0.0201 && fabs (word->end - end) < 0.0201;

    g_assert_cmpstr (
        word->text, ==, json_object_get_string_member (row, "word"));
    if (!is_same)
      g_test_message ("%s:%s from %.2f to %.2f s, not %.2f to %.2f", name,
          word->text, word->start, word->end, start, end);
    g_assert_true (is_same || !is_exact);
    if (is_exact)
      g_assert_cmpfloat_with_epsilon (word->probability,
          json_object_get_double_member (row, "probability"), 0.01);
    rig->n_words++;
    rig->n_other_times += !is_same;
  }
}

static void
check_clip (Rig *rig, JsonObject *root, const char *name, gboolean zero_tail)
{
  gboolean is_exact;
  g_autofree char *path = find_clip (rig->folder, name, &is_exact);
  g_autoptr (GByteArray) samples = path ? read_audio (path) : NULL;
  NpuDecodingOptions options;

  if (!samples) {
    g_test_message ("%s: cannot be read here", name);
    return;
  }
  set_window (rig, samples, zero_tail);
  npu_decoding_options_init (&options);
  options.suppress =
      npu_tokenizer_get_suppressed (rig->tokenizer, &options.n_suppress);
  options.temperature_increment = 0;
  options.language =
      npu_tokenizer_find_language (rig->tokenizer, language_of (root, name));
  check_task (rig, root, "greedy", name, is_exact, &options);
  check_language (rig, root, name, is_exact);
  check_words (rig, root, name, is_exact, options.language);

  options.timestamps = FALSE;
  check_task (rig, root, "greedy-without-timestamps", name, is_exact, &options);
  options.timestamps = TRUE;
  options.beam_size = 5;
  check_task (rig, root, "beam5", name, is_exact, &options);
  options.beam_size = 1;
  options.task = NPU_TASK_TRANSLATE;
  check_task (rig, root, "translate", name, is_exact, &options);
}

typedef struct {
  const char *model, *reference;
  gboolean zero_tail;
} Case;

static void
test_reference (gconstpointer data)
{
  const Case *test = data;
  g_autoptr (JsonNode) root = NULL;
  g_autoptr (GList) names = NULL;
  /* `-m perf` takes every clip, and minutes. */
  const guint each = g_test_perf () ? 1 : 8;
  guint i = 0;
  Rig rig;

  if (!g_test_slow ()) {
    g_test_skip ("speech in float takes -m slow");
    return;
  }
  if (!rig_open (&rig, test->model))
    return;
  root = test_vectors_load (test->reference);
  if (root)
    names = json_object_get_members (
        json_object_get_object_member (json_node_get_object (root), "greedy"));
  for (GList *name = names; name; name = name->next, i++) {
    if (i % each == 0)
      check_clip (
          &rig, json_node_get_object (root), name->data, test->zero_tail);
  }
  g_test_message (
      "%u answers are the same, %u but for what was near; of %u words %u have "
      "another time",
      rig.n_same, rig.n_near, rig.n_words, rig.n_other_times);
  g_assert_true (!root || rig.n_same > 2 * rig.n_near);
  g_assert_cmpuint (8 * rig.n_other_times, <=, rig.n_words);
  rig_close (&rig);
}

int
main (int argc, char **argv)
{
  static const Case cases[] = {
      {"models/whisper-tiny.en-f16.safetensors",
          "reference/tokens-tiny.en.json", FALSE},
      {"models/whisper-tiny.en-f16.safetensors",
          "reference/tokens-tiny.en-zero-tail.json", TRUE},
      {"models/ggml-base-q8_0.bin", "reference/tokens-base-q8_0.json", FALSE},
      {"models/ggml-base-q8_0.bin", "reference/tokens-base-q8_0-zero-tail.json",
          TRUE},
  };

  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/decoding-speech/tiny.en", &cases[0], test_reference);
  g_test_add_data_func (
      "/decoding-speech/tiny.en/zero-tail", &cases[1], test_reference);
  g_test_add_data_func ("/decoding-speech/base", &cases[2], test_reference);
  g_test_add_data_func (
      "/decoding-speech/base/zero-tail", &cases[3], test_reference);
  return g_test_run ();
}
