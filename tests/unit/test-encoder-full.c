/* Whole windows of 30 s: real speech through a real model against states that
 * were computed elsewhere, and the float64 encoder of the tests against them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "compare.h"
#include "encoder-fixture.h"
#include "ref-encoder.h"
#include "test-data.h"

#define N_MELS 80
#define N_FRAMES 3000
#define D 384

/* A clip's log-mel, the states that belong to it, and the model. */
typedef struct {
  NpuModel *model;
  float *mel;    /* [N_MELS][N_FRAMES] */
  float *states; /* [N_FRAMES / 2][D] */
} Clip;

static void
clip_clear (Clip *clip)
{
  g_clear_pointer (&clip->model, npu_model_unref);
  g_clear_pointer (&clip->mel, g_free);
  g_clear_pointer (&clip->states, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Clip, clip_clear)

/* FALSE after g_test_skip(). */
static gboolean
clip_load (Clip *clip, const char *name)
{
  g_autofree char *mel_name =
      g_strdup_printf ("reference/%s.mel.80x3000.f32", name);
  g_autofree char *states_name =
      g_strdup_printf ("reference/%s.tiny.en.1500x384.f32", name);
  g_autofree char *mel = test_data_path (mel_name);
  g_autofree char *states = mel ? test_data_path (states_name) : NULL;
  g_autofree char *model =
      states ? test_data_path ("models/whisper-tiny.en-encoder-f16.safetensors")
             : NULL;

  if (!model)
    return FALSE;
  clip->model = encoder_fixture_open_model (model);
  g_assert_cmpuint (clip->model->n_mels, ==, N_MELS);
  g_assert_cmpuint (clip->model->d, ==, D);
  clip->mel = test_data_read_f32 (mel, N_MELS * N_FRAMES);
  clip->states = test_data_read_f32 (states, N_FRAMES / 2 * D);
  return TRUE;
}

static void
test_reference_encoder (void)
{
  g_auto (Clip) clip = {0};
  g_autoptr (RefEncoder) reference = NULL;
  g_autofree float *states = NULL;
  Comparison comparison;

  if (!clip_load (&clip, "jfk"))
    return;
  reference = ref_encoder_new (clip.model);
  states = ref_encoder_encode (reference, clip.mel, N_FRAMES);
  compare_check ("float64 encoder", states, clip.states, N_FRAMES / 2, D,
      0.999999999, 0.999999999, &comparison);
  g_assert_cmpfloat (comparison.max_error, <=, 1e-5);
}

/* Float arithmetic does far better than what f32 must hold, 0.99999 and 0.9999;
 * less than this is a fault. */
static void
test_f32 (gconstpointer name)
{
  const EncoderSetup setup = {.precision = NPU_PRECISION_F32};
  g_auto (Clip) clip = {0};
  g_autofree float *states = NULL;

  if (!clip_load (&clip, name))
    return;
  states = encoder_fixture_encode_once (clip.model, &setup, clip.mel, N_FRAMES);
  compare_check (
      name, states, clip.states, N_FRAMES / 2, D, 0.9999999, 0.999999, NULL);
}

/* 8 bits, or the 16 of a CPU without int8 products. */
static void
check_int8 (
    const char *what, const float *states, const float *expected, guint n)
{
  g_autoptr (NpuDevice) cpu = npu_device_open ("cpu", NULL, NULL);

  if (npu_device_has_product (cpu, NPU_PRODUCT_S8))
    compare_check (what, states, expected, n, D, 0.9996, 0.995, NULL);
  else
    compare_check (what, states, expected, n, D, 0.99999, 0.9999, NULL);
}

static void
test_int8 (gconstpointer name)
{
  const EncoderSetup setup = {.precision = NPU_PRECISION_INT8};
  g_auto (Clip) clip = {0};
  g_autofree float *states = NULL;

  if (!clip_load (&clip, name))
    return;
  states = encoder_fixture_encode_once (clip.model, &setup, clip.mel, N_FRAMES);
  check_int8 (name, states, clip.states, N_FRAMES / 2);
}

static void
test_bf16 (gconstpointer name)
{
  const EncoderSetup setup = {.precision = NPU_PRECISION_BF16};
  g_auto (Clip) clip = {0};
  g_autofree float *states = NULL;

  if (!clip_load (&clip, name))
    return;
  states = encoder_fixture_encode_once (clip.model, &setup, clip.mel, N_FRAMES);
  compare_check (
      name, states, clip.states, N_FRAMES / 2, D, 0.9999, 0.999, NULL);
}

/* A short window is not a cropped long one: attention sees less. 5 s, and the
 * shortest that whispermel makes. */
static void
test_short_windows (gconstpointer name)
{
  static const guint lengths[] = {100, 500};
  const EncoderSetup f32 = {.precision = NPU_PRECISION_F32};
  const EncoderSetup int8 = {.precision = NPU_PRECISION_INT8};
  g_auto (Clip) clip = {0};
  g_autoptr (RefEncoder) reference = NULL;

  if (!clip_load (&clip, name))
    return;
  reference = ref_encoder_new (clip.model);
  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++) {
    const guint n = lengths[i];
    g_autofree float *mel = test_data_crop_mel (clip.mel, N_MELS, N_FRAMES, n);
    g_autofree float *expected = ref_encoder_encode (reference, mel, n);
    g_autofree float *f32_states =
        encoder_fixture_encode_once (clip.model, &f32, mel, n);
    g_autofree float *int8_states =
        encoder_fixture_encode_once (clip.model, &int8, mel, n);
    g_autofree char *f32_what = g_strdup_printf ("%u frames, f32", n);
    g_autofree char *int8_what = g_strdup_printf ("%u frames, int8", n);

    compare_check (
        f32_what, f32_states, expected, n / 2, D, 0.9999999, 0.999999, NULL);
    compare_check (
        int8_what, int8_states, expected, n / 2, D, 0.999, 0.98, NULL);
  }
}

static void
test_synthetic (void)
{
  g_autoptr (NpuModel) model = encoder_fixture_open_model ("synthetic:tiny");
  g_autoptr (RefEncoder) reference = ref_encoder_new (model);
  g_autofree float *mel = test_data_new_mel (N_MELS, N_FRAMES, 1);
  g_autofree float *expected = ref_encoder_encode (reference, mel, N_FRAMES);
  const EncoderSetup f32 = {.precision = NPU_PRECISION_F32};
  const EncoderSetup int8 = {.precision = NPU_PRECISION_INT8};
  g_autofree float *f32_states =
      encoder_fixture_encode_once (model, &f32, mel, N_FRAMES);
  g_autofree float *int8_states =
      encoder_fixture_encode_once (model, &int8, mel, N_FRAMES);

  compare_check (
      "f32", f32_states, expected, N_FRAMES / 2, D, 0.99999, 0.9999, NULL);
  check_int8 ("int8", int8_states, expected, N_FRAMES / 2);
}

static void
add (const char *path, const char *clip, GTestDataFunc func)
{
  g_autofree char *name = g_strdup_printf ("/encoder-full/%s/%s", path, clip);

  g_test_add_data_func (name, clip, func);
}

int
main (int argc, char **argv)
{
  static const char *const clips[] = {"jfk", "1272-128104-0000"};
  guint n_clips = G_N_ELEMENTS (clips);

  g_test_init (&argc, &argv, NULL);
  if (g_test_slow ()) { /* float64 is */
    g_test_add_func ("/encoder-full/float64-encoder-matches-reference",
        test_reference_encoder);
    g_test_add_func (
        "/encoder-full/synthetic-window-matches-float64", test_synthetic);
  } else {
    n_clips = 1;
  }
  for (guint i = 0; i < n_clips; i++) {
    add ("f32-matches-reference", clips[i], test_f32);
    add ("int8-matches-reference", clips[i], test_int8);
    if (!g_test_slow ())
      continue;
    add ("bf16-matches-reference", clips[i], test_bf16);
    add ("short-windows-of-speech-match-float64", clips[i], test_short_windows);
  }
  return g_test_run ();
}
