/* tiles-simple: attention tiles through a pipeline, and what it did.
 *
 *   cc tiles-simple.c -o tiles-simple $(pkg-config --cflags --libs npuenc-1.0)
 *   ./tiles-simple
 *
 * Shows the least that there is to do: open a device, make a pipeline of
 * depth 3, run a list of tiles, read the outputs in order, print statistics.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <npuenc.h>
#include <stdlib.h>

#define N_TILES 20
#define ELEMENTS (64 * 64)

/* Where real programs quantise what they have. */
static void
fill (gint8 *data, guint n)
{
  for (guint i = 0; i < n; i++)
    data[i] = (gint8) g_random_int_range (-127, 128);
}

int
main (void)
{
  g_autofree gint8 *data = g_new (gint8, 3 * N_TILES * ELEMENTS);
  g_autofree float *out = g_new (float, N_TILES *ELEMENTS);
  NpuTile k[N_TILES], v[N_TILES];
  NpuAttentionTile list[N_TILES];
  const NpuTilesOptions options = {.depth = 3};
  g_autoptr (GError) error = NULL;

  fill (data, 3 * N_TILES * ELEMENTS);
  for (guint i = 0; i < N_TILES; i++) {
    gint8 *q = data + 3 * i * ELEMENTS;

    k[i] = (NpuTile){.data = q + ELEMENTS, .scale = 0.02f};
    v[i] = (NpuTile){.data = q + 2 * ELEMENTS, .scale = 0.01f};
    list[i] = (NpuAttentionTile){
        .q = {.data = q, .scale = 0.02f},
        .k = &k[i],
        .v = &v[i],
        .n_kv = 1,
    };
  }

  g_autoptr (NpuDevice) device = npu_device_open ("auto", NULL, &error);
  if (device == NULL) {
    g_printerr ("%s\n", error->message);
    return EXIT_FAILURE;
  }
  /* After the device, so that it is freed before it. */
  g_autoptr (NpuTiles) tiles = npu_tiles_new (device, &options, NULL, &error);
  if (tiles == NULL ||
      !npu_tiles_attention (tiles, list, N_TILES, out, &error)) {
    g_printerr ("%s\n", error->message);
    return EXIT_FAILURE;
  }

  for (guint i = 0; i < 3; i++)
    g_print ("tile %u begins %.4f %.4f %.4f\n", i, out[i * ELEMENTS],
        out[i * ELEMENTS + 1], out[i * ELEMENTS + 2]);
  npu_tiles_print_stats (tiles, stdout);
  return EXIT_SUCCESS;
}
