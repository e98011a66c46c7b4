/* Lines of the table that tells what is computed in what types.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Fails the test unless the line of @stages has these words: device, what is
 * read, weights, product, what is written. */
void describe_check_line (
    const char *table, const char *stages, const char *words);

G_END_DECLS
