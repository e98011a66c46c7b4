/* What depth is worth where a launch has a latency: on a device of one engine
 * whose launches are as long on their way as they compute, depth 3 hides the
 * way. Two equal halves, so that twice is the limit.
 *
 * The device sleeps where others compute: it needs no processor, as an NPU does
 * not.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <time.h>

#include "executor-rig.h"

#define N_LAUNCHES 30
#define ROUNDS 5
#define SECOND ((guint64) 1000000000)

typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t turn;
  guint next;   /* launches compute one at a time, in their order */
  guint64 time; /* ns that each does */
} Engine;

static void
compute (const NpuLaunch *launch, guint tile, gpointer user_data)
{
  Engine *engine = user_data;
  const struct timespec time = {
      .tv_sec = (time_t) (engine->time / SECOND),
      .tv_nsec = (long) (engine->time % SECOND),
  };

  prctl (PR_SET_TIMERSLACK, 1000, 0, 0, 0);
  pthread_mutex_lock (&engine->lock);
  while (engine->next != tile)
    pthread_cond_wait (&engine->turn, &engine->lock);
  nanosleep (&time, NULL);
  rig_tile (launch, tile, NULL);
  engine->next++;
  pthread_cond_broadcast (&engine->turn);
  pthread_mutex_unlock (&engine->lock);
}

static void
run_at (NpuDevice *device, Engine *engine, guint depth, NpuStats *stats)
{
  g_autoptr (Rig) rig = rig_new (device, depth, N_LAUNCHES, 1, 10 * SECOND);

  engine->next = 0;
  g_assert_true (rig_run (rig, 1, NULL));
  rig_assert_right (rig);
  npu_executor_get_run_stats (rig->executor, stats);
}

/* Others on the machine take away from one round or another. */
static void
test_latency (gconstpointer data)
{
  Engine engine = {.time = *(const guint64 *) data};
  const FakeOptions options = {
      .mode = FAKE_WORKERS,
      .n_workers = 3, /* as many launches may be on their way */
      .launch_time = engine.time,
      .tile = compute,
      .user_data = &engine,
      .no_log = TRUE,
  };
  NpuDevice *device;
  double best = 0;
  guint64 stalls = G_MAXUINT64;

  pthread_mutex_init (&engine.lock, NULL);
  pthread_cond_init (&engine.turn, NULL);
  device = fake_device_new (&options);
  for (guint i = 0; i < ROUNDS; i++) {
    NpuStats sequential, pipelined;
    double speedup;

    run_at (device, &engine, 1, &sequential);
    run_at (device, &engine, 3, &pipelined);
    speedup = (double) sequential.total_time / (double) pipelined.total_time;
    g_test_message ("%.3f ms and %.3f ms a launch: %.2fx, %u stalls",
        (double) sequential.total_time / 1e6 / N_LAUNCHES,
        (double) pipelined.total_time / 1e6 / N_LAUNCHES, speedup,
        (guint) pipelined.stalls);
    best = MAX (best, speedup);
    stalls = MIN (stalls, pipelined.stalls);
  }
  npu_device_unref (device);
  pthread_cond_destroy (&engine.turn);
  pthread_mutex_destroy (&engine.lock);
  g_assert_cmpfloat (best, >=, 1.8);
  g_assert_cmpuint (stalls, ==, 0);
}

int
main (int argc, char **argv)
{
  static const guint64 times[] = {4000000};
  static const guint64 npu_times[] = {110000};

  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func (
      "/overlap/depth-three-hides-latency", times, test_latency);
  /* AMD's figure for a Phoenix: too short for a busy machine. */
  if (g_test_perf ())
    g_test_add_data_func (
        "/overlap/depth-three-hides-110-us", npu_times, test_latency);
  return g_test_run ();
}
