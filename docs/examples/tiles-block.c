/* tiles-block: a whole encoder block on tiles, sequentially and pipelined.
 *
 *   cc tiles-block.c -o tiles-block $(pkg-config --cflags --libs npuenc-1.0)
 *   ./tiles-block
 *
 * Shows attention -> layer norm -> matmul -> GELU with gamma, beta, a weight
 * and a bias; the four parts of every result; a line for each launch; and that
 * the pipeline's results are the sequential ones.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <npuenc.h>
#include <stdlib.h>
#include <string.h>

#define N_TILES 8
#define N_KV 2      /* each query tile attends to two K/V tiles */
#define COLUMNS 256 /* of the product */
#define ELEMENTS (64 * 64)

/* Tiles that belong together: one query tile, its keys and its values. */
typedef struct {
  gint8 q[ELEMENTS], k[N_KV][ELEMENTS], v[N_KV][ELEMENTS];
  NpuTile k_tiles[N_KV], v_tiles[N_KV];
} Input;

typedef struct {
  float attention[N_TILES][ELEMENTS], layernorm[N_TILES][ELEMENTS];
  float matmul[N_TILES][64 * COLUMNS], gelu[N_TILES][64 * COLUMNS];
} Output;

static void
fill (gint8 *data)
{
  for (guint i = 0; i < ELEMENTS; i++)
    data[i] = (gint8) g_random_int_range (-127, 128);
}

static void
make_list (Input *inputs, NpuAttentionTile *list)
{
  for (guint i = 0; i < N_TILES; i++) {
    Input *input = &inputs[i];

    fill (input->q);
    for (guint j = 0; j < N_KV; j++) {
      fill (input->k[j]);
      fill (input->v[j]);
      input->k_tiles[j] = (NpuTile){.data = input->k[j], .scale = 0.02f};
      input->v_tiles[j] = (NpuTile){.data = input->v[j], .scale = 0.01f};
    }
    list[i] = (NpuAttentionTile){
        .q = {.data = input->q, .scale = 0.02f},
        .k = input->k_tiles,
        .v = input->v_tiles,
        .n_kv = N_KV,
    };
  }
}

/* Runs the block at @depth and prints what it took. */
static gboolean
run (NpuDevice *device, guint depth, const NpuTilesBlock *block,
    const NpuAttentionTile *list, Output *output, GError **error)
{
  const NpuTilesOptions options = {
      .depth = depth, .batch = 1, .max_kv = N_KV, .product = NPU_PRODUCT_F32};
  const NpuTilesResults results = {
      .attention = output->attention[0],
      .layernorm = output->layernorm[0],
      .matmul = output->matmul[0],
      .gelu = output->gelu[0],
  };
  g_autoptr (NpuTiles) tiles = npu_tiles_new (device, &options, block, error);

  if (tiles == NULL)
    return FALSE;
  npu_tiles_set_verbose (tiles, depth > 1 ? stdout : NULL);
  if (!npu_tiles_block (tiles, list, N_TILES, &results, error))
    return FALSE;
  npu_tiles_print_stats (tiles, stdout);
  return TRUE;
}

int
main (void)
{
  g_autofree Input *inputs = g_new (Input, N_TILES);
  g_autofree Output *sequential = g_new (Output, 1);
  g_autofree Output *pipelined = g_new (Output, 1);
  g_autofree float *weight = g_new (float, COLUMNS * 64);
  float bias[COLUMNS], gamma[64], beta[64];
  NpuAttentionTile list[N_TILES];
  const NpuTilesBlock block = {
      .gamma = gamma,
      .beta = beta,
      .weight = weight,
      .bias = bias,
      .n = COLUMNS,
  };
  g_autoptr (GError) error = NULL;

  make_list (inputs, list);
  for (guint i = 0; i < COLUMNS * 64; i++)
    weight[i] = (float) g_random_double_range (-0.2, 0.2);
  for (guint i = 0; i < COLUMNS; i++)
    bias[i] = (float) g_random_double_range (-0.1, 0.1);
  for (guint i = 0; i < 64; i++) {
    gamma[i] = 1.0f;
    beta[i] = 0.0f;
  }

  g_autoptr (NpuDevice) device = npu_device_open ("auto", NULL, &error);
  if (device == NULL || !run (device, 1, &block, list, sequential, &error) ||
      !run (device, 3, &block, list, pipelined, &error)) {
    g_printerr ("%s\n", error->message);
    return EXIT_FAILURE;
  }

  g_print ("tile 0 begins: attention %.4f, layernorm %.4f, matmul %.4f, "
           "gelu %.4f\n",
      pipelined->attention[0][0], pipelined->layernorm[0][0],
      pipelined->matmul[0][0], pipelined->gelu[0][0]);
  if (memcmp (sequential, pipelined, sizeof (Output)) != 0) {
    g_printerr ("the two differ\n");
    return EXIT_FAILURE;
  }
  g_print ("pipelined and sequential are the same in every bit\n");
  return EXIT_SUCCESS;
}
