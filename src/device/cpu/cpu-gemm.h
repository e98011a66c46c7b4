/* Matrix products of one 64-row tile with constant weights, by oneDNN or, where
 * they are faster, by kernels of our own.
 *
 * oneDNN runs without threads of its own: the device's workers are the threads.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "npu-kernels.h"

G_BEGIN_DECLS

typedef struct _CpuGemm CpuGemm;
typedef struct _CpuGemmThread CpuGemmThread;

/* How many threads products of the calling thread run in, beside what else uses
 * OpenMP; returns how many it was. Threads that run products want 1. */
int cpu_gemm_set_threads (int n);

/* What a thread needs to run products, one thread at a time. */
CpuGemmThread *cpu_gemm_thread_new (void);
void cpu_gemm_thread_free (CpuGemmThread *thread);

/**
 * cpu_gemm_new_f32:
 * @own: computes, where it has functions and takes the shape; kept
 * @weight: [n][k], packed; not kept
 *
 * For C[64][n] = A[64][k] * weight^T in float.
 */
CpuGemm *cpu_gemm_new_f32 (const NpuGemmKernel *own, const float *weight,
    guint n, guint k, GError **error);
/* The same from u8 A and s8 weights: where @own computes to float C, by
 * cpu_gemm_run_linear(), else to int32 C. @own may be NULL. */
CpuGemm *cpu_gemm_new_s8 (const NpuLinearKernel *own, const gint8 *weight,
    guint n, guint k, GError **error);
/* The same from int16 A and weights to int32 C; NULL where @own does not take
 * the shape: oneDNN has no such product. */
CpuGemm *cpu_gemm_new_s16 (
    const NpuGemmKernel *own, const gint16 *weight, guint n, guint k);
/* The same from bfloat16 A and weights to float C; UNSUPPORTED where @own does
 * not take the shape and oneDNN has no fast product of that type for this
 * CPU. */
CpuGemm *cpu_gemm_new_bf16 (const NpuGemmKernel *own, const guint16 *weight,
    guint n, guint k, GError **error);
void cpu_gemm_free (CpuGemm *gemm);

/* Whether @own takes weight[n][k]. */
gboolean cpu_gemm_takes (const NpuGemmKernel *own, guint n, guint k);

/* Whether int8 products are exact for all levels of int8. Without VNNI oneDNN
 * adds pairs of products in 16 bits, which saturate. */
gboolean cpu_gemm_s8_is_exact (void);

/* Whether oneDNN has fast products of bfloat16, which only a CPU with
 * AVX512-BF16 is to be asked. */
gboolean cpu_gemm_has_bf16 (void);

/* Whether oneDNN multiplies in AMX's tiles. */
gboolean cpu_gemm_has_amx (void);

/* C is computed in blocks of columns that stay in a core's cache. */
guint cpu_gemm_block_columns (const CpuGemm *gemm);
/* How many columns can be computed at once at least: of those that divide the
 * block. */
guint cpu_gemm_part_columns (const CpuGemm *gemm);
/* Whether rows of A may be any number of elements apart, not just k. */
gboolean cpu_gemm_takes_any_stride (const CpuGemm *gemm);
gsize cpu_gemm_scratch_size (const CpuGemm *gemm);
gsize cpu_gemm_packed_size (const CpuGemm *gemm); /* bytes of weights */

/* Columns [first, first + columns) of C, a block or a part of one, for the tile
 * @a[64][k], whose rows are @a_stride apart, into the dense @c[64][columns], of
 * which @rows rows count. All pointers 64-byte aligned, but @a where any stride
 * is taken. */
void cpu_gemm_run (const CpuGemm *gemm, CpuGemmThread *thread, guint first,
    guint columns, const void *a, gsize a_stride, guint rows, void *c,
    void *scratch);

/* Whether C is of cpu_gemm_run_linear(). */
gboolean cpu_gemm_is_linear (const CpuGemm *gemm);
/* The same for dense bytes @a[64][k] to @y, whose rows are @y_stride apart; the
 * columns of @linear begin with @first. */
void cpu_gemm_run_linear (const CpuGemm *gemm, guint first, guint columns,
    const guint8 *a, guint rows, float *y, gsize y_stride,
    const NpuLinearS8 *linear);

G_END_DECLS
