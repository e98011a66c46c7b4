/* The encoder as a list of stages over device buffers.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "device/npu-device.h"
#include "executor/npu-executor.h"
#include "model/npu-model.h"

G_BEGIN_DECLS

/* Activations of one window. Rows are frames or positions, f32 unless said
 * otherwise. The convolutions read a row of zeros before the first frame; the
 * first, which does not skip every other row, reads one after the last too. */
typedef enum {
  PLAN_MEL,        /* [1 + frames + 1][n_mels] */
  PLAN_CONV1,      /* [1 + frames + 1][d] */
  PLAN_POSITIONAL, /* [positions][d], constant */
  PLAN_X,          /* [positions][d]: the residual stream */
  PLAN_NORM,       /* [positions][d], f32 or q8 tiles */
  PLAN_Q,          /* attention tiles [heads][row tiles] */
  PLAN_K,
  PLAN_V,
  PLAN_ATTENTION, /* [positions][d] */
  PLAN_MLP,       /* [positions][4 d], f32 or q8 tiles */
  PLAN_STATES,    /* [positions][d] */
  PLAN_N_BUFFERS,
} PlanBuffer;

#define PLAN_NO_BUFFER PLAN_N_BUFFERS

typedef struct {
  char *name;
  NpuKernel *kernel;
  PlanBuffer args[NPU_MAX_ARGS];
  gsize offset[NPU_MAX_ARGS]; /* bytes */
  gboolean over_frames;       /* rows are frames, else positions */
  guint groups;               /* heads, or 1 */
  guint batch;                /* the device's choice for the operation */
  NpuNeeds needs;
} PlanStage;

typedef struct {
  NpuDevice *device;
  guint n_mels, d, n_heads, n_layers;
  GArray *stages; /* of PlanStage */
  NpuBuffer *buffers[PLAN_N_BUFFERS];
} EncoderPlan;

/* How the linear maps and the attention compute. */
typedef struct {
  gboolean int8;
  guint depth; /* for the device's choice of a batch */
} PlanOptions;

/**
 * encoder_plan_new:
 *
 * Opens a kernel for every stage, which packs the model's weights on the
 * device, and allocates the activations of one window.
 *
 * Returns: (transfer full): the plan, or %NULL with @error set.
 */
EncoderPlan *encoder_plan_new (const NpuModel *model, NpuDevice *device,
    const PlanOptions *options, GError **error);
void encoder_plan_free (EncoderPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EncoderPlan, encoder_plan_free)

/* Fills @stages[plan->stages->len] for a window of @n_frames frames; @batch
 * tiles a launch, 0 for the device's choice. Names belong to the plan. */
void encoder_plan_fill (
    const EncoderPlan *plan, guint n_frames, guint batch, NpuStage *stages);

G_END_DECLS
