/* A launch is submitted only after what it needs has completed: proven from
 * the order in which the device saw things happen, and by what stages that
 * read each other's outputs compute.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib.h>

#include "executor/npu-executor.h"
#include "fake-device.h"

#define MAX_STAGES 6
#define SECOND ((guint64) 1000000000)

/* A chain of stages: each has its own kernel, and writes one word for each of
 * its tiles into a buffer of its own, [n_groups][n_rows]. */
typedef struct {
  guint n_rows;
  guint n_stages;
  guint n_groups[MAX_STAGES];
  NpuStage stages[MAX_STAGES];
  NpuBuffer *outputs[MAX_STAGES];
} Chain;

static guint32 *
words (NpuBuffer *buffer)
{
  return (guint32 *) (gpointer) buffer->data;
}

/* Sums what @stage needs of the stage before: one row of it, or all. */
static guint32
chain_word (const Chain *chain, guint stage, guint tile)
{
  guint32 word = tile * 2654435761u + stage;
  guint row = tile % chain->n_rows;
  guint group, r;

  if (stage == 0)
    return word;
  for (group = 0; group < chain->n_groups[stage - 1]; group++) {
    const guint32 *before =
        words (chain->outputs[stage - 1]) + group * chain->n_rows;

    for (r = 0; r < chain->n_rows; r++) {
      if (r == row || chain->stages[stage].needs == NPU_NEEDS_ALL)
        word = word * 31 + (before[r] ^ (before[r] >> 13));
    }
  }
  return word;
}

static void
chain_tile (const NpuLaunch *launch, guint tile, gpointer user_data)
{
  const Chain *chain = user_data;
  guint stage;

  for (stage = 0; chain->stages[stage].launch.kernel != launch->kernel; stage++)
    ;
  words (chain->outputs[stage])[tile] = chain_word (chain, stage, tile);
}

static void
chain_init (Chain *chain, NpuDevice *device, guint n_rows, guint n_stages)
{
  guint i;

  chain->n_rows = n_rows;
  chain->n_stages = n_stages;
  for (i = 0; i < n_stages; i++) {
    guint n_groups = g_test_rand_bit () ? 1 : g_test_rand_int_range (1, 7);

    chain->n_groups[i] = n_groups;
    chain->outputs[i] =
        npu_buffer_new (device, n_groups * n_rows * sizeof (guint32), NULL);
    chain->stages[i] = (NpuStage){
        .name = "stage",
        .launch.kernel = fake_kernel_new (device),
        .launch.args[0] = chain->outputs[i],
        .n_tiles = n_groups * n_rows,
        .tiles_per_group = n_groups == 1 ? 0 : n_rows,
        .groups_per_launch = g_test_rand_int_range (0, 3) == 0
                                 ? (guint) g_test_rand_int_range (1, 4)
                                 : 0,
        .batch = (guint) g_test_rand_int_range (1, 25),
        .needs = g_test_rand_int_range (0, 3) == 0 ? NPU_NEEDS_ALL
                                                   : NPU_NEEDS_SAME_ROWS,
    };
  }
}

static void
chain_clear (Chain *chain)
{
  guint i;

  for (i = 0; i < chain->n_stages; i++) {
    npu_kernel_unref (chain->stages[i].launch.kernel);
    npu_buffer_free (chain->outputs[i]);
  }
}

static guint
stage_of (const Chain *chain, const FakeRecord *record)
{
  guint stage;

  for (stage = 0; chain->stages[stage].launch.kernel != record->kernel; stage++)
    ;
  return stage;
}

static gboolean
share_rows (const Chain *chain, const FakeRecord *a, const FakeRecord *b)
{
  guint a_row = a->first_tile % chain->n_rows;
  guint b_row = b->first_tile % chain->n_rows;

  return a_row < b_row + b->n_tiles && b_row < a_row + a->n_tiles;
}

/* Returns: how many launches went while one of the stage before was still in
 * flight. */
static guint
check_order (const Chain *chain, const FakeRecord *log, guint n_records)
{
  guint i, j, n_overlapping = 0;

  for (i = 0; i < n_records; i++) {
    guint stage = stage_of (chain, &log[i]);
    gboolean overlaps = FALSE;

    for (j = 0; j < n_records; j++) {
      guint other = stage_of (chain, &log[j]);
      gboolean needed;

      if (other >= stage)
        continue;
      needed = other + 1 < stage ||
               chain->stages[stage].needs == NPU_NEEDS_ALL ||
               share_rows (chain, &log[i], &log[j]);
      if (needed)
        g_assert_cmpuint (log[j].completed, <, log[i].submitted);
      overlaps |= log[j].completed > log[i].submitted;
    }
    n_overlapping += overlaps;
  }
  return n_overlapping;
}

/* Chains at random, on a device that completes in any order, or never before
 * it must. */
static void
test_random_chains (gconstpointer data)
{
  const FakeMode mode = (FakeMode) GPOINTER_TO_INT (data);
  Chain chain;
  FakeOptions options = {
      .mode = mode,
      .n_workers = 4,
      .launch_time = mode == FAKE_WORKERS ? 20000 : 0,
      .scramble = TRUE,
      .tile = chain_tile,
      .user_data = &chain,
  };
  guint round, n_overlapping = 0;

  for (round = 0; round < 300; round++) {
    g_autoptr (NpuDevice) device = fake_device_new (&options);
    guint depth = 1 + round % NPU_EXECUTOR_MAX_DEPTH;
    g_autoptr (NpuExecutor) executor =
        npu_executor_new (device, depth, 60 * SECOND, NULL);
    const FakeRecord *log;
    guint n_records, stage, tile;
    GError *error = NULL;
    NpuStats stats;

    chain_init (&chain, device, (guint) g_test_rand_int_range (1, 25),
        (guint) g_test_rand_int_range (2, MAX_STAGES + 1));
    npu_executor_run (executor, chain.stages, chain.n_stages, &error);
    g_assert_no_error (error);

    log = fake_device_get_log (device, &n_records);
    npu_executor_get_run_stats (executor, &stats);
    g_assert_cmpuint (n_records, ==, stats.launches);
    n_overlapping += check_order (&chain, log, n_records);
    for (stage = 0; stage < chain.n_stages; stage++)
      for (tile = 0; tile < chain.stages[stage].n_tiles; tile++)
        g_assert_cmphex (words (chain.outputs[stage])[tile], ==,
            chain_word (&chain, stage, tile));
    chain_clear (&chain);
  }
  g_test_message (
      "%u launches overlapped with the stage before", n_overlapping);
  g_assert_cmpuint (n_overlapping, >, 0);
}

static guint
in_flight_at_second_stage (NpuNeeds needs, guint skipped_tiles)
{
  FakeOptions slow = {.mode = FAKE_ON_WAIT};
  g_autoptr (NpuDevice) device = fake_device_new (&slow);
  g_autoptr (NpuExecutor) executor = npu_executor_new (device, 4, SECOND, NULL);
  NpuKernel *first = fake_kernel_new (device);
  NpuKernel *second = fake_kernel_new (device);
  NpuStage stages[3] = {
      {.name = "a", .launch.kernel = first, .n_tiles = 8, .batch = 1},
      {.name = "b", .n_tiles = skipped_tiles, .batch = 1},
      {.name = "c", .launch.kernel = second, .n_tiles = 8, .batch = 1},
  };
  const FakeRecord *log;
  GError *error = NULL;
  guint n_records;

  stages[2].needs = needs;
  if (skipped_tiles > 0)
    stages[1] = stages[2];
  npu_executor_run (executor, stages, skipped_tiles > 0 ? 2 : 3, &error);
  g_assert_no_error (error);
  log = fake_device_get_log (device, &n_records);
  g_assert_cmpuint (n_records, ==, 16);
  g_assert_true (log[8].kernel == second);
  npu_kernel_unref (first);
  npu_kernel_unref (second);
  return log[8].in_flight;
}

static void
test_row_wise_does_not_drain (void)
{
  g_assert_cmpuint (in_flight_at_second_stage (NPU_NEEDS_SAME_ROWS, 8), ==, 3);
}

static void
test_all_drains (void)
{
  g_assert_cmpuint (in_flight_at_second_stage (NPU_NEEDS_ALL, 8), ==, 0);
}

static void
test_skipped_stage_drains (void)
{
  g_assert_cmpuint (in_flight_at_second_stage (NPU_NEEDS_SAME_ROWS, 0), ==, 0);
  g_assert_cmpuint (in_flight_at_second_stage (NPU_NEEDS_ALL, 0), ==, 0);
}

/* Which launch a slot is busy with: from prepare to the end of finish. */
typedef struct {
  NpuDevice *device;
  gint busy_with[NPU_EXECUTOR_MAX_DEPTH];
  guint next_to_finish;
} Slots;

static gboolean
take_slot (const NpuStage *stage, guint slot, NpuLaunch *launch,
    gpointer user_data, GError **error)
{
  Slots *slots = user_data;

  g_assert_cmpint (slots->busy_with[slot], ==, -1);
  slots->busy_with[slot] = (gint) launch->first_tile;
  return TRUE;
}

static gboolean
leave_slot (const NpuStage *stage, guint slot, NpuLaunch *launch,
    gpointer user_data, GError **error)
{
  Slots *slots = user_data;
  const FakeRecord *log;
  guint n_records;

  g_assert_cmpint (slots->busy_with[slot], ==, launch->first_tile);
  g_assert_cmpuint (launch->first_tile, ==, slots->next_to_finish);
  slots->next_to_finish = launch->first_tile + launch->n_tiles;
  log = fake_device_get_log (slots->device, &n_records);
  g_assert_cmpuint (
      log[launch->first_tile / stage->batch].completed, !=, G_MAXUINT64);
  slots->busy_with[slot] = -1;
  return TRUE;
}

static void
test_slots (void)
{
  FakeOptions slow = {.mode = FAKE_ON_WAIT};
  guint depth, slot;

  for (depth = 1; depth <= NPU_EXECUTOR_MAX_DEPTH; depth++) {
    g_autoptr (NpuDevice) device = fake_device_new (&slow);
    g_autoptr (NpuExecutor) executor =
        npu_executor_new (device, depth, SECOND, NULL);
    Slots slots = {.device = device};
    NpuStage stage = {
        .name = "slots",
        .launch.kernel = fake_kernel_new (device),
        .n_tiles = 100,
        .batch = 3,
        .prepare = take_slot,
        .finish = leave_slot,
        .user_data = &slots,
    };
    const FakeRecord *log;
    guint i, n_records, most = 0;

    for (slot = 0; slot < depth; slot++)
      slots.busy_with[slot] = -1;
    g_assert_true (npu_executor_run (executor, &stage, 1, NULL));
    g_assert_cmpuint (slots.next_to_finish, ==, 100);
    log = fake_device_get_log (device, &n_records);
    for (i = 0; i < n_records; i++)
      most = MAX (most, log[i].in_flight + 1);
    g_assert_cmpuint (most, ==, depth);
    npu_kernel_unref (stage.launch.kernel);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/executor/order/no-launch-before-what-it-needs",
      GINT_TO_POINTER (FAKE_WORKERS), test_random_chains);
  g_test_add_data_func ("/executor/order/no-launch-before-what-it-needs-lazy",
      GINT_TO_POINTER (FAKE_ON_WAIT), test_random_chains);
  g_test_add_func ("/executor/order/row-wise-stages-do-not-drain",
      test_row_wise_does_not_drain);
  g_test_add_func (
      "/executor/order/a-stage-that-needs-all-drains", test_all_drains);
  g_test_add_func ("/executor/order/rows-after-a-skipped-stage-drain",
      test_skipped_stage_drains);
  g_test_add_func (
      "/executor/order/slots-are-used-one-launch-at-a-time", test_slots);
  return g_test_run ();
}
