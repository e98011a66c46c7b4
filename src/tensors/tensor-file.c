/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tensor-file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct _NpuTensorFile {
  char *path, *name;
  int fd;        /* or -1 */
  GBytes *bytes; /* where there is no fd */
  NpuFileId id;
};

static void
set_id (NpuFileId *id, const struct stat *status)
{
  *id = (NpuFileId){
      .device = status->st_dev,
      .inode = status->st_ino,
      .size = (guint64) status->st_size,
      .mtime_ns =
          (gint64) status->st_mtim.tv_sec * G_GINT64_CONSTANT (1000000000) +
          status->st_mtim.tv_nsec,
  };
}

static gboolean
id_is (const NpuFileId *id, const struct stat *status)
{
  NpuFileId other;

  set_id (&other, status);
  return id->device == other.device && id->inode == other.inode &&
         id->size == other.size && id->mtime_ns == other.mtime_ns;
}

static gboolean
fail_open (const char *name, int code, GError **error)
{
  if (code == ENOENT || code == ENOTDIR)
    return npu_file_fail (error, NPU_ERROR_NOT_FOUND, name, NULL, NPU_NO_OFFSET,
        "there is no such file; check the path of the model");
  return npu_file_fail (error, NPU_ERROR_OPEN, name, NULL, NPU_NO_OFFSET,
      "the model cannot be opened: %s; check its permissions and those of its folders",
      g_strerror (code));
}

NpuTensorFile *
npu_tensor_file_open (const char *path, GError **error)
{
  g_autoptr (NpuTensorFile) file = g_new0 (NpuTensorFile, 1);
  struct stat status;

  file->path = g_strdup (path);
  file->name = *path ? g_filename_display_name (path) : g_strdup ("(no path)");
  file->fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file->fd < 0) {
    fail_open (file->name, errno, error);
    return NULL;
  }
  if (fstat (file->fd, &status) != 0 || !S_ISREG (status.st_mode)) {
    npu_file_fail (error, NPU_ERROR_OPEN, file->name, NULL, NPU_NO_OFFSET,
        "this is not a regular file; give the path of the model's file itself");
    return NULL;
  }
  set_id (&file->id, &status);
  return g_steal_pointer (&file);
}

NpuTensorFile *
npu_tensor_file_new_for_bytes (GBytes *bytes, const char *name)
{
  NpuTensorFile *file = g_new0 (NpuTensorFile, 1);

  file->name = g_strdup (name);
  file->fd = -1;
  file->bytes = g_bytes_ref (bytes);
  file->id.size = g_bytes_get_size (bytes);
  return file;
}

void
npu_tensor_file_free (NpuTensorFile *file)
{
  if (!file)
    return;
  if (file->fd >= 0)
    close (file->fd);
  g_clear_pointer (&file->bytes, g_bytes_unref);
  g_free (file->path);
  g_free (file->name);
  g_free (file);
}

const char *
npu_tensor_file_get_name (const NpuTensorFile *file)
{
  return file->name;
}

guint64
npu_tensor_file_get_size (const NpuTensorFile *file)
{
  return file->id.size;
}

gboolean
npu_tensor_file_is_current (const NpuTensorFile *file)
{
  struct stat status;

  return file->path && stat (file->path, &status) == 0 &&
         id_is (&file->id, &status);
}

char *
npu_tensor_file_get_identity (const NpuTensorFile *file)
{
  const NpuFileId *id = &file->id;

  if (file->fd < 0)
    return NULL;
  return g_strdup_printf ("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT
                          ":%" G_GUINT64_FORMAT ":%" G_GINT64_FORMAT,
      id->device, id->inode, id->size, id->mtime_ns);
}

/* --- reading -------------------------------------------------------------- */

static gboolean
fail_changed (const NpuTensorFile *file, guint64 offset, const char *tensor,
    GError **error)
{
  return npu_file_fail (error, NPU_ERROR_READ, file->name, tensor, offset,
      "the file was shortened or written to since it was opened; give the model a file that stays as it is, and replace it by renaming another to its name");
}

/* After the bytes were read: what was written before that is seen. */
static gboolean
check_unchanged (const NpuTensorFile *file, guint64 offset, const char *tensor,
    GError **error)
{
  struct stat status;

  if (fstat (file->fd, &status) == 0 && id_is (&file->id, &status))
    return TRUE;
  return fail_changed (file, offset, tensor, error);
}

gboolean
npu_tensor_file_read (const NpuTensorFile *file, guint64 offset, gsize size,
    gpointer out, const char *tensor, GError **error)
{
  gsize done = 0;

  g_return_val_if_fail (
      offset <= file->id.size && size <= file->id.size - offset, FALSE);
  if (size == 0)
    return TRUE;
  if (file->bytes) {
    const guint8 *data = g_bytes_get_data (file->bytes, NULL);

    memcpy (out, data + offset, size);
    return TRUE;
  }

  while (done < size) {
    const gssize n = pread (
        file->fd, (guint8 *) out + done, size - done, (off_t) (offset + done));

    if (n > 0)
      done += (gsize) n;
    else if (n == 0)
      return fail_changed (file, offset + done, tensor, error);
    else if (errno != EINTR && errno != EAGAIN)
      return npu_file_fail (error, NPU_ERROR_READ, file->name, tensor,
          offset + done, "the model cannot be read: %s", g_strerror (errno));
  }
  return check_unchanged (file, offset, tensor, error);
}
