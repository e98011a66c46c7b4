/* Allocation queries for buffers of one tensor, aligned to 64 bytes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Answers upstream's @query: what buffers of @size bytes should be like, and a
 * pool of them if it asks for one. */
gboolean tensor_allocation_propose (GstQuery *query, guint size);

/* Completes the answer to our own @query: buffers of @size bytes, of
 * downstream's allocator and pool if it offered any. */
void tensor_allocation_decide (GstQuery *query, guint size);

G_END_DECLS
