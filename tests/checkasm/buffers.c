/* Buffers between guard pages, and random data.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "checkasm.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define POISON 0xff

struct _Guarded {
  guint8 *mapping;
  gsize mapping_size;
  guint8 *data;
  gsize size;
};

Guarded *
guarded_new (gsize size, GuardSide side)
{
  const gsize page = sysconf (_SC_PAGESIZE);
  const gsize inner = (size + page - 1) / page * page;
  Guarded *buffer = g_new (Guarded, 1);
  int forbidden;

  buffer->size = size;
  buffer->mapping_size = inner + 2 * page;
  buffer->mapping = mmap (NULL, buffer->mapping_size, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  g_assert_true (buffer->mapping != MAP_FAILED);
  forbidden = mprotect (buffer->mapping, page, PROT_NONE) |
              mprotect (buffer->mapping + page + inner, page, PROT_NONE);
  g_assert_cmpint (forbidden, ==, 0);

  buffer->data = buffer->mapping + page;
  if (side == GUARD_AFTER)
    buffer->data += inner - size;
  guarded_poison (buffer);
  return buffer;
}

void
guarded_free (Guarded *buffer)
{
  munmap (buffer->mapping, buffer->mapping_size);
  g_free (buffer);
}

gpointer
guarded_data (Guarded *buffer)
{
  return buffer->data;
}

void
guarded_poison (Guarded *buffer)
{
  memset (buffer->data, POISON, buffer->size);
}

void
guarded_check_gaps (Guarded *buffer, gsize stride, gsize row_size)
{
  for (gsize i = 0; i < buffer->size; i++)
    if (i % stride >= row_size && buffer->data[i] != POISON) {
      g_test_message ("row %" G_GSIZE_FORMAT ": byte %" G_GSIZE_FORMAT
                      " of %" G_GSIZE_FORMAT " was written",
          i / stride, i % stride, row_size);
      g_test_fail ();
      return;
    }
}

void
fill_normal (float *x, gsize n, double deviation)
{
  for (gsize i = 0; i < n; i++) {
    const double radius = sqrt (-2 * log (1 - g_test_rand_double ()));
    x[i] = deviation * radius * cos (2 * G_PI * g_test_rand_double ());
  }
}

Guarded *
guarded_normal (gsize n, double deviation, GuardSide side)
{
  Guarded *x = guarded_new (n * sizeof (float), side);

  fill_normal (guarded_data (x), n, deviation);
  return x;
}

void
fill_uniform (float *x, gsize n, double low, double high)
{
  for (gsize i = 0; i < n; i++)
    x[i] = g_test_rand_double_range (low, high);
}

float *
new_normal (gsize n, double deviation)
{
  float *x = g_new (float, n);

  fill_normal (x, n, deviation);
  return x;
}
