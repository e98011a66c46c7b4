/* The same weights give the same states, whichever file they come from; and
 * what ggml's block types cost.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "compare.h"
#include "encoder-fixture.h"
#include "model-writer.h"
#include "small-model.h"
#include "test-data.h"

#include <glib/gstdio.h>

#define N_FRAMES 500

/* The model to write, a window for it, and its states in f32. */
typedef struct {
  NpuModel *model;
  float *mel;
  float *states;
  guint n_frames;
} Source;

static void
source_clear (Source *source)
{
  g_clear_pointer (&source->model, npu_model_unref);
  g_clear_pointer (&source->mel, g_free);
  g_clear_pointer (&source->states, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Source, source_clear)

/* What is read of @model from such a file. */
static NpuModel *
through_file (const NpuModel *model, TestModelFormat format, NpuDtype dtype)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  NpuModel *read;
  const int fd = g_file_open_tmp ("npuenc-XXXXXX", &path, &error);

  g_assert_no_error (error);
  g_close (fd, NULL);
  test_model_write (model, path, format, dtype, &error);
  g_assert_no_error (error);
  read = encoder_fixture_open_model (path);
  g_unlink (path); /* it is open */
  return read;
}

/* Its weights are exact in half precision. */
static NpuModel *
small_half_model (void)
{
  g_autoptr (NpuModel) model = small_model_new (80, 128, 2, 0);

  return through_file (model, TEST_MODEL_OPENAI, NPU_DTYPE_F16);
}

/* A model of a real size, or a small one where it is not numbers that count. */
static void
source_load_synthetic (Source *source)
{
  const EncoderSetup setup = {0};

  source->model = g_test_slow () ? encoder_fixture_open_model ("synthetic:tiny")
                                 : small_half_model ();
  source->n_frames = N_FRAMES;
  source->mel = test_data_new_mel (source->model->n_mels, N_FRAMES, 1);
  source->states = encoder_fixture_encode_once (
      source->model, &setup, source->mel, N_FRAMES);
}

/* FALSE after g_test_skip(). */
static gboolean
source_load_real (Source *source)
{
  const EncoderSetup setup = {0};
  g_autofree char *location =
      test_data_path ("models/whisper-tiny.en-encoder-f16.safetensors");
  g_autofree char *mel =
      location ? test_data_path ("reference/jfk.mel.80x3000.f32") : NULL;

  if (!mel)
    return FALSE;
  source->model = encoder_fixture_open_model (location);
  source->n_frames = NPU_MAX_FRAMES;
  source->mel =
      test_data_read_f32 (mel, source->model->n_mels * NPU_MAX_FRAMES);
  source->states = encoder_fixture_encode_once (
      source->model, &setup, source->mel, NPU_MAX_FRAMES);
  return TRUE;
}

/* The states of the source's model read from such a file. */
static float *
encode_through_file (
    const Source *source, TestModelFormat format, NpuDtype dtype)
{
  const EncoderSetup setup = {0};
  g_autoptr (NpuModel) model = through_file (source->model, format, dtype);

  return encoder_fixture_encode_once (
      model, &setup, source->mel, source->n_frames);
}

static void
check_same (const Source *source, const char *what, TestModelFormat format,
    NpuDtype dtype)
{
  g_autofree float *states = encode_through_file (source, format, dtype);

  compare_check_same (
      what, states, source->states, source->n_frames / 2, source->model->d);
}

/* All models' weights are exact in half precision. */
static void
check_same_in_all_formats (const Source *source)
{
  check_same (source, "OpenAI's names, f32", TEST_MODEL_OPENAI, NPU_DTYPE_F32);
  check_same (source, "OpenAI's names, f16", TEST_MODEL_OPENAI, NPU_DTYPE_F16);
  check_same (
      source, "Hugging Face's, f32", TEST_MODEL_HUGGING_FACE, NPU_DTYPE_F32);
  check_same (
      source, "Hugging Face's, f16", TEST_MODEL_HUGGING_FACE, NPU_DTYPE_F16);
  check_same (source, "ggml, f32", TEST_MODEL_GGML, NPU_DTYPE_F32);
  check_same (source, "ggml, f16", TEST_MODEL_GGML, NPU_DTYPE_F16);
}

static void
check_block_types (const Source *source)
{
  static const struct {
    const char *name;
    NpuDtype dtype;
    double min_cosine, min_row_cosine;
  } types[] = {
      {"q8_0", NPU_DTYPE_Q8_0, 0.999, 0.99},
      {"q5_1", NPU_DTYPE_Q5_1, 0.99, -1},
      {"q5_0", NPU_DTYPE_Q5_0, 0.98, -1},
      {"q4_1", NPU_DTYPE_Q4_1, 0.97, -1},
      {"q4_0", NPU_DTYPE_Q4_0, 0.95, -1},
  };

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    g_autofree float *states =
        encode_through_file (source, TEST_MODEL_GGML, types[i].dtype);

    compare_check (types[i].name, states, source->states, source->n_frames / 2,
        source->model->d, types[i].min_cosine, types[i].min_row_cosine, NULL);
  }
}

static void
test_same_states (void)
{
  g_auto (Source) source = {0};

  source_load_synthetic (&source);
  check_same_in_all_formats (&source);
}

static void
test_same_states_real (void)
{
  g_auto (Source) source = {0};

  if (!g_test_slow ())
    g_test_skip ("a whole window in every format: with -m slow");
  else if (source_load_real (&source))
    check_same_in_all_formats (&source);
}

static void
test_block_types (void)
{
  g_auto (Source) source = {0};

  source_load_synthetic (&source);
  check_block_types (&source);
}

static void
test_block_types_real (void)
{
  g_auto (Source) source = {0};

  if (!g_test_slow ())
    g_test_skip ("a whole window in every format: with -m slow");
  else if (source_load_real (&source))
    check_block_types (&source);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func (
      "/encoder-formats/same-states-from-every-format", test_same_states);
  g_test_add_func ("/encoder-formats/same-states-from-every-format/real-model",
      test_same_states_real);
  g_test_add_func ("/encoder-formats/block-types-stay-close", test_block_types);
  g_test_add_func ("/encoder-formats/block-types-stay-close/real-model",
      test_block_types_real);
  return g_test_run ();
}
