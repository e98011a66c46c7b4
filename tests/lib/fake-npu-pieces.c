/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/npu-device-impl.h"
#include "fake-npu-pieces.h"

#include "npu-kernels.h"

#define N_TILES(rows) (((rows) + NPU_TILE_ROWS - 1) / NPU_TILE_ROWS)

guint
fake_npu_reads (const NpuOp *op)
{
  switch (op->kind) {
    case NPU_OP_LINEAR:
      return NPU_ARG_BIT (NPU_ARG_A) |
             (op->c_layout == NPU_LAYOUT_ROWS ? NPU_ARG_BIT (NPU_ARG_R) : 0);
    case NPU_OP_ATTENTION:
      return NPU_ARG_BIT (NPU_ARG_Q) | NPU_ARG_BIT (NPU_ARG_K) |
             NPU_ARG_BIT (NPU_ARG_V);
    default:
      return NPU_ARG_BIT (NPU_ARG_X);
  }
}

/* Rows of @n elements, @stride apart. */
static void
rows_of (const NpuLaunch *launch, NpuType type, guint n, guint stride,
    FakeNpuPieces *pieces)
{
  const guint first = launch->first_tile * NPU_TILE_ROWS;
  const guint end = MIN (first + launch->n_tiles * NPU_TILE_ROWS, launch->rows);
  const gsize element = type == NPU_TYPE_BF16 ? 2 : 4;

  if (type == NPU_TYPE_Q8) {
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
  const guint n_row_tiles = N_TILES (launch->rows);
  const guint head = launch->first_tile / n_row_tiles;
  const guint first = launch->first_tile % n_row_tiles;
  const guint heads = MAX (launch->n_tiles / n_row_tiles, 1);
  const guint per_head = MIN (launch->n_tiles, n_row_tiles);
  const gsize head_tiles = N_TILES (op->rows);
  const gsize head_size = kernel->arg_size[arg] / op->heads;
  const gsize tile_size = head_size / head_tiles;

  if (arg == NPU_ARG_O) {
    rows_of (launch, op->c_type, op->heads * NPU_HEAD_DIM,
        op->heads * NPU_HEAD_DIM, pieces);
    pieces->offset = first * (gsize) NPU_TILE_ROWS * pieces->step +
                     head * (pieces->step / op->heads);
    pieces->size = heads * (pieces->step / op->heads);
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
  *pieces = (FakeNpuPieces){0};
  if (op->kind == NPU_OP_ATTENTION)
    attention_of (op, kernel, launch, arg, pieces);
  else if (op->kind != NPU_OP_LINEAR)
    rows_of (launch, arg == NPU_ARG_X ? op->a_type : op->c_type, op->n, op->n,
        pieces);
  else if (arg == NPU_ARG_A)
    rows_of (
        launch, op->a_type, op->k, op->a_stride ? op->a_stride : op->k, pieces);
  else
    rows_of (launch, arg == NPU_ARG_R ? NPU_TYPE_F32 : op->c_type, op->n, op->n,
        pieces);
}
