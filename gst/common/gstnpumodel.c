/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstnpumodel.h"

#include "gstnpuerror.h"
#include "npu-error.h"

NpuModel *
gst_npu_model_open (
    GstElement *element, const char *location, const char *outcome)
{
  g_autoptr (GError) error = NULL;
  NpuModel *model = NULL;

  if (location && *location)
    model = npu_model_open (location, &error);
  else
    g_set_error_literal (&error, NPU_ERROR, NPU_ERROR_NOT_FOUND,
        "no model is set; set it to a Whisper model in safetensors or ggml format, or to synthetic:tiny to try without one");

  if (!model)
    gst_npu_post_error (
        element, error, GST_RESOURCE_ERROR_OPEN_READ, "property model");
  else if (model->synthetic)
    GST_ELEMENT_WARNING (element, RESOURCE, SETTINGS,
        ("The weights of %s are random: %s. Set property model to a file for real ones.",
            model->name, outcome),
        (NULL));
  return model;
}
