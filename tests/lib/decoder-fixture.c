/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "decoder-fixture.h"

#include "small-model.h"

#define SECOND 1000000000u

NpuModel *
decoder_fixture_new_model (void)
{
  NpuModel *model = small_model_new (80, 128, 1, 0);

  small_model_add_decoder (
      model, 2, DECODER_FIXTURE_VOCAB, DECODER_FIXTURE_POSITIONS);
  return model;
}

DecoderFixture *
decoder_fixture_new (NpuModel *model, NpuPrecision precision, guint threads)
{
  const NpuDeviceOptions device_options = {.threads = threads ? threads : 2};
  const NpuDecoderOptions options = {.precision = precision,
      .max_windows = 4,
      .max_sequences = 16,
      .timeout = (guint64) 100 * SECOND};
  g_autoptr (GError) error = NULL;
  DecoderFixture *self = g_new0 (DecoderFixture, 1);

  self->device = npu_device_open ("cpu", &device_options, &error);
  g_assert_no_error (error);
  self->decoder = npu_decoder_new (model, self->device, &options, &error);
  g_assert_no_error (error);
  return self;
}

void
decoder_fixture_free (DecoderFixture *self)
{
  npu_decoder_free (self->decoder);
  npu_device_unref (self->device);
  g_free (self);
}

float *
decoder_fixture_new_states (guint n_positions, guint d, guint32 seed)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  float *states = g_new (float, (gsize) n_positions *d);

  for (gsize i = 0; i < (gsize) n_positions * d; i++)
    states[i] = (float) g_rand_double_range (rand, -1.7, 1.7);
  return states;
}

void
decoder_fixture_set_window (
    DecoderFixture *self, guint window, guint n_positions, guint32 seed)
{
  g_autofree float *states = decoder_fixture_new_states (
      n_positions, npu_decoder_get_d (self->decoder), seed);
  g_autoptr (GError) error = NULL;

  npu_decoder_set_window (self->decoder, window, states, n_positions, &error);
  g_assert_no_error (error);
}

float *
decoder_fixture_step (
    DecoderFixture *self, const NpuDecoderRow *rows, guint n_rows)
{
  const gsize n_vocab = npu_decoder_get_n_vocab (self->decoder);
  float *logits = g_new (float, n_rows *n_vocab);
  g_autofree float **each = g_new (float *, n_rows);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < n_rows; i++)
    each[i] = logits + i * n_vocab;
  npu_decoder_step (self->decoder, rows, n_rows, each, &error);
  g_assert_no_error (error);
  return logits;
}

float *
decoder_fixture_tokens (
    DecoderFixture *self, guint sequence, const guint32 *tokens, guint n_tokens)
{
  g_autofree NpuDecoderRow *rows = g_new (NpuDecoderRow, n_tokens);

  for (guint i = 0; i < n_tokens; i++)
    rows[i] = (NpuDecoderRow){sequence, tokens[i], TRUE};
  return decoder_fixture_step (self, rows, n_tokens);
}
