/* A step as a list of commands: norms, products, attention, and what makes
 * 16-bit rows of floats between them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoder-private.h"

#include <math.h>
#include <string.h>

#define DIM NPU_HEAD_DIM
#define EPSILON 1e-5f
#define ROWS_AT_ONCE 16 /* of a product */
#define ROWS_PER_UNIT 4 /* of a norm */
#define MAX_COLUMNS 256 /* of a product's unit */
#define UNIT_SIZE 65536 /* bytes of weights, about */
#define LINE 16         /* floats of a cache's line */

/* Where a product's columns go. */
typedef enum {
  TO_ROWS,   /* [n_rows][n] floats */
  TO_ADDED,  /* added to them */
  TO_CACHE,  /* queries to q, keys and values to the rows' slots */
  TO_LOGITS, /* to the wanted rows' */
} OpTarget;

typedef guint (*UnitsFunc) (const DecoderOp *op);

struct _DecoderOp {
  NpuDecoder *decoder;
  UnitsFunc n_units;
  void (*run) (gpointer op, guint unit);
  guint layer;
  guint first_head, n_heads; /* of alignment's, in the layer */
  const DecoderNorm *norm;
  const DecoderLinear *linear;
  guint columns; /* of a linear's unit */
  OpTarget target;
  gboolean gelu;
  /* Members of the step, whose arrays grow: inputs in float, outputs. */
  float **in, **out;
};

/* --- rows ---------------------------------------------------------------- */

static guint
units_of_rows (const DecoderOp *op)
{
  return (op->decoder->step.n_rows + ROWS_PER_UNIT - 1) / ROWS_PER_UNIT;
}

static guint
units_of_wanted (const DecoderOp *op)
{
  return op->decoder->step.n_wanted;
}

static gboolean
is_of_ints (const NpuDecoder *decoder)
{
  return decoder->weights->product != DECODER_F32;
}

/* The next product's input, x[rows][k] from row @first on. */
static void
quantise_rows (
    NpuDecoder *decoder, const float *x, guint first, guint rows, guint k)
{
  DecoderStep *step = &decoder->step;

  if (is_of_ints (decoder))
    decoder->host->kernels.quantize_s16 (
        step->ints + (gsize) first * k, step->scale + first, x, k, rows, k);
}

static void
run_norm (gpointer data, guint unit)
{
  const DecoderOp *op = data;
  NpuDecoder *decoder = op->decoder;
  const guint d = decoder->weights->d, first = unit * ROWS_PER_UNIT;
  const guint rows = MIN (decoder->step.n_rows - first, ROWS_PER_UNIT);
  float *y = decoder->step.norm + (gsize) first * d;

  decoder->host->kernels.layernorm_f32 (y, d,
      decoder->step.x + (gsize) first * d, d, op->norm->gamma, op->norm->beta,
      EPSILON, rows, d);
  quantise_rows (decoder, y, first, rows, d);
}

/* Of the wanted rows, each of which becomes the vocabulary's input. */
static void
run_final_norm (gpointer data, guint unit)
{
  const DecoderOp *op = data;
  NpuDecoder *decoder = op->decoder;
  DecoderStep *step = &decoder->step;
  const guint d = decoder->weights->d;
  float *y = step->final + (gsize) unit * d;

  decoder->host->kernels.layernorm_f32 (y, d,
      step->x + (gsize) step->wanted[unit] * d, d, op->norm->gamma,
      op->norm->beta, EPSILON, 1, d);
  quantise_rows (decoder, y, unit, 1, d);
}

/* Attention's or the first layer's output becomes the next product's input. */
static void
run_quantise (gpointer data, guint unit)
{
  const DecoderOp *op = data;
  const guint k = op->linear->k, first = unit * ROWS_PER_UNIT;
  const guint rows = MIN (op->decoder->step.n_rows - first, ROWS_PER_UNIT);

  quantise_rows (op->decoder, *op->in + (gsize) first * k, first, rows, k);
}

/* --- products ------------------------------------------------------------ */

static guint
units_of_linear (const DecoderOp *op)
{
  if (op->target == TO_LOGITS && op->decoder->step.n_wanted == 0)
    return 0;
  return (op->linear->n + op->columns - 1) / op->columns;
}

static float *
output_of (const DecoderOp *op, guint row, guint column)
{
  const DecoderStep *step = &op->decoder->step;
  const guint d = op->decoder->weights->d;

  switch (op->target) {
    case TO_ROWS:
    case TO_ADDED:
      return *op->out + (gsize) row * op->linear->n + column;
    case TO_CACHE:
      return column < d
                 ? step->q + (gsize) row * d + column
                 : step->slots[row] + (gsize) op->layer * 2 * d + (column - d);
    case TO_LOGITS:
      return step->logits[row] + column;
  }
  g_assert_not_reached ();
}

/* What is summed before it is finished, by rows of MAX_COLUMNS. */
typedef union {
  gint32 s32[ROWS_AT_ONCE * MAX_COLUMNS];
  float f32[ROWS_AT_ONCE * MAX_COLUMNS];
} LinearSums;

/* Sums of a product's unit, and what finishes them. */
static void
finish_columns (const DecoderOp *op, LinearSums *sums, guint first_row,
    guint rows, guint column, guint n)
{
  static const gint32 zeros[MAX_COLUMNS];
  const NpuKernels *kernels = &op->decoder->host->kernels;
  const DecoderLinear *linear = op->linear;

  for (guint i = 0; i < rows; i++) {
    const guint row = first_row + i;
    const float *scale = op->decoder->step.scale + row;
    const gsize at = (gsize) i * MAX_COLUMNS;
    float *y = output_of (op, row, column);
    const NpuEpilogue epilogue = {
        .bias = linear->bias ? linear->bias + column : NULL,
        .gelu = op->gelu ? NPU_GELU_EXACT : NPU_GELU_NONE,
        .residual = op->target == TO_ADDED ? y : NULL,
        .residual_stride = n,
    };

    if (linear->product == DECODER_F32)
      kernels->epilogue_f32 (
          y, n, sums->f32 + at, MAX_COLUMNS, &epilogue, 1, n);
    else
      kernels->epilogue_s32 (y, n, sums->s32 + at, MAX_COLUMNS, scale,
          linear->scale + column, zeros, &epilogue, 1, n);
  }
}

/* Logits are large enough to have left the caches since the last step: they
 * come back while products are made. */
static void
prefetch_logits (
    const DecoderOp *op, guint row, guint rows, guint column, guint n)
{
  if (op->target == TO_LOGITS)
    for (guint i = 0; i < rows; i++)
      for (guint j = 0; j < n; j += LINE)
        __builtin_prefetch (output_of (op, row + i, column + j));
}

/* Of columns from @column on. */
static void
multiply (const DecoderOp *op, LinearSums *sums, guint row, guint rows,
    gsize column, guint n)
{
  const NpuFewKernels *few = &op->decoder->host->few;
  const DecoderLinear *linear = op->linear;
  const gsize k = linear->k;
  const gint16 *ints = op->decoder->step.ints + row * k;

  switch (linear->product) {
    case DECODER_S8:
      few->dot_s8 (sums->s32, MAX_COLUMNS, ints, k,
          (const gint8 *) linear->weight + column * k, rows, n, k);
      return;
    case DECODER_GROUPED:
      few->dot_grouped (sums->s32, MAX_COLUMNS, ints, k,
          (const gint8 *) linear->weight + column * k,
          linear->factors + column * (k / NPU_FEW_GROUP), rows, n, k);
      return;
    case DECODER_S16:
      few->dot_s16 (sums->s32, MAX_COLUMNS, ints, k,
          (const gint16 *) linear->weight + column * k, rows, n, k);
      return;
    case DECODER_F32:
      few->dot_f32 (sums->f32, MAX_COLUMNS, *op->in + row * k, k,
          (const float *) linear->weight + column * k, rows, n, k);
      return;
  }
  g_assert_not_reached ();
}

static void
run_linear (gpointer data, guint unit)
{
  const DecoderOp *op = data;
  const DecoderStep *step = &op->decoder->step;
  const gsize column = unit * op->columns;
  const guint n = MIN (op->linear->n - column, op->columns);
  const guint n_rows = op->target == TO_LOGITS ? step->n_wanted : step->n_rows;
  LinearSums sums;

  for (guint row = 0; row < n_rows; row += ROWS_AT_ONCE) {
    const guint rows = MIN (n_rows - row, ROWS_AT_ONCE);

    prefetch_logits (op, row, rows, column, n);
    multiply (op, &sums, row, rows, column, n);
    finish_columns (op, &sums, row, rows, column, n);
  }
}

/* --- attention ----------------------------------------------------------- */

static guint
units_of_self (const DecoderOp *op)
{
  return op->decoder->step.n_rows * op->decoder->weights->n_heads;
}

/* A row and a head over what its sequence remembers, itself included. */
static void
run_self (gpointer data, guint unit)
{
  const DecoderOp *op = data;
  NpuDecoder *decoder = op->decoder;
  DecoderStep *step = &decoder->step;
  const guint n_heads = decoder->weights->n_heads, d = decoder->weights->d;
  const guint row = unit / n_heads, head = unit % n_heads;
  const float *const *keys =
      (const float *const *) decoder->cache.sequences[step->sequence[row]]
          .slots;
  const gsize at = (gsize) row * d + head * DIM;
  const gsize k_at = (gsize) op->layer * 2 * d + head * DIM;
  NpuAttended runs[DECODER_MAX_RUNS];
  guint n_runs = 0;

  for (guint key = 0; key < step->n_keys[row]; key += NPU_FEW_KEYS)
    decoder->host->few.attend_f32 (&runs[n_runs++], step->q + at, keys + key,
        k_at, k_at + d, MIN (step->n_keys[row] - key, NPU_FEW_KEYS), 0.125f);
  npu_attended_join (step->attended + at, runs, n_runs);
}

/* Queries by heads in 16 bits. */
static void
run_quantise_queries (gpointer data, guint unit)
{
  const DecoderOp *op = data;
  NpuDecoder *decoder = op->decoder;
  DecoderStep *step = &decoder->step;
  const guint n_heads = decoder->weights->n_heads;
  const guint first = unit * ROWS_PER_UNIT * n_heads;
  const guint rows =
      MIN (step->n_rows * n_heads - first, ROWS_PER_UNIT * n_heads);

  decoder->host->kernels.quantize_s16 (step->q_ints + (gsize) first * DIM,
      step->q_scale + first, step->q + (gsize) first * DIM, DIM, rows, DIM);
}

static guint
units_of_cross (const DecoderOp *op)
{
  const DecoderStep *step = &op->decoder->step;

  return step->n_windows * op->decoder->weights->n_heads * step->n_runs;
}

static void
attend_window (const DecoderOp *op, const DecoderWindow *window, guint row,
    guint head, guint run, guint n_keys)
{
  const NpuDecoder *decoder = op->decoder;
  const DecoderStep *step = &decoder->step;
  const guint n_heads = decoder->weights->n_heads, d = decoder->weights->d;
  const gsize by_head = (gsize) row * n_heads + head;
  const gsize first = (gsize) run * NPU_FEW_KEYS;
  NpuAttended *to = step->runs + by_head * step->n_runs + run;

  if (window->heads) {
    const DecoderHead *from = &window->heads[op->layer * n_heads + head];

    decoder->host->few.attend_s8 (to, step->q_ints + by_head * DIM,
        from->k + first * DIM, from->k_scale + first, from->v + first * DIM,
        from->v_scale + first, n_keys, 0.125f * step->q_scale[by_head]);
  } else {
    const gsize k_at =
        decoder_windows_layer_offset (&decoder->windows, op->layer) +
        head * DIM;

    decoder->host->few.attend_f32 (to, step->q + by_head * DIM,
        window->keys + first, k_at, k_at + d, n_keys, 0.125f);
  }
}

/* A run of keys of a window and head, for all rows that read the window. */
static void
run_cross (gpointer data, guint unit)
{
  const DecoderOp *op = data;
  const DecoderStep *step = &op->decoder->step;
  const guint n_heads = op->decoder->weights->n_heads;
  const guint run = unit % step->n_runs;
  const guint head = unit / step->n_runs % n_heads;
  const guint group = unit / step->n_runs / n_heads;
  const DecoderWindow *window =
      &op->decoder->windows.windows[step->windows[group]];

  if (run * NPU_FEW_KEYS >= window->n_positions)
    return;
  for (guint i = step->window_first[group]; i < step->window_first[group + 1];
       i++)
    attend_window (op, window, step->by_window[i], head, run,
        MIN (window->n_positions - run * NPU_FEW_KEYS, NPU_FEW_KEYS));
}

/* Nothing where nobody asked. */
static guint
units_of_scores (const DecoderOp *op)
{
  const DecoderStep *step = &op->decoder->step;

  return step->n_attending ? step->n_windows * op->n_heads * step->n_runs : 0;
}

/* scores[n_keys] of one row and head, from its key @first on. */
static void
score_keys (const DecoderOp *op, const DecoderWindow *window, guint row,
    guint head, gsize first, guint n_keys, float *scores)
{
  const NpuDecoder *decoder = op->decoder;
  const NpuFewKernels *few = &decoder->host->few;
  const DecoderStep *step = &decoder->step;
  const guint n_heads = decoder->weights->n_heads;
  const gsize by_head = (gsize) row * n_heads + head;
  gint32 sums[NPU_FEW_KEYS];

  if (window->heads) {
    const DecoderHead *from = &window->heads[op->layer * n_heads + head];

    few->dot_s8 (sums, NPU_FEW_KEYS, step->q_ints + by_head * DIM, DIM,
        from->k + first * DIM, 1, n_keys, DIM);
    for (guint i = 0; i < n_keys; i++)
      scores[i] = (float) sums[i] * 0.125f * step->q_scale[by_head] *
                  from->k_scale[first + i];
    return;
  }
  for (guint i = 0; i < n_keys; i++) {
    const float *key =
        window->keys[first + i] +
        decoder_windows_layer_offset (&decoder->windows, op->layer) +
        head * DIM;

    few->dot_f32 (&scores[i], 1, step->q + by_head * DIM, DIM, key, 1, 1, DIM);
    scores[i] *= 0.125f;
  }
}

/* A run of keys of a window and an alignment head, for the rows that asked. */
static void
run_scores (gpointer data, guint unit)
{
  const DecoderOp *op = data;
  const NpuDecoder *decoder = op->decoder;
  const DecoderStep *step = &decoder->step;
  const gsize first = (gsize) (unit % step->n_runs) * NPU_FEW_KEYS;
  const guint at = op->first_head + unit / step->n_runs % op->n_heads;
  const guint group = unit / step->n_runs / op->n_heads;
  const DecoderWindow *window = &decoder->windows.windows[step->windows[group]];
  const gsize n = window->n_positions;
  const NpuAlignmentHead *head =
      &g_array_index (decoder->alignment_heads, NpuAlignmentHead, at);

  for (guint i = step->window_first[group];
       first < n && i < step->window_first[group + 1]; i++) {
    const guint row = step->by_window[i];

    if (step->attention[row])
      score_keys (op, window, row, head->head, first,
          MIN (n - first, NPU_FEW_KEYS), step->attention[row] + at * n + first);
  }
}

/* Joins the runs; the result is the next product's input. */
static void
run_join (gpointer data, guint unit)
{
  const DecoderOp *op = data;
  NpuDecoder *decoder = op->decoder;
  DecoderStep *step = &decoder->step;
  const guint n_heads = decoder->weights->n_heads, d = decoder->weights->d;
  const guint first = unit * ROWS_PER_UNIT;
  const guint rows = MIN (step->n_rows - first, ROWS_PER_UNIT);

  for (guint row = first; row < first + rows; row++) {
    const DecoderSequence *sequence =
        &decoder->cache.sequences[step->sequence[row]];
    const guint n_keys = decoder->windows.windows[sequence->window].n_positions;

    for (guint head = 0; head < n_heads; head++)
      npu_attended_join (step->attended + (gsize) row * d + head * DIM,
          step->runs + ((gsize) row * n_heads + head) * step->n_runs,
          (n_keys + NPU_FEW_KEYS - 1) / NPU_FEW_KEYS);
  }
  quantise_rows (decoder, step->attended + (gsize) first * d, first, rows, d);
}

/* --- the list ------------------------------------------------------------ */

/* Columns of a unit: as many bytes of weights as keep a processor busy for some
 * microseconds; units of queries, keys and values do not meet. */
static guint
columns_of_unit (const DecoderLinear *linear, OpTarget target, guint d)
{
  const gsize size = linear->k * decoder_product_size (linear->product);
  guint columns = MAX_COLUMNS;

  while (columns > DIM &&
         (columns * size > UNIT_SIZE || (target == TO_CACHE && d % columns)))
    columns /= 2;
  return columns;
}

static void
add_op (NpuDecoder *decoder, DecoderOp op)
{
  op.decoder = decoder;
  decoder->ops[decoder->n_ops++] = op;
}

static void
add_norm (NpuDecoder *decoder, const DecoderNorm *norm)
{
  add_op (decoder,
      (DecoderOp){.n_units = units_of_rows, .run = run_norm, .norm = norm});
}

static void
add_linear (NpuDecoder *decoder, const DecoderLinear *linear, guint layer,
    float **in, float **out, OpTarget target, gboolean gelu)
{
  add_op (decoder,
      (DecoderOp){.n_units = units_of_linear,
          .run = run_linear,
          .linear = linear,
          .layer = layer,
          .in = in,
          .out = out,
          .target = target,
          .gelu = gelu,
          .columns = columns_of_unit (linear, target, decoder->weights->d)});
}

static void
add_quantise (NpuDecoder *decoder, const DecoderLinear *linear, float **in)
{
  if (is_of_ints (decoder))
    add_op (decoder, (DecoderOp){.n_units = units_of_rows,
                         .run = run_quantise,
                         .linear = linear,
                         .in = in});
}

/* After what makes the layer's queries. */
static void
add_scores (NpuDecoder *decoder, guint layer)
{
  const GArray *heads = decoder->alignment_heads;
  DecoderOp op = {
      .n_units = units_of_scores, .run = run_scores, .layer = layer};

  for (guint i = 0; i < heads->len; i++)
    if (g_array_index (heads, NpuAlignmentHead, i).layer == layer &&
        op.n_heads++ == 0)
      op.first_head = i;
  if (op.n_heads > 0)
    add_op (decoder, op);
}

static void
add_layer (NpuDecoder *decoder, guint i)
{
  const DecoderLayer *layer = &decoder->weights->layers[i];
  DecoderStep *step = &decoder->step;

  add_norm (decoder, &layer->self_ln);
  add_linear (decoder, &layer->qkv, i, &step->norm, NULL, TO_CACHE, FALSE);
  add_op (decoder,
      (DecoderOp){.n_units = units_of_self, .run = run_self, .layer = i});
  add_quantise (decoder, &layer->self_out, &step->attended);
  add_linear (
      decoder, &layer->self_out, i, &step->attended, &step->x, TO_ADDED, FALSE);

  add_norm (decoder, &layer->cross_ln);
  add_linear (
      decoder, &layer->cross_query, i, &step->norm, &step->q, TO_ROWS, FALSE);
  if (is_of_ints (decoder))
    add_op (decoder,
        (DecoderOp){.n_units = units_of_rows, .run = run_quantise_queries});
  add_op (decoder,
      (DecoderOp){.n_units = units_of_cross, .run = run_cross, .layer = i});
  add_scores (decoder, i);
  add_op (decoder, (DecoderOp){.n_units = units_of_rows, .run = run_join});
  add_linear (decoder, &layer->cross_out, i, &step->attended, &step->x,
      TO_ADDED, FALSE);

  add_norm (decoder, &layer->mlp_ln);
  add_linear (
      decoder, &layer->fc1, i, &step->norm, &step->hidden, TO_ROWS, TRUE);
  add_quantise (decoder, &layer->fc2, &step->hidden);
  add_linear (
      decoder, &layer->fc2, i, &step->hidden, &step->x, TO_ADDED, FALSE);
}

#define OPS_PER_LAYER 16
#define OPS_AT_END 2

void
decoder_step_init (NpuDecoder *decoder)
{
  const DecoderWeights *weights = decoder->weights;
  const guint most = weights->n_layers * OPS_PER_LAYER + OPS_AT_END;

  decoder->ops = g_new0 (DecoderOp, most);
  decoder->commands = g_new0 (NpuCommand, most);
  for (guint i = 0; i < weights->n_layers; i++)
    add_layer (decoder, i);
  add_op (decoder, (DecoderOp){.n_units = units_of_wanted,
                       .run = run_final_norm,
                       .norm = &weights->ln});
  add_linear (decoder, &weights->vocabulary, 0, &decoder->step.final, NULL,
      TO_LOGITS, FALSE);
  g_assert (decoder->n_ops <= most);
}

gboolean
decoder_step_run (NpuDecoder *decoder, GError **error)
{
  guint n = 0;

  for (guint i = 0; i < decoder->n_ops; i++) {
    DecoderOp *op = &decoder->ops[i];
    const guint n_units = op->n_units (op);

    if (n_units > 0)
      decoder->commands[n++] = (NpuCommand){op->run, op, n_units};
  }
  return npu_device_run_list (decoder->host->device, decoder->commands, n,
      decoder->options.timeout, &decoder->cancelled, error);
}
