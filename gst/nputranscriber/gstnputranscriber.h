/* nputranscriber: audio in, text out. See the .c.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_NPU_TRANSCRIBER (gst_npu_transcriber_get_type ())
G_DECLARE_FINAL_TYPE (
    GstNpuTranscriber, gst_npu_transcriber, GST, NPU_TRANSCRIBER, GstBin)

GST_ELEMENT_REGISTER_DECLARE (nputranscriber)

G_END_DECLS
