/* A program's stream of instructions, read from a file: its words as they are,
 * or a hexadecimal word a line. Which of them is told by what the file holds,
 * not by its name: mlir-aie's tools wrote text to insts.txt until 2025 and have
 * written words, to insts.bin or to whatever name they were given, since.
 *
 * The stream's form is that of aie-rt's transactions (xaie_txn.h): a header of
 * four words (version, generation, rows; columns; number of operations; bytes
 * of the whole) and the operations, one after the other. What is no such
 * stream would not fail on the device, but block it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "xrt-overlays.h"

#include <string.h>

#include "base/input-file.h"

/* Streams have some hundred KiB. */
#define MAX_SIZE (256 * 1024 * 1024)

#define REBUILD "; build the overlay again"

/* Words of the header. */
#define HEADER_WORDS 4
#define HEADER_OPERATIONS 2
#define HEADER_SIZE 3

/* Major and minor version of streams whose operations are looked at. */
#define VERSION 0x0100u

/* Operations that tell their size, and where. */
#define OPERATION_WRITE 0
#define OPERATION_BLOCK 1
#define OPERATION_MASK 3
#define OPERATION_POLL 4
#define OPERATION_FIRST_CUSTOM 0x80

#define NOT_TOLD G_MAXUINT32

static gboolean G_GNUC_PRINTF (3, 4) fail_instructions (
    const XrtOverlay *overlay, GError **error, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, NPU_ERROR, NPU_ERROR_FORMAT,
      "overlay '%s': instruction file %s %s" REBUILD, overlay->name,
      overlay->instructions, what);
  return FALSE;
}

static gboolean
parse_words (
    const XrtOverlay *overlay, char *text, GArray *words, GError **error)
{
  guint line_number = 0;
  char *next = text;

  while (next) {
    char *line = next;
    guint64 value;
    guint32 word;

    next = strchr (line, '\n');
    if (next)
      *next++ = '\0';
    line_number++;
    if (!*g_strstrip (line))
      continue;
    if (g_str_has_prefix (line, "0x") || g_str_has_prefix (line, "0X"))
      line += 2;
    if (!g_ascii_string_to_unsigned (line, 16, 0, G_MAXUINT32, &value, NULL))
      return fail_instructions (overlay, error,
          "has '%.20s' in line %u, which is not a hexadecimal word of 32 bits",
          line, line_number);
    word = (guint32) value;
    g_array_append_val (words, word);
  }
  return TRUE;
}

/* Whether the file is text: a stream of words has bytes that are none in its
 * header. */
static gboolean
is_text (const char *content, gsize size)
{
  for (gsize i = 0; i < size; i++)
    if (!g_ascii_isprint (content[i]) && !g_ascii_isspace (content[i]))
      return FALSE;
  return size > 0;
}

static gboolean
collect_words (const XrtOverlay *overlay, char *content, gsize size,
    GArray *words, GError **error)
{
  if (is_text (content, size))
    return parse_words (overlay, content, words, error);
  if (size % sizeof (guint32) != 0)
    return fail_instructions (overlay, error,
        "is not text and has %" G_GSIZE_FORMAT
        " bytes, which are not whole words of 4",
        size);
  g_array_set_size (words, (guint) (size / sizeof (guint32)));
  for (guint i = 0; i < words->len; i++) {
    guint32 word;

    memcpy (&word, content + i * sizeof word, sizeof word);
    g_array_index (words, guint32, i) = GUINT32_FROM_LE (word);
  }
  return TRUE;
}

/* Bytes of the operation that begins at @words, of which @n are left: 0 where
 * it is cut off, NOT_TOLD for one that is not known here. */
static guint32
operation_size (const guint32 *words, gsize n)
{
  const guint32 operation = words[0] & 0xff;

  switch (operation) {
    case OPERATION_WRITE:
      return n >= 6 ? words[5] : 0;
    case OPERATION_BLOCK:
      return n >= 4 ? words[3] : 0;
    case OPERATION_MASK:
    case OPERATION_POLL:
      return n >= 7 ? words[6] : 0;
    default:
      if (operation < OPERATION_FIRST_CUSTOM)
        return NOT_TOLD;
      return n >= 2 ? words[1] : 0;
  }
}

/* Whether the operations end where the stream does. What comes after one that
 * is not known here is left alone, and so are other versions. */
static gboolean
check_operations (
    const XrtOverlay *overlay, const GArray *words, GError **error)
{
  const guint32 *word = (const guint32 *) (void *) words->data;
  const guint32 n = word[HEADER_OPERATIONS];
  gsize at = HEADER_WORDS;

  if ((word[0] & 0xffff) != VERSION)
    return TRUE;
  for (guint32 i = 0; i < n; i++) {
    const gsize left = words->len - at;
    const guint32 size = left ? operation_size (word + at, left) : 0;

    if (size == NOT_TOLD)
      return TRUE;
    if (size < 8 || size % sizeof *word != 0 || size / sizeof *word > left)
      return fail_instructions (overlay, error,
          "has no whole operation number %u of %u at byte %" G_GSIZE_FORMAT
          ": it is not a stream of instructions",
          i + 1, n, at * sizeof *word);
    at += size / sizeof *word;
  }
  return at == words->len ||
         fail_instructions (overlay, error,
             "has %" G_GSIZE_FORMAT
             " bytes behind its %u operations: it is not a stream of instructions",
             (words->len - at) * sizeof *word, n);
}

/* A stream's header tells its size in bytes. */
static gboolean
check_stream (const XrtOverlay *overlay, const GArray *words, GError **error)
{
  const gsize size = words->len * sizeof (guint32);
  guint32 told;

  if (words->len == 0)
    return fail_instructions (overlay, error, "is empty");
  if (size > XRT_MAX_INSTRUCTIONS)
    return fail_instructions (overlay, error,
        "has %" G_GSIZE_FORMAT
        " bytes of instructions; a program has at most %" G_GSIZE_FORMAT,
        size, XRT_MAX_INSTRUCTIONS);
  told = words->len >= HEADER_WORDS
             ? g_array_index (words, guint32, HEADER_SIZE)
             : 0;
  if (told != size)
    return fail_instructions (overlay, error,
        "has %" G_GSIZE_FORMAT
        " bytes of instructions, but its header tells %u: it is cut off, or not a stream of instructions",
        size, told);
  return check_operations (overlay, words, error);
}

static guint32 *
read_instructions (const XrtOverlay *overlay, gsize *n_words, GError **error)
{
  g_autoptr (GArray) words = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_autoptr (GError) cause = NULL;
  g_autofree char *content = NULL;
  gsize size;

  if (!npu_input_file_read (
          overlay->instructions, MAX_SIZE, &content, &size, &cause)) {
    const gboolean is_missing =
        g_error_matches (cause, G_FILE_ERROR, G_FILE_ERROR_NOENT);

    g_set_error (error, NPU_ERROR,
        is_missing ? NPU_ERROR_NOT_FOUND : NPU_ERROR_OPEN,
        "overlay '%s': instruction file cannot be read: %s; %s", overlay->name,
        cause->message,
        is_missing ? "build the overlay again"
                   : "give this user permission to read it");
    return NULL;
  }
  if (!collect_words (overlay, content, size, words, error) ||
      !check_stream (overlay, words, error))
    return NULL;
  *n_words = words->len;
  return (guint32 *) g_array_free (g_steal_pointer (&words), FALSE);
}

guint32 *
xrt_overlay_read_instructions (
    const XrtOverlay *overlay, gsize *n_words, GError **error)
{
  guint32 *words = read_instructions (overlay, n_words, error);

  if (!words)
    npu_error_make_valid (error);
  return words;
}
