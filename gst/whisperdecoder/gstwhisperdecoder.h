/* whisperdecoder: states of Whisper's encoder in, text out. See the .c.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/base/gstbasetransform.h>

G_BEGIN_DECLS

GST_DEBUG_CATEGORY_EXTERN (gst_whisper_decoder_debug);

#define GST_TYPE_WHISPER_DECODER (gst_whisper_decoder_get_type ())
G_DECLARE_FINAL_TYPE (GstWhisperDecoder, gst_whisper_decoder, GST,
    WHISPER_DECODER, GstBaseTransform)

GST_ELEMENT_REGISTER_DECLARE (whisperdecoder)

G_END_DECLS
