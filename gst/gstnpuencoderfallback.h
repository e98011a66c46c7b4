/* What npuencoder does where its device fails and `device` is auto: the window
 * is encoded again on the CPU.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "gstnpuencodersession.h"

G_BEGIN_DECLS

/* Windows in a row that fail before the device is given up. */
#define GST_NPU_ENCODER_MAX_FAILURES 3

/* Whether another device could do what failed with @error. */
gboolean gst_npu_encoder_is_device_failure (const GError *error);

/* What to encode the next window with. In the streaming thread, as what
 * follows. */
NpuEncoder *gst_npu_encoder_session_choose (GstNpuEncoderSession *session);

/**
 * gst_npu_encoder_session_fall_back:
 * @encoder: failed to encode a window
 * @error: (inout): why
 *
 * Posts a warning that says what failed and what is done. After some windows in
 * a row, or where the device has gone, the CPU encodes all that follow.
 *
 * Returns: (transfer none): what to encode the window with instead; %NULL where
 * there is nothing, with @error set to what stands.
 */
NpuEncoder *gst_npu_encoder_session_fall_back (GstNpuEncoderSession *session,
    GstElement *element, NpuEncoder *encoder, GError **error);

/* A window was encoded by @encoder. */
void gst_npu_encoder_session_succeeded (
    GstNpuEncoderSession *session, NpuEncoder *encoder);

G_END_DECLS
