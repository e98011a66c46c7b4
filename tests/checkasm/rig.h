/* Runs an attention kernel on whole arrays, and the same in float64.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "checkasm.h"

G_BEGIN_DECLS

typedef struct {
  int q_rows; /* 64 at most */
  int kv_rows;
  int packed;           /* rows of k and v that are packed, >= kv_rows */
  int stride, o_stride; /* in floats */
  float *q, *k, *v;     /* [rows][stride] */
  float scale;
} Attention;

/* Random q and k of this deviation, v of 1, with random strides. */
void attention_init (Attention *a, int q_rows, int kv_rows, double deviation);
void attention_clear (Attention *a);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Attention, attention_clear)

/* out[q_rows][64] by the kernel; every buffer it sees lies between guard
 * pages and begins poisoned. */
void rig_attention (const NpuAttentionKernel *kernel, const Attention *a,
    GuardSide side, float *out);

/* The same in float64. */
void ref_attention (const Attention *a, float *out);

G_END_DECLS
