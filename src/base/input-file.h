/* Small files, read whole: vocabularies, descriptions, instructions.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * npu_input_file_read:
 * @max_size: bytes that it may have
 * @content: (out): its bytes and a zero behind them
 *
 * As g_file_get_contents(), but never waits: a FIFO, a device and a folder are
 * refused, and no more memory is taken than the file has bytes.
 *
 * Returns: %FALSE with @error set, of %G_FILE_ERROR: NOENT, INVAL where it is
 * no regular file or has more bytes, IO where it became shorter meanwhile, ...
 */
gboolean npu_input_file_read (const char *path, gsize max_size, char **content,
    gsize *size, GError **error);

G_END_DECLS
