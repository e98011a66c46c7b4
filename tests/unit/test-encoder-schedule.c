/* How the work is scheduled must not show in the states: not the depth of the
 * ring, nor the batch, nor the workers, nor what was encoded before, nor a run
 * that was cancelled.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "compare.h"
#include "encoder-fixture.h"
#include "small-model.h"
#include "test-data.h"

#define N_MELS 80
#define N_FRAMES 1102 /* 551 positions: nine tiles, the last of 39 rows */
#define MSEC_IN_USEC 1000
#define TIMEOUT (600 * (guint64) 1000000000) /* valgrind is slow */

static NpuModel *
new_model (void)
{
  return small_model_new (N_MELS, 128, 2, 0);
}

static gpointer
precision_data (NpuPrecision precision)
{
  return GINT_TO_POINTER (precision);
}

/* --- depth, batch, threads ---------------------------------------------- */

static void
check_setups (const NpuModel *model, const float *mel, guint n_frames,
    const EncoderSetup *setups, guint n_setups)
{
  g_autofree float *expected = NULL;

  for (guint i = 0; i < n_setups; i++) {
    const EncoderSetup *setup = &setups[i];
    g_autofree char *what =
        g_strdup_printf ("%s, depth %u, batch %u, %u threads",
            encoder_fixture_precision_name (setup->precision), setup->depth,
            setup->batch_size, setup->threads);
    g_autofree float *states =
        encoder_fixture_encode_once (model, setup, mel, n_frames);

    if (expected)
      compare_check_same (what, states, expected, n_frames / 2, model->d);
    else
      expected = g_steal_pointer (&states);
  }
  g_test_message ("%u setups gave the same bytes", n_setups);
}

static void
test_same_bytes (gconstpointer precision)
{
  static const guint depths[] = {1, 2, 3, 4, 16};
  static const guint batches[] = {1, 2, 8, 24};
  static const guint threads[] = {1, 2, 4};
  NpuModel *model = new_model ();
  g_autofree float *mel = test_data_new_mel (N_MELS, N_FRAMES, 1);
  g_autoptr (GArray) setups = g_array_new (FALSE, TRUE, sizeof (EncoderSetup));

  for (guint d = 0; d < G_N_ELEMENTS (depths); d++) {
    for (guint b = 0; b < G_N_ELEMENTS (batches); b++) {
      for (guint t = 0; t < G_N_ELEMENTS (threads); t++) {
        const EncoderSetup setup = {depths[d], batches[b], threads[t],
            GPOINTER_TO_INT (precision), NULL};

        /* Every depth, batch and number of threads, if not with each other. */
        if (g_test_slow () || (d + b + t) % 5 == 0)
          g_array_append_val (setups, setup);
      }
    }
  }
  check_setups (
      model, mel, N_FRAMES, (const EncoderSetup *) setups->data, setups->len);
  small_model_free (model);
}

/* A whole window has 24 tiles: only here are batches of 24 full. */
static void
test_same_bytes_whole_window (gconstpointer precision)
{
  const NpuPrecision p = GPOINTER_TO_INT (precision);
  const EncoderSetup setups[] = {
      {3, 0, 2, p, NULL},
      {16, 24, 4, p, NULL},
      {1, 1, 1, p, NULL},
      {1, 24, 1, p, NULL},
      {2, 24, 2, p, NULL},
      {16, 7, 3, p, NULL},
  };
  NpuModel *model = small_model_new (N_MELS, 64, 1, 0);
  g_autofree float *mel = test_data_new_mel (N_MELS, NPU_MAX_FRAMES, 2);

  check_setups (model, mel, NPU_MAX_FRAMES, setups,
      g_test_slow () ? G_N_ELEMENTS (setups) : 2);
  small_model_free (model);
}

/* The shapes of a Whisper model: other splits of columns, more heads. */
static void
test_same_bytes_tiny (gconstpointer precision)
{
  const NpuPrecision p = GPOINTER_TO_INT (precision);
  const EncoderSetup setups[] = {
      {1, 1, 1, p, NULL},
      {3, 8, 4, p, NULL},
      {2, 2, 2, p, NULL},
      {16, 24, 2, p, NULL},
  };
  g_autoptr (NpuModel) model = encoder_fixture_open_model ("synthetic:tiny");
  g_autofree float *mel = test_data_new_mel (N_MELS, 300, 3);

  check_setups (
      model, mel, 300, setups, g_test_slow () ? G_N_ELEMENTS (setups) : 2);
}

/* --- one window after another ------------------------------------------- */

/* Rows of a longer window before, in the same buffers, must not leak into the
 * padding of a shorter one. */
static void
test_no_stale_state (gconstpointer precision)
{
  static const guint lengths[] = {
      600, 2, 130, 600, 600, 126, 128, 4, 130, 1102, 2, 600};
  const guint n_lengths = g_test_slow () ? G_N_ELEMENTS (lengths) : 4;
  const EncoderSetup setup = {.precision = GPOINTER_TO_INT (precision)};
  NpuModel *model = new_model ();
  g_autoptr (EncoderFixture) fixture = encoder_fixture_new (model, &setup);

  for (guint i = 0; i < n_lengths; i++) {
    const guint n = lengths[i];
    g_autofree float *mel = test_data_new_mel (N_MELS, n, i);
    g_autofree float *expected =
        encoder_fixture_encode_once (model, &setup, mel, n);
    g_autofree float *states = encoder_fixture_encode (fixture, mel, n);
    g_autofree char *what = g_strdup_printf ("window %u, %u frames", i, n);

    compare_check_same (what, states, expected, n / 2, model->d);
  }
  small_model_free (model);
}

/* Values that no microphone makes: the window itself means nothing, the next
 * one must not know of it. */
static void
test_no_trace_of_huge_values (gconstpointer precision)
{
  static const float values[] = {1e30f, -1e30f, 3e38f};
  const guint n = 258;
  const EncoderSetup setup = {.precision = GPOINTER_TO_INT (precision)};
  NpuModel *model = new_model ();
  g_autoptr (EncoderFixture) fixture = encoder_fixture_new (model, &setup);
  g_autofree float *mel = test_data_new_mel (N_MELS, n, 1);
  g_autofree float *expected = encoder_fixture_encode (fixture, mel, n);
  g_autofree float *ignored = g_new (float, n / 2 * model->d);

  for (guint i = 0; i < G_N_ELEMENTS (values); i++) {
    g_autofree float *huge = g_new (float, N_MELS *n);
    g_autofree float *states = NULL;

    for (guint j = 0; j < N_MELS * n; j++)
      huge[j] = j % 3 ? values[i] : mel[j];
    npu_encoder_encode (fixture->encoder, huge, n, ignored, NULL, NULL);
    states = encoder_fixture_encode (fixture, mel, n);
    compare_check_same ("after huge values", states, expected, n / 2, model->d);
  }
  small_model_free (model);
}

/* --- cancelling --------------------------------------------------------- */

/* Cancels from the running thread when a number of launches has gone. */
typedef struct {
  NpuExecutor *executor;
  guint countdown;
} Canceller;

static void
count_launches (const NpuStage *stage, NpuExecutorEvent event,
    const NpuExecutorEventInfo *info, gpointer user_data)
{
  Canceller *canceller = user_data;

  if (event != NPU_EVENT_LAUNCHED && event != NPU_EVENT_OVERLAPPED)
    return;
  if (canceller->countdown > 0 && --canceller->countdown == 0)
    npu_executor_cancel (canceller->executor);
}

static void
check_cancelled (EncoderFixture *fixture, const float *mel, float *states)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (npu_encoder_encode (
      fixture->encoder, mel, N_FRAMES, states, NULL, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_CANCELLED);
}

static void
test_cancel_and_resume (gconstpointer precision)
{
  /* Small batches: a window has many launches to be cancelled at. */
  const EncoderSetup setup = {
      .depth = 3, .batch_size = 1, .precision = GPOINTER_TO_INT (precision)};
  static const guint launches[] = {1, 3, 50, 2, 10, 90};
  const guint n_launches = g_test_slow () ? G_N_ELEMENTS (launches) : 3;
  NpuModel *model = new_model ();
  g_autoptr (EncoderFixture) fixture = encoder_fixture_new (model, &setup);
  NpuExecutor *executor = npu_encoder_get_executor (fixture->encoder);
  g_autofree float *mel = test_data_new_mel (N_MELS, N_FRAMES, 1);
  g_autofree float *expected = encoder_fixture_encode (fixture, mel, N_FRAMES);
  g_autofree float *ignored = g_new (float, N_FRAMES / 2 * model->d);
  Canceller canceller = {executor, 0};

  npu_executor_set_observer (executor, count_launches, &canceller);
  for (guint i = 0; i < n_launches; i++) {
    g_autofree float *states = NULL;

    canceller.countdown = launches[i];
    check_cancelled (fixture, mel, ignored);
    g_assert_cmpuint (canceller.countdown, ==, 0);
    check_cancelled (fixture, mel, ignored); /* until it is resumed */

    npu_executor_resume (executor);
    states = encoder_fixture_encode (fixture, mel, N_FRAMES);
    compare_check_same (
        "after a cancelled window", states, expected, N_FRAMES / 2, model->d);
  }
  small_model_free (model);
}

static gpointer
cancel_soon (gpointer data)
{
  Canceller *canceller = data;

  g_usleep (canceller->countdown);
  npu_executor_cancel (canceller->executor);
  return NULL;
}

static void
test_cancel_from_another_thread (void)
{
  const EncoderSetup setup = {.depth = 4, .batch_size = 1};
  NpuModel *model = new_model ();
  g_autoptr (EncoderFixture) fixture = encoder_fixture_new (model, &setup);
  NpuExecutor *executor = npu_encoder_get_executor (fixture->encoder);
  g_autofree float *mel = test_data_new_mel (N_MELS, N_FRAMES, 1);
  g_autofree float *expected = encoder_fixture_encode (fixture, mel, N_FRAMES);
  guint n_cancelled = 0, n_late = 0;

  for (guint i = 0; i < (g_test_slow () ? 12 : 6); i++) {
    Canceller canceller = {executor, i * 2 * MSEC_IN_USEC};
    GThread *thread = g_thread_new ("cancel", cancel_soon, &canceller);
    g_autofree float *states = g_new (float, N_FRAMES / 2 * model->d);
    g_autoptr (GError) error = NULL;
    gboolean done = npu_encoder_encode (
        fixture->encoder, mel, N_FRAMES, states, NULL, &error);

    g_thread_join (thread);
    npu_executor_resume (executor);
    if (done) {
      n_late++;
    } else {
      g_assert_error (error, NPU_ERROR, NPU_ERROR_CANCELLED);
      n_cancelled++;
      g_free (states);
      states = encoder_fixture_encode (fixture, mel, N_FRAMES);
    }
    compare_check_same (
        "cancelled or late", states, expected, N_FRAMES / 2, model->d);
  }
  g_test_message ("%u windows cancelled, %u done before", n_cancelled, n_late);
  small_model_free (model);
}

/* --- several encoders --------------------------------------------------- */

typedef struct {
  NpuEncoder *encoder;
  const float *mel;
  const float *expected;
  guint d;
} Job;

static gpointer
encode_repeatedly (gpointer data)
{
  const Job *job = data;

  for (guint i = 0; i < 4; i++) {
    g_autofree float *states = g_new (float, N_FRAMES / 2 * job->d);
    g_autoptr (GError) error = NULL;

    npu_encoder_encode (job->encoder, job->mel, N_FRAMES, states, NULL, &error);
    g_assert_no_error (error);
    compare_check_same (
        "one of several encoders", states, job->expected, N_FRAMES / 2, job->d);
  }
  return NULL;
}

static void
test_several_encoders_on_one_device (void)
{
  const NpuDeviceOptions device_options = {.threads = 3};
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuDevice) device =
      npu_device_open ("cpu", &device_options, &error);
  NpuModel *model = new_model ();
  float *mels[4], *expected[4];
  GThread *threads[4];
  Job jobs[4];

  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (jobs); i++) {
    const NpuEncoderOptions options = {.depth = i + 1,
        .batch_size = i,
        .precision = i % 2 ? NPU_PRECISION_INT8 : NPU_PRECISION_F32,
        .timeout = TIMEOUT};
    const EncoderSetup setup = {.precision = options.precision};

    mels[i] = test_data_new_mel (N_MELS, N_FRAMES, i);
    expected[i] =
        encoder_fixture_encode_once (model, &setup, mels[i], N_FRAMES);
    jobs[i].encoder = npu_encoder_new (model, device, &options, &error);
    g_assert_no_error (error);
    jobs[i].mel = mels[i];
    jobs[i].expected = expected[i];
    jobs[i].d = model->d;
  }
  small_model_free (model); /* encoders do not keep it */

  for (guint i = 0; i < G_N_ELEMENTS (jobs); i++)
    threads[i] = g_thread_new ("encode", encode_repeatedly, &jobs[i]);
  for (guint i = 0; i < G_N_ELEMENTS (jobs); i++) {
    g_thread_join (threads[i]);
    npu_encoder_free (jobs[i].encoder);
    g_free (mels[i]);
    g_free (expected[i]);
  }
}

static void
add (const char *path, GTestDataFunc func)
{
  g_autofree char *f32 = g_strconcat (path, "/f32", NULL);
  g_autofree char *int8 = g_strconcat (path, "/int8", NULL);
  g_autofree char *bf16 = g_strconcat (path, "/bf16", NULL);
  g_autofree char *int16 = g_strconcat (path, "/int16", NULL);

  g_test_add_data_func (f32, precision_data (NPU_PRECISION_F32), func);
  g_test_add_data_func (int8, precision_data (NPU_PRECISION_INT8), func);
  g_test_add_data_func (bf16, precision_data (NPU_PRECISION_BF16), func);
  if (encoder_fixture_has_int16 ())
    g_test_add_data_func (int16, precision_data (NPU_PRECISION_INT16), func);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("/encoder-schedule/same-bytes-whatever-depth-batch-threads",
      test_same_bytes);
  add ("/encoder-schedule/same-bytes-in-a-whole-window",
      test_same_bytes_whole_window);
  add (
      "/encoder-schedule/same-bytes-with-the-tiny-model", test_same_bytes_tiny);
  add ("/encoder-schedule/no-stale-state-between-windows", test_no_stale_state);
  add ("/encoder-schedule/no-trace-of-huge-values",
      test_no_trace_of_huge_values);
  add ("/encoder-schedule/cancelled-window-leaves-no-trace",
      test_cancel_and_resume);
  g_test_add_func ("/encoder-schedule/cancel-from-another-thread",
      test_cancel_from_another_thread);
  g_test_add_func ("/encoder-schedule/several-encoders-on-one-device",
      test_several_encoders_on_one_device);
  return g_test_run ();
}
