/* What a decoder computes, in what types: the table of npu_plan_describe() for
 * operations that are no stages of a plan.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <stddef.h>

#include "decoder-private.h"
#include "device/op-args.h"
#include "plan/plan-table.h"

/* One of a layer's, or of the whole decoder's. */
typedef struct {
  const char *kind;
  PlanTypes (*types) (const NpuDecoder *decoder, const DecoderLinear *linear);
  gsize linear; /* its place in DecoderLayer; 0: it has no weights */
} Part;

static const char *
device_of (const NpuDecoder *decoder)
{
  return npu_device_get_name (decoder->host->device);
}

/* Of weights; those of Q8_0 are in groups, as the file has them. */
static const char *
weights_name (DecoderProduct product)
{
  static const char *const names[] = {[DECODER_F32] = "f32",
      [DECODER_S16] = "int16",
      [DECODER_GROUPED] = "q8_0",
      [DECODER_S8] = "int8"};

  return names[product];
}

/* Rows of 16 bits are multiplied with integers of any size. */
static PlanTypes
types_of_product (const NpuDecoder *decoder, const DecoderLinear *linear)
{
  const NpuProduct product =
      linear->product == DECODER_F32 ? NPU_PRODUCT_F32 : NPU_PRODUCT_S16;
  const char *name = npu_product_to_string (product);

  return (PlanTypes){
      device_of (decoder), name, weights_name (linear->product), name, "f32"};
}

static PlanTypes
types_of_self (const NpuDecoder *decoder, const DecoderLinear *linear)
{
  return (PlanTypes){device_of (decoder), "f32", "-", "-", "f32"};
}

static const char *
keys_name (const NpuDecoder *decoder)
{
  return decoder->weights->product == DECODER_F32 ? "f32" : "int8";
}

static PlanTypes
types_of_cross (const NpuDecoder *decoder, const DecoderLinear *linear)
{
  return (PlanTypes){device_of (decoder), keys_name (decoder), "-", "-", "f32"};
}

/* Of a window's states, once. */
static PlanTypes
types_of_window (const NpuDecoder *decoder, const DecoderLinear *linear)
{
  const NpuProduct asked = decoder->weights->product == DECODER_F32
                               ? NPU_PRODUCT_F32
                               : NPU_PRODUCT_S16;
  const NpuProduct product =
      npu_device_has_product (decoder->host->device, asked) ? asked
                                                            : NPU_PRODUCT_F32;

  return (PlanTypes){device_of (decoder), "f32", npu_product_to_string (asked),
      npu_product_to_string (product), keys_name (decoder)};
}

/* --- lines --------------------------------------------------------------- */

#define WITH_WEIGHTS(kind, member)                                             \
  {                                                                            \
    kind, types_of_product, offsetof (DecoderLayer, member)                    \
  }

static const Part parts[] = {
    {"keys and values", types_of_window, 0},
    WITH_WEIGHTS ("qkv", qkv),
    {"attention", types_of_self, 0},
    WITH_WEIGHTS ("out", self_out),
    WITH_WEIGHTS ("cross query", cross_query),
    {"cross attention", types_of_cross, 0},
    WITH_WEIGHTS ("cross out", cross_out),
    WITH_WEIGHTS ("fc1", fc1),
    WITH_WEIGHTS ("fc2", fc2),
};

static const DecoderLinear *
linear_of (const NpuDecoder *decoder, const Part *part, guint layer)
{
  const DecoderLayer *in = &decoder->weights->layers[layer];

  return part->linear ? (const void *) ((const char *) in + part->linear)
                      : NULL;
}

/* The last layer of those from @layer on that have the part alike. */
static guint
last_alike (const NpuDecoder *decoder, const Part *part, guint layer)
{
  const DecoderLinear *first = linear_of (decoder, part, layer);

  while (layer + 1 < decoder->weights->n_layers &&
         (!first ||
             linear_of (decoder, part, layer + 1)->product == first->product))
    layer++;
  return layer;
}

static void
add_part (GString *text, const NpuDecoder *decoder, const Part *part)
{
  guint last;

  for (guint layer = 0; layer < decoder->weights->n_layers; layer = last + 1) {
    const PlanTypes types =
        part->types (decoder, linear_of (decoder, part, layer));
    g_autofree char *name = NULL;

    last = last_alike (decoder, part, layer);
    name = plan_table_name (layer, last, part->kind);
    plan_table_add (text, name, &types);
  }
}

char *
npu_decoder_describe (NpuDecoder *decoder)
{
  const PlanTypes vocabulary =
      types_of_product (decoder, &decoder->weights->vocabulary);
  GString *text = g_string_new (NULL);

  plan_table_begin (text);
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    add_part (text, decoder, &parts[i]);
  plan_table_add (text, "vocabulary", &vocabulary);
  return g_string_free (text, FALSE);
}
