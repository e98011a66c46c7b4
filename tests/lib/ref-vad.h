/* Silero's voice activity detector in plain loops and doubles, by the
 * description of its layers: the weights are as the file has them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define REF_VAD_N_TENSORS 15

typedef struct {
  const char *name;
  guint n_dims;
  guint64 shape[3];
} RefVadTensor;

extern const RefVadTensor ref_vad_tensors[REF_VAD_N_TENSORS];

gsize ref_vad_n_elements (const RefVadTensor *tensor);

typedef struct {
  const float *weights[REF_VAD_N_TENSORS]; /* in the order of the table */
  double context[64], state[128], cell[128];
} RefVad;

/* The probability of speech in the next 512 samples. */
double ref_vad_step (RefVad *vad, const float *samples);

G_END_DECLS
