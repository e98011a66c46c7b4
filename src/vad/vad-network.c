/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vad-network.h"

#include <math.h>
#include <string.h>

/* out[n_out] += in[n_in] * weight[n_in][n_out] */
static void
add_product (float *restrict out, const float *restrict in,
    const float *restrict weight, guint n_in, guint n_out)
{
  for (guint i = 0; i < n_in; i++)
    for (guint o = 0; o < n_out; o++)
      out[o] += in[i] * weight[(gsize) i * n_out + o];
}

/* magnitudes[VAD_N_FRAMES][VAD_MAX_CHANNELS] */
static void
transform (const NpuVad *vad, const float *samples,
    float (*magnitudes)[VAD_MAX_CHANNELS])
{
  float padded[VAD_PADDED];
  const gsize end = VAD_CONTEXT + NPU_VAD_BLOCK;

  memcpy (padded, vad->context, sizeof vad->context);
  memcpy (padded + VAD_CONTEXT, samples, NPU_VAD_BLOCK * sizeof *samples);
  for (guint i = 0; i < VAD_CONTEXT; i++)
    padded[end + i] = padded[end - 2 - i];

  for (guint f = 0; f < VAD_N_FRAMES; f++) {
    float parts[2 * VAD_N_BINS] = {0};

    add_product (
        parts, padded + f * VAD_HOP, vad->basis, VAD_N_FFT, 2 * VAD_N_BINS);
    for (guint k = 0; k < VAD_N_BINS; k++)
      magnitudes[f][k] = sqrtf (
          parts[k] * parts[k] + parts[VAD_N_BINS + k] * parts[VAD_N_BINS + k]);
  }
}

/* In place; returns how many frames there are now. */
static guint
convolve (
    const VadConv *conv, float (*frames)[VAD_MAX_CHANNELS], guint n_frames)
{
  const guint n = (n_frames - 1) / conv->stride + 1;
  float out[VAD_N_FRAMES][VAD_MAX_CHANNELS];

  for (guint f = 0; f < n; f++) {
    memcpy (out[f], conv->bias, conv->n_out * sizeof (float));
    for (guint t = 0; t < VAD_TAPS; t++) {
      const guint from = f * conv->stride + t; /* one further on */

      if (from >= 1 && from <= n_frames)
        add_product (out[f], frames[from - 1],
            conv->weight + (gsize) t * conv->n_in * conv->n_out, conv->n_in,
            conv->n_out);
    }
    for (guint o = 0; o < conv->n_out; o++)
      out[f][o] = MAX (out[f][o], 0);
  }
  memcpy (frames, out, n * sizeof *frames);
  return n;
}

static float
sigmoid (float x)
{
  return 1 / (1 + expf (-x));
}

static void
step_cell (NpuVad *vad, const float *in)
{
  float gates[VAD_N_GATES];

  memcpy (gates, vad->gate_bias, sizeof gates);
  add_product (gates, in, vad->input_weight, VAD_N_STATE, VAD_N_GATES);
  add_product (gates, vad->state, vad->state_weight, VAD_N_STATE, VAD_N_GATES);
  for (guint i = 0; i < VAD_N_STATE; i++) {
    vad->cell[i] = sigmoid (gates[VAD_N_STATE + i]) * vad->cell[i] +
                   sigmoid (gates[i]) * tanhf (gates[2 * VAD_N_STATE + i]);
    vad->state[i] = sigmoid (gates[3 * VAD_N_STATE + i]) * tanhf (vad->cell[i]);
  }
}

float
vad_network_step (NpuVad *vad, const float *samples)
{
  float frames[VAD_N_FRAMES][VAD_MAX_CHANNELS];
  guint n = VAD_N_FRAMES;
  float sum = vad->out_bias;

  transform (vad, samples, frames);
  memcpy (
      vad->context, samples + NPU_VAD_BLOCK - VAD_CONTEXT, sizeof vad->context);
  for (guint i = 0; i < VAD_N_CONVS; i++)
    n = convolve (&vad->convs[i], frames, n);
  step_cell (vad, frames[0]);
  for (guint i = 0; i < VAD_N_STATE; i++)
    sum += MAX (vad->state[i], 0) * vad->out_weight[i];
  return sigmoid (sum);
}
