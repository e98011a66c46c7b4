/* Opening the model that an element's property names.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "model/npu-model.h"

G_BEGIN_DECLS

/**
 * gst_npu_model_open:
 * @location: (nullable): of the model, as the property `model` has it
 * @outcome: what the element makes, for a warning: "the states mean nothing"
 *
 * Returns: (transfer full): the model, after a warning message where its
 * weights are random; or %NULL after an error message.
 */
NpuModel *gst_npu_model_open (
    GstElement *element, const char *location, const char *outcome);

G_END_DECLS
