/* Files that we write: whole or not at all, whatever is in their place,
 * whatever stops the writing; and without a signal to the process.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "npu-error.h"
#include "base/npu-output-file.h"

#define TEXT "states\n"

typedef struct {
  char *folder, *path;
} Place;

static void
place_set_up (Place *place, gconstpointer data)
{
  place->folder = g_dir_make_tmp ("npu-output-XXXXXX", NULL);
  place->path = g_build_filename (place->folder, "out", NULL);
}

static guint
n_files (const Place *place)
{
  g_autoptr (GDir) dir = g_dir_open (place->folder, 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir))
    n++;
  return n;
}

static void
place_tear_down (Place *place, gconstpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (place->folder, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (place->folder, name, NULL);

    g_unlink (path);
  }
  g_rmdir (place->folder);
  g_free (place->folder);
  g_free (place->path);
}

static void
check_content (const char *path, const char *expected)
{
  g_autofree char *text = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, expected);
}

static void
write_text (const char *path)
{
  g_autoptr (GError) error = NULL;

  npu_output_file_write_all (path, TEXT, strlen (TEXT), &error);
  g_assert_no_error (error);
}

/* --- what is in the place ------------------------------------------------ */

static void
test_nothing_is_there (Place *place, gconstpointer data)
{
  NpuOutputFile *file = npu_output_file_open (place->path, NULL);

  g_assert_true (npu_output_file_write (file, TEXT, strlen (TEXT), NULL));
  g_assert_false (g_file_test (place->path, G_FILE_TEST_EXISTS));
  g_assert_true (npu_output_file_close (file, NULL));
  check_content (place->path, TEXT);
  g_assert_cmpuint (n_files (place), ==, 1);
}

static void
test_a_file_is_there (Place *place, gconstpointer data)
{
  NpuOutputFile *file;
  struct stat st;

  g_file_set_contents (place->path, "before", -1, NULL);
  g_chmod (place->path, 0640);
  file = npu_output_file_open (place->path, NULL);
  g_assert_true (npu_output_file_write (file, TEXT, strlen (TEXT), NULL));
  check_content (place->path, "before");
  npu_output_file_abandon (file);
  check_content (place->path, "before");
  g_assert_cmpuint (n_files (place), ==, 1);

  write_text (place->path);
  check_content (place->path, TEXT);
  g_assert_cmpuint (n_files (place), ==, 1);
  g_assert_cmpint (stat (place->path, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 0777, ==, 0640);
}

static void
test_links_stay_links (Place *place, gconstpointer data)
{
  g_autofree char *target = g_build_filename (place->folder, "target", NULL);

  /* First to nothing, then to a file. */
  g_assert_cmpint (symlink ("target", place->path), ==, 0);
  for (guint i = 0; i < 2; i++) {
    write_text (place->path);
    g_assert_true (g_file_test (place->path, G_FILE_TEST_IS_SYMLINK));
    g_assert_false (g_file_test (target, G_FILE_TEST_IS_SYMLINK));
    check_content (target, TEXT);
    g_assert_cmpuint (n_files (place), ==, 2);
  }
}

static void
test_a_folder_is_there (Place *place, gconstpointer data)
{
  g_autofree char *slash = g_strconcat (place->path, "/", NULL);
  const char *const paths[] = {place->folder, slash, ""};

  for (guint i = 0; i < G_N_ELEMENTS (paths); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (npu_output_file_open (paths[i], &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_OPEN);
    g_assert_nonnull (strstr (error->message, paths[i]));
  }
  g_assert_cmpuint (n_files (place), ==, 0);
}

/* --- FIFOs ---------------------------------------------------------------- */

static void
test_fifo_without_a_reader (Place *place, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (mkfifo (place->path, 0600), ==, 0);
  g_assert_null (npu_output_file_open (place->path, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_OPEN);
  g_assert_nonnull (strstr (error->message, "nobody reads it"));
}

static void
test_fifo_with_a_reader (Place *place, gconstpointer data)
{
  char text[64] = "";
  struct stat st;
  int fd;

  g_assert_cmpint (mkfifo (place->path, 0600), ==, 0);
  fd = open (place->path, O_RDONLY | O_NONBLOCK);
  write_text (place->path);
  g_assert_cmpint (read (fd, text, sizeof text), ==, strlen (TEXT));
  g_assert_cmpstr (text, ==, TEXT);
  close (fd);
  g_assert_cmpint (stat (place->path, &st), ==, 0);
  g_assert_true (S_ISFIFO (st.st_mode));
  g_assert_cmpuint (n_files (place), ==, 1);
}

/* One that goes away, and one that takes nothing. */
static void
test_fifo_with_a_bad_reader (Place *place, gconstpointer stays)
{
  g_autofree char *much = g_malloc0 (1 << 20);
  g_autoptr (GError) error = NULL;
  NpuOutputFile *file;
  int fd;

  g_assert_cmpint (mkfifo (place->path, 0600), ==, 0);
  fd = open (place->path, O_RDONLY | O_NONBLOCK);
  file = npu_output_file_open (place->path, NULL);
  if (!stays)
    close (fd);
  g_assert_false (npu_output_file_write (file, much, 1 << 20, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_FAILED);
  g_assert_nonnull (strstr (
      error->message, stays ? "reader takes nothing" : g_strerror (EPIPE)));
  npu_output_file_abandon (file);
  if (stays)
    close (fd);
}

/* --- limits ----------------------------------------------------------------
 */

static void
check_limit (const Place *place)
{
  const struct rlimit limit = {10000, RLIM_INFINITY};
  g_autofree char *much = g_malloc0 (20000);
  g_autoptr (GError) error = NULL;
  NpuOutputFile *file;

  signal (SIGXFSZ, SIG_DFL);
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  file = npu_output_file_open (place->path, NULL);
  g_assert_true (npu_output_file_write (file, much, 5000, NULL));
  g_assert_false (npu_output_file_write (file, much, 20000, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, g_strerror (EFBIG)));
  g_clear_error (&error);
  g_assert_false (npu_output_file_close (file, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_FAILED);
}

static void
test_file_size_limit (Place *place, gconstpointer data)
{
  if (g_test_subprocess ()) {
    check_limit (place);
    g_assert_cmpuint (n_files (place), ==, 0);
    return;
  }
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_passed ();
}

/* A signal that waits for the application still does so afterwards. */
static void
test_signals_of_others (Place *place, gconstpointer data)
{
  sigset_t set;

  if (g_test_subprocess ()) {
    sigemptyset (&set);
    sigaddset (&set, SIGXFSZ);
    pthread_sigmask (SIG_BLOCK, &set, NULL);
    raise (SIGXFSZ);
    check_limit (place);
    sigpending (&set);
    g_assert_true (sigismember (&set, SIGXFSZ));
    g_assert_false (sigismember (&set, SIGPIPE));
    return;
  }
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_passed ();
}

static void
test_disk_full (Place *place, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  if (!g_file_test ("/dev/full", G_FILE_TEST_EXISTS)) {
    g_test_skip ("no /dev/full here to write to");
    return;
  }
  g_assert_false (npu_output_file_write_all ("/dev/full", "x", 1, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, g_strerror (ENOSPC)));
}

/* Names of files are any bytes, messages are UTF-8. */
static void
test_name_that_is_no_text (Place *place, gconstpointer data)
{
  g_autofree char *path =
      g_build_filename (place->folder, "\xff", "none", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_false (npu_output_file_write_all (path, "x", 1, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_OPEN);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_nonnull (strstr (error->message, "\xef\xbf\xbd/none"));
}

/* --- what it must not be -------------------------------------------------- */

static void
check_differs (const char *path, const char *input, gboolean differs)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (npu_output_file_differs (path, input, &error), ==, differs);
  if (differs)
    g_assert_no_error (error);
  else
    g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
}

static void
test_not_the_input (Place *place, gconstpointer data)
{
  g_autofree char *hard = g_build_filename (place->folder, "hard", NULL);
  g_autofree char *soft = g_build_filename (place->folder, "soft", NULL);
  g_autofree char *other = g_build_filename (place->folder, "other", NULL);

  write_text (place->path);
  g_assert_cmpint (link (place->path, hard), ==, 0);
  g_assert_cmpint (symlink ("out", soft), ==, 0);
  check_differs (place->path, place->path, FALSE);
  check_differs (hard, place->path, FALSE);
  check_differs (soft, place->path, FALSE);
  check_differs (place->path, place->folder, FALSE);
  check_differs (other, place->path, TRUE);
  check_differs (other, place->folder, TRUE);
  check_differs (place->path, "synthetic:tiny", TRUE);
  check_differs ("/dev/null", "/dev/null", TRUE);
}

#define ADD(name, data, func)                                                  \
  g_test_add (                                                                 \
      "/output-file/" name, Place, data, place_set_up, func, place_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("nothing-is-there", NULL, test_nothing_is_there);
  ADD ("a-file-is-there", NULL, test_a_file_is_there);
  ADD ("links-stay-links", NULL, test_links_stay_links);
  ADD ("a-folder-is-there", NULL, test_a_folder_is_there);
  ADD ("fifo-without-a-reader", NULL, test_fifo_without_a_reader);
  ADD ("fifo-with-a-reader", NULL, test_fifo_with_a_reader);
  ADD ("fifo-whose-reader-goes", NULL, test_fifo_with_a_bad_reader);
  ADD ("fifo-whose-reader-takes-nothing", GINT_TO_POINTER (TRUE),
      test_fifo_with_a_bad_reader);
  ADD ("file-size-limit", NULL, test_file_size_limit);
  ADD ("signals-of-others", NULL, test_signals_of_others);
  ADD ("disk-full", NULL, test_disk_full);
  ADD ("name-that-is-no-text", NULL, test_name_that_is_no_text);
  ADD ("not-the-input", NULL, test_not_the_input);
  return g_test_run ();
}
