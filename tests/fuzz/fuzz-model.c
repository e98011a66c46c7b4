/* The content of model files, byte by byte: what opens can be read.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "read-model.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static (data, size);

  read_model_bytes (bytes);
  return 0;
}
