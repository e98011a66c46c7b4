/* An encoder on the CPU device, made in one line; whatever fails, fails the
 * test.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "encoder/npu-encoder.h"

G_BEGIN_DECLS

/* How a test's encoder differs from the usual one; 0 in a field is the
 * default: depth 3, the device's batch, all cores, f32. */
typedef struct {
  guint depth, batch_size, threads;
  NpuPrecision precision; /* AUTO stands for F32 */
  const char *device;     /* NULL: cpu */
} EncoderSetup;

typedef struct {
  NpuDevice *device;
  NpuEncoder *encoder;
} EncoderFixture;

EncoderFixture *encoder_fixture_new (
    const NpuModel *model, const EncoderSetup *setup);
void encoder_fixture_free (EncoderFixture *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EncoderFixture, encoder_fixture_free)

/* Returns (transfer full) [n_frames / 2][d] floats. They and the memory around
 * them are poisoned before: a position that is not written, or a write beyond
 * the last one, fails the test. */
float *encoder_fixture_encode (
    EncoderFixture *self, const float *mel, guint n_frames);

/* encoder_fixture_encode() by an encoder for this one window. */
float *encoder_fixture_encode_once (const NpuModel *model,
    const EncoderSetup *setup, const float *mel, guint n_frames);

/* npu_model_open() that fails the test where it fails. */
NpuModel *encoder_fixture_open_model (const char *location);

/* Whether the CPU that this process may use has 16-bit products. */
gboolean encoder_fixture_has_int16 (void);

const char *encoder_fixture_precision_name (NpuPrecision precision);

G_END_DECLS
