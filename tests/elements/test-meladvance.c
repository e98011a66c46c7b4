/* Answers to windows: which counts, and which comes too late.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "meladvance.h"
#include "windowevent.h"

#define SEQNUM 7

typedef struct {
  MelAdvance *advance;
  GstClockTime until;
} Answer;

static gpointer
send (gpointer data)
{
  Answer *answer = data;
  g_autoptr (GstEvent) event =
      window_event_new_advance (answer->until, GST_CLOCK_TIME_NONE, SEQNUM);

  return GINT_TO_POINTER (mel_advance_answer (answer->advance, event));
}

/* From this thread, or from another. */
static gboolean
answer (MelAdvance *advance, GstClockTime until, gboolean from_elsewhere)
{
  Answer data = {advance, until};

  if (from_elsewhere)
    return GPOINTER_TO_INT (
        g_thread_join (g_thread_new ("decoder", send, &data)));
  return GPOINTER_TO_INT (send (&data));
}

static void
check_taken (MelAdvance *advance, GstClockTime expected)
{
  GstClockTime until;

  g_assert_true (mel_advance_take (advance, &until));
  g_assert_cmpuint (until, ==, expected);
  g_assert_false (mel_advance_take (advance, &until)); /* once */
}

static void
ask (MelAdvance *advance)
{
  mel_advance_ask (advance, 10 * GST_SECOND, 40 * GST_SECOND);
}

static void
test_inside_the_push (void)
{
  MelAdvance advance;

  mel_advance_init (&advance);
  mel_advance_set_segment (&advance, SEQNUM);
  g_assert_false (answer (&advance, 30 * GST_SECOND, FALSE)); /* not asked */

  ask (&advance);
  g_assert_true (answer (&advance, 30 * GST_SECOND, FALSE));
  g_assert_true (
      answer (&advance, 35 * GST_SECOND, FALSE)); /* the last counts */
  mel_advance_pushed (&advance);
  check_taken (&advance, 35 * GST_SECOND);
  g_assert_false (answer (&advance, 36 * GST_SECOND, FALSE)); /* too late */

  ask (&advance);
  g_assert_true (answer (&advance, 5 * GST_SECOND, FALSE));
  check_taken (&advance, 10 * GST_SECOND);
  ask (&advance);
  g_assert_true (answer (&advance, G_MAXUINT64 - 1, FALSE));
  check_taken (&advance, 40 * GST_SECOND);
  mel_advance_clear (&advance);
}

static void
test_from_elsewhere (void)
{
  MelAdvance advance;
  GstClockTime until;

  mel_advance_init (&advance);
  mel_advance_set_segment (&advance, SEQNUM);
  ask (&advance);
  /* About a window before this one. */
  g_assert_false (answer (&advance, 9 * GST_SECOND, TRUE));
  g_assert_false (answer (&advance, 10 * GST_SECOND, TRUE));
  mel_advance_pushed (&advance);
  g_assert_false (mel_advance_take (&advance, &until));
  g_assert_true (answer (&advance, 12 * GST_SECOND, TRUE));
  check_taken (&advance, 12 * GST_SECOND);

  ask (&advance);
  mel_advance_pushed (&advance);
  g_assert_false (mel_advance_close (&advance, &until));
  g_assert_false (answer (&advance, 12 * GST_SECOND, TRUE)); /* decided */

  ask (&advance);
  mel_advance_set_segment (&advance, SEQNUM + 1);
  g_assert_false (answer (&advance, 12 * GST_SECOND, TRUE));
  mel_advance_clear (&advance);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  gst_init (&argc, &argv);
  g_test_add_func ("/meladvance/inside-the-push", test_inside_the_push);
  g_test_add_func ("/meladvance/from-elsewhere", test_from_elsewhere);
  return g_test_run ();
}
