/* Sources that lose packets, pause or lie about time, and buffers that are not
 * what they say: windows keep the stream's time and lose no audio.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <string.h>

#include "mel-rig.h"
#include "test-audio.h"

#define N_SAMPLES (62 * RATE)
#define PACKET 320
#define N_PACKETS (N_SAMPLES / PACKET)
#define PACKET_TIME (PACKET * SAMPLE)

static float *speech;  /* [N_SAMPLES] */
static float *silence; /* [N_SAMPLES] */

static MelRig *
rig_new_with_window (GstClockTime window)
{
  MelRig *rig = mel_rig_new ("window", window, NULL);

  mel_rig_start (rig);
  return rig;
}

static void
push_packet (MelRig *rig, gsize i, gint64 off)
{
  GstClockTime pts = MAX ((gint64) (i * PACKET_TIME) + off, 0);

  mel_rig_push (rig, speech + i * PACKET, PACKET, pts);
}

/* Of packets in a row, every one but those of which @lost says so: windows are
 * those of audio with silence in their place. */
static void
check_loss (gboolean (*lost) (gsize i, GRand *rand))
{
  g_autoptr (MelRig) rig = rig_new_with_window (30 * GST_SECOND);
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  g_autofree float *expected = g_memdup2 (speech, N_SAMPLES * sizeof (float));

  for (gsize i = 0; i < N_PACKETS; i++) {
    if (lost (i, rand))
      memset (expected + i * PACKET, 0, PACKET * sizeof (float));
    else
      push_packet (rig, i, 0);
  }
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_window (rig, 0, expected, 30 * RATE);
  mel_rig_check_window (rig, 30 * GST_SECOND, expected + 30 * RATE, 30 * RATE);
  mel_rig_check_window (
      rig, 60 * GST_SECOND, expected + 60 * RATE, N_SAMPLES - 60 * RATE);
  mel_rig_check_no_window (rig);
}

static gboolean
is_lost_at_random (gsize i, GRand *rand)
{
  return i > 20 && i < N_PACKETS - 1 && g_rand_int_range (rand, 0, 100) < 5;
}

/* The last packet of a window, and the first of the next. */
static gboolean
is_lost_at_border (gsize i, GRand *rand)
{
  return i == 1499 || i == 1500;
}

/* Comfort noise every 400 ms. */
static gboolean
is_lost_by_dtx (gsize i, GRand *rand)
{
  return i >= 250 && i < 2500 && i % 20 != 0;
}

static void
test_loss (void)
{
  check_loss (is_lost_at_random);
}

static void
test_loss_at_the_border (void)
{
  check_loss (is_lost_at_border);
}

static void
test_dtx (void)
{
  check_loss (is_lost_by_dtx);
}

/* Each phrase of 2 s is followed by as long a pause, for a minute. */
static void
test_phrases (void)
{
  g_autoptr (MelRig) rig = rig_new_with_window (30 * GST_SECOND);
  g_autoptr (GstBuffer) first = NULL, second = NULL;

  for (gsize i = 0; i < N_PACKETS; i++)
    if (i / 100 % 2 == 0)
      push_packet (rig, i, 0);
  mel_rig_send (rig, gst_event_new_eos ());
  first = mel_rig_pop_window (rig);
  second = mel_rig_pop_window (rig);
  g_assert_cmpuint (GST_BUFFER_DURATION (first), ==, 30 * GST_SECOND);
  g_assert_cmpuint (GST_BUFFER_PTS (second), ==, 32 * GST_SECOND);
  g_assert_cmpuint (GST_BUFFER_DURATION (second), ==, 30 * GST_SECOND);
  mel_rig_check_no_window (rig);
}

/* A pause of an hour without a GAP event: one window ends, and no other comes
 * until there is audio. */
static void
test_pause (void)
{
  g_autoptr (MelRig) rig = rig_new_with_window (30 * GST_SECOND);
  const gsize hour = 3600 * RATE / PACKET;

  for (gsize i = 0; i < 500; i++)
    push_packet (rig, i, 0);
  for (gsize i = 500; i < 1000; i++)
    push_packet (rig, i, hour * PACKET_TIME);
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_window (rig, 0, speech, 10 * RATE);
  mel_rig_check_window (rig, 3610 * GST_SECOND, speech + 10 * RATE, 10 * RATE);
  mel_rig_check_no_window (rig);
}

static void
test_outlier (gconstpointer ms)
{
  g_autoptr (MelRig) rig = rig_new_with_window (30 * GST_SECOND);

  for (gsize i = 0; i < 1500; i++)
    push_packet (
        rig, i, i == 700 ? GPOINTER_TO_INT (ms) * (gint64) GST_MSECOND : 0);
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_window (rig, 0, speech, 30 * RATE);
  mel_rig_check_no_window (rig);
}

/* Stamps of arrival: the bytes are those of stamps without jitter, and nothing
 * is flagged. */
static void
test_jitter (void)
{
  g_autoptr (MelRig) rig = rig_new_with_window (30 * GST_SECOND);
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);

  for (gsize i = 0; i < N_PACKETS; i++)
    push_packet (
        rig, i, i > 0 ? g_rand_int_range (rand, -10000, 10000) * 1000 : 0);
  for (gsize w = 0; w < 2; w++) {
    GstBuffer *window;

    while (!GST_IS_BUFFER (g_queue_peek_head (&rig->pushed)))
      gst_event_unref (mel_rig_pop_event (rig));
    window = g_queue_peek_head (&rig->pushed);
    g_assert_cmpint (GST_BUFFER_IS_DISCONT (window), ==, w == 0);
    mel_rig_check_window (
        rig, w * 30 * GST_SECOND, speech + w * 30 * RATE, 30 * RATE);
  }
}

/* A microphone that jitters by 80 ms, and the property that is for it. */
static void
test_alignment_threshold (void)
{
  g_autoptr (MelRig) rig = mel_rig_new ("window", 10 * GST_SECOND,
      "alignment-threshold", 200 * GST_MSECOND, NULL);
  g_autoptr (GRand) rand = g_rand_new_with_seed (4);

  mel_rig_start (rig);
  for (gsize i = 0; i < 1500; i++)
    push_packet (
        rig, i, i > 0 ? g_rand_int_range (rand, -80, 80) * 1000000 : 0);
  for (gsize w = 0; w < 3; w++) {
    g_autoptr (GstBuffer) window = mel_rig_pop_window (rig);
    gint64 off = (gint64) GST_BUFFER_PTS (window) - w * 10 * GST_SECOND;

    g_assert_cmpint (ABS (off), <=, 100 * (gint64) GST_MSECOND);
  }
  mel_rig_check_no_window (rig);
}

/* Who cannot wait believes each stamp. */
static void
test_discont_wait (void)
{
  g_autoptr (MelRig) rig =
      mel_rig_new ("window", GST_SECOND, "discont-wait", (guint64) 0, NULL);

  mel_rig_start (rig);
  mel_rig_push (rig, speech, PACKET, 0);
  mel_rig_push (rig, speech, PACKET, 5 * GST_SECOND);
  mel_rig_check_window (rig, 0, speech, PACKET); /* with nothing after it */
}

/* Three jumps that upstream did not flag, as of a file with wrong stamps. */
static void
test_jumps_are_told (void)
{
  g_autoptr (MelRig) rig = rig_new_with_window (30 * GST_SECOND);

  for (gsize i = 0; i < 3; i++)
    mel_rig_push (rig, speech, RATE, i * 100 * GST_SECOND);
  g_assert_null (gst_bus_pop_filtered (rig->bus, GST_MESSAGE_WARNING));
  for (gsize i = 3; i < 6; i++)
    mel_rig_push (rig, speech, RATE, i * 100 * GST_SECOND);
  mel_rig_check_message (rig, GST_MESSAGE_WARNING, GST_STREAM_ERROR,
      GST_STREAM_ERROR_FORMAT, "timestamps", "alignment-threshold", NULL);
  g_assert_null (gst_bus_pop_filtered (rig->bus, GST_MESSAGE_WARNING));
}

/* On a buffer that is outside the segment, or has no samples, it tells of a
 * hole before the one after it. */
static void
test_discont_on_nothing (void)
{
  g_autoptr (MelRig) rig = rig_new_with_window (GST_SECOND);
  GstBuffer *buffer;

  mel_rig_push (rig, speech, PACKET, 0);
  buffer = mel_buffer_new (speech, 0, 5 * GST_SECOND);
  GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  gst_harness_push (rig->harness, buffer);
  mel_rig_check_no_window (rig);
  mel_rig_push (rig, speech, PACKET, 5 * GST_SECOND);
  mel_rig_check_window (rig, 0, speech, PACKET); /* at once */
}

/* The stamps of a file at half its speed, four buffers at a time. Upstream may
 * flag each of its jumps, as audioresample does. Windows begin each @step. */
static void
push_at_half_speed (MelRig *rig, gboolean flagged, GstClockTime step)
{
  mel_rig_start (rig);
  for (gsize i = 0; i < 250; i++) {
    GstBuffer *buffer = mel_buffer_new (
        speech + i * 2000, 2000, (i / 4 * 4000 + i % 4 * 2000) * SAMPLE);

    if (flagged && i % 4 == 0)
      GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
    g_assert_cmpint (gst_harness_push (rig->harness, buffer), ==, GST_FLOW_OK);
  }
  mel_rig_send (rig, gst_event_new_eos ());
  for (gsize w = 0; w < 4; w++) {
    g_autoptr (GstBuffer) window = mel_rig_pop_window (rig);

    g_assert_nonnull (window);
    g_assert_cmpuint (GST_BUFFER_PTS (window), ==, w * step);
    g_assert_cmpuint (GST_BUFFER_DURATION (window), ==,
        w < 3 ? 10 * GST_SECOND : 250 * 2000 * SAMPLE - 30 * GST_SECOND);
  }
  mel_rig_check_no_window (rig);
}

static void
test_wrong_speed (gconstpointer flagged)
{
  g_autoptr (MelRig) rig = rig_new_with_window (10 * GST_SECOND);

  push_at_half_speed (rig, GPOINTER_TO_INT (flagged), 10 * GST_SECOND);
  mel_rig_check_message (rig, GST_MESSAGE_WARNING, GST_STREAM_ERROR,
      GST_STREAM_ERROR_FORMAT, "go back", "alignment-threshold", NULL);
  g_assert_null (gst_bus_pop_filtered (rig->bus, GST_MESSAGE_WARNING));
}

static void
test_wrong_speed_below_threshold (void)
{
  g_autoptr (MelRig) rig = mel_rig_new ("window", 10 * GST_SECOND,
      "alignment-threshold", 3600 * GST_SECOND, NULL);

  push_at_half_speed (rig, FALSE, 5 * GST_SECOND); /* whose stamps are right */
  g_assert_null (gst_bus_pop_filtered (rig->bus, GST_MESSAGE_WARNING));
}

/* --- buffers that are not what they say --- */

/* Inside the segment by its samples, partly outside by its duration. */
static void
test_long_duration (void)
{
  g_autoptr (MelRig) rig = rig_new_with_window (GST_SECOND);
  GstBuffer *buffer =
      mel_buffer_new (speech + RATE / 2, RATE / 2, GST_SECOND / 2);
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.stop = GST_SECOND;
  mel_rig_send (rig, gst_event_new_segment (&segment));
  mel_rig_push (rig, speech, RATE / 2, 0);
  GST_BUFFER_DURATION (buffer) = 3600 * GST_SECOND;
  g_assert_cmpint (gst_harness_push (rig->harness, buffer), ==, GST_FLOW_OK);
  mel_rig_check_window (rig, 0, speech, RATE);
}

static void
test_short_duration (void)
{
  g_autoptr (MelRig) rig = rig_new_with_window (GST_SECOND);
  GstBuffer *buffer = mel_buffer_new (speech, 2 * RATE, GST_SECOND / 2);
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.time = GST_SECOND;
  mel_rig_send (rig, gst_event_new_segment (&segment));
  GST_BUFFER_DURATION (buffer) = 0;
  gst_harness_push (rig->harness, buffer);
  mel_rig_check_window (rig, GST_SECOND, speech + RATE / 2, RATE);
}

static void
test_gap_that_wraps (void)
{
  g_autoptr (MelRig) rig = rig_new_with_window (GST_SECOND);

  mel_rig_push (rig, speech, RATE, 0);
  mel_rig_send (
      rig, gst_event_new_gap (G_MAXINT64 - GST_SECOND, G_MAXUINT64 - 1));
  mel_rig_send (rig, gst_event_new_gap (G_MAXUINT64 - 2, 100 * GST_SECOND));
  mel_rig_check_window (rig, 0, speech, RATE);
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_no_window (rig);
}

static void
test_unaligned_samples (void)
{
  for (gsize skew = 1; skew < 4; skew++) {
    g_autoptr (MelRig) rig = rig_new_with_window (GST_SECOND);
    GstBuffer *buffer =
        gst_buffer_new_allocate (NULL, RATE * sizeof (float) + skew, NULL);

    gst_buffer_fill (buffer, skew, speech, RATE * sizeof (float));
    gst_buffer_resize (buffer, skew, RATE * sizeof (float));
    GST_BUFFER_PTS (buffer) = 0;
    gst_harness_push (rig->harness, buffer);
    mel_rig_check_window (rig, 0, speech, RATE);
  }
}

/* Downstream wants its buffers with a prefix, of any length. */
static void
test_prefix_of_downstream (void)
{
  static const gsize prefixes[] = {1, 2, 3, 4, 64, 65};

  for (guint i = 0; i < G_N_ELEMENTS (prefixes); i++) {
    g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);
    GstAllocationParams params = {
        .prefix = prefixes[i], .align = 15, .padding = 7};
    gsize offset, max_size;

    gst_harness_set_propose_allocator (rig->harness, NULL, &params);
    mel_rig_start (rig);
    mel_rig_push (rig, speech, RATE, 0);
    gst_buffer_get_sizes (g_queue_peek_tail (&rig->pushed), &offset, &max_size);
    g_assert_cmpuint (offset, ==, prefixes[i]);
    g_assert_cmpuint (max_size, >=, prefixes[i] + 80 * 100 * 4 + 7);
    mel_rig_check_window (rig, 0, speech, RATE);
  }
}

/* --- windows without sound, and what is behind the audio --- */

static gboolean
is_flagged_gap (MelRig *rig)
{
  return GST_BUFFER_FLAG_IS_SET (
      g_queue_peek_tail (&rig->pushed), GST_BUFFER_FLAG_GAP);
}

static void
test_zeros_are_flagged (void)
{
  g_autoptr (MelRig) rig = rig_new_with_window (GST_SECOND);
  g_autofree float *click = g_memdup2 (silence, RATE * sizeof (float));

  mel_rig_push (rig, silence, RATE, 0);
  g_assert_true (is_flagged_gap (rig));
  mel_rig_check_window (rig, 0, silence, RATE);

  click[RATE - 1] = 1e-30f;
  mel_rig_push (rig, click, RATE, GST_SECOND);
  g_assert_false (is_flagged_gap (rig));
  click[RATE - 1] = NAN; /* is taken for silence */
  mel_rig_push (rig, click, RATE, 2 * GST_SECOND);
  g_assert_true (is_flagged_gap (rig));
  mel_rig_push (rig, silence, RATE / 2, 3 * GST_SECOND);
  mel_rig_send (rig, gst_event_new_gap (3 * GST_SECOND + RATE / 2 * SAMPLE,
                         RATE / 2 * SAMPLE));
  g_assert_true (is_flagged_gap (rig));
}

static void
test_zero_tail (void)
{
  static const gsize lengths[] = {1, 159, 160, 161, 8000, 8159, RATE - 1, RATE};

  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++) {
    g_autoptr (MelRig) rig = rig_new_with_window (GST_SECOND);
    g_autoptr (MelRig) zero = mel_rig_new ("tail", 1, NULL);
    g_autoptr (GstBuffer) a = NULL, b = NULL;
    gsize n_content = lengths[i] / 160;
    GstMapInfo x, y;

    mel_rig_start (zero);
    mel_rig_push (rig, speech, lengths[i], 0);
    mel_rig_push (zero, speech, lengths[i], 0);
    mel_rig_send (rig, gst_event_new_eos ());
    mel_rig_send (zero, gst_event_new_eos ());
    a = mel_rig_pop_window (rig);
    b = mel_rig_pop_window (zero);
    gst_buffer_map (a, &x, GST_MAP_READ);
    gst_buffer_map (b, &y, GST_MAP_READ);
    for (gsize m = 0; m < 80; m++)
      for (gsize f = 0; f < 100; f++) {
        const float *padded = (const float *) (gpointer) x.data + m * 100 + f;
        const float *cut = (const float *) (gpointer) y.data + m * 100 + f;

        if (f < n_content)
          g_assert_cmpfloat (*cut, ==, *padded);
        else
          g_assert_cmpfloat (*cut, ==, 0);
      }
    gst_buffer_unmap (a, &x);
    gst_buffer_unmap (b, &y);
    g_assert_cmpuint (GST_BUFFER_DURATION (b), ==, lengths[i] * SAMPLE);
  }
}

#define TIME "/whispermel/time/"
#define ADD(name, func) g_test_add_func (TIME name, func)
#define ADD_DATA(name, data, func)                                             \
  g_test_add_data_func (TIME name, GINT_TO_POINTER (data), func)

int
main (int argc, char **argv)
{
  int result;

  mel_test_init (&argc, &argv);
  speech = test_audio_new_speech (N_SAMPLES, 6);
  silence = g_new0 (float, N_SAMPLES);

  ADD ("lost-packets-are-silence", test_loss);
  ADD ("loss-at-a-border", test_loss_at_the_border);
  ADD ("dtx-is-silence", test_dtx);
  ADD ("pauses-between-phrases-make-no-windows", test_phrases);
  ADD ("a-pause-ends-a-window-once", test_pause);
  ADD_DATA ("outlier-of-30-ms-changes-nothing", 30, test_outlier);
  ADD_DATA ("outlier-of-100-ms-changes-nothing", 100, test_outlier);
  ADD_DATA ("outlier-of-5-s-changes-nothing", 5000, test_outlier);
  ADD_DATA ("outlier-backwards-changes-nothing", -3000, test_outlier);
  ADD ("jitter-changes-nothing", test_jitter);
  ADD ("alignment-threshold-is-for-more-jitter", test_alignment_threshold);
  ADD ("discont-wait-0-believes-at-once", test_discont_wait);
  ADD ("many-jumps-are-told", test_jumps_are_told);
  ADD ("discont-on-nothing-is-kept", test_discont_on_nothing);
  ADD_DATA ("stamps-at-half-speed-count-samples", FALSE, test_wrong_speed);
  ADD_DATA ("flagged-stamps-at-half-speed-do-too", TRUE, test_wrong_speed);
  ADD (
      "threshold-beyond-the-jumps-is-silent", test_wrong_speed_below_threshold);
  ADD ("duration-longer-than-the-samples", test_long_duration);
  ADD ("duration-shorter-than-the-samples", test_short_duration);
  ADD ("gap-that-wraps", test_gap_that_wraps);
  ADD ("unaligned-samples", test_unaligned_samples);
  ADD ("prefix-of-downstream", test_prefix_of_downstream);
  ADD ("windows-of-zeros-are-flagged", test_zeros_are_flagged);
  ADD ("zero-tail-begins-behind-the-last-whole-frame", test_zero_tail);

  result = g_test_run ();
  g_free (speech);
  g_free (silence);
  return result;
}
