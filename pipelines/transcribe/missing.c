/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "missing.h"

#include <gst/pbutils/missing-plugins.h>

/* Media types and the package, less its beginning, of Debian 12 and 13; what is
 * not here is libav's. */
static const struct {
  const char *type, *package;
} packages[] = {
    {"application/ogg", "plugins-base"},
    {"audio/x-opus", "plugins-base"},
    {"audio/x-vorbis", "plugins-base"},
    {"audio/x-flac", "plugins-good"},
    {"audio/x-speex", "plugins-good"},
    {"audio/x-wav", "plugins-good"},
    {"audio/x-matroska", "plugins-good"},
    {"audio/webm", "plugins-good"},
    {"video/x-matroska", "plugins-good"},
    {"video/webm", "plugins-good"},
    {"video/quicktime", "plugins-good"},
    {"audio/x-m4a", "plugins-good"},
    {"video/mpegts", "plugins-bad"},
    {"audio/x-amr-nb-sh", "plugins-ugly"},
    {"audio/x-amr-wb-sh", "plugins-ugly"},
};

static const char *
package_of (const GstCaps *caps)
{
  const GstStructure *s = gst_caps_get_structure (caps, 0);
  int version;

  if (gst_structure_has_name (s, "audio/mpeg") &&
      gst_structure_get_int (s, "mpegversion", &version) && version == 1)
    return "plugins-good";
  for (guint i = 0; i < G_N_ELEMENTS (packages); i++) {
    if (gst_structure_has_name (s, packages[i].type))
      return packages[i].package;
  }
  return "libav";
}

char *
missing_from_message (GstMessage *message)
{
  g_autofree char *what = NULL;
  const GValue *detail;
  const char *package = "libav";

  if (!gst_is_missing_plugin_message (message))
    return NULL;
  what = gst_missing_plugin_message_get_description (message);
  detail =
      gst_structure_get_value (gst_message_get_structure (message), "detail");
  if (detail && GST_VALUE_HOLDS_CAPS (detail))
    package = package_of (gst_value_get_caps (detail));
  return g_strdup_printf (
      "GStreamer has no %s here; install gstreamer1.0-%s", what, package);
}
