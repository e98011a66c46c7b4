/* How stages divide into launches, and the union of their compute times,
 * against brute force.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib.h>

#include "executor/npu-busy-time.h"
#include "executor/npu-schedule.h"

/* Number of the launch that holds each tile of @stage; the first fault found
 * ends the test. */
static guint *
launch_of_tiles (const NpuStage *stage, guint *n_launches)
{
  guint *launch_of = g_new (guint, stage->n_tiles);
  guint group = stage->tiles_per_group;
  guint tile, first, n;

  *n_launches = 0;
  for (first = 0; first < stage->n_tiles; first += n) {
    n = npu_schedule_launch_tiles (stage, first);
    g_assert_cmpuint (n, >=, 1);
    g_assert_cmpuint (n, <=, stage->batch);
    g_assert_cmpuint (n, <=, stage->n_tiles - first);
    if (group > 0)
      g_assert_cmpuint (first / group, ==, (first + n - 1) / group);
    /* As long as it may be. */
    if (n < stage->batch && first + n < stage->n_tiles)
      g_assert_cmpuint ((first + n) % group, ==, 0);
    for (tile = first; tile < first + n; tile++)
      launch_of[tile] = *n_launches;
    (*n_launches)++;
  }
  return launch_of;
}

static void
check_stage (const NpuStage *stage)
{
  guint n_launches, rows_end, tile;
  g_autofree guint *launch_of = launch_of_tiles (stage, &n_launches);
  guint group = stage->tiles_per_group;

  if (group == 0 || group > stage->n_tiles)
    group = stage->n_tiles;
  g_assert_cmpuint (npu_schedule_count (stage), ==, n_launches);

  for (rows_end = 1; rows_end <= group + 2; rows_end++) {
    guint64 count = npu_schedule_count_for_rows (stage, rows_end);
    guint last = 0;

    for (tile = 0; tile < stage->n_tiles; tile++) {
      if (tile % group < rows_end)
        last = launch_of[tile];
    }
    g_assert_cmpuint (count, <=, n_launches);
    if (stage->n_tiles % group == 0 && rows_end <= group)
      g_assert_cmpuint (count, ==, last + 1);
    else
      g_assert_cmpuint (count, >=, last + 1);
  }
}

/* Launches of whole groups: brute force over which launch has which tile. */
static void
check_whole_groups (const NpuStage *stage)
{
  const guint group =
      stage->tiles_per_group == 0 || stage->tiles_per_group > stage->n_tiles
          ? stage->n_tiles
          : stage->tiles_per_group;
  guint first, n, n_launches = 0;

  for (first = 0; first < stage->n_tiles; first += n, n_launches++) {
    const guint left = stage->n_tiles - first;

    n = npu_schedule_launch_tiles (stage, first);
    g_assert_cmpuint (first % group, ==, 0);
    g_assert_cmpuint (n, ==, MIN (stage->groups_per_launch * group, left));
    if (left >= group)
      g_assert_cmpuint (npu_schedule_rows_end (stage, first, n), ==, group);
  }
  g_assert_cmpuint (npu_schedule_count (stage), ==, n_launches);
  /* Every group's rows are written when the last launch has completed, and no
   * row of all groups before. */
  for (n = 1; n <= group + 2; n++)
    g_assert_cmpuint (npu_schedule_count_for_rows (stage, n), ==, n_launches);
}

static void
test_whole_groups (void)
{
  NpuStage stage = {.name = "stage"};

  for (stage.n_tiles = 1; stage.n_tiles <= 40; stage.n_tiles++)
    for (stage.tiles_per_group = 0; stage.tiles_per_group <= 26;
         stage.tiles_per_group++)
      for (stage.groups_per_launch = 1; stage.groups_per_launch <= 6;
           stage.groups_per_launch++)
        for (stage.batch = 1; stage.batch <= 26; stage.batch += 5)
          check_whole_groups (&stage);
}

static void
test_launches (void)
{
  NpuStage stage = {.name = "stage"};

  for (stage.n_tiles = 1; stage.n_tiles <= 40; stage.n_tiles++)
    for (stage.tiles_per_group = 0; stage.tiles_per_group <= 26;
         stage.tiles_per_group++)
      for (stage.batch = 1; stage.batch <= 26; stage.batch++)
        check_stage (&stage);
}

static void
test_huge_numbers (void)
{
  NpuStage stage = {
      .n_tiles = G_MAXUINT,
      .tiles_per_group = G_MAXUINT - 1,
      .batch = G_MAXUINT,
  };

  g_assert_cmpuint (npu_schedule_count (&stage), ==, 2);
  g_assert_cmpuint (npu_schedule_launch_tiles (&stage, 0), ==, G_MAXUINT - 1);
  g_assert_cmpuint (npu_schedule_launch_tiles (&stage, G_MAXUINT - 1), ==, 1);
  g_assert_cmpuint (npu_schedule_rows_end (&stage, G_MAXUINT - 1, 1), ==, 1);
  stage.groups_per_launch = G_MAXUINT;
  g_assert_cmpuint (npu_schedule_count (&stage), ==, 1);
  g_assert_cmpuint (npu_schedule_launch_tiles (&stage, 0), ==, G_MAXUINT);
  stage.groups_per_launch = 0;
  stage.batch = 1;
  g_assert_cmpuint (npu_schedule_count (&stage), ==, G_MAXUINT);
  stage.n_tiles = 0;
  g_assert_cmpuint (npu_schedule_count (&stage), ==, 0);
  g_assert_cmpuint (npu_schedule_count_for_rows (&stage, 1), ==, 0);
}

static void
test_busy_time (void)
{
  enum { N = 400, MAX_IN_FLIGHT = 16, LENGTH = 8000 };
  guint round;

  for (round = 0; round < 200; round++) {
    g_autofree guint8 *busy_at = g_new0 (guint8, LENGTH);
    guint depth = 1 + round % MAX_IN_FLIGHT;
    guint64 ended[MAX_IN_FLIGHT] = {0};
    guint64 now = 0, sum = 0, expected = 0;
    NpuBusyTime busy = {0};
    guint i, t;

    /* A launch is submitted once the one `depth` before it, and all before
     * that, have ended. */
    for (i = 0; i < N; i++) {
      guint64 submitted = MAX (now, ended[i % depth]);
      guint64 start = submitted + (guint64) g_test_rand_int_range (0, 12);
      guint64 end = start + (guint64) g_test_rand_int_range (0, 12);

      g_assert_cmpuint (end, <, LENGTH);
      sum += npu_busy_time_add (&busy, submitted, start, end);
      for (t = (guint) start; t < end; t++)
        busy_at[t] = 1;
      ended[i % depth] = end;
      now = submitted;
    }
    for (t = 0; t < LENGTH; t++)
      expected += busy_at[t];
    g_assert_cmpuint (sum, ==, expected);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func (
      "/executor/schedule/launches-cover-tiles-and-groups", test_launches);
  g_test_add_func (
      "/executor/schedule/launches-cover-whole-groups", test_whole_groups);
  g_test_add_func (
      "/executor/schedule/huge-numbers-do-not-overflow", test_huge_numbers);
  g_test_add_func ("/executor/schedule/busy-time-is-the-union", test_busy_time);
  return g_test_run ();
}
