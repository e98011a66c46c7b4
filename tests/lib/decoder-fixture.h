/* A decoder on the CPU device, made in one line; whatever fails, fails the
 * test.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "decoder/npu-decoder.h"

G_BEGIN_DECLS

typedef struct {
  NpuDevice *device;
  NpuDecoder *decoder;
} DecoderFixture;

/* A small decoder: width 128, 2 layers, 1000 tokens, 64 positions. */
NpuModel *decoder_fixture_new_model (void);
#define DECODER_FIXTURE_VOCAB 1000
#define DECODER_FIXTURE_POSITIONS 64

/* 4 windows, 16 sequences; @threads of 0 is 2. */
DecoderFixture *decoder_fixture_new (
    NpuModel *model, NpuPrecision precision, guint threads);
void decoder_fixture_free (DecoderFixture *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DecoderFixture, decoder_fixture_free)

/* Random states [n_positions][d], the same for the same seed. */
float *decoder_fixture_new_states (guint n_positions, guint d, guint32 seed);

/* npu_decoder_set_window() with such states. */
void decoder_fixture_set_window (
    DecoderFixture *self, guint window, guint n_positions, guint32 seed);

/* One step of rows that all want logits: [n_rows][n_vocab]. */
float *decoder_fixture_step (
    DecoderFixture *self, const NpuDecoderRow *rows, guint n_rows);

/* The same of @tokens of one sequence. */
float *decoder_fixture_tokens (DecoderFixture *self, guint sequence,
    const guint32 *tokens, guint n_tokens);

G_END_DECLS
