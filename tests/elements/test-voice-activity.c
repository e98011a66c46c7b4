/* How well voices are told from other sounds: speech with pauses under noise,
 * and sounds without a voice.
 *
 *   NPUENC_TEST_DATA=FOLDER build/tests/elements/test-voice-activity -m perf
 *
 * prints the table of docs/whispermel.md, with webrtcdsp where it is there. A
 * frame of 10 ms counts as voice for 200 ms after the last that was.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "test-data.h"
#include "voicedetector.h"

#define RATE 16000
#define FRAME (RATE / 100)
#define HANGOVER 20 /* frames */

typedef struct {
  float *samples;
  gsize n; /* whole frames */
} Sound;

static char *network; /* Silero's, or NULL */
static Sound speech;
static gboolean *is_speech; /* [speech.n / FRAME] */

/* --- sounds ------------------------------------------------------------- */

static Sound
read_flac (const char *path)
{
  g_autofree char *text =
      g_strdup_printf ("filesrc location=\"%s\" ! flacparse ! flacdec ! "
                       "audioconvert ! audioresample ! "
                       "audio/x-raw,format=F32LE,rate=16000,channels=1 ! "
                       "appsink name=sink sync=false",
          path);
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (text, &error);
  g_autoptr (GstElement) sink = NULL;
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  GstSample *sample;
  Sound sound;

  g_assert_no_error (error);
  sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while ((sample = gst_app_sink_pull_sample (GST_APP_SINK (sink)))) {
    GstMapInfo map;

    g_assert_true (
        gst_buffer_map (gst_sample_get_buffer (sample), &map, GST_MAP_READ));
    g_byte_array_append (bytes, map.data, map.size);
    gst_buffer_unmap (gst_sample_get_buffer (sample), &map);
    gst_sample_unref (sample);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  sound.n = bytes->len / sizeof (float) / FRAME * FRAME;
  sound.samples = g_memdup2 (bytes->data, sound.n * sizeof (float));
  return sound;
}

/* The times of the words. */
static gboolean *
read_words (const char *path, gsize n_frames)
{
  g_autoptr (GRegex) regex = g_regex_new (
      "\"start\":\\s*([0-9.]+),\\s*\"end\":\\s*([0-9.]+)", 0, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  g_autofree char *text = NULL;
  gboolean *frames = g_new0 (gboolean, n_frames);
  guint n_words = 0;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  for (g_regex_match (regex, text, 0, &match); g_match_info_matches (match);
       g_match_info_next (match, NULL), n_words++) {
    g_autofree char *start = g_match_info_fetch (match, 1);
    g_autofree char *end = g_match_info_fetch (match, 2);
    gsize last = MIN (g_ascii_strtod (end, NULL) * 100 + 0.5, n_frames);

    for (gsize f = g_ascii_strtod (start, NULL) * 100 + 0.5; f < last; f++)
      frames[f] = TRUE;
  }
  g_assert_cmpuint (n_words, >, 100);
  return frames;
}

static double
get_rms (const float *samples, gsize n, const gboolean *frames)
{
  double energy = 0;
  gsize n_counted = 0;

  for (gsize i = 0; i < n; i++) {
    if (frames && !frames[i / FRAME])
      continue;
    energy += (double) samples[i] * samples[i];
    n_counted++;
  }
  return sqrt (energy / MAX (n_counted, 1));
}

static float *
new_white (gsize n, GRand *rand)
{
  float *samples = g_new (float, n);

  for (gsize i = 0; i < n; i++)
    samples[i] = g_rand_double_range (rand, -1, 1);
  return samples;
}

/* By Paul Kellet's filter: within 0.05 dB of 3 dB an octave. */
static float *
new_pink (gsize n, GRand *rand)
{
  static const double poles[] = {
      0.99886, 0.99332, 0.96900, 0.86650, 0.55000, -0.7616};
  static const double gains[] = {
      0.0555179, 0.0750759, 0.1538520, 0.3104856, 0.5329522, -0.0168980};
  double state[G_N_ELEMENTS (poles)] = {0}, before = 0;
  float *samples = new_white (n, rand);

  for (gsize i = 0; i < n; i++) {
    double white = samples[i], sum = white * 0.5362 + before;

    for (guint p = 0; p < G_N_ELEMENTS (poles); p++) {
      state[p] = poles[p] * state[p] + gains[p] * white;
      sum += state[p];
    }
    before = white * 0.115926;
    samples[i] = sum;
  }
  return samples;
}

/* Chords of plucked strings with a bass and a drum. */
static float *
new_music (gsize n, GRand *rand)
{
  static const double chords[][3] = {{261.63, 329.63, 392.00},
      {220.00, 261.63, 329.63}, {174.61, 220.00, 261.63},
      {196.00, 246.94, 293.66}};
  float *samples = g_new0 (float, n);

  for (gsize i = 0; i < n; i++) {
    const double t = (double) i / RATE, in_beat = fmod (t, 0.5);
    const double *chord = chords[(gsize) (t / 2) % G_N_ELEMENTS (chords)];

    for (guint note = 0; note < 3; note++)
      for (guint h = 1; h <= 6; h++)
        samples[i] += sin (2 * G_PI * chord[note] * h * t) / h *
                      exp (-3 * h * in_beat) * 0.1;
    samples[i] += sin (G_PI * chord[0] * t) * 0.2 * exp (-2 * in_beat);
    samples[i] += g_rand_double_range (rand, -0.3, 0.3) * exp (-60 * in_beat);
  }
  return samples;
}

static float *
new_hum (gsize n, GRand *rand)
{
  float *samples = g_new0 (float, n);

  for (gsize i = 0; i < n; i++)
    for (guint h = 1; h <= 5; h += 2)
      samples[i] += sin (2 * G_PI * 50 * h * i / RATE) / h;
  return samples;
}

static void
set_rms (float *samples, gsize n, double rms)
{
  const double by = rms / get_rms (samples, n, NULL);

  for (gsize i = 0; i < n; i++)
    samples[i] *= by;
}

/* --- detectors ---------------------------------------------------------- */

/* Fills voice[sound->n / FRAME]; returns seconds of processor time for a second
 * of sound, or less than 0 where there is no such detector. */
typedef double (*DetectFunc) (
    const Sound *sound, const char *option, gboolean *voice);

static double
get_processor_time (void)
{
  struct timespec time;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

/* @option: of voice_detector_new() */
static double
detect_by_blocks (const Sound *sound, const char *option, gboolean *voice)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VoiceDetector) detector = voice_detector_new (option, &error);
  double begin, spent;

  g_assert_no_error (error);
  memset (voice, 0, sound->n / FRAME * sizeof *voice);
  begin = get_processor_time ();
  for (gsize i = 0; i + VOICE_DETECTOR_BLOCK <= sound->n;
       i += VOICE_DETECTOR_BLOCK) {
    const gboolean has_voice =
        voice_detector_has_voice (detector, sound->samples + i);

    for (gsize f = i / FRAME; f < (i + VOICE_DETECTOR_BLOCK) / FRAME; f++)
      voice[f] = has_voice;
  }
  spent = get_processor_time () - begin;
  return spent * RATE / sound->n;
}

/* @option: voice-detection-likelihood */
static double
detect_by_webrtcdsp (const Sound *sound, const char *option, gboolean *voice)
{
  g_autofree char *text = g_strdup_printf (
      "appsrc name=source format=time "
      "caps=audio/x-raw,format=F32LE,rate=16000,channels=1,layout=interleaved "
      "! audioconvert ! audio/x-raw,format=S16LE ! webrtcdsp "
      "echo-cancel=false noise-suppression=false gain-control=false "
      "voice-detection=true voice-detection-likelihood=%s ! fakesink",
      option);
  g_autoptr (GstElement) pipeline = gst_parse_launch (text, NULL);
  g_autoptr (GstElement) source = NULL;
  g_autoptr (GstBus) bus = NULL;
  GstMessage *message;
  gboolean ended = FALSE;
  GstBuffer *buffer;

  if (!pipeline)
    return -1;
  source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  bus = gst_element_get_bus (pipeline);
  memset (voice, 0, sound->n / FRAME * sizeof *voice);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  buffer = gst_buffer_new_memdup (sound->samples, sound->n * sizeof (float));
  GST_BUFFER_PTS (buffer) = 0;
  gst_app_src_push_buffer (GST_APP_SRC (source), buffer);
  gst_app_src_end_of_stream (GST_APP_SRC (source));
  while (!ended &&
         (message = gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE,
              GST_MESSAGE_ELEMENT | GST_MESSAGE_EOS | GST_MESSAGE_ERROR))) {
    const GstStructure *s = gst_message_get_structure (message);
    gboolean has_voice = FALSE;
    guint64 time = 0;

    ended = GST_MESSAGE_TYPE (message) != GST_MESSAGE_ELEMENT;
    if (!ended && gst_structure_has_name (s, "voice-activity") &&
        gst_structure_get (s, "stream-time", G_TYPE_UINT64, &time,
            "stream-has-voice", G_TYPE_BOOLEAN, &has_voice, NULL))
      for (gsize f = time / (10 * GST_MSECOND); f < sound->n / FRAME; f++)
        voice[f] = has_voice;
    gst_message_unref (message);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return 0;
}

/* --- scores ------------------------------------------------------------- */

typedef struct {
  double missed, alarmed; /* % of the frames with and without a voice */
  double time;            /* as a DetectFunc has it */
} Score;

static Score
measure (DetectFunc detect, const char *option, const Sound *sound,
    const gboolean *truth)
{
  const gsize n = sound->n / FRAME;
  g_autofree gboolean *voice = g_new (gboolean, n);
  gsize n_voice = 0, n_missed = 0, n_alarmed = 0, since = HANGOVER + 1;
  Score score;

  score.time = detect (sound, option, voice);
  for (gsize f = 0; f < n; f++) {
    const gboolean is_voice = truth && truth[f];

    since = voice[f] ? 0 : since + 1;
    n_voice += is_voice;
    n_missed += is_voice && since > HANGOVER;
    n_alarmed += !is_voice && since <= HANGOVER;
  }
  score.missed = n_voice > 0 ? 100.0 * n_missed / n_voice : 0;
  score.alarmed = 100.0 * n_alarmed / MAX (n - n_voice, 1);
  return score;
}

typedef float *(*NoiseFunc) (gsize n, GRand *rand);

/* The speech with noise @snr dB below it, or that alone at @level dB. */
typedef struct {
  const char *name;
  NoiseFunc new_noise; /* NULL: none */
  gboolean has_speech;
  double db;
} Condition;

static const Condition conditions[] = {
    {"clean", NULL, TRUE, 0},
    {"white 20 dB", new_white, TRUE, 20},
    {"white 10 dB", new_white, TRUE, 10},
    {"pink 10 dB", new_pink, TRUE, 10},
    {"pink 5 dB", new_pink, TRUE, 5},
    {"music", new_music, FALSE, -20},
    {"hum 50 Hz", new_hum, FALSE, -20},
    {"pink -50 dB", new_pink, FALSE, -50},
    {"white -20 dB", new_white, FALSE, -20},
};

static Sound
make_sound (const Condition *condition)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  g_autofree float *noise = NULL;
  Sound sound = {.n = condition->has_speech ? speech.n : 60 * RATE};
  double rms = pow (10, condition->db / 20);

  sound.samples = g_new0 (float, sound.n);
  if (condition->has_speech) {
    memcpy (sound.samples, speech.samples, sound.n * sizeof (float));
    rms = get_rms (speech.samples, speech.n, is_speech) / rms;
  }
  if (!condition->new_noise)
    return sound;
  noise = condition->new_noise (sound.n, rand);
  set_rms (noise, sound.n, rms);
  for (gsize i = 0; i < sound.n; i++)
    sound.samples[i] += noise[i];
  return sound;
}

static void
print_row (const char *name, DetectFunc detect, const char *option)
{
  g_autoptr (GString) row = g_string_new (NULL);
  double time = 0;

  for (guint i = 0; i < G_N_ELEMENTS (conditions); i++) {
    Sound sound = make_sound (&conditions[i]);
    const Score score = measure (
        detect, option, &sound, conditions[i].has_speech ? is_speech : NULL);

    g_free (sound.samples);
    if (score.time < 0)
      return;
    time = score.time;
    if (conditions[i].has_speech)
      g_string_append_printf (row, " | %.1f/%.1f", score.missed, score.alarmed);
    else
      g_string_append_printf (row, " | %.0f", score.alarmed);
  }
  g_test_message ("%s%s, processor time %.4f %%", name, row->str, 100 * time);
}

static gboolean
load (void)
{
  g_autofree char *flac = test_data_path ("live/ljnoise.flac");
  g_autofree char *words =
      flac ? test_data_path ("live/ljnoise.words.json") : NULL;
  g_autoptr (GstElementFactory) flacdec = gst_element_factory_find ("flacdec");

  if (!flacdec)
    g_test_skip ("there is no flacdec to read the recording");
  if (!words || !flacdec)
    return FALSE;
  g_free (network);
  network = test_data_path ("models/silero-vad-16k.safetensors");
  if (!network)
    return FALSE;
  if (!speech.samples) {
    speech = read_flac (flac);
    is_speech = read_words (words, speech.n / FRAME);
  }
  return TRUE;
}

/* --- tests -------------------------------------------------------------- */

static void
test_table (void)
{
  static const char *const likelihoods[] = {
      "very-low", "low", "moderate", "high"};

  if (!g_test_perf ()) {
    g_test_skip ("minutes: with -m perf");
    return;
  }
  if (!load ())
    return;
  print_row ("silero", detect_by_blocks, network);
  print_row ("energy", detect_by_blocks, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (likelihoods); i++)
    print_row (likelihoods[i], detect_by_webrtcdsp, likelihoods[i]);
}

static void
check (const char *option, const char *name, double missed, double alarmed)
{
  for (guint i = 0; i < G_N_ELEMENTS (conditions); i++) {
    Sound sound;
    Score score;

    if (strcmp (conditions[i].name, name) != 0)
      continue;
    sound = make_sound (&conditions[i]);
    score = measure (detect_by_blocks, option, &sound,
        conditions[i].has_speech ? is_speech : NULL);
    g_test_message (
        "%s: %.1f %% missed, %.1f %% false", name, score.missed, score.alarmed);
    g_assert_cmpfloat (score.missed, <=, missed);
    g_assert_cmpfloat (score.alarmed, <=, alarmed);
    g_free (sound.samples);
  }
}

static void
test_silero (void)
{
  if (!g_test_slow ()) {
    g_test_skip ("long: with -m slow");
    return;
  }
  if (!load ())
    return;
  check (network, "clean", 4, 25);
  check (network, "white 10 dB", 8, 25);
  check (network, "music", 0, 2);
  check (network, "hum 50 Hz", 0, 2);
  check (network, "white -20 dB", 0, 5);
}

static void
test_energy (void)
{
  if (!load ())
    return;
  check (NULL, "clean", 8, 25);
  check (NULL, "white 20 dB", 8, 25);
  check (NULL, "pink -50 dB", 0, 15);
  check (NULL, "hum 50 Hz", 0, 25); /* until it is the floor */
}

/* A mean that is not 0 is no voice, by level. */
static void
test_offset (void)
{
  g_autoptr (VoiceDetector) detector = voice_detector_new (NULL, NULL);
  float block[VOICE_DETECTOR_BLOCK];

  for (guint i = 0; i < VOICE_DETECTOR_BLOCK; i++)
    block[i] = 0.3f;
  g_assert_false (voice_detector_has_voice (detector, block));
  for (guint i = 0; i < VOICE_DETECTOR_BLOCK; i++)
    block[i] += (float) (0.1 * sin (0.3 * i));
  g_assert_true (voice_detector_has_voice (detector, block));
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  gst_init (&argc, &argv);
  g_test_add_func ("/voice/silero", test_silero);
  g_test_add_func ("/voice/energy", test_energy);
  g_test_add_func ("/voice/offset", test_offset);
  g_test_add_func ("/voice/table", test_table);
  result = g_test_run ();
  g_free (network);
  g_free (speech.samples);
  g_free (is_speech);
  return result;
}
