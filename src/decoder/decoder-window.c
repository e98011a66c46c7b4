/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "decoder-window.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 3
#define DIM NPU_HEAD_DIM
#define ALIGNED(size) (((size) + 63) & ~(gsize) 63)

/* --- memory of a window -------------------------------------------------- */

static gsize
place_heads (DecoderWindows *windows, DecoderWindow *window, guint8 *base)
{
  const gsize n = windows->n_positions;
  const gsize bytes = ALIGNED ((n + 1) / 2 * 2 * DIM);
  const gsize scales = ALIGNED (n * sizeof (float));
  const guint n_heads = windows->weights->n_layers * windows->weights->n_heads;

  for (guint i = 0; base && i < n_heads; i++) {
    guint8 *at = base + i * 2 * (bytes + scales);

    window->heads[i] = (DecoderHead){(gint8 *) at, (gint8 *) (at + bytes),
        (float *) (at + 2 * bytes), (float *) (at + 2 * bytes + scales)};
  }
  return n_heads * 2 * (bytes + scales);
}

/* Made when the window is used first. */
static gboolean
allocate (DecoderWindows *windows, DecoderWindow *window, GError **error)
{
  const DecoderWeights *weights = windows->weights;
  const gboolean in_bytes = weights->product != DECODER_F32;
  const gsize size =
      in_bytes ? place_heads (windows, window, NULL)
               : decoder_windows_layer_offset (windows, weights->n_layers) *
                     sizeof (float);

  if (window->memory)
    return TRUE;
  window->memory = decoder_memory_new (size);
  if (!window->memory) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED,
        "no memory for the %" G_GSIZE_FORMAT
        " bytes of a window's keys and values",
        size);
    return FALSE;
  }
  if (in_bytes) {
    window->heads = g_new0 (DecoderHead, weights->n_layers * weights->n_heads);
    place_heads (windows, window, window->memory);
    return TRUE;
  }
  window->keys = g_new0 (const float *, windows->n_positions);
  for (guint i = 0; i < windows->n_positions; i++)
    window->keys[i] = (float *) window->memory + (gsize) i * 2 * weights->d;
  return TRUE;
}

/* --- what the ring gives ------------------------------------------------- */

/* Values of two positions side by side; beside a last odd one are zeros. */
static void
interleave (guint8 *pairs, const gint8 *first, const gint8 *second)
{
  for (guint i = 0; i < DIM; i++) {
    pairs[2 * i] = (guint8) first[i];
    pairs[2 * i + 1] = (guint8) second[i];
  }
}

/* Keys and values x[n][2 d] in bytes, of a position, which is even, and where
 * @n is 2 of the next. Returns for how many all numbers are such. */
static guint
quantise (const DecoderWindows *windows, DecoderHead *heads, guint position,
    guint n, const float *x)
{
  const NpuFewKernels *few = &windows->host->few;
  const guint d = windows->weights->d;
  float sum[2] = {0};

  for (guint i = 0; i < windows->weights->n_heads; i++) {
    DecoderHead *head = &heads[i];
    gint8 value[2][DIM] = {{0}};

    for (guint j = 0; j < n; j++) {
      const guint at = position + j;
      const float *from = x + (gsize) j * 2 * d + i * DIM;

      head->k_scale[at] =
          few->quantize_s8 (head->k + (gsize) at * DIM, from, DIM);
      head->v_scale[at] = few->quantize_s8 (value[j], from + d, DIM);
      sum[j] += head->k_scale[at] + head->v_scale[at];
    }
    interleave (
        (guint8 *) head->v + (gsize) position * DIM, value[0], value[1]);
  }
  return !isfinite (sum[0]) ? 0 : !isfinite (sum[1]) ? 1 : n;
}

/* The same of one position. */
static guint
keep_floats (const DecoderWeights *weights, float *to, const float *x)
{
  float zero = 0;

  memcpy (to, x, 2 * weights->d * sizeof *to);
  for (guint i = 0; i < 2 * weights->d; i++)
    zero += x[i] * 0;
  return zero == 0;
}

/* Takes the rows that a launch computed. */
static gboolean
take_rows (const NpuStage *stage, guint slot, NpuLaunch *launch,
    gpointer user_data, GError **error)
{
  DecoderWindows *windows = user_data;
  const DecoderWeights *weights = windows->weights;
  const guint layer = stage - windows->stages;
  const guint first = launch->first_tile * NPU_TILE_ROWS;
  const guint end = MIN (first + launch->n_tiles * NPU_TILE_ROWS, launch->rows);
  const float *x = (const float *) launch->args[NPU_ARG_C]->data;
  DecoderWindow *window = windows->target;

  for (guint i = first, n, n_taken; i < end; i += n) {
    const float *row = x + (gsize) i * 2 * weights->d;

    n = window->heads ? MIN (end - i, 2) : 1; /* tiles begin at even ones */
    n_taken = window->heads
                  ? quantise (windows, window->heads + layer * weights->n_heads,
                        i, n, row)
                  : keep_floats (weights,
                        (float *) window->keys[i] +
                            decoder_windows_layer_offset (windows, layer),
                        row);
    if (n_taken == n)
      continue;
    g_set_error (error, NPU_ERROR, NPU_ERROR_FORMAT,
        "the states of position %u are too large for the decoder: a key or value of layer %u overflows",
        i + n_taken, layer);
    return FALSE;
  }
  return TRUE;
}

/* --- opening ------------------------------------------------------------- */

/* Keys' and values' map [2 d][k] and its bias on their way into a kernel. */
typedef struct {
  const NpuAttentionWeights *cross;
  float *map, *bias;
} MapReader;

static gboolean
read_map (gpointer data, NpuOp *op, GError **error)
{
  MapReader *reader = data;
  const NpuAttentionWeights *cross = reader->cross;
  const gsize n = npu_tensor_n_elements (cross->key_weight);
  const gsize d = cross->key_weight->shape[0];

  reader->map = g_new (float, 2 * n);
  reader->bias = g_new0 (float, 2 * d);
  op->weight = reader->map;
  op->bias = reader->bias;
  return npu_tensor_read (cross->key_weight, 0, n, reader->map, error) &&
         npu_tensor_read (cross->value_weight, 0, n, reader->map + n, error) &&
         npu_tensor_read (cross->value_bias, 0, d, reader->bias + d, error);
}

/* The decoders of a model share it. */
static NpuKernel *
open_layer (DecoderWindows *windows, const NpuAttentionWeights *cross,
    const char *model, NpuDevice *host, GError **error)
{
  const DecoderWeights *weights = windows->weights;
  const NpuOp op = {
      .kind = NPU_OP_LINEAR,
      .rows = windows->n_positions,
      .linear = {.k = cross->key_weight->shape[1],
          .n = 2 * weights->d,
          .product = weights->product != DECODER_F32 ? NPU_PRODUCT_S16
                                                     : NPU_PRODUCT_F32},
  };
  MapReader reader = {.cross = cross};
  g_autofree char *key = model
                             ? g_strjoin ("\n", model, cross->key_weight->name,
                                   cross->value_weight->name, NULL)
                             : NULL;
  const NpuWeightsSource source = {key, read_map, &reader};
  NpuKernel *kernel = npu_kernel_get (host, &op, &source, error);

  g_free (reader.map);
  g_free (reader.bias);
  return kernel;
}

static gboolean
open_stages (DecoderWindows *windows, const NpuDecoderWeights *from,
    const char *model, NpuDevice *host, GError **error)
{
  const guint n_layers = windows->weights->n_layers;

  windows->kernels = g_new0 (NpuKernel *, n_layers);
  windows->stages = g_new0 (NpuStage, n_layers);
  for (guint i = 0; i < n_layers; i++) {
    NpuStage *stage = &windows->stages[i];

    windows->kernels[i] =
        open_layer (windows, &from->blocks[i].cross, model, host, error);
    if (!windows->kernels[i])
      return FALSE;
    *stage = (NpuStage){.name = "keys and values",
        .launch = {.kernel = windows->kernels[i]},
        .batch = 8,
        .needs = NPU_NEEDS_SAME_ROWS,
        .finish = take_rows,
        .user_data = windows};
  }
  return TRUE;
}

/* Two of the outputs: a stage's rows are taken before the one after the next
 * writes there. */
static gboolean
open_buffers (DecoderWindows *windows, NpuDevice *host, GError **error)
{
  const NpuKernel *kernel = windows->kernels[0];

  windows->states = npu_buffer_new (host, kernel->arg_size[NPU_ARG_A], error);
  for (guint i = 0; windows->states && i < 2; i++)
    if (!(windows->projected[i] =
                npu_buffer_new (host, kernel->arg_size[NPU_ARG_C], error)))
      return FALSE;
  if (!windows->states)
    return FALSE;
  for (guint i = 0; i < windows->weights->n_layers; i++) {
    windows->stages[i].launch.args[NPU_ARG_A] = windows->states;
    windows->stages[i].launch.args[NPU_ARG_C] = windows->projected[i % 2];
  }
  return TRUE;
}

gboolean
decoder_windows_init (DecoderWindows *windows, const DecoderWeights *weights,
    NpuModel *model, const NpuHost *host, guint n_windows, guint64 timeout,
    GError **error)
{
  const NpuDecoderWeights *from = npu_model_get_decoder (model, error);
  g_autofree char *identity = npu_model_get_identity (model);

  *windows = (DecoderWindows){
      .weights = weights,
      .host = host,
      .n_positions = npu_model_get_config (model)->encoder.n_positions,
      .n_windows = n_windows,
      .windows = g_new0 (DecoderWindow, n_windows),
  };
  if (!from || !open_stages (windows, from, identity, host->device, error) ||
      !open_buffers (windows, host->device, error))
    return FALSE;
  windows->executor = npu_executor_new (host->device, DEPTH, timeout, error);
  return windows->executor != NULL;
}

void
decoder_windows_clear (DecoderWindows *windows)
{
  g_clear_pointer (&windows->executor, npu_executor_free);
  for (guint i = 0; windows->kernels && i < windows->weights->n_layers; i++)
    npu_kernel_unref (windows->kernels[i]);
  npu_buffer_free (windows->states);
  npu_buffer_free (windows->projected[0]);
  npu_buffer_free (windows->projected[1]);
  for (guint i = 0; i < windows->n_windows; i++) {
    g_free (windows->windows[i].heads);
    g_free (windows->windows[i].keys);
    free (windows->windows[i].memory);
  }
  g_free (windows->windows);
  g_free (windows->kernels);
  g_free (windows->stages);
}

/* --- setting ------------------------------------------------------------- */

static gboolean
check_states (const float *states, guint n_positions, gsize d, GError **error)
{
  for (guint i = 0; i < n_positions; i++) {
    float zero = 0;

    for (gsize j = 0; j < d; j++)
      zero += states[i * d + j] * 0;
    if (zero == 0)
      continue;
    g_set_error (error, NPU_ERROR, NPU_ERROR_FORMAT,
        "the states of position %u have a NaN or an infinity", i);
    return FALSE;
  }
  return TRUE;
}

gboolean
decoder_windows_set (DecoderWindows *windows, guint i, const float *states,
    guint n_positions, GError **error)
{
  const DecoderWeights *weights = windows->weights;
  DecoderWindow *window = &windows->windows[i];

  window->n_positions = 0;
  window->serial++;
  if (n_positions < 1 || n_positions > windows->n_positions) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "states of %u positions cannot be decoded; there must be 1 to %u",
        n_positions, windows->n_positions);
    return FALSE;
  }
  if (!check_states (states, n_positions, weights->d, error) ||
      !allocate (windows, window, error))
    return FALSE;

  memcpy (windows->states->data, states,
      (gsize) n_positions * weights->d * sizeof *states);
  for (guint layer = 0; layer < weights->n_layers; layer++) {
    NpuStage *stage = &windows->stages[layer];

    stage->launch.rows = n_positions;
    stage->n_tiles = (n_positions + NPU_TILE_ROWS - 1) / NPU_TILE_ROWS;
  }
  windows->target = window;
  if (!npu_executor_run (
          windows->executor, windows->stages, weights->n_layers, error))
    return FALSE;
  window->n_positions = n_positions;
  return TRUE;
}
