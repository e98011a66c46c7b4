/* What whispermel makes of audio: windows, their bytes and their times.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "compare.h"
#include "ref-logmel.h"
#include "test-audio.h"
#include "mel-rig.h"

#define SECONDS 10
#define N_SAMPLES (SECONDS * RATE)

static float *speech; /* [N_SAMPLES] */

static void
test_window_is_that_of_float64 (gconstpointer n_mels_pointer)
{
  guint n_mels = GPOINTER_TO_UINT (n_mels_pointer);
  g_autoptr (MelRig) rig =
      mel_rig_new ("window", 5 * GST_SECOND, "n-mels", n_mels, NULL);
  g_autofree float *expected = ref_log_mel (speech, 5 * RATE, n_mels, 500);
  g_autoptr (GstBuffer) window = NULL;
  Comparison result;
  GstMapInfo map;

  mel_rig_start (rig);
  mel_rig_push (rig, speech, 5 * RATE, 0);
  window = mel_rig_pop_window (rig);
  g_assert_nonnull (window);
  gst_buffer_map (window, &map, GST_MAP_READ);
  g_assert_cmpuint (map.size, ==, n_mels * 500 * sizeof (float));
  compare_arrays ((const float *) map.data, expected, n_mels, 500, &result);
  compare_print ("window", &result);
  g_assert_cmpfloat (result.max_error, <=, 1e-3);
  g_assert_cmpfloat (result.mean_error, <=, 1e-5);
  gst_buffer_unmap (window, &map);
}

/* All windows' bytes and times in one. */
static GBytes *
run_in_chunks (GstClockTime window, GstClockTime hop, gsize chunk, GRand *rand)
{
  g_autoptr (MelRig) rig = mel_rig_new ("window", window, "hop", hop, NULL);
  g_autoptr (GByteArray) all = g_byte_array_new ();
  GstBuffer *buffer;

  mel_rig_start (rig);
  for (gsize i = 0, n; i < N_SAMPLES; i += n) {
    n = rand ? (gsize) g_rand_int_range (rand, 1, 5000) : chunk;
    n = MIN (n, N_SAMPLES - i);
    mel_rig_push (rig, speech + i, n, i * SAMPLE);
  }
  mel_rig_send (rig, gst_event_new_eos ());

  while ((buffer = mel_rig_pop_window (rig))) {
    guint64 times[] = {GST_BUFFER_PTS (buffer), GST_BUFFER_DURATION (buffer),
        GST_BUFFER_OFFSET (buffer), GST_BUFFER_OFFSET_END (buffer),
        GST_BUFFER_FLAGS (buffer) & ~GST_BUFFER_FLAG_TAG_MEMORY};
    GstMapInfo map;

    gst_buffer_map (buffer, &map, GST_MAP_READ);
    g_byte_array_append (all, (guint8 *) times, sizeof times);
    g_byte_array_append (all, map.data, map.size);
    gst_buffer_unmap (buffer, &map);
    gst_buffer_unref (buffer);
  }
  return g_byte_array_free_to_bytes (g_steal_pointer (&all));
}

static void
test_chunks_do_not_matter (void)
{
  static const gsize chunks[] = {160, 1024, 15999, 16001, 50000};
  static const struct {
    GstClockTime window, hop;
  } times[] = {{GST_SECOND, 0}, {2 * GST_SECOND, 700 * GST_MSECOND},
      {1500 * GST_MSECOND, 2100 * GST_MSECOND + 12345}};

  for (guint t = 0; t < G_N_ELEMENTS (times); t++) {
    g_autoptr (GRand) rand = g_rand_new_with_seed (t);
    g_autoptr (GBytes) whole =
        run_in_chunks (times[t].window, times[t].hop, N_SAMPLES, NULL);
    g_autoptr (GBytes) random =
        run_in_chunks (times[t].window, times[t].hop, 0, rand);

    g_assert_cmpuint (g_bytes_get_size (whole), >, 4 * 80 * 100 * 4);
    g_assert_true (g_bytes_equal (whole, random));
    for (guint i = 0; i < G_N_ELEMENTS (chunks); i++) {
      g_autoptr (GBytes) bytes =
          run_in_chunks (times[t].window, times[t].hop, chunks[i], NULL);

      g_assert_true (g_bytes_equal (whole, bytes));
    }
  }
}

static void
test_single_samples (void)
{
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);

  mel_rig_start (rig);
  for (gsize i = 0; i < RATE; i++)
    mel_rig_push (rig, speech + i, 1, i * SAMPLE);
  mel_rig_check_window (rig, 0, speech, RATE);
}

static void
test_windows_follow_one_another (void)
{
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);

  mel_rig_start (rig);
  mel_rig_push (rig, speech, N_SAMPLES, 0);
  for (gsize i = 0; i < SECONDS; i++)
    mel_rig_check_window (rig, i * GST_SECOND, speech + i * RATE, RATE);
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_no_window (rig);
}

/* Whatever the mode: where speech is, words are. */
static void
test_pauses_are_told (void)
{
  static const char *const modes[] = {"fixed", "follow", "pauses"};
  g_autofree float *samples = g_memdup2 (speech, RATE * sizeof (float));

  memset (samples, 0, RATE / 2 * sizeof (float));
  for (guint i = 0; i < G_N_ELEMENTS (modes); i++) {
    g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);
    g_autoptr (GstBuffer) window = NULL;

    gst_util_set_object_arg (G_OBJECT (rig->element), "mode", modes[i]);
    mel_rig_start (rig);
    mel_rig_push (rig, samples, RATE, 0);
    mel_rig_send (rig, gst_event_new_eos ());
    window = mel_rig_pop_window (rig);
    g_assert_nonnull (gst_buffer_get_custom_meta (window, "WhisperPauses"));
  }
}

static void
test_overlap (void)
{
  g_autoptr (MelRig) rig =
      mel_rig_new ("window", 2 * GST_SECOND, "hop", GST_SECOND / 4, NULL);

  mel_rig_start (rig);
  mel_rig_push (rig, speech, N_SAMPLES, 0);
  for (gsize i = 0; i <= (SECONDS - 2) * 4; i++)
    mel_rig_check_window (
        rig, i * GST_SECOND / 4, speech + i * RATE / 4, 2 * RATE);
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_no_window (rig); /* all audio has been in a window */
}

static void
test_overlap_drains_what_is_new (void)
{
  g_autoptr (MelRig) rig =
      mel_rig_new ("window", 2 * GST_SECOND, "hop", GST_SECOND, NULL);

  mel_rig_start (rig);
  mel_rig_push (rig, speech, 3 * RATE + 1, 0);
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_window (rig, 0, speech, 2 * RATE);
  mel_rig_check_window (rig, GST_SECOND, speech + RATE, 2 * RATE);
  mel_rig_check_window (rig, 2 * GST_SECOND, speech + 2 * RATE, RATE + 1);
  mel_rig_check_no_window (rig);
}

static void
test_long_hop (void)
{
  g_autoptr (MelRig) rig = mel_rig_new ("hop", 2500 * GST_MSECOND, NULL);
  const gsize hop = 5 * RATE / 2;

  mel_rig_start (rig);
  mel_rig_push (rig, speech, 5000, 0);
  mel_rig_push (rig, speech + 5000, 2 * hop + 3000 - 5000, 5000 * SAMPLE);
  mel_rig_check_window (rig, 0, speech, RATE);
  mel_rig_check_window (rig, hop * SAMPLE, speech + hop, RATE);
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_window (rig, 2 * hop * SAMPLE, speech + 2 * hop, 3000);
}

static void
test_eos_between_windows_of_a_long_hop (void)
{
  g_autoptr (MelRig) rig = mel_rig_new ("hop", 2 * GST_SECOND, NULL);

  mel_rig_start (rig);
  mel_rig_push (rig, speech, 3 * RATE / 2, 0);
  mel_rig_check_window (rig, 0, speech, RATE);
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_no_window (rig);
}

static void
test_odd_hop_stays_exact (void)
{
  /* 1/3 s is 5333.3 samples: 5333 of them, and timestamps say so. */
  g_autoptr (MelRig) rig = mel_rig_new ("hop", GST_SECOND / 3, NULL);

  mel_rig_start (rig);
  mel_rig_push (rig, speech, N_SAMPLES, 0);
  for (gsize i = 0; i < 20; i++)
    mel_rig_check_window (rig, i * 5333 * SAMPLE, speech + i * 5333, RATE);
}

static void
test_short_last_window (void)
{
  static const gsize lengths[] = {1, 100, 8000, 15999};

  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++) {
    g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);

    mel_rig_start (rig);
    mel_rig_push (rig, speech, RATE + lengths[i], 0);
    mel_rig_check_window (rig, 0, speech, RATE);
    mel_rig_check_no_window (rig);
    mel_rig_send (rig, gst_event_new_eos ());
    mel_rig_check_window (rig, GST_SECOND, speech + RATE, lengths[i]);
    mel_rig_check_no_window (rig);
  }
}

static void
test_full_length (void)
{
  g_autoptr (MelRig) rig = mel_rig_new ("window", 30 * GST_SECOND, NULL);

  mel_rig_start (rig);
  for (gsize i = 0; i < 4; i++)
    mel_rig_push (rig, speech, N_SAMPLES, i * SECONDS * GST_SECOND);
  g_autoptr (GstBuffer) window = mel_rig_pop_window (rig);
  g_assert_cmpuint (gst_buffer_get_size (window), ==, 80 * 3000 * 4);
  g_assert_cmpuint (GST_BUFFER_DURATION (window), ==, 30 * GST_SECOND);
  mel_rig_check_no_window (rig);
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_window (rig, 30 * GST_SECOND, speech, N_SAMPLES);
}

static void
test_starts_at_first_timestamp (void)
{
  const GstClockTime first = 3 * GST_SECOND + 12345;
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);

  mel_rig_start (rig);
  mel_rig_push (rig, speech, 3 * RATE, first);
  for (gsize i = 0; i < 3; i++)
    mel_rig_check_window (rig, first + i * GST_SECOND, speech + i * RATE, RATE);
}

static void
test_no_timestamps (void)
{
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);

  mel_rig_start (rig);
  for (gsize i = 0; i < 20; i++)
    mel_rig_push (rig, speech + i * 1000, 1000, GST_CLOCK_TIME_NONE);
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_window (rig, 0, speech, RATE);
  mel_rig_check_window (rig, GST_SECOND, speech + RATE, 4000);
}

/* Timestamps of a real microphone: neither cut windows nor move their start. */
static void
test_jitter (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);

  mel_rig_start (rig);
  for (gsize i = 0; i < 100; i++) {
    GstClockTime jitter = i % 10 ? g_rand_int_range (rand, 0, 20000000) : 0;

    mel_rig_push (rig, speech + i * 1600, 1600, i * 1600 * SAMPLE + jitter);
  }
  for (gsize i = 0; i < SECONDS; i++)
    mel_rig_check_window (rig, i * GST_SECOND, speech + i * RATE, RATE);
}

/* A clock that runs 0.5 % fast is 50 ms off after 10 s: windows follow it. */
static void
test_drift (void)
{
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);
  const GstClockTime step = 100 * GST_MSECOND + 500 * GST_USECOND;

  mel_rig_start (rig);
  for (gsize i = 0; i < 100; i++)
    mel_rig_push (rig, speech + i * 1600, 1600, i * step);
  for (gsize i = 0; i < SECONDS; i++)
    mel_rig_check_window (rig, 10 * i * step, speech + i * RATE, RATE);
}

static void
check_discont (MelRig *rig, gboolean expected)
{
  GstBuffer *window = g_queue_peek_tail (&rig->pushed);

  g_assert_true (GST_IS_BUFFER (window));
  g_assert_cmpint (GST_BUFFER_IS_DISCONT (window), ==, expected);
}

static void
push_discont (MelRig *rig, gsize first, gsize n, GstClockTime pts)
{
  GstBuffer *buffer = mel_buffer_new (speech + first, n, pts);

  GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  gst_harness_push (rig->harness, buffer);
}

static void
test_discont_with_a_jump (void)
{
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);

  mel_rig_start (rig);
  mel_rig_push (rig, speech, RATE, 0);
  check_discont (rig, TRUE); /* the first */
  mel_rig_push (rig, speech + RATE, 5000, GST_SECOND);
  push_discont (rig, 3 * RATE, RATE, 7 * GST_SECOND);
  check_discont (rig, TRUE);
  mel_rig_push (rig, speech + 4 * RATE, RATE, 8 * GST_SECOND);
  check_discont (rig, FALSE);
  mel_rig_check_window (rig, 0, speech, RATE);
  mel_rig_check_window (rig, GST_SECOND, speech + RATE, 5000);
  mel_rig_check_window (rig, 7 * GST_SECOND, speech + 3 * RATE, RATE);
  mel_rig_check_window (rig, 8 * GST_SECOND, speech + 4 * RATE, RATE);
}

static void
test_discont_without_a_jump (void)
{
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);

  mel_rig_start (rig);
  mel_rig_push (rig, speech, RATE + 5000, 0);
  push_discont (rig, RATE + 5000, RATE - 5000, (RATE + 5000) * SAMPLE);
  check_discont (rig, TRUE);
  mel_rig_check_window (rig, 0, speech, RATE);
  mel_rig_check_window (rig, GST_SECOND, speech + RATE, RATE);
}

static void
test_discont_without_timestamp (void)
{
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);

  mel_rig_start (rig);
  mel_rig_push (rig, speech, 5000, 0);
  push_discont (rig, RATE, RATE, GST_CLOCK_TIME_NONE);
  mel_rig_check_window (rig, 0, speech, 5000);
  mel_rig_check_window (rig, 5000 * SAMPLE, speech + RATE, RATE);
}

static void
test_jump_forward_and_back (void)
{
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);

  mel_rig_start (rig);
  mel_rig_push (rig, speech, 5000, 0);
  mel_rig_push (rig, speech + RATE, 6000, 5 * GST_SECOND);
  mel_rig_push (rig, speech + 2 * RATE, RATE, 2 * GST_SECOND);
  check_discont (rig, TRUE);
  mel_rig_check_window (rig, 0, speech, 5000);
  mel_rig_check_window (rig, 5 * GST_SECOND, speech + RATE, 6000);
  mel_rig_check_window (rig, 2 * GST_SECOND, speech + 2 * RATE, RATE);
}

/* The overlap belongs to the time before the jump. */
static void
test_jump_with_overlap (void)
{
  g_autoptr (MelRig) rig = mel_rig_new ("hop", GST_SECOND / 2, NULL);

  mel_rig_start (rig);
  mel_rig_push (rig, speech, RATE, 0);
  mel_rig_push (rig, speech, RATE, 5 * GST_SECOND);
  mel_rig_check_window (rig, 0, speech, RATE);
  mel_rig_check_window (rig, 5 * GST_SECOND, speech, RATE);
  mel_rig_check_no_window (rig);
}

static void
test_jump_out_of_a_skip (void)
{
  g_autoptr (MelRig) rig = mel_rig_new ("hop", 5 * GST_SECOND, NULL);

  mel_rig_start (rig);
  mel_rig_push (rig, speech, 2 * RATE, 0);
  mel_rig_push (rig, speech, RATE, 3 * GST_SECOND);
  mel_rig_check_window (rig, 0, speech, RATE);
  mel_rig_check_window (rig, 3 * GST_SECOND, speech, RATE);
}

int
main (int argc, char **argv)
{
  int result;

  mel_test_init (&argc, &argv);
  speech = test_audio_new_speech (N_SAMPLES, 1);

  g_test_add_data_func ("/whispermel/window-is-that-of-float64/80",
      GUINT_TO_POINTER (80), test_window_is_that_of_float64);
  g_test_add_data_func ("/whispermel/window-is-that-of-float64/128",
      GUINT_TO_POINTER (128), test_window_is_that_of_float64);
  g_test_add_func (
      "/whispermel/any-chunks-give-the-same-bytes", test_chunks_do_not_matter);
  g_test_add_func (
      "/whispermel/single-samples-make-a-window", test_single_samples);
  g_test_add_func ("/whispermel/windows-follow-one-another",
      test_windows_follow_one_another);
  g_test_add_func ("/whispermel/pauses-are-told", test_pauses_are_told);
  g_test_add_func (
      "/whispermel/overlapping-windows-equal-those-alone", test_overlap);
  g_test_add_func ("/whispermel/overlap-drains-only-what-is-new",
      test_overlap_drains_what_is_new);
  g_test_add_func ("/whispermel/long-hop-leaves-audio-out", test_long_hop);
  g_test_add_func ("/whispermel/audio-left-out-at-the-end-is-no-window",
      test_eos_between_windows_of_a_long_hop);
  g_test_add_func ("/whispermel/odd-hop-stays-exact", test_odd_hop_stays_exact);
  g_test_add_func (
      "/whispermel/short-last-window-is-padded-and-lasts-its-audio",
      test_short_last_window);
  g_test_add_func ("/whispermel/30-s-are-3000-frames", test_full_length);
  g_test_add_func ("/whispermel/first-window-starts-at-first-timestamp",
      test_starts_at_first_timestamp);
  g_test_add_func (
      "/whispermel/without-timestamps-samples-are-counted", test_no_timestamps);
  g_test_add_func ("/whispermel/jitter-does-not-cut-windows", test_jitter);
  g_test_add_func ("/whispermel/drift-is-followed", test_drift);
  g_test_add_func (
      "/whispermel/discont-with-a-jump-cuts", test_discont_with_a_jump);
  g_test_add_func ("/whispermel/discont-without-a-jump-goes-on",
      test_discont_without_a_jump);
  g_test_add_func ("/whispermel/discont-without-timestamp-cuts",
      test_discont_without_timestamp);
  g_test_add_func ("/whispermel/jump-without-discont-cuts-forward-and-back",
      test_jump_forward_and_back);
  g_test_add_func (
      "/whispermel/jump-drops-the-overlap", test_jump_with_overlap);
  g_test_add_func (
      "/whispermel/jump-ends-what-is-left-out", test_jump_out_of_a_skip);
  result = g_test_run ();
  g_free (speech);
  return result;
}
