/* Fuzz target: caps of mel and of states, and the dimensions in them, as
 * strangers write them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <gst/gst.h>
#include <stdint.h>
#include <stdlib.h>

#include "melcaps.h"
#include "tape.h"
#include "tensorcaps.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static const char *const dimensions[] = {"100:80:1", "100:80", "3000:128:1:1",
    "384:50:1", "64:1500", "80:100:1", "0:80", "-1:80", "4294967296:80:1",
    "4294967297:80", "100:80:2", "100", "", "2:80:1", "3001:80", "3002:80:1",
    "18446744073709551616:1", "100:80:", "1:1:1:1:1:1:1:1", "0x64:80",
    " 100:80", "+100:80", "100:80:1:0", "۱۰۰:80", "100 :80", "1e2:80"};
static const char *const types[] = {
    "float32", "float16", "int8", "float32,float32", ""};
static const char *const formats[] = {"static", "flexible", "sparse", ""};

/* A dimensions string from the list or of the tape's own bytes. */
static char *
one_dimensions (Tape *tape, const char *own)
{
  if (tape_below (tape, 4) == 0 && g_utf8_validate (own, -1, NULL))
    return g_strdup (own);
  return g_strdup (TAPE_ONE_OF (tape, dimensions));
}

static void
take_dimensions_list (GstStructure *structure, Tape *tape, const char *own)
{
  GValue list = G_VALUE_INIT;
  const guint n = tape_below (tape, 8);
  const gboolean of_ints = tape_below (tape, 16) == 1;

  g_value_init (&list, GST_TYPE_LIST);
  for (guint i = 0; i < n; i++) {
    GValue value = G_VALUE_INIT;

    if (of_ints) {
      g_value_init (&value, G_TYPE_INT);
      g_value_set_int (&value, (int) i);
    } else {
      g_value_init (&value, G_TYPE_STRING);
      g_value_take_string (&value, one_dimensions (tape, own));
    }
    gst_value_list_append_and_take_value (&list, &value);
  }
  gst_structure_take_value (structure, "dimensions", &list);
}

static GstStructure *
new_structure (Tape *tape, const char *own)
{
  GstStructure *structure = gst_structure_new ("other/tensors", "format",
      G_TYPE_STRING, TAPE_ONE_OF (tape, formats), "num_tensors", G_TYPE_INT,
      (int) tape_below (tape, 3), "types", G_TYPE_STRING,
      TAPE_ONE_OF (tape, types), NULL);

  switch (tape_below (tape, 5)) {
    case 0:
      take_dimensions_list (structure, tape, own);
      break;
    case 1:
      gst_structure_set (structure, "dimensions", G_TYPE_INT, 5, NULL);
      break;
    case 2:
      break;
    default: {
      g_autofree char *one = one_dimensions (tape, own);

      gst_structure_set (structure, "dimensions", G_TYPE_STRING, one, NULL);
    }
  }
  if (tape_below (tape, 2))
    gst_structure_set (structure, "framerate", GST_TYPE_FRACTION,
        (int) tape_below (tape, 32), 1, NULL);
  return structure;
}

static void
check_parse (const GstCaps *caps, const TensorShapes *shapes)
{
  g_autoptr (GError) error = NULL;
  guint n_frames = 0;
  const gboolean ok =
      tensor_caps_parse_mel (caps, shapes->n_mels, &n_frames, &error);

  if (ok == (error != NULL) ||
      (ok && (n_frames < 2 || n_frames > 3000 || n_frames % 2)) ||
      (error && !g_utf8_validate (error->message, -1, NULL)))
    abort ();
}

/* What goes there and back is still what both sides agree on. */
static void
check_shapes (GstCaps *caps, const TensorShapes *shapes)
{
  g_autoptr (GstCaps) states = tensor_caps_mel_to_states (caps, shapes);
  g_autoptr (GstCaps) mel = tensor_caps_states_to_mel (caps, shapes);
  g_autoptr (GstCaps) mel_again = tensor_caps_states_to_mel (states, shapes);
  g_autoptr (GstCaps) states_again = tensor_caps_mel_to_states (mel, shapes);
  g_autoptr (GstCaps) kept = tensor_caps_keep_mel (gst_caps_ref (caps), shapes);

  if (!states || !mel || !mel_again || !states_again || !kept)
    abort ();
  if (gst_caps_is_fixed (caps)) { /* as those that arrive on a pad are */
    check_parse (caps, shapes);
    tensor_caps_are_states (caps, shapes, 50);
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const TensorShapes all[] = {{0, 0, "float32"}, {80, 384, "float32"},
      {128, 1280, "float16"}, {80, 64, "float16"}};
  Tape tape = {data, size};
  g_autofree char *own = NULL;
  g_autoptr (GstCaps) caps = NULL;
  TensorDims dims;

  if (!gst_is_initialized ()) {
    gst_init (NULL, NULL);
    g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL);
  }
  {
    Tape tail = {data + size / 2, size - size / 2};

    own = tape_rest (&tail);
  }
  if (tensor_dims_parse (own, &dims) && (!dims.inner || !dims.outer))
    abort ();
  caps = gst_caps_new_empty ();
  for (guint n = tape_below (&tape, 4); n > 0; n--)
    gst_caps_append_structure (caps, new_structure (&tape, own));
  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    check_shapes (caps, &all[i]);
  mel_caps_get_wish (caps);
  return 0;
}
