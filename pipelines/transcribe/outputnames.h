/* Where transcripts are written: DIR/NAME.FORMAT.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * output_names_new:
 * @files: (array zero-terminated): recordings
 *
 * A recording's name without its extension, in @folder, with @extension.
 * Where several would have the same, the later ones have -2, -3 and so on, and
 * none is one of @files.
 *
 * Returns: (transfer full): a path for each of @files
 */
GStrv output_names_new (
    const char *const *files, const char *folder, const char *extension);

G_END_DECLS
