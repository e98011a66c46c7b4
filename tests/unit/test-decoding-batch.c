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

/* --- places of sequences ------------------------------------------------- */

#define N_SEQUENCES 16
#define MAX_ROWS 256

/* A decoder whose sequences have other numbers, and whose rows come in another
 * order in each step. */
typedef struct {
  NpuLogitsSource source;
  const NpuLogitsSource *inner;
  guint of[N_SEQUENCES];    /* where each sequence is inside */
  guint rank[N_SEQUENCES];  /* of its rows in this step */
  guint32 inside[MAX_ROWS]; /* where rows with logits were in the last one */
  NpuRandom random;
} Shuffled;

static void
shuffle (NpuRandom *random, guint *numbers)
{
  for (guint i = 0; i < N_SEQUENCES; i++)
    numbers[i] = i;
  for (guint i = N_SEQUENCES - 1; i > 0; i--) {
    const guint j = (guint) (npu_random_next (random) * (i + 1));
    const guint number = numbers[i];

    numbers[i] = numbers[j];
    numbers[j] = number;
  }
}

static void
begin_elsewhere (gpointer self, guint sequence, guint window)
{
  const Shuffled *shuffled = self;

  shuffled->inner->begin (
      shuffled->inner->self, shuffled->of[sequence], window);
}

static void
fork_elsewhere (gpointer self, guint from, guint to)
{
  const Shuffled *shuffled = self;

  shuffled->inner->fork (
      shuffled->inner->self, shuffled->of[from], shuffled->of[to]);
}

static void
truncate_elsewhere (gpointer self, guint sequence, guint n_tokens)
{
  const Shuffled *shuffled = self;

  shuffled->inner->truncate (
      shuffled->inner->self, shuffled->of[sequence], n_tokens);
}

/* Rows of one sequence stay in order. */
static gboolean
step_in_other_order (gpointer self, const NpuDecoderRow *rows, guint n_rows,
    float *const *logits, GError **error)
{
  Shuffled *shuffled = self;
  NpuDecoderRow inner[MAX_ROWS];
  float *to[MAX_ROWS];
  guint n = 0, n_wanted = 0;

  g_assert_cmpuint (n_rows, <=, MAX_ROWS);
  shuffle (&shuffled->random, shuffled->rank);
  for (guint rank = 0; rank < N_SEQUENCES; rank++) {
    guint wanted = 0;

    for (guint i = 0; i < n_rows; wanted += rows[i++].wants_logits != 0) {
      if (shuffled->rank[rows[i].sequence] != rank)
        continue;
      inner[n] = rows[i];
      inner[n++].sequence = shuffled->of[rows[i].sequence];
      if (!rows[i].wants_logits)
        continue;
      shuffled->inside[wanted] = n_wanted;
      to[n_wanted++] = logits[wanted];
    }
  }
  return shuffled->inner->step (shuffled->inner->self, inner, n, to, error);
}

static gboolean
refine_elsewhere (gpointer self, guint row, const guint32 *ids, guint n,
    float *logits, GError **error)
{
  const Shuffled *shuffled = self;

  return shuffled->inner->refine (
      shuffled->inner->self, shuffled->inside[row], ids, n, logits, error);
}

static void
shuffled_init (Shuffled *shuffled, const NpuLogitsSource *inner, guint64 seed)
{
  *shuffled = (Shuffled){.source = *inner, .inner = inner, .random = {seed}};
  shuffled->source.self = shuffled;
  shuffled->source.begin = begin_elsewhere;
  shuffled->source.fork = fork_elsewhere;
  shuffled->source.truncate = truncate_elsewhere;
  shuffled->source.step = step_in_other_order;
  if (inner->refine)
    shuffled->source.refine = refine_elsewhere;
  shuffle (&shuffled->random, shuffled->of);
}

/* One text, whichever of the decoder's sequences windows and beams have, in
 * whichever order their rows come, at any number of threads. */
static void
test_places (void)
{
  static const NpuPrecision precisions[] = {
      NPU_PRECISION_F32, NPU_PRECISION_INT16, NPU_PRECISION_INT8};
  static const guint contents[] = {3, 0, 2, 1, 4};
  const guint n = G_N_ELEMENTS (contents);
  NpuModel *model = small_model_new (80, 128, 1, 0);

  small_model_add_decoder (model, 2, special.n_vocab, 64);
  for (guint i = 0; i < 2 * G_N_ELEMENTS (precisions); i++) {
    const guint beam_size = 1 + i % 2 * 2;
    NpuDecodedWindow plain[N_WINDOWS];

    for (guint round = 0; round < 4; round++) {
      g_autoptr (DecoderFixture) fixture =
          decoder_fixture_new (model, precisions[i / 2], 1 + round % 3);
      NpuDecodedWindow answers[N_WINDOWS];
      NpuLogitsSource source;
      Shuffled shuffled;
      Rig rig = {&source, .set = set_real, .data = fixture};

      npu_logits_source_init (&source, fixture->decoder);
      if (round == 0) {
        decode (&rig, contents, n, 1, FALSE, beam_size, plain);
        continue;
      }
      shuffled_init (&shuffled, &source, i * 4 + round);
      rig.source = &shuffled.source;
      decode (&rig, contents, n, 4, round % 2, beam_size, answers);
      for (guint j = 0; j < n; j++)
        assert_same_answer (&answers[j], &plain[j]);
      clear_answers (answers, n);
    }
    clear_answers (plain, n);
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
  g_test_add_func ("/decoding-batch/places", test_places);
  g_test_add_func ("/decoding-batch/failure", test_failure);
  failed = g_test_run ();
  npu_tokenizer_unref (tokenizer);
  return failed;
}
