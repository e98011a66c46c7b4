/* The caps of npuencoder: mel of any length that the model takes, states of
 * half as many rows.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "common/gstnpuerror.h"
#include "gstnpuencoderprivate.h"
#include "tensorcaps.h"

static GstBaseTransformClass *parent_class;

static TensorShapes
gst_npu_encoder_get_shapes (GstNpuEncoder *self)
{
  TensorShapes shapes = {0, 0, "float32"};

  GST_OBJECT_LOCK (self);
  if (self->session) {
    shapes.n_mels = npu_encoder_get_n_mels (self->session->encoder);
    shapes.d = npu_encoder_get_d (self->session->encoder);
  }
  if (self->settings.output_type == GST_NPU_ENCODER_OUTPUT_TYPE_FLOAT16)
    shapes.type = "float16";
  GST_OBJECT_UNLOCK (self);
  return shapes;
}

static GstCaps *
gst_npu_encoder_transform_caps (GstBaseTransform *base,
    GstPadDirection direction, GstCaps *caps, GstCaps *filter)
{
  TensorShapes shapes = gst_npu_encoder_get_shapes (GST_NPU_ENCODER (base));
  GstCaps *result;

  if (direction == GST_PAD_SINK)
    result = tensor_caps_mel_to_states (caps, &shapes);
  else
    result = tensor_caps_states_to_mel (caps, &shapes);

  if (filter) {
    GstCaps *all = result;

    result = gst_caps_intersect_full (filter, all, GST_CAPS_INTERSECT_FIRST);
    gst_caps_unref (all);
  }
  /* Where dimensions were open, the filter may have brought in any. */
  if (direction == GST_PAD_SRC)
    result = tensor_caps_keep_mel (result, &shapes);
  return result;
}

static GstCaps *
gst_npu_encoder_fixate_caps (GstBaseTransform *base, GstPadDirection direction,
    GstCaps *caps, GstCaps *othercaps)
{
  /* With nothing linked downstream, the base class tries the input's caps. */
  if (direction == GST_PAD_SINK && gst_caps_is_equal (caps, othercaps)) {
    gst_caps_unref (othercaps);
    othercaps = gst_npu_encoder_transform_caps (base, direction, caps, NULL);
  }
  othercaps = gst_caps_make_writable (gst_caps_truncate (othercaps));
  if (!gst_structure_has_field (
          gst_caps_get_structure (othercaps, 0), "framerate"))
    gst_caps_set_simple (othercaps, "framerate", GST_TYPE_FRACTION, 0, 1, NULL);
  return gst_caps_fixate (othercaps);
}

/* On the sink pad, dimensions that do not fit are accepted here and refused
 * when they arrive, with an error message that says why; a caps query tells
 * beforehand. */
static gboolean
gst_npu_encoder_accept_caps (
    GstBaseTransform *base, GstPadDirection direction, GstCaps *caps)
{
  if (direction == GST_PAD_SINK) {
    g_autoptr (GstCaps) mel =
        gst_pad_get_pad_template_caps (GST_BASE_TRANSFORM_SINK_PAD (base));

    return gst_caps_is_subset (caps, mel);
  }
  return GST_BASE_TRANSFORM_CLASS (parent_class)
      ->accept_caps (base, direction, caps);
}

gboolean
gst_npu_encoder_check_caps (GstNpuEncoder *self, const GstCaps *caps)
{
  g_autoptr (GError) error = NULL;
  guint n_frames;

  if (!self->session)
    return FALSE;
  if (tensor_caps_parse_mel (caps,
          npu_encoder_get_n_mels (self->session->encoder), &n_frames, &error))
    return TRUE;

  gst_npu_post_error (
      GST_ELEMENT (self), error, GST_RESOURCE_ERROR_FAILED, NULL);
  return FALSE;
}

static gboolean
gst_npu_encoder_set_caps (
    GstBaseTransform *base, GstCaps *incaps, GstCaps *outcaps)
{
  GstNpuEncoder *self = GST_NPU_ENCODER (base);
  TensorShapes shapes = gst_npu_encoder_get_shapes (self);
  guint n_frames;

  if (!tensor_caps_parse_mel (incaps, shapes.n_mels, &n_frames, NULL) ||
      !tensor_caps_are_states (outcaps, &shapes, n_frames / 2))
    return FALSE;

  self->window = (GstNpuEncoderWindow){
      .n_frames = n_frames,
      .n_mels = shapes.n_mels,
      .d = shapes.d,
      .half = self->settings.output_type == GST_NPU_ENCODER_OUTPUT_TYPE_FLOAT16,
  };
  return TRUE;
}

static gboolean
gst_npu_encoder_transform_size (GstBaseTransform *base,
    GstPadDirection direction, GstCaps *caps, gsize size, GstCaps *othercaps,
    gsize *othersize)
{
  const GstNpuEncoderWindow *window = &GST_NPU_ENCODER (base)->window;

  if (direction == GST_PAD_SINK)
    *othersize = gst_npu_encoder_window_states_size (window);
  else
    *othersize = gst_npu_encoder_window_mel_size (window);
  return TRUE;
}

void
gst_npu_encoder_caps_install (GstBaseTransformClass *klass)
{
  parent_class = g_type_class_peek_parent (klass);
  klass->transform_caps = gst_npu_encoder_transform_caps;
  klass->fixate_caps = gst_npu_encoder_fixate_caps;
  klass->accept_caps = gst_npu_encoder_accept_caps;
  klass->set_caps = gst_npu_encoder_set_caps;
  klass->transform_size = gst_npu_encoder_transform_size;
}
