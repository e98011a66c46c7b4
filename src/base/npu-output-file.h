/* A file that we write for somebody: whole or not at all.
 *
 * It is written under another name beside its place and renamed at the end, so
 * that no half of it is ever seen, and what was there before stays until then.
 * What is there and is no regular file, such as a FIFO or a device, is not
 * replaced but written to; a FIFO that nobody reads is refused at once. Writing
 * never ends the process by SIGXFSZ (RLIMIT_FSIZE) or SIGPIPE: it fails.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _NpuOutputFile NpuOutputFile;

/* Returns: (transfer full): a file, or %NULL with @error set (OPEN). */
NpuOutputFile *npu_output_file_open (const char *path, GError **error);

/* Returns %FALSE with @error set (FAILED) where not all could be written. */
gboolean npu_output_file_write (
    NpuOutputFile *file, const void *data, gsize size, GError **error);

/* Puts the file into its place, if nothing failed before, and frees @file.
 * Returns %FALSE with @error set (FAILED) where that was not possible: then
 * there is what was there before. */
gboolean npu_output_file_close (NpuOutputFile *file, GError **error);

/* Frees @file and leaves what was there before. */
void npu_output_file_abandon (NpuOutputFile *file);

/* All of it at once: @data[@size] to @path. */
gboolean npu_output_file_write_all (
    const char *path, const char *data, gsize size, GError **error);

/* Fails with SETTINGS where @path is the same file as @input, under whatever
 * name, or is a file in the folder @input: a model must not be replaced by what
 * is written about it. */
gboolean npu_output_file_differs (
    const char *path, const char *input, GError **error);

G_END_DECLS
