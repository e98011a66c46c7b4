/* Errors of the library as error messages of an element.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/**
 * gst_npu_post_error:
 * @error: of the domain NPU_ERROR, or of one of GStreamer's, which is kept
 * @open_code: what NPU_ERROR_OPEN means for the thing that was opened
 * @properties: (nullable): those that had to do with it, "property model"
 *
 * Posts an error message.
 */
void gst_npu_post_error (GstElement *element, const GError *error,
    GstResourceError open_code, const char *properties);

/* Likewise a warning message, which goes on with @consequence: a sentence
 * without its full stop that says what is done. */
void gst_npu_post_warning (GstElement *element, const GError *error,
    GstResourceError open_code, const char *consequence);

G_END_DECLS
