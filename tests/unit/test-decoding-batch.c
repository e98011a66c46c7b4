/* Windows that share the decoder's steps have, to the bit, the answers that
 * they have alone: whichever others are in flight, in whichever places.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoding/window-decoding.h"

#include <string.h>

#include "decoder-fixture.h"
#include "decoding/random.h"
#include "npu-error.h"
#include "scripted-source.h"
#include "small-model.h"
#include "small-vocabulary.h"
#include "tokenizer/tokenizer-private.h"

#define N_WINDOWS 10

static NpuSpecialTokens special;
static NpuTokenizer *tokenizer;

/* --- sources ------------------------------------------------------------- */

/* A window's logits are of its tokens alone; after some, the end is near. */
static void
random_logits (
    gpointer data, guint window, const guint32 *tokens, guint n, float *logits)
{
  const guint *contents = data;
  guint64 seed = npu_random_seed (71, contents[window]);
  NpuRandom random;

  for (guint i = n > 2 ? n - 2 : 0; i < n; i++)
    seed = npu_random_seed (seed, tokens[i]);
  random.state = seed;
  for (guint i = 0; i < special.n_vocab; i++)
    logits[i] = -9;
  for (guint i = 0; i < 300; i++) {
    const guint32 id = (guint32) (npu_random_next (&random) * special.n_vocab);

    logits[id] = (float) (npu_random_next (&random) * 9 - 3);
  }
  logits[special.eot] = (float) n * (0.05f + 0.04f * contents[window]) - 2;
  logits[special.no_speech] = contents[window] % 4 == 0 ? 9 : -4;
}

/* What a place of the source holds, and who decodes it. */
typedef struct {
  const NpuLogitsSource *source;
  guint n_steps;
  void (*set) (gpointer data, guint place, guint content);
  gpointer data;
} Rig;

static void
set_scripted (gpointer data, guint place, guint content)
{
  ((guint *) data)[place] = content;
}

/* Every content is another length and other states. */
static void
set_real (gpointer data, guint place, guint content)
{
  decoder_fixture_set_window (data, place, 40 + 130 * content, content);
}

/* --- decoding ------------------------------------------------------------ */

static void
init_options (NpuDecodingOptions *options, guint content)
{
  npu_decoding_options_init (options);
  options->seed = content;
  options->language = -1;
  options->best_of = 3;
  options->temperature_increment = 0.5f;
  options->logprob_threshold =
      content % 2 ? -0.01f : -99; /* fallbacks, or not */
}

static NpuWindowDecoding *
begin_window (const Rig *rig, guint place, guint content, guint beam_size)
{
  static const guint32 prompt[] = {1, 2, 3, 4, 5, 6};
  NpuDecodingOptions options;
  NpuWindowTask task = {.window = place,
      .first_sequence = place * MAX (beam_size, 3),
      .options = &options,
      .prompt = prompt,
      .n_prompt = content % 7};
  NpuWindowDecoding *decoding;
  g_autoptr (GError) error = NULL;

  init_options (&options, content);
  options.beam_size = beam_size;
  rig->set (rig->data, place, content);
  decoding = npu_window_decoding_new (rig->source, tokenizer, &task, &error);
  g_assert_no_error (error);
  return decoding;
}

/* Decodes windows of @contents, @n_places at once; the next begins where one
 * ends. Places are taken from the last on where @is_reverse. */
static void
decode (Rig *rig, const guint *contents, guint n, guint n_places,
    gboolean is_reverse, guint beam_size, NpuDecodedWindow *answers)
{
  NpuWindowDecoding *open[N_WINDOWS] = {NULL};
  guint of[N_WINDOWS], n_begun = 0, n_open = 0;
  NpuDecodingStep step;
  g_autoptr (GError) error = NULL;

  npu_decoding_step_init (&step, special.n_vocab);
  do {
    NpuWindowDecoding *all[N_WINDOWS];
    guint n_all = 0;

    for (guint i = 0; i < n_places && n_begun < n; i++) {
      const guint place = is_reverse ? n_places - 1 - i : i;

      if (open[place])
        continue;
      of[place] = n_begun;
      open[place] = begin_window (rig, place, contents[n_begun++], beam_size);
      n_open++;
    }
    for (guint place = 0; place < n_places; place++) {
      if (open[place])
        all[n_all++] = open[place];
    }
    rig->n_steps++;
    npu_decodings_step (&step, rig->source, all, n_all, &error);
    g_assert_no_error (error);
    for (guint place = 0; place < n_places; place++) {
      if (!open[place] || !npu_window_decoding_is_whole (open[place]))
        continue;
      npu_window_decoding_end (open[place], &answers[of[place]]);
      g_clear_pointer (&open[place], npu_window_decoding_free);
      n_open--;
    }
  } while (n_open > 0 || n_begun < n);
  npu_decoding_step_clear (&step);
}

static void
assert_same_answer (const NpuDecodedWindow *a, const NpuDecodedWindow *b)
{
  g_assert_cmpmem (a->tokens->data, a->tokens->len * sizeof (guint32),
      b->tokens->data, b->tokens->len * sizeof (guint32));
  g_assert_cmpstr (a->text, ==, b->text);
  g_assert_true (a->avg_logprob == b->avg_logprob);
  g_assert_true (a->no_speech_prob == b->no_speech_prob);
  g_assert_true (a->language_prob == b->language_prob);
  g_assert_cmpint (a->language, ==, b->language);
  g_assert_cmpfloat (a->temperature, ==, b->temperature);
  g_assert_cmpuint (a->n_tries, ==, b->n_tries);
  g_assert_cmpuint (a->n_steps, ==, b->n_steps);
  g_assert_cmpint (a->is_silence, ==, b->is_silence);
}

static void
clear_answers (NpuDecodedWindow *answers, guint n)
{
  for (guint i = 0; i < n; i++)
    npu_decoded_window_clear (&answers[i]);
}

/* One at a time, then more. */
static void
check_rig (Rig *rig, guint n, guint most_places, guint beam_size)
{
  static const guint order[N_WINDOWS] = {3, 0, 7, 9, 1, 4, 2, 8, 5, 6};
  NpuDecodedWindow alone[N_WINDOWS];
  guint alone_steps, n_tries = 0;

  rig->n_steps = 0;
  decode (rig, order, n, 1, FALSE, beam_size, alone);
  alone_steps = rig->n_steps;
  for (guint places = 2; places <= most_places; places += 1 + places / 2) {
    NpuDecodedWindow answers[N_WINDOWS];

    rig->n_steps = 0;
    decode (rig, order, n, places, places % 2, beam_size, answers);
    for (guint i = 0; i < n; i++)
      assert_same_answer (&answers[i], &alone[i]);
    g_assert_cmpuint (rig->n_steps, <, alone_steps);
    clear_answers (answers, n);
  }
  for (guint i = 0; i < n; i++)
    n_tries += alone[i].n_tries;
  g_assert_cmpuint (n_tries, >, n); /* some fell back */
  g_test_message ("%u windows: %u tries, %u steps alone, %u shared", n, n_tries,
      alone_steps, rig->n_steps);
  clear_answers (alone, n);
}

static void
test_scripted (void)
{
  for (guint beam_size = 1; beam_size <= 3; beam_size++) {
    guint contents[N_WINDOWS] = {0};
    g_autoptr (ScriptedSource) scripted =
        scripted_source_new (special.n_vocab, random_logits, contents);
    Rig rig = {&scripted->source, .set = set_scripted, .data = contents};

    if (beam_size == 2)
      scripted_source_set_coarse (scripted, 0.125f);
    check_rig (&rig, N_WINDOWS, N_WINDOWS, beam_size);
    g_assert_cmpuint (scripted->most_rows, >, N_WINDOWS);
  }
}

/* A decoder's own numbers, at every precision and number of threads. */
static void
test_decoder (void)
{
  static const NpuPrecision precisions[] = {
      NPU_PRECISION_F32, NPU_PRECISION_INT16, NPU_PRECISION_INT8};
  NpuModel *model = small_model_new (80, 128, 1, 0);

  small_model_add_decoder (model, 2, special.n_vocab, 64);
  for (guint i = 0; i < 2 * G_N_ELEMENTS (precisions); i++) {
    g_autoptr (DecoderFixture) fixture =
        decoder_fixture_new (model, precisions[i / 2], 1 + i % 2 * 2);
    NpuLogitsSource source;
    Rig rig = {&source, .set = set_real, .data = fixture};

    npu_logits_source_init (&source, fixture->decoder);
    check_rig (&rig, 5, 4, 1 + i % 2 * 2);
  }
  small_model_free (model);
}

/* After an error nothing is left behind. */
static void
test_failure (void)
{
  guint contents[N_WINDOWS] = {0};
  g_autoptr (ScriptedSource) scripted =
      scripted_source_new (special.n_vocab, random_logits, contents);
  Rig rig = {&scripted->source, .set = set_scripted, .data = contents};

  for (guint fail_at = 1; fail_at < 40; fail_at += 6) {
    NpuWindowDecoding *all[4];
    NpuDecodingStep step;
    g_autoptr (GError) error = NULL;

    scripted->fail_at = scripted->n_steps + fail_at;
    npu_decoding_step_init (&step, special.n_vocab);
    for (guint i = 0; i < G_N_ELEMENTS (all); i++)
      all[i] = begin_window (&rig, i, i + 1, 3);
    for (guint i = 1; i < fail_at; i++) {
      guint n = 0;
      NpuWindowDecoding *open[G_N_ELEMENTS (all)];

      for (guint j = 0; j < G_N_ELEMENTS (all); j++) {
        if (!npu_window_decoding_is_whole (all[j]))
          open[n++] = all[j];
      }
      g_assert_cmpuint (n, >, 0);
      g_assert_true (
          npu_decodings_step (&step, &scripted->source, open, n, NULL));
    }
    g_assert_false (npu_decodings_step (
        &step, &scripted->source, all, G_N_ELEMENTS (all), &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_LAUNCH);
    for (guint i = 0; i < G_N_ELEMENTS (all); i++)
      npu_window_decoding_free (all[i]);
    npu_decoding_step_clear (&step);
  }
}

int
main (int argc, char **argv)
{
  int failed;

  g_test_init (&argc, &argv, NULL);
  small_vocabulary_special (&special);
  tokenizer = npu_tokenizer_new_of_vocabulary (
      npu_vocabulary_new_synthetic (&special, "small"));
  g_test_add_func ("/decoding-batch/scripted", test_scripted);
  g_test_add_func ("/decoding-batch/decoder", test_decoder);
  g_test_add_func ("/decoding-batch/failure", test_failure);
  failed = g_test_run ();
  npu_tokenizer_unref (tokenizer);
  return failed;
}
