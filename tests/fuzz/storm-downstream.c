/* The storm's downstream: it refuses, wants odd memory and caps, and checks
 * what it is given.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "storm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static guint
sink_decision (Storm *storm, guint n)
{
  guint decision;

  g_mutex_lock (&storm->sink_lock);
  decision = tape_below (&storm->sink_tape, n);
  g_mutex_unlock (&storm->sink_lock);
  return decision;
}

static gsize
size_of_caps (GstCaps *caps, gboolean *is_float32)
{
  const GstStructure *structure = gst_caps_get_structure (caps, 0);
  const char *dimensions = gst_structure_get_string (structure, "dimensions");
  const char *types = gst_structure_get_string (structure, "types");
  guint inner, outer;

  if (!dimensions || sscanf (dimensions, "%u:%u", &inner, &outer) != 2)
    g_error ("other dimensions: %s", dimensions);
  *is_float32 = g_strcmp0 (types, "float32") == 0;
  return (gsize) inner * outer * (*is_float32 ? 4 : 2);
}

/* @is_now: of the pad of what is said now */
static void
check_text (GstCaps *caps, GstBuffer *buffer, gboolean is_now)
{
  GstMapInfo info;
  const char *text;

  if (!is_now && (!GST_BUFFER_PTS_IS_VALID (buffer) ||
                     !GST_BUFFER_DURATION_IS_VALID (buffer)))
    g_error ("text without a time");
  if (!gst_buffer_map (buffer, &info, GST_MAP_READ))
    return;
  text = (const char *) info.data;
  if (info.size == 0 || !g_utf8_validate (text, (gssize) info.size, NULL))
    g_error ("text of no characters, or of halves");
  if (gst_structure_has_name (
          gst_caps_get_structure (caps, 0), "application/x-json") !=
      (info.size > 2 && memcmp (text + info.size - 2, "}\n", 2) == 0))
    g_error ("text that is not of its caps");
  gst_buffer_unmap (buffer, &info);
}

static void
check_output (Storm *storm, GstPad *pad, GstBuffer *buffer)
{
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  gboolean is_float32;
  GstMapInfo info;

  if (!caps)
    return; /* deactivated meanwhile, in another thread */
  if (storm->decoder) {
    check_text (caps, buffer, pad == storm->unsynced);
    return;
  }
  if (gst_buffer_get_size (buffer) != size_of_caps (caps, &is_float32))
    g_error ("a buffer of %" G_GSIZE_FORMAT " bytes is not of its caps",
        gst_buffer_get_size (buffer));
  if (!is_float32 || !gst_buffer_map (buffer, &info, GST_MAP_READ))
    return;
  for (gsize i = 0; i < info.size; i += 4) {
    float value;

    memcpy (&value, info.data + i, sizeof value);
    if (!isfinite (value))
      g_error ("value %" G_GSIZE_FORMAT " of %s is %g", i / 4,
          storm->encoder ? "the states" : "the mel", value);
  }
  gst_buffer_unmap (buffer, &info);
}

static GstFlowReturn
sink_chain (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  static const GstFlowReturn refusals[] = {GST_FLOW_EOS, GST_FLOW_NOT_LINKED,
      GST_FLOW_ERROR, GST_FLOW_NOT_NEGOTIATED, GST_FLOW_FLUSHING};
  Storm *storm = gst_pad_get_element_private (pad);
  const guint decision = sink_decision (storm, 64);

  check_output (storm, pad, buffer);
  gst_buffer_unref (buffer);
  return decision >= 1 && decision <= 5 ? refusals[decision - 1] : GST_FLOW_OK;
}

static gboolean
sink_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  gst_event_unref (event);
  return TRUE;
}

/* A downstream that wants a number of bands, or nothing that is made here. */
static GstCaps *
wanted_caps (Storm *storm)
{
  const guint decision = sink_decision (storm, 32);
  guint n_mels;

  g_mutex_lock (&storm->sink_lock);
  n_mels = storm->wanted_mels;
  g_mutex_unlock (&storm->sink_lock);
  if (decision == 1)
    return gst_caps_new_empty_simple ("audio/x-raw");
  if (storm->decoder && n_mels)
    return gst_caps_new_empty_simple ("application/x-json");
  if (!storm->encoder && !storm->decoder && n_mels) {
    g_autofree char *text =
        g_strdup_printf ("other/tensors, dimensions=(string)100:%u:1", n_mels);

    return gst_caps_from_string (text);
  }
  return gst_caps_new_any ();
}

/* Prefixes, padding and alignments that allocators downstream may ask for. */
static gboolean
answer_allocation (Storm *storm, GstQuery *query)
{
  static const gsize prefixes[] = {0, 4, 12, 1, 3};
  const guint decision = sink_decision (storm, 8);
  GstAllocationParams params;

  if (decision < 3)
    return FALSE;
  gst_allocation_params_init (&params);
  params.prefix = prefixes[decision - 3];
  params.padding = decision == 5 ? 7 : 0;
  params.align = decision == 6 ? 4095 : 0;
  gst_query_add_allocation_param (query, NULL, &params);
  return TRUE;
}

static gboolean
sink_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  Storm *storm = gst_pad_get_element_private (pad);

  if (GST_QUERY_TYPE (query) == GST_QUERY_CAPS) {
    g_autoptr (GstCaps) caps = wanted_caps (storm);
    GstCaps *filter;

    gst_query_parse_caps (query, &filter);
    if (filter) {
      GstCaps *both =
          gst_caps_intersect_full (filter, caps, GST_CAPS_INTERSECT_FIRST);

      gst_caps_unref (caps);
      caps = both;
    }
    gst_query_set_caps_result (query, caps);
    return TRUE;
  }
  if (GST_QUERY_TYPE (query) == GST_QUERY_ALLOCATION)
    return answer_allocation (storm, query);
  return gst_pad_query_default (pad, parent, query);
}

static gboolean
src_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  Storm *storm = gst_pad_get_element_private (pad);

  if (GST_QUERY_TYPE (query) == GST_QUERY_LATENCY) {
    const guint decision = sink_decision (storm, 4);

    gst_query_set_latency (query, decision & 1,
        decision == 2 ? G_MAXUINT64 / 2 : 0,
        decision == 1 ? GST_CLOCK_TIME_NONE : G_MAXUINT64 / 2);
    return decision != 0;
  }
  return gst_pad_query_default (pad, parent, query);
}

void
storm_set_sink_functions (GstPad *pad)
{
  gst_pad_set_chain_function (pad, sink_chain);
  gst_pad_set_event_function (pad, sink_event);
  gst_pad_set_query_function (pad, sink_query);
}

void
storm_set_src_functions (GstPad *pad)
{
  gst_pad_set_query_function (pad, src_query);
}
