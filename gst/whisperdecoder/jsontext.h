/* Parts of JSON (RFC 8259).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A string of valid UTF-8 in quotation marks; null for %NULL. */
void json_append_string (GString *json, const char *text);

/* "name": seconds, with all digits of the ns. */
void json_append_seconds (GString *json, const char *name, guint64 ns);

G_END_DECLS
