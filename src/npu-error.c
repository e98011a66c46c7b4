/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-error.h"

G_DEFINE_QUARK (npu-error-quark, npu_error)
