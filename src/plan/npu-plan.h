/* A network as a list of stages over buffers of a device. The client declares
 * buffers and adds stages, by numbers of its own; the plan opens a kernel for
 * each stage, on the device or on the CPU beside it, and finds out where the
 * buffers are in memory and what crosses between host and device.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "device/npu-device.h"
#include "executor/npu-executor.h"

G_BEGIN_DECLS

typedef struct _NpuPlan NpuPlan;

/* --- what the client says ----------------------------------------------- */

typedef enum {
  NPU_BUFFER_SCRATCH = 0,       /* stages alone write and read it */
  NPU_BUFFER_INPUT = 1 << 0,    /* the host writes it before a run, or as a part
                                 * of its first stage */
  NPU_BUFFER_CONSTANT = 1 << 1, /* the host writes it once */
  NPU_BUFFER_OUTPUT = 1 << 2,   /* the host reads what the last stage that
                                 * writes it left there */
} NpuBufferRole;                /* flags */

#define NPU_NO_BUFFER G_MAXUINT

/* A stage, for the client: @kind is of its own list. */
typedef struct {
  guint kind;
  gint layer; /* -1: of no layer */
} NpuStageId;

typedef struct {
  guint depth;              /* for the device's choice of a batch */
  const char *const *kinds; /* their names, static: "qkv" */
  gboolean host_only; /* no stage is the device's, but for the CPU's own */
  /* What the host multiplies where BF16 is asked for. */
  NpuProduct host_bf16;
} NpuPlanOptions;

/* Where a stage's operands are; in the order of the operation's arguments. */
typedef struct {
  guint n;
  guint buffer[NPU_MAX_ARGS];
  gsize offset[NPU_MAX_ARGS]; /* bytes */
} NpuPlanArgs;

/* Room for weights on their way into a kernel, used again for the next. */
typedef struct {
  float *weight, *bias, *row;
  gsize n_weight, n_bias, n_row;
} NpuPlanFloats;

/* What a stage's constants are read from, in any thread. */
typedef struct {
  gpointer data; /* for g_free() */
  char *key;     /* see NpuWeightsSource, or NULL */
  /* Fills weight and bias of @floats. */
  gboolean (*read) (gconstpointer data, NpuPlanFloats *floats, GError **error);
} NpuPlanWeights;

void npu_plan_weights_clear (NpuPlanWeights *weights);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (NpuPlanWeights, npu_plan_weights_clear)

/* @options is copied; but for its names. */
NpuPlan *npu_plan_new (NpuDevice *device, const NpuPlanOptions *options);
void npu_plan_free (NpuPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuPlan, npu_plan_free)

/* The number of a new buffer, from 0; its size is what the kernels need. */
guint npu_plan_declare (NpuPlan *plan, NpuBufferRole role);

/* After a failure the verbs that follow do nothing and give NULL, and
 * npu_plan_open() says what failed. */

/* A kernel on the device or else the CPU, for an operation without weights. */
NpuKernel *npu_plan_open_kernel (NpuPlan *plan, NpuStageId id, const NpuOp *op);
/* On the plan's own device, and only where that is not the CPU; NULL where it
 * does not do the operation. @weights: (nullable) */
NpuKernel *npu_plan_open_on_device (NpuPlan *plan, NpuStageId id,
    const NpuOp *op, const NpuPlanWeights *weights);

/* Which of the run's numbers of rows a stage has. */
typedef guint NpuPlanRows;
#define NPU_PLAN_N_ROWS 2

/* Adds a stage; takes @kernel. */
void npu_plan_add_opened (NpuPlan *plan, NpuStageId id, const NpuOp *op,
    NpuKernel *kernel, const NpuPlanArgs *args, NpuPlanRows rows,
    NpuNeeds needs);
/* Adds a stage whose kernel has weights; takes what @weights has. */
void npu_plan_add (NpuPlan *plan, NpuStageId id, const NpuOp *op,
    NpuPlanWeights *weights, const NpuPlanArgs *args, NpuPlanRows rows,
    NpuNeeds needs);

/**
 * npu_plan_open:
 *
 * Opens the kernels that are not open yet, on the CPU in as many threads as the
 * device has workers, and allocates the buffers: those that are never needed at
 * the same time are in the same memory.
 *
 * Returns: %FALSE with @error set to what failed first, in the order of stages.
 */
gboolean npu_plan_open (NpuPlan *plan, GError **error);

/* --- what the plan knows ------------------------------------------------- */

typedef struct {
  NpuStageId id;
  char *name; /* "block 3 qkv" */
  NpuKernel *kernel;
  NpuOp op;                   /* as the kernel has it; no pointers */
  NpuProduct product;         /* what is multiplied */
  guint args[NPU_MAX_ARGS];   /* buffers, or NPU_NO_BUFFER */
  gsize offset[NPU_MAX_ARGS]; /* bytes */
  guint memory[NPU_MAX_ARGS]; /* of the plan's, for the args that are used */
  guint reads, writes;        /* NPU_ARG_BITs */
  guint sync_args;            /* NpuLaunch's */
  NpuPlanRows rows;
  guint groups; /* heads, or 1 */
  guint batch;  /* its device's choice for the operation */
  NpuNeeds needs;
} NpuPlanStage;

struct _NpuPlan {
  NpuDevice *device; /* has the buffers */
  NpuDevice *host;   /* the CPU beside it, or itself */
  GArray *stages;    /* of NpuPlanStage */
  GPtrArray *memory; /* of NpuBuffer: each has several buffers in turn */

  /*< private >*/
  NpuPlanOptions options;
  GArray *buffers; /* of PlanBuffer */
  GArray *pending; /* of PlanPending: stages whose kernels are not open yet */
  GError *error;
};

/* The stage, or NULL. */
const NpuPlanStage *npu_plan_find (const NpuPlan *plan, NpuStageId id);

/* Where the host writes or reads a buffer that is not scratch; NULL where no
 * stage uses it. Rows that nobody wrote hold anything. (transfer none) */
NpuBuffer *npu_plan_get_buffer (const NpuPlan *plan, guint buffer);
/* Makes the first @size bytes, which the host wrote, visible to the stages that
 * read the buffer on the device's side. */
gboolean npu_plan_sync_written (
    NpuPlan *plan, guint buffer, gsize size, GError **error);

/* Fills @stages[plan->stages->len] for runs of so many rows; at most @batch
 * tiles a launch where the kernel leaves the choice, 0 for the device's own.
 * Names belong to the plan. */
void npu_plan_fill (const NpuPlan *plan, const guint rows[NPU_PLAN_N_ROWS],
    guint batch, NpuStage *stages);

/* Which stages run where: "cpu", or "conv1, conv2, attention: cpu; 24 stages:
 * xrt:0". (transfer full) */
char *npu_plan_describe_placement (const NpuPlan *plan);
/* A table for people, a line for stages that differ in their layer only: what
 * they read, multiply and write, in what type, and where. (transfer full) */
char *npu_plan_describe (const NpuPlan *plan);

G_END_DECLS
