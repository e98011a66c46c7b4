/* The keys and values of cross-attention, of all layers over a window's states.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "decoder-weights.h"
#include "executor/npu-executor.h"

G_BEGIN_DECLS

/* Of one layer and head, in 8 bits (npu-few.h). */
typedef struct {
  gint8 *k, *v;             /* [n_positions][64], [n_positions / 2][64][2] */
  float *k_scale, *v_scale; /* [n_positions] */
} DecoderHead;

typedef struct {
  guint n_positions; /* 0: not set */
  guint64 serial;    /* counts its contents */
  /* 8 bits */
  DecoderHead *heads; /* [n_layers][n_heads] */
  /* floats */
  const float **keys; /* [n_positions]: keys and values [2][d] of layer 0 */
  gpointer memory;
} DecoderWindow;

typedef struct {
  const DecoderWeights *weights;
  const NpuHost *host;
  guint n_positions; /* the most */
  NpuExecutor *executor;
  NpuKernel **kernels; /* [n_layers]: keys and values [2 d] of the states */
  NpuStage *stages;    /* [n_layers] */
  NpuBuffer *states, *projected[2];
  guint n_windows;
  DecoderWindow *windows;
  DecoderWindow *target; /* while it is set */
} DecoderWindows;

gboolean decoder_windows_init (DecoderWindows *windows,
    const DecoderWeights *weights, NpuModel *model, const NpuHost *host,
    guint n_windows, guint64 timeout, GError **error);
/* Of a zeroed one too. */
void decoder_windows_clear (DecoderWindows *windows);

/* After a failure the window is not set. */
gboolean decoder_windows_set (DecoderWindows *windows, guint window,
    const float *states, guint n_positions, GError **error);

/* Floats from a key of layer 0 to that of @layer. */
static inline gsize
decoder_windows_layer_offset (const DecoderWindows *windows, guint layer)
{
  return (gsize) layer * windows->n_positions * 2 * windows->weights->d;
}

G_END_DECLS
