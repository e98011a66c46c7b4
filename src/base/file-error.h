/* Errors that say where in a file something is wrong, and names of files and
 * of what is in them as messages may have them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-error.h"

G_BEGIN_DECLS

#define NPU_NO_OFFSET G_MAXUINT64

/* Sets @error to "FILE: tensor 'NAME' at byte OFFSET: MESSAGE"; @tensor may be
 * NULL and @offset NPU_NO_OFFSET. What is not UTF-8 in the names is replaced.
 * Always FALSE, to be returned. */
gboolean npu_file_fail (GError **error, NpuError code, const char *file,
    const char *tensor, guint64 offset, const char *format, ...)
    G_GNUC_PRINTF (6, 7);

G_END_DECLS
