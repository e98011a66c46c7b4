/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-error.h"

/* clang-format takes the quark's name for a subtraction. */
/* clang-format off */
G_DEFINE_QUARK (npu-error-quark, npu_error)
/* clang-format on */

void
npu_error_make_valid (GError **error)
{
  if (error && *error && !g_utf8_validate ((*error)->message, -1, NULL)) {
    char *valid = g_utf8_make_valid ((*error)->message, -1);

    g_free ((*error)->message);
    (*error)->message = valid;
  }
}
