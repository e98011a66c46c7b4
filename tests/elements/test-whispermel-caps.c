/* What whispermel agrees on with its neighbours, its properties and states.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "mel/logmel.h"

#include "mel-rig.h"
#include "test-audio.h"

#define MEL "other/tensors,format=static,num_tensors=1,types=float32,"

static float *speech; /* [2 * RATE] */

static char *
get_dimensions (MelRig *rig)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);

  if (!caps)
    return NULL;
  g_assert_true (gst_caps_is_fixed (caps));
  return g_strdup (gst_structure_get_string (
      gst_caps_get_structure (caps, 0), "dimensions"));
}

/* Downstream takes @caps; what is agreed on has @dimensions. */
static void
check_agreement (guint n_mels, const char *caps, const char *dimensions)
{
  g_autoptr (MelRig) rig = mel_rig_new ("n-mels", n_mels, NULL);
  g_autofree char *agreed = NULL;

  if (caps)
    gst_harness_set_sink_caps_str (rig->harness, caps);
  mel_rig_start (rig);
  agreed = get_dimensions (rig);
  g_assert_cmpstr (agreed, ==, dimensions);
  g_assert_cmpint (mel_rig_push (rig, speech, RATE, 0), ==, GST_FLOW_OK);
  g_autoptr (GstBuffer) window = mel_rig_pop_window (rig);
  g_assert_nonnull (window);
  g_assert_cmpuint (gst_buffer_get_size (window), ==,
      strstr (dimensions, ":128") ? 128 * 100 * 4 : 80 * 100 * 4);
}

static void
test_bands_by_property (void)
{
  check_agreement (80, NULL, "100:80:1");
  check_agreement (128, NULL, "100:128:1");
  check_agreement (
      128, MEL "dimensions=(string){ 100:80:1, 100:128:1 }", "100:128:1");
}

static void
test_bands_by_downstream (void)
{
  check_agreement (0, NULL, "100:80:1");
  check_agreement (0, "ANY", "100:80:1");
  check_agreement (0, "other/tensors", "100:80:1");
  check_agreement (0, MEL "dimensions=(string)100:80:1", "100:80:1");
  check_agreement (0, MEL "dimensions=(string)100:128:1", "100:128:1");
  check_agreement (
      0, MEL "dimensions=(string){ 100:128:1, 100:80:1 }", "100:128:1");
}

/* As an encoder says it whose windows may have any length. */
static void
test_bands_by_a_whole_window (void)
{
  check_agreement (
      0, MEL "dimensions=(string)3000:128:1;" MEL "framerate=0/1", "100:128:1");
  check_agreement (
      0, MEL "dimensions=(string)3000:80:1;" MEL "framerate=0/1", "100:80:1");
}

static void
test_dimensions_are_spelled_as_downstream_does (void)
{
  check_agreement (0, MEL "dimensions=(string)100:128", "100:128");
  check_agreement (0, MEL "dimensions=(string)100:80:1:1", "100:80:1:1");
  check_agreement (
      0, MEL "dimensions=(string){ 100:80:1:1, 100:80:1 }", "100:80:1");
}

static void
test_caps_are_as_designed (void)
{
  g_autoptr (MelRig) rig = mel_rig_new ("window", 30 * GST_SECOND, NULL);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");
  g_autoptr (GstCaps) expected = gst_caps_from_string (
      "other/tensors, format=(string)static, num_tensors=(int)1, "
      "types=(string)float32, dimensions=(string)3000:80:1, "
      "framerate=(fraction)0/1");

  mel_rig_start (rig);
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  g_assert_true (gst_caps_is_equal (caps, expected));
}

static void
test_caps_query (void)
{
  g_autoptr (MelRig) rig =
      mel_rig_new ("window", 5 * GST_SECOND, "n-mels", 128, NULL);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");
  g_autoptr (GstCaps) fits =
      gst_caps_from_string (MEL "dimensions=(string)500:128:1,framerate=0/1");
  g_autoptr (GstCaps) fewer_bands =
      gst_caps_from_string (MEL "dimensions=(string)500:80:1,framerate=0/1");
  g_autoptr (GstCaps) filtered = gst_pad_query_caps (pad, fits);

  g_assert_true (gst_caps_is_equal (filtered, fits));
  g_assert_false (gst_pad_query_accept_caps (pad, fewer_bands));
  g_assert_true (gst_pad_query_accept_caps (pad, fits));
}

static void
test_other_audio_is_refused (void)
{
  static const char *const others[] = {
      "audio/x-raw,format=F32LE,rate=48000,channels=1,layout=interleaved",
      "audio/x-raw,format=F32LE,rate=16000,channels=2,layout=interleaved",
      "audio/x-raw,format=S16LE,rate=16000,channels=1,layout=interleaved",
  };

  for (guint i = 0; i < G_N_ELEMENTS (others); i++) {
    g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);
    g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "sink");
    g_autoptr (GstCaps) caps = gst_caps_from_string (others[i]);

    g_assert_false (gst_pad_query_accept_caps (pad, caps));
  }
}

static void
check_disagreement (guint n_mels, const char *caps, const char *bands)
{
  g_autoptr (MelRig) rig = mel_rig_new ("n-mels", n_mels, NULL);

  gst_harness_set_sink_caps_str (rig->harness, caps);
  mel_rig_start (rig);
  mel_rig_check_message (rig, GST_MESSAGE_ERROR, GST_CORE_ERROR,
      GST_CORE_ERROR_NEGOTIATION, "100 frames", bands, "n-mels", "window",
      NULL);
  g_assert_cmpint (
      mel_rig_push (rig, speech, RATE, 0), ==, GST_FLOW_NOT_NEGOTIATED);
}

static void
test_disagreement_says_why (void)
{
  check_disagreement (80, MEL "dimensions=(string)100:128:1", "80 mel bands");
  check_disagreement (0, MEL "dimensions=(string)3000:128:1", "128 mel bands");
  check_disagreement (
      0, MEL "dimensions=(string)80:3000:1", "80 or 128 mel bands");
  check_disagreement (0, "audio/x-raw", "80 or 128 mel bands");
}

static void
test_downstream_changes_its_mind (void)
{
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);
  g_autofree char *agreed = NULL;

  gst_harness_set_sink_caps_str (
      rig->harness, MEL "dimensions=(string)100:80:1");
  mel_rig_start (rig);
  mel_rig_push (rig, speech, RATE + 5000, 0);
  mel_rig_check_window (rig, 0, speech, RATE);

  /* In the middle of a window, which is kept. */
  gst_harness_set_sink_caps_str (
      rig->harness, MEL "dimensions=(string)100:128:1");
  gst_harness_push_upstream_event (rig->harness, gst_event_new_reconfigure ());
  g_assert_cmpint (mel_rig_push (rig, speech + RATE + 5000, RATE - 5000,
                       GST_SECOND + 5000 * SAMPLE),
      ==, GST_FLOW_OK);
  agreed = get_dimensions (rig);
  g_assert_cmpstr (agreed, ==, "100:128:1");

  g_autoptr (GstEvent) event = mel_rig_pop_event (rig);
  g_assert_cmpint (GST_EVENT_TYPE (event), ==, GST_EVENT_CAPS);
  g_autoptr (GstBuffer) window = mel_rig_pop_window (rig);
  g_autoptr (LogMel) log_mel = log_mel_new (128);
  g_autofree float *expected = g_new (float, 128 * 100);
  log_mel_compute (log_mel, speech + RATE, RATE, 100, expected);
  g_assert_cmpint (
      gst_buffer_memcmp (window, 0, expected, 128 * 100 * 4), ==, 0);
}

static void
test_caps_again_keep_the_audio (void)
{
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);
  g_autoptr (GstCaps) caps =
      gst_caps_from_string (AUDIO_CAPS ",channel-mask=(bitmask)0x4");

  mel_rig_start (rig);
  mel_rig_push (rig, speech, 5000, 0);
  mel_rig_forget (rig);
  g_assert_true (mel_rig_send (rig, gst_event_new_caps (caps)));
  g_assert_null (mel_rig_pop_event (rig)); /* nothing new for downstream */
  mel_rig_push (rig, speech + 5000, RATE - 5000, 5000 * SAMPLE);
  mel_rig_check_window (rig, 0, speech, RATE);
}

static void
test_not_linked (void)
{
  g_autoptr (GstElement) element =
      gst_object_ref_sink (gst_element_factory_make ("whispermel", NULL));
  g_autoptr (GstBus) bus = gst_bus_new ();
  g_autoptr (GstMessage) message = NULL;
  GstHarness *harness;

  gst_element_set_bus (element, bus);
  harness = gst_harness_new_with_element (element, "sink", NULL);
  gst_harness_set_src_caps_str (harness, AUDIO_CAPS);
  g_assert_cmpint (gst_harness_push (harness, mel_buffer_new (speech, RATE, 0)),
      ==, GST_FLOW_OK);
  gst_harness_push_event (harness, gst_event_new_eos ());
  message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  g_assert_nonnull (message);

  gst_element_set_bus (element, NULL);
  gst_harness_teardown (harness);
}

/* --- buffers --- */

typedef struct {
  GstBufferPool *pool;
  guint size, max;
} Offer;

static GstPadProbeReturn
offer_pool (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);
  Offer *offer = user_data;

  if (GST_QUERY_TYPE (query) != GST_QUERY_ALLOCATION)
    return GST_PAD_PROBE_OK;
  gst_query_add_allocation_pool (
      query, offer->pool, offer->size, 0, offer->max);
  return GST_PAD_PROBE_HANDLED;
}

static MelRig *
rig_new_with_offer (Offer *offer)
{
  MelRig *rig = mel_rig_new (NULL, NULL);

  gst_pad_add_probe (rig->harness->sinkpad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM,
      offer_pool, offer, NULL);
  mel_rig_start (rig);
  return rig;
}

static void
test_pool_of_downstream_is_used (void)
{
  g_autoptr (GstBufferPool) pool = gst_buffer_pool_new ();
  Offer offer = {pool, 80 * 100 * 4 + 1000, 0};
  g_autoptr (MelRig) rig = rig_new_with_offer (&offer);

  mel_rig_push (rig, speech, RATE, 0);
  g_assert_true (
      GST_BUFFER_CAST (g_queue_peek_tail (&rig->pushed))->pool == pool);
  mel_rig_check_window (rig, 0, speech, RATE);
}

/* A pool that makes its buffers larger than asked. */
#define LARGER 65536

typedef GstBufferPool LargerPool;
typedef GstBufferPoolClass LargerPoolClass;
static GType larger_pool_get_type (void);
G_DEFINE_TYPE (LargerPool, larger_pool, GST_TYPE_BUFFER_POOL)

static gboolean
larger_pool_set_config (GstBufferPool *pool, GstStructure *config)
{
  GstCaps *caps;
  guint size, min, max;
  gboolean as_asked;

  gst_buffer_pool_config_get_params (config, &caps, &size, &min, &max);
  as_asked = size >= LARGER;
  gst_buffer_pool_config_set_params (config, caps, LARGER, min, max);
  return GST_BUFFER_POOL_CLASS (larger_pool_parent_class)
             ->set_config (pool, config) &&
         as_asked;
}

static void
larger_pool_class_init (LargerPoolClass *klass)
{
  klass->set_config = larger_pool_set_config;
}

static void
larger_pool_init (LargerPool *pool)
{
}

static void
test_larger_buffers_of_downstream (void)
{
  g_autoptr (GstBufferPool) pool = g_object_new (larger_pool_get_type (), NULL);
  Offer offer = {pool, LARGER, 0};
  g_autoptr (MelRig) rig = NULL;

  gst_object_ref_sink (pool);
  rig = rig_new_with_offer (&offer);
  mel_rig_push (rig, speech, RATE, 0);
  g_assert_true (
      GST_BUFFER_CAST (g_queue_peek_tail (&rig->pushed))->pool == pool);
  mel_rig_check_window (rig, 0, speech, RATE); /* no larger than a window */
}

static void
test_buffers_are_aligned_and_used_again (void)
{
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);
  gpointer first = NULL;

  mel_rig_start (rig);
  for (gsize i = 0; i < 4; i++) {
    GstMapInfo map;

    mel_rig_push (rig, speech, RATE, i * GST_SECOND);
    g_autoptr (GstBuffer) window = mel_rig_pop_window (rig);
    gst_buffer_map (window, &map, GST_MAP_READ);
    g_assert_cmpuint ((guintptr) map.data % 64, ==, 0);
    if (i == 0)
      first = map.data;
    g_assert_true (map.data == first);
    gst_buffer_unmap (window, &map);
  }
}

static gpointer
push_second (gpointer data)
{
  return GINT_TO_POINTER (mel_rig_push (data, speech + RATE, RATE, GST_SECOND));
}

/* Downstream's only buffer is out: a flush must not wait for it. */
static void
test_flush_frees_from_an_empty_pool (gconstpointer to_ready)
{
  g_autoptr (GstBufferPool) pool = gst_buffer_pool_new ();
  Offer offer = {pool, 80 * 100 * 4, 1};
  g_autoptr (MelRig) rig = rig_new_with_offer (&offer);
  g_autoptr (GstBuffer) window = NULL;
  GThread *thread;

  mel_rig_push (rig, speech, RATE, 0);
  window = mel_rig_pop_window (rig);
  g_assert_nonnull (window);
  thread = g_thread_new ("push", push_second, rig);
  g_usleep (100 * 1000);
  if (to_ready)
    gst_element_set_state (rig->element, GST_STATE_READY);
  else
    mel_rig_send (rig, gst_event_new_flush_start ());
  g_assert_cmpint (
      GPOINTER_TO_INT (g_thread_join (thread)), ==, GST_FLOW_FLUSHING);
}

/* --- properties and states --- */

static void
test_defaults (void)
{
  g_autoptr (GstElement) element =
      gst_object_ref_sink (gst_element_factory_make ("whispermel", NULL));
  GstClockTime window, hop;
  int n_mels;

  g_object_get (
      element, "window", &window, "hop", &hop, "n-mels", &n_mels, NULL);
  g_assert_cmpuint (window, ==, 30 * GST_SECOND);
  g_assert_cmpuint (hop, ==, 0);
  g_assert_cmpint (n_mels, ==, 0);
}

static void
test_properties_wait_for_ready (void)
{
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);
  GstClockTime window;

  mel_rig_start (rig);
  g_object_set (rig->element, "window", 2 * GST_SECOND, NULL);
  g_object_get (rig->element, "window", &window, NULL);
  g_assert_cmpuint (window, ==, GST_SECOND);
  mel_rig_push (rig, speech, RATE, 0);
  mel_rig_check_window (rig, 0, speech, RATE);

  gst_element_set_state (rig->element, GST_STATE_READY);
  g_object_set (rig->element, "window", 2 * GST_SECOND, NULL);
  g_object_get (rig->element, "window", &window, NULL);
  g_assert_cmpuint (window, ==, 2 * GST_SECOND);
}

static void
check_bad_setting (const char *property, GstClockTime value, const char *says)
{
  g_autoptr (GstElement) element =
      gst_object_ref_sink (gst_element_factory_make ("whispermel", NULL));
  MelRig rig = {.element = element, .bus = gst_bus_new ()};

  gst_element_set_bus (element, rig.bus);
  g_object_set (element, property, value, NULL);
  g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==,
      GST_STATE_CHANGE_FAILURE);
  mel_rig_check_message (&rig, GST_MESSAGE_ERROR, GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_SETTINGS, property, says, NULL);

  /* Once it is right, the element goes on. */
  g_object_set (element, property, GST_SECOND, NULL);
  g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==,
      GST_STATE_CHANGE_SUCCESS);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
  gst_object_unref (rig.bus);
}

static void
test_bad_settings_say_why (void)
{
  check_bad_setting ("window", GST_SECOND + 1, "1000000000 is one");
  check_bad_setting ("window", GST_SECOND + 10 * GST_MSECOND, "20 ms");
  check_bad_setting ("window", 30, "30 s are window=30000000000");
  check_bad_setting ("window", 0, "nanoseconds");
  check_bad_setting ("window", 500 * GST_MSECOND, "1000000000 (1 s)");
  check_bad_setting ("window", 60 * GST_SECOND, "30000000000 (30 s)");
  check_bad_setting ("hop", (guint64) G_MAXINT64 + 1, "largest");
  check_bad_setting ("hop", 5, "nanoseconds");
  check_bad_setting ("hop", 10 * GST_MSECOND - 1, "10 ms");
}

/* In a launch line a property is set while its element is made, and GObject
 * would replace a value out of its range by 0 without telling. */
static void
test_bad_settings_in_a_launch_line (void)
{
  static const char *const values[] = {"30", "60000000000", "500000000", "-2"};

  for (guint i = 0; i < G_N_ELEMENTS (values); i++) {
    g_autofree char *line =
        g_strdup_printf ("whispermel name=mel window=%s ! fakesink", values[i]);
    g_autoptr (GstElement) pipeline = gst_parse_launch (line, NULL);
    MelRig rig = {.bus = gst_element_get_bus (pipeline)};

    g_assert_cmpint (gst_element_set_state (pipeline, GST_STATE_PAUSED), ==,
        GST_STATE_CHANGE_FAILURE);
    mel_rig_check_message (&rig, GST_MESSAGE_ERROR, GST_RESOURCE_ERROR,
        GST_RESOURCE_ERROR_SETTINGS, "Property window", "nanoseconds", NULL);
    gst_element_set_state (pipeline, GST_STATE_NULL);
    gst_object_unref (rig.bus);
  }
}

/* -1 and max are the largest number, by GStreamer's convention. */
static void
test_longest_window (void)
{
  static const char *const values[] = {"-1", "max"};

  for (guint i = 0; i < G_N_ELEMENTS (values); i++) {
    g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);
    GstClockTime window;

    gst_element_set_state (rig->element, GST_STATE_READY);
    gst_util_set_object_arg (G_OBJECT (rig->element), "window", values[i]);
    g_object_get (rig->element, "window", &window, NULL);
    g_assert_cmpuint (window, ==, 30 * GST_SECOND);
  }
}

/* wavparse says so only by caps that it pushes. */
static void
test_other_audio_names_converters (void)
{
  static const char *const caps[] = {
      "audio/x-raw,format=S16LE,rate=16000,channels=1,layout=interleaved",
      "audio/x-raw,format=F32LE,rate=44100,channels=1,layout=interleaved",
      ("audio/x-raw,format=F32LE,rate=16000,channels=2,layout=interleaved,"
       "channel-mask=(bitmask)3"),
  };

  for (guint i = 0; i < G_N_ELEMENTS (caps); i++) {
    g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);

    gst_harness_set_src_caps_str (rig->harness, caps[i]);
    mel_rig_check_message (rig, GST_MESSAGE_ERROR, GST_CORE_ERROR,
        GST_CORE_ERROR_NEGOTIATION, "audioconvert ! audioresample", NULL);
    mel_rig_check_no_window (rig);
  }
}

static void
test_shortest_times (void)
{
  g_autoptr (MelRig) rig = mel_rig_new ("hop", 10 * GST_MSECOND, NULL);

  mel_rig_start (rig);
  mel_rig_push (rig, speech, RATE + 1600, 0);
  for (gsize i = 0; i <= 10; i++)
    mel_rig_check_window (rig, i * 160 * SAMPLE, speech + i * 160, RATE);
  mel_rig_check_no_window (rig);
}

static void
test_states_in_cycles (void)
{
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);

  for (int i = 0; i < 5; i++) {
    mel_rig_start (rig);
    mel_rig_push (rig, speech, RATE + 3000 * i, 0);
    mel_rig_check_window (rig, 0, speech, RATE); /* nothing of the last cycle */
    gst_element_set_state (
        rig->element, i % 2 ? GST_STATE_NULL : GST_STATE_READY);
    gst_element_set_state (rig->element, GST_STATE_PLAYING);
    gst_harness_push_event (rig->harness, gst_event_new_stream_start ("again"));
    mel_rig_forget (rig);
  }
}

static void
test_states_without_audio (void)
{
  g_autoptr (GstElement) element =
      gst_object_ref_sink (gst_element_factory_make ("whispermel", NULL));

  for (int i = 0; i < 10; i++) {
    gst_element_set_state (element, (GstState) (GST_STATE_NULL + (i * 3) % 4));
    gst_element_set_state (element, GST_STATE_PAUSED);
    gst_element_set_state (element, GST_STATE_NULL);
  }
}

#define CAPS "/whispermel/caps/"
#define ADD(name, func) g_test_add_func (CAPS name, func)
#define ADD_DATA(name, data, func)                                             \
  g_test_add_data_func (CAPS name, GINT_TO_POINTER (data), func)

int
main (int argc, char **argv)
{
  int result;

  mel_test_init (&argc, &argv);
  speech = test_audio_new_speech (2 * RATE, 3);

  ADD ("bands-by-property", test_bands_by_property);
  ADD ("bands-by-downstream-caps", test_bands_by_downstream);
  ADD ("bands-by-downstream-with-any-length", test_bands_by_a_whole_window);
  ADD ("dimensions-are-spelled-as-downstream-does",
      test_dimensions_are_spelled_as_downstream_does);
  ADD ("whole-window-has-the-documented-caps", test_caps_are_as_designed);
  ADD ("query-tells-what-settings-give", test_caps_query);
  ADD ("other-audio-is-refused", test_other_audio_is_refused);
  ADD ("disagreement-says-why", test_disagreement_says_why);
  ADD ("downstream-changes-its-mind", test_downstream_changes_its_mind);
  ADD ("caps-again-keep-the-audio", test_caps_again_keep_the_audio);
  ADD ("not-linked-is-told-at-eos", test_not_linked);
  ADD ("pool-of-downstream-is-used", test_pool_of_downstream_is_used);
  ADD ("larger-buffers-of-downstream-are-cut",
      test_larger_buffers_of_downstream);
  ADD ("buffers-are-aligned-and-used-again",
      test_buffers_are_aligned_and_used_again);
  ADD_DATA ("flush-frees-from-an-empty-pool", FALSE,
      test_flush_frees_from_an_empty_pool);
  ADD_DATA ("stop-frees-from-an-empty-pool", TRUE,
      test_flush_frees_from_an_empty_pool);
  ADD ("defaults", test_defaults);
  ADD ("properties-wait-for-ready", test_properties_wait_for_ready);
  ADD ("bad-settings-say-why", test_bad_settings_say_why);
  ADD ("bad-settings-in-a-launch-line", test_bad_settings_in_a_launch_line);
  ADD ("longest-window", test_longest_window);
  ADD ("other-audio-names-converters", test_other_audio_names_converters);
  ADD ("shortest-window-and-hop", test_shortest_times);
  ADD ("states-in-cycles", test_states_in_cycles);
  ADD ("states-without-audio", test_states_without_audio);

  result = g_test_run ();
  g_free (speech);
  return result;
}
