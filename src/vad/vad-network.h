/* The network of the voice activity detector, once its weights are there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-vad.h"

G_BEGIN_DECLS

#define VAD_CONTEXT 64 /* samples of the block before */
#define VAD_PADDED                                                             \
  (VAD_CONTEXT + NPU_VAD_BLOCK + VAD_CONTEXT) /* the last are mirrored */
#define VAD_N_FFT 256
#define VAD_N_BINS (VAD_N_FFT / 2 + 1)
#define VAD_HOP 128
#define VAD_N_FRAMES ((VAD_PADDED - VAD_N_FFT) / VAD_HOP + 1)
#define VAD_N_CONVS 4
#define VAD_MAX_CHANNELS VAD_N_BINS
#define VAD_N_STATE 128
#define VAD_N_GATES (4 * VAD_N_STATE) /* input, forget, cell, output */
#define VAD_TAPS 3

/* Weights are [in][out]: a sum over inputs runs over rows of outputs, which
 * compilers turn into vectors without changing a sum's order. */
typedef struct {
  guint n_in, n_out, stride;
  float *weight; /* [VAD_TAPS][n_in][n_out] */
  float *bias;   /* [n_out] */
} VadConv;

struct _NpuVad {
  float *
      basis; /* [VAD_N_FFT][2 * VAD_N_BINS]: cosines, then sines, in a window */
  VadConv convs[VAD_N_CONVS];
  float *input_weight, *state_weight; /* [VAD_N_STATE][VAD_N_GATES] */
  float *gate_bias;                   /* [VAD_N_GATES] */
  float *out_weight;                  /* [VAD_N_STATE] */
  float out_bias;

  float context[VAD_CONTEXT];
  float state[VAD_N_STATE], cell[VAD_N_STATE];
};

/* One block of samples: the probability of speech. */
float vad_network_step (NpuVad *vad, const float *samples);

G_END_DECLS
