/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstnpusettings.h"

void
gst_npu_settings_set (
    gpointer settings, const gsize *offsets, guint id, const GValue *value)
{
  gpointer field = G_STRUCT_MEMBER_P (settings, offsets[id]);

  if (G_VALUE_HOLDS_STRING (value)) {
    g_free (*(char **) field);
    *(char **) field = g_value_dup_string (value);
  } else if (G_VALUE_HOLDS_UINT (value)) {
    *(guint *) field = g_value_get_uint (value);
  } else if (G_VALUE_HOLDS_UINT64 (value)) {
    *(guint64 *) field = g_value_get_uint64 (value);
  } else if (G_VALUE_HOLDS_DOUBLE (value)) {
    *(double *) field = g_value_get_double (value);
  } else if (G_VALUE_HOLDS_BOOLEAN (value)) {
    *(gboolean *) field = g_value_get_boolean (value);
  } else {
    *(int *) field = g_value_get_enum (value);
  }
}

void
gst_npu_settings_get (
    gconstpointer settings, const gsize *offsets, guint id, GValue *value)
{
  gconstpointer field = G_STRUCT_MEMBER_P (settings, offsets[id]);

  if (G_VALUE_HOLDS_STRING (value))
    g_value_set_string (value, *(char *const *) field);
  else if (G_VALUE_HOLDS_UINT (value))
    g_value_set_uint (value, *(const guint *) field);
  else if (G_VALUE_HOLDS_UINT64 (value))
    g_value_set_uint64 (value, *(const guint64 *) field);
  else if (G_VALUE_HOLDS_DOUBLE (value))
    g_value_set_double (value, *(const double *) field);
  else if (G_VALUE_HOLDS_BOOLEAN (value))
    g_value_set_boolean (value, *(const gboolean *) field);
  else
    g_value_set_enum (value, *(const int *) field);
}

GType
gst_npu_settings_register_enum (const char *name, const GEnumValue *values)
{
  GType type = g_enum_register_static (name, values);

  gst_type_mark_as_plugin_api (type, 0);
  return type;
}
