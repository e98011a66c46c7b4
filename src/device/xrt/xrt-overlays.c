/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xrt-overlays.h"

#include <string.h>

#include "base/input-file.h"

#define MAX_SIZE (16 * 1024 * 1024) /* of overlays.ini */

#define MAX_ROWS 65536
#define MAX_COLUMNS 65536
#define MAX_KV_TILES 1024
#define MAX_HEADS 256
#define TILE_ROWS 64
#define HEAD_DIM 64

#define BIT(x) (1u << (x))

/* Names as the file has them, by value. */
static const char *const op_names[] = {
    [NPU_OP_LINEAR] = "linear",
    [NPU_OP_ATTENTION] = "attention",
    [NPU_OP_LAYERNORM] = "layernorm",
    [NPU_OP_GELU] = "gelu",
};
static const char *const layout_names[] = {"rows", "tiles", "packed"};
static const char *const type_names[] = {
    "none", "f32", "bf16", "int8", "int32"};
static const char *const generation_names[] = {"any", "npu1", "npu2"};
static const char *const role_names[] = {
    "a", "b", "c", "bias", "r", "x", "g", "y", "q", "k", "v", "o", "in", "out"};

G_STATIC_ASSERT (G_N_ELEMENTS (role_names) == XRT_N_ROLES);

gsize
xrt_type_size (XrtType type)
{
  static const gsize sizes[] = {0, 4, 2, 1, 4};

  return sizes[type];
}

const char *
xrt_type_name (XrtType type)
{
  return type_names[type];
}

gboolean
xrt_overlay_has_role (const XrtOverlay *overlay, XrtRole role)
{
  for (guint i = 0; i < overlay->n_args; i++)
    if (overlay->args[i] == role)
      return TRUE;
  return FALSE;
}

/* --- reading keys ------------------------------------------------------ */

/* One group that is read; after a failure the rest is left out. */
typedef struct {
  GKeyFile *keys;
  const char *path; /* of the key file */
  const char *group;
  GError *error;
} Reader;

static void G_GNUC_PRINTF (3, 4)
    fail (Reader *reader, const char *key, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  if (reader->error)
    return;
  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (&reader->error, NPU_ERROR, NPU_ERROR_SETTINGS,
      "%s: overlay '%s': %s%s%s%s", reader->path, reader->group,
      key ? "key '" : "", key ? key : "", key ? "' " : "", what);
}

static gboolean
has_key (const Reader *reader, const char *key)
{
  return g_key_file_has_key (reader->keys, reader->group, key, NULL);
}

/* The text of a key; NULL where it is not there. */
static char *
read_text (Reader *reader, const char *key, gboolean required)
{
  g_autofree char *text = NULL;

  if (reader->error)
    return NULL;
  text = g_key_file_get_string (reader->keys, reader->group, key, NULL);
  if (text)
    g_strstrip (text);
  if (text && *text)
    return g_steal_pointer (&text);
  if (required || text)
    fail (reader, key, "is %s; it must be given", text ? "empty" : "missing");
  return NULL;
}

/* A number from 1 to @max; @fallback where it is missing, unless that is 0. */
static guint
read_number (Reader *reader, const char *key, guint max, guint fallback)
{
  g_autofree char *text = read_text (reader, key, fallback == 0);
  guint64 value;

  if (!text)
    return fallback;
  if (g_ascii_string_to_unsigned (text, 10, 1, max, &value, NULL))
    return (guint) value;
  fail (reader, key, "is '%s'; it must be a number from 1 to %u", text, max);
  return fallback;
}

static char *
join (const char *const *names, guint n, guint mask)
{
  GString *list = g_string_new (NULL);

  for (guint i = 0; i < n; i++)
    if (names[i] && (mask & BIT (i)))
      g_string_append_printf (list, "%s%s", list->len ? ", " : "", names[i]);
  return g_string_free (list, FALSE);
}

/* The index of @text among @names, of which those in @mask may be. */
static guint
find_name (Reader *reader, const char *key, const char *text,
    const char *const *names, guint n, guint mask)
{
  g_autofree char *allowed = NULL;

  for (guint i = 0; i < n; i++)
    if (names[i] && (mask & BIT (i)) && strcmp (names[i], text) == 0)
      return i;
  allowed = join (names, n, mask);
  fail (reader, key, "has '%s'; it must be one of: %s", text, allowed);
  return 0;
}

static guint
read_name (Reader *reader, const char *key, const char *const *names, guint n,
    guint mask, gboolean required)
{
  g_autofree char *text = read_text (reader, key, required);

  return text ? find_name (reader, key, text, names, n, mask) : 0;
}

/* A file of the directory, that must be there. */
static char *
read_file (Reader *reader, const char *directory, const char *key)
{
  g_autofree char *name = read_text (reader, key, TRUE);
  g_autofree char *path = NULL;

  if (!name)
    return NULL;
  path = g_path_is_absolute (name) ? g_strdup (name)
                                   : g_build_filename (directory, name, NULL);
  if (!g_file_test (path, G_FILE_TEST_IS_REGULAR)) {
    g_set_error (&reader->error, NPU_ERROR, NPU_ERROR_NOT_FOUND,
        "%s: overlay '%s': key '%s' names '%s', which is not a file; build the overlays again, or correct the name",
        reader->path, reader->group, key, path);
    return NULL;
  }
  return g_steal_pointer (&path);
}

/* --- one group --------------------------------------------------------- */

static void
check_keys (Reader *reader)
{
  static const char *const known[] = {"op", "layout", "rows", "k", "n",
      "kv-tiles", "heads", "a-type", "b-type", "c-type", "epilogue", "xclbin",
      "instructions", "kernel", "args", "generation"};
  g_auto (GStrv) keys =
      g_key_file_get_keys (reader->keys, reader->group, NULL, NULL);

  for (guint i = 0; keys && keys[i]; i++) {
    gboolean found = FALSE;

    for (guint j = 0; j < G_N_ELEMENTS (known); j++)
      found |= strcmp (keys[i], known[j]) == 0;
    if (!found) {
      g_autofree char *all = join (known, G_N_ELEMENTS (known), G_MAXUINT);

      fail (reader, keys[i], "is not known; there are: %s", all);
      return;
    }
  }
}

/* Which layouts each operation has. */
static guint
layouts_of (NpuOpKind op)
{
  return op == NPU_OP_ATTENTION
             ? BIT (XRT_LAYOUT_TILES) | BIT (XRT_LAYOUT_PACKED)
             : BIT (XRT_LAYOUT_ROWS) | BIT (XRT_LAYOUT_PACKED);
}

static void
read_shape (Reader *reader, XrtOverlay *overlay)
{
  const gboolean is_packed = overlay->layout == XRT_LAYOUT_PACKED;

  overlay->rows = read_number (reader, "rows", MAX_ROWS, 0);
  if (overlay->op == NPU_OP_LINEAR)
    overlay->k = read_number (reader, "k", MAX_COLUMNS, 0);
  else if (has_key (reader, "k"))
    fail (reader, "k", "belongs to op = linear alone; remove it");
  if (overlay->op == NPU_OP_ATTENTION) {
    overlay->kv_tiles = read_number (reader, "kv-tiles", MAX_KV_TILES, 0);
    overlay->heads = read_number (reader, "heads", MAX_HEADS, 1);
    overlay->n =
        read_number (reader, "n", MAX_COLUMNS, is_packed ? HEAD_DIM : 0);
  } else {
    overlay->n = read_number (reader, "n", MAX_COLUMNS, 0);
    if (has_key (reader, "kv-tiles") || has_key (reader, "heads"))
      fail (reader, has_key (reader, "heads") ? "heads" : "kv-tiles",
          "belongs to op = attention alone; remove it");
  }
  if (reader->error)
    return;

  if (!is_packed && overlay->rows % TILE_ROWS != 0)
    fail (reader, "rows",
        "is %u; it must be a multiple of %d, the rows of a tile", overlay->rows,
        TILE_ROWS);
  if (overlay->layout == XRT_LAYOUT_TILES &&
      (overlay->n % HEAD_DIM != 0 || overlay->n < overlay->heads * HEAD_DIM))
    fail (reader, "n",
        "is %u; it must be %d columns for each head of the model, of which the program computes %u",
        overlay->n, HEAD_DIM, overlay->heads);
  if (overlay->op == NPU_OP_ATTENTION && is_packed &&
      (overlay->n != HEAD_DIM || overlay->heads != 1))
    fail (reader, overlay->heads != 1 ? "heads" : "n",
        "must be %d with layout = packed: one head at a time",
        overlay->heads != 1 ? 1 : HEAD_DIM);
}

/* The types that each operation and layout has, the usual first. */
static void
read_types (Reader *reader, XrtOverlay *overlay)
{
  const guint all = BIT (XRT_TYPE_F32) | BIT (XRT_TYPE_BF16) |
                    BIT (XRT_TYPE_INT8) | BIT (XRT_TYPE_INT32);
  const gboolean is_linear = overlay->op == NPU_OP_LINEAR;
  XrtType a, c;

  overlay->a_type = (XrtType) read_name (
      reader, "a-type", type_names, G_N_ELEMENTS (type_names), all, FALSE);
  overlay->b_type = (XrtType) read_name (
      reader, "b-type", type_names, G_N_ELEMENTS (type_names), all, FALSE);
  overlay->c_type = (XrtType) read_name (
      reader, "c-type", type_names, G_N_ELEMENTS (type_names), all, FALSE);
  if (reader->error)
    return;

  if (is_linear && overlay->layout == XRT_LAYOUT_ROWS) {
    const gboolean is_int8 = overlay->a_type == XRT_TYPE_INT8 &&
                             overlay->b_type == XRT_TYPE_INT8 &&
                             overlay->c_type == XRT_TYPE_INT32;
    const gboolean is_bf16 =
        overlay->a_type == XRT_TYPE_BF16 && overlay->b_type == XRT_TYPE_BF16 &&
        (overlay->c_type == XRT_TYPE_F32 || overlay->c_type == XRT_TYPE_BF16);

    if (!is_int8 && !is_bf16)
      fail (reader, NULL,
          "keys 'a-type', 'b-type', 'c-type' are %s, %s, %s; op = linear has bf16, bf16, f32 (or bf16 with an epilogue), or int8, int8, int32",
          xrt_type_name (overlay->a_type), xrt_type_name (overlay->b_type),
          xrt_type_name (overlay->c_type));
    return;
  }

  a = overlay->layout == XRT_LAYOUT_PACKED ? XRT_TYPE_INT8
      : overlay->op == NPU_OP_LAYERNORM    ? XRT_TYPE_F32
                                           : XRT_TYPE_BF16;
  c = overlay->layout == XRT_LAYOUT_PACKED ? XRT_TYPE_INT8 : XRT_TYPE_BF16;
  if (overlay->a_type != XRT_TYPE_NONE && overlay->a_type != a)
    fail (reader, "a-type", "is %s; with this op and layout it is %s",
        xrt_type_name (overlay->a_type), xrt_type_name (a));
  if (overlay->c_type != XRT_TYPE_NONE && overlay->c_type != c)
    fail (reader, "c-type", "is %s; with this op and layout it is %s",
        xrt_type_name (overlay->c_type), xrt_type_name (c));
  overlay->a_type = a;
  overlay->c_type = c;
}

static void
read_epilogue (Reader *reader, XrtOverlay *overlay)
{
  static const char *const names[] = {"bias", "gelu", "residual"};
  gboolean *const has[] = {
      &overlay->has_bias, &overlay->has_gelu, &overlay->has_residual};
  g_auto (GStrv) list = NULL;
  guint next = 0;

  if (reader->error || !has_key (reader, "epilogue"))
    return;
  list = g_key_file_get_string_list (
      reader->keys, reader->group, "epilogue", NULL, NULL);
  for (guint i = 0; list && list[i] && !reader->error; i++) {
    guint step;

    if (!*g_strstrip (list[i]))
      continue;
    step = find_name (
        reader, "epilogue", list[i], names, G_N_ELEMENTS (names), G_MAXUINT);
    if (!reader->error && step < next)
      fail (reader, "epilogue",
          "has '%s' out of order; the order is bias;gelu;residual, each once",
          list[i]);
    *has[step] = TRUE;
    next = step + 1;
  }
  if (next > 0 &&
      (overlay->op != NPU_OP_LINEAR || overlay->layout != XRT_LAYOUT_ROWS ||
          overlay->a_type != XRT_TYPE_BF16))
    fail (reader, "epilogue",
        "belongs to op = linear, layout = rows in bf16 alone: int8 products must be scaled first; remove it");
}

/* The roles that a program of this description has. */
static guint
roles_of (const XrtOverlay *overlay)
{
  if (overlay->layout == XRT_LAYOUT_PACKED)
    return BIT (XRT_ROLE_IN) | BIT (XRT_ROLE_OUT);
  switch (overlay->op) {
    case NPU_OP_LINEAR:
      return BIT (XRT_ROLE_A) | BIT (XRT_ROLE_B) | BIT (XRT_ROLE_C) |
             (overlay->has_bias ? BIT (XRT_ROLE_BIAS) : 0) |
             (overlay->has_residual ? BIT (XRT_ROLE_R) : 0);
    case NPU_OP_ATTENTION:
      return BIT (XRT_ROLE_Q) | BIT (XRT_ROLE_K) | BIT (XRT_ROLE_V) |
             BIT (XRT_ROLE_O);
    case NPU_OP_LAYERNORM:
      return BIT (XRT_ROLE_X) | BIT (XRT_ROLE_G) | BIT (XRT_ROLE_Y);
    default:
      return BIT (XRT_ROLE_X) | BIT (XRT_ROLE_Y);
  }
}

static void
read_args (Reader *reader, XrtOverlay *overlay)
{
  const guint roles = roles_of (overlay);
  g_auto (GStrv) list = NULL;
  guint seen = 0;

  if (reader->error)
    return;
  list = g_key_file_get_string_list (
      reader->keys, reader->group, "args", NULL, NULL);
  for (guint i = 0; list && list[i] && !reader->error; i++) {
    guint role;

    if (!*g_strstrip (list[i]))
      continue;
    role = find_name (reader, "args", list[i], role_names, XRT_N_ROLES, roles);
    if (reader->error)
      return;
    if (seen & BIT (role)) {
      fail (reader, "args", "has '%s' twice", list[i]);
      return;
    }
    seen |= BIT (role);
    overlay->args[overlay->n_args++] = (XrtRole) role;
  }
  if (!reader->error && seen != roles) {
    g_autofree char *missing = join (role_names, XRT_N_ROLES, roles & ~seen);

    fail (reader, "args",
        "has no %s; it must list the program's buffer arguments in order",
        missing);
  }
}

/* Bytes of a block: what the program reads, all int8. */
static void
set_packed_sizes (XrtOverlay *overlay)
{
  const gsize rows = overlay->rows, n = overlay->n;

  switch (overlay->op) {
    case NPU_OP_LINEAR:
      overlay->in_size = rows * overlay->k + (gsize) overlay->k * n;
      break;
    case NPU_OP_ATTENTION:
      overlay->in_size =
          (rows + 2 * (gsize) overlay->kv_tiles * TILE_ROWS) * HEAD_DIM;
      break;
    case NPU_OP_LAYERNORM:
      overlay->in_size = rows * n + 2 * n;
      break;
    default:
      overlay->in_size = rows * n;
      break;
  }
  overlay->out_size = rows * n;
}

static void
overlay_free (gpointer data)
{
  XrtOverlay *overlay = data;

  g_free (overlay->name);
  g_free (overlay->xclbin);
  g_free (overlay->instructions);
  g_free (overlay->kernel);
  g_free (overlay);
}

static XrtOverlay *
read_overlay (Reader *reader, const char *directory)
{
  XrtOverlay *overlay = g_new0 (XrtOverlay, 1);

  overlay->name = g_strdup (reader->group);
  check_keys (reader);
  overlay->op = (NpuOpKind) read_name (
      reader, "op", op_names, G_N_ELEMENTS (op_names), G_MAXUINT, TRUE);
  overlay->layout = (XrtLayout) read_name (reader, "layout", layout_names,
      G_N_ELEMENTS (layout_names), layouts_of (overlay->op), TRUE);
  read_shape (reader, overlay);
  read_types (reader, overlay);
  read_epilogue (reader, overlay);
  if (!reader->error && overlay->layout == XRT_LAYOUT_ROWS &&
      overlay->op == NPU_OP_LINEAR && overlay->c_type == XRT_TYPE_BF16 &&
      !overlay->has_bias)
    fail (reader, "c-type",
        "is bf16 without an epilogue that begins with bias: what follows the product needs f32; use f32");
  read_args (reader, overlay);
  overlay->generation = (XrtGeneration) read_name (reader, "generation",
      generation_names, G_N_ELEMENTS (generation_names),
      BIT (XRT_GENERATION_NPU1) | BIT (XRT_GENERATION_NPU2), FALSE);
  overlay->kernel = read_text (reader, "kernel", FALSE);
  if (!overlay->kernel)
    overlay->kernel = g_strdup ("MLIR_AIE");
  overlay->xclbin = read_file (reader, directory, "xclbin");
  overlay->instructions = read_file (reader, directory, "instructions");
  if (reader->error) {
    overlay_free (overlay);
    return NULL;
  }
  if (overlay->layout == XRT_LAYOUT_PACKED)
    set_packed_sizes (overlay);
  return overlay;
}

/* --- the file ---------------------------------------------------------- */

static GKeyFile *
load_keys (const char *directory, const char *path, GError **error)
{
  g_autoptr (GKeyFile) keys = g_key_file_new ();
  g_autoptr (GError) cause = NULL;
  g_autofree char *text = NULL;
  gsize size;

  if (!g_file_test (directory, G_FILE_TEST_IS_DIR)) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND,
        "overlays '%s' is not a directory; set 'overlays' to one that has the NPU's compiled programs and an " XRT_OVERLAYS_FILE,
        directory);
    return NULL;
  }
  if (npu_input_file_read (path, MAX_SIZE, &text, &size, &cause) &&
      g_key_file_load_from_data (keys, text, size, G_KEY_FILE_NONE, &cause))
    return g_steal_pointer (&keys);

  if (g_error_matches (cause, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    g_set_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND,
        "overlays directory '%s' has no " XRT_OVERLAYS_FILE
        ", which describes its programs; build the overlays, or name their directory",
        directory);
  else if (cause->domain == G_FILE_ERROR)
    g_set_error (error, NPU_ERROR, NPU_ERROR_OPEN,
        "%s cannot be read: %s; give this user permission to read it", path,
        cause->message);
  else
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "%s is not a key file with a [group] for each overlay: %s", path,
        cause->message);
  return NULL;
}

static XrtOverlays *
read_directory (const char *directory, GError **error)
{
  g_autoptr (XrtOverlays) overlays = NULL;
  g_autofree char *path = g_build_filename (directory, XRT_OVERLAYS_FILE, NULL);
  g_autoptr (GKeyFile) keys = load_keys (directory, path, error);
  g_auto (GStrv) groups = NULL;

  if (!keys)
    return NULL;
  groups = g_key_file_get_groups (keys, NULL);
  overlays = g_new0 (XrtOverlays, 1);
  overlays->directory = g_strdup (directory);
  overlays->list = g_ptr_array_new_with_free_func (overlay_free);
  for (guint i = 0; groups[i]; i++) {
    Reader reader = {.keys = keys, .path = path, .group = groups[i]};
    XrtOverlay *overlay = read_overlay (&reader, directory);

    if (!overlay) {
      g_propagate_error (error, reader.error);
      return NULL;
    }
    g_ptr_array_add (overlays->list, overlay);
  }
  if (overlays->list->len == 0) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "%s describes no overlay; it needs a [group] for each program", path);
    return NULL;
  }
  return g_steal_pointer (&overlays);
}

XrtOverlays *
xrt_overlays_read (const char *directory, GError **error)
{
  XrtOverlays *overlays = read_directory (directory, error);

  if (!overlays)
    npu_error_make_valid (error);
  return overlays;
}

void
xrt_overlays_free (XrtOverlays *overlays)
{
  if (!overlays)
    return;
  if (overlays->list)
    g_ptr_array_unref (overlays->list);
  g_free (overlays->directory);
  g_free (overlays);
}
