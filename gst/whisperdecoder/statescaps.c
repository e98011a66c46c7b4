/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "statescaps.h"

#include <string.h>

#include "tensorcaps.h"

gsize
states_format_size (const StatesFormat *format)
{
  return (gsize) format->n_positions * format->d *
         (format->half ? sizeof (guint16) : sizeof (float));
}

gboolean
states_caps_parse (const GstCaps *caps, StatesFormat *format, GError **error)
{
  const GstStructure *s = gst_caps_get_structure (caps, 0);
  const char *text = gst_structure_get_string (s, "dimensions");
  const char *type = gst_structure_get_string (s, "types");
  TensorDims dims;

  if (!text || !tensor_dims_parse (text, &dims) ||
      dims.outer > STATES_MAX_POSITIONS) {
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        "dimensions=%s are not those of Whisper's states; expected WIDTH:POSITIONS:1, innermost first, with up to %u positions, such as 512:%u:1: take what npuencoder gives",
        text ? text : "(none)", STATES_MAX_POSITIONS, STATES_MAX_POSITIONS);
    return FALSE;
  }
  *format = (StatesFormat){
      .n_positions = dims.outer,
      .d = dims.inner,
      .half = g_strcmp0 (type, "float16") == 0,
  };
  return TRUE;
}

gboolean
states_format_check_width (
    const StatesFormat *format, guint d, const char *model, GError **error)
{
  if (format->d == d)
    return TRUE;
  g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
      "the states are %u values wide, but the decoder of %s takes %u: they are another model's; set property model of npuencoder and whisperdecoder to the same one",
      format->d, model, d);
  return FALSE;
}

static gboolean
is_kept (const GValue *value)
{
  TensorDims dims;

  return G_VALUE_HOLDS_STRING (value) &&
         tensor_dims_parse (g_value_get_string (value), &dims) &&
         dims.outer <= STATES_MAX_POSITIONS;
}

static gboolean
keep_structure (GstCapsFeatures *features, GstStructure *s, gpointer user_data)
{
  const GValue *dimensions = gst_structure_get_value (s, "dimensions");
  GValue kept = G_VALUE_INIT;

  if (!dimensions)
    return TRUE;
  if (!GST_VALUE_HOLDS_LIST (dimensions))
    return is_kept (dimensions);

  g_value_init (&kept, GST_TYPE_LIST);
  for (guint i = 0; i < gst_value_list_get_size (dimensions); i++) {
    const GValue *value = gst_value_list_get_value (dimensions, i);

    if (is_kept (value))
      gst_value_list_append_value (&kept, value);
  }
  if (gst_value_list_get_size (&kept) == 0) {
    g_value_unset (&kept);
    return FALSE;
  }
  gst_structure_take_value (s, "dimensions", &kept);
  return TRUE;
}

GstCaps *
states_caps_keep (GstCaps *caps)
{
  caps = gst_caps_make_writable (caps);
  gst_caps_filter_and_map_in_place (caps, keep_structure, NULL);
  return caps;
}
