/* Properties of a bin that are those of the elements inside it, under their
 * names.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/**
 * parent_properties_install:
 * @klass: of the bin
 * @first_id: of the properties installed; others follow
 * @child_type: an element's type
 * @left_out: (array zero-terminated): names that stay inside
 *
 * Installs the properties that the type itself has and @klass has not.
 *
 * Returns: the first id that is free
 */
guint parent_properties_install (GObjectClass *klass, guint first_id,
    GType child_type, const char *const *left_out);

/* Sets the property in each child that has one of its name. */
void parent_properties_set (GstElement *const *children, guint n,
    const GValue *value, GParamSpec *pspec);

/* Gets it from the last child that has it: what comes out of the bin is its
 * business. */
void parent_properties_get (
    GstElement *const *children, guint n, GValue *value, GParamSpec *pspec);

G_END_DECLS
