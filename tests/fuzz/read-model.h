/* Reads all of a model, as its users do.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "model/npu-model.h"

G_BEGIN_DECLS

/* Opens @bytes; what opens can be read, or says what is wrong with it. Aborts
 * where a weight is not finite or an error is no text. */
void read_model_bytes (GBytes *bytes);

G_END_DECLS
