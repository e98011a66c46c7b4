/* The linear map on the CPU: products and what comes before and after them, one
 * 64-row output tile at a time, or two.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "cpu-ops.h"

#define PAIR 2
#define MAX_PAIR_ROW_SIZE 6144 /* bytes */

/* A tile of 16-bit rows, then their scales. */
#define S16_TILE_SCALES(k) (NPU_TILE_ROWS * (gsize) (k) * sizeof (gint16))

/* A worker's scratch while it computes a linear tile. */
typedef struct {
  float *x;    /* [64][k] or less: A on its way to bytes, or from them */
  guint8 *a;   /* [64][k] dense, of the product's type; integers with scales */
  guint8 *acc; /* [64][block] */
  float *c;    /* [64][block], or [64][n] where rows are quantised */
  guint8 *onednn;
  gsize a_size; /* of a tile: those of a pair follow each other */
  gsize size;
} LinearScratch;

/* Whether bytes are multiplied as what they stand for, in float: where there
 * is no int8 product to rely on. */
static gboolean
multiplies_bytes_in_float (const CpuKernel *kernel)
{
  return kernel->op.linear.product == NPU_PRODUCT_S8 &&
         kernel->product == NPU_PRODUCT_F32;
}

static gsize
scratch_x_size (const CpuKernel *kernel)
{
  const NpuLinearOp *op = &kernel->op.linear;
  const gsize k = op->k;

  if (multiplies_bytes_in_float (kernel) ||
      (op->a_storage == NPU_STORAGE_BF16 && op->product == NPU_PRODUCT_S8))
    return NPU_TILE_ROWS * k * sizeof (float);
  /* One row between its rounding and the float product. */
  return op->product == NPU_PRODUCT_BF16 ? k * sizeof (guint16) : 0;
}

/* Not pointer arithmetic: without a base only the size is asked for. */
static gpointer
at (guint8 *base, gsize offset)
{
  return GSIZE_TO_POINTER (GPOINTER_TO_SIZE (base) + offset);
}

static LinearScratch
linear_scratch (const CpuKernel *kernel, guint8 *base)
{
  const NpuLinearOp *op = &kernel->op.linear;
  const gsize block = cpu_gemm_block_columns (kernel->gemm);
  const gsize a_size = op->product == NPU_PRODUCT_S8
                           ? NPU_Q8_TILE_SIZE (op->k)
                           : NPU_TILE_ROWS * (gsize) op->k * sizeof (float);
  const gsize block_size = NPU_TILE_ROWS * block * sizeof (float);
  const gsize acc_size = cpu_gemm_is_linear (kernel->gemm) ? 0 : block_size;
  const gsize c_size =
      op->c_storage == NPU_STORAGE_Q8 && op->c_layout == NPU_LAYOUT_ROWS
          ? NPU_TILE_ROWS * (gsize) op->n * sizeof (float)
          : block_size;
  LinearScratch scratch;
  gsize offset = 0;

  scratch.a_size = CPU_ALIGNED (a_size);
  scratch.a = at (base, offset);
  offset += (kernel->run_pair ? PAIR : 1) * scratch.a_size;
  scratch.acc = at (base, offset);
  offset += CPU_ALIGNED (acc_size);
  scratch.c = at (base, offset);
  offset += CPU_ALIGNED (c_size);
  scratch.x = at (base, offset);
  offset += CPU_ALIGNED (scratch_x_size (kernel));
  scratch.onednn = at (base, offset);
  offset += CPU_ALIGNED (cpu_gemm_scratch_size (kernel->gemm));
  scratch.size = offset;
  return scratch;
}

/* --- the product's left side ------------------------------------------- */

typedef struct {
  const void *rows;
  gsize stride;       /* in elements */
  const float *scale; /* of each row of integers */
} LinearLeft;

static void
gather (void *to, const void *from, gsize row_size, gsize stride, guint rows)
{
  for (guint i = 0; i < rows; i++)
    memcpy ((guint8 *) to + i * row_size, (const guint8 *) from + i * stride,
        row_size);
}

/* Rows of bfloat16 in the product's type. */
static LinearLeft
linear_a_bf16 (const CpuKernel *kernel, const guint16 *x, guint rows,
    const LinearScratch *scratch)
{
  const NpuLinearOp *op = &kernel->op.linear;
  const gboolean quantise = op->product == NPU_PRODUCT_S8;
  float *expanded = quantise ? scratch->x : (float *) scratch->a;
  LinearLeft left = {scratch->a, op->k, NULL};

  if (kernel->product == NPU_PRODUCT_BF16) {
    if (op->a_stride == op->k || cpu_gemm_takes_any_stride (kernel->gemm)) {
      left.rows = x;
      left.stride = op->a_stride;
    } else {
      gather (scratch->a, x, op->k * sizeof (guint16),
          op->a_stride * sizeof (guint16), rows);
    }
    return left;
  }
  for (guint i = 0; i < rows; i++)
    cpu_expand_bf16 (
        expanded + (gsize) i * op->k, x + (gsize) i * op->a_stride, op->k);
  if (quantise) {
    float *scale = (float *) (scratch->a + NPU_Q8_TILE_SCALES (op->k));

    kernel->kernels->quantize_q8 (
        scratch->a, scale, expanded, op->k, kernel->signs, rows, op->k);
    left.scale = scale;
  }
  return left;
}

/* Rows of floats, rounded to bfloat16, in the product's type. */
static void
round_rows (const CpuKernel *kernel, const float *x, guint rows,
    const LinearScratch *scratch)
{
  const NpuLinearOp *op = &kernel->op.linear;

  for (guint i = 0; i < rows; i++, x += op->a_stride) {
    const gsize first = (gsize) i * op->k;

    if (kernel->product == NPU_PRODUCT_BF16) {
      kernel->kernels->convert_bf16 ((guint16 *) scratch->a + first, x, op->k);
    } else {
      kernel->kernels->convert_bf16 ((guint16 *) scratch->x, x, op->k);
      cpu_expand_bf16 (
          (float *) scratch->a + first, (const guint16 *) scratch->x, op->k);
    }
  }
}

/* Rows of floats in the product's type. */
static LinearLeft
linear_a_f32 (const CpuKernel *kernel, const float *x, guint rows,
    const LinearScratch *scratch)
{
  const NpuLinearOp *op = &kernel->op.linear;
  LinearLeft left = {scratch->a, op->k, NULL};

  if (op->product == NPU_PRODUCT_S8) {
    float *scale = (float *) (scratch->a + NPU_Q8_TILE_SCALES (op->k));

    kernel->kernels->quantize_q8 (
        scratch->a, scale, x, op->a_stride, kernel->signs, rows, op->k);
    left.scale = scale;
  } else if (kernel->product == NPU_PRODUCT_S16) {
    float *scale = (float *) (scratch->a + S16_TILE_SCALES (op->k));

    kernel->kernels->quantize_s16 (
        (gint16 *) scratch->a, scale, x, op->a_stride, rows, op->k);
    left.scale = scale;
  } else if (op->product == NPU_PRODUCT_BF16) {
    round_rows (kernel, x, rows, scratch);
  } else if (op->a_stride == op->k ||
             cpu_gemm_takes_any_stride (kernel->gemm)) {
    left.rows = x;
    left.stride = op->a_stride;
  } else {
    gather (scratch->a, x, op->k * sizeof (float),
        op->a_stride * sizeof (float), rows);
  }
  return left;
}

/* The tile's rows of A: as they are, converted, or gathered where rows overlap
 * (oneDNN takes no row stride below k). */
static LinearLeft
linear_a_typed (const CpuKernel *kernel, const NpuLaunch *launch, guint tile,
    guint rows, const LinearScratch *scratch)
{
  const NpuLinearOp *op = &kernel->op.linear;
  const guint8 *a = cpu_arg (launch, NPU_ARG_A);
  const gsize first = (gsize) tile * NPU_TILE_ROWS * op->a_stride;

  switch (op->a_storage) {
    case NPU_STORAGE_Q8:
      a += tile * NPU_Q8_TILE_SIZE (op->k);
      return (LinearLeft){
          a, op->k, (const float *) (a + NPU_Q8_TILE_SCALES (op->k))};
    case NPU_STORAGE_BF16:
      return linear_a_bf16 (kernel, (const guint16 *) a + first, rows, scratch);
    default:
      return linear_a_f32 (kernel, (const float *) a + first, rows, scratch);
  }
}

/* The same, bytes as what they stand for where those are multiplied. */
static LinearLeft
linear_a (const CpuKernel *kernel, const NpuLaunch *launch, guint tile,
    guint rows, const LinearScratch *scratch)
{
  LinearLeft left = linear_a_typed (kernel, launch, tile, rows, scratch);
  const guint8 *bytes = left.rows;

  if (multiplies_bytes_in_float (kernel)) {
    for (gsize i = 0; i < (gsize) rows * kernel->op.linear.k; i++)
      scratch->x[i] = (float) (bytes[i] - NPU_Q8_ZERO);
    left.rows = scratch->x;
  }
  return left;
}

/* --- what becomes of it ------------------------------------------------ */

/* Columns [first, first + n) of q‖k‖v, n a multiple of 64, to the tiles of
 * their heads. */
static void
store_qkv (const CpuKernel *kernel, const NpuLaunch *launch, guint tile,
    guint rows, const float *c, guint first, guint n)
{
  const guint heads = kernel->op.linear.heads;
  const guint n_row_tiles = CPU_N_TILES (kernel->op.rows);

  for (guint i = 0; i < n / NPU_HEAD_DIM; i++) {
    const guint column_tile = first / NPU_HEAD_DIM + i;
    const guint operand = column_tile / heads; /* 0, 1, 2: q, k, v */
    guint8 *data = cpu_arg (launch, NPU_ARG_QKV_Q + operand);
    const guint to = (column_tile % heads) * n_row_tiles + tile;
    const float *x = c + i * NPU_HEAD_DIM;

    if (kernel->tiles_for)
      npu_kernel_pack_tile (
          kernel->tiles_for, NPU_ARG_Q + operand, data, to, x, n, rows);
    else
      cpu_pack_tile (
          kernel->attention, NPU_ARG_Q + operand, data, to, x, n, rows);
  }
}

/* Columns [first, first + n) of rows in float to C in bfloat16. */
static void
store_bf16 (const CpuKernel *kernel, const NpuLaunch *launch, gsize first_row,
    guint rows, const float *c, guint first, guint n)
{
  guint16 *to =
      (guint16 *) cpu_arg (launch, NPU_ARG_C) + first_row * kernel->op.linear.n;

  for (guint i = 0; i < rows; i++)
    kernel->kernels->convert_bf16 (
        to + (gsize) i * kernel->op.linear.n + first, c + (gsize) i * n, n);
}

/* Float sums of integers, in place: beyond 2^24 they have been rounded. */
static void
sums_to_integers (void *acc, gsize n)
{
  const float *from = acc;
  gint32 *to = acc;

  for (gsize i = 0; i < n; i++) {
    const float sum = from[i];

    to[i] = (gint32) sum;
  }
}

/* A tile of the output on its way. */
typedef struct {
  guint number, rows;
  LinearLeft a;
} LinearTile;

/* Whether whole rows go through scratch memory to be quantised. */
static gboolean
quantises_rows (const CpuKernel *kernel)
{
  return kernel->op.linear.c_layout == NPU_LAYOUT_ROWS &&
         kernel->op.linear.c_storage == NPU_STORAGE_Q8;
}

/* Columns [first, first + block) of a tile's product, and what follows it, to
 * c. */
static void
compute (const CpuKernel *kernel, const LinearTile *tile, guint first,
    guint block, const NpuEpilogue *epilogue, float *c, gsize c_stride,
    const LinearScratch *scratch, CpuGemmThread *thread)
{
  if (cpu_gemm_is_linear (kernel->gemm)) {
    const NpuLinearS8 linear = {tile->a.scale, kernel->weight_scale + first,
        kernel->zero_sum + first, *epilogue};

    cpu_gemm_run_linear (kernel->gemm, first, block, tile->a.rows, tile->rows,
        c, c_stride, &linear);
    return;
  }
  cpu_gemm_run (kernel->gemm, thread, first, block, tile->a.rows,
      tile->a.stride, tile->rows, scratch->acc, scratch->onednn);
  if (multiplies_bytes_in_float (kernel))
    sums_to_integers (scratch->acc, (gsize) tile->rows * block);
  if (kernel->weight_scale)
    kernel->kernels->epilogue_s32 (c, c_stride, (const gint32 *) scratch->acc,
        block, tile->a.scale, kernel->weight_scale + first,
        kernel->zero_sum + first, epilogue, tile->rows, block);
  else
    kernel->kernels->epilogue_f32 (c, c_stride, (const float *) scratch->acc,
        block, epilogue, tile->rows, block);
}

/* Columns [first, first + block) of a tile: a block of the product's, or a part
 * of one. */
static void
run_columns (const CpuKernel *kernel, const NpuLaunch *launch,
    const LinearTile *tile, guint first, guint block,
    const LinearScratch *scratch, CpuGemmThread *thread)
{
  const NpuLinearOp *op = &kernel->op.linear;
  const guint rows = tile->rows;
  const gsize first_row = (gsize) tile->number * NPU_TILE_ROWS;
  const gboolean in_rows = op->c_layout == NPU_LAYOUT_ROWS;
  NpuEpilogue epilogue = {
      .bias = kernel->bias ? kernel->bias + first : NULL,
      .gelu = !op->gelu                 ? NPU_GELU_NONE
              : quantises_rows (kernel) ? NPU_GELU_SHORT
                                        : NPU_GELU_EXACT,
  };
  float *c = scratch->c;
  gsize c_stride = block;

  if (quantises_rows (kernel)) {
    c_stride = op->n;
    c += first;
  } else if (in_rows && op->c_storage == NPU_STORAGE_F32) {
    c_stride = op->n;
    c = (float *) cpu_arg (launch, NPU_ARG_C) + first_row * op->n + first;
  }
  if (op->residual) {
    epilogue.residual =
        (const float *) cpu_arg (launch, NPU_ARG_R) + first_row * op->n + first;
    epilogue.residual_stride = op->n;
  }

  compute (kernel, tile, first, block, &epilogue, c, c_stride, scratch, thread);
  if (!in_rows)
    store_qkv (kernel, launch, tile->number, rows, c, first, block);
  else if (op->c_storage == NPU_STORAGE_BF16)
    store_bf16 (kernel, launch, first_row, rows, c, first, block);
}

/* Up to PAIR tiles, block by block: the weights of a block are in the core's
 * cache for all but the first. */
static void
run_linear_tiles (const CpuKernel *kernel, const NpuLaunch *launch, guint first,
    const guint n, CpuWorker *worker)
{
  const guint block = cpu_gemm_block_columns (kernel->gemm);
  LinearScratch scratch = linear_scratch (kernel, worker->scratch);
  LinearTile tiles[PAIR];

  for (guint t = 0; t < n; t++, scratch.a += scratch.a_size) {
    tiles[t].number = first + t;
    tiles[t].rows = cpu_rows_of_tile (launch, first + t);
    tiles[t].a = linear_a (kernel, launch, first + t, tiles[t].rows, &scratch);
  }
  for (guint i = 0; i < kernel->op.linear.n; i += block)
    for (guint t = 0; t < n; t++)
      run_columns (kernel, launch, &tiles[t], i, block, &scratch, worker->gemm);
}

static void
run_linear_pair (const CpuKernel *kernel, const NpuLaunch *launch, guint tile,
    CpuWorker *worker)
{
  run_linear_tiles (kernel, launch, tile, PAIR, worker);
}

/* Rows of floats to C in bytes. */
static void
store_q8 (const CpuKernel *kernel, const NpuLaunch *launch, guint tile,
    const float *rows)
{
  const gsize n = kernel->op.linear.n;
  guint8 *y = cpu_arg (launch, NPU_ARG_C) + tile * NPU_Q8_TILE_SIZE (n);

  kernel->kernels->quantize_q8 (y, (float *) (y + NPU_Q8_TILE_SCALES (n)), rows,
      n, kernel->c_signs, cpu_rows_of_tile (launch, tile), (int) n);
}

static void
run_linear (const CpuKernel *kernel, const NpuLaunch *launch, guint tile,
    CpuWorker *worker)
{
  const LinearScratch scratch = linear_scratch (kernel, worker->scratch);

  run_linear_tiles (kernel, launch, tile, 1, worker);
  if (quantises_rows (kernel))
    store_q8 (kernel, launch, tile, scratch.c);
}

/* Some blocks of a tile, whose rows become the product's type anew for each
 * part: that is a few hundredths of it. */
static void
run_linear_part (const CpuKernel *kernel, const NpuLaunch *launch,
    const CpuPart *part, CpuWorker *worker)
{
  const guint columns = cpu_gemm_part_columns (kernel->gemm);
  LinearScratch scratch = linear_scratch (kernel, worker->scratch);
  LinearTile tile = {
      .number = part->tile, .rows = cpu_rows_of_tile (launch, part->tile)};

  if (quantises_rows (kernel))
    scratch.c = part->rows;
  tile.a = linear_a (kernel, launch, part->tile, tile.rows, &scratch);
  for (guint i = 0; i < part->n_blocks; i++)
    run_columns (kernel, launch, &tile, (part->first_block + i) * columns,
        columns, &scratch, worker->gemm);
}

/* Two tiles are as fast as one and one while the weights are quickly there,
 * and up to a tenth faster while they are not, as long as both tiles' rows stay
 * in a core's second cache with a block of weights. oneDNN's blocks are
 * larger. */
static gboolean
takes_pairs (const CpuKernel *kernel)
{
  const gsize element = kernel->product == NPU_PRODUCT_S8    ? sizeof (guint8)
                        : kernel->product == NPU_PRODUCT_F32 ? sizeof (float)
                                                             : sizeof (gint16);

  return (cpu_gemm_takes_any_stride (kernel->gemm) ||
             cpu_gemm_is_linear (kernel->gemm)) &&
         !quantises_rows (kernel) && !multiplies_bytes_in_float (kernel) &&
         kernel->op.linear.k * element <= MAX_PAIR_ROW_SIZE;
}

/* --- opening ----------------------------------------------------------- */

gboolean
cpu_linear_is_supported (const NpuLinearOp *op)
{
  if (op->k == 0 || op->n == 0)
    return FALSE;
  if (op->a_storage == NPU_STORAGE_Q8 &&
      (op->product != NPU_PRODUCT_S8 ||
          (op->a_stride && op->a_stride != op->k)))
    return FALSE;
  if (op->product == NPU_PRODUCT_S8 && !cpu_is_q8_columns (op->k))
    return FALSE;
  if (op->c_layout == NPU_LAYOUT_QKV_TILES)
    return op->n == 3 * op->heads * NPU_HEAD_DIM && !op->residual;
  if (op->c_storage == NPU_STORAGE_F32)
    return TRUE;
  return !op->residual &&
         (op->c_storage == NPU_STORAGE_BF16 || cpu_is_q8_columns (op->n));
}

/* The sizes of the tiles are those of the attention that reads them. */
static void
set_qkv_sizes (CpuKernel *kernel)
{
  NpuKernel *base = &kernel->base;
  const NpuAttentionKernel *attention = kernel->attention;
  const gsize tiles =
      kernel->op.linear.heads * (gsize) CPU_N_TILES (kernel->op.rows);

  if (kernel->tiles_for) {
    memcpy (&base->arg_size[NPU_ARG_QKV_Q],
        &kernel->tiles_for->arg_size[NPU_ARG_Q], 3 * sizeof (gsize));
    return;
  }
  base->arg_size[NPU_ARG_QKV_Q] = tiles * attention->q_tile_size;
  base->arg_size[NPU_ARG_QKV_K] = tiles * attention->k_tile_size;
  base->arg_size[NPU_ARG_QKV_V] = tiles * attention->v_tile_size;
}

gboolean
cpu_linear_open (CpuKernel *kernel, const NpuOp *described, GError **error)
{
  const NpuLinearOp *op = &described->linear;
  const guint n_rows = described->rows;
  NpuKernel *base = &kernel->base;
  const gsize a_element =
      op->a_storage == NPU_STORAGE_BF16 ? sizeof (guint16) : sizeof (float);
  const gsize padded_rows = CPU_N_TILES (n_rows) * (gsize) NPU_TILE_ROWS;

  kernel->run_tile = run_linear;
  if (!cpu_linear_pack (kernel, described->weight, error))
    return FALSE;
  kernel->bias = cpu_copy_floats (described->bias, op->n);
  if (op->c_storage == NPU_STORAGE_Q8 && op->c_layout == NPU_LAYOUT_ROWS)
    kernel->c_signs = cpu_rotation_signs (op->n);
  if (op->tiles_for && op->tiles_for->device != base->device)
    kernel->tiles_for = op->tiles_for;
  kernel->run_pair = takes_pairs (kernel) ? run_linear_pair : NULL;
  kernel->run_part = run_linear_part;
  kernel->n_blocks = op->n / cpu_gemm_part_columns (kernel->gemm);
  if (quantises_rows (kernel)) {
    kernel->rows_size = NPU_TILE_ROWS * (gsize) op->n * sizeof (float);
    kernel->store_rows = store_q8;
  }
  kernel->scratch_size = linear_scratch (kernel, NULL).size;

  base->arg_size[NPU_ARG_A] =
      op->a_storage == NPU_STORAGE_Q8
          ? cpu_rows_size (NPU_STORAGE_Q8, n_rows, op->k)
          : ((padded_rows - 1) * kernel->op.linear.a_stride + op->k) *
                a_element;
  if (op->c_layout == NPU_LAYOUT_QKV_TILES) {
    set_qkv_sizes (kernel);
    return TRUE;
  }
  base->arg_size[NPU_ARG_C] = cpu_rows_size (op->c_storage, n_rows, op->n);
  if (op->residual)
    base->arg_size[NPU_ARG_R] = cpu_rows_size (NPU_STORAGE_F32, n_rows, op->n);
  return TRUE;
}
