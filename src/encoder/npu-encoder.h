/* The Whisper encoder as stages of 64-row tiles on a device
 * (Radford et al. 2022; openai/whisper, model.py, AudioEncoder).
 *
 * Threads: an encoder is used by one thread at a time, and another may take it
 * over. Any thread may at any time cancel its executor (npu_executor_cancel(),
 * which ends the window in work) and ask that for statistics. Models and
 * devices are any thread's: several encoders of the same ones run at once, and
 * share their weights and workers. docs/examples/states.c is a whole program.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "executor/npu-executor.h"
#include "model/npu-model.h"
#include "plan/npu-precision.h"

G_BEGIN_DECLS

#define NPU_MAX_FRAMES 3000 /* 30 s of mel */

typedef struct _NpuEncoder NpuEncoder;

typedef struct {
  guint depth;      /* slots, 1 to 16 */
  guint batch_size; /* tiles per launch, 0 = the device's choice, 24 at most */
  NpuPrecision precision;
  guint64 timeout; /* ns per launch */
} NpuEncoderOptions;

/**
 * npu_encoder_new:
 * @model: read while the function runs, not kept
 * @device: kept by reference
 *
 * Opens the kernels of every stage, on @device or, what that does not do, on
 * the CPU beside it, which packs the weights, once for all encoders of this
 * model on this device: each has its own activations, and nothing else. In f32
 * and int16 everything runs on the CPU; int16 is UNSUPPORTED where that has no
 * such products. NPU_PRECISION_AUTO takes bf16 where an NPU does the first
 * block's products of queries, keys and values; else it encodes a short made-up
 * window in float and in int8 and takes int8 where 98 of 100 positions keep a
 * cosine of 0.98; if not, int16 where the CPU has its products, else f32.
 *
 * Returns: (transfer full): an encoder, or %NULL with @error set.
 */
NPU_API NpuEncoder *npu_encoder_new (const NpuModel *model, NpuDevice *device,
    const NpuEncoderOptions *options, GError **error);
NPU_API void npu_encoder_free (NpuEncoder *encoder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuEncoder, npu_encoder_free)

/* Hyper-parameters of the model it was made of, and what was chosen. */
NPU_API guint npu_encoder_get_n_mels (NpuEncoder *encoder);
NPU_API guint npu_encoder_get_d (NpuEncoder *encoder);
NPU_API guint npu_encoder_get_depth (NpuEncoder *encoder);
NPU_API guint npu_encoder_get_batch_size (NpuEncoder *encoder);
NPU_API const char *npu_encoder_get_precision (NpuEncoder *encoder);

/* Which stages run where, for people: "cpu", or "conv1, conv2, attention: cpu;
 * 24 stages: xrt:0". */
NPU_API const char *npu_encoder_get_placement (NpuEncoder *encoder);
/* What each stage reads, multiplies and writes, in what type and where: a table
 * for people. (transfer full) */
NPU_API char *npu_encoder_describe (NpuEncoder *encoder);
/* The same by stage, from 0: its name, and that of its device in @device. */
NPU_API guint npu_encoder_get_n_stages (NpuEncoder *encoder);
NPU_API const char *npu_encoder_get_stage (
    NpuEncoder *encoder, guint stage, const char **device);
/* What stages of that kind are called whatever their block: "qkv". */
NPU_API const char *npu_encoder_get_stage_kind (
    NpuEncoder *encoder, guint stage);

NPU_API NpuExecutor *npu_encoder_get_executor (NpuEncoder *encoder);
/* The device that it was made for. */
NPU_API NpuDevice *npu_encoder_get_device (NpuEncoder *encoder);

/**
 * npu_encoder_encode:
 * @mel: [n_mels][n_frames] floats, all finite
 * @n_frames: even, 2 to 3000
 * @states: (out caller-allocates): [n_frames / 2][d] floats
 * @stats: (out) (optional): of this window
 *
 * Returns: %FALSE with @error set when a launch failed (LAUNCH, TIMEOUT, LOST),
 * the states are not finite (LAUNCH), the executor was cancelled (CANCELLED) or
 * the arguments are wrong (SETTINGS).
 */
NPU_API gboolean npu_encoder_encode (NpuEncoder *encoder, const float *mel,
    guint n_frames, float *states, NpuStats *stats, GError **error);

G_END_DECLS
