/* Properties of numbers that keep what they are set to, be it out of their
 * range: GObject would leave such a property as it was, or a construct property
 * at 0, with a warning on the terminal only. So an element can say, when it
 * starts, which property it was and what its range is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* As g_param_spec_uint() and such, and are these to who asks for the range. */
GParamSpec *gst_npu_range_uint (const char *name, const char *nick,
    const char *blurb, guint minimum, guint maximum, guint default_value,
    GParamFlags flags);
/* Of a time in ns. */
GParamSpec *gst_npu_range_uint64 (const char *name, const char *nick,
    const char *blurb, guint64 minimum, guint64 maximum, guint64 default_value,
    GParamFlags flags);
GParamSpec *gst_npu_range_double (const char *name, const char *nick,
    const char *blurb, double minimum, double maximum, double default_value,
    GParamFlags flags);

/* (transfer floating): with other flags, for another class; NULL where @spec is
 * none of these. */
GParamSpec *gst_npu_range_copy (GParamSpec *spec, GParamFlags flags);

/* Fails with NPU_ERROR_SETTINGS where @spec is one of these and @value, which
 * has its type, is not in its range; NaN is in none. */
gboolean gst_npu_range_check (
    GParamSpec *spec, const GValue *value, GError **error);

/* The same of all that @object has; without its lock. */
gboolean gst_npu_range_check_all (GObject *object, GError **error);

G_END_DECLS
