/* Memory of packed weights: pieces of blocks.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/cpu/cpu-weights.h"

#define MIB ((gsize) 1 << 20)
#define N_PIECES 18

/* Of smaller and larger ones than a block is. */
static gsize
size_of (guint i)
{
  static const gsize sizes[] = {
      0, 1, 64, 1000, 300000, MIB, 3 * MIB + 64, 4 * MIB, 33 * MIB};

  return sizes[i % G_N_ELEMENTS (sizes)];
}

static void
fill (CpuWeights *piece, guint i)
{
  g_assert_true (cpu_weights_init (piece, size_of (i)));
  g_assert_cmpuint (piece->size, ==, size_of (i));
  g_assert_cmpuint (GPOINTER_TO_SIZE (piece->data) % 64, ==, 0);
  memset (piece->data, (int) i + 1, piece->size);
}

static void
check (const CpuWeights *piece, guint i)
{
  for (gsize j = 0; j < piece->size; j++)
    g_assert_cmpuint (piece->data[j], ==, i + 1);
}

/* Pieces come and go in another order, and keep what is theirs. */
static void
test_pieces (void)
{
  CpuWeights pieces[N_PIECES];

  for (guint i = 0; i < N_PIECES; i++)
    fill (&pieces[i], i);
  for (guint i = 0; i < N_PIECES; i += 2) {
    cpu_weights_clear (&pieces[i]);
    g_assert_null (pieces[i].data);
  }
  for (guint i = 1; i < N_PIECES; i += 2)
    check (&pieces[i], i);
  for (guint i = 0; i < N_PIECES; i += 4)
    fill (&pieces[i], i);
  for (guint i = 0; i < N_PIECES; i++) {
    if (pieces[i].data)
      check (&pieces[i], i);
    cpu_weights_clear (&pieces[i]);
  }
}

static guint
count_resident (const guint8 *from, gsize size)
{
  const gsize page = (gsize) sysconf (_SC_PAGESIZE);
  const gsize n = size / page - 1;
  const gsize begin = (GPOINTER_TO_SIZE (from) + page - 1) / page * page;
  g_autofree guchar *in = g_malloc0 (n);
  guint count = 0;

  g_assert_cmpint (mincore (GSIZE_TO_POINTER (begin), n * page, in), ==, 0);
  for (gsize i = 0; i < n; i++)
    count += in[i] & 1;
  return count;
}

/* What is cleared does not stay in the process while others of its block do. */
static void
test_given_back (void)
{
  CpuWeights kept, other;
  const guint8 *was;

  fill (&kept, 5);
  fill (&other, 6);
  if (!kept.block || kept.block != other.block) {
    g_test_skip ("each piece is a block of its own under AddressSanitizer");
  } else {
    was = other.data;
    g_assert_cmpuint (count_resident (was, size_of (6)), >, 0);
    cpu_weights_clear (&other);
    g_assert_cmpuint (count_resident (was, size_of (6)), ==, 0);
    check (&kept, 5);
  }
  cpu_weights_clear (&other);
  cpu_weights_clear (&kept);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cpu-weights/pieces", test_pieces);
  g_test_add_func ("/cpu-weights/given-back", test_given_back);
  return g_test_run ();
}
