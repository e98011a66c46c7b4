/* What loose tiles tell of their pipeline: statistics, lines, trace, errors.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fake-device.h"
#include "tiles-fixture.h"

/* --- statistics -------------------------------------------------------- */

static void
test_stats (void)
{
  g_autoptr (NpuDevice) device = tiles_device (2);
  g_autoptr (List) list = list_new (20, 1);
  g_autoptr (Weights) weights = weights_new (64);
  g_autoptr (NpuTiles) tiles =
      tiles_new (device, 3, 2, NPU_PRODUCT_F32, &weights->block);
  g_autoptr (Results) results = results_new (20, 64);
  g_autofree float *out = g_new (float, 20 * 64 * 64);
  NpuStats stats, block;

  g_assert_true (npu_tiles_attention (tiles, list->tiles, 20, out, NULL));
  npu_tiles_get_stats (tiles, &stats);
  g_assert_cmpuint (stats.tiles, ==, 20);
  g_assert_cmpuint (stats.launches, ==, 10);
  g_assert_cmpuint (stats.dma_write_time, >, 0);
  g_assert_cmpuint (stats.compute_time, >, 0);
  g_assert_cmpuint (stats.dma_read_time, >, 0);
  g_assert_cmpuint (stats.compute_time, <=, stats.total_time);

  g_assert_true (results_run (results, tiles, list, NULL));
  npu_tiles_get_last_stats (tiles, &block);
  g_assert_cmpuint (block.tiles, ==, 4 * 20);
  g_assert_cmpuint (block.launches, ==, 4 * 10);
  npu_tiles_get_stats (tiles, &stats);
  g_assert_cmpuint (stats.tiles, ==, 5 * 20);

  npu_tiles_reset_stats (tiles);
  npu_tiles_get_stats (tiles, &stats);
  g_assert_cmpuint (stats.tiles, ==, 0);
  g_assert_cmpuint (stats.total_time, ==, 0);
}

static void
test_print (void)
{
  g_autoptr (NpuDevice) device = tiles_device (2);
  g_autoptr (List) list = list_new (20, 1);
  g_autoptr (NpuTiles) tiles = tiles_new (device, 1, 2, NPU_PRODUCT_F32, NULL);
  g_autofree float *out = g_new (float, 20 * 64 * 64);
  char *text = NULL;
  size_t size = 0;
  FILE *file = open_memstream (&text, &size);

  g_assert_true (npu_tiles_attention (tiles, list->tiles, 20, out, NULL));
  npu_tiles_print_stats (tiles, file);
  fclose (file);
  g_assert_nonnull (strstr (text, "depth 1, batch 2 on cpu ("));
  g_assert_nonnull (strstr (text, "  tiles              20\n"));
  g_assert_nonnull (strstr (text, "  launches           10\n"));
  /* At depth 1 every launch but the first finds the device idle. */
  g_assert_nonnull (strstr (text, "  stalls              9\n"));
  free (text);
}

/* --- lines ------------------------------------------------------------- */

static char *
lines_of (guint depth, guint batch, guint n_tiles, guint n_kv)
{
  g_autoptr (NpuDevice) device = tiles_device (1);
  g_autoptr (List) list = list_new (n_tiles, n_kv);
  g_autoptr (NpuTiles) tiles =
      tiles_new (device, depth, batch, NPU_PRODUCT_F32, NULL);
  g_autofree float *out = g_new (float, n_tiles * 64 * 64);
  g_autoptr (GRegex) stall = g_regex_new (" \\(stall\\)", 0, 0, NULL);
  char *text = NULL, *plain;
  size_t size = 0;
  FILE *file = open_memstream (&text, &size);

  npu_tiles_set_verbose (tiles, file);
  g_assert_true (npu_tiles_attention (tiles, list->tiles, n_tiles, out, NULL));
  npu_tiles_set_verbose (tiles, NULL);
  g_assert_true (npu_tiles_attention (tiles, list->tiles, n_tiles, out, NULL));
  fclose (file);
  if (depth == 1) /* whatever the machine does */
    g_assert_nonnull (strstr (text, "stall"));
  plain = g_regex_replace (stall, text, -1, 0, "", 0, NULL);
  free (text);
  return plain;
}

static void
test_lines (void)
{
  g_autofree char *text = lines_of (3, 1, 5, 1);

  g_assert_cmpstr (text, ==,
      "[fill]   attention, slot 0: tile 0 launched (no wait)\n"
      "[fill]   attention, slot 1: tile 1 launched (no wait)\n"
      "[fill]   attention, slot 2: tile 2 launched (no wait)\n"
      "[steady] attention, slot 0: tile 0 completed, tile 3 launched\n"
      "[steady] attention, slot 1: tile 1 completed, tile 4 launched\n"
      "[drain]  attention, slot 2: tile 2 completed\n"
      "[drain]  attention, slot 0: tile 3 completed\n"
      "[drain]  attention, slot 1: tile 4 completed\n");
}

static void
test_lines_of_batches (void)
{
  g_autofree char *text = lines_of (1, 2, 5, 1);

  g_assert_cmpstr (text, ==,
      "[fill]   attention, slot 0: tiles 0-1 launched (no wait)\n"
      "[steady] attention, slot 0: tiles 0-1 completed, tiles 2-3 launched\n"
      "[steady] attention, slot 0: tiles 2-3 completed, tile 4 launched\n"
      "[drain]  attention, slot 0: tile 4 completed\n");
}

/* --- a launch that prepare renumbers ----------------------------------- */

static gboolean
renumber (const NpuStage *stage, guint slot, NpuLaunch *launch,
    gpointer user_data, GError **error)
{
  launch->first_tile = 0;
  return TRUE;
}

static void
note_tile (const NpuStage *stage, NpuExecutorEvent event,
    const NpuExecutorEventInfo *info, gpointer user_data)
{
  GString *seen = user_data;

  if (event == NPU_EVENT_DRAINED || event == NPU_EVENT_LAUNCHED)
    g_string_append_printf (seen, "%u ", info->first_tile);
  else if (event == NPU_EVENT_OVERLAPPED)
    g_string_append_printf (
        seen, "%u>%u ", info->completed_first_tile, info->first_tile);
}

static void
test_renumbered (void)
{
  const FakeOptions options = {.mode = FAKE_ON_WAIT};
  g_autoptr (NpuDevice) device = fake_device_new (&options);
  NpuKernel *kernel = fake_kernel_new (device);
  NpuExecutor *executor = npu_executor_new (device, 2, 1000000000, NULL);
  const NpuStage stage = {
      .name = "loose",
      .launch = {.kernel = kernel, .rows = 64},
      .n_tiles = 7,
      .batch = 2,
      .prepare = renumber,
  };
  g_autoptr (GString) seen = g_string_new (NULL);
  GError *error = NULL;
  const FakeRecord *records;
  guint n_records;

  npu_executor_set_observer (executor, note_tile, seen);
  npu_executor_run (executor, &stage, 1, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (seen->str, ==, "0 2 0>4 2>6 4 6 ");
  records = fake_device_get_log (device, &n_records);
  g_assert_cmpuint (n_records, ==, 4);
  for (guint i = 0; i < n_records; i++)
    g_assert_cmpuint (records[i].first_tile, ==, 0);

  fake_device_fail_launch_at (device, 2);
  g_assert_false (npu_executor_run (executor, &stage, 1, &error));
  g_assert_nonnull (strstr (error->message, "tiles 4-5 of stage 'loose'"));
  g_clear_error (&error);
  npu_executor_free (executor);
  npu_kernel_unref (kernel);
}

/* --- workers ----------------------------------------------------------- */

typedef struct {
  gint n_tiles[2];     /* by worker; atomic */
  gint n_out_of_order; /* spans that end before they start; atomic */
} Seen;

static void
note_worker (guint worker, const NpuKernel *kernel, guint tile, guint64 start,
    guint64 end, gpointer user_data)
{
  Seen *seen = user_data;

  g_assert_cmpuint (worker, <, 2);
  g_assert_cmpuint (tile, <, 2); /* of the slot's batch */
  g_atomic_int_inc (&seen->n_tiles[worker]);
  if (end < start)
    g_atomic_int_inc (&seen->n_out_of_order);
}

static void
test_workers (void)
{
  Seen seen = {.n_out_of_order = 0};
  const NpuDeviceOptions options = {
      .threads = 2, .tile_observer = note_worker, .tile_observer_data = &seen};
  g_autoptr (NpuDevice) device = npu_device_open ("cpu", &options, NULL);
  g_autoptr (List) list = list_new (20, 5);
  g_autoptr (NpuTiles) tiles = tiles_new (device, 3, 2, NPU_PRODUCT_F32, NULL);
  g_autofree float *out = g_new (float, 20 * 64 * 64);

  g_assert_true (npu_tiles_attention (tiles, list->tiles, 20, out, NULL));
  g_assert_cmpint (seen.n_tiles[0] + seen.n_tiles[1], ==, 20);
  g_assert_cmpint (seen.n_out_of_order, ==, 0);
}

/* --- errors ------------------------------------------------------------ */

static void
check_refused (gboolean done, GError **error, const char *part)
{
  g_assert_false (done);
  g_assert_error (*error, NPU_ERROR, NPU_ERROR_SETTINGS);
  if (strstr ((*error)->message, part) == NULL)
    g_error ("no '%s' in '%s'", part, (*error)->message);
  g_clear_error (error);
}

static void
test_options (void)
{
  static const struct {
    NpuTilesOptions options;
    const char *part;
  } bad[] = {
      {{.depth = 0}, "depth 0"},
      {{.depth = 17}, "depth 17"},
      {{.depth = 1, .product = 99}, "product 99"},
      {{.depth = 1, .batch = 25}, "batch 25"},
      {{.depth = 1, .max_kv = 25}, "max_kv 25"},
  };
  g_autoptr (NpuDevice) device = tiles_device (1);
  g_autoptr (Weights) weights = weights_new (100);
  const NpuTilesOptions good = {.depth = 1};
  NpuTilesBlock block = weights->block;
  GError *error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    NpuTiles *tiles = npu_tiles_new (device, &bad[i].options, NULL, &error);
    check_refused (tiles != NULL, &error, bad[i].part);
  }
  check_refused (
      npu_tiles_new (device, &good, &block, &error) != NULL, &error, "not 100");
  block.n = 64;
  block.gamma = NULL;
  check_refused (
      npu_tiles_new (device, &good, &block, &error) != NULL, &error, "gamma");
}

static void
test_bad_tiles (void)
{
  g_autoptr (NpuDevice) device = tiles_device (1);
  g_autoptr (List) list = list_new (3, 2);
  const NpuTilesOptions options = {.depth = 2, .batch = 1, .max_kv = 2};
  g_autoptr (NpuTiles) tiles = npu_tiles_new (device, &options, NULL, NULL);
  g_autofree float *out = g_new (float, 3 * 64 * 64);
  NpuAttentionTile *tile = &list->tiles[1];
  const NpuAttentionTile good = *tile;
  const NpuTilesResults results = {0};
  NpuTile no_data[2];
  GError *error = NULL;

  tile->n_kv = 3;
  check_refused (npu_tiles_attention (tiles, list->tiles, 3, out, &error),
      &error,
      "tile 1 has 3 K/V tiles; this pipeline takes 1 "
      "to 2");
  tile->n_kv = 0;
  check_refused (npu_tiles_attention (tiles, list->tiles, 3, out, &error),
      &error, "tile 1 has 0");
  *tile = good;
  tile->q.scale = NAN;
  check_refused (npu_tiles_attention (tiles, list->tiles, 3, out, &error),
      &error, "not finite");
  *tile = good;
  memcpy (no_data, tile->v, sizeof no_data);
  no_data[1].data = NULL;
  tile->v = no_data;
  check_refused (npu_tiles_attention (tiles, list->tiles, 3, out, &error),
      &error, "tile 1 has an operand without data");
  *tile = good;
  check_refused (npu_tiles_block (tiles, list->tiles, 3, &results, &error),
      &error, "made without a block");
  /* None of them harmed the pipeline. */
  g_assert_true (npu_tiles_attention (tiles, list->tiles, 3, out, NULL));
}

static void
test_cancel (void)
{
  g_autoptr (NpuDevice) device = tiles_device (1);
  g_autoptr (List) list = list_new (3, 1);
  g_autoptr (NpuTiles) tiles = tiles_new (device, 2, 1, NPU_PRODUCT_F32, NULL);
  g_autofree float *out = g_new (float, 3 * 64 * 64);
  GError *error = NULL;

  npu_executor_cancel (npu_tiles_get_executor (tiles));
  g_assert_false (npu_tiles_attention (tiles, list->tiles, 3, out, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_CANCELLED);
  g_clear_error (&error);
  npu_executor_resume (npu_tiles_get_executor (tiles));
  g_assert_true (npu_tiles_attention (tiles, list->tiles, 3, out, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tiles/stats-are-counted-and-reset", test_stats);
  g_test_add_func ("/tiles/stats-are-printed", test_print);
  g_test_add_func ("/tiles/lines-tell-fill-steady-drain", test_lines);
  g_test_add_func ("/tiles/lines-tell-batches", test_lines_of_batches);
  g_test_add_func (
      "/tiles/renumbered-launches-keep-their-names", test_renumbered);
  g_test_add_func ("/tiles/workers-tell-each-tile", test_workers);
  g_test_add_func ("/tiles/options-out-of-range-are-refused", test_options);
  g_test_add_func ("/tiles/bad-tiles-are-refused-by-number", test_bad_tiles);
  g_test_add_func ("/tiles/a-list-can-be-cancelled", test_cancel);
  return g_test_run ();
}
