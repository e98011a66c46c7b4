/* More overlays than hardware contexts, several threads on one device, and the
 * guide's programs through the ring.
 *
 * usage: test-xrt-contexts LARGE PACKED ONE-CONTEXT
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "tiles/npu-program.h"
#include "xrt-rig.h"

static const char *large_overlays, *packed_overlays, *one_overlays;

static const struct {
  const char *name;
  gsize in_size, out_size;
} programs[] = {
    {"attention_64x64", 12288, 4096},
    {"layernorm_256", 768, 256},
    {"gelu_512", 512, 512},
    {"matmul_16x16", 512, 256},
};

#define N_PROGRAMS G_N_ELEMENTS (programs)
#define N_BLOCKS 33

static guint8 *
run_program (NpuDevice *device, guint which, guint depth, guint batch)
{
  const NpuProgramOptions options = {
      .depth = depth, .batch = batch, .timeout = 20 * SECOND};
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuProgram) program =
      npu_program_new (device, programs[which].name, &options, &error);
  g_autofree guint8 *in = g_malloc (N_BLOCKS * programs[which].in_size);
  guint8 *out = g_malloc0 (N_BLOCKS * programs[which].out_size);

  g_assert_no_error (error);
  g_assert_cmpuint (
      npu_program_get_in_size (program), ==, programs[which].in_size);
  g_assert_cmpuint (
      npu_program_get_out_size (program), ==, programs[which].out_size);
  for (gsize i = 0; i < N_BLOCKS * programs[which].in_size; i++)
    in[i] = (guint8) ((i * 7 + i / 100) % 61 - 30);
  npu_program_run (program, in, N_BLOCKS, out, &error);
  g_assert_no_error (error);
  return out;
}

/* The same bytes at every depth and batch. */
static void
test_programs (void)
{
  NpuDevice *device = rig_open (packed_overlays);

  for (guint i = 0; i < N_PROGRAMS; i++) {
    const gsize size = N_BLOCKS * programs[i].out_size;
    g_autofree guint8 *first = run_program (device, i, 1, 1);

    for (guint depth = 2; depth <= 16; depth *= 2)
      for (guint batch = 0; batch <= 24; batch += 8) {
        g_autofree guint8 *out = run_program (device, i, depth, batch);

        g_assert_cmpmem (out, size, first, size);
      }
  }
  npu_device_unref (device);
  rig_assert_clean ();
}

/* Overlays of one xclbin: all run in its one context, each by its own
 * instructions. */
static void
test_one_context (void)
{
  NpuDevice *several = rig_open (packed_overlays), *one;
  guint8 *expected[N_PROGRAMS];
  guint64 before;

  for (guint i = 0; i < N_PROGRAMS; i++)
    expected[i] = run_program (several, i, 2, 2);
  npu_device_unref (several);
  one = rig_open (one_overlays);
  g_free (run_program (one, 0, 1, 1));
  before = rig_counters ().switches;
  for (guint round = 0; round < 2; round++)
    for (guint i = 0; i < N_PROGRAMS; i++) {
      const gsize size = N_BLOCKS * programs[i].out_size;
      g_autofree guint8 *out = run_program (one, i, 3, 2);

      g_assert_cmpmem (out, size, expected[i], size);
      g_assert_cmpuint (rig_counters ().contexts, ==, 1);
    }
  g_assert_cmpuint (rig_counters ().switches, ==, before);
  for (guint i = 0; i < N_PROGRAMS; i++)
    g_free (expected[i]);
  npu_device_unref (one);
  rig_assert_clean ();
}

/* The device sleeps after 6 s without a question: a pause of 7 s between
 * launches is too long for one that is not kept awake. */
static void
test_awake (void)
{
  static const guint64 keep[] = {0, 60 * (guint64) 1000000000};

  rig_sim ("sleep_ms", "6000");
  for (guint i = 0; i < G_N_ELEMENTS (keep); i++) {
    const NpuDeviceOptions options = {
        .overlays = packed_overlays, .keep_awake = keep[i]};
    g_autoptr (GError) error = NULL;
    NpuDevice *device = npu_device_open ("xrt", &options, &error);
    guint64 before;

    g_assert_no_error (error);
    g_free (run_program (device, 0, 1, 1));
    before = rig_counters ().wakes;
    g_usleep (7 * G_USEC_PER_SEC);
    g_free (run_program (device, 0, 1, 1));
    g_assert_cmpuint (rig_counters ().wakes - before, ==, keep[i] ? 0 : 1);
    npu_device_unref (device);
  }
  rig_sim ("sleep_ms", "0");
  rig_assert_clean ();
}

/* With room for two contexts, four programs in turn. */
static void
test_eviction (void)
{
  NpuDevice *device;
  guint8 *expected[N_PROGRAMS] = {NULL};

  rig_sim ("contexts", "2");
  device = rig_open (packed_overlays);
  for (guint round = 0; round < 5; round++)
    for (guint i = 0; i < N_PROGRAMS; i++) {
      const gsize size = N_BLOCKS * programs[i].out_size;
      g_autofree guint8 *out = run_program (device, i, 1 + round, 2);

      if (round == 0)
        expected[i] = g_steal_pointer (&out);
      else
        g_assert_cmpmem (out, size, expected[i], size);
    }
  for (guint i = 0; i < N_PROGRAMS; i++)
    g_free (expected[i]);
  npu_device_unref (device);
  rig_sim ("contexts", "0");
  rig_assert_clean ();
}

/* Room that others have left is found: no limit is for ever. */
static void
test_room_again (void)
{
  NpuDevice *device;

  rig_sim ("contexts", "2");
  device = rig_open (packed_overlays);
  for (guint i = 0; i < N_PROGRAMS; i++)
    g_free (run_program (device, i, 2, 2));
  g_assert_cmpuint (rig_counters ().contexts, ==, 2);

  rig_sim ("contexts", "6");
  g_usleep (1200000);
  for (guint i = 0; i < N_PROGRAMS; i++)
    g_free (run_program (device, i, 2, 2));
  g_assert_cmpuint (rig_counters ().contexts, ==, N_PROGRAMS);
  npu_device_unref (device);
  rig_sim ("contexts", "0");
  rig_assert_clean ();
}

typedef struct {
  NpuDevice *device;
  guint which;
  const guint8 *expected;
} Job;

static gpointer
run_job (gpointer data)
{
  const Job *job = data;
  const gsize size = N_BLOCKS * programs[job->which].out_size;

  for (guint i = 0; i < 20; i++) {
    g_autofree guint8 *out =
        run_program (job->device, job->which, 1 + i % 6, 1 + i % 3);

    g_assert_cmpmem (out, size, job->expected, size);
  }
  return NULL;
}

/* Threads that share a device, each with another program, and room for fewer
 * contexts than that; two threads share each program. */
static void
test_threads (void)
{
  NpuDevice *device;
  guint8 *expected[N_PROGRAMS];
  Job jobs[2 * N_PROGRAMS];
  GThread *threads[2 * N_PROGRAMS];

  rig_sim ("contexts", "3");
  device = rig_open (packed_overlays);
  for (guint i = 0; i < N_PROGRAMS; i++)
    expected[i] = run_program (device, i, 1, 1);
  for (guint i = 0; i < 2 * N_PROGRAMS; i++) {
    jobs[i] = (Job){device, i % N_PROGRAMS, expected[i % N_PROGRAMS]};
    threads[i] = g_thread_new ("user", run_job, &jobs[i]);
  }
  for (guint i = 0; i < 2 * N_PROGRAMS; i++)
    g_thread_join (threads[i]);
  for (guint i = 0; i < N_PROGRAMS; i++)
    g_free (expected[i]);
  npu_device_unref (device);
  rig_sim ("contexts", "0");
  rig_assert_clean ();
}

/* Two devices in one process are one NPU: with room for one context, each takes
 * it from the other. Who opens one of them again gets the same. */
static void
test_two_devices (void)
{
  NpuDevice *a, *b, *again;

  rig_sim ("contexts", "1");
  a = rig_open (packed_overlays);
  b = rig_open (large_overlays);
  again = rig_open (packed_overlays);
  g_assert_true (a != b && a == again);
  npu_device_unref (again);
  for (guint i = 0; i < 4; i++) {
    g_free (run_program (i % 2 ? a : b, 2, 3, 2));
    g_assert_cmpuint (rig_counters ().contexts, ==, 1);
  }
  npu_device_unref (a);
  npu_device_unref (b);
  rig_sim ("contexts", "0");
  rig_assert_clean ();
}

/* The same without a limit. */
static void
test_two_devices_with_room (void)
{
  NpuDevice *a = rig_open (packed_overlays), *b = rig_open (large_overlays);
  g_autofree guint8 *first = run_program (a, 2, 3, 2);
  g_autofree guint8 *second = run_program (b, 2, 3, 2);
  const gsize size = N_BLOCKS * programs[2].out_size;

  g_assert_cmpmem (first, size, second, size);
  npu_device_unref (a);
  npu_device_unref (b);
  rig_assert_clean ();
}

/* --- neighbours: two who share a context, and one's timeout is short */

/* A program on as many blocks as launches, and how that went. */
typedef struct {
  NpuDevice *device;
  RigOp *op;
  guint n_launches;
  guint64 timeout;
  GError *error;
  GThread *thread;
} Neighbour;

static gpointer
run_neighbour (gpointer data)
{
  Neighbour *one = data;
  const RigRun run = {.rows = one->n_launches * 64,
      .batch = 1,
      .depth = one->n_launches,
      .sync_args = 3,
      .timeout = one->timeout};

  rig_op_run (one->op, &run, &one->error);
  return NULL;
}

static void
neighbour_start (Neighbour *one, guint n_launches, guint64 timeout)
{
  const NpuOp op = {
      .kind = NPU_OP_PROGRAM, .rows = n_launches, .program = "gelu_512"};

  *one = (Neighbour){.n_launches = n_launches, .timeout = timeout};
  one->device = rig_open (packed_overlays);
  one->op = rig_op_new (one->device, &op, NULL);
  one->thread = g_thread_new ("neighbour", run_neighbour, one);
}

static GError *
neighbour_end (Neighbour *one)
{
  g_thread_join (one->thread);
  rig_op_free (one->op, NULL);
  npu_device_unref (one->device);
  return one->error;
}

static void
wait_for_submission (guint64 n)
{
  while (rig_counters ().submissions < n)
    g_usleep (1000);
}

/* One has long launches in flight, and time for them; another's launch behind
 * them is late. That is an error for the other alone, and the context stays: a
 * new one could not be had. */
static void
test_neighbours (void)
{
  g_autoptr (GError) patient_error = NULL, hasty_error = NULL;
  const guint64 before = rig_counters ().submissions;
  Neighbour patient, hasty;

  rig_sim ("latency_us", "300000"); /* each finds another in flight */
  rig_sim ("queued_us", "1700000");
  neighbour_start (&patient, 3, 60 * SECOND);
  wait_for_submission (before + 3);
  neighbour_start (&hasty, 1, 50 * MS);
  wait_for_submission (before + 4);
  rig_sim ("fail", "context");
  hasty_error = neighbour_end (&hasty);
  patient_error = neighbour_end (&patient);
  g_assert_no_error (patient_error);
  g_assert_error (hasty_error, NPU_ERROR, NPU_ERROR_TIMEOUT);
  rig_sim ("latency_us", "0");
  rig_sim ("queued_us", "0");
  rig_sim ("fail", "");
  rig_assert_clean ();
}

/* What hangs is its owner's to end, also where no watchdog does: those behind
 * it end with it. */
static void
test_hung_neighbour (void)
{
  g_autoptr (GError) patient_error = NULL, hasty_error = NULL, again = NULL;
  const guint64 before = rig_counters ().submissions;
  Neighbour patient, hasty;

  rig_sim ("watchdog_ms", "0");
  rig_sim ("fail", "hang:n=1");
  neighbour_start (&patient, 1, SECOND);
  wait_for_submission (before + 1);
  neighbour_start (&hasty, 2, 50 * MS);
  hasty_error = neighbour_end (&hasty);
  patient_error = neighbour_end (&patient);
  rig_sim ("watchdog_ms", "2000");
  g_assert_error (patient_error, NPU_ERROR, NPU_ERROR_TIMEOUT);
  g_assert_error (hasty_error, NPU_ERROR, NPU_ERROR_TIMEOUT);
  rig_sim ("fail", "");
  neighbour_start (&hasty, 2, 20 * SECOND);
  again = neighbour_end (&hasty);
  g_assert_no_error (again);
  rig_assert_clean ();
}

int
main (int argc, char **argv)
{
  rig_keep_stdout ();
  g_test_init (&argc, &argv, NULL);
  if (argc != 4)
    g_error ("usage: %s LARGE PACKED ONE-CONTEXT", argv[0]);
  large_overlays = argv[1];
  packed_overlays = argv[2];
  one_overlays = argv[3];
  g_test_add_func ("/xrt/contexts/programs", test_programs);
  g_test_add_func ("/xrt/contexts/one-context", test_one_context);
  g_test_add_func ("/xrt/contexts/awake", test_awake);
  g_test_add_func ("/xrt/contexts/eviction", test_eviction);
  g_test_add_func ("/xrt/contexts/room-again", test_room_again);
  g_test_add_func ("/xrt/contexts/threads", test_threads);
  g_test_add_func ("/xrt/contexts/two-devices", test_two_devices);
  g_test_add_func (
      "/xrt/contexts/two-devices-with-room", test_two_devices_with_room);
  g_test_add_func ("/xrt/contexts/neighbours", test_neighbours);
  g_test_add_func ("/xrt/contexts/hung-neighbour", test_hung_neighbour);
  return g_test_run ();
}
