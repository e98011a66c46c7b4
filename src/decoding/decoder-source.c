/* A decoder as what gives logits.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-decoding.h"

static void
begin (gpointer self, guint sequence, guint window)
{
  npu_decoder_begin (self, sequence, window);
}

static void
fork_sequence (gpointer self, guint from, guint to)
{
  npu_decoder_fork (self, from, to);
}

static void
truncate_sequence (gpointer self, guint sequence, guint n_tokens)
{
  npu_decoder_truncate (self, sequence, n_tokens);
}

static gboolean
step (gpointer self, const NpuDecoderRow *rows, guint n_rows,
    float *const *logits, GError **error)
{
  return npu_decoder_step (self, rows, n_rows, logits, error);
}

static guint
get_window_positions (gpointer self, guint window)
{
  return npu_decoder_get_window_positions (self, window);
}

static gboolean
step_attending (gpointer self, const NpuDecoderRow *rows, guint n_rows,
    float *const *logits, float *const *attention, GError **error)
{
  return npu_decoder_step_attending (
      self, rows, n_rows, logits, attention, error);
}

static gboolean
refine (gpointer self, guint row, const guint32 *ids, guint n, float *logits,
    GError **error)
{
  return npu_decoder_refine (self, row, ids, n, logits, error);
}

void
npu_logits_source_init (NpuLogitsSource *source, NpuDecoder *decoder)
{
  /* Logits of products in float are exact as they are. */
  const gboolean is_exact =
      npu_decoder_get_precision (decoder) == NPU_PRECISION_F32;

  *source = (NpuLogitsSource){
      .self = decoder,
      .n_vocab = npu_decoder_get_n_vocab (decoder),
      .n_positions = npu_decoder_get_n_positions (decoder),
      .begin = begin,
      .fork = fork_sequence,
      .truncate = truncate_sequence,
      .step = step,
      .refine = is_exact ? NULL : refine,
      .n_heads = npu_decoder_get_n_alignment_heads (decoder),
      .get_window_positions = get_window_positions,
      .step_attending = step_attending,
  };
}
