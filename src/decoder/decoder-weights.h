/* The decoder's weights in the form that its step multiplies.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "decoder-memory.h"
#include "base/npu-cache.h"
#include "device/npu-host.h"
#include "model/npu-model.h"

G_BEGIN_DECLS

/* What is multiplied with a row. */
typedef enum {
  DECODER_F32,     /* floats with floats */
  DECODER_S16,     /* 16-bit rows with weights of 16 bits */
  DECODER_GROUPED, /* the same of 8 bits, in groups with factors of their own */
  DECODER_S8,      /* the same of 8 bits */
} DecoderProduct;

/* Bytes of a weight. */
gsize decoder_product_size (DecoderProduct product);

/* y[n] = weight[n][k] x[k] + bias[n]. */
typedef struct {
  guint n, k;
  DecoderProduct product;
  gpointer weight; /* [n][k] floats, gint16 or gint8 */
  gint16 *factors; /* [n][k / NPU_FEW_GROUP] of groups, else NULL */
  float *scale;    /* [n] of integers, else NULL */
  float *bias;     /* [n] or NULL */
} DecoderLinear;

typedef struct {
  float *gamma, *beta; /* [d] */
} DecoderNorm;

typedef struct {
  DecoderNorm self_ln, cross_ln, mlp_ln;
  DecoderLinear qkv; /* n = 3 d: queries, keys, values */
  DecoderLinear self_out;
  DecoderLinear cross_query, cross_out;
  DecoderLinear fc1, fc2; /* n = 4 d; k = 4 d */
} DecoderLayer;

typedef struct {
  guint d, n_heads, n_layers, n_positions, n_vocab;
  DecoderProduct product; /* of the vocabulary; of layers a finer one */
  DecoderLayer *layers;   /* [n_layers] */
  DecoderNorm ln;
  DecoderLinear vocabulary; /* n = n_vocab */
  float *positions;         /* [n_positions][d] */

  /*< private >*/
  DecoderArena arena;
  NpuCacheEntry *entry;
} DecoderWeights;

/* Reads the weights and packs them, with the host's workers; or takes those
 * that another decoder of this model has in use. The model must outlive them.
 * NULL with @error set: what reading a tensor says, or FAILED without memory.
 * Any thread. */
DecoderWeights *decoder_weights_new (NpuModel *model, const NpuHost *host,
    DecoderProduct product, GError **error);
/* Frees them after their last user. */
void decoder_weights_unref (DecoderWeights *weights);

G_END_DECLS
