/* unsynced_src: what is said now, as JSON, without waiting for its time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define UNSYNCED_PAD_NAME "unsynced_src"
#define UNSYNCED_PAD_CAPS "application/x-json"

/* Adds the pad to @element, active, with its sticky events; (transfer none), or
 * %NULL where it has one. Any thread, like all that follows. */
GstPad *unsynced_pad_request (
    GstElement *element, GstPadTemplate *pad_template, const char *name);

/* Whether anybody looks at it. */
gboolean unsynced_pad_is_linked (GstElement *element);

/* A new stream, the end of one, a flush: what concerns the pad of @event, which
 * stays the caller's. */
void unsynced_pad_forward (GstElement *element, GstEvent *event);

/* Pushes @json (transfer full) at running time @now, or without a time. Whether
 * anybody took it is nobody's business. */
void unsynced_pad_push (GstElement *element, char *json, GstClockTime now);

G_END_DECLS
