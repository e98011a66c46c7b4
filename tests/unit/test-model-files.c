/* A model's file while it is in use: shortened, written to, replaced, opened
 * by several.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model-expect.h"
#include "model-writer.h"
#include "small-model.h"

static char *folder;
static NpuModel *small; /* width 64, one block */

static char *
write_model (const char *name, TestModelFormat format)
{
  char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GError) error = NULL;

  test_model_write (small, path, format, NPU_DTYPE_F16, &error);
  g_assert_no_error (error);
  return path;
}

static NpuModel *
open_model (const char *path)
{
  g_autoptr (GError) error = NULL;
  NpuModel *model = npu_model_open (path, &error);

  g_assert_no_error (error);
  return model;
}

static gboolean
read_fc2 (const NpuModel *model, GError **error)
{
  const NpuTensor *tensor = model->blocks[0].fc2_weight;
  const gsize n = npu_tensor_n_elements (tensor);
  g_autofree float *values = g_new (float, n);

  return npu_tensor_read (tensor, 0, n, values, error);
}

static void
expect_changed (const NpuModel *model, const char *path)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (read_fc2 (model, &error));
  model_expect_message (error, NPU_ERROR_READ, path,
      (const char *const[MODEL_EXPECT_MAX]){"mlp.2.weight'",
          "shortened or written to since it was opened", "renaming"});
}

static void
test_shortened (void)
{
  static const gint64 sizes[] = {0, 100000, -1}; /* -1: the last byte */
  static const TestModelFormat formats[] = {TEST_MODEL_OPENAI, TEST_MODEL_GGML};

  for (guint f = 0; f < G_N_ELEMENTS (formats); f++) {
    for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
      g_autofree char *path = write_model ("shortened", formats[f]);
      g_autoptr (NpuModel) model = open_model (path);
      struct stat status;

      g_assert_true (read_fc2 (model, NULL));
      g_assert_cmpint (stat (path, &status), ==, 0);
      g_assert_cmpint (
          truncate (path, sizes[i] < 0 ? status.st_size - 1 : sizes[i]), ==, 0);
      expect_changed (model, path);
      g_unlink (path);
    }
  }
}

/* The same bytes, even: nobody can know. */
static void
test_written_to (void)
{
  g_autofree char *path = write_model ("written", TEST_MODEL_OPENAI);
  g_autoptr (NpuModel) model = open_model (path);
  g_autoptr (NpuModel) again = NULL;
  int fd = open (path, O_RDWR);
  guint8 byte;
  struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = 1000000000}};

  g_assert_true (read_fc2 (model, NULL));
  g_assert_cmpint (pread (fd, &byte, 1, 5000), ==, 1);
  g_assert_cmpint (pwrite (fd, &byte, 1, 5000), ==, 1);
  /* A clock that is coarser than this test may not have moved. */
  g_assert_cmpint (futimens (fd, times), ==, 0);
  close (fd);
  expect_changed (model, path);
  /* Who opens it now gets what is there now. */
  again = open_model (path);
  g_assert_true (again != model);
  g_assert_true (read_fc2 (again, NULL));
  g_unlink (path);
}

static void
test_replaced (void)
{
  g_autofree char *path = write_model ("replaced", TEST_MODEL_OPENAI);
  g_autoptr (NpuModel) model = open_model (path);
  g_autofree char *other = write_model ("other", TEST_MODEL_GGML);
  g_autoptr (NpuModel) again = NULL;

  g_assert_cmpint (g_rename (other, path), ==, 0);
  g_assert_true (read_fc2 (model, NULL));
  again = open_model (path);
  g_assert_true (again != model);
  g_assert_true (read_fc2 (again, NULL));
  g_unlink (path);
  g_assert_true (read_fc2 (model, NULL));
  g_assert_true (read_fc2 (again, NULL));
}

/* --- one model for all -----------------------------------------------------
 */

static gpointer
open_many (gpointer path)
{
  for (guint i = 0; i < 200; i++) {
    g_autoptr (NpuModel) model = open_model (path);
    g_autoptr (NpuModel) again = open_model (path);

    g_assert_true (model == again);
    g_assert_cmpuint (model->d, ==, 64);
  }
  return NULL;
}

static void
test_shared (void)
{
  g_autofree char *path = write_model ("shared", TEST_MODEL_OPENAI);
  g_autofree char *link = g_build_filename (folder, "link", NULL);
  g_autoptr (NpuModel) synthetic = open_model ("synthetic:tiny");
  g_autoptr (NpuModel) same = open_model ("synthetic:tiny");
  GThread *threads[4];
  g_autoptr (NpuModel) linked = NULL;

  g_assert_true (synthetic == same);
  g_assert_cmpint (symlink (path, link), ==, 0);
  linked = open_model (link);
  g_assert_cmpstr (npu_model_get_location (linked), ==, link);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("open", open_many, path);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  g_unlink (link);
  g_unlink (path);
}

/* --- names ------------------------------------------------------------------
 */

/* A name that is no text is shown as one. */
static void
test_name_is_not_utf8 (void)
{
  g_autofree char *path = g_build_filename (folder, "m\xff\xfe.bin", NULL);
  g_autofree char *under = g_build_filename (path, "\xc3", NULL);
  const char *const locations[] = {
      path, "nowhere\xff", "synthetic:\xff", "\xc3\x28/x", under};

  g_assert_true (g_file_set_contents (path, "PK\3\4", 4, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (locations); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (npu_model_open (locations[i], &error));
    g_test_message ("%s", error->message);
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
  }
  g_unlink (path);
}

/* A ggml file whose vocabulary claims 2^31 - 1 empty words, and has the bytes
 * for them: in a hole. */
static void
test_vocabulary_in_a_hole (void)
{
  g_autofree char *path = write_model ("hole", TEST_MODEL_GGML);
  const gint32 n_words = GINT32_TO_LE (G_MAXINT32);
  int fd = open (path, O_RDWR);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (pwrite (fd, &n_words, 4, 64376), ==, 4);
  if (ftruncate (fd, (off_t) 9 << 30) != 0) {
    g_test_skip ("this file system has no sparse files of 9 GB");
  } else {
    g_assert_null (npu_model_open (path, &error));
    model_expect_message (error, NPU_ERROR_FORMAT, path,
        (const char *const[MODEL_EXPECT_MAX]){
            "size of the vocabulary is 2147483647"});
  }
  close (fd);
  g_unlink (path);
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("npuenc-test-XXXXXX", NULL);
  small = small_model_new (80, 64, 1, 0);
  g_test_add_func ("/model/files/shortened", test_shortened);
  g_test_add_func ("/model/files/written-to", test_written_to);
  g_test_add_func ("/model/files/replaced", test_replaced);
  g_test_add_func ("/model/files/shared", test_shared);
  g_test_add_func ("/model/files/name-is-not-utf8", test_name_is_not_utf8);
  g_test_add_func (
      "/model/files/vocabulary-in-a-hole", test_vocabulary_in_a_hole);
  result = g_test_run ();
  small_model_free (small);
  g_rmdir (folder);
  g_free (folder);
  return result;
}
