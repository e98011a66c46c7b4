/* The description of overlays: what is read, and that every mistake in it is
 * told with file, group, key and remedy. Needs no XRT.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "device/xrt/xrt-overlays.h"

static const char gemm[] = "op=linear\nlayout=rows\nrows=256\nk=384\nn=128\n"
                           "a-type=bf16\nb-type=bf16\nc-type=f32\n"
                           "xclbin=x.xclbin\ninstructions=i.bin\nargs=a;b;c\n";
static const char attention[] =
    "op=attention\nlayout=tiles\nrows=1536\nkv-tiles=24\nheads=2\nn=384\n"
    "xclbin=x.xclbin\ninstructions=i.bin\nargs=q;k;v;o\n";

/* A directory with overlays.ini and the files that it names. */
typedef struct {
  char *path;
} Folder;

static void
write_file (
    const Folder *folder, const char *name, const void *data, gssize size)
{
  g_autofree char *path = g_build_filename (folder->path, name, NULL);
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, data, size, &error);
  g_assert_no_error (error);
}

static void
folder_set_up (Folder *folder, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  folder->path = g_dir_make_tmp ("overlays-XXXXXX", &error);
  g_assert_no_error (error);
  write_file (folder, "x.xclbin", "xclbin2", -1);
}

static void
folder_tear_down (Folder *folder, gconstpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (folder->path, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (folder->path, name, NULL);

    g_remove (path);
  }
  g_rmdir (folder->path);
  g_free (folder->path);
}

static XrtOverlays *
read_ini (Folder *folder, const char *text, GError **error)
{
  static const guint32 stream[] = {0x06030100, 0x105, 0, 16};

  write_file (folder, "i.bin", stream, sizeof stream);
  write_file (folder, XRT_OVERLAYS_FILE, text, -1);
  return xrt_overlays_read (folder->path, error);
}

/* The only overlay of a file with one group that must be right. */
static const XrtOverlay *
read_one (Folder *folder, const char *keys, XrtOverlays **overlays)
{
  g_autofree char *text = g_strdup_printf ("[one]\n%s", keys);
  g_autoptr (GError) error = NULL;

  *overlays = read_ini (folder, text, &error);
  g_assert_no_error (error);
  g_assert_cmpuint ((*overlays)->list->len, ==, 1);
  return g_ptr_array_index ((*overlays)->list, 0);
}

static void
test_linear (Folder *folder, gconstpointer data)
{
  g_autoptr (XrtOverlays) overlays = NULL;
  const XrtOverlay *overlay = read_one (folder, gemm, &overlays);

  g_assert_cmpstr (overlay->name, ==, "one");
  g_assert_cmpint (overlay->op, ==, NPU_OP_LINEAR);
  g_assert_cmpint (overlay->layout, ==, XRT_LAYOUT_ROWS);
  g_assert_cmpuint (overlay->rows, ==, 256);
  g_assert_cmpuint (overlay->k, ==, 384);
  g_assert_cmpuint (overlay->n, ==, 128);
  g_assert_cmpint (overlay->a_type, ==, XRT_TYPE_BF16);
  g_assert_cmpint (overlay->b_type, ==, XRT_TYPE_BF16);
  g_assert_cmpint (overlay->c_type, ==, XRT_TYPE_F32);
  g_assert_false (
      overlay->has_bias || overlay->has_gelu || overlay->has_residual);
  g_assert_cmpuint (overlay->n_args, ==, 3);
  g_assert_cmpint (overlay->args[0], ==, XRT_ROLE_A);
  g_assert_cmpint (overlay->args[1], ==, XRT_ROLE_B);
  g_assert_cmpint (overlay->args[2], ==, XRT_ROLE_C);
  g_assert_cmpstr (overlay->kernel, ==, "MLIR_AIE");
  g_assert_cmpint (overlay->generation, ==, XRT_GENERATION_ANY);
  g_assert_true (g_str_has_prefix (overlay->xclbin, folder->path));
}

static void
test_order_of_args (Folder *folder, gconstpointer data)
{
  g_autofree char *keys = g_strconcat (gemm,
      "args=c ; b;a;r;bias;\nepilogue=bias;gelu;residual\ngeneration=npu2\n"
      "kernel=GEMM\n",
      NULL);
  g_autoptr (XrtOverlays) overlays = NULL;
  const XrtOverlay *overlay = read_one (folder, keys, &overlays);

  g_assert_true (
      overlay->has_bias && overlay->has_gelu && overlay->has_residual);
  g_assert_cmpuint (overlay->n_args, ==, 5);
  g_assert_cmpint (overlay->args[0], ==, XRT_ROLE_C);
  g_assert_cmpint (overlay->args[3], ==, XRT_ROLE_R);
  g_assert_true (xrt_overlay_has_role (overlay, XRT_ROLE_BIAS));
  g_assert_false (xrt_overlay_has_role (overlay, XRT_ROLE_X));
  g_assert_cmpstr (overlay->kernel, ==, "GEMM");
  g_assert_cmpint (overlay->generation, ==, XRT_GENERATION_NPU2);
}

/* The quick-start guide's four, with its sizes. */
static void
test_packed (Folder *folder, gconstpointer data)
{
  static const struct {
    const char *keys;
    gsize in_size, out_size;
  } cases[] = {
      {"op=attention\nrows=64\nkv-tiles=1\n", 12288, 4096},
      {"op=layernorm\nrows=1\nn=256\n", 768, 256},
      {"op=gelu\nrows=1\nn=512\n", 512, 512},
      {"op=linear\nrows=16\nk=16\nn=16\n", 512, 256},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *keys = g_strconcat (cases[i].keys,
        "layout=packed\nxclbin=x.xclbin\ninstructions=i.bin\nargs=in;out\n",
        NULL);
    g_autoptr (XrtOverlays) overlays = NULL;
    const XrtOverlay *overlay = read_one (folder, keys, &overlays);

    g_assert_cmpuint (overlay->in_size, ==, cases[i].in_size);
    g_assert_cmpuint (overlay->out_size, ==, cases[i].out_size);
    g_assert_cmpint (overlay->a_type, ==, XRT_TYPE_INT8);
  }
}

static void
test_attention (Folder *folder, gconstpointer data)
{
  g_autoptr (XrtOverlays) overlays = NULL;
  const XrtOverlay *overlay = read_one (folder, attention, &overlays);

  g_assert_cmpuint (overlay->kv_tiles, ==, 24);
  g_assert_cmpuint (overlay->heads, ==, 2);
  g_assert_cmpint (overlay->a_type, ==, XRT_TYPE_BF16);
  g_assert_cmpint (overlay->c_type, ==, XRT_TYPE_BF16);
}

/* --- mistakes ---------------------------------------------------------- */

/* A key is added to, or takes the place of one in, a right description. */
static void
test_mistakes (Folder *folder, gconstpointer data)
{
  static const struct {
    const char *base, *key, *value, *message;
  } cases[] = {
      {gemm, "op", "matmul",
          "key 'op' has 'matmul'; it must be one of: linear"},
      {gemm, "op", "", "key 'op' is empty"},
      {gemm, "layout", "tiles",
          "key 'layout' has 'tiles'; it must be one of: "
          "rows, packed"},
      {attention, "layout", "rows", "key 'layout' has 'rows'"},
      {gemm, "rows", "0", "key 'rows' is '0'; it must be a number from 1"},
      {gemm, "rows", "-64", "key 'rows' is '-64'"},
      {gemm, "rows", "100", "key 'rows' is 100; it must be a multiple of 64"},
      {gemm, "k", "x", "key 'k' is 'x'"},
      {gemm, "n", "99999999999", "key 'n' is '99999999999'"},
      {gemm, "heads", "2", "key 'heads' belongs to op = attention"},
      {attention, "k", "64", "key 'k' belongs to op = linear"},
      {attention, "n", "100", "key 'n' is 100; it must be 64 columns"},
      {attention, "n", "64", "of which the program computes 2"},
      {attention, "heads", "0", "key 'heads' is '0'"},
      {attention, "a-type", "int8", "key 'a-type' is int8"},
      {gemm, "a-type", "float", "key 'a-type' has 'float'"},
      {gemm, "a-type", "int8", "are int8, bf16, f32"},
      {gemm, "c-type", "bf16", "key 'c-type' is bf16 without an epilogue"},
      {gemm, "epilogue", "gelu;bias", "key 'epilogue' has 'bias' out of order"},
      {gemm, "epilogue", "relu", "key 'epilogue' has 'relu'"},
      {gemm, "epilogue", "bias", "key 'args' has no bias"},
      {attention, "epilogue", "bias", "key 'epilogue' belongs to op = linear"},
      {gemm, "args", "a;b", "key 'args' has no c"},
      {gemm, "args", "a;b;b;c", "key 'args' has 'b' twice"},
      {gemm, "args", "a;b;c;o", "key 'args' has 'o'; it must be one of: a, b"},
      {gemm, "generation", "npu3",
          "key 'generation' has 'npu3'; it must be "
          "one of: npu1, npu2"},
      {gemm, "xclbin", "no.xclbin", "key 'xclbin' names"},
      {gemm, "instructions", "", "key 'instructions' is empty"},
      {gemm, "instruction", "i.bin",
          "key 'instruction' is not known; there "
          "are: op, layout"},
      {gemm, "kernel", "", "key 'kernel' is empty"},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text =
        g_strdup_printf ("[right]\n%s[wrong one]\n%s%s=%s\n", gemm,
            cases[i].base, cases[i].key, cases[i].value);
    g_autoptr (GError) error = NULL;
    XrtOverlays *overlays = read_ini (folder, text, &error);

    g_test_message ("%s", error ? error->message : cases[i].message);
    g_assert_null (overlays);
    g_assert_nonnull (error);
    g_assert_nonnull (strstr (error->message, cases[i].message));
    g_assert_nonnull (strstr (error->message, XRT_OVERLAYS_FILE));
    g_assert_nonnull (strstr (error->message, "overlay 'wrong one'"));
  }
}

/* Every key but those with defaults must be there. */
static void
test_missing_keys (Folder *folder, gconstpointer data)
{
  g_auto (GStrv) lines = g_strsplit (gemm, "\n", -1);

  for (guint i = 0; lines[i] && *lines[i]; i++) {
    g_autofree char *without = g_strjoinv ("\n", lines);
    g_autofree char *line = g_strconcat (lines[i], "\n", NULL);
    g_autofree char *text = NULL;
    g_autoptr (GError) error = NULL;
    g_auto (GStrv) parts = g_strsplit (without, line, 2);
    g_auto (GStrv) key = g_strsplit (lines[i], "=", 2);

    text = g_strconcat ("[short]\n", parts[0], parts[1], NULL);
    g_assert_null (read_ini (folder, text, &error));
    g_test_message ("%s", error->message);
    g_assert_nonnull (strstr (error->message, key[0]));
    g_assert_nonnull (strstr (error->message, "overlay 'short'"));
  }
}

static void
test_files (Folder *folder, gconstpointer data)
{
  g_autofree char *none = g_build_filename (folder->path, "none", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (xrt_overlays_read (none, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "is not a directory"));
  g_clear_error (&error);

  g_assert_null (xrt_overlays_read (folder->path, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "has no overlays.ini"));
  g_clear_error (&error);

  g_assert_null (read_ini (folder, "# nothing\n", &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
  g_assert_nonnull (strstr (error->message, "describes no overlay"));
  g_clear_error (&error);

  g_assert_null (read_ini (folder, "op=linear\n", &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
  g_assert_nonnull (strstr (error->message, "is not a key file"));
}

static void
put_fifo (const Folder *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder->path, name, NULL);

  g_remove (path);
  g_assert_cmpint (mkfifo (path, 0600), ==, 0);
}

/* Nobody writes into it, and nobody waits for that: the description, a file
 * that it names, and one that became a FIFO after it was looked at. */
static void
test_fifos (Folder *folder, gconstpointer data)
{
  g_autoptr (XrtOverlays) overlays = NULL;
  g_autoptr (GError) error = NULL;
  gsize n;

  put_fifo (folder, XRT_OVERLAYS_FILE);
  g_assert_null (xrt_overlays_read (folder->path, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_OPEN);
  g_assert_nonnull (strstr (error->message, "overlays.ini"));
  g_assert_nonnull (strstr (error->message, "regular file"));
  g_clear_error (&error);

  read_one (folder, gemm, &overlays);
  put_fifo (folder, "i.bin");
  g_assert_null (xrt_overlay_read_instructions (
      g_ptr_array_index (overlays->list, 0), &n, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_OPEN);
  g_assert_nonnull (strstr (error->message, "regular file"));
}

/* --- instructions ------------------------------------------------------ */

typedef struct {
  const char *name, *message;
  const void *data;
  gssize size;
} Stream;

static guint32 *
read_stream (Folder *folder, const Stream *stream, gsize *n, GError **error)
{
  g_autofree char *keys =
      g_strdup_printf ("[one]\n%sinstructions=%s\n", gemm, stream->name);
  g_autoptr (XrtOverlays) overlays = NULL;

  write_file (folder, stream->name, stream->data, stream->size);
  overlays = read_ini (folder, keys, error);
  g_assert_no_error (*error);
  if (strcmp (stream->name, "i.bin") == 0)
    write_file (folder, stream->name, stream->data, stream->size);
  return xrt_overlay_read_instructions (
      g_ptr_array_index (overlays->list, 0), n, error);
}

/* A stream of one operation, the write of a register, as words and as text. */
#define STREAM_BYTES                                                           \
  0x00, 0x01, 0x03, 0x06, 0x05, 0x01, 0, 0, 1, 0, 0, 0, 40, 0, 0, 0, 0, 0, 0,  \
      0, 0, 0, 0, 0, 4, 2, 1, 0, 0, 0, 0, 0, 0xef, 0xbe, 0xad, 0xde, 24, 0, 0, \
      0
#define STREAM_TEXT                                                            \
  "06030100\n00000105\r\n 0x1\n00000028\n\n0\n0\n00010204\n0\nDEADBEEF\n18\n"

/* The file's name does not tell which it is. */
static void
test_instructions (Folder *folder, gconstpointer data)
{
  static const guint8 words[] = {STREAM_BYTES};
  static const Stream streams[] = {
      {"i.bin", NULL, words, sizeof words},
      {"insts.txt", NULL, words, sizeof words},
      {"i.txt", NULL, STREAM_TEXT, -1},
      {"insts.bin", NULL, STREAM_TEXT, -1},
      {"insts", NULL, STREAM_TEXT, -1},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (streams); i++) {
    g_autoptr (GError) error = NULL;
    gsize n = 0;
    g_autofree guint32 *read = read_stream (folder, &streams[i], &n, &error);

    g_assert_no_error (error);
    g_assert_cmpuint (n, ==, 10);
    g_assert_cmphex (read[0], ==, 0x06030100);
    g_assert_cmphex (read[8], ==, 0xdeadbeef);
  }
}

static void
test_bad_instructions (Folder *folder, gconstpointer data)
{
  static guint8 big[(1 << 20) + 4];
  static const guint8 xclbin[40] = "xclbin2";
  guint8 cut[40] = {STREAM_BYTES}, more[44] = {STREAM_BYTES};
  guint8 none[40] = {STREAM_BYTES};
  const Stream streams[] = {
      {"i.bin", "its header tells 0", xclbin, sizeof xclbin},
      {"i.bin", "no whole operation number 1 of 1 at byte 16", cut, 40},
      {"i.bin", "has 4 bytes behind its 1 operations", more, 44},
      {"i.bin", "no whole operation number 2 of 2 at byte 40", none, 40},
      {"insts", "has '{' in line 1", "{\n \"name\": 1}\n", -1},
      {"i.bin", "is empty", "", 0},
      {"i.txt", "is empty", "\n \n", -1},
      {"i.bin", "has 18 bytes, which are not whole words", big, 18},
      {"i.bin", "has 8 bytes of instructions, but its header tells", big, 8},
      {"i.bin", "but its header tells 0", big, 64},
      {"i.bin", "at most 1048576", big, sizeof big},
      {"i.txt", "has 'hello' in line 2", "06030100\nhello\n", -1},
      {"i.txt", "has '123456789' in line 1", "123456789\n", -1},
      {"i.txt", "its header tells 1000", "1\n2\n3\n000003e8\n", -1},
  };

  cut[36] = 32; /* bytes of the operation */
  more[12] = 44;
  none[8] = 2; /* operations */
  for (gsize i = 0; i < G_N_ELEMENTS (streams); i++) {
    g_autoptr (GError) error = NULL;
    gsize n = 0;

    g_assert_null (read_stream (folder, &streams[i], &n, &error));
    g_test_message ("%s", error->message);
    g_assert_error (error, NPU_ERROR, NPU_ERROR_FORMAT);
    g_assert_nonnull (strstr (error->message, streams[i].message));
    g_assert_nonnull (strstr (error->message, "overlay 'one'"));
    g_assert_nonnull (strstr (error->message, streams[i].name));
    g_assert_nonnull (strstr (error->message, "build the overlay again"));
  }
}

/* --- the NPU's generation ---------------------------------------------- */

static void
test_generation (Folder *folder, gconstpointer data)
{
  static const struct {
    const char *name, *pci_id;
    XrtGeneration generation;
  } cases[] = {
      {"RyzenAI-npu1", "0x1502", XRT_GENERATION_NPU1},
      {"RyzenAI-npu4", "0x17f0", XRT_GENERATION_NPU2},
      {"RyzenAI-npu5", "0x17f0", XRT_GENERATION_NPU2},
      {"RyzenAI-npu6", "0x17f0", XRT_GENERATION_NPU2},
      {"RyzenAI-npu3", "0x17f1", XRT_GENERATION_OTHER},
      {"RyzenAI-npu10-pf", "", XRT_GENERATION_OTHER},
      {"RyzenAI-npu4", "", XRT_GENERATION_NPU2},
      {"NPU Phoenix", "", XRT_GENERATION_NPU1},
      {"NPU Hawk Point", "", XRT_GENERATION_NPU1},
      {"NPU Strix Halo", "", XRT_GENERATION_NPU2},
      {"NPU Krackan 1", "", XRT_GENERATION_NPU2},
      {"NPU Gorgon Point 2", "", XRT_GENERATION_NPU2},
      {"", "0x1502", XRT_GENERATION_NPU1},
      {"NPU", "0x17f0", XRT_GENERATION_NPU2},
      {"NPU Medusa", "0x17f2", XRT_GENERATION_OTHER},
      {"NPU", "", XRT_GENERATION_ANY},
      {"", "", XRT_GENERATION_ANY},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_test_message ("%s %s", cases[i].name, cases[i].pci_id);
    g_assert_cmpint (xrt_generation_of (cases[i].name, cases[i].pci_id), ==,
        cases[i].generation);
  }
}

#define ADD(name, function)                                                    \
  g_test_add ("/xrt/overlays/" name, Folder, NULL, folder_set_up, function,    \
      folder_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("linear", test_linear);
  ADD ("order-of-args", test_order_of_args);
  ADD ("packed", test_packed);
  ADD ("attention", test_attention);
  ADD ("mistakes", test_mistakes);
  ADD ("missing-keys", test_missing_keys);
  ADD ("files", test_files);
  ADD ("fifos", test_fifos);
  ADD ("instructions", test_instructions);
  ADD ("bad-instructions", test_bad_instructions);
  ADD ("generation", test_generation);
  return g_test_run ();
}
