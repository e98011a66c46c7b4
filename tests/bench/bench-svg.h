/* A picture of a trace: one lane per row, time from left to right.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Draws the trace file @trace, as NpuTrace writes it, to @svg. @title is the
 * line above it. Returns %FALSE with @error set where a file cannot be read or
 * written, or has no spans. */
gboolean bench_svg_draw (
    const char *trace, const char *svg, const char *title, GError **error);

G_END_DECLS
