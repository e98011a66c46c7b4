/* The header of a safetensors file, character by character.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "model-expect.h"

#define MAX_TENSORS 8192

/* A file with this header and so many zero bytes after it. */
static GBytes *
safetensors (const char *json, gsize data_size)
{
  const gsize length = strlen (json);
  const guint64 header_size = GUINT64_TO_LE (length);
  guint8 *file = g_malloc0 (8 + length + data_size);

  memcpy (file, &header_size, 8);
  memcpy (file + 8, json, length);
  return g_bytes_new_take (file, 8 + length + data_size);
}

#define T(name, fields) "\"" name "\":{" fields "}"
#define F32_1(name)                                                            \
  T (name, "\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]")

static void
test_header (void)
{
  static const struct {
    const char *json;
    gsize data_size;
    const char *texts[MODEL_EXPECT_MAX];
  } cases[] = {
      /* JSON */
      {"{", 0, {"at byte 9:", "has its end, expected a string"}},
      {"{}x", 0, {"at byte 10:", "'x', expected nothing but spaces"}},
      {"{]", 0, {"at byte 9:", "']', expected a string"}},
      {"{\"a\" 1}", 0, {"at byte 13:", "'1', expected ':'"}},
      {"{\"a", 0, {"at byte 11:", "expected the end of a string"}},
      {"{\"a\n\"", 0, {"at byte 11:", "byte 0x0a, expected the end"}},
      {"{\"\\q\"", 0, {"at byte 11:", "'q', expected one of"}},
      {"{\"\\", 0, {"at byte 11:", "expected an escaped character"}},
      {"{\"\\u12g4\"", 0, {"at byte 14:", "'g', expected four hexadecimal"}},
      {"{\"\\ud800x\"", 0, {"second half of a surrogate pair"}},
      {"{\"\\ud800\\u0041\"", 0, {"expected a low surrogate"}},
      {"{\"\\udc00\"", 0, {"expected a character that text may have"}},
      {"{\"\\u0000\"", 0, {"expected a character that text may have"}},
      {"{\"\xff\":{}}", 0, {"at byte 10:", "not UTF-8"}},
      {"{\"a\":[[[[[[[[[[[[[[[[[[[[", 0,
          {"tensor 'a' at byte 13:", "'[', expected '{'"}},
      {"{\"a\":null}", 0, {"at byte 13:", "'n', expected '{'"}},
      {"{" F32_1 ("a") ",}", 4, {"'}', expected a string"}},
      {"{" F32_1 ("a") ";", 4, {"';', expected ',' or '}'"}},
      /* metadata */
      {"{\"__metadata__\":{\"a\":1}}", 0, {"'1', expected a string"}},
      {"{\"__metadata__\":[]}", 0, {"'[', expected '{'"}},
      {"{\"__metadata__\":nul}", 0, {"'n', expected a value"}},
      {"{\"__metadata__\":{},\"__metadata__\":{}}", 0,
          {"at byte 27:", "__metadata__ twice"}},
      /* names */
      {"{\"\":{}}", 0, {"at byte 9:", "0 bytes, expected 1 to 255"}},
      {"{\"a\\u001b[2J\":{}}", 0, {"at byte 9:", "not printable"}},
      {"{\"a\\u202eb\":{}}", 0, {"at byte 9:", "not printable"}},
      {"{" F32_1 ("a") "," F32_1 ("a") "}", 4,
          {"tensor 'a'", "at byte 62:", "two tensors of this name"}},
      {"{" F32_1 ("a") "," F32_1 ("\\u0061") "}", 4,
          {"tensor 'a'", "two tensors of this name"}},
      /* fields */
      {"{\"a\":{}}", 0, {"tensor 'a' at byte 13:", "is missing"}},
      {"{" T ("a", "\"dtype\":\"F32\",\"shape\":[]") "}", 0, {"is missing"}},
      {"{" T ("a", "\"type\":\"F32\"") "}", 0,
          {"tensor 'a' at byte 13:", "dtype, shape or data_offsets"}},
      {"{" T ("a", "\"dtype\":\"F32\",\"dtype\":\"F32\"") "}", 0,
          {"tensor 'a' at byte 28:", "each once"}},
      {"{" T ("a", "\"dtype\":32") "}", 0, {"'3', expected a string"}},
      {"{" T ("a", "\"dtype\":\"\"") "}", 0, {"'a'", "name of a type"}},
      {"{" T ("a", "\"dtype\":\"F\\u00e4\"") "}", 0, {"name of a type"}},
      {"{" T ("a", "\"dtype\":\"F1234567890123456\"") "}", 0,
          {"tensor 'a' at byte 22:", "name of a type"}},
      {"{" T ("a", "\"shape\":3") "}", 0, {"'3', expected '['"}},
      {"{" T ("a", "\"shape\":[-1]") "}", 0, {"'-', expected an unsigned"}},
      {"{" T ("a", "\"shape\":[1.5]") "}", 0, {"'.', expected an unsigned"}},
      {"{" T ("a", "\"shape\":[1e9]") "}", 0, {"'e', expected an unsigned"}},
      {"{" T ("a", "\"shape\":[01]") "}", 0, {"expected an unsigned"}},
      {"{" T ("a", "\"shape\":[\"1\"]") "}", 0, {"'\"', expected an unsigned"}},
      {"{" T ("a", "\"shape\":[1,]") "}", 0, {"']', expected an unsigned"}},
      {"{" T ("a", "\"shape\":[18446744073709551616]") "}", 0,
          {"at most 64 bits"}},
      {"{" T ("a", "\"shape\":[1,1,1,1,1,1,1,1,1]") "}", 0,
          {"tensor 'a' at byte 39:", "more than 8 numbers"}},
      /* sizes */
      {"{" T ("a", "\"data_offsets\":[4]") "}", 4, {"a begin and an end"}},
      {"{" T ("a", "\"data_offsets\":[4,0]") "}", 4,
          {"tensor 'a' at byte 29:", "a begin and an end"}},
      {"{" T ("a", "\"data_offsets\":[0,4,8]") "}", 8, {"more than 2"}},
      {"{" T ("a", "\"data_offsets\":[0,18446744073709551615]") "}", 4,
          {"end at byte 18446744073709551615", "only 4 bytes", "truncated"}},
      {"{" F32_1 ("a") "}", 3, {"end at byte 4", "only 3 bytes"}},
      {"{" F32_1 ("a") "}", 5,
          {"at byte 66:", "1 bytes follow the last tensor's data"}},
      {"{" T (
           "a", "\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]") "}",
          4, {"tensor 'a'", "4 bytes, but shape [2] of type F32 needs 8"}},
      {"{" T ("a", "\"dtype\":\"F16\",\"shape\":[4294967296,4294967296],"
                   "\"data_offsets\":[0,0]") "}",
          0, {"tensor 'a'", "[4294967296][4294967296]", "64 bits"}},
      {"{" T ("a", "\"dtype\":\"F32\",\"shape\":[4611686018427387905],"
                   "\"data_offsets\":[0,4]") "}",
          4, {"tensor 'a'", "[4611686018427387905]", "64 bits"}},
      {"{" F32_1 ("a") "," T (
           "b", "\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]") "}",
          6, {"tensor 'b' at byte 117:", "overlap", "end at byte 119"}},
      {"{" F32_1 ("a") "," F32_1 ("b") "}", 4, {"overlap"}},
      {"{" F32_1 ("a") "," T (
           "b", "\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]") "}",
          12, {"tensor 'b' at byte 124:", "leave a hole", "byte 120"}},
      {"{" T (
           "b", "\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]") "}",
          8, {"tensor 'b'", "leave a hole"}},
      /* no encoder */
      {"{}", 0,
          {"no Whisper encoder among its 0 tensors", "encoder.conv1.weight",
              "encoder.blocks.0.attn_ln.weight", "model.encoder.conv1.weight",
              "model.encoder.layers.0.self_attn_layer_norm.weight"}},
      {"{" F32_1 ("decoder.blocks.0.attn.query.weight") "}", 4,
          {"no Whisper encoder among its 1 tensors"}},
      {"{" F32_1 ("encoder.conv1.weight") "}", 4, {"no Whisper encoder"}},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GBytes) bytes = safetensors (cases[i].json, cases[i].data_size);

    model_expect_error (bytes, NPU_ERROR_FORMAT, cases[i].texts);
  }
}

static void
test_header_length (void)
{
  static const guint64 lengths[] = {3, 100000001, G_MAXINT64, G_MAXUINT64};

  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++) {
    guint8 file[10] = "________{}";
    const guint64 length = GUINT64_TO_LE (lengths[i]);
    g_autofree char *text =
        g_strdup_printf ("header has %" G_GUINT64_FORMAT " bytes", lengths[i]);
    g_autoptr (GBytes) bytes = NULL;

    memcpy (file, &length, 8);
    bytes = g_bytes_new (file, sizeof file);
    MODEL_EXPECT_ERROR (bytes, NPU_ERROR_FORMAT, "at byte 0:", text,
        "the 2 that follow", "download it again");
  }
}

/* White space, escapes, key order and empty metadata are all good JSON. */
static void
test_liberties_of_json (void)
{
  g_autoptr (GBytes) bytes = safetensors (
      "{ \"__metadata__\" : { } ,\r\n\t\"\\u0065ncoder\\u002econv1\\/\" : {"
      "\"data_offsets\":[ 0 , 0 ],\"shape\":[ 0 ],\"dtype\":\"F\\u00332\"},"
      "\"\\ud83d\\ude00\": {\"data_offsets\":[0,0],\"shape\":[ ],"
      "\"dtype\":\"\\u0049\\u00364\"}}   ",
      0);

  /* Read to the end: what is missing is the encoder. */
  MODEL_EXPECT_ERROR (
      bytes, NPU_ERROR_FORMAT, "no Whisper encoder among its 2 tensors");
}

static void
test_too_many_tensors (void)
{
  g_autoptr (GString) json = g_string_new ("{");
  g_autoptr (GBytes) bytes = NULL;

  for (guint i = 0; i <= MAX_TENSORS; i++)
    g_string_append_printf (json,
        "%s\"%u\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
        i ? "," : "", i);
  g_string_append_c (json, '}');
  bytes = safetensors (json->str, 0);
  MODEL_EXPECT_ERROR (bytes, NPU_ERROR_FORMAT, "more than 8192 tensors");
}

static void
test_too_long_a_name (void)
{
  g_autofree char *name = g_strnfill (256, 'n');
  g_autofree char *json = g_strdup_printf ("{\"%s\":{}}", name);
  g_autoptr (GBytes) bytes = safetensors (json, 0);

  MODEL_EXPECT_ERROR (bytes, NPU_ERROR_FORMAT, "256 bytes, expected 1 to 255");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/model/safetensors/header", test_header);
  g_test_add_func ("/model/safetensors/header-length", test_header_length);
  g_test_add_func (
      "/model/safetensors/liberties-of-json", test_liberties_of_json);
  g_test_add_func (
      "/model/safetensors/too-many-tensors", test_too_many_tensors);
  g_test_add_func ("/model/safetensors/too-long-a-name", test_too_long_a_name);
  return g_test_run ();
}
