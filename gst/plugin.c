/* The plugin: registers its elements.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <gst/gst.h>

#include "gstnpuencoder.h"
#include "gstwhispermel.h"
#include "nputranscriber/gstnputranscriber.h"
#include "whisperdecoder/gstwhisperdecoder.h"

static gboolean
plugin_init (GstPlugin *plugin)
{
  return GST_ELEMENT_REGISTER (whispermel, plugin) &&
         GST_ELEMENT_REGISTER (npuencoder, plugin) &&
         GST_ELEMENT_REGISTER (whisperdecoder, plugin) &&
         GST_ELEMENT_REGISTER (nputranscriber, plugin);
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, npuencoder,
    "Speech encoding on neural processing units", plugin_init, PACKAGE_VERSION,
    "LGPL", PACKAGE, "Unknown package origin")
