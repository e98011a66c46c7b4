/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstnpurange.h"

#include "npu-error.h"

typedef enum { RANGE_UINT, RANGE_UINT64, RANGE_DOUBLE, N_RANGES } Range;

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

static const GType *
get_types (void)
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
  return types;
}

/* N_RANGES where @spec is none of ours. */
static Range
range_of (GParamSpec *spec)
{
  const GType *types = get_types ();
  guint range = RANGE_UINT;

  while (range < N_RANGES && G_PARAM_SPEC_TYPE (spec) != types[range])
    range++;
  return (Range) range;
}

GParamSpec *
gst_npu_range_uint (const char *name, const char *nick, const char *blurb,
    guint minimum, guint maximum, guint default_value, GParamFlags flags)
{
  GParamSpecUInt *spec = g_param_spec_internal (
      get_types ()[RANGE_UINT], name, nick, blurb, flags);

  spec->minimum = minimum;
  spec->maximum = maximum;
  spec->default_value = default_value;
  return &spec->parent_instance;
}

GParamSpec *
gst_npu_range_uint64 (const char *name, const char *nick, const char *blurb,
    guint64 minimum, guint64 maximum, guint64 default_value, GParamFlags flags)
{
  GParamSpecUInt64 *spec = g_param_spec_internal (
      get_types ()[RANGE_UINT64], name, nick, blurb, flags);

  spec->minimum = minimum;
  spec->maximum = maximum;
  spec->default_value = default_value;
  return &spec->parent_instance;
}

GParamSpec *
gst_npu_range_double (const char *name, const char *nick, const char *blurb,
    double minimum, double maximum, double default_value, GParamFlags flags)
{
  GParamSpecDouble *spec = g_param_spec_internal (
      get_types ()[RANGE_DOUBLE], name, nick, blurb, flags);

  spec->minimum = minimum;
  spec->maximum = maximum;
  spec->default_value = default_value;
  return &spec->parent_instance;
}

GParamSpec *
gst_npu_range_copy (GParamSpec *spec, GParamFlags flags)
{
  const char *nick = g_param_spec_get_nick (spec);
  const char *blurb = g_param_spec_get_blurb (spec);

  switch (range_of (spec)) {
    case RANGE_UINT: {
      const GParamSpecUInt *of = G_PARAM_SPEC_UINT (spec);

      return gst_npu_range_uint (spec->name, nick, blurb, of->minimum,
          of->maximum, of->default_value, flags);
    }
    case RANGE_UINT64: {
      const GParamSpecUInt64 *of = G_PARAM_SPEC_UINT64 (spec);

      return gst_npu_range_uint64 (spec->name, nick, blurb, of->minimum,
          of->maximum, of->default_value, flags);
    }
    case RANGE_DOUBLE: {
      const GParamSpecDouble *of = G_PARAM_SPEC_DOUBLE (spec);

      return gst_npu_range_double (spec->name, nick, blurb, of->minimum,
          of->maximum, of->default_value, flags);
    }
    case N_RANGES:
      break;
  }
  return NULL;
}

/* --- checks ------------------------------------------------------------- */

static gboolean
check_uint (GParamSpec *spec, guint value, GError **error)
{
  const GParamSpecUInt *range = G_PARAM_SPEC_UINT (spec);

  if (value >= range->minimum && value <= range->maximum)
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
      "%s is %u; it must be from %u to %u (property %s)", spec->name, value,
      range->minimum, range->maximum, spec->name);
  return FALSE;
}

static gboolean
check_uint64 (GParamSpec *spec, guint64 value, GError **error)
{
  const GParamSpecUInt64 *range = G_PARAM_SPEC_UINT64 (spec);

  if (value >= range->minimum && value <= range->maximum)
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
      "%s is %" G_GUINT64_FORMAT " ns; it must be from %" G_GUINT64_FORMAT
      " to %" G_GUINT64_FORMAT " ns, and 1000000000 are a second (property %s)",
      spec->name, value, range->minimum, range->maximum, spec->name);
  return FALSE;
}

static gboolean
check_double (GParamSpec *spec, double value, GError **error)
{
  const GParamSpecDouble *range = G_PARAM_SPEC_DOUBLE (spec);

  if (value >= range->minimum && value <= range->maximum)
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
      "%s is %g; it must be from %g to %g (property %s)", spec->name, value,
      range->minimum, range->maximum, spec->name);
  return FALSE;
}

gboolean
gst_npu_range_check (GParamSpec *spec, const GValue *value, GError **error)
{
  switch (range_of (spec)) {
    case RANGE_UINT:
      return check_uint (spec, g_value_get_uint (value), error);
    case RANGE_UINT64:
      return check_uint64 (spec, g_value_get_uint64 (value), error);
    case RANGE_DOUBLE:
      return check_double (spec, g_value_get_double (value), error);
    case N_RANGES:
      break;
  }
  return TRUE;
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

    if (range_of (specs[i]) == N_RANGES)
      continue;
    g_object_get_property (object, specs[i]->name, &value);
    fits = gst_npu_range_check (specs[i], &value, error);
    g_value_unset (&value);
  }
  return fits;
}
