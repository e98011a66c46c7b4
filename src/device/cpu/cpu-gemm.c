/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu-gemm.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

#include "npu-error.h"
#include "npu-kernels.h"

/* Of libgomp, which Debian's oneDNN runs on. The setting belongs to the
 * calling thread, so an application's own OpenMP code never notices. */
extern void omp_set_num_threads (int n);
extern int omp_get_max_threads (void);

/* Wide enough to hide a block's start, narrow enough for L2. */
#define MAX_BLOCK_COLUMNS 512

/* So narrow that our own kernel's block is still in the cache when it is
 * scaled. */
#define OWN_BLOCK_COLUMNS 128

/* oneDNN's, for so many rows. */
typedef struct {
  guint id; /* never given twice, and never 0 */
  dnnl_primitive_desc_t desc;
  dnnl_primitive_t primitive;
} Product;

struct _CpuGemm {
  const NpuGemmKernel *own; /* NULL: oneDNN computes */
  guint k;
  guint block_columns;
  gsize block_size;  /* bytes of one block of packed weights */
  gsize packed_size; /* of all */
  gsize scratch_size;
  guint8 *packed;
  Product whole; /* a tile */
  Product half;  /* half of its rows, for the last tile; or empty */
};

#define N_ARGS 4

struct _CpuGemmThread {
  dnnl_stream_t stream;
  guint product_id; /* whose arguments these are, 0: nobody's. Making them
                     * takes a microsecond. */
  dnnl_exec_arg_t args[N_ARGS];
};

static dnnl_engine_t
cpu_engine (void)
{
  static gsize engine;

  if (g_once_init_enter (&engine)) {
    dnnl_engine_t e = NULL;
    if (dnnl_engine_create (&e, dnnl_cpu, 0) != dnnl_success)
      g_error ("oneDNN has no CPU engine");
    g_once_init_leave (&engine, (gsize) e);
  }
  return (dnnl_engine_t) engine;
}

int
cpu_gemm_set_threads (int n)
{
  const int before = omp_get_max_threads ();

  if (n != before)
    omp_set_num_threads (n);
  return before;
}

CpuGemmThread *
cpu_gemm_thread_new (void)
{
  CpuGemmThread *thread = g_new0 (CpuGemmThread, 1);

  if (dnnl_stream_create (&thread->stream, cpu_engine (),
          dnnl_stream_default_flags) != dnnl_success)
    g_error ("oneDNN has no CPU stream");
  return thread;
}

static void
clear_args (CpuGemmThread *thread)
{
  for (gsize i = 0; i < N_ARGS; i++)
    dnnl_memory_destroy (thread->args[i].memory);
  memset (thread->args, 0, sizeof thread->args);
  thread->product_id = 0;
}

void
cpu_gemm_thread_free (CpuGemmThread *thread)
{
  if (!thread)
    return;
  clear_args (thread);
  dnnl_stream_destroy (thread->stream);
  g_free (thread);
}

/* --- the two versions of the API --------------------------------------- */

#if DNNL_VERSION_MAJOR >= 3

typedef dnnl_memory_desc_t Desc;
typedef const_dnnl_memory_desc_t ConstDesc;

static dnnl_status_t
desc_strided (Desc *desc, const dnnl_dims_t dims, dnnl_data_type_t type,
    const dnnl_dims_t strides)
{
  return dnnl_memory_desc_create_with_strides (desc, 2, dims, type, strides);
}

static dnnl_status_t
desc_any (Desc *desc, const dnnl_dims_t dims, dnnl_data_type_t type)
{
  return dnnl_memory_desc_create_with_tag (
      desc, 2, dims, type, dnnl_format_tag_any);
}

static void
desc_clear (Desc *desc)
{
  if (*desc)
    dnnl_memory_desc_destroy (*desc);
}

static dnnl_status_t
matmul_desc (dnnl_primitive_desc_t *out, ConstDesc a, ConstDesc b, ConstDesc c,
    dnnl_primitive_attr_t attr)
{
  return dnnl_matmul_primitive_desc_create (
      out, cpu_engine (), a, b, NULL, c, attr);
}

#define CONST_DESC(desc) (*(desc))

#else

typedef dnnl_memory_desc_t Desc;
typedef const dnnl_memory_desc_t *ConstDesc;

static dnnl_status_t
desc_strided (Desc *desc, const dnnl_dims_t dims, dnnl_data_type_t type,
    const dnnl_dims_t strides)
{
  return dnnl_memory_desc_init_by_strides (desc, 2, dims, type, strides);
}

static dnnl_status_t
desc_any (Desc *desc, const dnnl_dims_t dims, dnnl_data_type_t type)
{
  return dnnl_memory_desc_init_by_tag (
      desc, 2, dims, type, dnnl_format_tag_any);
}

static void
desc_clear (Desc *desc)
{
  (void) desc;
}

static dnnl_status_t
matmul_desc (dnnl_primitive_desc_t *out, ConstDesc a, ConstDesc b, ConstDesc c,
    dnnl_primitive_attr_t attr)
{
  dnnl_matmul_desc_t matmul;
  dnnl_status_t status = dnnl_matmul_desc_init (&matmul, a, b, NULL, c);

  if (status != dnnl_success)
    return status;
  return dnnl_primitive_desc_create (out, &matmul, attr, cpu_engine (), NULL);
}

#define CONST_DESC(desc) (desc)

#endif

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

/* Reorders one block of [columns][k] weights into the packed layout. */
static dnnl_status_t
pack_block (Desc *plain, ConstDesc packed, const void *weight, void *out)
{
  dnnl_engine_t engine = cpu_engine ();
  dnnl_primitive_desc_t desc = NULL;
  dnnl_primitive_t reorder = NULL;
  dnnl_memory_t from = NULL, to = NULL;
  dnnl_stream_t stream = NULL;
  dnnl_status_t status;

  status = dnnl_reorder_primitive_desc_create (
      &desc, CONST_DESC (plain), engine, packed, engine, NULL);
  if (status == dnnl_success)
    status = dnnl_primitive_create (&reorder, desc);
  if (status == dnnl_success)
    status =
        dnnl_memory_create (&from, CONST_DESC (plain), engine, (void *) weight);
  if (status == dnnl_success)
    status = dnnl_memory_create (&to, packed, engine, out);
  if (status == dnnl_success)
    status = dnnl_stream_create (&stream, engine, dnnl_stream_default_flags);
  if (status == dnnl_success) {
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    status = dnnl_primitive_execute (reorder, stream, 2, args);
  }
  if (status == dnnl_success)
    status = dnnl_stream_wait (stream);
  dnnl_stream_destroy (stream);
  dnnl_memory_destroy (from);
  dnnl_memory_destroy (to);
  dnnl_primitive_destroy (reorder);
  dnnl_primitive_desc_destroy (desc);
  return status;
}

static const char *
product_name (const Product *product)
{
  const char *name = "";

  dnnl_primitive_desc_query (product->desc, dnnl_query_impl_info_str, 0, &name);
  return name;
}

static ConstDesc
product_query (const Product *product, dnnl_query_t what)
{
  return dnnl_primitive_desc_query_md (product->desc, what, 0);
}

static void
product_clear (Product *product)
{
  dnnl_primitive_destroy (product->primitive);
  dnnl_primitive_desc_destroy (product->desc);
  memset (product, 0, sizeof *product);
}

/* Types of A, the weights and C. */
typedef struct {
  dnnl_data_type_t a, b, c;
} Types;

/* The weights are laid out as in @packed, or if NULL as oneDNN likes best. */
static dnnl_status_t
product_open (Product *product, guint rows, guint columns, guint k,
    const Types *types, ConstDesc packed)
{
  static gint last_id;
  const dnnl_dims_t a_dims = {rows, k}, a_strides = {k, 1};
  const dnnl_dims_t b_dims = {k, columns};
  const dnnl_dims_t c_dims = {rows, columns}, c_strides = {columns, 1};
  dnnl_primitive_attr_t attr = NULL;
  Desc a = {0}, b = {0}, c = {0};
  dnnl_status_t status;

  status = desc_strided (&a, a_dims, types->a, a_strides);
  if (status == dnnl_success)
    status = desc_any (&b, b_dims, types->b);
  if (status == dnnl_success)
    status = desc_strided (&c, c_dims, types->c, c_strides);
  if (status == dnnl_success)
    status = dnnl_primitive_attr_create (&attr);
  if (status == dnnl_success)
    /* oneDNN's own scratchpad is not for one primitive in many threads. */
    status = dnnl_primitive_attr_set_scratchpad_mode (
        attr, dnnl_scratchpad_mode_user);
  if (status == dnnl_success)
    status = matmul_desc (&product->desc, CONST_DESC (&a),
        packed ? packed : CONST_DESC (&b), CONST_DESC (&c), attr);
  if (status == dnnl_success)
    status = dnnl_primitive_create (&product->primitive, product->desc);
  product->id = (guint) g_atomic_int_add (&last_id, 1) + 1;

  dnnl_primitive_attr_destroy (attr);
  desc_clear (&a);
  desc_clear (&b);
  desc_clear (&c);
  return status;
}

static gsize
product_scratch_size (const Product *product)
{
  return product->primitive ? dnnl_memory_desc_get_size (product_query (
                                  product, dnnl_query_scratchpad_md))
                            : 0;
}

/* Where another of oneDNN's kernels would compute half a tile, all tiles are
 * computed whole: a row's result does not depend on where it is. */
static void
open_half (CpuGemm *gemm, const Types *types)
{
  if (product_open (&gemm->half, NPU_TILE_ROWS / 2, gemm->block_columns,
          gemm->k, types,
          product_query (&gemm->whole, dnnl_query_weights_md)) !=
          dnnl_success ||
      strcmp (product_name (&gemm->half), product_name (&gemm->whole)) != 0)
    product_clear (&gemm->half);
}

static dnnl_status_t
pack_weights (CpuGemm *gemm, const guint8 *weight, guint n, Types types)
{
  const guint columns = gemm->block_columns, n_blocks = n / columns;
  const dnnl_dims_t dims = {gemm->k, columns}, strides = {1, gemm->k};
  const gsize from_size =
      (gsize) columns * gemm->k * dnnl_data_type_size (types.b);
  ConstDesc packed = product_query (&gemm->whole, dnnl_query_weights_md);
  Desc plain = {0};
  dnnl_status_t status = desc_strided (&plain, dims, types.b, strides);

  gemm->block_size = (dnnl_memory_desc_get_size (packed) + 63) & ~(gsize) 63;
  gemm->packed_size = gemm->block_size * n_blocks;
  if (status == dnnl_success &&
      posix_memalign ((void **) &gemm->packed, 64, gemm->packed_size))
    status = dnnl_out_of_memory;
  for (guint i = 0; status == dnnl_success && i < n_blocks; i++)
    status = pack_block (&plain, packed, weight + i * from_size,
        gemm->packed + i * gemm->block_size);
  desc_clear (&plain);
  return status;
}

static CpuGemm *
gemm_new (const void *weight, guint n, guint k, Types types, GError **error)
{
  CpuGemm *gemm = g_new0 (CpuGemm, 1);
  int threads;
  dnnl_status_t status;

  gemm->k = k;
  gemm->block_columns = block_columns_for (n);
  /* A primitive is laid out for the threads there are when it is made. */
  threads = cpu_gemm_set_threads (1);
  status = product_open (
      &gemm->whole, NPU_TILE_ROWS, gemm->block_columns, k, &types, NULL);
  if (status == dnnl_success)
    status = pack_weights (gemm, weight, n, types);
  if (status == dnnl_success) {
    open_half (gemm, &types);
    gemm->scratch_size = MAX (product_scratch_size (&gemm->whole),
        product_scratch_size (&gemm->half));
  }
  cpu_gemm_set_threads (threads);

  if (status != dnnl_success) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED,
        "oneDNN %d.%d cannot prepare a product of %u columns from %u: "
        "status %d",
        DNNL_VERSION_MAJOR, DNNL_VERSION_MINOR, n, k, (int) status);
    cpu_gemm_free (gemm);
    return NULL;
  }
  return gemm;
}

gboolean
cpu_gemm_takes (const NpuGemmKernel *own, guint n, guint k)
{
  return own->run && n % NPU_GEMM_COLUMNS == 0 && k % NPU_GEMM_DEPTH == 0;
}

/* NULL where @own does not take the shape. */
static CpuGemm *
gemm_new_own (const NpuGemmKernel *own, const void *weight, guint n, guint k,
    gsize element_size)
{
  CpuGemm *gemm;
  guint columns = OWN_BLOCK_COLUMNS;

  if (!cpu_gemm_takes (own, n, k))
    return NULL;
  gemm = g_new0 (CpuGemm, 1);
  while (columns > NPU_GEMM_COLUMNS && n % columns)
    columns /= 2;
  if (columns < NPU_HEAD_DIM)
    columns = n;
  gemm->own = own;
  gemm->k = k;
  gemm->block_columns = columns;
  gemm->block_size = (gsize) columns * k * element_size;
  gemm->packed_size = (gsize) n * k * element_size;
  if (posix_memalign ((void **) &gemm->packed, 64, gemm->packed_size)) {
    g_free (gemm);
    return NULL;
  }
  own->pack (gemm->packed, weight, (int) n, (int) k);
  return gemm;
}

CpuGemm *
cpu_gemm_new_f32 (const NpuGemmKernel *own, const float *weight, guint n,
    guint k, GError **error)
{
  CpuGemm *gemm = gemm_new_own (own, weight, n, k, sizeof (float));

  if (gemm)
    return gemm;
  return gemm_new (weight, n, k, (Types){dnnl_f32, dnnl_f32, dnnl_f32}, error);
}

CpuGemm *
cpu_gemm_new_s8 (const gint8 *weight, guint n, guint k, GError **error)
{
  return gemm_new (weight, n, k, (Types){dnnl_u8, dnnl_s8, dnnl_s32}, error);
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
  return g_str_has_prefix (product_name (&gemm->whole), "ref");
}

CpuGemm *
cpu_gemm_new_bf16 (const guint16 *weight, guint n, guint k, GError **error)
{
  g_autoptr (GError) refused = NULL;
  CpuGemm *gemm = gemm_new (
      weight, n, k, (Types){dnnl_bf16, dnnl_bf16, dnnl_f32}, &refused);

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
  static gsize answer; /* 1: no, 2: yes */

  if (g_once_init_enter (&answer)) {
    CpuGemm *gemm = cpu_gemm_new_bf16 (weight, N, N, NULL);

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
    gemm = cpu_gemm_new_s8 (weight, N, N, NULL);
    thread = cpu_gemm_thread_new ();
    if (gemm) {
      g_autofree guint8 *scratch = g_malloc (gemm->scratch_size + 64);

      cpu_gemm_run (gemm, thread, 0, a, N, NPU_TILE_ROWS, c,
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
  if (!gemm->own) {
    product_clear (&gemm->half);
    product_clear (&gemm->whole);
  }
  free (gemm->packed);
  g_free (gemm);
}

guint
cpu_gemm_block_columns (const CpuGemm *gemm)
{
  return gemm->block_columns;
}

gboolean
cpu_gemm_takes_any_stride (const CpuGemm *gemm)
{
  return gemm->own != NULL;
}

gsize
cpu_gemm_scratch_size (const CpuGemm *gemm)
{
  return gemm->scratch_size;
}

gsize
cpu_gemm_packed_size (const CpuGemm *gemm)
{
  return gemm->packed_size;
}

/* --- running ----------------------------------------------------------- */

static void
make_args (CpuGemmThread *thread, const Product *product)
{
  static const struct {
    int arg;
    dnnl_query_t what;
  } all[N_ARGS] = {
      {DNNL_ARG_SRC, dnnl_query_src_md},
      {DNNL_ARG_WEIGHTS, dnnl_query_weights_md},
      {DNNL_ARG_DST, dnnl_query_dst_md},
      {DNNL_ARG_SCRATCHPAD, dnnl_query_scratchpad_md},
  };

  clear_args (thread);
  for (gsize i = 0; i < N_ARGS; i++) {
    thread->args[i].arg = all[i].arg;
    if (dnnl_memory_create (&thread->args[i].memory,
            product_query (product, all[i].what), cpu_engine (),
            DNNL_MEMORY_NONE) != dnnl_success)
      g_error ("oneDNN has no memory for a product's arguments");
  }
  thread->product_id = product->id;
}

static void
run_onednn (const CpuGemm *gemm, CpuGemmThread *thread, guint block,
    const void *a, guint rows, void *c, void *scratch)
{
  const Product *product = rows <= NPU_TILE_ROWS / 2 && gemm->half.primitive
                               ? &gemm->half
                               : &gemm->whole;
  void *const data[N_ARGS] = {
      (void *) a, gemm->packed + block * gemm->block_size, c, scratch};

  if (thread->product_id != product->id)
    make_args (thread, product);
  for (gsize i = 0; i < N_ARGS; i++)
    dnnl_memory_set_data_handle (thread->args[i].memory, data[i]);
  if (dnnl_primitive_execute (product->primitive, thread->stream, N_ARGS,
          thread->args) != dnnl_success)
    g_error ("oneDNN did not run a primitive that it had made");
}

void
cpu_gemm_run (const CpuGemm *gemm, CpuGemmThread *thread, guint block,
    const void *a, gsize a_stride, guint rows, void *c, void *scratch)
{
  if (gemm->own)
    gemm->own->run (c, gemm->block_columns, a, a_stride,
        gemm->packed + block * gemm->block_size, (int) rows,
        (int) gemm->block_columns, (int) gemm->k);
  else
    run_onednn (gemm, thread, block, a, rows, c, scratch);
}
