/* Whether somebody speaks: Silero's voice activity detector for 16 kHz, version
 * 5 or 6 (github.com/snakers4/silero-vad, MIT), on the CPU.
 *
 * A recurrent network: a short-time Fourier transform by convolution, four
 * convolutions, one LSTM cell, one output. 0.7 million multiplications for 32
 * ms of audio.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "npu-api.h"

G_BEGIN_DECLS

#define NPU_VAD_RATE 16000
#define NPU_VAD_BLOCK 512 /* samples a step: 32 ms */

typedef struct _NpuVad NpuVad;

/**
 * npu_vad_open:
 * @location: path of the network as safetensors, with the names that the
 *   package silero-vad gives them
 *
 * Returns: (transfer full): the detector, in the state of a stream's begin; or
 *   %NULL with @error set: NOT_FOUND, OPEN, WRONG_TYPE or FORMAT, naming the
 *   file and the tensor
 */
NPU_API NpuVad *npu_vad_open (const char *location, GError **error);
NPU_API void npu_vad_free (NpuVad *vad);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuVad, npu_vad_free)

/* What comes does not follow what was. */
NPU_API void npu_vad_reset (NpuVad *vad);

/**
 * npu_vad_step:
 * @samples: [NPU_VAD_BLOCK], those that follow the ones before; full scale is 1
 *
 * One thread at a time.
 *
 * Returns: the probability of speech, 0 to 1
 */
NPU_API float npu_vad_step (NpuVad *vad, const float *samples);

G_END_DECLS
