/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-output-file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "npu-error.h"

/* How often a reader that takes nothing is looked at before it is given up,
 * and how long each look takes. */
#define MAX_LOOKS 20
#define LOOK_MS 100

#define MAX_LINKS 40 /* as the kernel's */

struct _NpuOutputFile {
  char *path;  /* as given */
  char *shown; /* likewise, but UTF-8: names of files are any bytes */
  int fd;
  int folder;      /* -1: written in its place */
  char *name;      /* in the folder */
  char *temporary; /* likewise */
  int failed;      /* errno of what failed first, or 0 */
};

/* --- where it goes ------------------------------------------------------- */

/* What a symbolic link leads to though it does not exist: (transfer full), or
 * NULL where links lead in a circle. */
static char *
follow_links (const char *path)
{
  g_autofree char *at = g_strdup (path);

  for (guint i = 0; i < MAX_LINKS; i++) {
    g_autofree char *to = g_file_read_link (at, NULL);
    g_autofree char *folder = g_path_get_dirname (at);

    if (!to)
      return g_steal_pointer (&at);
    g_free (at);
    at = g_path_is_absolute (to) ? g_steal_pointer (&to)
                                 : g_build_filename (folder, to, NULL);
  }
  errno = ELOOP;
  return NULL;
}

static gboolean
is_in_proc (const char *path)
{
  g_autofree char *folder = g_path_get_dirname (path);
  char *real = realpath (folder, NULL);
  const gboolean is = real && g_str_has_prefix (real, "/proc/");

  free (real);
  return is;
}

/* Names such as /dev/stdout and /dev/fd/3 are files that are open already, and
 * whoever opened them would not see another in their place. */
static gboolean
is_open_already (const char *path)
{
  g_autofree char *target = g_file_read_link (path, NULL);

  return is_in_proc (path) ||
         (target && g_path_is_absolute (target) && is_in_proc (target));
}

static gboolean
open_in_place (NpuOutputFile *file)
{
  file->fd = open (
      file->path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return file->fd >= 0;
}

/* Opens the folder of @path and a new file of @mode in it. */
static gboolean
open_beside (NpuOutputFile *file, const char *path, mode_t mode)
{
  g_autofree char *folder = g_path_get_dirname (path);

  file->name = g_path_get_basename (path);
  file->folder = open (folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (file->folder < 0)
    return FALSE;
  do {
    g_free (file->temporary);
    file->temporary = g_strdup_printf (".npuenc-%08x.part", g_random_int ());
    file->fd = openat (file->folder, file->temporary,
        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  } while (file->fd < 0 && errno == EEXIST);
  if (file->fd < 0)
    return FALSE;
  if (mode != 0)
    (void) !fchmod (file->fd, mode); /* not every file system has modes */
  return TRUE;
}

static gboolean
open_any (NpuOutputFile *file)
{
  const gsize length = strlen (file->path);
  g_autofree char *target = NULL;
  char *real;
  struct stat st;
  gboolean opened;

  if (stat (file->path, &st) < 0) {
    if (errno != ENOENT || length == 0)
      return FALSE;
    target = follow_links (file->path);
    if (target && g_str_has_suffix (target, "/"))
      errno = EISDIR;
    return target && !g_str_has_suffix (target, "/") &&
           open_beside (file, target, 0);
  }
  if (S_ISDIR (st.st_mode) || S_ISBLK (st.st_mode)) {
    errno =
        S_ISDIR (st.st_mode) ? EISDIR : EPERM; /* a disk has other content */
    return FALSE;
  }
  if (!S_ISREG (st.st_mode) || is_open_already (file->path))
    return open_in_place (file);
  if (access (file->path, W_OK) < 0)
    return FALSE;
  real = realpath (file->path, NULL);
  opened = real && open_beside (file, real, st.st_mode & 0777);
  free (real);
  return opened;
}

NpuOutputFile *
npu_output_file_open (const char *path, GError **error)
{
  NpuOutputFile *file = g_new0 (NpuOutputFile, 1);
  int failed;

  file->path = g_strdup (path);
  file->shown = g_utf8_make_valid (path, -1);
  file->fd = file->folder = -1;
  if (open_any (file))
    return file;

  failed = errno;
  g_set_error (error, NPU_ERROR, NPU_ERROR_OPEN, "cannot write '%s': %s",
      file->shown, failed == ENXIO ? "nobody reads it" : g_strerror (failed));
  npu_output_file_abandon (file);
  return NULL;
}

/* --- writing ------------------------------------------------------------- */

/* Keeps SIGXFSZ and SIGPIPE, which a write sends to its own thread, from it. */
typedef struct {
  sigset_t ours, before, pending;
} Signals;

static void
hold_signals (Signals *signals)
{
  sigemptyset (&signals->ours);
  sigaddset (&signals->ours, SIGXFSZ);
  sigaddset (&signals->ours, SIGPIPE);
  sigpending (&signals->pending);
  pthread_sigmask (SIG_BLOCK, &signals->ours, &signals->before);
}

/* Those that were pending before are the application's. */
static void
release_signals (Signals *signals)
{
  static const int both[] = {SIGXFSZ, SIGPIPE};
  const struct timespec now = {0};
  const int kept = errno;

  for (guint i = 0; i < G_N_ELEMENTS (both); i++)
    if (sigismember (&signals->pending, both[i]))
      sigdelset (&signals->ours, both[i]);
  while (sigtimedwait (&signals->ours, NULL, &now) > 0)
    ;
  pthread_sigmask (SIG_SETMASK, &signals->before, NULL);
  errno = kept;
}

/* FALSE with errno set. */
static gboolean
write_all (int fd, const char *data, gsize size)
{
  guint n_looks = 0;

  while (size > 0) {
    const gssize written = write (fd, data, size);

    if (written > 0) {
      data += written;
      size -= (gsize) written;
      n_looks = 0;
    } else if (written < 0 && errno == EAGAIN && n_looks < MAX_LOOKS) {
      struct pollfd look = {.fd = fd, .events = POLLOUT};

      n_looks++;
      poll (&look, 1, LOOK_MS);
    } else if (written == 0 || errno != EINTR) {
      errno = written == 0 ? EIO : errno;
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean
report (const NpuOutputFile *file, GError **error)
{
  if (file->failed == 0)
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED, "cannot write '%s': %s",
      file->shown,
      file->failed == EAGAIN ? "its reader takes nothing"
                             : g_strerror (file->failed));
  return FALSE;
}

gboolean
npu_output_file_write (
    NpuOutputFile *file, const void *data, gsize size, GError **error)
{
  Signals signals;

  if (file->failed == 0) {
    hold_signals (&signals);
    if (!write_all (file->fd, data, size))
      file->failed = errno;
    release_signals (&signals);
  }
  return report (file, error);
}

/* Renames only where there is still a regular file, or nothing. */
static gboolean
move_to_place (NpuOutputFile *file)
{
  struct stat st;

  if (fstatat (file->folder, file->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
      !S_ISREG (st.st_mode)) {
    errno = EEXIST;
    return FALSE;
  }
  if (renameat (file->folder, file->temporary, file->folder, file->name) < 0)
    return FALSE;
  g_clear_pointer (&file->temporary, g_free);
  return TRUE;
}

gboolean
npu_output_file_close (NpuOutputFile *file, GError **error)
{
  gboolean done;

  /* Some file systems notice only here that there is no room. */
  if (close (file->fd) < 0 && file->failed == 0 && errno != EINTR)
    file->failed = errno;
  file->fd = -1;
  if (file->failed == 0 && file->temporary && !move_to_place (file))
    file->failed = errno;
  done = report (file, error);
  npu_output_file_abandon (file);
  return done;
}

void
npu_output_file_abandon (NpuOutputFile *file)
{
  if (!file)
    return;
  if (file->fd >= 0)
    close (file->fd);
  if (file->temporary && file->folder >= 0)
    unlinkat (file->folder, file->temporary, 0);
  if (file->folder >= 0)
    close (file->folder);
  g_free (file->temporary);
  g_free (file->name);
  g_free (file->path);
  g_free (file->shown);
  g_free (file);
}

gboolean
npu_output_file_write_all (
    const char *path, const char *data, gsize size, GError **error)
{
  NpuOutputFile *file = npu_output_file_open (path, error);

  if (!file)
    return FALSE;
  if (npu_output_file_write (file, data, size, error))
    return npu_output_file_close (file, error);
  npu_output_file_abandon (file);
  return FALSE;
}

/* --- what it must not be ------------------------------------------------- */

static gboolean
is_same (const struct stat *a, const struct stat *b)
{
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether the regular file @path is directly in the folder @input. */
static gboolean
is_in_folder (const char *path, const struct stat *input)
{
  char *real = realpath (path, NULL);
  g_autofree char *folder = real ? g_path_get_dirname (real) : NULL;
  struct stat st;

  free (real);
  return folder && stat (folder, &st) == 0 && is_same (&st, input);
}

gboolean
npu_output_file_differs (const char *path, const char *input, GError **error)
{
  g_autofree char *shown = g_utf8_make_valid (path, -1);
  g_autofree char *shown_input = g_utf8_make_valid (input, -1);
  struct stat out, in;

  if (stat (path, &out) < 0 || !S_ISREG (out.st_mode) || stat (input, &in) < 0)
    return TRUE;
  if (is_same (&out, &in)) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "'%s' is '%s' itself, which would be overwritten; choose another file",
        shown, shown_input);
    return FALSE;
  }
  if (S_ISDIR (in.st_mode) && is_in_folder (path, &in)) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "'%s' is a file in the folder '%s' and would be overwritten; choose another file, or remove it first",
        shown, shown_input);
    return FALSE;
  }
  return TRUE;
}
