/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-error.h"

/* clang-format takes the quark's name for a subtraction. */
/* clang-format off */
G_DEFINE_QUARK (npu-error-quark, npu_error)
/* clang-format on */
