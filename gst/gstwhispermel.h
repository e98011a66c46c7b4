/* whispermel: speech to the log-mel windows that a Whisper encoder takes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_WHISPER_MEL (gst_whisper_mel_get_type ())
G_DECLARE_FINAL_TYPE (
    GstWhisperMel, gst_whisper_mel, GST, WHISPER_MEL, GstElement)

GST_ELEMENT_REGISTER_DECLARE (whispermel);

G_END_DECLS
