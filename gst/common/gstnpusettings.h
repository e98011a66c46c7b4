/* Settable properties of an element as fields of one structure, which a table
 * of offsets by property id names. A field is of the type that GValue has of
 * its property, and an int of an enumeration.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

void gst_npu_settings_set (
    gpointer settings, const gsize *offsets, guint id, const GValue *value);
void gst_npu_settings_get (
    gconstpointer settings, const gsize *offsets, guint id, GValue *value);

/* Registers an enumeration of the plugin's API; once. */
GType gst_npu_settings_register_enum (
    const char *name, const GEnumValue *values);

G_END_DECLS
