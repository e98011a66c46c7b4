/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "input-file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static gboolean
fail (int code, const char *what, GError **error)
{
  g_set_error_literal (error, G_FILE_ERROR, g_file_error_from_errno (code),
      what ? what : g_strerror (code));
  return FALSE;
}

static gboolean
read_all (int fd, char *bytes, gsize size, GError **error)
{
  for (gsize at = 0; at < size;) {
    const gssize got = read (fd, bytes + at, size - at);

    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return fail (errno, NULL, error);
    if (got == 0)
      return fail (EIO, "it became shorter while it was read", error);
    at += (gsize) got;
  }
  return TRUE;
}

static gboolean
read_regular (
    int fd, gsize max_size, char **content, gsize *size, GError **error)
{
  g_autofree char *bytes = NULL;
  struct stat status;

  if (fstat (fd, &status) != 0)
    return fail (errno, NULL, error);
  if (!S_ISREG (status.st_mode))
    return fail (EINVAL, "it is not a regular file", error);
  if ((guint64) status.st_size > max_size)
    return fail (EINVAL, "it is too large", error);
  *size = (gsize) status.st_size;
  bytes = g_malloc (*size + 1);
  bytes[*size] = '\0';
  if (!read_all (fd, bytes, *size, error))
    return FALSE;
  *content = g_steal_pointer (&bytes);
  return TRUE;
}

gboolean
npu_input_file_read (const char *path, gsize max_size, char **content,
    gsize *size, GError **error)
{
  /* Nonblocking: opening a FIFO would wait for a writer. */
  const int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  gboolean done;

  if (fd < 0)
    return fail (errno, NULL, error);
  done = read_regular (fd, max_size, content, size, error);
  close (fd);
  return done;
}
