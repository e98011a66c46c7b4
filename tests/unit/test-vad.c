/* The voice activity detector against a plain one in doubles, on weights made
 * on the spot; on Silero's own, where they are; and files that it must refuse.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "npu-error.h"
#include "vad/npu-vad.h"

#include "ref-vad.h"
#include "test-audio.h"
#include "test-data.h"

#define N_BLOCKS 60

static char *path; /* of a file that tests write */

typedef struct {
  float *values[REF_VAD_N_TENSORS];
} Weights;

static void
weights_init (Weights *weights)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);

  for (guint t = 0; t < REF_VAD_N_TENSORS; t++) {
    const RefVadTensor *tensor = &ref_vad_tensors[t];
    const gsize n = ref_vad_n_elements (tensor);
    /* So that values stay in the range where gates do something. */
    const double range = 2 / sqrt ((double) n / tensor->shape[0]);

    weights->values[t] = g_new (float, n);
    for (gsize i = 0; i < n; i++)
      weights->values[t][i] = g_rand_double_range (rand, -range, range);
  }
}

static void
weights_clear (Weights *weights)
{
  for (guint t = 0; t < REF_VAD_N_TENSORS; t++)
    g_free (weights->values[t]);
}

/* As safetensors, but for the tensor @without; the first dimension of @wrong
 * is one less, and so are its data. */
static void
write_file (const Weights *weights, int without, int wrong)
{
  g_autoptr (GString) header = g_string_new ("{");
  g_autoptr (GByteArray) data = g_byte_array_new ();
  g_autoptr (GByteArray) file = g_byte_array_new ();
  guint64 length;

  for (int t = 0; t < REF_VAD_N_TENSORS; t++) {
    const RefVadTensor *tensor = &ref_vad_tensors[t];
    guint64 rows = tensor->shape[0] - (t == wrong);
    gsize size =
        ref_vad_n_elements (tensor) / tensor->shape[0] * rows * sizeof (float);

    if (t == without)
      continue;
    g_string_append_printf (header,
        "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%" G_GUINT64_FORMAT,
        header->len > 1 ? "," : "", tensor->name, rows);
    for (guint i = 1; i < tensor->n_dims; i++)
      g_string_append_printf (header, ",%" G_GUINT64_FORMAT, tensor->shape[i]);
    g_string_append_printf (header, "],\"data_offsets\":[%u,%u]}", data->len,
        (guint) (data->len + size));
    g_byte_array_append (data, (const guint8 *) weights->values[t], size);
  }
  g_string_append (header, "}");
  length = GUINT64_TO_LE (header->len);
  g_byte_array_append (file, (const guint8 *) &length, sizeof length);
  g_byte_array_append (file, (const guint8 *) header->str, header->len);
  g_byte_array_append (file, data->data, data->len);
  g_assert_true (
      g_file_set_contents (path, (const char *) file->data, file->len, NULL));
}

static NpuVad *
open_file (const char *location)
{
  g_autoptr (GError) error = NULL;
  NpuVad *vad = npu_vad_open (location, &error);

  g_assert_no_error (error);
  g_assert_nonnull (vad);
  return vad;
}

static void
test_against_doubles (void)
{
  g_autofree float *speech =
      test_audio_new_speech (N_BLOCKS * NPU_VAD_BLOCK, 3);
  g_autoptr (NpuVad) vad = NULL;
  Weights weights;
  RefVad ref;
  double least = 1, most = 0;

  memset (&ref, 0, sizeof ref);
  weights_init (&weights);
  write_file (&weights, -1, -1);
  vad = open_file (path);
  for (guint t = 0; t < REF_VAD_N_TENSORS; t++)
    ref.weights[t] = weights.values[t];
  for (guint i = 0; i < N_BLOCKS; i++) {
    const float *block = speech + i * NPU_VAD_BLOCK;
    const double expected = ref_vad_step (&ref, block);

    g_assert_cmpfloat_with_epsilon (npu_vad_step (vad, block), expected, 1e-5);
    least = MIN (least, expected);
    most = MAX (most, expected);
  }
  g_assert_cmpfloat (most - least, >, 0.05); /* it says something */
  weights_clear (&weights);
}

static void
test_reset (void)
{
  g_autofree float *speech = test_audio_new_speech (10 * NPU_VAD_BLOCK, 3);
  g_autoptr (NpuVad) vad = NULL;
  float first[10];
  guint n_other = 0;
  Weights weights;

  weights_init (&weights);
  write_file (&weights, -1, -1);
  vad = open_file (path);
  for (guint i = 0; i < 10; i++)
    first[i] = npu_vad_step (vad, speech + i * NPU_VAD_BLOCK);
  for (guint i = 0; i < 10; i++) /* it remembers */
    n_other += npu_vad_step (vad, speech + i * NPU_VAD_BLOCK) != first[i];
  g_assert_cmpuint (n_other, >, 0);
  npu_vad_reset (vad);
  for (guint i = 0; i < 10; i++)
    g_assert_cmpfloat (
        npu_vad_step (vad, speech + i * NPU_VAD_BLOCK), ==, first[i]);
  weights_clear (&weights);
}

static void
check_refused (const char *location, NpuError code, const char *part)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (npu_vad_open (location, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, NPU_ERROR, (gint) code);
  g_assert_nonnull (strstr (error->message, part));
}

static void
test_refused (void)
{
  Weights weights;

  weights_init (&weights);
  for (int t = 0; t < REF_VAD_N_TENSORS; t++) {
    write_file (&weights, t, -1);
    check_refused (path, NPU_ERROR_FORMAT, ref_vad_tensors[t].name);
    if (ref_vad_tensors[t].shape[0] == 1)
      continue;
    write_file (&weights, -1, t);
    check_refused (path, NPU_ERROR_FORMAT, ref_vad_tensors[t].name);
  }
  weights.values[3][5] = NAN;
  write_file (&weights, -1, -1);
  check_refused (path, NPU_ERROR_FORMAT, "conv2.weight");
  weights_clear (&weights);

  g_assert_true (g_file_set_contents (path, "lmgg and more", -1, NULL));
  check_refused (path, NPU_ERROR_WRONG_TYPE, "safetensors");
  g_assert_true (g_file_set_contents (path, "", -1, NULL));
  check_refused (path, NPU_ERROR_WRONG_TYPE, path);
  check_refused (path, NPU_ERROR_WRONG_TYPE, "Silero");
  g_assert_true (
      g_file_set_contents (path, "PK\3\4, as torch writes", -1, NULL));
  check_refused (path, NPU_ERROR_WRONG_TYPE, "Silero");
  g_unlink (path);
  check_refused (path, NPU_ERROR_NOT_FOUND, path);
}

/* The probabilities are those of the same layers in NumPy's float64. With the
 * weights of the ONNX file of the same package they differ by 4e-6 from ONNX
 * Runtime's over all of this recording. */
static void
test_silero (void)
{
  static const struct {
    guint block;
    double probability;
  } expected[] = {
      {0, 0.0180066},
      {2, 0.2389742},
      {10, 0.6456024},
      {11, 0.9839604},
      {40, 0.9985579},
      {80, 0.0231049},
      {100, 0.0027133},
      {140, 0.0444521},
      {200, 0.9998099},
      {260, 0.9995183},
      {342, 0.5643768},
  };
  g_autofree char *model = test_data_path ("models/silero-vad-16k.safetensors");
  g_autofree char *wav = model ? test_data_path ("audio/jfk.wav") : NULL;
  g_autofree float *samples = NULL;
  g_autoptr (NpuVad) vad = NULL;
  guint next = 0;
  gsize n;

  if (!wav)
    return;
  samples = test_audio_read_wav (wav, &n);
  vad = open_file (model);
  for (guint i = 0; (i + 1) * NPU_VAD_BLOCK <= n; i++) {
    const float probability = npu_vad_step (vad, samples + i * NPU_VAD_BLOCK);

    if (next < G_N_ELEMENTS (expected) && i == expected[next].block)
      g_assert_cmpfloat_with_epsilon (
          probability, expected[next++].probability, 1e-5);
  }
  g_assert_cmpuint (next, ==, G_N_ELEMENTS (expected));
}

int
main (int argc, char **argv)
{
  g_autofree char *folder = NULL;
  int result;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("npu-vad-XXXXXX", NULL);
  path = g_build_filename (folder, "network.safetensors", NULL);
  g_test_add_func ("/vad/against-doubles", test_against_doubles);
  g_test_add_func ("/vad/reset", test_reset);
  g_test_add_func ("/vad/refused", test_refused);
  g_test_add_func ("/vad/silero", test_silero);
  result = g_test_run ();
  g_unlink (path);
  g_rmdir (folder);
  g_free (path);
  return result;
}
