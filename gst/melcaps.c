/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "melcaps.h"

#include "tensorcaps.h"

#define N_MELS_SMALL 80
#define N_MELS_LARGE 128

static void
append_dimensions (GValue *list, guint n_mels, guint n_frames)
{
  static const char *const tails[] = {":1", ":1:1", ""};

  for (guint i = 0; i < G_N_ELEMENTS (tails); i++) {
    GValue value = G_VALUE_INIT;

    g_value_init (&value, G_TYPE_STRING);
    g_value_take_string (
        &value, g_strdup_printf ("%u:%u%s", n_frames, n_mels, tails[i]));
    gst_value_list_append_and_take_value (list, &value);
  }
}

static void
append_mel (GstCaps *caps, guint n_mels, guint first, guint last, guint step)
{
  GstStructure *s = gst_structure_from_string (MEL_CAPS, NULL);
  GValue list = G_VALUE_INIT;

  g_value_init (&list, GST_TYPE_LIST);
  append_dimensions (&list, n_mels, first);
  while (first < last) {
    first = MIN (first + step, last);
    append_dimensions (&list, n_mels, first);
  }
  gst_structure_take_value (s, "dimensions", &list);
  gst_caps_append_structure (caps, s);
}

GstCaps *
mel_caps_new (guint n_mels, guint first, guint last, guint step)
{
  GstCaps *caps = gst_caps_new_empty ();

  if (n_mels != N_MELS_LARGE)
    append_mel (caps, N_MELS_SMALL, first, last, step);
  if (n_mels != N_MELS_SMALL)
    append_mel (caps, N_MELS_LARGE, first, last, step);
  return caps;
}

/* Of one string or of the first in a list of them. */
static guint
get_bands (const GstStructure *s)
{
  const GValue *value = gst_structure_get_value (s, "dimensions");
  TensorDims dims;

  if (value && GST_VALUE_HOLDS_LIST (value) &&
      gst_value_list_get_size (value) > 0)
    value = gst_value_list_get_value (value, 0);
  if (!value || !G_VALUE_HOLDS_STRING (value) ||
      !tensor_dims_parse (g_value_get_string (value), &dims))
    return 0;
  return dims.outer;
}

guint
mel_caps_get_wish (const GstCaps *caps)
{
  for (guint i = 0; i < gst_caps_get_size (caps); i++) {
    const GstStructure *s = gst_caps_get_structure (caps, i);
    guint n_mels = get_bands (s);

    if (gst_structure_has_name (s, "other/tensors") &&
        (n_mels == N_MELS_SMALL || n_mels == N_MELS_LARGE))
      return n_mels;
  }
  return 0;
}

guint
mel_caps_get_n_mels (const GstCaps *caps)
{
  return get_bands (gst_caps_get_structure (caps, 0));
}
