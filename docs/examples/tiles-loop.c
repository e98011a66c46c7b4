/* tiles-loop: a sequential loop over tiles, and the pipeline in its place.
 *
 *   cc tiles-loop.c -o tiles-loop $(pkg-config --cflags --libs npuenc-1.0)
 *   ./tiles-loop
 *
 * Shows how a program that does one tile after the other changes: the loop
 * around the call goes into the call. Each single call sends a tile, waits for
 * it and only then prepares the next one; the list is prepared while the
 * device computes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <npuenc.h>
#include <stdlib.h>
#include <string.h>

#define N_TILES 96
#define ELEMENTS (64 * 64)

static void
make_list (gint8 *data, NpuTile *k, NpuTile *v, NpuAttentionTile *list)
{
  for (guint i = 0; i < 3 * N_TILES * ELEMENTS; i++)
    data[i] = (gint8) g_random_int_range (-127, 128);
  for (guint i = 0; i < N_TILES; i++) {
    const gint8 *q = data + 3 * i * ELEMENTS;

    k[i] = (NpuTile){.data = q + ELEMENTS, .scale = 0.02f};
    v[i] = (NpuTile){.data = q + 2 * ELEMENTS, .scale = 0.01f};
    list[i] = (NpuAttentionTile){
        .q = {.data = q, .scale = 0.02f}, .k = &k[i], .v = &v[i], .n_kv = 1};
  }
}

/* Before: a loop. */
static gboolean
one_by_one (
    NpuTiles *tiles, const NpuAttentionTile *list, float *out, GError **error)
{
  for (guint i = 0; i < N_TILES; i++) {
    if (!npu_tiles_attention (tiles, &list[i], 1, out + i * ELEMENTS, error))
      return FALSE;
  }
  return TRUE;
}

/* After: the list. */
static gboolean
pipelined (
    NpuTiles *tiles, const NpuAttentionTile *list, float *out, GError **error)
{
  return npu_tiles_attention (tiles, list, N_TILES, out, error);
}

int
main (void)
{
  g_autofree gint8 *data = g_new (gint8, 3 * N_TILES * ELEMENTS);
  g_autofree float *before = g_new (float, N_TILES *ELEMENTS);
  g_autofree float *after = g_new (float, N_TILES *ELEMENTS);
  NpuTile k[N_TILES], v[N_TILES];
  NpuAttentionTile list[N_TILES];
  const NpuTilesOptions options = {.depth = 3, .batch = 4};
  /* As hardware has, to see what the pipeline hides: 110 us a launch. */
  const NpuDeviceOptions device_options = {.latency = 110000};
  g_autoptr (GError) error = NULL;
  NpuStats loop, list_stats;

  make_list (data, k, v, list);
  g_autoptr (NpuDevice) device =
      npu_device_open ("cpu", &device_options, &error);
  if (device == NULL) {
    g_printerr ("%s\n", error->message);
    return EXIT_FAILURE;
  }
  g_autoptr (NpuTiles) tiles = npu_tiles_new (device, &options, NULL, &error);
  if (tiles == NULL || !one_by_one (tiles, list, before, &error)) {
    g_printerr ("%s\n", error->message);
    return EXIT_FAILURE;
  }
  npu_tiles_get_stats (tiles, &loop);
  npu_tiles_reset_stats (tiles);
  if (!pipelined (tiles, list, after, &error)) {
    g_printerr ("%s\n", error->message);
    return EXIT_FAILURE;
  }
  npu_tiles_get_stats (tiles, &list_stats);

  g_print ("one by one: %.3f ms a tile, in %u launches\n",
      (double) npu_stats_tile_time (&loop) / 1e6, (guint) loop.launches);
  g_print ("as a list:  %.3f ms a tile, in %u launches\n",
      (double) npu_stats_tile_time (&list_stats) / 1e6,
      (guint) list_stats.launches);
  if (memcmp (before, after, N_TILES * ELEMENTS * sizeof (float)) != 0) {
    g_printerr ("the two differ\n");
    return EXIT_FAILURE;
  }
  g_print ("the outputs are the same in every bit\n");
  return EXIT_SUCCESS;
}
