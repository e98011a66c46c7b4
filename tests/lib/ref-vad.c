/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ref-vad.h"

#include <math.h>
#include <string.h>

enum {
  STFT,
  CONV,
  GATES = CONV + 8,
  OUT = GATES + 4,
};

const RefVadTensor ref_vad_tensors[REF_VAD_N_TENSORS] = {
    {"stft_conv.weight", 3, {258, 1, 256}},
    {"conv1.weight", 3, {128, 129, 3}},
    {"conv1.bias", 1, {128}},
    {"conv2.weight", 3, {64, 128, 3}},
    {"conv2.bias", 1, {64}},
    {"conv3.weight", 3, {64, 64, 3}},
    {"conv3.bias", 1, {64}},
    {"conv4.weight", 3, {128, 64, 3}},
    {"conv4.bias", 1, {128}},
    {"lstm_cell.weight_ih", 2, {512, 128}},
    {"lstm_cell.weight_hh", 2, {512, 128}},
    {"lstm_cell.bias_ih", 1, {512}},
    {"lstm_cell.bias_hh", 1, {512}},
    {"final_conv.weight", 3, {1, 128, 1}},
    {"final_conv.bias", 1, {1}},
};

gsize
ref_vad_n_elements (const RefVadTensor *tensor)
{
  gsize n = 1;

  for (guint i = 0; i < tensor->n_dims; i++)
    n *= tensor->shape[i];
  return n;
}

/* values[channel][time] */
typedef struct {
  guint n_channels, n;
  double values[129][4];
} Signal;

static void
transform (const RefVad *vad, const double *x, Signal *out)
{
  const float *basis = vad->weights[STFT];

  out->n_channels = 129;
  out->n = 4;
  for (guint k = 0; k < 129; k++)
    for (guint f = 0; f < 4; f++) {
      double re = 0, im = 0;

      for (guint i = 0; i < 256; i++) {
        re += x[f * 128 + i] * basis[k * 256 + i];
        im += x[f * 128 + i] * basis[(k + 129) * 256 + i];
      }
      out->values[k][f] = sqrt (re * re + im * im);
    }
}

static void
convolve (const RefVad *vad, guint layer, guint stride, Signal *signal)
{
  const RefVadTensor *tensor = &ref_vad_tensors[CONV + 2 * layer];
  const float *weight = vad->weights[CONV + 2 * layer];
  const float *bias = vad->weights[CONV + 2 * layer + 1];
  const guint n_in = tensor->shape[1];
  Signal out = {tensor->shape[0], (signal->n + 2 - 3) / stride + 1, {{0}}};

  g_assert_cmpuint (signal->n_channels, ==, n_in);
  for (guint o = 0; o < out.n_channels; o++)
    for (guint t = 0; t < out.n; t++) {
      double sum = bias[o];

      for (guint c = 0; c < n_in; c++)
        for (guint tap = 0; tap < 3; tap++) {
          const gint at = (gint) (t * stride + tap) - 1;

          if (at >= 0 && at < (gint) signal->n)
            sum += signal->values[c][at] * weight[(o * n_in + c) * 3 + tap];
        }
      out.values[o][t] = MAX (sum, 0);
    }
  *signal = out;
}

static double
sigmoid (double x)
{
  return 1 / (1 + exp (-x));
}

/* torch.nn.LSTMCell: gates are input, forget, cell, output. */
static void
step_cell (RefVad *vad, const Signal *in)
{
  const float *const *w = &vad->weights[GATES];
  double gates[512];

  for (guint g = 0; g < 512; g++) {
    gates[g] = (double) w[2][g] + w[3][g];
    for (guint i = 0; i < 128; i++)
      gates[g] += in->values[i][0] * w[0][g * 128 + i] +
                  vad->state[i] * w[1][g * 128 + i];
  }
  for (guint i = 0; i < 128; i++) {
    vad->cell[i] = sigmoid (gates[128 + i]) * vad->cell[i] +
                   sigmoid (gates[i]) * tanh (gates[256 + i]);
    vad->state[i] = sigmoid (gates[384 + i]) * tanh (vad->cell[i]);
  }
}

double
ref_vad_step (RefVad *vad, const float *samples)
{
  static const guint strides[] = {1, 2, 2, 1};
  double x[64 + 512 + 64], sum = vad->weights[OUT + 1][0];
  Signal signal;

  memcpy (x, vad->context, sizeof vad->context);
  for (guint i = 0; i < 512; i++)
    x[64 + i] = samples[i];
  for (guint i = 0; i < 64; i++)
    x[576 + i] = x[574 - i];
  memcpy (vad->context, x + 512, sizeof vad->context);

  transform (vad, x, &signal);
  for (guint i = 0; i < G_N_ELEMENTS (strides); i++)
    convolve (vad, i, strides[i], &signal);
  step_cell (vad, &signal);
  for (guint i = 0; i < 128; i++)
    sum += MAX (vad->state[i], 0) * vad->weights[OUT][i];
  return sigmoid (sum);
}
