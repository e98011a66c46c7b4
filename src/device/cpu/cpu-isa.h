/* Which instructions oneDNN may use.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* To be called before anything else of oneDNN's. It takes a CPU that has AVX2
 * for one that has FMA and F16C as well, which is not so where a virtual
 * machine masks them; there it is kept from all three. Returns %FALSE with
 * @error set (UNSUPPORTED) where it cannot be. */
gboolean cpu_isa_limit (GError **error);

G_END_DECLS
