/* The encoder as a list of stages over device buffers.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "model/npu-model.h"
#include "plan/npu-plan.h"
#include "plan/npu-precision.h"

G_BEGIN_DECLS

/* Activations of one window. Rows are frames or positions, f32 unless said
 * otherwise. The convolutions read a row of zeros before the first frame; the
 * first, which does not skip every other row, reads one after the last too. */
typedef enum {
  PLAN_MEL,        /* [1 + frames + 1][n_mels] */
  PLAN_CONV1,      /* [1 + frames + 1][d] */
  PLAN_POSITIONAL, /* [positions][d], constant */
  PLAN_X,          /* [positions][d]: the residual stream */
  PLAN_NORM,       /* [positions][d], f32, bf16 or q8 tiles */
  PLAN_Q,          /* attention tiles [heads][row tiles] */
  PLAN_K,
  PLAN_V,
  PLAN_ATTENTION, /* [positions][d], f32 or bf16 */
  PLAN_FC1,       /* [positions][4 d], bf16: where the GELU is a stage */
  PLAN_MLP,       /* [positions][4 d], f32, bf16 or q8 tiles */
  PLAN_STATES,    /* [positions][d] */
  PLAN_N_BUFFERS,
} EncoderBuffer;

/* Kinds of its stages; a block has one of each from the attention's norm on. */
typedef enum {
  ENCODER_CONV1,
  ENCODER_CONV2,
  ENCODER_ATTENTION_NORM,
  ENCODER_QKV,
  ENCODER_ATTENTION,
  ENCODER_OUT,
  ENCODER_MLP_NORM,
  ENCODER_FC1,
  ENCODER_GELU, /* where it is a stage of its own */
  ENCODER_FC2,
  ENCODER_FINAL_NORM,
  ENCODER_N_KINDS,
} EncoderStageKind;

/* Rows of its stages, NpuPlanRows. */
enum { ENCODER_FRAMES, ENCODER_POSITIONS };

typedef struct {
  NpuPlan *plan; /* its buffers are EncoderBuffers, in their order */
  guint n_mels, d;
} EncoderPlan;

typedef struct {
  NpuPrecision precision; /* not AUTO */
  guint depth;            /* for the device's choice of a batch */

  /* The whole for the longest windows where all are 0; else a part of the
   * encoder: blocks [first_block, first_block + n_blocks), with the stem
   * before the first block and the final norm after the last. */
  guint n_positions; /* of the longest window */
  guint first_block, n_blocks;
} PlanOptions;

/**
 * encoder_plan_new:
 *
 * Opens a kernel for every stage, on @device or where it does not do the
 * operation on the CPU beside it, which packs the model's weights there; and
 * allocates the activations of one window.
 *
 * Returns: (transfer full): the plan, or %NULL with @error set.
 */
EncoderPlan *encoder_plan_new (const NpuModel *model, NpuDevice *device,
    const PlanOptions *options, GError **error);
void encoder_plan_free (EncoderPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EncoderPlan, encoder_plan_free)

/* Writes frames [first, end) of mel[n_mels][n_frames] where the stem reads
 * them. */
void encoder_plan_write_frames (EncoderPlan *plan, const float *mel,
    guint n_frames, guint first, guint end);
/* And the rows of zeros around them and before the first convolution's: once a
 * window, before its first launch. */
gboolean encoder_plan_write_edges (
    EncoderPlan *plan, guint n_frames, GError **error);

/* "qkv" */
const char *encoder_stage_kind_name (EncoderStageKind kind);

/* Fills @stages[plan->plan->stages->len] for a window of @n_frames frames; at
 * most
 * @batch tiles a launch where the kernel leaves the choice, 0 for the device's
 * own. Names belong to the plan. */
void encoder_plan_fill (
    const EncoderPlan *plan, guint n_frames, guint batch, NpuStage *stages);

G_END_DECLS
