/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstnpurange.h"

#include <string.h>

#include "npu-error.h"

/* FALSE: the value is as it was. */
static gboolean
keep_value (GParamSpec *spec, GValue *value)
{
  return FALSE;
}

static void
class_init (gpointer klass, gpointer data)
{
  G_PARAM_SPEC_CLASS (klass)->value_validate = keep_value;
}

static gboolean
is_range (GParamSpec *spec)
{
  return G_PARAM_SPEC_GET_CLASS (spec)->value_validate == keep_value;
}

static GType
register_range (const char *name, GType parent, guint16 size)
{
  const GTypeInfo info = {
      .class_size = sizeof (GParamSpecClass),
      .class_init = class_init,
      .instance_size = size,
  };

  return g_type_register_static (parent, name, &info, 0);
}

typedef enum { RANGE_UINT, RANGE_UINT64, RANGE_DOUBLE, N_RANGES } Range;

static GType
get_type (Range range)
{
  static GType types[N_RANGES];
  static gsize is_done;

  if (g_once_init_enter (&is_done)) {
    types[RANGE_UINT] = register_range (
        "GstNpuRangeUInt", G_TYPE_PARAM_UINT, sizeof (GParamSpecUInt));
    types[RANGE_UINT64] = register_range (
        "GstNpuRangeUInt64", G_TYPE_PARAM_UINT64, sizeof (GParamSpecUInt64));
    types[RANGE_DOUBLE] = register_range (
        "GstNpuRangeDouble", G_TYPE_PARAM_DOUBLE, sizeof (GParamSpecDouble));
    g_once_init_leave (&is_done, 1);
  }
  return types[range];
}

GParamSpec *
gst_npu_range_uint (const char *name, const char *nick, const char *blurb,
    guint minimum, guint maximum, guint default_value, GParamFlags flags)
{
  GParamSpecUInt *spec =
      g_param_spec_internal (get_type (RANGE_UINT), name, nick, blurb, flags);

  spec->minimum = minimum;
  spec->maximum = maximum;
  spec->default_value = default_value;
  return &spec->parent_instance;
}

GParamSpec *
gst_npu_range_uint64 (const char *name, const char *nick, const char *blurb,
    guint64 minimum, guint64 maximum, guint64 default_value, GParamFlags flags)
{
  GParamSpecUInt64 *spec =
      g_param_spec_internal (get_type (RANGE_UINT64), name, nick, blurb, flags);

  spec->minimum = minimum;
  spec->maximum = maximum;
  spec->default_value = default_value;
  return &spec->parent_instance;
}

GParamSpec *
gst_npu_range_double (const char *name, const char *nick, const char *blurb,
    double minimum, double maximum, double default_value, GParamFlags flags)
{
  GParamSpecDouble *spec =
      g_param_spec_internal (get_type (RANGE_DOUBLE), name, nick, blurb, flags);

  spec->minimum = minimum;
  spec->maximum = maximum;
  spec->default_value = default_value;
  return &spec->parent_instance;
}

GParamSpec *
gst_npu_range_copy (GParamSpec *spec, GParamFlags flags)
{
  GParamSpec *copy;
  GTypeQuery type;

  if (!is_range (spec))
    return NULL;
  copy = g_param_spec_internal (G_PARAM_SPEC_TYPE (spec), spec->name,
      g_param_spec_get_nick (spec), g_param_spec_get_blurb (spec), flags);
  /* Behind what all have in common: the limits and the default. */
  g_type_query (G_PARAM_SPEC_TYPE (spec), &type);
  memcpy (copy + 1, spec + 1, type.instance_size - sizeof *spec);
  return copy;
}

/* --- checks ------------------------------------------------------------- */

/* Whether GLib's own check, which keep_value() hides, leaves @value as it is;
 * it changes what is no number, too. */
static gboolean
fits (GParamSpec *spec, const GValue *value)
{
  const GParamSpecClass *parent =
      g_type_class_peek_parent (G_PARAM_SPEC_GET_CLASS (spec));
  GValue copy = G_VALUE_INIT;
  gboolean is_changed;

  g_value_init (&copy, G_VALUE_TYPE (value));
  g_value_copy (value, &copy);
  is_changed = parent->value_validate (spec, &copy);
  g_value_unset (&copy);
  return !is_changed;
}

static gboolean
fail (GParamSpec *spec, const GValue *value, GError **error)
{
  g_autofree char *is = NULL, *range = NULL;

  if (G_IS_PARAM_SPEC_UINT (spec)) {
    const GParamSpecUInt *of = G_PARAM_SPEC_UINT (spec);

    is = g_strdup_printf ("%u", g_value_get_uint (value));
    range = g_strdup_printf ("%u to %u", of->minimum, of->maximum);
  } else if (G_IS_PARAM_SPEC_UINT64 (spec)) {
    const GParamSpecUInt64 *of = G_PARAM_SPEC_UINT64 (spec);

    is = g_strdup_printf (
        "%" G_GUINT64_FORMAT " ns", g_value_get_uint64 (value));
    range = g_strdup_printf ("%" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
                             " ns, and 1000000000 are a second",
        of->minimum, of->maximum);
  } else {
    const GParamSpecDouble *of = G_PARAM_SPEC_DOUBLE (spec);

    is = g_strdup_printf ("%g", g_value_get_double (value));
    range = g_strdup_printf ("%g to %g", of->minimum, of->maximum);
  }
  g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
      "%s is %s; it must be from %s (property %s)", spec->name, is, range,
      spec->name);
  return FALSE;
}

gboolean
gst_npu_range_check (GParamSpec *spec, const GValue *value, GError **error)
{
  return !is_range (spec) || fits (spec, value) || fail (spec, value, error);
}

gboolean
gst_npu_range_check_all (GObject *object, GError **error)
{
  guint n;
  g_autofree GParamSpec **specs =
      g_object_class_list_properties (G_OBJECT_GET_CLASS (object), &n);
  gboolean fits = TRUE;

  for (guint i = 0; i < n && fits; i++) {
    GValue value = G_VALUE_INIT;

    if (!is_range (specs[i]))
      continue;
    g_object_get_property (object, specs[i]->name, &value);
    fits = gst_npu_range_check (specs[i], &value, error);
    g_value_unset (&value);
  }
  return fits;
}
