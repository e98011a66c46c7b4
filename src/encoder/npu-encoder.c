/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-encoder.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/npu-cache.h"
#include "encoder-exact.h"
#include "encoder-numerics.h"
#include "encoder-plan.h"
#include "encoder-probe.h"
#include "npu-kernels.h"

struct _NpuEncoder {
  NpuDevice *device;
  NpuCacheEntry *verdict; /* see open_probed_plan(); or NULL */
  EncoderPlan *plan;
  NpuExecutor *executor;
  NpuStage *stages; /* [plan->plan->stages->len], filled for each window */
  guint depth, batch_size;
  NpuPrecision precision; /* not AUTO */
  char *placement;
  guint n_mels, d, max_frames;

  /* The window that is being encoded. */
  const float *mel; /* [n_mels][n_frames] */
  guint n_frames;
  float *states; /* [n_frames / 2][d] */
};

/* --- making ------------------------------------------------------------ */

static gboolean
options_are_valid (const NpuEncoderOptions *options, GError **error)
{
  if (options->batch_size > NPU_EXECUTOR_MAX_BATCH) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "batch-size is %u; it must be 0 (the device's choice) to %d",
        options->batch_size, NPU_EXECUTOR_MAX_BATCH);
    return FALSE;
  }
  /* The executor checks depth and timeout. */
  return npu_precision_check (options->precision, error);
}

/* Whatever the states become: the probe judges them. */
static gboolean encode (NpuEncoder *encoder, const float *mel, guint n_frames,
    float *states, NpuStats *stats, GError **error);

static gboolean
open_plan (NpuEncoder *encoder, const NpuModel *model, NpuDevice *device,
    NpuPrecision precision, GError **error)
{
  const PlanOptions options = {
      .precision = precision,
      .depth = encoder->depth,
  };

  encoder_plan_free (encoder->plan);
  encoder->precision = precision;
  encoder->plan = encoder_plan_new (model, device, &options, error);
  if (!encoder->plan)
    return FALSE;
  g_free (encoder->stages);
  encoder->stages = g_new0 (NpuStage, encoder->plan->plan->stages->len);
  return TRUE;
}

/* Opens the int8 plan, and sees whether it keeps the states of the float plan
 * in a short window. */
static gboolean
probe_int8 (
    NpuEncoder *encoder, const NpuModel *model, gboolean *holds, GError **error)
{
  const gsize n_states = (gsize) ENCODER_PROBE_POSITIONS * model->d;
  g_autofree float *mel =
      g_new (float, (gsize) model->n_mels *ENCODER_PROBE_FRAMES);
  g_autofree float *exact = g_new (float, n_states);
  g_autofree float *approximate = g_new (float, n_states);

  encoder_probe_fill (mel, model->n_mels);
  if (!encoder_exact_encode (model, encoder->device, encoder->executor,
          ENCODER_EXACT_WEIGHTS, &encoder->plan, mel, ENCODER_PROBE_FRAMES,
          exact, error))
    return FALSE;
  if (!open_plan (encoder, model, encoder->device, NPU_PRECISION_INT8, error) ||
      !encode (encoder, mel, ENCODER_PROBE_FRAMES, approximate, NULL, error))
    return FALSE;
  npu_executor_reset_stats (encoder->executor);
  *holds = encoder_probe_holds (exact, approximate, model->d);
  return TRUE;
}

/* What a probe said of a model on a device, for all encoders of the two, as
 * long as there is one. */
static NpuCache verdicts;

typedef struct {
  NpuEncoder *encoder;
  const NpuModel *model;
} Probe;

static gpointer
make_verdict (gpointer data, NpuCacheEntry *entry, GError **error)
{
  const Probe *probe = data;
  gboolean holds;

  if (!probe_int8 (probe->encoder, probe->model, &holds, error))
    return NULL;
  return g_memdup2 (&holds, sizeof holds);
}

static GBytes *
verdict_key (const NpuModel *model, const NpuDevice *device)
{
  g_autofree char *identity = npu_model_get_identity (model);
  char *text = identity
                   ? g_strdup_printf ("%p %s", (gconstpointer) device, identity)
                   : NULL;

  return text ? g_bytes_new_take (text, strlen (text)) : NULL;
}

/* Where int8 does not do: what has float's states to six digits, and faster
 * where the device can. */
static NpuPrecision
next_best (NpuDevice *device)
{
  return npu_device_has_product (npu_device_get_host (device), NPU_PRODUCT_S16)
             ? NPU_PRECISION_INT16
             : NPU_PRECISION_F32;
}

/* Opens the int8 plan where that is faster and a probe says that it keeps the
 * states of the float plan, else the next best. */
static gboolean
open_probed_plan (NpuEncoder *encoder, const NpuModel *model, NpuDevice *device,
    GError **error)
{
  static const NpuCacheFuncs funcs = {make_verdict, g_free};
  NpuDevice *host = npu_device_get_host (device);
  g_autoptr (GBytes) key = verdict_key (model, device);
  Probe probe = {encoder, model};
  NpuPrecision precision;

  if (!npu_device_has_product (host, NPU_PRODUCT_S8) &&
      !npu_device_has_product (host, NPU_PRODUCT_S16))
    return open_plan (encoder, model, device, next_best (device), error);
  encoder->verdict = npu_cache_get (&verdicts, key, &funcs, &probe, error);
  if (!encoder->verdict)
    return FALSE;
  precision = *(const gboolean *) npu_cache_entry_get_thing (encoder->verdict)
                  ? NPU_PRECISION_INT8
                  : next_best (device);
  /* Whoever probed it has it open. */
  return (encoder->plan && encoder->precision == precision) ||
         open_plan (encoder, model, device, precision, error);
}

static gboolean
open_best_plan (NpuEncoder *encoder, const NpuModel *model, NpuDevice *device,
    GError **error)
{
  if (encoder_numerics_suits_npu (model, device))
    return open_plan (encoder, model, device, NPU_PRECISION_BF16, error);
  return open_probed_plan (encoder, model, device, error);
}

NpuEncoder *
npu_encoder_new (const NpuModel *model, NpuDevice *device,
    const NpuEncoderOptions *options, GError **error)
{
  g_autoptr (NpuEncoder) encoder = NULL;
  gboolean opened;

  if (!options_are_valid (options, error))
    return NULL;

  encoder = g_new0 (NpuEncoder, 1);
  encoder->device = npu_device_ref (device);
  encoder->depth = options->depth;
  encoder->batch_size = options->batch_size;
  encoder->n_mels = model->n_mels;
  encoder->d = model->d;
  encoder->max_frames = 2 * model->n_positions;
  encoder->executor =
      npu_executor_new (device, options->depth, options->timeout, error);
  if (!encoder->executor)
    return NULL;

  if (options->precision == NPU_PRECISION_AUTO)
    opened = open_best_plan (encoder, model, device, error);
  else
    opened = open_plan (encoder, model, device, options->precision, error);
  if (!opened)
    return NULL;
  encoder->placement = npu_plan_describe_placement (encoder->plan->plan);
  if (device != npu_device_get_host (device))
    g_info ("%s: %s", model->name, encoder->placement);
  return g_steal_pointer (&encoder);
}

void
npu_encoder_free (NpuEncoder *encoder)
{
  if (!encoder)
    return;
  /* First: it waits for launches that use the plan's buffers. */
  npu_executor_free (encoder->executor);
  encoder_plan_free (encoder->plan);
  g_free (encoder->stages);
  g_free (encoder->placement);
  if (encoder->verdict)
    npu_cache_entry_unref (encoder->verdict);
  npu_device_unref (encoder->device);
  g_free (encoder);
}

guint
npu_encoder_get_n_mels (NpuEncoder *encoder)
{
  return encoder->n_mels;
}

guint
npu_encoder_get_d (NpuEncoder *encoder)
{
  return encoder->d;
}

guint
npu_encoder_get_depth (NpuEncoder *encoder)
{
  return encoder->depth;
}

guint
npu_encoder_get_batch_size (NpuEncoder *encoder)
{
  const GArray *stages = encoder->plan->plan->stages;

  if (encoder->batch_size)
    return encoder->batch_size;
  for (guint i = 0; i < stages->len; i++) {
    const NpuPlanStage *stage = &g_array_index (stages, NpuPlanStage, i);

    if (stage->kernel->device == encoder->plan->plan->device)
      return stage->batch;
  }
  return g_array_index (stages, NpuPlanStage, 0).batch;
}

const char *
npu_encoder_get_precision (NpuEncoder *encoder)
{
  return npu_precision_to_string (encoder->precision);
}

char *
npu_encoder_describe (NpuEncoder *encoder)
{
  return npu_plan_describe (encoder->plan->plan);
}

const char *
npu_encoder_get_placement (NpuEncoder *encoder)
{
  return encoder->placement;
}

guint
npu_encoder_get_n_stages (NpuEncoder *encoder)
{
  return encoder->plan->plan->stages->len;
}

const char *
npu_encoder_get_stage (NpuEncoder *encoder, guint stage, const char **device)
{
  const NpuPlanStage *from;

  g_return_val_if_fail (stage < encoder->plan->plan->stages->len, NULL);
  from = &g_array_index (encoder->plan->plan->stages, NpuPlanStage, stage);
  if (device)
    *device = npu_device_get_name (from->kernel->device);
  return from->name;
}

const char *
npu_encoder_get_stage_kind (NpuEncoder *encoder, guint stage)
{
  const GArray *stages = encoder->plan->plan->stages;

  g_return_val_if_fail (stage < stages->len, NULL);
  return encoder_stage_kind_name (
      g_array_index (stages, NpuPlanStage, stage).id.kind);
}

NpuDevice *
npu_encoder_get_device (NpuEncoder *encoder)
{
  return encoder->plan->plan->device;
}

NpuExecutor *
npu_encoder_get_executor (NpuEncoder *encoder)
{
  return encoder->executor;
}

/* --- encoding ---------------------------------------------------------- */

/* Writes the frames that a launch of conv1 is the first to read, so that the
 * device computes while the host packs the next. The launch itself syncs what
 * it reads. */
static gboolean
write_frames (const NpuStage *stage, guint slot, NpuLaunch *launch,
    gpointer user_data, GError **error)
{
  NpuEncoder *encoder = user_data;
  const guint n_frames = encoder->n_frames;
  const guint tile_end = (launch->first_tile + launch->n_tiles) * NPU_TILE_ROWS;
  /* A frame's neighbours are read with it; launches come in order. */
  const guint first =
      launch->first_tile ? launch->first_tile * NPU_TILE_ROWS + 1 : 0;
  const guint end = MIN (tile_end + 1, n_frames);

  if (launch->first_tile == 0 &&
      !encoder_plan_write_edges (encoder->plan, n_frames, error))
    return FALSE;
  if (first < end)
    encoder_plan_write_frames (
        encoder->plan, encoder->mel, n_frames, first, end);
  return TRUE;
}

/* Reads the positions that a launch of the last stage computed, and synced. */
static gboolean
read_states (const NpuStage *stage, guint slot, NpuLaunch *launch,
    gpointer user_data, GError **error)
{
  NpuEncoder *encoder = user_data;
  NpuBuffer *buffer = npu_plan_get_buffer (encoder->plan->plan, PLAN_STATES);
  const gsize row_size = encoder->d * sizeof (float);
  const guint first = launch->first_tile * NPU_TILE_ROWS;
  const guint end = MIN (first + launch->n_tiles * NPU_TILE_ROWS, launch->rows);
  const gsize offset = first * row_size, size = (end - first) * row_size;

  memcpy ((guint8 *) encoder->states + offset, buffer->data + offset, size);
  return TRUE;
}

static gboolean
check_frames (NpuEncoder *encoder, guint n_frames, GError **error)
{
  if (n_frames < 2 || n_frames > encoder->max_frames || n_frames % 2) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "a window of %u frames cannot be encoded; this model's %u positions are for an even number from 2 to %u, %u.%02u s: set whispermel's window to that or less",
        n_frames, encoder->max_frames / 2, encoder->max_frames,
        encoder->max_frames / 100, encoder->max_frames % 100);
    return FALSE;
  }
  return TRUE;
}

static gboolean
encode (NpuEncoder *encoder, const float *mel, guint n_frames, float *states,
    NpuStats *stats, GError **error)
{
  const guint n_stages = encoder->plan->plan->stages->len;
  NpuStage *stages = encoder->stages;
  gboolean done;

  if (!check_frames (encoder, n_frames, error))
    return FALSE;
  encoder->mel = mel;
  encoder->n_frames = n_frames;
  encoder->states = states;
  encoder_plan_fill (encoder->plan, n_frames, encoder->batch_size, stages);
  stages[0].prepare = write_frames;
  stages[0].user_data = encoder;
  stages[n_stages - 1].finish = read_states;
  stages[n_stages - 1].user_data = encoder;

  done = npu_executor_run (encoder->executor, stages, n_stages, error);
  if (stats)
    npu_executor_get_run_stats (encoder->executor, stats);
  return done;
}

/* Index of the first value that is a NaN or an infinity; n where all are
 * finite. A block is looked at without branches. */
static gsize
find_non_finite (const float *x, gsize n)
{
  const gsize block = 1024;

  for (gsize first = 0; first < n; first += block) {
    const gsize end = MIN (first + block, n);
    gboolean found = FALSE;

    for (gsize i = first; i < end; i++)
      found |= !(fabsf (x[i]) <= FLT_MAX);
    for (gsize i = first; found && i < end; i++)
      if (!isfinite (x[i]))
        return i;
  }
  return n;
}

static float
largest_magnitude (const float *x, gsize n)
{
  float largest = 0.0f;

  for (gsize i = 0; i < n; i++)
    largest = MAX (largest, fabsf (x[i]));
  return largest;
}

static gboolean
check_mel (const float *mel, guint n_mels, guint n_frames, GError **error)
{
  const gsize n = (gsize) n_mels * n_frames, bad = find_non_finite (mel, n);

  if (bad == n)
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
      "the mel has a NaN or an infinity in band %" G_GSIZE_FORMAT
      ", frame %" G_GSIZE_FORMAT,
      bad / n_frames, bad % n_frames);
  return FALSE;
}

/* A device that corrupts what it computes is noticed here, and so is mel that
 * is finite but no mel. */
static gboolean
check_states (NpuEncoder *encoder, const float *mel, guint n_frames,
    const float *states, GError **error)
{
  const gsize n = (gsize) n_frames / 2 * encoder->d;
  const gsize bad = find_non_finite (states, n);

  if (bad == n)
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_LAUNCH,
      "device %s computed states with a NaN or an infinity, first at position %" G_GSIZE_FORMAT
      ", column %" G_GSIZE_FORMAT
      "; the largest magnitude of the mel is %g, where Whisper's is below 3",
      npu_device_get_name (encoder->plan->plan->device), bad / encoder->d,
      bad % encoder->d,
      (double) largest_magnitude (mel, (gsize) encoder->n_mels * n_frames));
  return FALSE;
}

gboolean
npu_encoder_encode (NpuEncoder *encoder, const float *mel, guint n_frames,
    float *states, NpuStats *stats, GError **error)
{
  return check_frames (encoder, n_frames, error) &&
         check_mel (mel, encoder->n_mels, n_frames, error) &&
         encode (encoder, mel, n_frames, states, stats, error) &&
         check_states (encoder, mel, n_frames, states, error);
}
