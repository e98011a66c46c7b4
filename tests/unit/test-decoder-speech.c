/* The decoder on speech: given what OpenAI's code wrote in float32, word by
 * word, each next word is its choice too. Of the text alone: which timestamps
 * may come is a rule, not the decoder's.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoder/npu-decoder.h"

#include <string.h>

#include "encoder-fixture.h"
#include "npu-logits.h"
#include "test-data.h"

#define MAX_TOKENS 200
#define N_BEST 16
#define SECOND 1000000000u

typedef struct {
  const char *model, *tokens;
  guint32 prompt[4];
  guint n_prompt;
  guint32 eot;
} Speech;

static const Speech tiny_en = {"models/whisper-tiny.en-f16.safetensors",
    "reference/tokens-tiny.en.json", {50257}, 1, 50256};
static const Speech base = {"models/ggml-base-q8_0.bin",
    "reference/tokens-base-q8_0.json", {50258, 50259, 50359}, 3, 50257};

/* The numbers of "greedy": {"CLIP": {… "tokens": [ … ]}}. */
static guint
read_tokens (const char *path, const char *clip, guint32 *tokens)
{
  g_autofree char *key = g_strdup_printf ("\"%s\"", clip);
  g_autofree char *text = NULL;
  char *at;
  guint n = 0;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_nonnull (at = strstr (text, "\"greedy\""));
  g_assert_nonnull (at = strstr (at, key));
  g_assert_nonnull (at = strstr (at, "\"tokens\""));
  at = strchr (at, '[');
  do
    tokens[n++] = g_ascii_strtoull (at + 1, &at, 10);
  while (*at == ',' && n < MAX_TOKENS);
  return n;
}

typedef struct {
  NpuModel *model;
  NpuDevice *device;
  NpuDecoder *decoder;
  float *logits; /* [n][n_vocab] */
  guint32 tokens[MAX_TOKENS + 4];
  guint n; /* of prompt and text */
} Run;

static void
step (Run *run)
{
  const gsize n_vocab = npu_decoder_get_n_vocab (run->decoder);
  NpuDecoderRow rows[G_N_ELEMENTS (run->tokens)];
  float *each[G_N_ELEMENTS (run->tokens)];
  g_autoptr (GError) error = NULL;

  run->logits = g_new (float, run->n *n_vocab);
  for (guint i = 0; i < run->n; i++) {
    rows[i] = (NpuDecoderRow){0, run->tokens[i], TRUE};
    each[i] = run->logits + i * n_vocab;
  }
  npu_decoder_begin (run->decoder, 0, 0);
  npu_decoder_step (run->decoder, rows, run->n, each, &error);
  g_assert_no_error (error);
}

static void
open_run (
    Run *run, const char *location, const float *states, NpuPrecision precision)
{
  const NpuDecoderOptions options = {.precision = precision,
      .max_windows = 1,
      .max_sequences = 1,
      .timeout = (guint64) 100 * SECOND};
  g_autoptr (GError) error = NULL;

  run->model = encoder_fixture_open_model (location);
  run->device = npu_device_open ("cpu", NULL, &error);
  g_assert_no_error (error);
  run->decoder = npu_decoder_new (run->model, run->device, &options, &error);
  g_assert_no_error (error);
  npu_decoder_set_window (run->decoder, 0, states, 1500, &error);
  g_assert_no_error (error);
}

static void
close_run (Run *run)
{
  g_free (run->logits);
  npu_decoder_free (run->decoder);
  npu_device_unref (run->device);
  npu_model_unref (run->model);
}

/* Of the step's best few, the best one by their exact logits. */
static guint32
choose (Run *run, guint row, guint n_text)
{
  const float *logits =
      run->logits + (gsize) row * npu_decoder_get_n_vocab (run->decoder);
  NpuLogitsKernels kernels;
  int found[N_BEST], n, best = 0;
  guint32 ids[N_BEST];
  float exact[N_BEST];

  npu_logits_init (&kernels, npu_cpu_flags ());
  n = kernels.best (logits, n_text, found, N_BEST);
  for (int i = 0; i < n; i++)
    ids[i] = found[i];
  g_assert_true (npu_decoder_refine (run->decoder, row, ids, n, exact, NULL));
  for (int i = 1; i < n; i++)
    if (exact[i] > exact[best])
      best = i;
  return ids[best];
}

/* Returns how many of the text's words are not the decoder's choice. */
static guint
count_others (const Speech *speech, const char *clip, const float *states,
    NpuPrecision precision, guint *n_words)
{
  g_autofree char *location = test_data_path (speech->model);
  g_autofree char *path = test_data_path (speech->tokens);
  guint n_others = 0;
  Run run = {.n = speech->n_prompt};

  memcpy (run.tokens, speech->prompt, sizeof speech->prompt);
  run.n += read_tokens (path, clip, run.tokens + run.n);
  open_run (&run, location, states, precision);
  step (&run);
  for (guint i = speech->n_prompt; i < run.n; i++) {
    guint32 chosen;

    if (run.tokens[i] >= speech->eot)
      continue;
    chosen = choose (&run, i - 1, speech->eot);
    (*n_words)++;
    if (chosen == run.tokens[i])
      continue;
    n_others++;
    g_test_message (
        "%s: token %u is %u, not %u", clip, i, chosen, run.tokens[i]);
  }
  close_run (&run);
  return n_others;
}

static void
test_speech (gconstpointer data)
{
  static const char *const clips[] = {"jfk", "1272-128104-0000"};
  const Speech *speech = data;
  g_autofree char *location = test_data_path (speech->model);
  guint n_words = 0, n_others[2] = {0};
  g_autoptr (NpuModel) model = NULL;

  if (!location || !g_file_test (location, G_FILE_TEST_EXISTS)) {
    g_test_skip ("there is no such model: see NPUENC_TEST_DATA");
    return;
  }
  model = encoder_fixture_open_model (location);
  for (guint i = 0; i < G_N_ELEMENTS (clips); i++) {
    const EncoderSetup setup = {.precision = NPU_PRECISION_F32};
    g_autofree char *name =
        g_strdup_printf ("reference/%s.mel.80x3000.f32", clips[i]);
    g_autofree char *path = test_data_path (name);
    g_autofree float *mel = test_data_read_f32 (path, 80 * 3000);
    g_autofree float *states =
        encoder_fixture_encode_once (model, &setup, mel, 3000);

    n_others[0] +=
        count_others (speech, clips[i], states, NPU_PRECISION_F32, &n_words);
    n_others[1] +=
        count_others (speech, clips[i], states, NPU_PRECISION_INT8, &n_words);
  }
  n_words /= 2;
  g_test_message ("%u words: %u others in f32, %u in int8", n_words,
      n_others[0], n_others[1]);
  g_assert_cmpuint (n_words, >, 30);
  g_assert_cmpuint (n_others[0], ==, 0);
  g_assert_cmpuint (n_others[1], <=, n_words / 30);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/decoder/speech/tiny.en", &tiny_en, test_speech);
  g_test_add_data_func ("/decoder/speech/base", &base, test_speech);
  return g_test_run ();
}
