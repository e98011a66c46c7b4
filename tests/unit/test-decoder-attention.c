/* Where the decoder's tokens look: scores of cross-attention against those of
 * a float64 decoder in plain loops, and what asking for them changes: nothing
 * else.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoder/decoder-private.h"

#include <math.h>
#include <string.h>

#include "decoder-fixture.h"
#include "ref-decoder.h"
#include "small-model.h"

#define VOCAB DECODER_FIXTURE_VOCAB
#define LAYERS 2
#define HEADS 2

static const NpuPrecision precisions[] = {
    NPU_PRECISION_F32, NPU_PRECISION_INT16, NPU_PRECISION_INT8};
static const guint32 tokens[] = {7, 999, 0, 500, 7, 123, 42};
#define N_TOKENS G_N_ELEMENTS (tokens)

/* Of all tokens in one step. scores[N_TOKENS][n_heads][n], of a row that does
 * not ask NaN. */
static float *
step (DecoderFixture *fixture, guint sequence, const gboolean *asks,
    float *scores, gsize size)
{
  float *logits = g_new (float, N_TOKENS *VOCAB);
  NpuDecoderRow rows[N_TOKENS];
  float *each[N_TOKENS], *attention[N_TOKENS];
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < N_TOKENS * size; i++)
    scores[i] = NAN;
  for (guint i = 0; i < N_TOKENS; i++) {
    rows[i] = (NpuDecoderRow){sequence, tokens[i], TRUE};
    each[i] = logits + i * VOCAB;
    attention[i] = !asks || asks[i] ? scores + i * size : NULL;
  }
  npu_decoder_step_attending (
      fixture->decoder, rows, N_TOKENS, each, attention, &error);
  g_assert_no_error (error);
  return logits;
}

static void
check_model (NpuModel *model, guint n)
{
  static const double bounds[] = {1e-5, 2e-2, 4e-2};
  const guint d = npu_model_get_config (model)->decoder.d;
  g_autofree float *states = decoder_fixture_new_states (n, d, 1);
  g_autofree double *expected =
      g_new (double, (gsize) LAYERS *HEADS *N_TOKENS *n);

  g_free (ref_decoder_attending (model, states, n, tokens, N_TOKENS, expected));
  for (guint p = 0; p < G_N_ELEMENTS (precisions); p++) {
    g_autoptr (DecoderFixture) fixture =
        decoder_fixture_new (model, precisions[p], 0);
    const guint n_heads = npu_decoder_get_n_alignment_heads (fixture->decoder);
    g_autofree float *scores = g_new (float, (gsize) N_TOKENS *n_heads *n);
    double error = 0, size = 0;

    /* Of an unknown model the upper half of the layers. */
    g_assert_cmpuint (n_heads, ==, LAYERS / 2 * HEADS);
    decoder_fixture_set_window (fixture, 0, n, 1);
    npu_decoder_begin (fixture->decoder, 0, 0);
    g_free (step (fixture, 0, NULL, scores, n_heads * n));
    for (gsize token = 0; token < N_TOKENS; token++)
      for (gsize head = 0; head < n_heads; head++)
        for (gsize i = 0; i < n; i++) {
          const double is = scores[(token * n_heads + head) * n + i];
          const double should_be =
              expected[((HEADS + head) * N_TOKENS + token) * n + i];

          error += (is - should_be) * (is - should_be);
          size += should_be * should_be;
        }
    g_test_message (
        "%u states, precision %u: %.2e", n, precisions[p], sqrt (error / size));
    g_assert_cmpfloat (sqrt (error / size), <=, bounds[p]);
  }
}

static void
test_float64 (void)
{
  /* Around a run of keys. */
  static const guint n_positions[] = {1, 2, 65, 512, 513, 1500};
  g_autoptr (NpuModel) model = decoder_fixture_new_model ();

  for (guint i = 0; i < G_N_ELEMENTS (n_positions); i++)
    check_model (model, n_positions[i]);
}

/* Rows that ask have the same scores beside others of other windows, and all
 * rows the same logits as without. */
static void
test_same_bytes (gconstpointer data)
{
  const NpuPrecision precision = GPOINTER_TO_INT (data);
  const gboolean asks[N_TOKENS] = {FALSE, TRUE, FALSE, FALSE, TRUE};
  const guint n = 600;
  g_autoptr (NpuModel) model = decoder_fixture_new_model ();
  g_autoptr (DecoderFixture) fixture =
      decoder_fixture_new (model, precision, 3);
  NpuDecoder *decoder = fixture->decoder;
  const gsize size = npu_decoder_get_n_alignment_heads (decoder) * n;
  g_autofree float *all = g_new (float, N_TOKENS *size);
  g_autofree float *few = g_new (float, N_TOKENS *size);
  g_autofree float *one = g_new (float, 2 * size);
  g_autofree float *plain = NULL, *logits = NULL, *logits_few = NULL;
  g_autofree float *other = g_new (float, VOCAB);

  decoder_fixture_set_window (fixture, 0, n, 1);
  decoder_fixture_set_window (fixture, 2, 90, 2);
  npu_decoder_begin (decoder, 0, 0);
  plain = decoder_fixture_tokens (fixture, 0, tokens, N_TOKENS);
  npu_decoder_begin (decoder, 0, 0);
  logits = step (fixture, 0, NULL, all, size);
  npu_decoder_begin (decoder, 1, 0);
  logits_few = step (fixture, 1, asks, few, size);
  g_assert_cmpmem (plain, N_TOKENS * VOCAB * sizeof *plain, logits,
      N_TOKENS * VOCAB * sizeof *logits);
  g_assert_cmpmem (plain, N_TOKENS * VOCAB * sizeof *plain, logits_few,
      N_TOKENS * VOCAB * sizeof *logits_few);
  for (guint i = 0; i < N_TOKENS; i++) {
    if (asks[i])
      g_assert_cmpmem (few + i * size, size * sizeof *few, all + i * size,
          size * sizeof *all);
    else
      for (gsize j = 0; j < size; j++)
        g_assert_true (isnan (few[i * size + j]));
  }

  npu_decoder_begin (decoder, 4, 2);
  npu_decoder_truncate (decoder, 1, N_TOKENS - 1);
  {
    const guint32 last = tokens[N_TOKENS - 1];
    const NpuDecoderRow rows[] = {{4, 5, FALSE}, {1, last, TRUE}};
    float *attention[] = {NULL, one};

    g_assert_true (
        npu_decoder_step_attending (decoder, rows, 2, &other, attention, NULL));
  }
  g_assert_cmpmem (
      one, size * sizeof *one, all + (N_TOKENS - 1) * size, size * sizeof *all);
}

/* The table, by sizes. */
static void
test_heads (void)
{
  static const struct {
    guint n_layers, n_heads, n_vocab;
    const char *location;
    guint n;
    NpuAlignmentHead first, last;
  } sizes[] = {
      {4, 6, 51864, "tiny.en", 8, {1, 0}, {3, 4}},
      {4, 6, 51865, "tiny", 6, {2, 2}, {3, 5}},
      {6, 8, 51865, "base", 8, {3, 1}, {5, 6}},
      {32, 20, 51865, "ggml-large-v1.bin", 9, {9, 19}, {23, 15}},
      {32, 20, 51865, "ggml-large-v2.bin", 23, {10, 12}, {27, 15}},
      {32, 20, 51866, "large", 10, {7, 0}, {25, 6}},
      {4, 20, 51866, "turbo", 6, {2, 4}, {3, 14}},
      /* no model of OpenAI's */
      {2, 20, 51866, "distil", 20, {1, 0}, {1, 19}},
      {6, 8, 51866, "base", 24, {3, 0}, {5, 7}},
      {1, 1, 300, "one", 1, {0, 0}, {0, 0}},
  };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    const NpuTransformerConfig config = {
        64 * sizes[i].n_heads, sizes[i].n_heads, sizes[i].n_layers, 448};
    g_autoptr (GArray) heads =
        npu_alignment_heads_new (&config, sizes[i].n_vocab, sizes[i].location);

    g_assert_cmpuint (heads->len, ==, sizes[i].n);
    g_assert_cmpmem (heads->data, 2, &sizes[i].first, 2);
    g_assert_cmpmem (heads->data + 2 * (heads->len - 1), 2, &sizes[i].last, 2);
    for (guint j = 0; j < heads->len; j++) {
      const NpuAlignmentHead *head = &((NpuAlignmentHead *) heads->data)[j];

      g_assert_cmpuint (head->layer, <, sizes[i].n_layers);
      g_assert_cmpuint (head->head, <, sizes[i].n_heads);
      if (j > 0) /* by layer: a layer's are one row of them */
        g_assert_cmpuint (head->layer * 32 + head->head, >,
            head[-1].layer * 32 + head[-1].head);
    }
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/decoder/attention/matches-float64", test_float64);
  g_test_add_func ("/decoder/attention/heads", test_heads);
  for (guint i = 0; i < G_N_ELEMENTS (precisions); i++) {
    g_autofree char *path =
        g_strdup_printf ("/decoder/attention/same-bytes/%u", precisions[i]);

    g_test_add_data_func (
        path, GINT_TO_POINTER (precisions[i]), test_same_bytes);
  }
  return g_test_run ();
}
