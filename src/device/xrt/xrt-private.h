/* What the files of the XRT device share: the device, its programs and their
 * hardware contexts, jobs in flight, kernels and runs.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "device/cpu/cpu-device.h"
#include "device/npu-deadline.h"
#include "npu-kernels.h"
#include "xrt-api.h"
#include "xrt-cost.h"
#include "xrt-device.h"
#include "xrt-overlays.h"

G_BEGIN_DECLS

#define N_TILES(rows) (((rows) + NPU_TILE_ROWS - 1) / NPU_TILE_ROWS)

/* What the kernel driver takes of a context before a submission blocks. */
#define XRT_MAX_IN_FLIGHT 4

/* Commands that the driver chains into one submission. */
#define XRT_MAX_CHAIN 24

typedef struct _XrtNpu XrtNpu;
typedef struct _XrtDevice XrtDevice;
typedef struct _XrtContext XrtContext;
typedef struct _XrtProgram XrtProgram;
typedef struct _XrtJob XrtJob;
typedef struct _XrtKernel XrtKernel;
typedef struct _XrtRun XrtRun;

/* One NPU, of all devices of this process that are it: they have the same
 * contexts. */
struct _XrtNpu {
  NpuCacheEntry *entry; /* of xrt-npu.c */
  guint index;
  char *name; /* "xrt:0" */
  XrtApiDevice *api;
  XrtGeneration generation;
  char *description; /* "NPU Phoenix at 0000:c7:00.1" */

  GMutex objects;      /* held while XRT's commands are made or freed */
  GMutex lock;         /* of all below, of contexts and jobs */
  GCond changed;       /* a context went, came, or has less in flight */
  gboolean exclusive;  /* somebody makes or frees a context */
  GPtrArray *contexts; /* of XrtContext, one for each xclbin */
  guint n_resident, max_resident; /* max: as far as was learnt */
  gint64 learnt;                  /* when, in us of the monotonic clock */
  const XrtContext *last_used;
  guint64 n_uses;
  gint64 last_launch, awake_until; /* us of that clock; 0: none yet */
  GThread *keeper;                 /* see xrt-awake.c; or NULL */
  GCond keep;
  gboolean keeper_sleeps, keeper_stops;
};

/* An NPU with a folder of overlays. */
struct _XrtDevice {
  NpuDevice base;
  XrtNpu *npu;
  XrtOverlays *overlays;
  guint32 group;       /* memory group of all buffers */
  CpuDevice *cpu;      /* base.host: its table of kernels serves the host's
                        * part */
  GPtrArray *programs; /* of XrtProgram, one for each overlay */
  guint64 keep_awake;  /* ns after a launch; 0: not */
};

/* An overlay with its stream of instructions. */
struct _XrtProgram {
  const XrtOverlay *overlay;
  XrtContext *context;
  guint32 *words;
  gsize n_words;

  /* While the context is resident. */
  XrtApiKernel *kernel; /* or NULL: not yet opened there */
  GPtrArray *idle;      /* of XrtApiCommand that no job has */
};

struct _XrtContext {
  XrtNpu *npu;
  char *xclbin;
  char *identity;      /* of the file, as it was */
  GPtrArray *programs; /* of XrtProgram, not owned */
  XrtCost cost;
  GMutex starting; /* held while a job is started: one at a time */

  gboolean resident;
  gboolean lost; /* a launch failed in it: to be made anew before more */
  gboolean stop; /* for the waiter */
  XrtApiContext *api;
  GPtrArray *idle_lists; /* of XrtApiList */
  guint n_pins;          /* jobs between acquisition and start */
  GQueue in_flight;      /* of XrtJob, in order */
  guint n_submissions;   /* that they are to the driver */
  GThread *waiter;       /* waits for the oldest */
  GCond work;            /* for the waiter */
  guint64 last_end;
};

typedef enum {
  XRT_JOB_IDLE,
  XRT_JOB_IN_FLIGHT,
  XRT_JOB_DONE,
  XRT_JOB_FAILED,
} XrtJobState;

/* A launch of a job: commands of a program, one after the other. */
typedef struct {
  XrtProgram *program;
  guint n_commands;
} XrtJobPart;

/* The commands of one launch, or of several of one context that follow each
 * other; reused for the next. */
struct _XrtJob {
  XrtDevice *device;
  guint64 timeout; /* ns that it waits for others before its start */
  XrtContext *context;
  GArray *parts;       /* of XrtJobPart */
  GPtrArray *commands; /* of XrtApiCommand, on loan from the parts' programs */
  GPtrArray *lists;    /* of XrtApiList, for a chain of several commands each,
                        * on loan from the context */
  guint n_submissions; /* of the lists, or of the only command */
  guint n_ended;       /* of those */
  guint64 granted;     /* ns that it may take: its timeout for each part */
  XrtJobState state;
  guint64 submitted;
  NpuRunTimes times;
  gboolean given_up; /* its owner waits no longer */
  /* How the first ended that did not complete, and why; RUNNING where XRT could
   * not wait for it. */
  XrtApiState outcome;
  XrtApiError cause;
  GCond done;
  GError *error; /* FAILED, or to be when all that was started has ended */
  GList link;    /* in the context's queue */
};

/* --- xrt-error.c: XRT's errors as the library's, with what to do */

typedef enum {
  XRT_DOING_OPEN,    /* the device */
  XRT_DOING_CONTEXT, /* a context for a program */
  XRT_DOING_BUFFER,
  XRT_DOING_LAUNCH,
  XRT_DOING_WAIT,
} XrtDoing;

/* Sets @error and returns FALSE. @what begins the message: "device xrt:0". */
gboolean xrt_error_set (
    GError **error, XrtDoing doing, const char *what, const XrtApiError *cause);
/* Sets @error and returns TRUE where this user may not use an NPU's node. */
gboolean xrt_error_set_forbidden (const char *what, GError **error);
/* Whether a context could not be made because there are too many. */
gboolean xrt_error_is_no_room (const XrtApiError *cause);

/* --- xrt-context.c */

/* Makes programs and contexts of the overlays: reads the instructions, checks
 * the xclbins. FORMAT, UNSUPPORTED or NOT_FOUND with @error. */
gboolean xrt_contexts_open (XrtDevice *device, GError **error);
void xrt_contexts_close (XrtDevice *device);

/* Makes the context of the job resident, evicting others where it must, opens
 * the kernels of its programs there, and pins it. BUSY where there is no room.
 * With the lock held, which it lets go meanwhile. */
gboolean xrt_context_pin (XrtJob *job, GError **error);
void xrt_context_unpin (XrtContext *context);

/* Frees a resident context and all its commands. What is in flight in it hangs:
 * it is ended by the driver and fails with a copy of @cause; where that is
 * NULL, it is waited for. With the lock held, which it lets go meanwhile. */
void xrt_context_unload (XrtContext *context, const GError *cause);

/* Frees the contexts that nobody uses at the moment. Without the lock. */
void xrt_contexts_drop_idle (XrtNpu *npu);

/* --- xrt-hang.c: with the lock held, which they let go meanwhile */

/* Waits until nothing is in flight; FALSE where something there hangs. */
gboolean xrt_context_drain (XrtContext *context);
/* The job's owner waits no longer: returns once the job is over, or ended with
 * its context because it hangs, or what is before it. */
void xrt_job_give_up (XrtJob *job);
/* Ends what is at the head of the context's queue if it has had all of its
 * time; FALSE where it has not, or nothing is there. */
gboolean xrt_context_end_hung (XrtContext *context);

/* --- xrt-npu.c */

/* NPU number @index, as whoever else has it open: a reference. NOT_FOUND or
 * OPEN with @error. */
XrtNpu *xrt_npu_open (guint index, GError **error);
void xrt_npu_unref (XrtNpu *npu);
/* It was lost: whoever opens it from now on gets another. */
void xrt_npu_forget (XrtNpu *npu);
gboolean xrt_npu_is_there (void);

/* --- xrt-awake.c */

/* Makes the thread that keeps the NPU awake, where there is none. */
gboolean xrt_awake_start (XrtNpu *npu, GError **error);
void xrt_awake_stop (XrtNpu *npu);
/* With the lock: a launch of @device. */
void xrt_awake_launched (const XrtDevice *device);

/* --- xrt-job.c */

void xrt_job_init (XrtJob *job, XrtDevice *device, guint64 timeout);
void xrt_job_clear (XrtJob *job);

/* Sets the buffers of command number @index of the job's part number @part. */
typedef gboolean (*XrtBindFunc) (XrtApiCommand *command, guint part,
    guint index, gpointer user_data, GError **error);

/* Starts @parts, [n_parts] of one context, one after the other as one
 * submission, or as few as the driver's chains allow; blocks while the context
 * has as many in flight as the driver takes. */
gboolean xrt_job_start (XrtJob *job, const XrtJobPart *parts, guint n_parts,
    XrtBindFunc bind, gpointer user_data, GError **error);
/* "overlay 'x'", or those that it may be. (transfer full) */
char *xrt_job_name (const XrtJob *job);
/* As npu_run_wait(), with @timeout for each part; after a timeout the job is
 * over, or has been ended with its context: it is not in flight. */
gboolean xrt_job_wait (
    XrtJob *job, guint64 timeout, NpuRunTimes *times, GError **error);
gboolean xrt_job_is_done (XrtJob *job);

/* The thread that waits for a context's jobs. */
gpointer xrt_context_waiter (gpointer context);

/* --- xrt-buffer.c */

typedef struct {
  NpuBuffer base;
  XrtApiBo *bo;
  /* K tiles: what has been masked. */
  guint masked_kv_rows;
  gsize masked_offset;
} XrtBuffer;

NpuBuffer *xrt_buffer_new (NpuDevice *device, gsize size, GError **error);
void xrt_buffer_free (NpuBuffer *buffer);
gboolean xrt_buffer_sync (NpuBuffer *buffer, NpuSyncDirection direction,
    gsize offset, gsize size, GError **error);

/* --- kernels */

/* A role's buffer, or part of it. */
typedef struct {
  NpuBuffer *buffer;
  gsize offset, size;
} XrtPart;

struct _XrtKernel {
  NpuKernel base;
  NpuOp op; /* npu_op_to_keep() */
  XrtProgram *program;
  const NpuKernels *kernels;
  NpuBuffer *constants; /* weights, or gamma and beta; or NULL */

  /* The three steps of a launch; prepare and finish may be NULL. */
  gboolean (*prepare) (const XrtKernel *kernel, XrtRun *run,
      const NpuLaunch *launch, GError **error);
  guint (*count) (const XrtKernel *kernel, const NpuLaunch *launch);
  /* The part that argument @role of command @index is. */
  XrtPart (*part) (const XrtKernel *kernel, const XrtRun *run,
      const NpuLaunch *launch, guint index, XrtRole role);
  gboolean (*finish) (const XrtKernel *kernel, XrtRun *run,
      const NpuLaunch *launch, GError **error);
  /* Whether prepare works on inputs that a launch before this one may write,
   * and finish on outputs that one behind it may read: more than to sync them.
   * NULL: never. */
  gboolean (*stages_in) (const XrtKernel *kernel, const NpuLaunch *launch);
  gboolean (*stages_out) (const XrtKernel *kernel, const NpuLaunch *launch);

  /* linear */
  float *bias, *weight_scale, *signs, *c_signs;
  gint32 *zeros;
  gsize bias_offset; /* in constants, where the program adds it */
  gboolean a_is_direct, c_is_direct; /* for launches of whole commands */
  gboolean does_gelu, does_residual; /* on the host */
  /* attention, per head: tiles of q and k, v in their buffers */
  guint q_pitch;
};

/* A launch's rows are in the caller's buffer, or staged in the run's own. Of
 * launches that are one submission the first alone stages rows of its input,
 * and the last of its output. */
struct _XrtRun {
  NpuRun base;
  XrtJob job;
  NpuBuffer *staging_in, *staging_out;
  float *row_scale; /* [tiles][64], int8 */
  gsize n_row_scales;
  guint8 *scratch; /* 64-byte aligned */
  gsize scratch_size;
};

/* xrt-ops.c: finds the best overlay for an operation and opens it there. */
NpuKernel *xrt_kernel_open (NpuDevice *device, const NpuOp *op, GError **error);
void xrt_kernel_free (NpuKernel *kernel);
gboolean xrt_query (NpuDevice *device, const NpuOp *op, guint depth,
    NpuSupport *support, GError **error);

/* xrt-linear.c, xrt-attention.c, xrt-rows.c, xrt-packed.c: whether @overlay
 * does @op; the higher the better, 0 not at all; then opening it. */
guint xrt_linear_match (const XrtOverlay *overlay, const NpuOp *described);
gboolean xrt_linear_open (
    XrtKernel *kernel, const NpuOp *described, GError **error);
guint xrt_attention_match (const XrtOverlay *overlay, const NpuOp *described);
gboolean xrt_attention_open (
    XrtKernel *kernel, const NpuOp *op, GError **error);
void xrt_attention_pack_tile (const NpuKernel *kernel, guint arg, guint8 *data,
    guint tile, const float *x, gsize stride, guint rows);
guint xrt_layernorm_match (const XrtOverlay *overlay, const NpuOp *described);
guint xrt_gelu_match (const XrtOverlay *overlay, const NpuOp *op);
gboolean xrt_layernorm_open (
    XrtKernel *kernel, const NpuOp *op, GError **error);
gboolean xrt_gelu_open (XrtKernel *kernel, const NpuOp *op, GError **error);
guint xrt_packed_match (const XrtOverlay *overlay, const NpuOp *op);
gboolean xrt_packed_open (XrtKernel *kernel, const NpuOp *op, GError **error);

/* xrt-run.c */
NpuRun *xrt_run_new (
    NpuDevice *device, const NpuRunOptions *options, GError **error);
void xrt_run_free (NpuRun *run);
gboolean xrt_run_prepare (NpuRun *run, const NpuLaunch *launch, GError **error);
gboolean xrt_run_submit (NpuRun *run, const NpuLaunch *launch, GError **error);
guint xrt_run_count_joined (
    NpuRun *run, const NpuLaunch *launches, guint n_launches);
gboolean xrt_run_submit_list (
    NpuRun *run, const NpuLaunch *launches, guint n_launches, GError **error);
gboolean xrt_run_wait (
    NpuRun *run, guint64 timeout, NpuRunTimes *times, GError **error);
gboolean xrt_run_finish (NpuRun *run, const NpuLaunch *launch, GError **error);
gboolean xrt_run_is_done (NpuRun *run);
/* Makes one of the run's own buffers large enough. */
gboolean xrt_run_stage (
    XrtRun *run, NpuBuffer **staging, gsize size, GError **error);
guint8 *xrt_run_scratch (XrtRun *run, gsize size);

/* --- helpers for launches over rows */

static inline guint8 *
xrt_arg (const NpuLaunch *launch, guint i)
{
  return launch->args[i]->data + launch->offset[i];
}

static inline XrtPart
xrt_arg_part (const NpuLaunch *launch, guint i, gsize offset, gsize size)
{
  return (XrtPart){launch->args[i], launch->offset[i] + offset, size};
}

/* Valid rows of a tile. */
static inline guint
xrt_tile_rows (const NpuLaunch *launch, guint tile)
{
  const guint first = tile * NPU_TILE_ROWS;

  return first >= launch->rows ? 0 : MIN (launch->rows - first, NPU_TILE_ROWS);
}

/* Valid rows of a launch. */
static inline guint
xrt_launch_rows (const NpuLaunch *launch)
{
  const guint first = launch->first_tile * NPU_TILE_ROWS;

  return first >= launch->rows
             ? 0
             : MIN (launch->rows - first, launch->n_tiles * NPU_TILE_ROWS);
}

/* Commands of @rows rows that a launch's tiles take. */
static inline guint
xrt_count_chunks (const NpuLaunch *launch, guint rows)
{
  return (launch->n_tiles * NPU_TILE_ROWS + rows - 1) / rows;
}

/* Whether commands of @rows rows touch no rows but the launch's, or only those
 * behind the last tile, which belong to nobody. */
static inline gboolean
xrt_chunks_are_whole (const NpuLaunch *launch, guint rows)
{
  return launch->n_tiles * NPU_TILE_ROWS % rows == 0 ||
         launch->first_tile + launch->n_tiles == N_TILES (launch->rows);
}

/* Rows that a buffer needs so that commands of @rows rows may begin at any of
 * its tiles. */
static inline gsize
xrt_padded_rows (guint op_rows, guint rows)
{
  return (gsize) (N_TILES (op_rows) - 1) * NPU_TILE_ROWS +
         MAX (rows, NPU_TILE_ROWS);
}

/* Syncs the launch's own rows, of @row_size bytes, of an argument. */
gboolean xrt_sync_rows (const NpuLaunch *launch, guint arg, gsize row_size,
    NpuSyncDirection direction, GError **error);

G_END_DECLS
