/* A property of unsigned numbers that keeps what it is set to, be it out of its
 * range: GObject would leave the property as it was, or a construct property at
 * 0, with a warning on the terminal only. So the element can say, when it
 * starts, which property it was and what its range is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* As g_param_spec_uint(), and is one to who asks for the range. */
GParamSpec *uint_param_new (const char *name, const char *nick,
    const char *blurb, guint minimum, guint maximum, guint default_value,
    GParamFlags flags);

/* Fails with NPU_ERROR_SETTINGS where @value is not in the range of @spec. */
gboolean uint_param_check (GParamSpec *spec, guint value, GError **error);

G_END_DECLS
