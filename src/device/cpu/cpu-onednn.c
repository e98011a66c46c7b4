/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu-onednn.h"

#include <string.h>

/* Of libgomp, which Debian's oneDNN runs on. The setting belongs to the
 * calling thread, so an application's own OpenMP code never notices. */
extern void omp_set_num_threads (int n);
extern int omp_get_max_threads (void);

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

/* --- threads ------------------------------------------------------------ */

#define N_ARGS 4

struct _CpuGemmThread {
  dnnl_stream_t stream;
  guint product_id; /* whose arguments these are, 0: nobody's. Making them
                     * takes a microsecond. */
  dnnl_exec_arg_t args[N_ARGS];
};

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

/* --- products ----------------------------------------------------------- */

const char *
onednn_product_name (const OnednnProduct *product)
{
  const char *name = "";

  dnnl_primitive_desc_query (product->desc, dnnl_query_impl_info_str, 0, &name);
  return name;
}

static ConstDesc
product_query (const OnednnProduct *product, dnnl_query_t what)
{
  return dnnl_primitive_desc_query_md (product->desc, what, 0);
}

void
onednn_product_clear (OnednnProduct *product)
{
  dnnl_primitive_destroy (product->primitive);
  dnnl_primitive_desc_destroy (product->desc);
  memset (product, 0, sizeof *product);
}

dnnl_status_t
onednn_product_open (OnednnProduct *product, guint rows, guint columns, guint k,
    const OnednnTypes *types, const OnednnProduct *like)
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
        like ? product_query (like, dnnl_query_weights_md) : CONST_DESC (&b),
        CONST_DESC (&c), attr);
  if (status == dnnl_success)
    status = dnnl_primitive_create (&product->primitive, product->desc);
  product->id = (guint) g_atomic_int_add (&last_id, 1) + 1;

  dnnl_primitive_attr_destroy (attr);
  desc_clear (&a);
  desc_clear (&b);
  desc_clear (&c);
  return status;
}

gsize
onednn_product_scratch_size (const OnednnProduct *product)
{
  return product->primitive ? dnnl_memory_desc_get_size (product_query (
                                  product, dnnl_query_scratchpad_md))
                            : 0;
}

gsize
onednn_product_weights_size (const OnednnProduct *product)
{
  return dnnl_memory_desc_get_size (
      product_query (product, dnnl_query_weights_md));
}

/* --- packing ------------------------------------------------------------ */

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

dnnl_status_t
onednn_product_pack (const OnednnProduct *product, guint columns, guint k,
    const OnednnTypes *types, const void *weight, void *out)
{
  const dnnl_dims_t dims = {k, columns}, strides = {1, k};
  Desc plain = {0};
  dnnl_status_t status = desc_strided (&plain, dims, types->b, strides);

  if (status == dnnl_success)
    status = pack_block (
        &plain, product_query (product, dnnl_query_weights_md), weight, out);
  desc_clear (&plain);
  return status;
}

/* --- running ------------------------------------------------------------ */

static void
make_args (CpuGemmThread *thread, const OnednnProduct *product)
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

void
onednn_product_run (const OnednnProduct *product, CpuGemmThread *thread,
    const void *a, const void *packed, void *c, void *scratch)
{
  void *const data[N_ARGS] = {(void *) a, (void *) packed, c, scratch};

  if (thread->product_id != product->id)
    make_args (thread, product);
  for (gsize i = 0; i < N_ARGS; i++)
    dnnl_memory_set_data_handle (thread->args[i].memory, data[i]);
  if (dnnl_primitive_execute (product->primitive, thread->stream, N_ARGS,
          thread->args) != dnnl_success)
    g_error ("oneDNN did not run a primitive that it had made");
}
