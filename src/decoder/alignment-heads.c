/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "alignment-heads.h"

#include <string.h>

static const NpuAlignmentHead tiny_en[] = {
    {1, 0}, {2, 0}, {2, 5}, {3, 0}, {3, 1}, {3, 2}, {3, 3}, {3, 4}};
static const NpuAlignmentHead tiny[] = {
    {2, 2}, {3, 0}, {3, 2}, {3, 3}, {3, 4}, {3, 5}};
static const NpuAlignmentHead base_en[] = {
    {3, 3}, {4, 7}, {5, 1}, {5, 5}, {5, 7}};
static const NpuAlignmentHead base[] = {
    {3, 1}, {4, 2}, {4, 3}, {4, 7}, {5, 1}, {5, 2}, {5, 4}, {5, 6}};
static const NpuAlignmentHead small_en[] = {{6, 6}, {7, 0}, {7, 3}, {7, 8},
    {8, 2}, {8, 5}, {8, 7}, {9, 0}, {9, 4}, {9, 8}, {9, 10}, {10, 0}, {10, 1},
    {10, 2}, {10, 3}, {10, 6}, {10, 11}, {11, 2}, {11, 4}};
static const NpuAlignmentHead small[] = {{5, 3}, {5, 9}, {8, 0}, {8, 4}, {8, 7},
    {8, 8}, {9, 0}, {9, 7}, {9, 9}, {10, 5}};
static const NpuAlignmentHead medium_en[] = {{11, 4}, {14, 1}, {14, 12},
    {14, 14}, {15, 4}, {16, 0}, {16, 4}, {16, 9}, {17, 12}, {17, 14}, {18, 7},
    {18, 10}, {18, 15}, {20, 0}, {20, 3}, {20, 9}, {20, 14}, {21, 12}};
static const NpuAlignmentHead medium[] = {
    {13, 15}, {15, 4}, {15, 15}, {16, 1}, {20, 0}, {23, 4}};
static const NpuAlignmentHead large_v1[] = {{9, 19}, {11, 2}, {11, 4}, {11, 17},
    {22, 7}, {22, 11}, {22, 17}, {23, 2}, {23, 15}};
static const NpuAlignmentHead large_v2[] = {{10, 12}, {13, 17}, {16, 11},
    {16, 12}, {16, 13}, {17, 15}, {17, 16}, {18, 4}, {18, 11}, {18, 19},
    {19, 11}, {21, 2}, {21, 3}, {22, 3}, {22, 9}, {22, 12}, {23, 5}, {23, 7},
    {23, 13}, {25, 5}, {26, 1}, {26, 12}, {27, 15}};
static const NpuAlignmentHead large_v3[] = {{7, 0}, {10, 17}, {12, 18},
    {13, 12}, {16, 1}, {17, 14}, {19, 11}, {21, 4}, {24, 1}, {25, 6}};
static const NpuAlignmentHead large_v3_turbo[] = {
    {2, 4}, {2, 11}, {3, 3}, {3, 6}, {3, 11}, {3, 14}};

#define HEADS(array) array, G_N_ELEMENTS (array)

static const struct {
  const char *named; /* in its location, where the shape is not enough */
  guint n_layers, n_heads, n_vocab;
  const NpuAlignmentHead *heads;
  guint n;
} models[] = {
    {NULL, 4, 6, 51864, HEADS (tiny_en)},
    {NULL, 4, 6, 51865, HEADS (tiny)},
    {NULL, 6, 8, 51864, HEADS (base_en)},
    {NULL, 6, 8, 51865, HEADS (base)},
    {NULL, 12, 12, 51864, HEADS (small_en)},
    {NULL, 12, 12, 51865, HEADS (small)},
    {NULL, 24, 16, 51864, HEADS (medium_en)},
    {NULL, 24, 16, 51865, HEADS (medium)},
    {"large-v1", 32, 20, 51865, HEADS (large_v1)},
    {NULL, 32, 20, 51865, HEADS (large_v2)},
    {NULL, 32, 20, 51866, HEADS (large_v3)},
    {NULL, 4, 20, 51866, HEADS (large_v3_turbo)},
};

GArray *
npu_alignment_heads_new (
    const NpuTransformerConfig *decoder, guint n_vocab, const char *location)
{
  GArray *heads = g_array_new (FALSE, FALSE, sizeof (NpuAlignmentHead));

  for (guint i = 0; i < G_N_ELEMENTS (models); i++) {
    if (models[i].n_layers != decoder->n_layers ||
        models[i].n_heads != decoder->n_heads || models[i].n_vocab != n_vocab)
      continue;
    if (models[i].named && !strstr (location, models[i].named))
      continue;
    return g_array_append_vals (heads, models[i].heads, models[i].n);
  }
  for (guint layer = decoder->n_layers / 2; layer < decoder->n_layers; layer++)
    for (guint head = 0; head < decoder->n_heads; head++) {
      const NpuAlignmentHead each = {layer, head};

      g_array_append_val (heads, each);
    }
  return heads;
}

GArray *
npu_alignment_heads_for_model (NpuModel *model)
{
  const NpuModelConfig *config = npu_model_get_config (model);
  guint n;
  const NpuAlignmentHead *named = npu_model_get_alignment_heads (model, &n);

  if (n == 0)
    return npu_alignment_heads_new (
        &config->decoder, config->n_vocab, npu_model_get_location (model));
  return g_array_append_vals (
      g_array_sized_new (FALSE, FALSE, sizeof *named, n), named, n);
}
