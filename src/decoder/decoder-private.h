/* What the files of the decoder share.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "alignment-heads.h"
#include "decoder-cache.h"
#include "decoder-weights.h"
#include "decoder-window.h"
#include "npu-decoder.h"

G_BEGIN_DECLS

#define DECODER_MAX_RUNS 8 /* of NPU_FEW_KEYS keys */

/* The rows of a step, and room for what becomes of them. */
typedef struct {
  guint n_rows, n_wanted;
  guint n_attending;       /* rows whose scores are asked for */
  guint room, wanted_room; /* rows there is memory for */

  /* of each row, as the host says */
  float **slots;   /* where its keys and values go */
  guint *sequence; /* that it is of */
  guint *n_keys;   /* of self-attention: its position + 1 */
  /* rows by window: those of one stand together */
  guint *by_window;    /* [n_rows] rows */
  guint *window_first; /* [n_windows + 1] in by_window */
  guint *windows;      /* [n_windows] */
  guint n_windows;
  guint *wanted;     /* [n_wanted] rows whose logits are wanted */
  float **logits;    /* [n_wanted] */
  float **attention; /* [n_rows]: where scores go, or NULL */
  float *x;          /* [n_rows][d]: the residual */
  float *norm;       /* [n_rows][d] */
  float *q;          /* [n_rows][d] */
  float *attended;   /* [n_rows][d] */
  float *hidden;     /* [n_rows][4 d] */
  float *final;      /* [n_wanted][d]: what the vocabulary is multiplied with */
  gint16 *ints;      /* [n_rows][4 d]: the input of the next product */
  float *scale;      /* [n_rows], of them */
  gint16 *q_ints;    /* [n_rows][d], by heads */
  float *q_scale;    /* [n_rows][n_heads] */
  NpuAttended *runs; /* [n_rows][n_heads][n_runs] of cross-attention */
  guint n_runs;      /* of the longest window */
} DecoderStep;

typedef struct _DecoderOp DecoderOp;

struct _NpuDecoder {
  NpuModel *model;
  NpuDevice *device; /* as given */
  const NpuHost *host;
  NpuDecoderOptions options;
  NpuPrecision precision;
  const NpuTensor *embedding;
  GArray *alignment_heads; /* of NpuAlignmentHead, by layer */
  DecoderWeights *weights;
  DecoderWindows windows;
  DecoderCache cache;
  DecoderStep step;
  guint n_last; /* rows with logits in the last step, for refine */
  DecoderOp *ops;
  NpuCommand *commands;
  guint n_ops;
  gint cancelled; /* atomic */
};

/* decoder-step.c: the operations of a step, in order. */
void decoder_step_init (NpuDecoder *decoder);
/* Makes room for rows; FALSE without memory. */
gboolean decoder_step_reserve (
    NpuDecoder *decoder, guint n_rows, guint n_wanted);
/* Runs the operations on what the step holds. */
gboolean decoder_step_run (NpuDecoder *decoder, GError **error);
void decoder_step_clear (NpuDecoder *decoder);

G_END_DECLS
