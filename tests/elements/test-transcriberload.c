/* Whether the machine keeps up, on a virtual clock.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "nputranscriber/transcriberload.h"

#define STEP (500 * GST_MSECOND)

typedef struct {
  TranscriberLoad load;
  GstClockTime end, lag;
  guint64 busy;
} Rig;

/* @n windows that take @share of the stream's time each; the last change. */
static TranscriberLoadChange
run (Rig *rig, guint n, double share, GstClockTime lag)
{
  TranscriberLoadChange last = TRANSCRIBER_LOAD_SAME;

  for (guint i = 0; i < n; i++) {
    TranscriberLoadChange change;

    rig->end += STEP;
    rig->busy += (guint64) (share * STEP);
    change = transcriber_load_add (&rig->load, rig->end, rig->busy, lag);
    if (change != TRANSCRIBER_LOAD_SAME) {
      g_assert_cmpint (last, ==, TRANSCRIBER_LOAD_SAME); /* once */
      last = change;
    }
  }
  return last;
}

static void
test_steady (void)
{
  Rig rig = {0};

  g_assert_cmpint (run (&rig, 4, 0.5, 0), ==, TRANSCRIBER_LOAD_SAME);
  g_assert_cmpfloat (rig.load.load, ==, 0); /* not known yet */
  g_assert_cmpint (run (&rig, 1000, 0.5, 0), ==, TRANSCRIBER_LOAD_SAME);
  g_assert_cmpfloat_with_epsilon (rig.load.load, 0.5, 1e-6);
  g_assert_cmpuint (rig.load.step, ==, STEP);
}

/* Said once, and once that it is over; between the two limits nothing. */
static void
test_over_and_well (void)
{
  Rig rig = {0};

  run (&rig, 50, 0.2, 0);
  g_assert_cmpint (run (&rig, 50, 1.2, 0), ==, TRANSCRIBER_LOAD_OVER);
  g_assert_cmpfloat_with_epsilon (rig.load.load, 1.2, 1e-6);
  g_assert_cmpint (run (&rig, 50, 0.8, 0), ==, TRANSCRIBER_LOAD_SAME);
  g_assert_cmpint (run (&rig, 50, 0.6, 2 * GST_SECOND), ==,
      TRANSCRIBER_LOAD_SAME); /* still late */
  g_assert_cmpint (run (&rig, 50, 0.6, 0), ==, TRANSCRIBER_LOAD_WELL);
}

static void
test_lag_alone (void)
{
  Rig rig = {0};

  g_assert_cmpint (run (&rig, 1, 0, 4 * GST_SECOND), ==, TRANSCRIBER_LOAD_OVER);
  g_assert_cmpuint (rig.load.lag, ==, 4 * GST_SECOND);
}

/* Late before a load can be told: none is. Audio that was dropped is too slow,
 * and it is told when that is over. */
static void
test_before_it_is_known (void)
{
  Rig rig = {0};

  g_assert_false (rig.load.is_known);
  run (&rig, 1, 8, 4 * GST_SECOND);
  g_assert_false (rig.load.is_known);
  run (&rig, 4, 8, 4 * GST_SECOND);
  g_assert_true (rig.load.is_known);
  g_assert_cmpfloat_with_epsilon (rig.load.load, 8, 1e-6);
}

static void
test_dropped (void)
{
  Rig rig = {0};

  transcriber_load_note_dropped (&rig.load, 11 * GST_SECOND);
  g_assert_cmpuint (rig.load.lag, ==, 11 * GST_SECOND);
  g_assert_cmpint (
      run (&rig, 9, 0.2, 2 * GST_SECOND), ==, TRANSCRIBER_LOAD_SAME);
  g_assert_cmpint (run (&rig, 9, 0.2, 0), ==, TRANSCRIBER_LOAD_WELL);
}

/* Pauses, jumps back and totals that were reset are no load. */
static void
test_jumps (void)
{
  Rig rig = {0};

  run (&rig, 50, 0.5, 0);
  rig.end += 60 * GST_SECOND;
  rig.busy += 60 * GST_SECOND;
  run (&rig, 1, 0.5, 0);
  g_assert_cmpfloat (rig.load.load, ==, 0);
  run (&rig, 50, 0.5, 0);
  g_assert_cmpfloat_with_epsilon (rig.load.load, 0.5, 1e-6);
  rig.busy = 0;
  run (&rig, 2, 0.5, 0);
  g_assert_cmpfloat (rig.load.load, ==, 0);
  rig.end = 0;
  run (&rig, 50, 0.5, 0);
  g_assert_cmpfloat_with_epsilon (rig.load.load, 0.5, 1e-6);
}

/* Short steps do not outgrow the memory. */
static void
test_many (void)
{
  TranscriberLoad load = {0};

  for (guint i = 1; i < 5000; i++)
    transcriber_load_add (&load, i * GST_MSECOND * 10, i * GST_MSECOND * 5, 0);
  g_assert_cmpuint (load.n, <=, TRANSCRIBER_LOAD_WINDOWS);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/transcriberload/steady", test_steady);
  g_test_add_func ("/transcriberload/over-and-well", test_over_and_well);
  g_test_add_func ("/transcriberload/lag-alone", test_lag_alone);
  g_test_add_func (
      "/transcriberload/before-it-is-known", test_before_it_is_known);
  g_test_add_func ("/transcriberload/dropped", test_dropped);
  g_test_add_func ("/transcriberload/jumps", test_jumps);
  g_test_add_func ("/transcriberload/many", test_many);
  return g_test_run ();
}
