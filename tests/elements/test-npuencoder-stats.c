/* npuencoder's messages, totals, log and trace.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "encoder-rig.h"

static const struct {
  const char *name;
  GType type;
} fields[] = {
    {"window", G_TYPE_UINT64},
    {"timestamp", G_TYPE_UINT64},
    {"stream-time", G_TYPE_UINT64},
    {"running-time", G_TYPE_UINT64},
    {"duration", G_TYPE_UINT64},
    {"tiles", G_TYPE_UINT64},
    {"launches", G_TYPE_UINT64},
    {"stalls", G_TYPE_UINT64},
    {"total-time", G_TYPE_UINT64},
    {"tile-time", G_TYPE_UINT64},
    {"dma-write-time", G_TYPE_UINT64},
    {"compute-time", G_TYPE_UINT64},
    {"dma-read-time", G_TYPE_UINT64},
    {"dma-overhead", G_TYPE_DOUBLE},
    {"realtime-factor", G_TYPE_DOUBLE},
    {"depth", G_TYPE_UINT},
    {"batch-size", G_TYPE_UINT},
    {"device", G_TYPE_STRING},
    {"precision", G_TYPE_STRING},
    {"placement", G_TYPE_STRING},
    {"model", G_TYPE_STRING},
};

static void
check_fields (const GstStructure *stats)
{
  g_assert_cmpstr (gst_structure_get_name (stats), ==, "npuencoder-stats");
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++) {
    if (!gst_structure_has_field_typed (stats, fields[i].name, fields[i].type))
      g_error ("no field %s of type %s", fields[i].name,
          g_type_name (fields[i].type));
  }
}

static guint64
get_u64 (const GstStructure *stats, const char *field)
{
  guint64 value = 0;

  g_assert_true (gst_structure_get_uint64 (stats, field, &value));
  return value;
}

static double
get_double (const GstStructure *stats, const char *field)
{
  double value = NAN;

  g_assert_true (gst_structure_get_double (stats, field, &value));
  return value;
}

static GstStructure *
get_totals (EncoderRig *rig)
{
  GstStructure *stats = NULL;

  g_object_get (rig->element, "stats", &stats, NULL);
  check_fields (stats);
  return stats;
}

static void
push (EncoderRig *rig, guint n_frames, guint32 seed, GstClockTime pts)
{
  GstFlowReturn flow =
      gst_harness_push (rig->harness, encoder_mel_buffer (n_frames, seed, pts));

  g_assert_cmpint (flow, ==, GST_FLOW_OK);
  gst_buffer_unref (gst_harness_pull (rig->harness));
}

static void
check_derived (const GstStructure *stats)
{
  double total = get_u64 (stats, "total-time");
  double dma =
      get_u64 (stats, "dma-write-time") + get_u64 (stats, "dma-read-time");

  g_assert_cmpfloat (total, >, 0);
  g_assert_cmpuint (get_u64 (stats, "tile-time"), ==,
      get_u64 (stats, "total-time") / get_u64 (stats, "tiles"));
  g_assert_cmpfloat_with_epsilon (
      get_double (stats, "dma-overhead"), 100 * dma / total, 1e-9);
  g_assert_cmpfloat_with_epsilon (get_double (stats, "realtime-factor"),
      get_u64 (stats, "duration") / total, 1e-9);
  g_assert_cmpuint (get_u64 (stats, "compute-time"), >, 0);
  g_assert_cmpuint (
      get_u64 (stats, "compute-time"), <=, get_u64 (stats, "total-time"));
}

static void
test_message_after_each_window (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new ("batch-size", 2, NULL);

  encoder_rig_set_frames (rig, 200);
  for (guint i = 0; i < 3; i++) {
    g_autoptr (GstStructure) stats = NULL;

    push (rig, 200, i, (i + 5) * GST_SECOND);
    stats = encoder_pop_stats (rig->bus);
    check_fields (stats);
    check_derived (stats);
    g_assert_cmpuint (get_u64 (stats, "window"), ==, i + 1);
    g_assert_cmpuint (get_u64 (stats, "timestamp"), ==, (i + 5) * GST_SECOND);
    g_assert_cmpuint (get_u64 (stats, "duration"), ==, 200 * FRAME);
    g_assert_cmpuint (get_u64 (stats, "launches"), >, 1);
    g_assert_cmpuint (
        get_u64 (stats, "tiles"), >=, get_u64 (stats, "launches"));
    g_assert_null (encoder_pop_message (rig->bus, GST_MESSAGE_ELEMENT, 0));
  }
}

static void
test_times_follow_the_segment (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (GstStructure) stats = NULL;
  GstSegment segment;

  encoder_rig_set_frames (rig, 20);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = 10 * GST_SECOND;
  segment.time = 3 * GST_SECOND;
  segment.base = 100 * GST_SECOND;
  gst_harness_push_event (rig->harness, gst_event_new_segment (&segment));
  push (rig, 20, 1, 12 * GST_SECOND);
  stats = encoder_pop_stats (rig->bus);
  g_assert_cmpuint (get_u64 (stats, "timestamp"), ==, 12 * GST_SECOND);
  g_assert_cmpuint (get_u64 (stats, "stream-time"), ==, 5 * GST_SECOND);
  g_assert_cmpuint (get_u64 (stats, "running-time"), ==, 102 * GST_SECOND);
}

static void
test_times_without_timestamps (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  GstBuffer *buffer = encoder_mel_buffer (20, 1, GST_CLOCK_TIME_NONE);
  g_autoptr (GstStructure) stats = NULL;
  GstSegment segment;

  encoder_rig_set_frames (rig, 20);
  gst_segment_init (&segment, GST_FORMAT_BYTES);
  gst_harness_push_event (rig->harness, gst_event_new_segment (&segment));
  GST_BUFFER_DURATION (buffer) = GST_CLOCK_TIME_NONE;
  gst_harness_push (rig->harness, buffer);
  stats = encoder_pop_stats (rig->bus);
  check_fields (stats);
  g_assert_cmpuint (get_u64 (stats, "timestamp"), ==, GST_CLOCK_TIME_NONE);
  g_assert_cmpuint (get_u64 (stats, "stream-time"), ==, GST_CLOCK_TIME_NONE);
  g_assert_cmpuint (get_u64 (stats, "running-time"), ==, GST_CLOCK_TIME_NONE);
  g_assert_cmpuint (get_u64 (stats, "duration"), ==, 20 * FRAME);
}

/* A window of 2 s of which 0.5 s is audio is as good as 0.5 s. */
static void
test_only_real_audio_counts (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  GstBuffer *buffer = encoder_mel_buffer (200, 1, 0);
  g_autoptr (GstStructure) stats = NULL;

  encoder_rig_set_frames (rig, 200);
  GST_BUFFER_DURATION (buffer) = GST_SECOND / 2;
  gst_harness_push (rig->harness, buffer);
  stats = encoder_pop_stats (rig->bus);
  g_assert_cmpuint (get_u64 (stats, "duration"), ==, GST_SECOND / 2);
  check_derived (stats);
}

static void
test_post_messages_can_be_switched (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new ("post-messages", FALSE, NULL);
  g_autoptr (GstStructure) stats = NULL;

  encoder_rig_set_frames (rig, 20);
  push (rig, 20, 1, 0);
  g_assert_null (encoder_pop_message (rig->bus, GST_MESSAGE_ELEMENT, 0));

  g_object_set (rig->element, "post-messages", TRUE, NULL);
  push (rig, 20, 1, 0);
  stats = encoder_pop_stats (rig->bus);
  g_assert_cmpuint (get_u64 (stats, "window"), ==, 2);
}

static void
test_totals_are_sums (void)
{
  static const char *const sums[] = {"duration", "tiles", "launches", "stalls",
      "total-time", "dma-write-time", "compute-time", "dma-read-time"};
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  guint64 sum[G_N_ELEMENTS (sums)] = {0};
  g_autoptr (GstStructure) totals = NULL;

  encoder_rig_set_frames (rig, 100);
  for (guint i = 0; i < 4; i++) {
    g_autoptr (GstStructure) stats = NULL;

    push (rig, 100, i, i * GST_SECOND);
    stats = encoder_pop_stats (rig->bus);
    for (guint s = 0; s < G_N_ELEMENTS (sums); s++)
      sum[s] += get_u64 (stats, sums[s]);
  }
  totals = get_totals (rig);
  check_derived (totals);
  g_assert_cmpuint (get_u64 (totals, "window"), ==, 4);
  g_assert_cmpuint (get_u64 (totals, "timestamp"), ==, 3 * GST_SECOND);
  for (guint s = 0; s < G_N_ELEMENTS (sums); s++)
    g_assert_cmpuint (get_u64 (totals, sums[s]), ==, sum[s]);
}

static void
check_nothing_counted (EncoderRig *rig)
{
  g_autoptr (GstStructure) totals = get_totals (rig);

  g_assert_cmpuint (get_u64 (totals, "window"), ==, 0);
  g_assert_cmpuint (get_u64 (totals, "timestamp"), ==, GST_CLOCK_TIME_NONE);
  g_assert_cmpuint (get_u64 (totals, "duration"), ==, 0);
  g_assert_cmpuint (get_u64 (totals, "launches"), ==, 0);
  g_assert_cmpuint (get_u64 (totals, "tile-time"), ==, 0);
  g_assert_cmpfloat (get_double (totals, "dma-overhead"), ==, 0);
  g_assert_cmpfloat (get_double (totals, "realtime-factor"), ==, 0);
}

static void
test_reset_and_restart (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (GstStructure) after_stop = NULL;

  check_nothing_counted (rig);
  encoder_rig_set_frames (rig, 20);
  push (rig, 20, 1, 0);
  push (rig, 20, 1, 0);
  g_signal_emit_by_name (rig->element, "reset-stats");
  check_nothing_counted (rig);

  push (rig, 20, 1, 0);
  gst_element_set_state (rig->element, GST_STATE_NULL);
  after_stop = get_totals (rig);
  g_assert_cmpuint (get_u64 (after_stop, "window"), ==, 1);
  g_assert_cmpstr (gst_structure_get_string (after_stop, "device"), ==, "cpu");

  gst_harness_play (rig->harness);
  check_nothing_counted (rig);
}

static void
test_stats_before_start (void)
{
  g_autoptr (GstElement) element =
      g_object_ref_sink (gst_element_factory_make ("npuencoder", NULL));
  g_autoptr (GstStructure) stats = NULL;

  g_object_get (element, "stats", &stats, NULL);
  check_fields (stats);
  g_assert_cmpuint (get_u64 (stats, "window"), ==, 0);
  g_assert_null (gst_structure_get_string (stats, "model"));
}

/* --- verbosity ---------------------------------------------------------- */

static const GValue *
get_array (const GstStructure *stats, const char *field)
{
  const GValue *array = gst_structure_get_value (stats, field);

  if (array)
    g_assert_true (GST_VALUE_HOLDS_ARRAY (array));
  return array;
}

static const GstStructure *
get_nth (const GValue *array, guint i)
{
  return gst_value_get_structure (gst_value_array_get_value (array, i));
}

/* The sums over the stages are the window's numbers. */
static void
check_stages (const GstStructure *stats)
{
  static const char *const sums[] = {
      "tiles", "launches", "stalls", "total-time", "compute-time"};
  const GValue *stages = get_array (stats, "stages");
  guint n = gst_value_array_get_size (stages);

  g_assert_cmpuint (n, >, 4);
  for (guint s = 0; s < G_N_ELEMENTS (sums); s++) {
    guint64 sum = 0;

    for (guint i = 0; i < n; i++)
      sum += get_u64 (get_nth (stages, i), sums[s]);
    g_assert_cmpuint (sum, ==, get_u64 (stats, sums[s]));
  }
  for (guint i = 0; i < n; i++) {
    g_assert_nonnull (gst_structure_get_string (get_nth (stages, i), "name"));
    g_assert_true (gst_structure_has_field_typed (
        get_nth (stages, i), "dma-overhead", G_TYPE_DOUBLE));
  }
}

/* Every tile of every stage is launched once and drained or overlapped. */
static void
check_events (const GstStructure *stats)
{
  const GValue *events = get_array (stats, "events");
  guint n = gst_value_array_get_size (events);
  guint64 launched = 0, overlapped = 0, tiles = 0, drained = 0;

  for (guint i = 0; i < n; i++) {
    const GstStructure *event = get_nth (events, i);
    const char *name = gst_structure_get_string (event, "event");
    guint n_tiles = 0, first_tile = 0, slot = 0;
    gboolean stalled = FALSE;

    g_assert_true (gst_structure_get (event, "tiles", G_TYPE_UINT, &n_tiles,
        "first-tile", G_TYPE_UINT, &first_tile, "slot", G_TYPE_UINT, &slot,
        "stalled", G_TYPE_BOOLEAN, &stalled, NULL));
    g_assert_nonnull (gst_structure_get_string (event, "stage"));
    g_assert_cmpuint (slot, <, 3);
    if (g_str_equal (name, "drained")) {
      drained++;
      continue;
    }
    if (g_str_equal (name, "launched"))
      launched++;
    else if (g_str_equal (name, "overlapped"))
      overlapped++;
    else
      g_error ("an event '%s'", name);
    tiles += n_tiles;
  }
  g_assert_cmpuint (launched + overlapped, ==, get_u64 (stats, "launches"));
  g_assert_cmpuint (tiles, ==, get_u64 (stats, "tiles"));
  g_assert_cmpuint (launched, >, 0);
  g_assert_cmpuint (overlapped, >, 0);
  g_assert_cmpuint (drained, >, 0);
}

static guint n_log_lines;
static guint n_launched, n_overlapped, n_drained, n_summaries;

static void
count_log (GstDebugCategory *category, GstDebugLevel level, const char *file,
    const char *function, int line, GObject *object, GstDebugMessage *message,
    gpointer user_data)
{
  const char *text = gst_debug_message_get (message);

  if (level != GST_LEVEL_INFO ||
      !g_str_equal (gst_debug_category_get_name (category), "npuencoder"))
    return;
  n_log_lines++;
  n_launched += strstr (text, "launched (no wait)") != NULL;
  n_overlapped += strstr (text, "completed") && strstr (text, ", launched");
  n_drained += strstr (text, "drained") != NULL;
  n_summaries += g_str_has_prefix (text, "window ");
}

static GstStructure *
encode_at_verbosity (EncoderRig *rig, const char *verbosity)
{
  n_log_lines = n_launched = n_overlapped = n_drained = n_summaries = 0;
  gst_util_set_object_arg (G_OBJECT (rig->element), "verbosity", verbosity);
  push (rig, 400, 1, 0);
  return encoder_pop_stats (rig->bus);
}

static void
test_verbosity (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new ("batch-size", 1, NULL);
  GstStructure *stats;

  gst_debug_set_threshold_for_name ("npuencoder", GST_LEVEL_INFO);
  gst_debug_add_log_function (count_log, NULL, NULL);
  encoder_rig_set_frames (rig, 400);

  stats = encode_at_verbosity (rig, "none");
  g_assert_null (get_array (stats, "stages"));
  g_assert_cmpuint (n_log_lines, ==, 0);
  gst_structure_free (stats);

  stats = encode_at_verbosity (rig, "summary");
  g_assert_null (get_array (stats, "stages"));
  g_assert_cmpuint (n_log_lines, ==, 1);
  g_assert_cmpuint (n_summaries, ==, 1);
  gst_structure_free (stats);

  stats = encode_at_verbosity (rig, "stages");
  check_stages (stats);
  g_assert_null (get_array (stats, "events"));
  g_assert_cmpuint (n_log_lines, ==,
      1 + gst_value_array_get_size (get_array (stats, "stages")));
  gst_structure_free (stats);

  stats = encode_at_verbosity (rig, "tiles");
  check_stages (stats);
  check_events (stats);
  g_assert_cmpuint (n_log_lines, ==,
      1 + gst_value_array_get_size (get_array (stats, "stages")) +
          gst_value_array_get_size (get_array (stats, "events")));
  g_assert_cmpuint (n_launched, >, 0);
  g_assert_cmpuint (n_overlapped, >, 0);
  g_assert_cmpuint (n_drained, >, 0);
  gst_structure_free (stats);

  /* With nobody to collect for, it logs the same. */
  g_object_set (rig->element, "post-messages", FALSE, NULL);
  n_log_lines = 0;
  push (rig, 400, 1, 0);
  g_assert_cmpuint (n_log_lines, >, n_launched);

  gst_debug_remove_log_function (count_log);
  gst_debug_set_threshold_for_name ("npuencoder", GST_LEVEL_NONE);
}

/* --- trace -------------------------------------------------------------- */

/* Runs Python's JSON parser on the file: it is stricter than ours would be. */
static void
check_trace (const char *name, const char *stage)
{
  const char *const argv[] = {"python3", "-c",
      "import json, sys\n"
      "trace = json.load(open(sys.argv[1]))\n"
      "events = trace['traceEvents'] if isinstance(trace, dict) else trace\n"
      "spans = [e for e in events if e.get('ph') == 'X']\n"
      "names = {e.get('name') for e in spans}\n"
      "cats = {e.get('cat') for e in spans}\n"
      "assert any(sys.argv[2] in n for n in names), names\n"
      "assert {'compute', 'dma-write', 'dma-read'} <= cats, cats\n",
      name, stage, NULL};
  g_autoptr (GError) error = NULL;
  g_autofree char *messages = NULL;
  int status = 0;

  if (!g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL,
          NULL, NULL, &messages, &status, &error)) {
    g_test_skip ("there is no python3 to read the JSON");
    return;
  }
  if (!g_spawn_check_wait_status (status, NULL))
    g_error ("%s", messages);
}

static void
test_trace_is_json_of_every_window (void)
{
  g_autofree char *name = encoder_temp_file ();
  g_autofree char *content = NULL;
  gsize one = 0, two = 0;

  for (guint n_windows = 1; n_windows <= 2; n_windows++) {
    g_autoptr (EncoderRig) rig = encoder_rig_new ("trace-location", name, NULL);

    encoder_rig_set_frames (rig, 200);
    for (guint i = 0; i < n_windows; i++)
      push (rig, 200, i, 0);
    gst_element_set_state (rig->element, GST_STATE_NULL);

    check_trace (name, "attention");
    g_clear_pointer (&content, g_free);
    g_assert_true (g_file_get_contents (
        name, &content, n_windows == 1 ? &one : &two, NULL));
  }
  /* The file was replaced, and the second has twice the spans. */
  g_assert_cmpuint (two, >, one * 3 / 2);
  g_assert_cmpuint (two, <, one * 5 / 2);
  g_unlink (name);
}

static void
test_trace_disk_full_warns (void)
{
  g_autoptr (EncoderRig) rig = NULL;
  GstMessage *message;
  gboolean warned = FALSE;

  if (!g_file_test ("/dev/full", G_FILE_TEST_EXISTS)) {
    g_test_skip ("there is no /dev/full");
    return;
  }
  rig = encoder_rig_new ("trace-location", "/dev/full", NULL);
  encoder_rig_set_frames (rig, 200);
  push (rig, 200, 1, 0);
  gst_element_set_state (rig->element, GST_STATE_NULL);
  while (!warned &&
         (message = encoder_pop_message (rig->bus, GST_MESSAGE_WARNING, 0))) {
    g_autoptr (GError) error = NULL;

    gst_message_parse_warning (message, &error, NULL);
    warned =
        g_error_matches (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_WRITE) &&
        strstr (error->message, "/dev/full");
    gst_message_unref (message);
  }
  g_assert_true (warned);
}

int
main (int argc, char **argv)
{
  encoder_test_init (&argc, &argv);
  encoder_test_keep_weights ("auto");
  g_test_add_func ("/npuencoder/stats/message-after-each-window",
      test_message_after_each_window);
  g_test_add_func ("/npuencoder/stats/times-follow-the-segment",
      test_times_follow_the_segment);
  g_test_add_func ("/npuencoder/stats/times-without-timestamps",
      test_times_without_timestamps);
  g_test_add_func (
      "/npuencoder/stats/only-real-audio-counts", test_only_real_audio_counts);
  g_test_add_func ("/npuencoder/stats/post-messages-can-be-switched",
      test_post_messages_can_be_switched);
  g_test_add_func ("/npuencoder/stats/totals-are-sums", test_totals_are_sums);
  g_test_add_func (
      "/npuencoder/stats/reset-and-restart", test_reset_and_restart);
  g_test_add_func (
      "/npuencoder/stats/complete-before-start", test_stats_before_start);
  g_test_add_func ("/npuencoder/verbosity/log-and-fields", test_verbosity);
  g_test_add_func ("/npuencoder/trace/json-of-every-window",
      test_trace_is_json_of_every_window);
  g_test_add_func (
      "/npuencoder/trace/full-disk-warns", test_trace_disk_full_warns);
  return g_test_run ();
}
