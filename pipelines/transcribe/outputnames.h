/* Where transcripts are written: DIR/NAME.FORMAT.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * output_names_list_kept:
 * @files: (array zero-terminated): recordings
 * @vocabulary: (nullable): where it is named
 *
 * What is read and must not be written over: the recordings, the model, its
 * vocabulary and what else a checkpoint has beside it.
 *
 * Returns: (transfer full): paths, some of which may not be there
 */
GStrv output_names_list_kept (
    const char *const *files, const char *model, const char *vocabulary);

/**
 * output_names_new:
 * @files: (array zero-terminated): recordings
 * @kept: (array zero-terminated): of output_names_list_kept()
 *
 * A recording's name without its extension, in @folder, with @extension.
 * Where several would have the same, the later ones have -2, -3 and so on, and
 * none is one of @kept.
 *
 * Returns: (transfer full): a path for each of @files
 */
GStrv output_names_new (const char *const *files, char *const *kept,
    const char *folder, const char *extension);

G_END_DECLS
