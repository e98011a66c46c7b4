/* Fuzz target: a folder of overlays, overlays.ini and files of instructions, as
 * text at random and as groups with keys changed, missing or twice.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "device/xrt/xrt-overlays.h"
#include "tape.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static const char *const keys[] = {"op", "layout", "rows", "k", "n", "kv-tiles",
    "heads", "a-type", "b-type", "c-type", "epilogue", "xclbin", "instructions",
    "kernel", "args", "generation", "unknown"};
static const char *const values[] = {"linear", "attention", "layernorm", "gelu",
    "rows", "tiles", "packed", "64", "128", "1", "0", "65536", "65537", "-1",
    "256", "1024", "4294967296", "18446744073709551616", "bf16", "int8",
    "int32", "f32", "none", "bias", "bias;gelu", "bias;gelu;residual",
    "gelu;bias", "x.bin", "x.txt", "overlays.ini", "/dev/null", "..", "a;b;c",
    "a;b;c;bias", "a;b;bias;r;c", "x;g;y", "x;y", "q;k;v;o", "in;out",
    "in;out;in", "a;a", "", "npu1", "npu2", "any", "\\s", "\\q", "a;b;bias;c;",
    ";;;", "\xff\xfe"};

/* Groups that are right, to be spoilt. */
static const char *const groups[] = {
    "op=linear\nlayout=rows\nrows=1536\nk=384\nn=384\na-type=bf16\n"
    "b-type=bf16\nc-type=f32\nxclbin=x.bin\ninstructions=x.bin\nargs=a;b;c",
    "op=linear\nlayout=rows\nrows=128\nk=64\nn=64\na-type=bf16\nb-type=bf16\n"
    "c-type=bf16\nepilogue=bias;gelu\nxclbin=x.bin\ninstructions=x.txt\n"
    "args=a;b;bias;c",
    "op=attention\nlayout=tiles\nrows=64\nn=384\nkv-tiles=24\nheads=6\n"
    "xclbin=x.bin\ninstructions=x.txt\nargs=q;k;v;o\ngeneration=npu2",
    "op=attention\nlayout=packed\nrows=64\nkv-tiles=1\nxclbin=x.bin\n"
    "instructions=x.txt\nargs=in;out",
    "op=layernorm\nlayout=rows\nrows=64\nn=384\nxclbin=x.bin\n"
    "instructions=x.bin\nargs=x;g;y",
    "op=gelu\nlayout=packed\nrows=1\nn=512\nxclbin=x.bin\n"
    "instructions=x.bin\nargs=in;out",
};

static char *folder;

static void
remove_folder (void)
{
  static const char *const names[] = {"overlays.ini", "x.bin", "x.txt"};

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (folder, names[i], NULL);

    g_unlink (path);
  }
  g_rmdir (folder);
  g_free (folder);
}

static void
write_file (const char *name, gconstpointer data, gsize size)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GError) error = NULL;

  if (!g_file_set_contents_full (
          path, data, (gssize) size, G_FILE_SET_CONTENTS_NONE, 0644, &error))
    g_error ("%s", error->message);
}

static void
append_group (GString *ini, Tape *tape, guint number)
{
  g_auto (GStrv) lines = g_strsplit (TAPE_ONE_OF (tape, groups), "\n", -1);
  const guint dropped = tape_u8 (tape), changed = tape_u8 (tape);

  g_string_append_printf (
      ini, "[g%u]\n", tape_below (tape, 16) == 1 ? 0 : number);
  for (guint i = 0; lines[i]; i++) {
    const char *equals = strchr (lines[i], '=');

    if (i == dropped)
      continue;
    if (i == changed)
      g_string_append_printf (ini, "%.*s=%s\n", (int) (equals - lines[i]),
          lines[i], TAPE_ONE_OF (tape, values));
    else
      g_string_append_printf (ini, "%s\n", lines[i]);
  }
  for (guint n = tape_below (tape, 4); n > 0; n--)
    g_string_append_printf (
        ini, "%s=%s\n", TAPE_ONE_OF (tape, keys), TAPE_ONE_OF (tape, values));
}

static void
write_overlays (Tape *tape)
{
  g_autoptr (GString) ini = g_string_new (NULL);
  const guint form = tape_below (tape, 8);

  if (form == 0) {
    g_string_append_len (ini, (const char *) tape->data, (gssize) tape->left);
  } else if (form < 4) { /* right, so that instructions are read */
    g_string_append_printf (ini, "[g]\n%s\n", TAPE_ONE_OF (tape, groups));
  } else {
    const guint n = 1 + tape_below (tape, 3);

    for (guint i = 0; i < n; i++)
      append_group (ini, tape, i);
    for (guint edits = tape_below (tape, 3); edits > 0; edits--)
      ini->str[tape_u32 (tape) % ini->len] = (char) tape_u8 (tape);
  }
  write_file ("overlays.ini", ini->str, ini->len);
}

/* One operation of a stream, now and then of a size that it has not. */
static void
append_operation (GArray *words, Tape *tape)
{
  static const struct {
    guint32 code;
    guint words, size_at;
  } kinds[] = {{0, 6, 5}, {1, 6, 3}, {3, 7, 6}, {4, 7, 6}, {0x80, 4, 1},
      {0x81, 12, 1}, {0xff, 2, 1}, {2, 3, 2}};
  const guint kind = tape_below (tape, G_N_ELEMENTS (kinds));
  const guint first = words->len;
  guint32 size = kinds[kind].words * (guint32) sizeof size;

  g_array_set_size (words, first + kinds[kind].words);
  for (guint i = first; i < words->len; i++)
    g_array_index (words, guint32, i) = tape_u8 (tape);
  if (tape_below (tape, 8) == 7)
    size += tape_u8 (tape) - 128u;
  g_array_index (words, guint32, first) = kinds[kind].code;
  g_array_index (words, guint32, first + kinds[kind].size_at) = size;
}

/* A stream of operations, as words or as text, mostly right. */
static void
write_stream (Tape *tape)
{
  g_autoptr (GArray) words = g_array_new (FALSE, TRUE, sizeof (guint32));
  g_autoptr (GString) text = g_string_new (NULL);
  const gboolean is_text = tape_below (tape, 2);
  const guint n = tape_below (tape, 6), wrong = tape_below (tape, 16);

  g_array_set_size (words, 4);
  g_array_index (words, guint32, 0) = wrong == 1 ? tape_u32 (tape) : 0x06030100;
  for (guint i = 0; i < n; i++)
    append_operation (words, tape);
  g_array_index (words, guint32, 2) = n + (wrong == 2) - (wrong == 3);
  if (wrong == 4)
    g_array_set_size (words, tape_below (tape, words->len));
  if (words->len > 3)
    g_array_index (words, guint32, 3) = words->len * 4 + (wrong == 5);
  for (guint i = 0; is_text && i < words->len; i++)
    g_string_append_printf (text, wrong == 6 ? "0x%x \n\n" : "%08x\n",
        g_array_index (words, guint32, i));
  if (is_text)
    write_file ("x.txt", text->str, text->len - (wrong == 7 && text->len));
  else
    write_file ("x.bin", words->data, words->len * 4);
}

/* The rest of the tape, as words or as text, with the length that its header
 * wants now and then. */
static void
write_bytes (Tape *tape)
{
  const gboolean is_text = tape_below (tape, 2), fits = tape_below (tape, 2);
  const gsize size = tape->left;
  g_autofree guint8 *data = g_malloc (size + 1);

  if (size)
    memcpy (data, tape->data, size);
  if (fits && size >= 16) {
    const guint32 told = GUINT32_TO_LE ((guint32) size);

    memcpy (data + 12, &told, sizeof told);
  }
  write_file (is_text ? "x.txt" : "x.bin", data, size);
}

static void
check_error (const GError *error, gboolean failed)
{
  if (failed != (error != NULL) ||
      (error && !g_utf8_validate (error->message, -1, NULL)))
    abort ();
}

static void
read_overlay (const XrtOverlay *overlay)
{
  g_autoptr (GError) error = NULL;
  g_autofree guint32 *words = NULL;
  gsize n = 0;
  guint32 sum = 0;

  if (overlay->n_args > XRT_MAX_ROLES)
    abort ();
  words = xrt_overlay_read_instructions (overlay, &n, &error);
  check_error (error, words == NULL);
  for (gsize i = 0; i < n; i++)
    sum += words[i]; /* all of them can be read */
  if (sum && !n)
    abort ();
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  Tape tape = {data, size};
  g_autoptr (GError) error = NULL;
  XrtOverlays *overlays;

  if (!folder) {
    folder = g_dir_make_tmp ("fuzz-overlays-XXXXXX", NULL);
    write_file ("x.bin", "", 0);
    write_file ("x.txt", "", 0);
    atexit (remove_folder);
  }
  write_overlays (&tape);
  if (tape_below (&tape, 4))
    write_stream (&tape);
  else
    write_bytes (&tape);
  overlays = xrt_overlays_read (folder, &error);
  check_error (error, overlays == NULL);
  if (overlays) {
    for (guint i = 0; i < overlays->list->len; i++)
      read_overlay (g_ptr_array_index (overlays->list, i));
    xrt_overlays_free (overlays);
  }
  return 0;
}
