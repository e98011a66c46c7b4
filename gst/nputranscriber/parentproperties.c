/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "parentproperties.h"

#include <string.h>

#include "common/gstnpurange.h"

/* A bin's children have their own values from the start. */
#define KEPT_FLAGS(spec) ((spec)->flags & ~G_PARAM_CONSTRUCT)

static GParamSpec *
copy_number (GParamSpec *spec, const char *name, const char *nick,
    const char *blurb, GParamFlags flags)
{
  GParamSpec *copy = gst_npu_range_copy (spec, flags);

  if (copy)
    return copy;
  if (G_IS_PARAM_SPEC_UINT (spec)) {
    const GParamSpecUInt *of = G_PARAM_SPEC_UINT (spec);

    return g_param_spec_uint (
        name, nick, blurb, of->minimum, of->maximum, of->default_value, flags);
  }
  if (G_IS_PARAM_SPEC_UINT64 (spec)) {
    const GParamSpecUInt64 *of = G_PARAM_SPEC_UINT64 (spec);

    return g_param_spec_uint64 (
        name, nick, blurb, of->minimum, of->maximum, of->default_value, flags);
  }
  if (G_IS_PARAM_SPEC_INT (spec)) {
    const GParamSpecInt *of = G_PARAM_SPEC_INT (spec);

    return g_param_spec_int (
        name, nick, blurb, of->minimum, of->maximum, of->default_value, flags);
  }
  if (G_IS_PARAM_SPEC_DOUBLE (spec)) {
    const GParamSpecDouble *of = G_PARAM_SPEC_DOUBLE (spec);

    return g_param_spec_double (
        name, nick, blurb, of->minimum, of->maximum, of->default_value, flags);
  }
  return NULL;
}

/* Returns %NULL for a type that none of our elements has. */
static GParamSpec *
copy_spec (GParamSpec *spec)
{
  const char *name = spec->name;
  const char *nick = g_param_spec_get_nick (spec);
  const char *blurb = g_param_spec_get_blurb (spec);
  const GParamFlags flags = KEPT_FLAGS (spec);

  if (G_IS_PARAM_SPEC_STRING (spec))
    return g_param_spec_string (
        name, nick, blurb, G_PARAM_SPEC_STRING (spec)->default_value, flags);
  if (G_IS_PARAM_SPEC_BOOLEAN (spec))
    return g_param_spec_boolean (
        name, nick, blurb, G_PARAM_SPEC_BOOLEAN (spec)->default_value, flags);
  if (G_IS_PARAM_SPEC_ENUM (spec))
    return g_param_spec_enum (name, nick, blurb, spec->value_type,
        G_PARAM_SPEC_ENUM (spec)->default_value, flags);
  if (G_IS_PARAM_SPEC_BOXED (spec))
    return g_param_spec_boxed (name, nick, blurb, spec->value_type, flags);
  return copy_number (spec, name, nick, blurb, flags);
}

guint
parent_properties_install (GObjectClass *klass, guint first_id,
    GType child_type, const char *const *left_out)
{
  g_autoptr (GTypeClass) child = g_type_class_ref (child_type);
  guint n, id = first_id;
  g_autofree GParamSpec **specs =
      g_object_class_list_properties (G_OBJECT_CLASS (child), &n);

  for (guint i = 0; i < n; i++) {
    GParamSpec *copy;

    if (specs[i]->owner_type != child_type ||
        g_strv_contains (left_out, specs[i]->name) ||
        g_object_class_find_property (klass, specs[i]->name))
      continue;
    copy = copy_spec (specs[i]);
    g_return_val_if_fail (copy != NULL, id);
    g_object_class_install_property (klass, id++, copy);
  }
  return id;
}

/* Enumerations of the same name have the same values in all elements, but are
 * types of their own. */
static void
set_one (GstElement *child, GParamSpec *own, const GValue *value)
{
  GValue copy = G_VALUE_INIT;

  if (!G_IS_PARAM_SPEC_ENUM (own) || G_VALUE_HOLDS (value, own->value_type)) {
    g_object_set_property (G_OBJECT (child), own->name, value);
    return;
  }
  g_value_init (&copy, own->value_type);
  g_value_set_enum (&copy, g_value_get_enum (value));
  g_object_set_property (G_OBJECT (child), own->name, &copy);
  g_value_unset (&copy);
}

void
parent_properties_set (GstElement *const *children, guint n,
    const GValue *value, GParamSpec *pspec)
{
  for (guint i = 0; i < n; i++) {
    GParamSpec *own = g_object_class_find_property (
        G_OBJECT_GET_CLASS (children[i]), pspec->name);

    if (own)
      set_one (children[i], own, value);
  }
}

void
parent_properties_get (
    GstElement *const *children, guint n, GValue *value, GParamSpec *pspec)
{
  for (guint i = n; i-- > 0;) {
    GParamSpec *own = g_object_class_find_property (
        G_OBJECT_GET_CLASS (children[i]), pspec->name);

    if (!own)
      continue;
    if (G_IS_PARAM_SPEC_ENUM (own) && !G_VALUE_HOLDS (value, own->value_type)) {
      int number;

      g_object_get (children[i], own->name, &number, NULL);
      g_value_set_enum (value, number);
    } else {
      g_object_get_property (G_OBJECT (children[i]), own->name, value);
    }
    return;
  }
}
