/* whisperdecoder over a scripted library: words as buffers, as cues and in
 * JSON.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "decoder-rig.h"

#define WINDOW 500 /* positions: 10 s */
#define SECOND GST_SECOND

static const NpuTimedWord words[] = {
    {(char *) " Hello,", 500 * MS, 900 * MS, 0.5f, 1},
    {(char *) " you", 900 * MS, 1100 * MS, 0.25f, 1},
    {(char *) " all.", 1100 * MS, 1500 * MS, 1, 1},
    /* a pause of 2 s */
    {(char *) " --", 3500 * MS, 3500 * MS, 0.5f, 1},
    {(char *) "> Next", 3500 * MS, 4000 * MS, 0.5f, 1},
    {(char *) " end.", 4000 * MS, 4600 * MS, 0.5f, 1},
};
static const ScriptedSegment segments[] = {
    {500 * MS, 4600 * MS, "Hello, you all. \342\206\222 Next end."},
    {5000 * MS, 6000 * MS, "."}};

static void
push_window (DecoderRig *rig, guint n_segments)
{
  const ScriptedWindow window = {.segments = segments,
      .n_segments = n_segments,
      .words = words,
      .n_words = G_N_ELEMENTS (words)};

  script_set_window (&window);
  g_assert_cmpint (
      gst_harness_push (rig->harness, decoder_states (WINDOW, 0, 10 * SECOND)),
      ==, GST_FLOW_OK);
}

static void
check_taken (DecoderRig *rig, const char *expected)
{
  g_autofree char *taken = decoder_rig_take (rig);

  g_assert_cmpstr (taken, ==, expected);
}

static void
check_asked (gboolean asks)
{
  ScriptSeen seen;

  script_get_seen (&seen);
  g_assert_cmpint (seen.words, ==, asks);
}

/* Cues end at pauses; a mark that belongs to an earlier word has none. */
static void
test_cues (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("timestamps", 2, NULL);

  decoder_rig_set_positions (rig, WINDOW);
  check_asked (TRUE);
  push_window (rig, 2);
  check_taken (rig, "tag en\ngap 0-500\ntext 500-1500 Hello, you all.\n"
                    "gap 1500-3500\ntext 3500-4600 \342\206\222 Next end.\n"
                    "gap 4600-10000\n");
}

static void
test_lines (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("timestamps", 2, "line-length",
      10, "lines", 1, "max-pause", G_MAXUINT64, NULL);
  g_autoptr (DecoderRig) tall =
      decoder_rig_new ("timestamps", 2, "line-length", 10, "lines", 0, NULL);

  decoder_rig_set_positions (rig, WINDOW);
  push_window (rig, 1);
  check_taken (rig, "tag en\ngap 0-500\ntext 500-900 Hello,\n"
                    "text 900-1500 you all.\ngap 1500-3500\n"
                    "text 3500-4000 \342\206\222 Next\n"
                    "text 4000-4600 end.\ngap 4600-10000\n");
  decoder_rig_set_positions (tall, WINDOW);
  push_window (tall, 1);
  check_taken (tall, "tag en\ngap 0-500\ntext 500-1500 Hello,\nyou all.\n"
                     "gap 1500-3500\n"
                     "text 3500-4600 \342\206\222 Next\nend.\n"
                     "gap 4600-10000\n");
}

/* Without a length of their own they have a millisecond. */
static void
test_words (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("text", 1, NULL);

  decoder_rig_set_positions (rig, WINDOW);
  check_asked (TRUE);
  push_window (rig, 2);
  check_taken (rig,
      "tag en\ngap 0-500\ntext 500-900 Hello,\ntext 900-1100 you\n"
      "text 1100-1500 all.\ngap 1500-3500\ntext 3500-3501 --\n"
      "text 3501-4000 > Next\ntext 4000-4600 end.\ngap 4600-10000\n");
}

/* Of a seek from 1 s to 3.8 s. */
static void
test_clipped (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("text", 1, NULL);
  GstSegment segment;

  decoder_rig_set_positions (rig, WINDOW);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.time = SECOND;
  segment.stop = 3800 * MS;
  gst_harness_push_event (rig->harness, gst_event_new_segment (&segment));
  push_window (rig, 1);
  check_taken (rig, "tag en\ngap 0-1000\ntext 1000-1100 you\n"
                    "text 1100-1500 all.\ngap 1500-3500\ntext 3500-3501 --\n"
                    "text 3501-3800 > Next\ngap 3800-10000\n");
}

static char *
pull_json (DecoderRig *rig)
{
  g_autoptr (GstBuffer) buffer = gst_harness_pull (rig->harness);
  GstMapInfo map;
  char *json;

  g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_READ));
  json = g_strndup ((const char *) map.data, map.size);
  gst_buffer_unmap (buffer, &map);
  return json;
}

static void
test_json (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("timestamps", 2, NULL);
  g_autoptr (DecoderRig) single = decoder_rig_new ("text", 1, NULL);
  g_autofree char *json = NULL, *word = NULL;

  gst_harness_set_sink_caps_str (rig->harness, "application/x-json");
  decoder_rig_set_positions (rig, WINDOW);
  push_window (rig, 1);
  json = pull_json (rig);
  g_assert_nonnull (strstr (json, "\"text\": \"Hello, you all. "));
  g_assert_nonnull (strstr (json,
      "\"words\": [{\"word\": \" Hello,\", \"start\": 0.500000000, "
      "\"end\": 0.900000000, \"probability\": 0.5}, {\"word\": \" you\", "
      "\"start\": 0.900000000, \"end\": 1.100000000, \"probability\": "
      "0.25}, "));
  g_assert_true (g_str_has_suffix (
      json, "\"end\": 4.600000000, \"probability\": 0.5}]}\n"));

  gst_harness_set_sink_caps_str (single->harness, "application/x-json");
  decoder_rig_set_positions (single, WINDOW);
  push_window (single, 1);
  word = pull_json (single);
  g_assert_cmpstr (word, ==,
      "{\"start\": 0.500000000, \"end\": 0.900000000, \"text\": \"Hello,\", "
      "\"probability\": 0.5, \"language\": \"en\"}\n");
}

/* Words are looked for where somebody needs them. */
static void
test_asks (void)
{
  g_autoptr (DecoderRig) none = decoder_rig_new (NULL, NULL);
  ScriptSeen seen;

  decoder_rig_set_positions (none, WINDOW);
  check_asked (FALSE);
  {
    g_autoptr (DecoderRig) rig = decoder_rig_new (
        "hallucination-silence-threshold", (guint64) 1500 * MS, NULL);

    decoder_rig_set_positions (rig, WINDOW);
    check_asked (TRUE);
    script_get_seen (&seen);
    g_assert_cmpfloat (seen.hallucination_silence_threshold, ==, 1.5);
  }
}

int
main (int argc, char **argv)
{
  decoder_test_init (&argc, &argv);
  g_test_add_func ("/whisperdecoder/words/cues", test_cues);
  g_test_add_func ("/whisperdecoder/words/lines", test_lines);
  g_test_add_func ("/whisperdecoder/words/buffers", test_words);
  g_test_add_func ("/whisperdecoder/words/clipped", test_clipped);
  g_test_add_func ("/whisperdecoder/words/json", test_json);
  g_test_add_func ("/whisperdecoder/words/asked-for", test_asks);
  return g_test_run ();
}
