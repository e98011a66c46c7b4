/* A pad of a test's own beside an element, without an element around it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

/* A pad (transfer floating) that takes all caps by a template of its own, as
 * those of elements do. Without a template, or with fixed caps, GStreamer (seen
 * in 1.22) answers a caps query by the caps of the pad's last event and takes
 * its reference after it gave the pad's lock away: a caps event of another
 * thread frees them meanwhile. */
static inline GstPad *
peer_pad_new (const char *name, GstPadDirection direction)
{
  g_autoptr (GstCaps) any = gst_caps_new_any ();
  g_autoptr (GstPadTemplate) made = gst_object_ref_sink (
      gst_pad_template_new ("peer", direction, GST_PAD_ALWAYS, any));

  return gst_pad_new_from_template (made, name);
}
