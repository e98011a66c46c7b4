/* Where it is quiet.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The stream's time, ns. */
typedef struct {
  guint64 start, end;
} NpuPause;

G_END_DECLS
