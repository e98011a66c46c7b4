/* The bytes of a model's file. They come by pread(): a file that is shortened
 * or written to gives an error, nothing stays mapped that others can cut.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "base/file-error.h"

G_BEGIN_DECLS

/* What makes a file the same file with the same content. */
typedef struct {
  guint64 device, inode, size;
  gint64 mtime_ns;
} NpuFileId;

typedef struct _NpuTensorFile NpuTensorFile;

/* Only a regular file opens: a FIFO would wait for a writer. NOT_FOUND or
 * OPEN. */
NpuTensorFile *npu_tensor_file_open (const char *path, GError **error);
/* @name is what messages call it. */
NpuTensorFile *npu_tensor_file_new_for_bytes (GBytes *bytes, const char *name);
void npu_tensor_file_free (NpuTensorFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuTensorFile, npu_tensor_file_free)

const char *npu_tensor_file_get_name (const NpuTensorFile *file); /* UTF-8 */
guint64 npu_tensor_file_get_size (const NpuTensorFile *file);
/* Whether its path still leads to this file with this content; FALSE for
 * bytes. */
gboolean npu_tensor_file_is_current (const NpuTensorFile *file);

/* What tells its content from any other's, as text; NULL for bytes. (transfer
 * full) */
char *npu_tensor_file_get_identity (const NpuTensorFile *file);

/* Reads bytes [offset, offset + size), which lie within its size; any thread.
 * @tensor, or NULL, is for messages. */
gboolean npu_tensor_file_read (const NpuTensorFile *file, guint64 offset,
    gsize size, gpointer out, const char *tensor, GError **error);

G_END_DECLS
