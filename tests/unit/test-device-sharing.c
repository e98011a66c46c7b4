/* Devices and packed weights are one in the process, whoever opens them: what
 * is shared and what is not, streams that do not wait for each other, a device
 * that is lost while others use it, and all of it at random.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <sched.h>
#include <string.h>

#include "decoder/npu-decoder.h"
#include "device/device-registry.h"
#include "device/npu-device-impl.h"
#include "encoder-fixture.h"
#include "fake-npu.h"
#include "test-data.h"

#define N_FRAMES 130
#define SECOND ((guint64) 1000000000)
#define MODEL "synthetic:tiny"

static NpuDevice *
open_with (const char *name, const NpuDeviceOptions *options)
{
  g_autoptr (GError) error = NULL;
  NpuDevice *device = npu_device_open (name, options, &error);

  g_assert_no_error (error);
  return device;
}

static NpuDevice *
open_cpu (guint threads)
{
  return open_with ("cpu", &(NpuDeviceOptions){.threads = threads});
}

static NpuEncoder *
try_encoder (NpuDevice *device, NpuPrecision precision, GError **error)
{
  g_autoptr (NpuModel) model = encoder_fixture_open_model (MODEL);
  const NpuEncoderOptions options = {
      .depth = 3, .precision = precision, .timeout = 600 * SECOND};

  return npu_encoder_new (model, device, &options, error);
}

static NpuEncoder *
new_encoder (NpuDevice *device, NpuPrecision precision)
{
  g_autoptr (GError) error = NULL;
  NpuEncoder *encoder = try_encoder (device, precision, &error);

  g_assert_no_error (error);
  return encoder;
}

static float *
encode (NpuEncoder *encoder, GError **error)
{
  g_autofree float *mel =
      test_data_new_mel (npu_encoder_get_n_mels (encoder), N_FRAMES, 1);
  g_autofree float *states =
      g_new (float, N_FRAMES / 2 * npu_encoder_get_d (encoder));

  return npu_encoder_encode (encoder, mel, N_FRAMES, states, NULL, error)
             ? g_steal_pointer (&states)
             : NULL;
}

/* --- devices ------------------------------------------------------------- */

static void
ignore_tile (guint worker, const NpuKernel *kernel, guint tile, guint64 start,
    guint64 end, gpointer user_data)
{
}

static void
test_same_device (void)
{
  NpuDevice *a = open_cpu (2), *b = open_cpu (2), *three = open_cpu (3);
  NpuDevice *late =
      open_with ("cpu", &(NpuDeviceOptions){.threads = 2, .latency = 1000});
  NpuDevice *observed = open_with (
      "cpu", &(NpuDeviceOptions){.threads = 2, .tile_observer = ignore_tile});

  g_assert_true (a == b);
  g_assert_true (a != three && a != late && a != observed);
  g_assert_true (npu_device_ref (a) == a);
  npu_device_unref (a);
  npu_device_unref (a);
  g_assert_cmpuint (npu_device_get_n_workers (b), ==, 2);
  npu_device_unref (b);
  npu_device_unref (three);
  npu_device_unref (late);
  npu_device_unref (observed);
}

/* Threads of 0 are as many as there are: whoever says so gets the same. */
static void
test_default_threads (void)
{
  NpuDevice *a = open_cpu (0);
  NpuDevice *b = open_cpu (npu_device_get_n_workers (a));
  NpuDevice *automatic = open_with ("auto", NULL);

  g_assert_true (a == b);
  g_assert_true (
      a == automatic || automatic != npu_device_get_host (automatic));
  npu_device_unref (a);
  npu_device_unref (b);
  npu_device_unref (automatic);
}

/* Workers run where the thread that opened the device may: two halves of a
 * machine are two pools. */
static void
test_affinity (void)
{
  NpuDevice *all = open_cpu (1), *one;
  cpu_set_t before, first;
  int cpu = 0;

  g_assert_cmpint (sched_getaffinity (0, sizeof before, &before), ==, 0);
  if (CPU_COUNT (&before) < 2) {
    g_test_skip ("this process may use one CPU only");
    npu_device_unref (all);
    return;
  }
  while (!CPU_ISSET (cpu, &before))
    cpu++;
  CPU_ZERO (&first);
  CPU_SET (cpu, &first);
  g_assert_cmpint (sched_setaffinity (0, sizeof first, &first), ==, 0);
  one = open_cpu (1);
  g_assert_cmpint (sched_setaffinity (0, sizeof before, &before), ==, 0);
  g_assert_true (one != all);
  npu_device_unref (all);
  npu_device_unref (one);
}

/* --- weights ------------------------------------------------------------- */

/* The second encoder adds its activations, and no kernel and no weight; it
 * computes the same. The weights stay as long as one has them. */
static void
test_same_weights (void)
{
  NpuDevice *device = open_cpu (2), *other = open_cpu (2);
  const NpuDeviceUsage none = npu_device_get_usage (device);
  NpuEncoder *a = new_encoder (device, NPU_PRECISION_INT8), *b;
  const NpuDeviceUsage one = npu_device_get_usage (device);
  g_autofree float *first = encode (a, NULL), *second = NULL;
  NpuDeviceUsage now;

  g_assert_cmpuint (none.packed_size + none.buffers_size, ==, 0);
  /* 4 blocks of 12 d² weights, most of a byte. */
  g_assert_cmpuint (one.packed_size, >, 4 * 12 * 384 * 384);
  b = new_encoder (other, NPU_PRECISION_INT8);
  now = npu_device_get_usage (device);
  g_assert_cmpuint (now.n_kernels, ==, one.n_kernels);
  g_assert_cmpuint (now.packed_size, ==, one.packed_size);
  g_assert_cmpuint (now.buffers_size, ==, 2 * one.buffers_size);

  npu_encoder_free (a);
  now = npu_device_get_usage (device);
  g_assert_cmpuint (now.packed_size, ==, one.packed_size);
  g_assert_cmpuint (now.buffers_size, ==, one.buffers_size);
  second = encode (b, NULL);
  g_assert_cmpmem (first, N_FRAMES / 2 * 384 * sizeof *first, second,
      N_FRAMES / 2 * 384 * sizeof *second);
  npu_encoder_free (b);
  now = npu_device_get_usage (device);
  g_assert_cmpuint (now.n_kernels + now.packed_size + now.buffers_size, ==, 0);
  npu_device_unref (device);
  npu_device_unref (other);
}

/* Decoders of a model: the maps of cross-attention are the device's too. */
static void
test_same_decoder_weights (void)
{
  const NpuDecoderOptions options = {.precision = NPU_PRECISION_INT8,
      .max_windows = 1,
      .max_sequences = 1,
      .timeout = 600 * SECOND};
  g_autoptr (NpuModel) model = encoder_fixture_open_model (MODEL);
  NpuDevice *device = open_cpu (2);
  NpuDecoder *a = npu_decoder_new (model, device, &options, NULL), *b;
  const NpuDeviceUsage one = npu_device_get_usage (device);

  g_assert_cmpuint (one.n_kernels, ==, 4); /* a layer each */
  b = npu_decoder_new (model, device, &options, NULL);
  g_assert_cmpuint (
      npu_device_get_usage (device).packed_size, ==, one.packed_size);
  npu_device_unref (device); /* they have their own references */
  npu_decoder_free (a);
  npu_decoder_free (b);
}

/* Another precision has other weights. */
static void
test_other_weights (void)
{
  NpuDevice *device = open_cpu (2);
  NpuEncoder *a = new_encoder (device, NPU_PRECISION_INT8);
  const gsize one = npu_device_get_usage (device).packed_size;
  NpuEncoder *b = new_encoder (device, NPU_PRECISION_F32);

  g_assert_cmpuint (npu_device_get_usage (device).packed_size, >, 2 * one);
  npu_encoder_free (a);
  npu_encoder_free (b);
  npu_device_unref (device);
}

static void
count_tile (guint worker, const NpuKernel *kernel, guint tile, guint64 start,
    guint64 end, gpointer user_data)
{
  g_atomic_int_inc ((gint *) user_data);
}

/* What automatic precision finds out by computing is known to the second. */
static void
test_same_verdict (void)
{
  gint n_tiles = 0;
  NpuDevice *device = open_with ("cpu", &(NpuDeviceOptions){.threads = 2,
                                            .tile_observer = count_tile,
                                            .tile_observer_data = &n_tiles});
  const gboolean is_probed = npu_device_has_product (device, NPU_PRODUCT_S8) ||
                             npu_device_has_product (device, NPU_PRODUCT_S16);
  NpuEncoder *a = new_encoder (device, NPU_PRECISION_AUTO), *b;
  const gint n_first = g_atomic_int_get (&n_tiles);

  g_assert_cmpint (n_first > 0, ==, is_probed);
  b = new_encoder (device, NPU_PRECISION_AUTO);
  g_assert_cmpint (g_atomic_int_get (&n_tiles), ==, n_first);
  g_assert_cmpstr (
      npu_encoder_get_precision (a), ==, npu_encoder_get_precision (b));
  npu_encoder_free (a);
  npu_encoder_free (b);
  npu_device_unref (device);
}

static gboolean
read_weights (gpointer data, NpuOp *op, GError **error)
{
  static float weight[64 * 64], bias[64];
  guint *n_read = data;

  if (++*n_read == 1) {
    g_set_error_literal (error, NPU_ERROR, NPU_ERROR_FORMAT, "a torn file");
    return FALSE;
  }
  op->weight = weight;
  op->bias = bias;
  return TRUE;
}

/* What failed is tried anew; every field of the operation and the key counts;
 * without a key nothing is shared. */
static void
test_kernel_keys (void)
{
  NpuDevice *device = open_cpu (1);
  guint n_read = 0;
  NpuWeightsSource source = {"a", read_weights, &n_read};
  NpuOp op = {.kind = NPU_OP_LINEAR, .rows = 64, .linear = {.k = 64, .n = 64}};
  g_autoptr (GError) error = NULL;
  NpuKernel *kernels[6];

  g_assert_null (npu_kernel_get (device, &op, &source, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_FORMAT);
  kernels[0] = npu_kernel_get (device, &op, &source, NULL);
  kernels[1] = npu_kernel_get (device, &op, &source, NULL);
  g_assert_true (kernels[0] && kernels[0] == kernels[1]);
  g_assert_cmpuint (n_read, ==, 2);
  source.key = "b";
  kernels[2] = npu_kernel_get (device, &op, &source, NULL);
  op.linear.gelu = TRUE;
  kernels[3] = npu_kernel_get (device, &op, &source, NULL);
  source.key = NULL;
  kernels[4] = npu_kernel_get (device, &op, &source, NULL);
  kernels[5] = npu_kernel_get (device, &op, &source, NULL);
  g_assert_cmpuint (n_read, ==, 6);
  g_assert_cmpuint (npu_device_get_usage (device).n_kernels, ==, 5);
  for (guint i = 0; i < G_N_ELEMENTS (kernels); i++)
    npu_kernel_unref (kernels[i]);
  g_assert_cmpuint (npu_device_get_usage (device).n_kernels, ==, 0);
  npu_device_unref (device);
}

/* --- streams ------------------------------------------------------------- */

#define N_TILES 400

/* GELU of one column on one worker, which is held after its first tile until
 * all is submitted. */
typedef struct {
  NpuDevice *device;
  NpuKernel *kernel;
  NpuBuffer *x;
  NpuRun *a[4], *b; /* of two streams */

  GMutex lock;
  GCond go;
  gboolean has_begun, may_go;
  GArray *order; /* of guint: tiles, as they were computed */
} Streams;

static void
hold (guint worker, const NpuKernel *kernel, guint tile, guint64 start,
    guint64 end, gpointer user_data)
{
  Streams *streams = user_data;

  g_mutex_lock (&streams->lock);
  g_array_append_val (streams->order, tile);
  streams->has_begun = TRUE;
  g_cond_broadcast (&streams->go);
  while (!streams->may_go)
    g_cond_wait (&streams->go, &streams->lock);
  g_mutex_unlock (&streams->lock);
}

static void
submit (Streams *streams, NpuRun *run, guint first_tile, guint n_tiles)
{
  const NpuLaunch launch = {.kernel = streams->kernel,
      .args = {streams->x, streams->x},
      .rows = 64 * N_TILES,
      .first_tile = first_tile,
      .n_tiles = n_tiles};

  g_assert_true (npu_run_submit (run, &launch, NULL));
}

/* Submits tiles [0, n_tiles) in stream a, and waits for the first. */
static void
begin (Streams *streams, guint n_tiles)
{
  const NpuOp op = {
      .kind = NPU_OP_GELU, .rows = 64 * N_TILES, .gelu = {.n = 1}};
  const NpuRunOptions a = {.stream = &streams->a};

  *streams = (Streams){.order = g_array_new (FALSE, FALSE, sizeof (guint))};
  g_mutex_init (&streams->lock);
  g_cond_init (&streams->go);
  streams->device = open_with ("cpu",
      &(NpuDeviceOptions){
          .threads = 1, .tile_observer = hold, .tile_observer_data = streams});
  streams->kernel = npu_kernel_get (streams->device, &op, NULL, NULL);
  streams->x = npu_buffer_new (
      streams->device, streams->kernel->arg_size[NPU_ARG_X], NULL);
  for (guint i = 0; i < G_N_ELEMENTS (streams->a); i++)
    streams->a[i] = npu_run_new (streams->device, &a, NULL);
  streams->b = npu_run_new (streams->device, NULL, NULL);
  submit (streams, streams->a[0], 0, n_tiles);
  g_mutex_lock (&streams->lock);
  while (!streams->has_begun)
    g_cond_wait (&streams->go, &streams->lock);
  g_mutex_unlock (&streams->lock);
}

static void
let_go (Streams *streams)
{
  g_mutex_lock (&streams->lock);
  streams->may_go = TRUE;
  g_cond_broadcast (&streams->go);
  g_mutex_unlock (&streams->lock);
}

static void
end (Streams *streams)
{
  for (guint i = 0; i < G_N_ELEMENTS (streams->a); i++)
    npu_run_free (streams->a[i]);
  npu_run_free (streams->b);
  npu_buffer_free (streams->x);
  npu_kernel_unref (streams->kernel);
  npu_device_unref (streams->device);
  g_array_unref (streams->order);
  g_mutex_clear (&streams->lock);
  g_cond_clear (&streams->go);
}

/* A stream with four launches in flight does not hold up that of another,
 * though it came last. */
static void
test_fairness (void)
{
  Streams streams;
  guint n_before = 0;

  begin (&streams, 100);
  for (guint i = 1; i < G_N_ELEMENTS (streams.a); i++)
    submit (&streams, streams.a[i], 100 * i, 90);
  submit (&streams, streams.b, N_TILES - 1, 1);
  let_go (&streams);
  g_assert_true (npu_run_wait (streams.b, 600 * SECOND, NULL, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (streams.a); i++)
    g_assert_true (npu_run_wait (streams.a[i], 600 * SECOND, NULL, NULL));
  g_assert_cmpuint (streams.order->len, ==, 100 + 3 * 90 + 1);
  while (g_array_index (streams.order, guint, n_before) != N_TILES - 1)
    n_before++;
  g_assert_cmpuint (n_before, <, 20);
  end (&streams);
}

/* One stream is cancelled: what it has queued is not done, and the other's
 * is. */
static void
test_cancel_one (void)
{
  Streams streams;

  begin (&streams, 2);
  submit (&streams, streams.a[1], 2, 1);
  submit (&streams, streams.b, 3, 1);
  npu_run_cancel (streams.a[0]);
  npu_run_cancel (streams.a[1]);
  g_assert_true (npu_run_is_done (streams.a[1]));
  g_assert_false (npu_run_is_done (streams.a[0])); /* its tile is computed */
  let_go (&streams);
  g_assert_true (npu_run_wait (streams.b, 600 * SECOND, NULL, NULL));
  g_assert_true (npu_run_wait (streams.a[0], 600 * SECOND, NULL, NULL));
  g_assert_cmpuint (streams.order->len, ==, 2);
  g_assert_cmpuint (g_array_index (streams.order, guint, 0), ==, 0);
  g_assert_cmpuint (g_array_index (streams.order, guint, 1), ==, 3);
  /* A run may be used again. */
  submit (&streams, streams.a[1], 2, 1);
  g_assert_true (npu_run_wait (streams.a[1], 600 * SECOND, NULL, NULL));
  g_assert_cmpuint (streams.order->len, ==, 3);
  end (&streams);
}

/* --- at random ----------------------------------------------------------- */

typedef struct {
  guint32 seed;
  const float *expected;
  const char *device;
  gint *n_lost; /* atomic, or NULL: no device is to be lost */
} Visitor;

/* A window on a device, which may be lost, or cancelled before it begins. */
static void
encode_once (const Visitor *visitor, NpuDevice *device, gboolean cancel)
{
  const gsize size = N_FRAMES / 2 * 384 * sizeof (float);
  const NpuPrecision precision =
      visitor->n_lost ? NPU_PRECISION_BF16 : NPU_PRECISION_INT8;
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuEncoder) encoder = try_encoder (device, precision, &error);
  g_autofree float *states = NULL;

  npu_device_unref (device); /* the encoder has its own reference */
  if (encoder && cancel)
    npu_executor_cancel (npu_encoder_get_executor (encoder));
  if (encoder)
    states = encode (encoder, &error);
  if (states) {
    g_assert_cmpmem (states, size, visitor->expected, size);
  } else if (visitor->n_lost && !cancel) {
    g_assert_error (error, NPU_ERROR, NPU_ERROR_LOST);
    g_atomic_int_inc (visitor->n_lost);
  } else {
    g_assert_error (error, NPU_ERROR, NPU_ERROR_CANCELLED);
  }
}

/* Opens, encodes and closes, again and again. */
static gpointer
visit (gpointer data)
{
  const NpuDeviceOptions options = {.threads = 2, .overlays = "/nonexistent"};
  const Visitor *visitor = data;
  g_autoptr (GRand) random = g_rand_new_with_seed (visitor->seed);

  for (guint i = 0; i < (g_test_slow () ? 4 : 2); i++) {
    const gboolean cancel = !visitor->n_lost && g_rand_boolean (random);

    encode_once (visitor, open_with (visitor->device, &options), cancel);
  }
  return NULL;
}

static void
visit_together (const char *device, const float *expected, gint *n_lost)
{
  enum { N_VISITORS = 16 };
  Visitor visitors[N_VISITORS];
  GThread *threads[N_VISITORS];

  for (guint i = 0; i < N_VISITORS; i++) {
    visitors[i] = (Visitor){i + 1, expected, device, n_lost};
    threads[i] = g_thread_new ("visitor", visit, &visitors[i]);
  }
  for (guint i = 0; i < N_VISITORS; i++)
    g_thread_join (threads[i]);
}

static void
test_visitors (void)
{
  NpuDevice *device = open_cpu (2);
  NpuEncoder *encoder = new_encoder (device, NPU_PRECISION_INT8);
  g_autofree float *expected = encode (encoder, NULL);

  npu_encoder_free (encoder);
  npu_device_unref (device);
  visit_together ("cpu", expected, NULL);
}

/* An NPU goes while many use it: each gets its error, and whoever opens it
 * after that gets another, which works. */
static void
test_lost_device (void)
{
  FakeNpuOptions npu = {.ops = FAKE_NPU_ALL_BF16, .threads = 2};
  const NpuDeviceOptions options = {.threads = 2, .overlays = "/nonexistent"};
  g_autofree float *expected = NULL, *states = NULL;
  NpuEncoder *encoder, *again;
  NpuDevice *device, *other;
  g_autoptr (GError) error = NULL;
  gint n_lost = 0;

  fake_npu_install (&npu);
  device = open_with ("xrt", &options);
  encoder = new_encoder (device, NPU_PRECISION_BF16);
  expected = encode (encoder, NULL);
  other = open_with ("xrt:0", &options);
  g_assert_true (device == other);
  npu_device_unref (other);

  npu.lose_at = fake_npu_get_counts ().n_launches + 20;
  fake_npu_change (&npu);
  g_assert_null (encode (encoder, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_LOST);
  npu.lose_at = 0;
  fake_npu_change (&npu);
  other = open_with ("xrt", &options);
  g_assert_true (device != other);
  again = new_encoder (other, NPU_PRECISION_BF16);
  states = encode (again, NULL);
  g_assert_cmpmem (states, N_FRAMES / 2 * 384 * sizeof *states, expected,
      N_FRAMES / 2 * 384 * sizeof *states);
  npu_encoder_free (again);
  npu_device_unref (other);
  npu_encoder_free (encoder);
  npu_device_unref (device);

  npu.lose_at = fake_npu_get_counts ().n_launches + 300;
  fake_npu_change (&npu);
  visit_together ("xrt", expected, &n_lost);
  g_assert_cmpint (n_lost, >, 0);
  fake_npu_install (NULL);
  g_assert_cmpint (fake_npu_get_counts ().n_alive, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/device/sharing/same-device", test_same_device);
  g_test_add_func ("/device/sharing/default-threads", test_default_threads);
  g_test_add_func ("/device/sharing/affinity", test_affinity);
  g_test_add_func ("/device/sharing/same-weights", test_same_weights);
  g_test_add_func (
      "/device/sharing/same-decoder-weights", test_same_decoder_weights);
  g_test_add_func ("/device/sharing/other-weights", test_other_weights);
  g_test_add_func ("/device/sharing/same-verdict", test_same_verdict);
  g_test_add_func ("/device/sharing/kernel-keys", test_kernel_keys);
  g_test_add_func ("/device/sharing/fairness", test_fairness);
  g_test_add_func ("/device/sharing/cancel-one", test_cancel_one);
  g_test_add_func ("/device/sharing/visitors", test_visitors);
  g_test_add_func ("/device/sharing/lost-device", test_lost_device);
  return g_test_run ();
}
