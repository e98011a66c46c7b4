/* The event whisper/advance, made and read.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "windowevent.h"

static void
test_comes_back (void)
{
  g_autoptr (GstEvent) event =
      window_event_new_advance (29 * GST_SECOND, 12 * GST_SECOND, 77);
  GstClockTime until = 0, sentence = 0;
  guint32 seqnum = 0;

  g_assert_cmpint (GST_EVENT_TYPE (event), ==, GST_EVENT_CUSTOM_UPSTREAM);
  g_assert_true (gst_event_has_name (event, "whisper/advance"));
  g_assert_true (
      window_event_parse_advance (event, &until, &sentence, &seqnum));
  g_assert_cmpuint (until, ==, 29 * GST_SECOND);
  g_assert_cmpuint (sentence, ==, 12 * GST_SECOND);
  g_assert_cmpuint (seqnum, ==, 77);
  g_assert_true (window_event_parse_advance (event, NULL, NULL, NULL));
}

/* As an application or another plugin would send it. */
static gboolean
parse (GstEventType type, const char *structure, GstClockTime *sentence)
{
  g_autoptr (GstEvent) event =
      gst_event_new_custom (type, gst_structure_from_string (structure, NULL));
  GstClockTime until;
  guint32 seqnum;

  return window_event_parse_advance (event, &until, sentence, &seqnum);
}

static void
test_others (void)
{
  static const char *const bad[] = {
      "whisper/advance, until=(guint64)1",
      "whisper/advance, seqnum=(uint)1",
      "whisper/advance, until=(int)1, seqnum=(uint)1",
      "whisper/advance, until=(guint64)18446744073709551615, seqnum=(uint)1",
      "whisper/other, until=(guint64)1, seqnum=(uint)1",
  };
  const char *good = "whisper/advance, until=(guint64)1, seqnum=(uint)1";
  GstClockTime sentence = 0;

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_test_message ("%s", bad[i]);
    g_assert_false (parse (GST_EVENT_CUSTOM_UPSTREAM, bad[i], &sentence));
    g_assert_cmpuint (sentence, ==, 0);
  }
  g_assert_false (parse (GST_EVENT_CUSTOM_DOWNSTREAM, good, &sentence));
  g_assert_true (parse (GST_EVENT_CUSTOM_UPSTREAM, good, &sentence));
  g_assert_false (GST_CLOCK_TIME_IS_VALID (sentence));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  gst_init (&argc, &argv);
  g_test_add_func ("/windowevent/comes-back", test_comes_back);
  g_test_add_func ("/windowevent/others-are-not-it", test_others);
  return g_test_run ();
}
