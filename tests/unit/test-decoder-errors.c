/* What a decoder refuses, and that it goes on after that.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoder-fixture.h"
#include "small-model.h"

#include <math.h>
#include <string.h>

#define VOCAB DECODER_FIXTURE_VOCAB
#define POSITIONS DECODER_FIXTURE_POSITIONS

static void
assert_refused (GError **error, NpuError code, const char *part)
{
  g_assert_error (*error, NPU_ERROR, (gint) code);
  if (!strstr ((*error)->message, part))
    g_error ("'%s' does not say '%s'", (*error)->message, part);
  g_clear_error (error);
}

static gboolean
step (DecoderFixture *fixture, guint sequence, guint32 token, GError **error)
{
  const NpuDecoderRow row = {sequence, token, TRUE};
  float logits[VOCAB], *each[] = {logits};

  return npu_decoder_step (fixture->decoder, &row, 1, each, error);
}

static void
test_options (void)
{
  static const struct {
    NpuDecoderOptions options;
    const char *part;
  } wrong[] = {
      {{.max_windows = 0, .max_sequences = 1, .timeout = 1}, "0 and 1"},
      {{.max_windows = 17, .max_sequences = 1, .timeout = 1}, "17 and 1"},
      {{.max_windows = 1, .max_sequences = 0, .timeout = 1}, "1 and 0"},
      {{.max_windows = 1, .max_sequences = 513, .timeout = 1}, "1 and 513"},
      {{.max_windows = 1, .max_sequences = 1, .timeout = 0}, "timeout"},
      {{99, .max_windows = 1, .max_sequences = 1, .timeout = 1}, "is 99"},
      {{-1, .max_windows = 1, .max_sequences = 1, .timeout = 1}, "is -1"},
  };
  g_autoptr (NpuModel) model = decoder_fixture_new_model ();
  g_autoptr (NpuDevice) device = npu_device_open ("cpu", NULL, NULL);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_assert_null (npu_decoder_new (model, device, &wrong[i].options, &error));
    assert_refused (&error, NPU_ERROR_SETTINGS, wrong[i].part);
  }
}

static void
test_no_decoder (void)
{
  const NpuDecoderOptions options = {
      .max_windows = 1, .max_sequences = 1, .timeout = 1};
  g_autoptr (NpuModel) model = small_model_new (80, 64, 1, 0);
  g_autoptr (NpuDevice) device = npu_device_open ("cpu", NULL, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (npu_decoder_new (model, device, &options, &error));
  g_assert_nonnull (error);
  g_assert_nonnull (strstr (error->message, "encoder only"));
}

static void
test_states (gconstpointer data)
{
  static const float wrong[] = {NAN, INFINITY, -INFINITY};
  g_autoptr (NpuModel) model = decoder_fixture_new_model ();
  g_autoptr (DecoderFixture) fixture =
      decoder_fixture_new (model, GPOINTER_TO_INT (data), 0);
  NpuDecoder *decoder = fixture->decoder;
  const guint d = npu_decoder_get_d (decoder);
  g_autofree float *states = decoder_fixture_new_states (100, d, 1);
  g_autoptr (GError) error = NULL;

  g_assert_false (npu_decoder_set_window (decoder, 4, states, 100, &error));
  assert_refused (&error, NPU_ERROR_SETTINGS, "no window 4");
  g_assert_false (npu_decoder_set_window (decoder, 0, states, 0, &error));
  assert_refused (&error, NPU_ERROR_SETTINGS, "0 positions");
  g_assert_false (npu_decoder_set_window (decoder, 0, states, 1501, &error));
  assert_refused (&error, NPU_ERROR_SETTINGS, "1501 positions");
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    const float right = states[70 * d + i];

    states[70 * d + i] = wrong[i];
    g_assert_false (npu_decoder_set_window (decoder, 0, states, 100, &error));
    assert_refused (&error, NPU_ERROR_FORMAT, "position 70 ");
    states[70 * d + i] = right;
  }
  /* Finite, but not for long. */
  for (guint i = 0; i < d; i++)
    states[66 * d + i] = i % 2 ? 3e38f : -3e38f;
  g_assert_false (npu_decoder_set_window (decoder, 0, states, 100, &error));
  assert_refused (&error, NPU_ERROR_FORMAT, "position 66 ");
  /* The window that could not be set is none. */
  npu_decoder_begin (decoder, 0, 0);
  g_assert_false (step (fixture, 0, 1, &error));
  assert_refused (&error, NPU_ERROR_SETTINGS, "sequence 0");

  decoder_fixture_set_window (fixture, 0, 100, 1);
  npu_decoder_begin (decoder, 0, 0);
  g_assert_true (step (fixture, 0, 1, &error));
}

/* No row of a step that is refused has been taken. */
static void
test_rows (void)
{
  g_autoptr (NpuModel) model = decoder_fixture_new_model ();
  g_autoptr (DecoderFixture) fixture =
      decoder_fixture_new (model, NPU_PRECISION_INT8, 0);
  NpuDecoder *decoder = fixture->decoder;
  NpuDecoderRow rows[POSITIONS + 1];
  float logits[VOCAB], *each[] = {logits};
  g_autoptr (GError) error = NULL;

  g_assert_false (step (fixture, 0, 1, &error));
  assert_refused (&error, NPU_ERROR_SETTINGS, "sequence 0 was not begun");
  decoder_fixture_set_window (fixture, 0, 10, 1);
  npu_decoder_begin (decoder, 0, 0);
  g_assert_false (npu_decoder_step (decoder, rows, 0, each, &error));
  assert_refused (&error, NPU_ERROR_SETTINGS, "a row");
  g_assert_true (step (fixture, 0, 1, &error));
  g_assert_false (step (fixture, 0, VOCAB, &error));
  assert_refused (&error, NPU_ERROR_SETTINGS, "token 1000");
  g_assert_false (step (fixture, 16, 1, &error));
  assert_refused (&error, NPU_ERROR_SETTINGS, "sequence 16");
  g_assert_false (step (fixture, 1, 1, &error));
  assert_refused (&error, NPU_ERROR_SETTINGS, "sequence 1");

  /* One too many, after others that would have been right. */
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    rows[i] = (NpuDecoderRow){0, i, FALSE};
  g_assert_false (npu_decoder_step (decoder, rows, POSITIONS, each, &error));
  assert_refused (&error, NPU_ERROR_SETTINGS, "full");
  g_assert_cmpuint (npu_decoder_get_n_tokens (decoder, 0), ==, 1);
  g_assert_true (npu_decoder_step (decoder, rows, POSITIONS - 1, each, &error));
  g_assert_cmpuint (npu_decoder_get_n_tokens (decoder, 0), ==, POSITIONS);
  g_assert_false (step (fixture, 0, 1, &error));
  assert_refused (&error, NPU_ERROR_SETTINGS, "full");

  /* Its window is another one now. */
  npu_decoder_truncate (decoder, 0, 3);
  decoder_fixture_set_window (fixture, 0, 10, 2);
  g_assert_false (step (fixture, 0, 1, &error));
  assert_refused (&error, NPU_ERROR_SETTINGS, "was not begun since");
  /* A fork of it does not get around that. */
  npu_decoder_fork (decoder, 0, 1);
  g_assert_false (step (fixture, 1, 1, &error));
  assert_refused (&error, NPU_ERROR_SETTINGS, "was not begun since");
}

static void
test_refine (void)
{
  g_autoptr (NpuModel) model = decoder_fixture_new_model ();
  g_autoptr (DecoderFixture) fixture =
      decoder_fixture_new (model, NPU_PRECISION_INT8, 0);
  const guint32 ids[] = {5, VOCAB};
  float logits[2];
  g_autoptr (GError) error = NULL;

  g_assert_false (
      npu_decoder_refine (fixture->decoder, 0, ids, 1, logits, &error));
  assert_refused (&error, NPU_ERROR_SETTINGS, "no row 0");
  decoder_fixture_set_window (fixture, 0, 10, 1);
  npu_decoder_begin (fixture->decoder, 0, 0);
  g_assert_true (step (fixture, 0, 1, &error));
  g_assert_false (
      npu_decoder_refine (fixture->decoder, 0, ids, 2, logits, &error));
  assert_refused (&error, NPU_ERROR_SETTINGS, "token 1000");
  g_assert_true (
      npu_decoder_refine (fixture->decoder, 0, ids, 1, logits, &error));
}

/* --- cancellation -------------------------------------------------------- */

static void
test_cancelled (void)
{
  g_autoptr (NpuModel) model = decoder_fixture_new_model ();
  g_autoptr (DecoderFixture) fixture =
      decoder_fixture_new (model, NPU_PRECISION_INT8, 0);
  g_autofree float *states =
      decoder_fixture_new_states (10, npu_decoder_get_d (fixture->decoder), 1);
  g_autoptr (GError) error = NULL;

  decoder_fixture_set_window (fixture, 0, 10, 1);
  npu_decoder_begin (fixture->decoder, 0, 0);
  npu_decoder_cancel (fixture->decoder);
  for (guint i = 0; i < 2; i++) {
    g_assert_false (step (fixture, 0, 1, &error));
    assert_refused (&error, NPU_ERROR_CANCELLED, "");
    g_assert_false (
        npu_decoder_set_window (fixture->decoder, 1, states, 10, &error));
    assert_refused (&error, NPU_ERROR_CANCELLED, "");
  }
  npu_decoder_resume (fixture->decoder);
  g_assert_true (step (fixture, 0, 1, &error));
  g_assert_cmpuint (npu_decoder_get_n_tokens (fixture->decoder, 0), ==, 1);
}

static gpointer
cancel_and_resume (gpointer data)
{
  NpuDecoder *decoder = data;

  for (guint i = 0; i < 100; i++) {
    npu_decoder_cancel (decoder);
    g_thread_yield ();
    npu_decoder_resume (decoder);
    g_usleep (200);
  }
  return NULL;
}

/* Whenever it comes, a step has been done or has changed nothing. */
static void
test_cancelled_meanwhile (void)
{
  g_autoptr (NpuModel) model = decoder_fixture_new_model ();
  g_autoptr (DecoderFixture) fixture =
      decoder_fixture_new (model, NPU_PRECISION_INT8, 3);
  NpuDecoder *decoder = fixture->decoder;
  GThread *thread;

  decoder_fixture_set_window (fixture, 0, 700, 1);
  npu_decoder_begin (decoder, 0, 0);
  thread = g_thread_new ("cancels", cancel_and_resume, decoder);
  for (guint i = 0, n = 0; i < 500; i++) {
    g_autoptr (GError) error = NULL;

    if (step (fixture, 0, i, &error))
      n++;
    else
      g_assert_error (error, NPU_ERROR, NPU_ERROR_CANCELLED);
    g_assert_cmpuint (npu_decoder_get_n_tokens (decoder, 0), ==, n);
    if (n == POSITIONS)
      npu_decoder_truncate (decoder, 0, n = 0);
  }
  g_thread_join (thread);
  g_assert_true (step (fixture, 0, 1, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/decoder/refuses/options", test_options);
  g_test_add_func ("/decoder/refuses/no-decoder", test_no_decoder);
  g_test_add_data_func ("/decoder/refuses/states/f32",
      GINT_TO_POINTER (NPU_PRECISION_F32), test_states);
  g_test_add_data_func ("/decoder/refuses/states/int8",
      GINT_TO_POINTER (NPU_PRECISION_INT8), test_states);
  g_test_add_func ("/decoder/refuses/rows", test_rows);
  g_test_add_func ("/decoder/refuses/refine", test_refine);
  g_test_add_func ("/decoder/cancelled/before", test_cancelled);
  g_test_add_func ("/decoder/cancelled/meanwhile", test_cancelled_meanwhile);
  return g_test_run ();
}
