/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "make-model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "model/model-private.h"
#include "tape.h"

#define REGION (8u << 20)
#define MAX_PARTS 160
#define MAX_DATA (1u << 20) /* bytes of a tensor that are written */

typedef struct {
  char name[300];
  guint n_dims;
  guint64 shape[10];
  gint dtype;          /* an index of safetensors_types, or a ggml type */
  guint64 size, begin; /* of its data */
} Part;

/* What a file is made of. */
typedef struct {
  Tape tape;
  gboolean is_ggml, hugging_face;
  NpuModelConfig config;
  Part parts[MAX_PARTS];
  guint n_parts;
  GString *head; /* what is written: of a ggml file all of it */
  guint64 data_size;
} Maker;

static guint8 *region; /* REGION bytes, and a forbidden page behind */

/* Mostly no: a tape that has ended decides for nothing unusual. */
static gboolean
rarely (Maker *maker, guint n)
{
  return tape_below (&maker->tape, n) == 1;
}

/* Numbers at which something happens, or any. */
static guint64
any_number (Maker *maker)
{
  static const guint64 pool[] = {0, 1, 2, 3, 4, 31, 32, 33, 63, 64, 65, 80, 127,
      128, 255, 256, 257, 448, 1500, 1501, 4096, 4097, 51864, 51865, 65535,
      65536, G_MAXINT32, 0x80000000, G_MAXUINT32, 0x100000000, G_MAXINT64,
      0x8000000000000000, G_MAXUINT64, 0x4000000000000000, 0x5555555555555556};
  const guint k = tape_u8 (&maker->tape);
  guint64 value = 0;

  if (k < 128)
    return pool[k % G_N_ELEMENTS (pool)];
  for (guint i = 0; i < 1 + k % 8; i++)
    value = value << 8 | tape_u8 (&maker->tape);
  return value;
}

/* --- a whole model --- */

static void
add_part (Maker *maker, const char *name, guint n_dims, const guint64 *shape,
    gint dtype)
{
  Part *part;

  if (maker->n_parts == MAX_PARTS)
    return;
  part = &maker->parts[maker->n_parts++];
  memset (part, 0, sizeof *part);
  g_strlcpy (part->name, name, sizeof part->name);
  part->n_dims = n_dims;
  memcpy (part->shape, shape, n_dims * sizeof *shape);
  part->dtype = dtype;
}

static void
add_group (
    Maker *maker, const NpuSpecGroup *group, const char *before, gint dtype)
{
  for (guint i = 0; i < group->n_specs; i++) {
    const NpuTensorSpec *spec = &group->specs[i];
    guint64 shape[4];
    const guint n_dims = npu_dims_to_shape (spec->shape, &maker->config, shape);
    g_autofree char *name = g_strconcat (before,
        maker->hugging_face ? group->hugging_face : group->openai,
        maker->hugging_face ? spec->hugging_face : spec->openai, NULL);

    /* As whisper.cpp's tools have it: only matrices are of block types. */
    add_part (
        maker, name, n_dims, shape, maker->is_ggml && n_dims != 2 ? 0 : dtype);
  }
}

static void
add_block (Maker *maker, const NpuSpecGroup *groups, guint n_groups,
    const char *prefix, guint layer, gint dtype)
{
  g_autofree char *before = g_strdup_printf (
      "%s%s%u.", prefix, maker->hugging_face ? "layers." : "blocks.", layer);

  for (guint i = 0; i < n_groups; i++)
    add_group (maker, &groups[i], before, dtype);
}

/* Tensors that come with models, or should not. */
static void
add_others (Maker *maker, const char *prefix, gint dtype)
{
  static const char *const names[] = {"proj_out.weight", "x.lora_A.weight",
      "conv1.weight", "x.conv1.weight", "blocks.0.x", "layers.0.x",
      "encoder/conv1/weight", "a.mlp1.weight", "module.x", "x.base_layer.y"};
  const guint64 shape[] = {maker->config.n_vocab, maker->config.encoder.d, 3};

  while (rarely (maker, 4)) {
    g_autofree char *name =
        g_strconcat (prefix, TAPE_ONE_OF (&maker->tape, names), NULL);

    add_part (maker, name, 2 + tape_below (&maker->tape, 2), shape, dtype);
  }
}

static void
add_whole_model (Maker *maker)
{
  static const char *const prefixes[] = {"", "model.", "", "model.",
      "_orig_mod.model.", "base_model.model.model."};
  static const char *const towers[] = {"encoder.", "encoder.", "encoder.",
      "audio_tower.", "", "encoder._orig_mod."};
  static const gint ggml_types[] = {
      0, 1, 2, 3, 6, 7, 8, 30, 10, 11, 12, 13, 14};
  static const guint positions[] = {2, 1, 7, 40};
  Tape *tape = &maker->tape;
  const char *prefix = TAPE_ONE_OF (tape, prefixes);
  g_autofree char *encoder =
      g_strconcat (prefix, TAPE_ONE_OF (tape, towers), NULL);
  g_autofree char *decoder = g_strconcat (prefix, "decoder.", NULL);
  const guint n_layers = 1 + rarely (maker, 8);
  const guint n_text_layers = tape_below (tape, 3);
  const gint dtype = maker->is_ggml ? TAPE_ONE_OF (tape, ggml_types)
                                    : (gint) tape_below (tape, 3);

  maker->config = (NpuModelConfig){
      .n_mels = rarely (maker, 4) ? 128 : 80,
      .n_vocab = 5,
      .encoder = {.d = dtype >= 10 && dtype <= 14 ? 256 : 64,
          .n_layers = n_layers,
          .n_positions = TAPE_ONE_OF (tape, positions)},
      .decoder = {.n_layers = n_text_layers, .n_positions = 3},
  };
  add_group (maker, &npu_encoder_group, encoder, dtype);
  for (guint i = 0; i < n_layers; i++)
    add_block (maker, &npu_encoder_block_group, 1, encoder, i, dtype);
  if (n_text_layers > 0)
    add_group (maker, &npu_decoder_group, decoder, dtype);
  for (guint i = 0; i < n_text_layers; i++)
    add_block (maker, npu_decoder_block_groups, NPU_N_DECODER_BLOCK_GROUPS,
        decoder, i, dtype);
  add_others (maker, prefix, dtype);
}

/* --- what is wrong with it --- */

static void
spoil_name (Maker *maker, Part *part)
{
  Tape *tape = &maker->tape;
  const gsize length = strlen (part->name);

  switch (tape_below (tape, 5)) {
    case 0:
      if (length > 0)
        part->name[tape_u8 (tape) % length] = (char) tape_u8 (tape);
      break;
    case 1:
      memcpy (part->name, maker->parts[tape_u8 (tape) % maker->n_parts].name,
          sizeof part->name);
      break;
    case 2:
      memset (part->name, 'a', 256);
      part->name[255 + tape_below (tape, 2)] = '\0';
      break;
    case 3:
      g_strlcat (part->name, ".module.", sizeof part->name);
      break;
    default:
      part->name[0] = '\0';
  }
}

static void
spoil (Maker *maker)
{
  Tape *tape = &maker->tape;
  Part *part = &maker->parts[tape_u8 (tape) % maker->n_parts];

  switch (tape_below (tape, 9)) {
    case 0:
      part->n_dims = tape_below (tape, 10);
      break;
    case 1:
      part->shape[tape_below (tape, 4)] = any_number (maker);
      break;
    case 2:
      part->dtype = tape_below (tape, 32);
      break;
    case 3:
      part->size = any_number (maker);
      break;
    case 4:
      part->begin = any_number (maker);
      break;
    case 5:
      part->size += (guint64) (gint8) tape_u8 (tape);
      break;
    case 6:
      part->begin += (guint64) (gint8) tape_u8 (tape);
      break;
    case 7:
      if (part->n_dims < 9)
        part->shape[part->n_dims++] = 1;
      break;
    default:
      spoil_name (maker, part);
  }
}

static void
spoil_some (Maker *maker)
{
  for (guint n = tape_below (&maker->tape, 4); n > 0; n--)
    spoil (maker);
}

/* --- safetensors --- */

static const struct {
  const char *name;
  guint size;
} safetensors_types[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8},
    {"I8", 1}, {"", 1}, {"F8_E4M3", 1}, {"xxxxxxxxxxxxxxxxx", 1}, {"F 32", 1},
    {"\\u0046\\u0033\\u0032", 4}};

static void
put (Maker *maker, const char *text)
{
  static const char *const spaces[] = {"", "", "", "", "", " ", "\n", "\t\r "};

  g_string_append (maker->head, TAPE_ONE_OF (&maker->tape, spaces));
  g_string_append (maker->head, text);
}

static void
put_number (Maker *maker, guint64 number)
{
  char text[24];

  g_snprintf (text, sizeof text, "%" G_GUINT64_FORMAT, number);
  put (maker, text);
}

static void
put_field (Maker *maker, const Part *part, guint field)
{
  static const char *const further[] = {"\"more\":null",
      "\"a\":[1,{\"b\":-1e5}]", "\"dtype\":\"F32\"", "\"x\":\"\\ud83d\\ude00\"",
      "\"y\":[", "\"z\":01"};

  if (field == 0) {
    put (maker, "\"dtype\":\"");
    g_string_append (
        maker->head, safetensors_types[(guint) part->dtype %
                                       G_N_ELEMENTS (safetensors_types)]
                         .name);
    g_string_append_c (maker->head, '"');
  } else if (field == 1) {
    put (maker, "\"shape\":[");
    for (guint i = 0; i < part->n_dims; i++) {
      put (maker, i ? "," : "");
      put_number (maker, part->shape[i]);
    }
    put (maker, "]");
  } else if (field == 2) {
    put (maker, "\"data_offsets\":[");
    put_number (maker, part->begin);
    put (maker, ",");
    put_number (maker, part->begin + part->size);
    put (maker, "]");
  } else {
    put (maker, TAPE_ONE_OF (&maker->tape, further));
  }
}

static void
put_part (Maker *maker, const Part *part)
{
  const guint first = tape_below (&maker->tape, 3);

  put (maker, "\"");
  g_string_append (maker->head, part->name);
  put (maker, "\":{");
  for (guint i = 0; i < 3; i++) {
    put (maker, i ? "," : "");
    put_field (maker, part, (first + i) % 3);
  }
  if (rarely (maker, 8)) {
    put (maker, ",");
    put_field (maker, part, 3);
  }
  put (maker, "}");
}

static void
put_metadata (Maker *maker)
{
  static const char *const values[] = {"null", "{}", "{\"format\":\"pt\"}",
      "{\"a\\n\\u00e9\":\"b\\\"\\\\\\/\\b\\f\\r\\t\"}", "[]", "nul",
      "{\"a\":1}"};

  put (maker, "\"__metadata__\":");
  put (maker, TAPE_ONE_OF (&maker->tape, values));
  put (maker, ",");
}

/* Erases, adds and changes bytes. */
static void
edit (Maker *maker)
{
  Tape *tape = &maker->tape;

  for (guint n = tape_below (tape, 4); n > 0 && maker->head->len > 8; n--) {
    const gsize at = tape_u32 (tape) % (maker->head->len - 8);
    const guint8 value = tape_u8 (tape);

    if (value < 8)
      g_string_erase (maker->head, (gssize) at, 1 + value);
    else if (value < 16)
      g_string_insert_c (maker->head, (gssize) at, (char) tape_u8 (tape));
    else
      maker->head->str[at] = (char) value;
  }
}

static void
write_safetensors (Maker *maker)
{
  guint64 length;

  put (maker, "{");
  while (rarely (maker, 4))
    put_metadata (maker);
  for (guint i = 0; i < maker->n_parts; i++) {
    put (maker, i ? "," : "");
    put_part (maker, &maker->parts[i]);
  }
  put (maker, "}");
  edit (maker);
  length = maker->head->len;
  if (rarely (maker, 16))
    length = any_number (maker);
  if (rarely (maker, 16))
    length += (guint64) (gint8) tape_u8 (&maker->tape);
  length = GUINT64_TO_LE (length);
  g_string_prepend_len (maker->head, (const char *) &length, 8);
}

/* --- ggml --- */

static void
put_int (Maker *maker, guint64 value)
{
  const guint32 word = GUINT32_TO_LE ((guint32) value);

  g_string_append_len (maker->head, (const char *) &word, 4);
}

static void
put_zeros (Maker *maker, gsize n)
{
  const gsize length = maker->head->len;

  if (length + n > REGION)
    return;
  g_string_set_size (maker->head, length + n);
  memset (maker->head->str + length, 0, n);
}

static void
put_ggml_header (Maker *maker)
{
  const NpuModelConfig *c = &maker->config;
  const guint d = c->encoder.d;
  guint64 fields[] = {c->n_vocab, c->encoder.n_positions, d, d / 64,
      c->encoder.n_layers, c->decoder.n_positions, d, d / 64,
      c->decoder.n_layers, c->n_mels, 2008};
  guint64 n_mel = rarely (maker, 4) ? c->n_mels : 0, n_fft = 201, n_words = 3;

  g_string_append (maker->head, "lmgg");
  if (rarely (maker, 4))
    fields[tape_below (&maker->tape, G_N_ELEMENTS (fields))] =
        any_number (maker);
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    put_int (maker, fields[i]);
  if (rarely (maker, 8))
    n_mel = any_number (maker);
  if (rarely (maker, 8))
    n_fft = any_number (maker);
  put_int (maker, n_mel);
  put_int (maker, n_fft);
  if (n_mel <= 1024 && n_fft <= 1024)
    put_zeros (maker, (gsize) (n_mel * n_fft * 4));
  if (rarely (maker, 8))
    n_words = any_number (maker);
  put_int (maker, n_words);
  for (guint i = 0; i < 3; i++) {
    put_int (maker, rarely (maker, 16) ? any_number (maker) : i);
    g_string_append_len (maker->head, "ab", i);
  }
}

static void
put_ggml_part (Maker *maker, const Part *part)
{
  put_int (maker, rarely (maker, 128) ? any_number (maker) : part->n_dims);
  put_int (
      maker, rarely (maker, 128) ? any_number (maker) : strlen (part->name));
  put_int (maker, (guint64) part->dtype);
  for (guint i = part->n_dims; i > 0; i--)
    put_int (maker, part->shape[i - 1]);
  g_string_append (maker->head, part->name);
  put_zeros (maker, MIN (part->size, MAX_DATA));
}

static void
write_ggml (Maker *maker)
{
  put_ggml_header (maker);
  for (guint i = 0; i < maker->n_parts; i++)
    put_ggml_part (maker, &maker->parts[i]);
  edit (maker);
  if (rarely (maker, 8))
    g_string_truncate (
        maker->head, any_number (maker) % (maker->head->len + 1));
}

/* --- all of it --- */

static guint64
size_of (const Maker *maker, const Part *part)
{
  static const guint8 blocks[][3] = {{2, 32, 18}, {3, 32, 20}, {6, 32, 22},
      {7, 32, 24}, {8, 32, 34}, {10, 0, 84}, {11, 0, 110}, {12, 0, 144},
      {13, 0, 176}, {14, 0, 210}};
  guint64 n = 1;

  for (guint i = 0; i < part->n_dims; i++)
    n *= part->shape[i];
  if (!maker->is_ggml)
    return n * safetensors_types[(guint) part->dtype %
                                 G_N_ELEMENTS (safetensors_types)]
                   .size;
  for (guint i = 0; i < G_N_ELEMENTS (blocks); i++) {
    if (blocks[i][0] == part->dtype)
      return n / (blocks[i][1] ? 32 : 256) * blocks[i][2];
  }
  return n * (part->dtype == 0 ? 4 : 2);
}

static void
make_file (Maker *maker)
{
  const guint kind = tape_below (&maker->tape, 3);

  maker->is_ggml = kind == 2;
  maker->hugging_face = kind == 1;
  add_whole_model (maker);
  spoil_some (maker);
  for (guint i = 0; i < maker->n_parts; i++) {
    maker->parts[i].size = size_of (maker, &maker->parts[i]);
    maker->parts[i].begin = maker->data_size;
    maker->data_size += maker->parts[i].size;
  }
  spoil_some (maker);
  if (rarely (maker, 8))
    maker->n_parts--;
  if (maker->is_ggml)
    write_ggml (maker);
  else
    write_safetensors (maker);
  if (maker->is_ggml)
    maker->data_size = 0;
  else if (rarely (maker, 8))
    maker->data_size += (guint64) (gint8) tape_u8 (&maker->tape);
  if (maker->head->len > REGION)
    g_string_truncate (maker->head, REGION);
  if (maker->data_size > REGION - maker->head->len)
    maker->data_size = 0;
}

/* At the end of the region, with a few weights that are no numbers. */
static guint8 *
place_file (Maker *maker, gsize *size)
{
  guint8 *file;

  if (!region) {
    const gsize page = 65536;

    region = mmap (NULL, REGION + page, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED ||
        mprotect (region + REGION, page, PROT_NONE) != 0)
      abort ();
  }
  *size = maker->head->len + maker->data_size;
  file = region + REGION - *size;
  memcpy (file, maker->head->str, maker->head->len);
  memset (file + maker->head->len, 0, maker->data_size);
  for (guint n = tape_below (&maker->tape, 4); n > 0 && *size > 4; n--) {
    const gsize at = tape_u32 (&maker->tape) % (*size - 4);

    if (maker->is_ggml || at >= maker->head->len)
      memset (file + at, 0xff, 1 + tape_below (&maker->tape, 4));
  }
  return file;
}

const guint8 *
make_model (const guint8 *tape, gsize size, gsize *file_size)
{
  static Maker maker;
  const guint8 *file;

  memset (&maker, 0, sizeof maker);
  maker.tape = (Tape){tape, size};
  maker.head = g_string_new (NULL);
  make_file (&maker);
  file = place_file (&maker, file_size);
  g_string_free (maker.head, TRUE);
  return file;
}
