/* The decoder's numbers: its logits against those of a float64 decoder in plain
 * loops, at every precision, and what a row's bytes depend on: nothing but the
 * row.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoder/decoder-private.h"

#include "decoder-fixture.h"
#include "describe-check.h"
#include "ref-decoder.h"
#include "small-model.h"

#include <math.h>
#include <string.h>

#define VOCAB DECODER_FIXTURE_VOCAB

static const NpuPrecision precisions[] = {
    NPU_PRECISION_F32, NPU_PRECISION_INT16, NPU_PRECISION_INT8};
static const guint32 tokens[] = {7, 999, 0, 500, 7, 7, 123, 42, 998, 3, 55};
#define N_TOKENS G_N_ELEMENTS (tokens)

/* --- float64 ------------------------------------------------------------- */

/* Root of the mean square of a difference, over that of what is expected. */
static double
relative_error (const float *logits, const double *expected, gsize n)
{
  double error = 0, size = 0;

  for (gsize i = 0; i < n; i++) {
    error += (logits[i] - expected[i]) * (logits[i] - expected[i]);
    size += expected[i] * expected[i];
  }
  return sqrt (error / size);
}

static void
check_model (NpuModel *model, guint n_positions)
{
  /* Cross-attention's keys and values are bytes but in float. */
  static const double bounds[] = {2e-6, 1e-2, 3e-2};
  const NpuModelConfig *config = npu_model_get_config (model);
  g_autofree float *states =
      decoder_fixture_new_states (n_positions, config->decoder.d, 1);
  g_autofree double *expected =
      ref_decoder_logits (model, states, n_positions, tokens, N_TOKENS);

  for (guint i = 0; i < G_N_ELEMENTS (precisions); i++) {
    g_autoptr (DecoderFixture) fixture =
        decoder_fixture_new (model, precisions[i], 0);
    g_autofree float *logits = NULL;
    double error;

    decoder_fixture_set_window (fixture, 0, n_positions, 1);
    npu_decoder_begin (fixture->decoder, 0, 0);
    logits = decoder_fixture_tokens (fixture, 0, tokens, N_TOKENS);
    error =
        relative_error (logits, expected, N_TOKENS * (gsize) config->n_vocab);
    g_test_message ("width %u, %u states, %s: %.2e", config->decoder.d,
        n_positions,
        i == 0   ? "f32"
        : i == 1 ? "int16"
                 : "int8",
        error);
    g_assert_cmpfloat (error, <=, bounds[i]);
  }
}

static void
test_float64 (void)
{
  /* Around a run of keys and a tile of rows. */
  static const guint n_positions[] = {1, 2, 63, 65, 512, 513, 1025, 1500};
  g_autoptr (NpuModel) model = decoder_fixture_new_model ();

  for (guint i = 0; i < G_N_ELEMENTS (n_positions); i++)
    check_model (model, n_positions[i]);
}

static void
test_widths (void)
{
  static const guint widths[] = {64, 192, 320};

  for (guint i = 0; i < G_N_ELEMENTS (widths); i++) {
    g_autoptr (NpuModel) model = small_model_new (80, widths[i], 1, 0);

    /* Neither a multiple of a unit's columns nor of four. */
    small_model_add_decoder (model, 1, 1003, 40);
    check_model (model, 100);
  }
}

/* The exact logits of a few: in float the step's, in 8 bits closer to those of
 * float64 than the step's. */
static void
test_refine (void)
{
  static const guint32 ids[] = {0, 999, 17, 17};
  const guint n = G_N_ELEMENTS (ids);
  g_autoptr (NpuModel) model = decoder_fixture_new_model ();

  for (guint i = 0; i < G_N_ELEMENTS (precisions); i++) {
    g_autoptr (DecoderFixture) fixture =
        decoder_fixture_new (model, precisions[i], 0);
    g_autofree float *logits = NULL;
    g_autoptr (GError) error = NULL;
    float refined[G_N_ELEMENTS (ids)];

    decoder_fixture_set_window (fixture, 0, 100, 1);
    npu_decoder_begin (fixture->decoder, 0, 0);
    logits = decoder_fixture_tokens (fixture, 0, tokens, N_TOKENS);
    npu_decoder_refine (fixture->decoder, 3, ids, n, refined, &error);
    g_assert_no_error (error);
    for (guint j = 0; j < n; j++) {
      const float from_step = logits[3 * VOCAB + ids[j]];

      if (precisions[i] == NPU_PRECISION_F32)
        g_assert_cmpfloat (refined[j], ==, from_step);
      else
        g_assert_cmpfloat_with_epsilon (refined[j], from_step, 0.2);
    }
    g_assert_false (
        npu_decoder_refine (fixture->decoder, N_TOKENS, ids, n, refined, NULL));
  }
}

/* --- the table ------------------------------------------------------------ */

/* Layers are alike here; vocabulary's weights alone have 8 bits. Whether the
 * window's products are of 16 bits is the processor's. */
static void
test_table (void)
{
  static const struct {
    const char *cross, *qkv, *vocabulary;
  } lines[] = {
      {"cpu f32 - - f32", "cpu f32 f32 f32 f32", "cpu f32 f32 f32 f32"},
      {"cpu int8 - - f32", "cpu int16 int16 int16 f32",
          "cpu int16 int16 int16 f32"},
      {"cpu int8 - - f32", "cpu int16 int16 int16 f32",
          "cpu int16 int8 int16 f32"},
  };
  g_autoptr (NpuModel) model = decoder_fixture_new_model ();

  for (guint i = 0; i < G_N_ELEMENTS (precisions); i++) {
    g_autoptr (DecoderFixture) fixture =
        decoder_fixture_new (model, precisions[i], 0);
    g_autofree char *table = npu_decoder_describe (fixture->decoder);

    g_test_message ("%s", table);
    describe_check_line (table, "blocks 0-1 qkv", lines[i].qkv);
    describe_check_line (table, "blocks 0-1 fc2", lines[i].qkv);
    describe_check_line (table, "blocks 0-1 attention", "cpu f32 - - f32");
    describe_check_line (table, "blocks 0-1 cross attention", lines[i].cross);
    describe_check_line (table, "vocabulary", lines[i].vocabulary);
  }
}

/* A layer whose weights came from a file of Q8_0 has a line of its own. */
static void
test_table_of_layers (void)
{
  g_autoptr (NpuModel) model = decoder_fixture_new_model ();
  g_autoptr (DecoderFixture) fixture =
      decoder_fixture_new (model, NPU_PRECISION_INT8, 0);
  DecoderLinear *fc1 = &fixture->decoder->weights->layers[1].fc1;
  g_autofree char *table = NULL;

  fc1->product = DECODER_GROUPED;
  table = npu_decoder_describe (fixture->decoder);
  fc1->product = DECODER_S16;
  describe_check_line (table, "block 0 fc1", "cpu int16 int16 int16 f32");
  describe_check_line (table, "block 1 fc1", "cpu int16 q8_0 int16 f32");
}

/* --- the same bytes ------------------------------------------------------ */

static void
assert_same_row (const float *a, const float *b)
{
  g_assert_cmpmem (a, VOCAB * sizeof *a, b, VOCAB * sizeof *b);
}

/* Of one window of 700 positions and one of 90: each token alone. */
static float *
logits_one_by_one (NpuModel *model, NpuPrecision precision, guint window)
{
  g_autoptr (DecoderFixture) fixture =
      decoder_fixture_new (model, precision, 1);
  float *all = g_new (float, N_TOKENS *VOCAB);

  decoder_fixture_set_window (fixture, 0, window == 0 ? 700 : 90, window);
  npu_decoder_begin (fixture->decoder, 0, 0);
  for (guint i = 0; i < N_TOKENS; i++) {
    g_autofree float *logits =
        decoder_fixture_tokens (fixture, 0, tokens + i, 1);

    memcpy (all + i * VOCAB, logits, VOCAB * sizeof *all);
  }
  return all;
}

/* A prompt at once, single tokens, and both for several sequences of two
 * windows in one step. */
static void
test_rows (gconstpointer data)
{
  const NpuPrecision precision = GPOINTER_TO_INT (data);
  g_autoptr (NpuModel) model = decoder_fixture_new_model ();
  g_autofree float *first = logits_one_by_one (model, precision, 0);
  g_autofree float *second = logits_one_by_one (model, precision, 1);
  const float *const expected[] = {first, second};

  for (guint threads = 1; threads <= 4; threads++) {
    g_autoptr (DecoderFixture) fixture =
        decoder_fixture_new (model, precision, threads);
    NpuDecoderRow rows[6 * N_TOKENS];
    g_autofree float *logits = NULL;
    guint n = 0;

    decoder_fixture_set_window (fixture, 0, 700, 0);
    decoder_fixture_set_window (fixture, 3, 90, 1);
    for (guint sequence = 0; sequence < 6; sequence++)
      npu_decoder_begin (fixture->decoder, sequence, sequence % 2 ? 3 : 0);
    /* Sequence 5 has its first token before. */
    g_free (decoder_fixture_tokens (fixture, 5, tokens, 1));
    for (guint i = 0; i < N_TOKENS; i++)
      for (guint sequence = 0; sequence < 6; sequence++)
        if (sequence != 5 || i > 0)
          rows[n++] = (NpuDecoderRow){sequence, tokens[i], TRUE};
    logits = decoder_fixture_step (fixture, rows, n);
    for (guint row = 0, i = 0; i < N_TOKENS; i++)
      for (guint sequence = 0; sequence < 6; sequence++)
        if (sequence != 5 || i > 0)
          assert_same_row (
              logits + row++ * VOCAB, expected[sequence % 2] + i * VOCAB);
  }
}

/* Rows whose logits nobody wants leave the others as they are. */
static void
test_wanted (gconstpointer data)
{
  g_autoptr (NpuModel) model = decoder_fixture_new_model ();
  g_autofree float *expected =
      logits_one_by_one (model, GPOINTER_TO_INT (data), 0);
  g_autoptr (DecoderFixture) fixture =
      decoder_fixture_new (model, GPOINTER_TO_INT (data), 0);
  NpuDecoderRow rows[N_TOKENS];
  g_autofree float *logits = NULL;

  decoder_fixture_set_window (fixture, 0, 700, 0);
  npu_decoder_begin (fixture->decoder, 0, 0);
  for (guint i = 0; i < N_TOKENS; i++)
    rows[i] = (NpuDecoderRow){0, tokens[i], i == 2 || i == 9};
  logits = decoder_fixture_step (fixture, rows, N_TOKENS);
  assert_same_row (logits, expected + 2 * VOCAB);
  assert_same_row (logits + VOCAB, expected + 9 * VOCAB);
}

/* A fork goes its own way, its source too; what is truncated is gone. */
static void
test_fork (gconstpointer data)
{
  const guint half = N_TOKENS / 2;
  const guint32 other = 321;
  g_autoptr (NpuModel) model = decoder_fixture_new_model ();
  g_autofree float *expected =
      logits_one_by_one (model, GPOINTER_TO_INT (data), 0);
  g_autoptr (DecoderFixture) fixture =
      decoder_fixture_new (model, GPOINTER_TO_INT (data), 0);
  NpuDecoder *decoder = fixture->decoder;

  decoder_fixture_set_window (fixture, 0, 700, 0);
  npu_decoder_begin (decoder, 0, 0);
  g_free (decoder_fixture_tokens (fixture, 0, tokens, half));
  /* Over what a sequence had before, and again and again. */
  for (guint i = 0; i < 40; i++) {
    const guint to = 1 + i % 3;
    g_autofree float *logits = NULL;

    npu_decoder_fork (decoder, 0, to);
    g_free (decoder_fixture_tokens (fixture, to, &other, 1));
    g_assert_cmpuint (npu_decoder_get_n_tokens (decoder, to), ==, half + 1);
    npu_decoder_truncate (decoder, to, half);
    npu_decoder_fork (decoder, to, 4);
    logits = decoder_fixture_tokens (fixture, i % 2 ? 4 : to, tokens + half, 1);
    assert_same_row (logits, expected + half * VOCAB);
  }
  for (guint i = half; i < N_TOKENS; i++) {
    g_autofree float *logits =
        decoder_fixture_tokens (fixture, 0, tokens + i, 1);

    assert_same_row (logits, expected + i * VOCAB);
  }
  npu_decoder_fork (decoder, 0, 0);
  g_assert_cmpuint (npu_decoder_get_n_tokens (decoder, 0), ==, N_TOKENS);
}

/* A window set again is another one. */
static void
test_windows_again (gconstpointer data)
{
  g_autoptr (NpuModel) model = decoder_fixture_new_model ();
  g_autofree float *expected =
      logits_one_by_one (model, GPOINTER_TO_INT (data), 1);
  g_autoptr (DecoderFixture) fixture =
      decoder_fixture_new (model, GPOINTER_TO_INT (data), 0);
  g_autofree float *logits = NULL;

  /* Longer before, and odd: nothing of it is left. */
  decoder_fixture_set_window (fixture, 0, 701, 5);
  decoder_fixture_set_window (fixture, 0, 90, 1);
  npu_decoder_begin (fixture->decoder, 0, 0);
  logits = decoder_fixture_tokens (fixture, 0, tokens, N_TOKENS);
  assert_same_row (logits + VOCAB, expected + VOCAB);
}

/* --- sharing ------------------------------------------------------------- */

static gpointer
open_decoder (gpointer model)
{
  return decoder_fixture_new (model, NPU_PRECISION_INT8, 0);
}

/* Decoders of one model have its weights once, and lose them with the last. */
static void
test_shared (void)
{
  g_autoptr (NpuModel) model = decoder_fixture_new_model ();
  g_autofree float *expected = logits_one_by_one (model, NPU_PRECISION_INT8, 1);
  g_autoptr (DecoderFixture) other =
      decoder_fixture_new (model, NPU_PRECISION_F32, 0);
  DecoderFixture *fixtures[4];
  GThread *threads[4];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("opens", open_decoder, model);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++) {
    fixtures[i] = g_thread_join (threads[i]);
    g_assert_true (
        fixtures[i]->decoder->weights == fixtures[0]->decoder->weights);
    g_assert_true (fixtures[i]->decoder->weights != other->decoder->weights);
  }
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++) {
    g_autofree float *logits = NULL;

    decoder_fixture_set_window (fixtures[i], 0, 90, 1);
    npu_decoder_begin (fixtures[i]->decoder, 0, 0);
    logits = decoder_fixture_tokens (fixtures[i], 0, tokens, 1);
    assert_same_row (logits, expected);
    decoder_fixture_free (fixtures[i]);
  }
}

static void
add (const char *name, void (*test) (gconstpointer data))
{
  static const char *const names[] = {"f32", "int16", "int8"};

  for (guint i = 0; i < G_N_ELEMENTS (precisions); i++) {
    g_autofree char *path = g_strdup_printf ("/decoder/%s/%s", name, names[i]);

    g_test_add_data_func (path, GINT_TO_POINTER (precisions[i]), test);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/decoder/matches-float64/states", test_float64);
  g_test_add_func ("/decoder/matches-float64/widths", test_widths);
  g_test_add_func ("/decoder/refine", test_refine);
  g_test_add_func ("/decoder/weights-are-shared", test_shared);
  g_test_add_func ("/decoder/table", test_table);
  g_test_add_func ("/decoder/table/layers", test_table_of_layers);
  add ("same-bytes/rows-and-threads", test_rows);
  add ("same-bytes/wanted", test_wanted);
  add ("same-bytes/fork-and-truncate", test_fork);
  add ("same-bytes/windows", test_windows_again);
  return g_test_run ();
}
