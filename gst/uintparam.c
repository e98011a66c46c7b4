/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uintparam.h"

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

static GType
uint_param_get_type (void)
{
  static gsize type;

  if (g_once_init_enter (&type)) {
    const GTypeInfo info = {
        .class_size = sizeof (GParamSpecClass),
        .class_init = class_init,
        .instance_size = sizeof (GParamSpecUInt),
    };

    g_once_init_leave (&type, g_type_register_static (G_TYPE_PARAM_UINT,
                                  "GstNpuEncoderUIntParam", &info, 0));
  }
  return type;
}

GParamSpec *
uint_param_new (const char *name, const char *nick, const char *blurb,
    guint minimum, guint maximum, guint default_value, GParamFlags flags)
{
  GParamSpecUInt *spec =
      g_param_spec_internal (uint_param_get_type (), name, nick, blurb, flags);

  spec->minimum = minimum;
  spec->maximum = maximum;
  spec->default_value = default_value;
  return &spec->parent_instance;
}

gboolean
uint_param_check (GParamSpec *spec, guint value, GError **error)
{
  const GParamSpecUInt *range = G_PARAM_SPEC_UINT (spec);

  if (value >= range->minimum && value <= range->maximum)
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
      "%s is %u; it must be from %u to %u (property %s)", spec->name, value,
      range->minimum, range->maximum, spec->name);
  return FALSE;
}
