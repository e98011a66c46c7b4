/* An encoder on the CPU device, made in one line.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "encoder-fixture.h"

#include <math.h>
#include <string.h>

#define GUARD 64 /* floats after the states */

/* A NaN of this payload comes from no arithmetic. */
static const guint32 poison = 0x7fdeadbe;

static gboolean
is_poison (const float *value)
{
  return memcmp (value, &poison, sizeof poison) == 0;
}

NpuModel *
encoder_fixture_open_model (const char *location)
{
  g_autoptr (GError) error = NULL;
  NpuModel *model = npu_model_open (location, &error);

  g_assert_no_error (error);
  g_assert_nonnull (model);
  return model;
}

gboolean
encoder_fixture_has_int16 (void)
{
  const NpuDeviceOptions options = {.threads = 1};
  NpuDevice *device = npu_device_open ("cpu", &options, NULL);
  const gboolean has = npu_device_has_product (device, NPU_PRODUCT_S16);

  npu_device_unref (device);
  return has;
}

const char *
encoder_fixture_precision_name (NpuPrecision precision)
{
  return npu_precision_to_string (precision);
}

EncoderFixture *
encoder_fixture_new (const NpuModel *model, const EncoderSetup *setup)
{
  EncoderFixture *self = g_new0 (EncoderFixture, 1);
  const NpuDeviceOptions device_options = {.threads = setup->threads};
  const NpuEncoderOptions options = {
      .depth = setup->depth ? setup->depth : 3,
      .batch_size = setup->batch_size,
      .precision = setup->precision == NPU_PRECISION_AUTO ? NPU_PRECISION_F32
                                                          : setup->precision,
      .timeout = 600 * (guint64) 1000000000, /* valgrind is slow */
  };
  g_autoptr (GError) error = NULL;

  self->device = npu_device_open (
      setup->device ? setup->device : "cpu", &device_options, &error);
  g_assert_no_error (error);
  self->encoder = npu_encoder_new (model, self->device, &options, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (npu_encoder_get_precision (self->encoder), ==,
      encoder_fixture_precision_name (options.precision));
  return self;
}

void
encoder_fixture_free (EncoderFixture *self)
{
  npu_encoder_free (self->encoder);
  npu_device_unref (self->device);
  g_free (self);
}

float *
encoder_fixture_encode (EncoderFixture *self, const float *mel, guint n_frames)
{
  gsize n = (gsize) n_frames / 2 * npu_encoder_get_d (self->encoder);
  float *states = g_new (float, n + GUARD);
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < n + GUARD; i++)
    memcpy (&states[i], &poison, sizeof poison);

  npu_encoder_encode (self->encoder, mel, n_frames, states, NULL, &error);
  g_assert_no_error (error);

  for (gsize i = 0; i < n; i++)
    g_assert_true (isfinite (states[i]));
  for (gsize i = n; i < n + GUARD; i++)
    g_assert_true (is_poison (&states[i]));
  return states;
}

float *
encoder_fixture_encode_once (const NpuModel *model, const EncoderSetup *setup,
    const float *mel, guint n_frames)
{
  g_autoptr (EncoderFixture) fixture = encoder_fixture_new (model, setup);

  return encoder_fixture_encode (fixture, mel, n_frames);
}
