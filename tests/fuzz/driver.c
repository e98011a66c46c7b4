/* Runs a fuzz target without a fuzzer: on made-up inputs from a fixed seed, and
 * on files. This is how the suite runs every target, in any build, sanitizers'
 * too; a fuzzer's own main takes this one's place where coverage leads it.
 *
 * usage: PROGRAM [--seed N] [--runs N] [--seconds N] [--size N] [-m quick]
 *                [FILE...]
 *
 * An input is bytes at random, or one of the files or of the last inputs with
 * some bytes changed. With --runs 0 each file is run as it is, once. The run
 * that fails is told on stderr, and its input is left in a file, if it dies by
 * a signal. Speaks TAP.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N_KEPT 64
#define RUN_TIMEOUT 300 /* s; a hang, even under a sanitizer */

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static int seed = 1, n_runs = 100, max_seconds = 0, max_size = 512;
static GPtrArray *inputs; /* of GBytes: files, then the last inputs */
static guint n_files;

static const guint8 *current;
static gsize current_size;
static guint64 n_done;
static char crash_name[64];

/* Async-signal-safe. */
static void
on_death (int number)
{
  static const char text[] = "\nthis input did it: ";
  const int fd = open (crash_name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

  if (fd >= 0 && write (fd, current, current_size) == (gssize) current_size &&
      write (STDERR_FILENO, text, sizeof text - 1) > 0 &&
      write (STDERR_FILENO, crash_name, strlen (crash_name)) > 0 &&
      write (STDERR_FILENO, "\n", 1) > 0)
    close (fd);
  signal (number, SIG_DFL);
  raise (number);
}

static void
run (const guint8 *data, gsize size)
{
  /* At the end of a page of its own, as sanitizers like it. */
  g_autofree guint8 *copy = g_memdup2 (data, size);

  current = copy;
  current_size = size;
  alarm (RUN_TIMEOUT);
  LLVMFuzzerTestOneInput (copy, size);
  alarm (0);
  n_done++;
}

/* One number often is a length or a choice: small, or the edge of a type. */
static guint8
random_byte (GRand *rand)
{
  static const guint8 edges[] = {0, 1, 2, 0x7f, 0x80, 0xfe, 0xff};

  if (g_rand_int_range (rand, 0, 4) == 0)
    return edges[g_rand_int_range (rand, 0, G_N_ELEMENTS (edges))];
  return (guint8) g_rand_int (rand);
}

static GBytes *
make_up (GRand *rand)
{
  const gsize size = (gsize) g_rand_int_range (rand, 0, max_size + 1);
  guint8 *data = g_malloc (size + 1);

  for (gsize i = 0; i < size; i++)
    data[i] = random_byte (rand);
  return g_bytes_new_take (data, size);
}

static GBytes *
change (GRand *rand, GBytes *input)
{
  gsize size;
  const guint8 *from = g_bytes_get_data (input, &size);
  guint8 *data = g_malloc (size + 1);
  const guint n_changes = (guint) g_rand_int_range (rand, 1, 9);

  if (size)
    memcpy (data, from, size);
  for (guint i = 0; i < n_changes && size; i++)
    data[g_rand_int_range (rand, 0, (gint32) MIN (size, G_MAXINT32))] =
        random_byte (rand);
  if (size && g_rand_int_range (rand, 0, 8) == 0)
    size = (gsize) g_rand_int_range (rand, 0, (gint32) MIN (size, G_MAXINT32));
  return g_bytes_new_take (data, size);
}

static void
keep (GRand *rand, GBytes *input)
{
  if (inputs->len < n_files + N_KEPT)
    g_ptr_array_add (inputs, input);
  else {
    GBytes **slot = (GBytes **) &g_ptr_array_index (
        inputs, n_files + g_rand_int_range (rand, 0, N_KEPT));

    g_bytes_unref (*slot);
    *slot = input;
  }
}

static void
run_random (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed ((guint32) seed);
  const gint64 end = g_get_monotonic_time () + max_seconds * G_USEC_PER_SEC;

  for (int i = 0; i < n_runs; i++) {
    GBytes *input;

    if (max_seconds && g_get_monotonic_time () > end)
      break;
    if (inputs->len && g_rand_boolean (rand))
      input = change (rand,
          g_ptr_array_index (inputs, g_rand_int_range (rand, 0, inputs->len)));
    else
      input = make_up (rand);
    run (g_bytes_get_data (input, NULL), g_bytes_get_size (input));
    keep (rand, input);
  }
}

static void
read_files (char **names)
{
  for (; names && *names; names++) {
    g_autoptr (GError) error = NULL;
    char *data;
    gsize size;

    if (!g_file_get_contents (*names, &data, &size, &error))
      g_error ("%s", error->message);
    g_ptr_array_add (inputs, g_bytes_new_take (data, size));
    n_files++;
  }
}

int
main (int argc, char **argv)
{
  g_auto (GStrv) names = NULL;
  g_autofree char *mode = NULL;
  const GOptionEntry options[] = {
      {"seed", 0, 0, G_OPTION_ARG_INT, &seed, NULL, "N"},
      {"runs", 0, 0, G_OPTION_ARG_INT, &n_runs, NULL, "N"},
      {"seconds", 0, 0, G_OPTION_ARG_INT, &max_seconds, "and no longer", "N"},
      {"mode", 'm', 0, G_OPTION_ARG_STRING, &mode,
          "quick: a quarter of the runs, as under sanitizers", "MODE"},
      {"size", 0, 0, G_OPTION_ARG_INT, &max_size, "most bytes made up", "N"},
      {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &names, NULL,
          "FILE…"},
      G_OPTION_ENTRY_NULL,
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *name = g_path_get_basename (argv[0]);

  g_option_context_add_main_entries (context, options, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    g_printerr ("%s\n", error->message);
    return 2;
  }
  if (g_strcmp0 (mode, "quick") == 0)
    n_runs = (n_runs + 3) / 4;
  inputs = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  read_files (names);
  g_snprintf (crash_name, sizeof crash_name, "%s.crash", name);
  signal (SIGABRT, on_death);
  signal (SIGALRM, on_death);
  signal (SIGTRAP, on_death); /* g_error() */

  for (guint i = 0; i < n_files; i++) {
    GBytes *file = g_ptr_array_index (inputs, i);

    run (g_bytes_get_data (file, NULL), g_bytes_get_size (file));
  }
  run_random ();
  g_print ("1..1\nok 1 %s: %" G_GUINT64_FORMAT " inputs\n", name, n_done);
  g_ptr_array_unref (inputs);
  return 0;
}
