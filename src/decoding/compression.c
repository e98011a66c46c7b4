/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "compression.h"

#include <zlib.h>

float
npu_compression_ratio (const char *text, gsize n)
{
  uLongf size = compressBound (n);
  g_autofree Bytef *compressed = g_malloc (size);

  if (compress2 (compressed, &size, (const Bytef *) text, n, 6) != Z_OK)
    return 0; /* no memory: nothing is known of the text */
  return (float) n / (float) size;
}
