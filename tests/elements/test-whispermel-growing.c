/* Windows of mode=growing by the element: their tensors, flags and times, and
 * what events, holes, clocks and a decoder do to them. When they are due is for
 * the unit test of growingwindow.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <gst/audio/audio.h>
#include <gst/check/gsttestclock.h>
#include <string.h>

#include "mel/logmel.h"
#include "mel-rig.h"
#include "test-audio.h"
#include "test-data.h"
#include "windowevent.h"

#define MS GST_MSECOND
#define N_SAMPLES (40 * RATE)
#define CHUNK (RATE / 50)
#define GROWING 2 /* mode */
#define VAD_AUTO 0
#define VAD_NONE 1

static float *noise; /* [N_SAMPLES]: loud throughout */

static MelRig *
growing_rig_new (int vad, const char *property, GstClockTime value)
{
  MelRig *rig = mel_rig_new ("mode", GROWING, "vad", vad, "window",
      4 * GST_SECOND, property, value, NULL);

  mel_rig_start (rig);
  return rig;
}

static MelRig *
default_rig_new (void)
{
  return growing_rig_new (VAD_NONE, "step", 500 * MS);
}

/* Audio of [start, end) of the noise, at its time. */
static void
push (MelRig *rig, GstClockTime start, GstClockTime end)
{
  for (gsize i = start / SAMPLE; i < end / SAMPLE; i += CHUNK)
    mel_rig_push (rig, noise + i, MIN (CHUNK, end / SAMPLE - i), i * SAMPLE);
}

static GstBuffer *
pop (MelRig *rig, GstClockTime start, GstClockTime duration)
{
  GstBuffer *window = mel_rig_pop_window (rig);

  g_assert_nonnull (window);
  g_assert_cmpuint (GST_BUFFER_PTS (window), ==, start);
  g_assert_cmpuint (GST_BUFFER_DURATION (window), ==, duration);
  return window;
}

static void
check (MelRig *rig, GstClockTime start, GstClockTime duration, guint flags)
{
  g_autoptr (GstBuffer) window = pop (rig, start, duration);
  const guint both = GST_BUFFER_FLAG_MARKER | GST_BUFFER_FLAG_DISCONT;

  g_assert_cmphex (GST_BUFFER_FLAGS (window) & both, ==, flags);
}

/* The next window that ends an utterance ends there. */
static void
check_marker (MelRig *rig, GstClockTime end)
{
  GstBuffer *window;

  while ((window = mel_rig_pop_window (rig))) {
    const gboolean found =
        GST_BUFFER_FLAG_IS_SET (window, GST_BUFFER_FLAG_MARKER);

    if (found)
      g_assert_cmpuint (
          GST_BUFFER_PTS (window) + GST_BUFFER_DURATION (window), ==, end);
    gst_buffer_unref (window);
    if (found)
      return;
  }
  g_error ("no window is flagged MARKER");
}

/* --- tensors ------------------------------------------------------------ */

static void
check_content (MelRig *rig, GstClockTime duration, guint n_frames)
{
  g_autoptr (GstBuffer) window = pop (rig, 0, duration);
  g_autoptr (LogMel) log_mel = log_mel_new (80);
  const gsize size = (gsize) n_frames * 80 * sizeof (float);
  g_autofree float *expected = g_malloc (size);

  log_mel_compute (log_mel, noise, duration / SAMPLE, n_frames, expected);
  g_assert_cmpuint (gst_buffer_get_size (window), ==, size);
  g_assert_cmpint (gst_buffer_memcmp (window, 0, expected, size), ==, 0);
}

/* The next caps are of so many frames. */
static void
check_caps (MelRig *rig, guint n_frames)
{
  g_autofree char *wanted = g_strdup_printf ("%u:80:1", n_frames);
  g_autoptr (GstEvent) event = NULL;
  GstCaps *caps;

  while ((event = mel_rig_pop_event (rig)) &&
         GST_EVENT_TYPE (event) != GST_EVENT_CAPS)
    gst_event_unref (event);
  g_assert_nonnull (event);
  gst_event_parse_caps (event, &caps);
  g_assert_cmpstr (
      gst_structure_get_string (gst_caps_get_structure (caps, 0), "dimensions"),
      ==, wanted);
}

/* Silence behind the audio, up to a multiple of the quantum. */
static void
test_content (void)
{
  g_autoptr (MelRig) rig = default_rig_new ();

  push (rig, 0, 2600 * MS);
  check_caps (rig, 300);
  check_content (rig, 1000 * MS, 300);
  check_caps (rig, 400);
  check_content (rig, 1500 * MS, 400);
  check_content (rig, 2000 * MS, 400);
  check_caps (rig, 500);
  check_content (rig, 2500 * MS, 500);
  mel_rig_send (rig, gst_event_new_eos ());
  check_content (rig, 2600 * MS, 500);
}

/* tail=zero is about windows that end with a recording. */
static void
test_padding (void)
{
  g_autoptr (MelRig) rig =
      mel_rig_new ("mode", GROWING, "vad", VAD_NONE, "window", 4 * GST_SECOND,
          "tail", 1, "padding", 300 * MS, "quantum", 200 * MS, NULL);

  mel_rig_start (rig);
  push (rig, 0, 1700 * MS);
  check_caps (rig, 40); /* to begin with */
  check_caps (rig, 140);
  check_content (rig, 1000 * MS, 140);
  check_caps (rig, 180);
  check_content (rig, 1500 * MS, 180);
}

/* --- ends --------------------------------------------------------------- */

static void
test_eos (void)
{
  g_autoptr (MelRig) rig = default_rig_new ();

  push (rig, 0, 1110 * MS);
  mel_rig_send (rig, gst_event_new_eos ());
  check (rig, 0, GST_SECOND, GST_BUFFER_FLAG_DISCONT);
  check (rig, 0, 1110 * MS, GST_BUFFER_FLAG_MARKER);
  mel_rig_check_event (rig, GST_EVENT_EOS);
}

/* Less than a step is a window where nothing follows. */
static void
test_eos_in_the_first_word (void)
{
  g_autoptr (MelRig) rig = default_rig_new ();

  push (rig, 0, 200 * MS);
  mel_rig_send (rig, gst_event_new_eos ());
  check (rig, 0, 200 * MS, GST_BUFFER_FLAG_MARKER | GST_BUFFER_FLAG_DISCONT);
  mel_rig_check_event (rig, GST_EVENT_EOS);
}

static void
test_segment (void)
{
  g_autoptr (MelRig) rig = default_rig_new ();
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.time = 20 * GST_SECOND;
  push (rig, 0, 1300 * MS);
  mel_rig_send (rig, gst_event_new_segment (&segment));
  check (rig, 0, GST_SECOND, GST_BUFFER_FLAG_DISCONT);
  check (rig, 0, 1300 * MS, GST_BUFFER_FLAG_MARKER);
  mel_rig_check_event (rig, GST_EVENT_SEGMENT);
  push (rig, 20 * GST_SECOND, 21100 * MS);
  check (rig, 20 * GST_SECOND, GST_SECOND, GST_BUFFER_FLAG_DISCONT);
  mel_rig_send (rig, gst_event_new_segment_done (GST_FORMAT_TIME, 21100 * MS));
  check (rig, 20 * GST_SECOND, 1100 * MS, GST_BUFFER_FLAG_MARKER);
  mel_rig_check_event (rig, GST_EVENT_SEGMENT_DONE);
}

static void
test_flush (void)
{
  g_autoptr (MelRig) rig = default_rig_new ();
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  push (rig, 0, 1300 * MS);
  mel_rig_forget (rig);
  mel_rig_send (rig, gst_event_new_flush_start ());
  mel_rig_send (rig, gst_event_new_flush_stop (TRUE));
  mel_rig_check_event (rig, GST_EVENT_FLUSH_START);
  mel_rig_check_event (rig, GST_EVENT_FLUSH_STOP);
  mel_rig_send (rig, gst_event_new_segment (&segment));
  push (rig, 10 * GST_SECOND, 11 * GST_SECOND);
  check (rig, 10 * GST_SECOND, GST_SECOND, GST_BUFFER_FLAG_DISCONT);
  mel_rig_check_no_window (rig);
}

/* Zeros are no voice, whoever is asked. */
static void
test_pause (void)
{
  g_autoptr (MelRig) rig = default_rig_new ();
  g_autofree float *zeros = g_new0 (float, RATE);

  push (rig, 0, 1024 * MS);
  mel_rig_push (rig, zeros, RATE, 1024 * MS);
  push (rig, 2024 * MS, 3200 * MS);
  check (rig, 0, GST_SECOND, GST_BUFFER_FLAG_DISCONT);
  check (rig, 0, 1500 * MS, 0);
  check (rig, 0, 1224 * MS, GST_BUFFER_FLAG_MARKER);
  check (rig, 2016 * MS - 300 * MS, 1284 * MS, 0); /* whole blocks */
  mel_rig_check_no_window (rig);
}

/* --- time without audio ------------------------------------------------- */

static void
test_gap_event (void)
{
  g_autoptr (MelRig) rig = default_rig_new ();
  g_autoptr (GstEvent) event = NULL;
  GstClockTime start, duration;

  push (rig, 0, 1100 * MS);
  check (rig, 0, GST_SECOND, GST_BUFFER_FLAG_DISCONT);
  mel_rig_send (rig, gst_event_new_gap (1100 * MS, 10 * GST_SECOND));
  check_marker (rig, 1320 * MS); /* whole blocks */
  event = mel_rig_pop_event (rig);
  gst_event_parse_gap (event, &start, &duration);
  g_assert_cmpuint (start, ==, 1320 * MS);
  g_assert_cmpuint (start + duration, ==, 11100 * MS);
  gst_event_unref (event);
  /* At once, while nobody speaks. */
  mel_rig_send (rig, gst_event_new_gap (11100 * MS, 20 * MS));
  event = mel_rig_pop_event (rig);
  gst_event_parse_gap (event, &start, &duration);
  g_assert_cmpuint (start, ==, 11100 * MS);
  g_assert_cmpuint (duration, ==, 20 * MS);
  push (rig, 11120 * MS, 12600 * MS);
  check (rig, 11120 * MS, 1380 * MS, 0);
}

/* A packet is lost: the word goes on. */
static void
test_a_small_hole (void)
{
  g_autoptr (MelRig) rig = default_rig_new ();
  GstBuffer *buffer;

  push (rig, 0, 1100 * MS);
  check (rig, 0, GST_SECOND, GST_BUFFER_FLAG_DISCONT);
  buffer = mel_buffer_new (noise, RATE / 2, 1280 * MS);
  GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  gst_harness_push (rig->harness, buffer);
  {
    g_autoptr (GstBuffer) window = pop (rig, 0, 1500 * MS);

    g_assert_false (GST_BUFFER_FLAG_IS_SET (window, GST_BUFFER_FLAG_MARKER));
    /* what was heard before is not forgotten */
    g_assert_false (GST_BUFFER_FLAG_IS_SET (window, GST_BUFFER_FLAG_DISCONT));
  }
}

static void
test_a_large_hole (void)
{
  g_autoptr (MelRig) rig = default_rig_new ();
  GstBuffer *buffer;

  push (rig, 0, 1100 * MS);
  check (rig, 0, GST_SECOND, GST_BUFFER_FLAG_DISCONT);
  buffer = mel_buffer_new (noise, RATE, 1320 * MS);
  GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  gst_harness_push (rig->harness, buffer);
  check (rig, 0, 1100 * MS, GST_BUFFER_FLAG_MARKER);
  check (rig, 1320 * MS, GST_SECOND, GST_BUFFER_FLAG_DISCONT);
}

/* --- a decoder ---------------------------------------------------------- */

static guint32
get_seqnum (GstPad *pad)
{
  g_autoptr (GstEvent) segment =
      gst_pad_get_sticky_event (pad, GST_EVENT_SEGMENT, 0);

  return gst_event_get_seqnum (segment);
}

static gboolean
answer (MelRig *rig, GstClockTime until, guint32 seqnum)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");

  return gst_pad_send_event (
      pad, window_event_new_advance (until, GST_CLOCK_TIME_NONE, seqnum));
}

static guint32
get_rig_seqnum (MelRig *rig)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");

  return get_seqnum (pad);
}

static void
test_answers_from_elsewhere (void)
{
  g_autoptr (MelRig) rig = default_rig_new ();
  const guint32 seqnum = get_rig_seqnum (rig);

  push (rig, 0, 4 * GST_SECOND);
  mel_rig_forget (rig);
  g_assert_false (answer (rig, 3 * GST_SECOND, seqnum + 1));
  g_assert_true (answer (rig, 2 * GST_SECOND, seqnum));
  g_assert_true (answer (rig, 3 * GST_SECOND, seqnum));
  g_assert_false (answer (rig, GST_SECOND, seqnum)); /* late */
  push (rig, 4 * GST_SECOND, 4600 * MS);
  check (rig, 3 * GST_SECOND, 1500 * MS, 0);
}

/* Times come again: late answers about the old ones must not cut the new. */
static void
test_late_answers_after_a_jump (void)
{
  g_autoptr (MelRig) rig = default_rig_new ();
  const guint32 seqnum = get_rig_seqnum (rig);
  GstBuffer *buffer;

  push (rig, 0, 4 * GST_SECOND);
  buffer = mel_buffer_new (noise, RATE, 0);
  GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  gst_harness_push (rig->harness, buffer);
  push (rig, 1000 * MS, 4 * GST_SECOND);
  check_marker (rig, 4 * GST_SECOND);
  mel_rig_check_event (rig, GST_EVENT_SEGMENT);
  mel_rig_forget (rig);
  g_assert_cmpuint (get_rig_seqnum (rig), !=, seqnum);
  g_assert_false (answer (rig, 3900 * MS, seqnum));
  push (rig, 4 * GST_SECOND, 4600 * MS);
  check (rig, 0, 4500 * MS, 0);
  g_assert_true (answer (rig, 3900 * MS, get_rig_seqnum (rig)));
}

/* Whole pipelines, with threads between the elements. */
typedef struct {
  GMutex lock;
  GstClockTime told, until;
  guint n_windows, n_cut;
} Decoder;

static GstPadProbeReturn
decode (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  GstBuffer *window = GST_PAD_PROBE_INFO_BUFFER (info);
  Decoder *self = user_data;
  const GstClockTime start = GST_BUFFER_PTS (window);
  const GstClockTime end = start + GST_BUFFER_DURATION (window);

  /* Nothing is left out that is not final. */
  g_assert_cmpuint (start, <=, MAX (self->told, self->until) + 20 * MS);
  self->n_windows++;
  self->n_cut += start >= self->until && self->until > 0;
  if (GST_BUFFER_FLAG_IS_SET (window, GST_BUFFER_FLAG_MARKER)) {
    self->told = end;
  } else if (end - start > GST_SECOND) {
    self->until = MAX (self->until, end - GST_SECOND);
    gst_pad_push_event (pad, window_event_new_advance (self->until,
                                 GST_CLOCK_TIME_NONE, get_seqnum (pad)));
  }
  return GST_PAD_PROBE_OK;
}

static void
test_queues (void)
{
  static const char *const pipelines[] = {
      "whispermel name=mel ! fakesink name=sink async=false",
      "whispermel name=mel ! queue ! fakesink name=sink async=false",
      ("queue ! whispermel name=mel ! queue max-size-buffers=1 ! identity ! "
       "queue ! fakesink name=sink async=false"),
  };

  for (guint i = 0; i < G_N_ELEMENTS (pipelines); i++) {
    g_autofree char *text = g_strdup_printf (
        "audiotestsrc wave=white-noise volume=0.5 num-buffers=1200 "
        "samplesperbuffer=400 ! " AUDIO_CAPS " ! %s",
        pipelines[i]);
    g_autoptr (GError) error = NULL;
    g_autoptr (GstElement) pipeline = gst_parse_launch (text, &error);
    g_autoptr (GstElement) mel =
        gst_bin_get_by_name (GST_BIN (pipeline), "mel");
    g_autoptr (GstElement) sink =
        gst_bin_get_by_name (GST_BIN (pipeline), "sink");
    g_autoptr (GstPad) pad = gst_element_get_static_pad (sink, "sink");
    g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
    g_autoptr (GstMessage) message = NULL;
    Decoder decoder = {.told = 0};

    g_assert_no_error (error);
    gst_util_set_object_arg (G_OBJECT (mel), "mode", "growing");
    gst_util_set_object_arg (G_OBJECT (mel), "vad", "none");
    g_object_set (mel, "window", 4 * GST_SECOND, NULL);
    gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, decode, &decoder, NULL);
    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    message = gst_bus_timed_pop_filtered (
        bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    g_assert_cmpint (GST_MESSAGE_TYPE (message), ==, GST_MESSAGE_EOS);
    gst_element_set_state (pipeline, GST_STATE_NULL);
    g_assert_cmpuint (decoder.told, ==, 30 * GST_SECOND);
    g_assert_cmpuint (decoder.n_windows, >, 30);
  }
}

/* --- clocks ------------------------------------------------------------- */

/* The newest audio is @late behind the clock beyond upstream's latency. */
static guint
count_windows_when_late (GstClockTime late)
{
  g_autoptr (MelRig) rig = default_rig_new ();
  guint n = 0;

  gst_harness_use_testclock (rig->harness);
  gst_harness_set_upstream_latency (rig->harness, 600 * MS);
  for (GstClockTime time = 0; time < 4 * GST_SECOND; time += 100 * MS) {
    gst_harness_set_time (rig->harness, time + 100 * MS + 600 * MS + late);
    push (rig, time, time + 100 * MS);
  }
  for (GstBuffer *window; (window = mel_rig_pop_window (rig)); n++)
    gst_buffer_unref (window);
  return n;
}

static void
test_late (void)
{
  g_assert_cmpuint (count_windows_when_late (0), ==, 7); /* 1.0 to 4.0 s */
  g_assert_cmpuint (count_windows_when_late (500 * MS), ==, 7);
  g_assert_cmpuint (count_windows_when_late (600 * MS), ==, 2); /* of 8 steps */
}

/* --- voice -------------------------------------------------------------- */

static void
push_with_level (MelRig *rig, GstClockTime start, GstClockTime end,
    gboolean voice, guint every)
{
  guint n = 0;

  for (gsize i = start / SAMPLE; i < end / SAMPLE; i += CHUNK, n++) {
    GstBuffer *buffer = mel_buffer_new (noise + i, CHUNK, i * SAMPLE);

    if (n % every == 0)
      gst_buffer_add_audio_level_meta (buffer, 20, voice);
    gst_harness_push (rig->harness, buffer);
  }
}

static void
test_voice_of_upstream (void)
{
  g_autoptr (MelRig) rig = growing_rig_new (VAD_AUTO, "step", 500 * MS);

  push_with_level (rig, 0, 4 * GST_SECOND, FALSE, 1);
  mel_rig_check_no_window (rig);
  push_with_level (rig, 4 * GST_SECOND, 6 * GST_SECOND, TRUE, 1);
  check (rig, 3700 * MS, 1300 * MS, GST_BUFFER_FLAG_DISCONT);
}

/* Now and then it is not taken: the noise is the detector's. */
static void
test_voice_of_upstream_now_and_then (void)
{
  g_autoptr (MelRig) rig = growing_rig_new (VAD_AUTO, "step", 500 * MS);
  g_autoptr (GstBuffer) window = NULL;

  push_with_level (rig, 0, 2 * GST_SECOND, FALSE, 5);
  window = mel_rig_pop_window (rig);
  g_assert_nonnull (window);
}

/* The network says of noise that it is no voice. */
static void
test_voice_by_network (void)
{
  g_autofree char *model = test_data_path ("models/silero-vad-16k.safetensors");
  g_autofree char *wav = model ? test_data_path ("audio/jfk.wav") : NULL;
  g_autofree float *speech = NULL;
  g_autoptr (MelRig) rig = NULL;
  GstBuffer *window;
  gsize n;

  if (!wav)
    return;
  speech = test_audio_read_wav (wav, &n);
  rig = mel_rig_new ("mode", GROWING, "vad-model", model, NULL);
  mel_rig_start (rig);
  push (rig, 0, 10 * GST_SECOND);
  mel_rig_check_no_window (rig);
  mel_rig_push (rig, speech, n, 10 * GST_SECOND);
  mel_rig_send (rig, gst_event_new_eos ());
  window = mel_rig_pop_window (rig);
  g_assert_nonnull (window);
  /* "And so, my fellow Americans" begins after 0.3 s. */
  g_assert_cmpuint (GST_BUFFER_PTS (window), >=, 10 * GST_SECOND - 100 * MS);
  g_assert_cmpuint (GST_BUFFER_PTS (window), <=, 10 * GST_SECOND + 300 * MS);
  gst_buffer_unref (window);
}

/* Voice that was heard before it, and an answer, are not of what comes. */
static void
test_seek (void)
{
  g_autoptr (MelRig) rig = default_rig_new ();
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.time = segment.position = 30 * GST_SECOND;
  push (rig, 0, 3300 * MS);
  answer (rig, 2 * GST_SECOND, get_rig_seqnum (rig));
  mel_rig_send (rig, gst_event_new_flush_start ());
  mel_rig_send (rig, gst_event_new_flush_stop (TRUE));
  mel_rig_send (rig, gst_event_new_segment (&segment));
  mel_rig_forget (rig);
  push (rig, 30 * GST_SECOND, 31200 * MS);
  check (rig, 30 * GST_SECOND, GST_SECOND, GST_BUFFER_FLAG_DISCONT);
  mel_rig_send (rig, gst_event_new_eos ());
  check (rig, 30 * GST_SECOND, 1200 * MS, GST_BUFFER_FLAG_MARKER);
  mel_rig_check_event (rig, GST_EVENT_EOS);
}

#define ADD(name, func) g_test_add_func ("/whispermel/growing/" name, func)

int
main (int argc, char **argv)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  int result;

  mel_test_init (&argc, &argv);
  noise = g_new (float, N_SAMPLES);
  for (gsize i = 0; i < N_SAMPLES; i++)
    noise[i] = g_rand_double_range (rand, -0.5, 0.5);

  ADD ("content", test_content);
  ADD ("padding", test_padding);
  ADD ("eos", test_eos);
  ADD ("eos/first-word", test_eos_in_the_first_word);
  ADD ("segment", test_segment);
  ADD ("flush", test_flush);
  ADD ("pause", test_pause);
  ADD ("gap", test_gap_event);
  ADD ("hole/small", test_a_small_hole);
  ADD ("hole/large", test_a_large_hole);
  ADD ("answers", test_answers_from_elsewhere);
  ADD ("answers/jump", test_late_answers_after_a_jump);
  ADD ("queues", test_queues);
  ADD ("late", test_late);
  ADD ("voice/upstream", test_voice_of_upstream);
  ADD ("voice/now-and-then", test_voice_of_upstream_now_and_then);
  ADD ("voice/network", test_voice_by_network);
  ADD ("seek", test_seek);
  result = g_test_run ();
  g_free (noise);
  return result;
}
