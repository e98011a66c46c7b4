/* Model files that a tape of decisions makes: what opens can be read.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "make-model.h"
#include "read-model.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
  gsize file_size;
  const guint8 *file = make_model (data, size, &file_size);
  g_autoptr (GBytes) bytes = g_bytes_new_static (file, file_size);

  read_model_bytes (bytes);
  return 0;
}
