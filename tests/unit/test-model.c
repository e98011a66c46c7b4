/* Models come out of every format as they went in.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model/model-private.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "model-writer.h"
#include "quantise.h"
#include "small-model.h"
#include "test-data.h"

static char *folder; /* for files that the tests write */

#define SMALL_D 64

/* Every tensor of an encoder, in a fixed order. */
static GPtrArray *
all_tensors (const NpuModel *model)
{
  const NpuTensor *const first[] = {model->conv1_weight, model->conv1_bias,
      model->conv2_weight, model->conv2_bias, model->positional_embedding,
      model->ln_post_weight, model->ln_post_bias};
  GPtrArray *tensors = g_ptr_array_new ();

  for (guint i = 0; i < G_N_ELEMENTS (first); i++)
    g_ptr_array_add (tensors, (gpointer) first[i]);
  for (guint layer = 0; layer < model->n_layers; layer++) {
    const NpuTensor *const *fields =
        (const NpuTensor *const *) &model->blocks[layer];

    for (guint i = 0; i < sizeof (NpuModelBlock) / sizeof *fields; i++)
      g_ptr_array_add (tensors, (gpointer) fields[i]);
  }
  return tensors;
}

static float *
read_all (const NpuTensor *tensor)
{
  g_autoptr (GError) error = NULL;
  const gsize n = npu_tensor_n_elements (tensor);
  float *values = g_new (float, n);

  npu_tensor_read (tensor, 0, n, values, &error);
  g_assert_no_error (error);
  return values;
}

/* Rounds a small model's weights to multiples of 1/256 between lowest and
 * highest of them, both of which every 32 values contain: such weights survive
 * the type that has these quants without loss. */
static void
snap (const NpuModel *model, gint lowest, gint highest)
{
  g_autoptr (GPtrArray) tensors = all_tensors (model);
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);

  for (guint t = 0; t < tensors->len; t++) {
    const NpuTensor *tensor = g_ptr_array_index (tensors, t);
    g_autoptr (GByteArray) bytes = g_byte_array_new ();

    for (gsize i = 0; i < npu_tensor_n_elements (tensor); i++) {
      float value = i % 32 == 7 ? lowest
                    : i % 32 == 20
                        ? highest
                        : g_rand_int_range (rand, lowest, highest + 1);

      value /= 256;
      quantise_append (bytes, NPU_DTYPE_F32, &value, 1);
    }
    memcpy ((guint8 *) tensor->data, bytes->data, bytes->len);
  }
}

static void
assert_same_model (const NpuModel *actual, const NpuModel *expected)
{
  g_autoptr (GPtrArray) a = all_tensors (actual), e = all_tensors (expected);

  g_assert_cmpuint (actual->n_mels, ==, expected->n_mels);
  g_assert_cmpuint (actual->d, ==, expected->d);
  g_assert_cmpuint (actual->n_heads, ==, expected->n_heads);
  g_assert_cmpuint (actual->n_positions, ==, expected->n_positions);
  g_assert_cmpuint (a->len, ==, e->len);
  for (guint t = 0; t < a->len; t++) {
    const NpuTensor *x = g_ptr_array_index (a, t);
    const NpuTensor *y = g_ptr_array_index (e, t);
    g_autofree float *x_values = read_all (x), *y_values = read_all (y);

    g_assert_cmpmem (x->shape, x->n_dims * sizeof *x->shape, y->shape,
        y->n_dims * sizeof *y->shape);
    for (gsize i = 0; i < npu_tensor_n_elements (x); i++) {
      if (x_values[i] != y_values[i])
        g_error ("%s [%" G_GSIZE_FORMAT "] is %.9g, expected %.9g", x->name, i,
            x_values[i], y_values[i]);
    }
  }
}

/* --- round trips -------------------------------------------------------- */

typedef struct {
  const char *name;
  TestModelFormat format;
  NpuDtype dtype;
  gint lowest, highest; /* quants that its type holds exactly */
} RoundTrip;

static const RoundTrip round_trips[] = {
    {"openai-f32", TEST_MODEL_OPENAI, NPU_DTYPE_F32, -99999, 99999},
    {"openai-f16", TEST_MODEL_OPENAI, NPU_DTYPE_F16, -2047, 2047},
    {"openai-bf16", TEST_MODEL_OPENAI, NPU_DTYPE_BF16, -255, 255},
    {"hugging-face-f32", TEST_MODEL_HUGGING_FACE, NPU_DTYPE_F32, -99999, 99999},
    {"hugging-face-f16", TEST_MODEL_HUGGING_FACE, NPU_DTYPE_F16, -2047, 2047},
    {"hugging-face-bf16", TEST_MODEL_HUGGING_FACE, NPU_DTYPE_BF16, -255, 255},
    {"ggml-f32", TEST_MODEL_GGML, NPU_DTYPE_F32, -99999, 99999},
    {"ggml-f16", TEST_MODEL_GGML, NPU_DTYPE_F16, -2047, 2047},
    {"ggml-q8_0", TEST_MODEL_GGML, NPU_DTYPE_Q8_0, -127, 127},
    {"ggml-q5_0", TEST_MODEL_GGML, NPU_DTYPE_Q5_0, -16, 15},
    {"ggml-q5_1", TEST_MODEL_GGML, NPU_DTYPE_Q5_1, 3, 34},
    {"ggml-q4_0", TEST_MODEL_GGML, NPU_DTYPE_Q4_0, -8, 7},
    {"ggml-q4_1", TEST_MODEL_GGML, NPU_DTYPE_Q4_1, -11, 4},
};

/* Through a file. */
static void
test_round_trip (gconstpointer data)
{
  const RoundTrip *trip = data;
  NpuModel *small = small_model_new (80, SMALL_D, 2, 0);
  g_autofree char *path = g_build_filename (folder, trip->name, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuModel) model = NULL;

  snap (small, trip->lowest, trip->highest);
  test_model_write (small, path, trip->format, trip->dtype, &error);
  g_assert_no_error (error);
  model = npu_model_open (path, &error);
  g_assert_no_error (error);

  g_assert_cmpstr (model->name, ==, trip->name);
  g_assert_false (model->synthetic);
  g_assert_cmpuint (model->n_layers, ==, 2);
  g_assert_cmpint (model->blocks[1].query_weight->dtype, ==, trip->dtype);
  assert_same_model (model, small);
  g_unlink (path);
  small_model_free (small);
}

/* Weights that no quants fit: each is off by half a step at most, and by a
 * whole step where Q4_0 and Q5_0 have no quant for the far end. */
static void
test_quantised_within_a_step (gconstpointer data)
{
  const NpuDtype dtype = GPOINTER_TO_UINT (data);
  const gboolean symmetric = dtype == NPU_DTYPE_Q4_0 || dtype == NPU_DTYPE_Q5_0;
  const double n_steps = dtype == NPU_DTYPE_Q8_0   ? 254
                         : dtype == NPU_DTYPE_Q5_0 ? 32
                         : dtype == NPU_DTYPE_Q5_1 ? 31
                         : dtype == NPU_DTYPE_Q4_0 ? 16
                                                   : 15;
  NpuModel *small = small_model_new (80, SMALL_D, 1, 0);
  g_autoptr (GBytes) bytes =
      test_model_to_bytes (small, TEST_MODEL_GGML, dtype);
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuModel) model = npu_model_open_bytes (bytes, "made", &error);
  const NpuTensor *weight = small->blocks[0].fc2_weight;
  const gsize n = npu_tensor_n_elements (weight);
  g_autofree float *expected = read_all (weight), *actual = NULL;
  double worst = 0;

  g_assert_no_error (error);
  actual = read_all (model->blocks[0].fc2_weight);
  for (gsize i = 0; i < n; i += 32) {
    float min = 0, max = 0, range;

    for (gsize j = i; j < i + 32; j++) {
      min = MIN (min, expected[j]);
      max = MAX (max, expected[j]);
    }
    range =
        symmetric || dtype == NPU_DTYPE_Q8_0 ? 2 * MAX (-min, max) : max - min;
    for (gsize j = i; j < i + 32; j++)
      worst = MAX (worst, fabs (actual[j] - expected[j]) / (range / n_steps));
  }
  g_test_message ("worst error %.4f steps", worst);
  /* The scale and minimum are rounded to halves, which adds a little. */
  g_assert_cmpfloat (worst, <, symmetric ? 1.05 : 0.55);
  g_assert_cmpfloat (worst, >, 0.4);
  small_model_free (small);
}

/* --- elements ----------------------------------------------------------- */

/* Blocks with scale 0.5, or for the affine types scale 0.25 and minimum -3:
 * quants that differ in every bit position, values worked out by hand. */
static void
test_block_types_by_hand (void)
{
  guint8 q8[34] = {0x00, 0x38}, q4_0[18] = {0x00, 0x38};
  guint8 q4_1[20] = {0x00, 0x34, 0x00, 0xc2};
  guint8 q5_0[22] = {0x00, 0x38, 0x0f, 0x00, 0x00, 0x80};
  guint8 q5_1[24] = {0x00, 0x34, 0x00, 0xc2, 0x0f, 0x00, 0x00, 0x80};
  const struct {
    NpuDtype dtype;
    const guint8 *data;
    gsize size;
  } types[] = {{NPU_DTYPE_Q8_0, q8, sizeof q8},
      {NPU_DTYPE_Q4_0, q4_0, sizeof q4_0}, {NPU_DTYPE_Q4_1, q4_1, sizeof q4_1},
      {NPU_DTYPE_Q5_0, q5_0, sizeof q5_0}, {NPU_DTYPE_Q5_1, q5_1, sizeof q5_1}};

  for (guint i = 0; i < 32; i++)
    q8[2 + i] = (guint8) (i * 8 - 128);
  for (guint j = 0; j < 16; j++)
    q4_0[2 + j] = q4_1[4 + j] = q5_0[6 + j] = q5_1[8 + j] = j | (15 - j) << 4;

  for (guint t = 0; t < G_N_ELEMENTS (types); t++) {
    /* Data of ggml files may begin anywhere. */
    for (guint shift = 0; shift < 4; shift++) {
      g_autofree guint8 *memory = g_malloc (types[t].size + shift);
      const NpuTensor tensor = {.name = "t",
          .n_dims = 1,
          .dtype = types[t].dtype,
          .shape = {32},
          .data = memory + shift};
      g_autofree float *actual = NULL;

      memcpy (memory + shift, types[t].data, types[t].size);
      actual = read_all (&tensor);
      for (gint i = 0; i < 32; i++) {
        const gint q4 = i < 16 ? i : 31 - i;
        const gint q5 = q4 + (i < 4 || i == 31 ? 16 : 0);
        const float expected =
            types[t].dtype == NPU_DTYPE_Q8_0   ? (i * 8 - 128) * 0.5f
            : types[t].dtype == NPU_DTYPE_Q4_0 ? (q4 - 8) * 0.5f
            : types[t].dtype == NPU_DTYPE_Q4_1 ? q4 * 0.25f - 3
            : types[t].dtype == NPU_DTYPE_Q5_0 ? (q5 - 16) * 0.5f
                                               : q5 * 0.25f - 3;

        g_assert_cmpfloat (actual[i], ==, expected);
      }
    }
  }
}

/* Against the definition of the format; bit patterns, for the sign of 0. */
static void
test_every_half (void)
{
  g_autofree guint8 *data = g_malloc (2 * 65536);
  g_autofree float *values = NULL;
  NpuTensor tensor = {
      .name = "t", .n_dims = 1, .dtype = NPU_DTYPE_F16, .data = data};
  g_autoptr (GArray) halves = g_array_new (FALSE, FALSE, sizeof (guint16));

  for (guint h = 0; h < 65536; h++) {
    if ((h >> 10 & 31) != 31) {
      const guint16 half = h;

      data[2 * halves->len] = h & 255;
      data[2 * halves->len + 1] = h >> 8;
      g_array_append_val (halves, half);
    }
  }
  tensor.shape[0] = halves->len;
  values = read_all (&tensor);
  for (guint i = 0; i < halves->len; i++) {
    const guint16 half = g_array_index (halves, guint16, i);
    const int exponent = half >> 10 & 31, mantissa = half & 1023;
    const double magnitude = exponent == 0
                                 ? ldexp (mantissa, -24)
                                 : ldexp (1024 + mantissa, exponent - 25);
    const float expected = (float) (half & 0x8000 ? -magnitude : magnitude);

    g_assert_cmpmem (&values[i], sizeof (float), &expected, sizeof expected);
    g_assert_cmphex (quantise_half (expected), ==, half);
  }
}

/* Any part of a tensor is what a whole read has there, and nothing is written
 * beyond. */
static void
check_parts (const NpuTensor *tensor)
{
  const guint block = npu_dtype_block (tensor->dtype);
  const gsize n = npu_tensor_n_elements (tensor);
  g_autofree float *whole = read_all (tensor);
  g_autoptr (GRand) rand = g_rand_new_with_seed (2);
  float part[200];

  for (guint i = 0; i < 300; i++) {
    const gsize length =
        (gsize) g_rand_int_range (rand, 0, 190) / block * block;
    const gsize first =
        (gsize) g_rand_int_range (rand, 0, n - length + 1) / block * block;
    g_autoptr (GError) error = NULL;

    part[length] = 12345;
    npu_tensor_read (tensor, first, length, part, &error);
    g_assert_no_error (error);
    g_assert_cmpmem (
        part, length * sizeof (float), whole + first, length * sizeof (float));
    g_assert_cmpfloat (part[length], ==, 12345);
  }
}

static void
test_parts_of_a_tensor (void)
{
  NpuModel *small = small_model_new (80, SMALL_D, 1, 0);
  g_autoptr (NpuModel) synthetic = npu_model_open ("synthetic:tiny", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (round_trips); i++) {
    g_autoptr (GBytes) bytes = test_model_to_bytes (
        small, round_trips[i].format, round_trips[i].dtype);
    g_autoptr (NpuModel) model = npu_model_open_bytes (bytes, "made", NULL);

    check_parts (model->blocks[0].fc1_weight);
    check_parts (model->conv1_weight);
  }
  check_parts (synthetic->blocks[3].fc1_weight);
  check_parts (synthetic->positional_embedding);
  small_model_free (small);
}

/* --- names -------------------------------------------------------------- */

/* Renames what begins with @from. */
static void
rename_tensors (GPtrArray *tensors, const char *from, const char *to)
{
  for (guint i = 0; i < tensors->len; i++) {
    TestTensor *tensor = g_ptr_array_index (tensors, i);

    if (g_str_has_prefix (tensor->name, from)) {
      char *name = g_strconcat (to, tensor->name + strlen (from), NULL);

      g_free (tensor->name);
      tensor->name = name;
    }
  }
}

static void
test_encoder_prefixes (void)
{
  static const struct {
    TestModelFormat format;
    const char *from, *to;
  } cases[] = {
      {TEST_MODEL_OPENAI, "encoder.", ""},
      {TEST_MODEL_OPENAI, "encoder.", "model.encoder."},
      {TEST_MODEL_HUGGING_FACE, "model.encoder.", "encoder."},
      {TEST_MODEL_HUGGING_FACE, "model.encoder.", ""},
      {TEST_MODEL_GGML, "encoder.", "encoder."},
  };
  NpuModel *small = small_model_new (80, SMALL_D, 1, 0);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GPtrArray) tensors =
        test_model_tensors (small, cases[i].format, NPU_DTYPE_F32, &error);
    g_autoptr (GBytes) bytes = NULL;
    g_autoptr (NpuModel) model = NULL;

    g_assert_no_error (error);
    rename_tensors (tensors, cases[i].from, cases[i].to);
    if (cases[i].format == TEST_MODEL_GGML) {
      TestGgmlHeader header;

      test_model_ggml_header (small, NPU_DTYPE_F32, &header);
      bytes = test_model_to_ggml (tensors, &header);
    } else {
      bytes = test_model_to_safetensors (tensors);
    }
    model = npu_model_open_bytes (bytes, "made", &error);
    g_assert_no_error (error);
    assert_same_model (model, small);
  }
  small_model_free (small);
}

/* A decoder's tensors may be of any type, size and content. */
static void
test_other_tensors_are_skipped (void)
{
  static const guint64 empty[] = {0, 5}, deep[] = {1, 2, 1, 2, 1, 2};
  NpuModel *small = small_model_new (128, SMALL_D, 1, 0);
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) tensors = test_model_tensors (
      small, TEST_MODEL_HUGGING_FACE, NPU_DTYPE_F16, &error);
  TestTensor *poisoned, *odd, *nothing, *six_dims;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (NpuModel) model = NULL;

  poisoned = test_model_find (tensors, "model.decoder.embed_tokens.weight");
  memset (poisoned->data->data, 0xff, poisoned->data->len);
  odd = test_tensor_new ("model.decoder.mask", NPU_DTYPE_F16, 1, &empty[1]);
  odd->type_name = "F8_E4M3";
  nothing = test_tensor_new ("model.decoder.none", NPU_DTYPE_F32, 2, empty);
  six_dims = test_tensor_new ("model.decoder.deep", NPU_DTYPE_F32, 6, deep);
  g_ptr_array_add (tensors, odd);
  g_ptr_array_insert (tensors, 5, nothing);
  g_ptr_array_insert (tensors, 9, six_dims);
  bytes = test_model_to_safetensors (tensors);
  model = npu_model_open_bytes (bytes, "made", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (model->n_mels, ==, 128);
  small_model_free (small);
}

/* --- a real model ------------------------------------------------------- */

/* Values read from the file by other means. */
static void
test_real_model (void)
{
  g_autofree char *path =
      test_data_path ("models/whisper-tiny.en-encoder-f16.safetensors");
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuModel) model = NULL;
  g_autofree float *conv1 = NULL, *bias = NULL;
  double sum = 0;

  if (!path)
    return;
  model = npu_model_open (path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (model->d, ==, 384);
  g_assert_cmpuint (model->n_heads, ==, 6);
  g_assert_cmpuint (model->n_layers, ==, 4);
  g_assert_cmpuint (model->n_mels, ==, 80);
  conv1 = read_all (model->conv1_weight);
  bias = read_all (model->blocks[3].fc1_bias);
  g_assert_cmpfloat (conv1[0], ==, 0x1.d780000000000p-6f);
  g_assert_cmpfloat (conv1[92159], ==, 0x1.c180000000000p-7f);
  g_assert_cmpfloat (bias[1535], ==, -0x1.eb40000000000p+1f);
  for (gsize i = 0; i < 92160; i++)
    sum += conv1[i];
  g_assert_cmpfloat_with_epsilon (sum, 77.03080528974533, 1e-9);
}

int
main (int argc, char **argv)
{
  static const NpuDtype quantised[] = {NPU_DTYPE_Q8_0, NPU_DTYPE_Q5_0,
      NPU_DTYPE_Q5_1, NPU_DTYPE_Q4_0, NPU_DTYPE_Q4_1};
  int result;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("npuenc-test-XXXXXX", NULL);
  for (guint i = 0; i < G_N_ELEMENTS (round_trips); i++) {
    g_autofree char *path =
        g_strconcat ("/model/round-trip/", round_trips[i].name, NULL);

    g_test_add_data_func (path, &round_trips[i], test_round_trip);
  }
  for (guint i = 0; i < G_N_ELEMENTS (quantised); i++) {
    g_autofree char *path = g_strdup_printf (
        "/model/within-a-step/%s", npu_dtype_name (quantised[i]));

    g_test_add_data_func (
        path, GUINT_TO_POINTER (quantised[i]), test_quantised_within_a_step);
  }
  g_test_add_func ("/model/block-types-by-hand", test_block_types_by_hand);
  g_test_add_func ("/model/every-half", test_every_half);
  g_test_add_func ("/model/parts-of-a-tensor", test_parts_of_a_tensor);
  g_test_add_func ("/model/encoder-prefixes", test_encoder_prefixes);
  g_test_add_func (
      "/model/other-tensors-are-skipped", test_other_tensors_are_skipped);
  g_test_add_func ("/model/real-model", test_real_model);
  result = g_test_run ();
  g_rmdir (folder);
  g_free (folder);
  return result;
}
