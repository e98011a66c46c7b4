/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tensorcaps.h"

#include "encoder/npu-encoder.h"

#define FRAMES_PER_POSITION 2

/* Mel that no model is loaded for yet may have either number of bands. */
static const guint whisper_n_mels[] = {80, 128};

gboolean
tensor_dims_parse (const char *text, TensorDims *dims)
{
  guint n = 0;

  *dims = (TensorDims){1, 1};
  while (text) {
    char *end = NULL;
    guint64 size = g_ascii_strtoull (text, &end, 10);

    if (!g_ascii_isdigit (*text) || (*end != '\0' && *end != ':') ||
        size == 0 || size > G_MAXUINT)
      return FALSE;

    if (n == 0)
      dims->inner = size;
    else if (n == 1)
      dims->outer = size;
    else if (size != 1)
      return FALSE;

    n++;
    text = *end == ':' ? end + 1 : NULL;
  }
  return n >= 2;
}

static gboolean
is_mel (const TensorDims *dims, guint n_mels)
{
  if (dims->inner < FRAMES_PER_POSITION || dims->inner > NPU_MAX_FRAMES ||
      dims->inner % FRAMES_PER_POSITION != 0)
    return FALSE;
  if (n_mels != 0)
    return dims->outer == n_mels;

  for (guint i = 0; i < G_N_ELEMENTS (whisper_n_mels); i++) {
    if (dims->outer == whisper_n_mels[i])
      return TRUE;
  }
  return FALSE;
}

static void
append_string (GValue *list, const char *text)
{
  GValue value = G_VALUE_INIT;

  g_value_init (&value, G_TYPE_STRING);
  g_value_set_string (&value, text);
  gst_value_list_append_and_take_value (list, &value);
}

/* Caps compare strings, so every usual spelling is offered, ours first. */
static void
append_spellings (GValue *list, guint inner, guint outer)
{
  static const char *const tails[] = {":1", "", ":1:1"};

  for (guint i = 0; i < G_N_ELEMENTS (tails); i++) {
    g_autofree char *text = g_strdup_printf ("%u:%u%s", inner, outer, tails[i]);

    append_string (list, text);
  }
}

/* Appends to @list what one string of the other side's dimensions means. */
typedef void (*MapDims) (
    GValue *list, const char *text, const TensorShapes *shapes);

static void
append_states_of_mel (
    GValue *list, const char *text, const TensorShapes *shapes)
{
  TensorDims mel;

  if (tensor_dims_parse (text, &mel) && is_mel (&mel, shapes->n_mels))
    append_spellings (list, shapes->d, mel.inner / FRAMES_PER_POSITION);
}

static void
append_mel_of_states (
    GValue *list, const char *text, const TensorShapes *shapes)
{
  TensorDims states;

  if (!tensor_dims_parse (text, &states) ||
      states.outer > NPU_MAX_FRAMES / FRAMES_PER_POSITION)
    return;
  if (shapes->d != 0 && states.inner != shapes->d)
    return;

  for (guint i = 0; i < G_N_ELEMENTS (whisper_n_mels); i++) {
    TensorDims mel = {states.outer * FRAMES_PER_POSITION, whisper_n_mels[i]};

    if (is_mel (&mel, shapes->n_mels))
      append_spellings (list, mel.inner, mel.outer);
  }
}

static void
append_same_mel (GValue *list, const char *text, const TensorShapes *shapes)
{
  TensorDims mel;

  if (tensor_dims_parse (text, &mel) && is_mel (&mel, shapes->n_mels))
    append_string (list, text);
}

/* Sets the dimensions of @to to what @map makes of @dimensions, a string or a
 * list of strings. Returns %FALSE where nothing is left. */
static gboolean
map_dimensions (const GValue *dimensions, GstStructure *to, MapDims map,
    const TensorShapes *shapes)
{
  GValue list = G_VALUE_INIT;
  guint n;

  g_value_init (&list, GST_TYPE_LIST);
  if (G_VALUE_HOLDS_STRING (dimensions)) {
    map (&list, g_value_get_string (dimensions), shapes);
  } else if (GST_VALUE_HOLDS_LIST (dimensions)) {
    for (guint i = 0; i < gst_value_list_get_size (dimensions); i++) {
      const GValue *value = gst_value_list_get_value (dimensions, i);

      if (G_VALUE_HOLDS_STRING (value))
        map (&list, g_value_get_string (value), shapes);
    }
  }

  n = gst_value_list_get_size (&list);
  if (n == 1)
    gst_structure_set_value (
        to, "dimensions", gst_value_list_get_value (&list, 0));
  else if (n > 1)
    gst_structure_set_value (to, "dimensions", &list);
  g_value_unset (&list);
  return n > 0;
}

static GstStructure *
new_tensors (const GstStructure *like, const char *type)
{
  GstStructure *s =
      gst_structure_new ("other/tensors", "format", G_TYPE_STRING, "static",
          "num_tensors", G_TYPE_INT, 1, "types", G_TYPE_STRING, type, NULL);
  const GValue *framerate = gst_structure_get_value (like, "framerate");

  if (framerate)
    gst_structure_set_value (s, "framerate", framerate);
  return s;
}

GstCaps *
tensor_caps_mel_to_states (const GstCaps *caps, const TensorShapes *shapes)
{
  GstCaps *result = gst_caps_new_empty ();

  for (guint i = 0; i < gst_caps_get_size (caps); i++) {
    const GstStructure *mel = gst_caps_get_structure (caps, i);
    const GValue *dimensions = gst_structure_get_value (mel, "dimensions");
    GstStructure *states = new_tensors (mel, shapes->type);

    if (dimensions && shapes->d != 0 &&
        !map_dimensions (dimensions, states, append_states_of_mel, shapes))
      gst_structure_free (states);
    else
      result = gst_caps_merge_structure (result, states);
  }
  return result;
}

GstCaps *
tensor_caps_states_to_mel (const GstCaps *caps, const TensorShapes *shapes)
{
  GstCaps *result = gst_caps_new_empty ();
  GValue type = G_VALUE_INIT;

  g_value_init (&type, G_TYPE_STRING);
  g_value_set_string (&type, shapes->type);

  for (guint i = 0; i < gst_caps_get_size (caps); i++) {
    const GstStructure *states = gst_caps_get_structure (caps, i);
    const GValue *dimensions = gst_structure_get_value (states, "dimensions");
    const GValue *types = gst_structure_get_value (states, "types");
    g_autoptr (GstStructure) mel = new_tensors (states, "float32");

    if (types && !gst_value_intersect (NULL, types, &type))
      continue;
    if (dimensions &&
        !map_dimensions (dimensions, mel, append_mel_of_states, shapes))
      continue;

    if (!dimensions && shapes->n_mels != 0) {
      GstStructure *whole = gst_structure_copy (mel);
      GValue list = G_VALUE_INIT;

      g_value_init (&list, GST_TYPE_LIST);
      append_spellings (&list, NPU_MAX_FRAMES, shapes->n_mels);
      gst_structure_take_value (whole, "dimensions", &list);
      gst_caps_append_structure (result, whole);
    }
    gst_caps_append_structure (result, g_steal_pointer (&mel));
  }
  g_value_unset (&type);
  return result;
}

static gboolean
keep_mel (GstCapsFeatures *features, GstStructure *s, gpointer user_data)
{
  const GValue *dimensions = gst_structure_get_value (s, "dimensions");
  GValue copy = G_VALUE_INIT;
  gboolean kept;

  if (!dimensions)
    return TRUE;

  gst_value_init_and_copy (&copy, dimensions);
  kept = map_dimensions (&copy, s, append_same_mel, user_data);
  g_value_unset (&copy);
  return kept;
}

GstCaps *
tensor_caps_keep_mel (GstCaps *caps, const TensorShapes *shapes)
{
  caps = gst_caps_make_writable (caps);
  gst_caps_filter_and_map_in_place (caps, keep_mel, (gpointer) shapes);
  return caps;
}

gboolean
tensor_caps_parse_mel (
    const GstCaps *caps, guint n_mels, guint *n_frames, GError **error)
{
  const GstStructure *s = gst_caps_get_structure (caps, 0);
  const char *text = gst_structure_get_string (s, "dimensions");
  TensorDims mel;

  if (!text || !tensor_dims_parse (text, &mel)) {
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        "dimensions=%s are not those of a mel; expected FRAMES:%u:1, innermost first, such as %u:%u:1",
        text ? text : "(none)", n_mels, NPU_MAX_FRAMES, n_mels);
    return FALSE;
  }
  if (mel.inner == n_mels && mel.outer != whisper_n_mels[0] &&
      mel.outer != whisper_n_mels[1]) {
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        "dimensions=%s are a time-major mel, C float[1][%u][%u]; expected the bands as rows, %u:%u:1, C float[1][%u][%u]: transpose it upstream",
        text, mel.outer, mel.inner, mel.outer, n_mels, n_mels, mel.outer);
    return FALSE;
  }
  if (mel.outer != n_mels) {
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        "dimensions=%s carry %u mel bands, but the model takes %u: set whispermel's property n-mels to %u, or property model to another model",
        text, mel.outer, n_mels, n_mels);
    return FALSE;
  }
  if (!is_mel (&mel, n_mels)) {
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        "dimensions=%s carry %u frames of mel; expected an even number from %u to %u",
        text, mel.inner, FRAMES_PER_POSITION, NPU_MAX_FRAMES);
    return FALSE;
  }
  *n_frames = mel.inner;
  return TRUE;
}

gboolean
tensor_caps_are_states (
    const GstCaps *caps, const TensorShapes *shapes, guint n_positions)
{
  const GstStructure *s = gst_caps_get_structure (caps, 0);
  const char *text = gst_structure_get_string (s, "dimensions");
  TensorDims states;

  return text && tensor_dims_parse (text, &states) &&
         states.inner == shapes->d && states.outer == n_positions;
}
