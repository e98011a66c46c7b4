/* What to install where GStreamer lacks a decoder.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Returns: (transfer full): where @message says that a plugin is missing, a
 * sentence that names what it would do and the Debian package that has it;
 * else %NULL. */
char *missing_from_message (GstMessage *message);

G_END_DECLS
