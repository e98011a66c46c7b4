/* npuencoder: the element around the Whisper encoder. It is glue: caps,
 * properties, messages; the arithmetic is in src/.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/base/gstbasetransform.h>

G_BEGIN_DECLS

#define GST_TYPE_NPU_ENCODER (gst_npu_encoder_get_type ())
G_DECLARE_FINAL_TYPE (
    GstNpuEncoder, gst_npu_encoder, GST, NPU_ENCODER, GstBaseTransform)

GST_ELEMENT_REGISTER_DECLARE (npuencoder)

/* The log of all its files. */
GST_DEBUG_CATEGORY_EXTERN (gst_npu_encoder_debug);

G_END_DECLS
