/* The end of an AVX-512 attention kernel's file, after QTile, KTile, VTile,
 * Scratch, ATTENTION (name), the names of its functions, its packing, and
 * run_groups (scratch, q, k, v, kv_rows, scale, groups), which sums the weights
 * and the weighted values of so many registers of queries; scale is that of
 * scores in powers of two.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/attention-avx512.h"

static void
NPU_KERNEL (ATTENTION (run)) (float *o, ptrdiff_t o_stride, const void *q,
    const void *k, const void *v, int q_rows, int kv_rows, float scale,
    void *scratch_)
{
  Scratch *scratch = scratch_;

  if (q_rows > ROWS / 2)
    run_groups (scratch, q, k, v, kv_rows, scale * NPU_LOG2E, GROUPS);
  else
    run_groups (scratch, q, k, v, kv_rows, scale * NPU_LOG2E, GROUPS / 2);
  npu_store_rows (
      o, o_stride, (const float (*)[ROWS]) scratch->o, scratch->sum, q_rows);
}

#define ATTENTION_KERNEL                                                       \
  ((NpuAttentionKernel){                                                       \
      .q_tile_size = sizeof (QTile),                                           \
      .k_tile_size = sizeof (KTile),                                           \
      .v_tile_size = sizeof (VTile),                                           \
      .scratch_size = sizeof (Scratch),                                        \
      .pack_q = NPU_KERNEL (ATTENTION (pack_q)),                               \
      .pack_k = NPU_KERNEL (ATTENTION (pack_k)),                               \
      .pack_v = NPU_KERNEL (ATTENTION (pack_v)),                               \
      .run = NPU_KERNEL (ATTENTION (run)),                                     \
  })
