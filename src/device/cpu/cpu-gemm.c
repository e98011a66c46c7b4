/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu-gemm.h"

#include <string.h>

#include "cpu-onednn.h"
#include "cpu-weights.h"
#include "npu-error.h"
#include "npu-kernels.h"

/* Wide enough to hide a block's start, narrow enough for L2. */
#define MAX_BLOCK_COLUMNS 512

/* So narrow that our own kernel's block is still in the cache when it is
 * scaled. */
#define OWN_BLOCK_COLUMNS 128

struct _CpuGemm {
  const NpuGemmKernel *own; /* these two NULL: oneDNN computes */
  const NpuLinearKernel *linear;
  guint k;
  guint block_columns;
  gsize block_size; /* bytes of one block of packed weights */
  gsize scratch_size;
  CpuWeights packed;
  OnednnProduct whole; /* a tile */
  OnednnProduct half;  /* half of its rows, for the last tile; or empty */
  guint part_columns; /* block_columns, or of the same weights fewer at once: */
  OnednnProduct part, half_part;
};

/* --- packing ----------------------------------------------------------- */

/* The largest divisor of n that is a multiple of a tile's columns and at most
 * MAX_BLOCK_COLUMNS; n itself where there is none. */
static guint
block_columns_for (guint n)
{
  for (guint columns = MAX_BLOCK_COLUMNS; columns >= 2 * NPU_HEAD_DIM;
       columns -= NPU_HEAD_DIM)
    if (n % columns == 0)
      return columns;
  return n % NPU_HEAD_DIM == 0 && n > MAX_BLOCK_COLUMNS ? NPU_HEAD_DIM : n;
}

/* Where another of oneDNN's kernels would compute half a tile, all tiles are
 * computed whole: a row's result does not depend on where it is. */
static void
open_half (OnednnProduct *half, const OnednnProduct *whole, guint columns,
    guint k, const OnednnTypes *types)
{
  if (onednn_product_open (half, NPU_TILE_ROWS / 2, columns, k, types, whole) !=
          dnnl_success ||
      strcmp (onednn_product_name (half), onednn_product_name (whole)) != 0)
    onednn_product_clear (half);
}

/* Whether a block packed for @part, some columns after the other, is the block
 * packed as a whole: seen of bytes. */
static gboolean
is_packed_alike (const CpuGemm *gemm, const OnednnProduct *part, guint columns,
    const OnednnTypes *types)
{
  const guint k = gemm->k, n = gemm->block_columns / columns;
  const gsize size = onednn_product_weights_size (&gemm->whole);
  const gsize part_size = onednn_product_weights_size (part);
  g_autofree guint8 *plain = NULL, *whole = NULL, *parts = NULL;
  gboolean alike = size == n * part_size && part_size % 64 == 0;

  if (!alike)
    return FALSE;
  plain = g_malloc ((gsize) gemm->block_columns * k);
  whole = g_malloc0 (size);
  parts = g_malloc0 (size);
  for (gsize i = 0; i < (gsize) gemm->block_columns * k; i++)
    plain[i] = (guint8) (i * 2654435761u >> 13);
  alike = onednn_product_pack (&gemm->whole, gemm->block_columns, k, types,
              plain, whole) == dnnl_success;
  for (guint i = 0; alike && i < n; i++)
    alike = onednn_product_pack (part, columns, k, types,
                plain + (gsize) i * columns * k,
                parts + i * part_size) == dnnl_success;
  return alike && memcmp (whole, parts, size) == 0;
}

/* Fewer columns at once, for launches of few rows. Of integers only, whose sums
 * are the same in any order. */
static void
open_part (CpuGemm *gemm, const OnednnTypes *types)
{
  for (guint columns = 2 * NPU_HEAD_DIM; columns >= NPU_HEAD_DIM;
       columns /= 2) {
    if (gemm->block_columns % columns || gemm->block_columns == columns)
      continue;
    if (onednn_product_open (&gemm->part, NPU_TILE_ROWS, columns, gemm->k,
            types, NULL) == dnnl_success &&
        is_packed_alike (gemm, &gemm->part, columns, types)) {
      gemm->part_columns = columns;
      open_half (&gemm->half_part, &gemm->part, columns, gemm->k, types);
      return;
    }
    onednn_product_clear (&gemm->part);
  }
}

static dnnl_status_t
pack_weights (
    CpuGemm *gemm, const guint8 *weight, guint n, const OnednnTypes *types)
{
  const guint columns = gemm->block_columns, n_blocks = n / columns;
  const gsize from_size =
      (gsize) columns * gemm->k * dnnl_data_type_size (types->b);
  dnnl_status_t status = dnnl_success;

  gemm->block_size =
      (onednn_product_weights_size (&gemm->whole) + 63) & ~(gsize) 63;
  if (!cpu_weights_init (&gemm->packed, gemm->block_size * n_blocks))
    status = dnnl_out_of_memory;
  for (guint i = 0; status == dnnl_success && i < n_blocks; i++)
    status = onednn_product_pack (&gemm->whole, columns, gemm->k, types,
        weight + i * from_size, gemm->packed.data + i * gemm->block_size);
  return status;
}

static CpuGemm *
gemm_new (
    const void *weight, guint n, guint k, OnednnTypes types, GError **error)
{
  CpuGemm *gemm = g_new0 (CpuGemm, 1);
  int threads;
  dnnl_status_t status;

  gemm->k = k;
  gemm->block_columns = gemm->part_columns = block_columns_for (n);
  /* A primitive is laid out for the threads there are when it is made. */
  threads = cpu_gemm_set_threads (1);
  status = onednn_product_open (
      &gemm->whole, NPU_TILE_ROWS, gemm->block_columns, k, &types, NULL);
  if (status == dnnl_success)
    status = pack_weights (gemm, weight, n, &types);
  if (status == dnnl_success) {
    open_half (&gemm->half, &gemm->whole, gemm->block_columns, k, &types);
    if (types.c == dnnl_s32)
      open_part (gemm, &types);
    gemm->scratch_size = MAX (onednn_product_scratch_size (&gemm->whole),
        onednn_product_scratch_size (&gemm->half));
    gemm->scratch_size = MAX (gemm->scratch_size,
        MAX (onednn_product_scratch_size (&gemm->part),
            onednn_product_scratch_size (&gemm->half_part)));
  }
  cpu_gemm_set_threads (threads);

  if (status != dnnl_success) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED,
        "oneDNN %d.%d cannot prepare a product of %u columns from %u: status %d",
        DNNL_VERSION_MAJOR, DNNL_VERSION_MINOR, n, k, (int) status);
    cpu_gemm_free (gemm);
    return NULL;
  }
  return gemm;
}

gboolean
cpu_gemm_takes (const NpuGemmKernel *own, guint n, guint k)
{
  return own->run && n % (guint) own->columns == 0 && k % NPU_GEMM_DEPTH == 0;
}

/* With no weights yet; NULL without memory. */
static CpuGemm *
gemm_alloc_own (guint n, guint k, gsize element_size)
{
  CpuGemm *gemm = g_new0 (CpuGemm, 1);
  guint columns = OWN_BLOCK_COLUMNS;

  while (columns > NPU_LINEAR_COLUMNS && n % columns)
    columns /= 2;
  if (columns < NPU_HEAD_DIM)
    columns = n;
  gemm->k = k;
  gemm->block_columns = columns;
  gemm->part_columns = columns % NPU_HEAD_DIM ? columns : NPU_HEAD_DIM;
  gemm->block_size = (gsize) columns * k * element_size;
  if (!cpu_weights_init (&gemm->packed, (gsize) n * k * element_size)) {
    g_free (gemm);
    return NULL;
  }
  return gemm;
}

/* NULL where @own does not take the shape. */
static CpuGemm *
gemm_new_own (const NpuGemmKernel *own, const void *weight, guint n, guint k,
    gsize element_size)
{
  CpuGemm *gemm =
      cpu_gemm_takes (own, n, k) ? gemm_alloc_own (n, k, element_size) : NULL;

  if (!gemm)
    return NULL;
  gemm->own = own;
  own->pack (gemm->packed.data, weight, (int) n, (int) k);
  return gemm;
}

CpuGemm *
cpu_gemm_new_f32 (const NpuGemmKernel *own, const float *weight, guint n,
    guint k, GError **error)
{
  CpuGemm *gemm = gemm_new_own (own, weight, n, k, sizeof (float));

  if (gemm)
    return gemm;
  return gemm_new (
      weight, n, k, (OnednnTypes){dnnl_f32, dnnl_f32, dnnl_f32}, error);
}

CpuGemm *
cpu_gemm_new_s8 (const NpuLinearKernel *own, const gint8 *weight, guint n,
    guint k, GError **error)
{
  CpuGemm *gemm = NULL;

  if (own && own->run && n % NPU_LINEAR_COLUMNS == 0 &&
      k % NPU_LINEAR_DEPTH == 0)
    gemm = gemm_alloc_own (n, k, sizeof *weight);
  if (gemm) {
    gemm->linear = own;
    own->pack (gemm->packed.data, weight, (int) n, (int) k);
    return gemm;
  }
  return gemm_new (
      weight, n, k, (OnednnTypes){dnnl_u8, dnnl_s8, dnnl_s32}, error);
}

CpuGemm *
cpu_gemm_new_s16 (
    const NpuGemmKernel *own, const gint16 *weight, guint n, guint k)
{
  return gemm_new_own (own, weight, n, k, sizeof (gint16));
}

/* Whether oneDNN took its plain reference code, which is for checking only. */
static gboolean
is_reference (const CpuGemm *gemm)
{
  return g_str_has_prefix (onednn_product_name (&gemm->whole), "ref");
}

CpuGemm *
cpu_gemm_new_bf16 (const NpuGemmKernel *own, const guint16 *weight, guint n,
    guint k, GError **error)
{
  g_autoptr (GError) refused = NULL;
  CpuGemm *gemm = gemm_new_own (own, weight, n, k, sizeof (guint16));

  if (gemm)
    return gemm;
  gemm = gemm_new (
      weight, n, k, (OnednnTypes){dnnl_bf16, dnnl_bf16, dnnl_f32}, &refused);

  if (gemm && !is_reference (gemm))
    return gemm;
  cpu_gemm_free (gemm);
  g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
      "oneDNN %d.%d has no bfloat16 products for this CPU", DNNL_VERSION_MAJOR,
      DNNL_VERSION_MINOR);
  return NULL;
}

gboolean
cpu_gemm_has_bf16 (void)
{
  enum { N = 64 };
  static const guint16 weight[N * N];
  static const NpuGemmKernel none;
  static gsize answer; /* 1: no, 2: yes */

  if (g_once_init_enter (&answer)) {
    CpuGemm *gemm = cpu_gemm_new_bf16 (&none, weight, N, N, NULL);

    g_once_init_leave (&answer, gemm ? 2 : 1);
    cpu_gemm_free (gemm);
  }
  return answer == 2;
}

gboolean
cpu_gemm_has_amx (void)
{
  return (dnnl_get_effective_cpu_isa () & dnnl_cpu_isa_avx512_core_amx) ==
         dnnl_cpu_isa_avx512_core_amx;
}

gboolean
cpu_gemm_s8_is_exact (void)
{
  enum { N = 64 };
  static gint8 weight[N * N];
  static guint8 a[NPU_TILE_ROWS * N] __attribute__ ((aligned (64)));
  static gint32 c[NPU_TILE_ROWS * N] __attribute__ ((aligned (64)));
  static gsize answer; /* 1: no, 2: yes */

  if (g_once_init_enter (&answer)) {
    const int threads = cpu_gemm_set_threads (1);
    CpuGemmThread *thread;
    CpuGemm *gemm;
    gboolean exact = FALSE;

    memset (weight, 127, sizeof weight);
    memset (a, 255, sizeof a);
    gemm = cpu_gemm_new_s8 (NULL, weight, N, N, NULL);
    thread = cpu_gemm_thread_new ();
    if (gemm) {
      g_autofree guint8 *scratch = g_malloc (gemm->scratch_size + 64);

      cpu_gemm_run (gemm, thread, 0, N, a, N, NPU_TILE_ROWS, c,
          (gpointer) (((gsize) scratch + 63) & ~(gsize) 63));
      exact = c[0] == N * 127 * 255;
    }
    cpu_gemm_free (gemm);
    cpu_gemm_thread_free (thread);
    cpu_gemm_set_threads (threads);
    g_once_init_leave (&answer, exact ? 2 : 1);
  }
  return answer == 2;
}

void
cpu_gemm_free (CpuGemm *gemm)
{
  if (!gemm)
    return;
  if (!gemm->own && !gemm->linear) {
    onednn_product_clear (&gemm->half_part);
    onednn_product_clear (&gemm->part);
    onednn_product_clear (&gemm->half);
    onednn_product_clear (&gemm->whole);
  }
  cpu_weights_clear (&gemm->packed);
  g_free (gemm);
}

guint
cpu_gemm_block_columns (const CpuGemm *gemm)
{
  return gemm->block_columns;
}

guint
cpu_gemm_part_columns (const CpuGemm *gemm)
{
  return gemm->part_columns;
}

gboolean
cpu_gemm_takes_any_stride (const CpuGemm *gemm)
{
  return gemm->own != NULL;
}

gboolean
cpu_gemm_is_linear (const CpuGemm *gemm)
{
  return gemm->linear != NULL;
}

gsize
cpu_gemm_scratch_size (const CpuGemm *gemm)
{
  return gemm->scratch_size;
}

gsize
cpu_gemm_packed_size (const CpuGemm *gemm)
{
  return gemm->packed.size;
}

/* --- running ----------------------------------------------------------- */

static const OnednnProduct *
product_for (const CpuGemm *gemm, guint columns, guint rows)
{
  const gboolean is_part = columns < gemm->block_columns;
  const OnednnProduct *half = is_part ? &gemm->half_part : &gemm->half;

  if (rows <= NPU_TILE_ROWS / 2 && half->primitive)
    return half;
  return is_part ? &gemm->part : &gemm->whole;
}

/* A part's weights are a part of the block's. */
static const guint8 *
packed_for (const CpuGemm *gemm, guint first)
{
  const guint block = first / gemm->block_columns;
  const guint before = first % gemm->block_columns;

  return gemm->packed.data + block * gemm->block_size +
         gemm->block_size / gemm->block_columns * before;
}

void
cpu_gemm_run (const CpuGemm *gemm, CpuGemmThread *thread, guint first,
    guint columns, const void *a, gsize a_stride, guint rows, void *c,
    void *scratch)
{
  const guint8 *packed = packed_for (gemm, first);

  if (gemm->own)
    gemm->own->run (c, columns, a, a_stride, packed, (int) rows, (int) columns,
        (int) gemm->k);
  else
    onednn_product_run (
        product_for (gemm, columns, rows), thread, a, packed, c, scratch);
}

void
cpu_gemm_run_linear (const CpuGemm *gemm, guint first, guint columns,
    const guint8 *a, guint rows, float *y, gsize y_stride,
    const NpuLinearS8 *linear)
{
  gemm->linear->run (y, y_stride, a, packed_for (gemm, first), linear,
      (int) rows, (int) columns, (int) gemm->k);
}
