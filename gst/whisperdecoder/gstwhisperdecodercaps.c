/* Caps of whisperdecoder: any states in, text or JSON out.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "gstwhisperdecoderprivate.h"

/* The base class of the class that is made here. */
#define PARENT_CLASS                                                           \
  GST_BASE_TRANSFORM_CLASS (g_type_class_peek (GST_TYPE_BASE_TRANSFORM))

/* What one side has says nothing of the other. States of another width than the
 * model's are not left out here: upstream would fail without a word of why;
 * they are refused when they arrive. */
static GstCaps *
transform_caps (GstBaseTransform *base, GstPadDirection direction,
    GstCaps *caps, GstCaps *filter)
{
  GstPad *other = direction == GST_PAD_SINK
                      ? GST_BASE_TRANSFORM_SRC_PAD (base)
                      : GST_BASE_TRANSFORM_SINK_PAD (base);
  GstCaps *result = gst_pad_get_pad_template_caps (other);

  if (filter) {
    GstCaps *all = result;

    result = gst_caps_intersect_full (filter, all, GST_CAPS_INTERSECT_FIRST);
    gst_caps_unref (all);
  }
  if (direction == GST_PAD_SRC)
    result = states_caps_keep (result);
  return result;
}

static GstCaps *
fixate_caps (GstBaseTransform *base, GstPadDirection direction, GstCaps *caps,
    GstCaps *othercaps)
{
  /* With nothing linked downstream, the base class tries the input's caps. */
  if (direction == GST_PAD_SINK && gst_caps_is_equal (caps, othercaps)) {
    gst_caps_unref (othercaps);
    othercaps = transform_caps (base, direction, caps, NULL);
  }
  return gst_caps_fixate (gst_caps_truncate (othercaps));
}

/* On the sink pad, dimensions that do not fit are accepted here and refused
 * when they arrive, with an error message that says why; a caps query tells
 * beforehand. */
static gboolean
accept_caps (GstBaseTransform *base, GstPadDirection direction, GstCaps *caps)
{
  if (direction == GST_PAD_SINK) {
    g_autoptr (GstCaps) states =
        gst_pad_get_pad_template_caps (GST_BASE_TRANSFORM_SINK_PAD (base));

    return gst_caps_is_subset (caps, states);
  }
  return PARENT_CLASS->accept_caps (base, direction, caps);
}

static gboolean
set_caps (GstBaseTransform *base, GstCaps *incaps, GstCaps *outcaps)
{
  GstWhisperDecoder *self = GST_WHISPER_DECODER (base);

  self->output.json = gst_structure_has_name (
      gst_caps_get_structure (outcaps, 0), "application/x-json");
  return states_caps_parse (incaps, &self->format, NULL);
}

/* Buffers of text are our own. */
static gboolean
decide_allocation (GstBaseTransform *base, GstQuery *query)
{
  return TRUE;
}

/* Nobody downstream has anything to say of the memory of text, less of that of
 * states. And such a query waits in a queue until all text before it is taken,
 * which an element that draws it does in its own time, or never, where there
 * are no more pictures: each change of the states' shape would wait for it. */
static GstPadProbeReturn
drop_allocation (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);

  return GST_QUERY_TYPE (query) == GST_QUERY_ALLOCATION ? GST_PAD_PROBE_DROP
                                                        : GST_PAD_PROBE_OK;
}

void
gst_whisper_decoder_caps_init (GstBaseTransform *base)
{
  gst_pad_add_probe (GST_BASE_TRANSFORM_SRC_PAD (base),
      GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM | GST_PAD_PROBE_TYPE_PUSH,
      drop_allocation, NULL, NULL);
}

void
gst_whisper_decoder_caps_install (GstBaseTransformClass *base_class)
{
  base_class->transform_caps = transform_caps;
  base_class->fixate_caps = fixate_caps;
  base_class->accept_caps = accept_caps;
  base_class->set_caps = set_caps;
  base_class->decide_allocation = decide_allocation;
}
