/* The designs of kernels/aie2 in the array's model: every one gives what its
 * operation is, launch after launch, whatever the order of tiles; and a design
 * that is broken is caught, with the place where it is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>
#include <string.h>

#include "design.h"
#include "test-data.h"

/* Orders of tiles that a test tries. */
static guint
n_seeds (guint n)
{
  return g_test_slow () ? n : 1;
}

static void
test_design (gconstpointer data)
{
  const DesignKind *kind = data;
  const gboolean is_long = g_str_equal (kind->op, "attention");
  g_autoptr (Design) design = design_new (kind);
  g_autofree char *first = NULL;

  if (!design)
    return;
  if (is_long && !g_test_slow ()) {
    g_test_skip ("attention takes -m slow");
    return;
  }
  for (guint seed = 0; seed < n_seeds (is_long ? 2 : 3); seed++) {
    g_autofree char *why = NULL;
    Array *array = design_open (design, seed, NULL, &why);

    g_assert_cmpstr (why, ==, NULL);
    for (guint launch = 0; launch < n_seeds (is_long && seed ? 1 : 2);
         launch++) {
      const guint last = design->n_arguments - 1;
      gint64 start = g_get_monotonic_time ();

      design_fill (design, launch);
      if (!design_run (design, array))
        g_error ("%s, seed %u: %s", kind->name, seed, array_error (array));
      g_test_message ("%s, seed %u: %.2f s", kind->name, seed,
          (double) (g_get_monotonic_time () - start) / 1e6);
      if (launch)
        continue;
      if (!seed) {
        const double error = design_error (design);

        first = g_memdup2 (design->data[last], design->sizes[last]);
        g_test_message ("error %.3f of what is allowed", error);
        g_assert_cmpfloat (error, <, 1);
      }
      g_assert_cmpmem (
          design->data[last], design->sizes[last], first, design->sizes[last]);
    }
    array_free (array);
  }
}

/* --- broken designs */

#define AT(column, row, offset) ((column) << 25 | (row) << 20 | (offset))
#define ALL 0xffffffffu

typedef struct {
  const char *name;
  DesignChange change;
  const char *parts[3]; /* of what is said */
} Mutation;

/* Of gelu_n1536, in column 1. Its memory tile has x in locks 8 and 9 and
 * descriptors 0 (and 32) for the first core; that core has x in locks 0 and 1
 * and descriptors 0 and 1, y in 2 and 3. */
static const Mutation mutations[] = {
    {"memory-lock-taken", {AT (1, 1, 0xc0080), ALL, 0},
        {"deadlock", "memory tile (1,1)", "lock 8"}},
    {"core-lock-given", {AT (1, 2, 0x1f010), ALL, 1},
        {"core (1,2): reads word", "before it was written", "S2MM 0"}},
    {"core-lock-sent", {AT (1, 2, 0x1f030), ALL, 1},
        {"MM2S 0 of core (1,2), descriptor 2", "before it was written"}},
    {"memory-stride", {AT (1, 1, 0xa0108), ALL, 127},
        {"memory tile (1,1), descriptor 8", "before it was written"}},
    {"memory-base", {AT (1, 1, 0xa0104), 0x7ffff, 0x3fff0},
        {"memory tile (1,1), descriptor 8", "is outside of the memory"}},
    {"core-base", {AT (1, 2, 0x1d000), ALL, 0xffffc800},
        {"core (1,2)", "descriptor 0"}},
    {"core-route", {AT (1, 2, 0x3f004), ALL, 0x80000007},
        {"goes nowhere", "core (1,2)", "MM2S 0 of memory tile (1,1)"}},
    {"shim-route", {AT (1, 0, 0x3f034), ALL, 0},
        {"goes nowhere", "shim (1,0)"}},
    {"memory-length", {AT (1, 1, 0xa0100), ALL, 0x700}, {"(1,"}},
    {"core-no-release", {AT (1, 2, 0x1d014), 0x7f << 18, 0},
        {"core (1,2)", "descriptor 0", "has no locks"}},
    {"memory-no-release", {AT (1, 1, 0xa011c), 0x7f << 24, 0},
        {"deadlock", "memory tile (1,1)"}},
    {"core-misaligned", {AT (1, 2, 0x1d000), 0x3fff << 14, 0x2001 << 14},
        {"core (1,2)", "descriptor 0", "misaligned"}},
    {"descriptor-invalid", {AT (1, 2, 0x1d034), 1 << 25, 0},
        {"descriptor 1 of core (1,2)", "not valid"}},
};

static void
check_said (const char *said, const char *const *parts, guint n)
{
  g_test_message ("%s", said);
  for (guint i = 0; i < n && parts[i]; i++)
    if (!strstr (said, parts[i]))
      g_error ("'%s' is not in: %s", parts[i], said);
}

static void
test_mutation (gconstpointer data)
{
  const Mutation *mutation = data;
  g_autoptr (Design) design = design_new (&design_kinds[0]);

  if (!design)
    return;
  for (guint seed = 0; seed < n_seeds (3); seed++) {
    g_autofree char *why = NULL;
    Array *array = design_open (design, seed, &mutation->change, &why);

    design_fill (design, seed);
    g_assert_false (array && design_run (design, array));
    check_said (array ? array_error (array) : why, mutation->parts, 3);
    array_free (array);
  }
}

/* --- broken streams */

#define BLOCK 1
#define PATCH 0x81
#define WAIT 0x80

/* The @nth operation of that kind: its words. */
static guint32 *
find_operation (Design *design, guint32 kind, guint nth)
{
  for (gsize at = 4; at < design->n_words;) {
    guint32 *words = design->words + at;
    const guint32 sizes[] = {6, words[3] / 4, 0, 7};

    if ((words[0] & 0xff) == kind && !nth--)
      return words;
    at += words[0] & 0x80 ? words[1] / 4 : sizes[words[0] & 3];
  }
  g_assert_not_reached ();
}

static void
patch_misaligned (Design *design)
{
  find_operation (design, PATCH, 0)[10] += 2;
}

static void
patch_nowhere (Design *design)
{
  find_operation (design, PATCH, 0)[8] = 3;
}

/* Lengths of the shims' descriptors: two a column, y's and x's. */
static void
output_too_long (Design *design)
{
  find_operation (design, BLOCK, 6)[4] += 64;
}

static void
input_too_long (Design *design)
{
  find_operation (design, BLOCK, 1)[4] += 16;
}

static void
input_has_more (Design *design)
{
  find_operation (design, BLOCK, 1)[4] += 4 * 2048; /* an object a core */
}

static void
argument_too_short (Design *design)
{
  design->sizes[0] -= 64;
}

static void
cut_off (Design *design)
{
  design->words[3] = (guint32) (design->n_words -= 3) * 4;
}

/* The write of a register that starts its task, once more. */
static void
output_twice (Design *design)
{
  gsize at = 4;

  while (design->words[at] & 0xff) /* up to the first write */
    at += design->words[at] & 0x80              ? design->words[at + 1] / 4
          : (design->words[at] & 0xff) == BLOCK ? design->words[at + 3] / 4
                                                : 7;
  for (guint i = 0; i < 5; i++) {
    design->words = g_renew (guint32, design->words, design->n_words + 6);
    memmove (
        design->words + at + 6, design->words + at, (design->n_words - at) * 4);
    design->n_words += 6;
    design->words[2]++;
    design->words[3] += 24;
  }
}

static void
no_wait (Design *design)
{
  design->words[2]--;
  design->words[3] -= 16;
  design->n_words -= 4;
}

typedef struct {
  const char *name;
  void (*spoil) (Design *design);
  const char *parts[3];
} Spoilt;

static const Spoilt streams[] = {
    {"misaligned", patch_misaligned,
        {"argument 1", "shim (0,0)", "misaligned"}},
    {"no-argument", patch_nowhere, {"argument 3", "there is no such"}},
    {"output-too-long", output_too_long, {"deadlock", "S2MM 0 of shim (3,0)"}},
    {"input-too-long", input_too_long,
        {"S2MM 0 of memory tile (0,1)", "the rest never came"}},
    {"input-has-more", input_has_more,
        {"S2MM 0 of shim (0,0)", "words are left in its stream",
            "it has no task"}},
    {"argument-too-short", argument_too_short,
        {"MM2S 0 of shim (3,0)", "is outside of argument 0"}},
    {"cut-off", cut_off, {"operation 31 of the stream is cut off"}},
    {"queue", output_twice, {"S2MM 0 of shim (0,0)", "its queue of 4 is full"}},
    {"no-wait", no_wait, {"S2MM 0 of shim (3,0)", "tokens are left"}},
};

static void
test_stream (gconstpointer data)
{
  const Spoilt *spoilt = data;

  for (guint seed = 0; seed < n_seeds (3); seed++) {
    g_autoptr (Design) design = design_new (&design_kinds[0]);
    g_autofree char *why = NULL;
    Array *array;

    if (!design)
      return;
    array = design_open (design, seed, NULL, &why);
    g_assert_nonnull (array);
    design_fill (design, seed);
    spoilt->spoil (design);
    g_assert_false (design_run (design, array));
    check_said (array_error (array), spoilt->parts, 3);
    array_free (array);
  }
}

/* --- broken configurations */

static void
test_configuration (void)
{
  g_autoptr (Design) design = design_new (&design_kinds[0]);
  const gsize step = g_test_slow () ? 331 : 3331;
  const guint8 *init;
  gsize size;

  if (!design)
    return;
  init = g_bytes_get_data (design->init, &size);
  for (gsize n = 0; n < size; n += n < 64 ? 1 : step) {
    Array *array = array_new (4, 0);
    g_autofree guint8 *cut = g_memdup2 (init, n);

    g_assert_true (array_add_program (array, "gelu", NULL));
    g_assert_false (array_configure (array, cut, n));
    g_assert_cmpstr (array_error (array), !=, "");
    array_free (array);
  }
}

/* Words of configuration and stream at random: whatever they say, it ends. */
static void
test_hostile (void)
{
  const guint n_rounds = g_test_slow () ? 60 : 15;
  g_autoptr (Design) design = design_new (&design_kinds[0]);
  guint n_caught = 0;

  if (!design)
    return;
  design_fill (design, 1);
  for (guint i = 0; i < n_rounds; i++) {
    const gsize n = g_bytes_get_size (design->init) / 4;
    GBytes *good = g_steal_pointer (&design->init);
    guint32 *words = g_memdup2 (g_bytes_get_data (good, NULL), n * 4);
    g_autofree guint32 *stream = g_memdup2 (design->words, design->n_words * 4);
    g_autofree char *why = NULL;
    Array *array;

    for (guint j = 0; j < 4; j++) {
      const guint32 bits = 1u << g_test_rand_int_range (0, 31);

      words[g_test_rand_int_range (5, (gint32) n)] ^= bits;
      if (i % 2)
        design->words[g_test_rand_int_range (4, (gint32) design->n_words)] ^=
            bits;
    }
    design->init = g_bytes_new_take (words, n * 4);
    array = design_open (design, i, NULL, &why);
    n_caught += !array || !design_run (design, array);
    array_free (array);
    g_bytes_unref (design->init);
    design->init = good;
    memcpy (design->words, stream, design->n_words * 4);
  }
  g_test_message ("%u of %u are caught", n_caught, n_rounds);
  g_assert_cmpuint (n_caught, >, n_rounds / 3);
}

static void
test_program (void)
{
  static const char *const lines[][2] = {
      {"", "no program is named"},
      {"softmax", "no program 'softmax'"},
      {"layernorm n=384", "lacks its parameter 'objects'"},
      {"layernorm n=384 objects=x", "'objects' cannot be 'x'"},
      {"layernorm n", "no NAME=NUMBER"},
      {"gelu n=1", "no parameter 'n'"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
    Array *array = array_new (1, 0);

    g_assert_false (array_add_program (array, lines[i][0], NULL));
    check_said (array_error (array), &lines[i][1], 1);
    array_free (array);
  }
}

/* --- several designs in one configuration of the array */

/* gelu, layernorm, attention: of tiny. */
static const guint tiny[] = {0, 3, 6};
#define N_TINY G_N_ELEMENTS (tiny)

/* The streams that bring their configuration, in a folder. */
static char *
make_streams (void)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;
  g_autofree char *said = NULL;
  char *folder = g_dir_make_tmp ("npuenc-array-XXXXXX", &error);
  int status;

  g_assert_no_error (error);
  g_ptr_array_add (argv, g_strdup (g_getenv ("NPUENC_COMBINE")));
  g_ptr_array_add (argv, g_strdup ("--numbers"));
  g_ptr_array_add (argv, g_strdup ("--out"));
  g_ptr_array_add (argv, g_strdup (folder));
  for (guint i = 0; i < N_TINY; i++) {
    g_autofree char *name = g_strdup_printf (
        "npu-designs/%s/instructions.bin", design_kinds[tiny[i]].name);
    g_autofree char *path = test_data_path (name);

    g_ptr_array_add (argv, g_path_get_dirname (path));
  }
  g_ptr_array_add (argv, NULL);
  g_spawn_sync (NULL, (char **) argv->pdata, NULL, 0, NULL, NULL, &said, NULL,
      &status, &error);
  g_assert_no_error (error);
  g_assert_cmpint (status, ==, 0);
  g_test_message ("%s", said);
  return folder;
}

static void
remove_streams (char *folder)
{
  for (guint i = 0; i < N_TINY; i++) {
    g_autofree char *path =
        g_strdup_printf ("%s/%s.bin", folder, design_kinds[tiny[i]].name);

    g_remove (path);
  }
  g_rmdir (folder);
  g_free (folder);
}

/* Its stream is that of the folder. */
static Design *
with_stream (guint which, const char *folder)
{
  Design *design = design_new (&design_kinds[tiny[which]]);
  g_autofree char *path =
      g_strdup_printf ("%s/%s.bin", folder, design->kind->name);
  g_autoptr (GError) error = NULL;
  char *content;
  gsize size;

  g_file_get_contents (path, &content, &size, &error);
  g_assert_no_error (error);
  g_free (design->words);
  design->words = (guint32 *) (gpointer) content;
  design->n_words = size / 4;
  return design;
}

/* The array with the first design's configuration and the programs of all. */
static Array *
open_combined (Design *const *designs, guint64 seed)
{
  Array *array = array_new (4, seed);

  for (guint i = 0; i < N_TINY; i++) {
    g_autofree char *line = design_program (designs[i]);

    g_assert_true (array_add_program (array, line, NULL));
  }
  g_assert_true (
      array_configure (array, g_bytes_get_data (designs[0]->init, NULL),
          g_bytes_get_size (designs[0]->init)));
  g_assert_true (
      array_configure (array, g_bytes_get_data (designs[0]->enable, NULL),
          g_bytes_get_size (designs[0]->enable)));
  return array;
}

/* One configuration, a stream for each program, in any order: each launch gives
 * what its operation is, and leaves nothing behind for another. */
static void
test_combined (void)
{
  static const guint order[] = {1, 0, 0, 2, 1, 0};
  g_autoptr (Design) have = design_new (&design_kinds[0]);
  Design *designs[N_TINY];
  char *folder;

  if (!have)
    return;
  folder = make_streams ();
  for (guint i = 0; i < N_TINY; i++)
    designs[i] = with_stream (i, folder);
  for (guint seed = 0; seed < n_seeds (2); seed++) {
    Array *array = open_combined (designs, seed);

    for (guint i = 0; i < G_N_ELEMENTS (order); i++) {
      Design *design = designs[order[i]];

      if (order[i] == 2 && (!g_test_slow () || seed))
        continue; /* attention takes a while */
      design_fill (design, i);
      if (!design_run (design, array))
        g_error (
            "%s, launch %u: %s", design->kind->name, i, array_error (array));
      g_assert_cmpfloat (design_error (design), <, 1);
    }
    array_free (array);
  }
  for (guint i = 0; i < N_TINY; i++)
    design_free (designs[i]);
  remove_streams (folder);
}

/* Without its configuration, a stream on another design's is caught. */
static void
test_not_combined (void)
{
  g_autoptr (Design) gelu = design_new (&design_kinds[0]);
  g_autoptr (Design) norm = design_new (&design_kinds[3]);
  g_autofree char *why = NULL;
  Array *array;

  if (!gelu)
    return;
  array = design_open (gelu, 0, NULL, &why);
  design_fill (norm, 1);
  g_assert_false (design_run (norm, array));
  g_test_message ("%s", array_error (array));
  array_free (array);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < design_n_kinds; i++) {
    g_autofree char *path =
        g_strdup_printf ("/array/design/%s", design_kinds[i].name);

    g_test_add_data_func (path, &design_kinds[i], test_design);
  }
  for (guint i = 0; i < G_N_ELEMENTS (mutations); i++) {
    g_autofree char *path =
        g_strdup_printf ("/array/mutation/%s", mutations[i].name);

    g_test_add_data_func (path, &mutations[i], test_mutation);
  }
  for (guint i = 0; i < G_N_ELEMENTS (streams); i++) {
    g_autofree char *path =
        g_strdup_printf ("/array/stream/%s", streams[i].name);

    g_test_add_data_func (path, &streams[i], test_stream);
  }
  g_test_add_func ("/array/configuration", test_configuration);
  g_test_add_func ("/array/hostile", test_hostile);
  g_test_add_func ("/array/program", test_program);
  g_test_add_func ("/array/combined", test_combined);
  g_test_add_func ("/array/not-combined", test_not_combined);
  return g_test_run ();
}
