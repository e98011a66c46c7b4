/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/npu-device-impl.h"
#include "device/op-args.h"
#include "fake-npu-pieces.h"

#include "npu-kernels.h"

#define N_TILES(rows) (((rows) + NPU_TILE_ROWS - 1) / NPU_TILE_ROWS)

/* Rows of @n elements, @stride apart. */
static void
rows_of (const NpuLaunch *launch, NpuStorage storage, guint n, guint stride,
    FakeNpuPieces *pieces)
{
  const guint first = launch->first_tile * NPU_TILE_ROWS;
  const guint end = MIN (first + launch->n_tiles * NPU_TILE_ROWS, launch->rows);
  const gsize element = storage == NPU_STORAGE_BF16 ? 2 : 4;

  if (storage == NPU_STORAGE_Q8) {
    pieces->offset = launch->first_tile * NPU_Q8_TILE_SIZE (n);
    pieces->size = launch->n_tiles * NPU_Q8_TILE_SIZE (n);
    pieces->n = 1;
    return;
  }
  pieces->offset = (gsize) first * stride * element;
  pieces->size = n * element;
  pieces->step = stride * element;
  pieces->n = end - first;
}

/* Tile @tile of a launch of attention; @pieces is of one tile of one head
 * only where the launch has no more: the test's launches are whole heads or
 * within one head. */
static void
attention_of (const NpuOp *op, const NpuKernel *kernel, const NpuLaunch *launch,
    guint arg, FakeNpuPieces *pieces)
{
  const guint n_heads = op->attention.heads, n = n_heads * NPU_HEAD_DIM;
  const guint n_row_tiles = N_TILES (launch->rows);
  const guint head = launch->first_tile / n_row_tiles;
  const guint first = launch->first_tile % n_row_tiles;
  const guint heads = MAX (launch->n_tiles / n_row_tiles, 1);
  const guint per_head = MIN (launch->n_tiles, n_row_tiles);
  const gsize head_tiles = N_TILES (op->rows);
  const gsize head_size = kernel->arg_size[arg] / n_heads;
  const gsize tile_size = head_size / head_tiles;

  if (arg == NPU_ARG_O) {
    rows_of (launch, op->attention.o_storage, n, n, pieces);
    pieces->offset = first * (gsize) NPU_TILE_ROWS * pieces->step +
                     head * (pieces->step / n_heads);
    pieces->size = heads * (pieces->step / n_heads);
    pieces->n =
        MIN (per_head * NPU_TILE_ROWS, launch->rows - first * NPU_TILE_ROWS);
    return;
  }
  pieces->step = head_size;
  pieces->n = heads;
  pieces->offset = head * head_size;
  pieces->size = n_row_tiles * tile_size;
  if (arg == NPU_ARG_Q) {
    pieces->offset += first * tile_size;
    pieces->size = per_head * tile_size;
  } else if (first != 0) {
    pieces->n = 0;
  }
}

void
fake_npu_pieces_of (const NpuOp *op, const NpuKernel *kernel,
    const NpuLaunch *launch, guint arg, FakeNpuPieces *pieces)
{
  const NpuStorage storage = npu_op_get_storage (op, arg);
  const guint n = npu_op_get_columns (op);

  *pieces = (FakeNpuPieces){0};
  if (op->kind == NPU_OP_ATTENTION)
    attention_of (op, kernel, launch, arg, pieces);
  else if (op->kind == NPU_OP_LINEAR && arg == NPU_ARG_A)
    rows_of (launch, storage, op->linear.k,
        op->linear.a_stride ? op->linear.a_stride : op->linear.k, pieces);
  else
    rows_of (launch, storage, n, n, pieces);
}
