/* The Whisper decoder: tokens in, logits out (Radford et al. 2022;
 * openai/whisper, model.py, TextDecoder).
 *
 * One verb, npu_decoder_step(), serves a prompt, one token, beams and several
 * windows at once: it takes rows, each one token of one sequence. A sequence
 * remembers what it was given (its cache); several sequences may read one
 * window. For one device and precision a row's logits are the same bytes
 * whatever other rows are in the step, and at any number of threads and depth.
 *
 * Threads: a decoder is used by one thread at a time, and another may take it
 * over. Any thread may at any time call npu_decoder_cancel() and
 * npu_decoder_resume(). Models and devices are any thread's: several decoders
 * of the same ones run at once, and share their weights and workers.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "device/npu-device.h"
#include "model/npu-model.h"
#include "plan/npu-precision.h"

G_BEGIN_DECLS

#define NPU_DECODER_MAX_SEQUENCES 512
#define NPU_DECODER_MAX_WINDOWS 16

typedef struct _NpuDecoder NpuDecoder;

typedef struct {
  /* Of products with weights: F32; INT16 has weights of 16 bits with a scale
   * for each row, times rows of 16 bits, whose sums are exact, and keys and
   * values of cross-attention in 8 bits; INT8 also the vocabulary's weights,
   * half of all that a small model reads for a token, whose likeliest logits
   * can be had exactly (npu_decoder_refine), and layers as they are in a file
   * of Q8_0. AUTO is INT8, BF16 is F32. */
  NpuPrecision precision;
  guint max_windows;   /* windows at once, 1 to 16 */
  guint max_sequences; /* sequences at once, 1 to 512 */
  guint64 timeout;     /* ns per step, of time in which it can run */
} NpuDecoderOptions;

/* One token of one sequence, appended to its cache at the next position. Rows
 * of one sequence stand in order in a step. */
typedef struct {
  guint sequence;
  guint32 token;
  gboolean wants_logits;
} NpuDecoderRow;

/**
 * npu_decoder_new:
 * @model: kept by reference
 * @device: kept by reference
 *
 * Decoders of one model and precision share its packed weights.
 *
 * Returns: (transfer full): a decoder, or %NULL with @error set: FORMAT where
 *   the model has no decoder, naming what lacks; SETTINGS for options out of
 *   range; what the device says.
 */
NPU_API NpuDecoder *npu_decoder_new (NpuModel *model, NpuDevice *device,
    const NpuDecoderOptions *options, GError **error);
NPU_API void npu_decoder_free (NpuDecoder *decoder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuDecoder, npu_decoder_free)

NPU_API guint npu_decoder_get_n_vocab (NpuDecoder *decoder);
/* Positions of a sequence: 448. */
NPU_API guint npu_decoder_get_n_positions (NpuDecoder *decoder);
/* The width of the states it takes. */
NPU_API guint npu_decoder_get_d (NpuDecoder *decoder);
/* What was taken: F32, INT16 or INT8. */
NPU_API NpuPrecision npu_decoder_get_precision (NpuDecoder *decoder);
NPU_API NpuDevice *npu_decoder_get_device (NpuDecoder *decoder);
/* A table for people, a line for layers that are alike: what each part reads,
 * multiplies and writes, in what type, and where; norms and what makes 16-bit
 * rows of floats are left out. (transfer full) */
NPU_API char *npu_decoder_describe (NpuDecoder *decoder);

/**
 * npu_decoder_set_window:
 * @window: 0 to max_windows - 1
 * @states: [n_positions][d], as npu_encoder_encode() gives them
 * @n_positions: 1 to the encoder's positions
 *
 * Computes the keys and values of cross-attention of all layers, once a
 * window. Sequences that read the window must be begun anew after it.
 *
 * Returns: %FALSE with @error set: SETTINGS for a window or number of positions
 *   that is none; FORMAT for states that are not finite, or make sums that are
 *   not, naming the position; what the device says. Then the window is not set.
 */
NPU_API gboolean npu_decoder_set_window (NpuDecoder *decoder, guint window,
    const float *states, guint n_positions, GError **error);

/* Of the window's states; 0 where it is not set. */
NPU_API guint npu_decoder_get_window_positions (
    NpuDecoder *decoder, guint window);

/* Empties @sequence, which reads @window from now on. */
NPU_API void npu_decoder_begin (
    NpuDecoder *decoder, guint sequence, guint window);
/* @to becomes a copy of @from, by reference as far as that goes. */
NPU_API void npu_decoder_fork (NpuDecoder *decoder, guint from, guint to);
/* Forgets all but the first @n_tokens tokens of @sequence. */
NPU_API void npu_decoder_truncate (
    NpuDecoder *decoder, guint sequence, guint n_tokens);
NPU_API guint npu_decoder_get_n_tokens (NpuDecoder *decoder, guint sequence);

/**
 * npu_decoder_step:
 * @rows: [n_rows]
 * @logits: (out caller-allocates): for each row with wants_logits, in order,
 *   [n_vocab] floats, unfiltered
 *
 * Returns: %FALSE with @error set: SETTINGS for a token or sequence that is
 *   none, or a sequence that is full; LAUNCH, TIMEOUT, LOST or CANCELLED. No
 *   sequence is changed by a step that failed.
 */
NPU_API gboolean npu_decoder_step (NpuDecoder *decoder,
    const NpuDecoderRow *rows, guint n_rows, float *const *logits,
    GError **error);

/* Heads whose cross-attention follows the speech: OpenAI's own for its models,
 * else all of the upper half of the layers. At least 1. */
NPU_API guint npu_decoder_get_n_alignment_heads (NpuDecoder *decoder);

/**
 * npu_decoder_step_attending:
 * @attention: (nullable): [n_rows], each NULL, or where a row's scores go: C
 *   float[n_alignment_heads][n_positions of the row's window]
 *
 * npu_decoder_step(), which also says where in the window its tokens look: for
 * each alignment head the products of the row's query with the keys of the
 * window's positions, times 1/8. They are scores before the softmax, so that
 * a caller can leave out positions behind the audio (openai/whisper,
 * timing.py, find_alignment). A row's scores are of its input token: they tell
 * where the token that comes next is heard. The same bytes whatever other rows
 * are in the step.
 *
 * Costs for each row that asks, and head, n_positions products of 64 numbers:
 * of base 0.8 million multiplications beside the 58 million of a token. Rows
 * that do not ask, and steps where @attention is NULL, cost nothing.
 */
NPU_API gboolean npu_decoder_step_attending (NpuDecoder *decoder,
    const NpuDecoderRow *rows, guint n_rows, float *const *logits,
    float *const *attention, GError **error);

/**
 * npu_decoder_refine:
 * @row: number of a row with wants_logits in the last step, counted among
 *   those
 * @ids: [n]
 * @logits: (out caller-allocates): [n]
 *
 * The exact logits of a few tokens: products with the file's rows of the
 * embedding in float, where the step's are of 8 bits; else the same as before.
 */
NPU_API gboolean npu_decoder_refine (NpuDecoder *decoder, guint row,
    const guint32 *ids, guint n, float *logits, GError **error);

/* From any thread: a step or set_window that runs ends with CANCELLED, and so
 * does every later one until npu_decoder_resume(). */
NPU_API void npu_decoder_cancel (NpuDecoder *decoder);
NPU_API void npu_decoder_resume (NpuDecoder *decoder);

G_END_DECLS
