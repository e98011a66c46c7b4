/* More overlays than hardware contexts, several threads on one device, and the
 * guide's programs through the ring.
 *
 * usage: test-xrt-contexts LARGE PACKED
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "tiles/npu-program.h"
#include "xrt-rig.h"

static const char *large_overlays, *packed_overlays;

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

int
main (int argc, char **argv)
{
  rig_keep_stdout ();
  g_test_init (&argc, &argv, NULL);
  if (argc != 3)
    g_error ("usage: %s LARGE PACKED", argv[0]);
  large_overlays = argv[1];
  packed_overlays = argv[2];
  g_test_add_func ("/xrt/contexts/programs", test_programs);
  g_test_add_func ("/xrt/contexts/awake", test_awake);
  g_test_add_func ("/xrt/contexts/eviction", test_eviction);
  g_test_add_func ("/xrt/contexts/room-again", test_room_again);
  g_test_add_func ("/xrt/contexts/threads", test_threads);
  g_test_add_func ("/xrt/contexts/two-devices", test_two_devices);
  g_test_add_func (
      "/xrt/contexts/two-devices-with-room", test_two_devices_with_room);
  return g_test_run ();
}
