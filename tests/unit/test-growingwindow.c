/* What is pushed for live captions, and when: on a virtual clock, with a script
 * in the place of the detector and of the decoder.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <string.h>

#include "growingwindow.h"

#define RATE 16000
#define SAMPLE (GST_SECOND / RATE)
#define MS GST_MSECOND
#define BLOCK_TIME (GROWING_BLOCK * SAMPLE)

/* The clock need not be nearer than that. */
#define SKEW (20 * MS)

typedef struct {
  GrowingWindow window;
  guint n_forgotten;
  gint64 lag;      /* of the machine */
  GArray *outputs; /* of GrowingOutput; their samples are gone */
  GArray *samples; /* of those of all windows */

  /* What must hold whatever comes. */
  GstClockTime told;  /* GAPs and MARKER windows tile the time up to here */
  GstClockTime final; /* the furthest advance that was taken */
  gboolean is_first;
} Rig;

/* Voice is loud. */
static gboolean
detect (gpointer detector, const float *block)
{
  return fabsf (block[GROWING_BLOCK / 2]) > 0.1f;
}

static void
forget (gpointer detector)
{
  ((Rig *) detector)->n_forgotten++;
}

static void
rig_init_at (Rig *rig, GstClockTime window, GstClockTime start)
{
  const GrowingSettings settings = {
      .step = 500 * MS,
      .window = window,
      .silence = 500 * MS,
      .detect = detect,
      .forget = forget,
      .detector = rig,
  };

  *rig = (Rig){.told = start};
  rig->outputs = g_array_new (FALSE, FALSE, sizeof (GrowingOutput));
  rig->samples = g_array_new (FALSE, FALSE, sizeof (float));
  growing_window_init (&rig->window, &settings);
  growing_window_restart (&rig->window, start);
}

static void
rig_init (Rig *rig)
{
  rig_init_at (rig, 4 * GST_SECOND, 0);
}

static void
rig_clear (Rig *rig)
{
  growing_window_clear (&rig->window);
  g_array_unref (rig->outputs);
  g_array_unref (rig->samples);
}

static void
check_output (Rig *rig, const GrowingOutput *output)
{
  const GstClockTime end = output->start + output->duration;

  g_assert_cmpuint (output->duration, >, 0);
  if (output->kind == GROWING_GAP) {
    g_assert_cmpuint (output->start, ==, rig->told);
    rig->told = end;
    return;
  }
  g_assert_cmpuint (output->duration, ==, output->n_samples * SAMPLE);
  g_assert_cmpuint (
      output->duration, <=, rig->window.settings.window + GROWING_SLACK);
  /* Not over what is final, and no hole after it. */
  g_assert_cmpuint (output->start, >=, rig->told);
  g_assert_cmpuint (output->start, <=, MAX (rig->told, rig->final) + SKEW);
  if (output->marker)
    rig->told = end;
  else
    g_assert_cmpuint (output->duration, >=, GROWING_SHORTEST);
  rig->told = MAX (rig->told, output->start); /* an advance may be */
}

static void
collect (Rig *rig)
{
  GrowingOutput output;

  while (growing_window_pop (&rig->window, rig->lag, &output)) {
    check_output (rig, &output);
    g_array_append_vals (rig->samples, output.samples, output.n_samples);
    output.samples = NULL;
    g_array_append_val (rig->outputs, output);
  }
}

static void
add (Rig *rig, const float *samples, gsize n, gsize chunk)
{
  guint64 n_invalid = 0;

  while (n > 0) {
    gsize part = MIN (n, chunk);

    n -= part;
    while (part > 0) {
      const gsize taken = growing_window_add (&rig->window,
          (const guint8 *) samples, part, GROWING_VOICE_ASK, &n_invalid);

      g_assert_cmpuint (taken, >, 0);
      samples += taken;
      part -= taken;
      collect (rig);
    }
  }
  g_assert_cmpuint (n_invalid, ==, 0);
}

/* Audio of one loudness, in chunks of 20 ms; no two samples are equal. */
static void
add_level (Rig *rig, float level, GstClockTime time)
{
  const gsize n = time / SAMPLE;
  g_autofree float *samples = g_new (float, n);

  for (gsize i = 0; i < n; i++)
    samples[i] = level * (1 + (float) i / n / 8);
  add (rig, samples, n, 320);
}

static void
speak (Rig *rig, GstClockTime time)
{
  add_level (rig, 0.5f, time);
}

static void
hush (Rig *rig, GstClockTime time)
{
  add_level (rig, 0.01f, time);
}

static void
pass (Rig *rig, GstClockTime time)
{
  guint64 n = time / SAMPLE;

  while (n > 0) {
    n -= growing_window_pass (&rig->window, n);
    collect (rig);
  }
}

static void
drain (Rig *rig)
{
  const GstClockTime head = rig->window.head;

  growing_window_drain (&rig->window);
  collect (rig);
  /* All of the time is told of, but for what is too short to tell. */
  g_assert_cmpuint (rig->told + SKEW, >=, head);
}

static gboolean
advance (Rig *rig, GstClockTime until, GstClockTime sentence)
{
  const gboolean taken = growing_window_advance (&rig->window, until, sentence);

  if (taken)
    rig->final = rig->window.until;
  return taken;
}

static const GrowingOutput *
get (const Rig *rig, guint i)
{
  g_assert_cmpuint (i, <, rig->outputs->len);
  return &g_array_index (rig->outputs, GrowingOutput, i);
}

/* The next one from @i on. */
static const GrowingOutput *
get_window (const Rig *rig, guint *i)
{
  while (get (rig, *i)->kind != GROWING_WINDOW)
    ++*i;
  return get (rig, (*i)++);
}

static const GrowingOutput *
get_last (const Rig *rig)
{
  return get (rig, rig->outputs->len - 1);
}

static guint
count_windows (const Rig *rig, gboolean markers_only)
{
  guint n = 0;

  for (guint i = 0; i < rig->outputs->len; i++)
    n += get (rig, i)->kind == GROWING_WINDOW &&
         (!markers_only || get (rig, i)->marker);
  return n;
}

/* --- windows ------------------------------------------------------------ */

static void
test_a_window_each_step (void)
{
  Rig rig;
  guint i = 0;

  rig_init (&rig);
  speak (&rig, 3 * GST_SECOND + 100 * MS);
  for (GstClockTime end = GST_SECOND; end <= 3 * GST_SECOND; end += 500 * MS) {
    const GrowingOutput *window = get_window (&rig, &i);

    g_assert_cmpuint (window->start, ==, 0);
    g_assert_cmpuint (window->duration, ==, end);
    g_assert_false (window->marker);
    g_assert_cmpint (window->discont, ==, end == GST_SECOND);
  }
  g_assert_cmpuint (rig.outputs->len, ==, i);
  drain (&rig);
  g_assert_true (get_window (&rig, &i)->marker);
  g_assert_cmpuint (rig.told, ==, 3 * GST_SECOND + 100 * MS);
  rig_clear (&rig);
}

/* Two utterances, and what is around them. */
static void
test_utterances (void)
{
  Rig rig;
  guint i = 0;
  const GrowingOutput *output;

  rig_init (&rig);
  hush (&rig, 2048 * MS); /* whole blocks */
  speak (&rig, 1024 * MS);
  hush (&rig, 3008 * MS);
  speak (&rig, 512 * MS);
  hush (&rig, 2 * GST_SECOND);

  output = get_window (&rig, &i);
  g_assert_false (output->marker);
  g_assert_cmpuint (output->start, ==, 2048 * MS - GROWING_LEAD);
  while (!output->marker)
    output = get_window (&rig, &i);
  g_assert_cmpuint (output->start, ==, 2048 * MS - GROWING_LEAD);
  g_assert_cmpuint (
      output->start + output->duration, ==, 3072 * MS + GROWING_TRAIL);

  output = get_window (&rig, &i);
  g_assert_cmpuint (output->start, ==, 6080 * MS - GROWING_LEAD);
  g_assert_false (output->discont);
  while (!output->marker)
    output = get_window (&rig, &i);
  g_assert_cmpuint (
      output->start + output->duration, ==, 6592 * MS + GROWING_TRAIL);
  g_assert_cmpuint (count_windows (&rig, TRUE), ==, 2);
  /* Time goes on: not further than where the next utterance may begin. */
  g_assert_cmpuint (rig.told, <=, rig.window.head - GROWING_LEAD);
  g_assert_cmpuint (
      rig.told, >=, rig.window.head - GROWING_LEAD - 500 * MS - BLOCK_TIME);
  rig_clear (&rig);
}

/* The lead does not reach into the utterance before. */
static void
test_utterances_do_not_overlap (void)
{
  Rig rig;

  rig_init (&rig);
  for (guint i = 0; i < 5; i++) {
    speak (&rig, 640 * MS);
    hush (&rig, 544 * MS);
  }
  drain (&rig); /* the rig checks */
  g_assert_cmpuint (count_windows (&rig, TRUE), ==, 5);
  rig_clear (&rig);
}

static void
test_a_click_is_no_utterance (void)
{
  Rig rig;

  rig_init (&rig);
  hush (&rig, GST_SECOND);
  speak (&rig, 160 * MS);
  hush (&rig, 2 * GST_SECOND);
  speak (&rig, 160 * MS);
  hush (&rig, GST_SECOND);
  g_assert_cmpuint (count_windows (&rig, FALSE), ==, 0);
  drain (&rig);
  g_assert_cmpuint (count_windows (&rig, FALSE), ==, 0);
  rig_clear (&rig);
}

/* The end in a word: nothing tells that it would not have gone on. */
static void
test_a_word_begins_at_the_end (void)
{
  Rig rig;

  rig_init (&rig);
  hush (&rig, GST_SECOND);
  speak (&rig, 160 * MS);
  drain (&rig);
  g_assert_cmpuint (count_windows (&rig, TRUE), ==, 1);
  g_assert_cmpuint (rig.told, ==, 1160 * MS);
  rig_clear (&rig);
}

static void
test_buffers_do_not_matter (void)
{
  static const gsize chunks[] = {1, 160, 511, 512, 513, 7999, 16000, 200000};
  const gsize n = 12 * RATE;
  g_autofree float *samples = g_new (float, n);
  Rig rigs[G_N_ELEMENTS (chunks)];

  for (gsize i = 0; i < n; i++)
    samples[i] = (i / 9000 % 3 ? 0.4f : 0.001f) * (1 + (float) i / n / 8);
  for (guint c = 0; c < G_N_ELEMENTS (chunks); c++) {
    Rig *rig = &rigs[c];

    rig_init (rig);
    add (rig, samples, n, chunks[c]);
    drain (rig);
    g_assert_cmpuint (count_windows (rig, FALSE), >, 5);
    g_assert_cmpuint (rig->outputs->len, ==, rigs[0].outputs->len);
    for (guint i = 0; i < rig->outputs->len; i++)
      g_assert_cmpmem (get (rig, i), sizeof (GrowingOutput), get (&rigs[0], i),
          sizeof (GrowingOutput));
    g_assert_cmpmem (rig->samples->data, rig->samples->len * sizeof (float),
        rigs[0].samples->data, rigs[0].samples->len * sizeof (float));
  }
  for (guint c = 0; c < G_N_ELEMENTS (chunks); c++)
    rig_clear (&rigs[c]);
}

/* --- advances ----------------------------------------------------------- */

/* Nothing is cut while there is room. */
static void
test_advances_cut_when_there_is_too_much (void)
{
  Rig rig;

  rig_init (&rig);
  speak (&rig, 4 * GST_SECOND);
  g_assert_true (advance (&rig, 3 * GST_SECOND, GST_CLOCK_TIME_NONE));
  g_assert_cmpuint (get_last (&rig)->start, ==, 0);
  speak (&rig, 500 * MS);
  g_assert_cmpuint (get_last (&rig)->start, ==, 3 * GST_SECOND);
  g_assert_cmpuint (get_last (&rig)->duration, ==, 1500 * MS);
  g_assert_false (get_last (&rig)->discont);
  rig_clear (&rig);
}

static void
test_sentences_are_cut_off_where_that_frees_enough (void)
{
  static const struct {
    GstClockTime sentence, start;
  } cases[] = {
      {1700 * MS, 3 * GST_SECOND}, /* 38 % of 4.5 s */
      {1900 * MS, 1900 * MS},      /* 42 % */
      {3500 * MS, 3 * GST_SECOND}, /* not final yet */
      {GST_CLOCK_TIME_NONE, 3 * GST_SECOND},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    Rig rig;

    rig_init (&rig);
    speak (&rig, 4 * GST_SECOND);
    g_assert_true (advance (&rig, 3 * GST_SECOND, cases[i].sentence));
    speak (&rig, 500 * MS);
    g_assert_cmpuint (get_last (&rig)->start, ==, cases[i].start);
    rig_clear (&rig);
  }
}

/* A window never begins before the word that it leaves out ends: the decoder
 * tells by its PTS which words are in it. */
static void
test_cuts_are_not_before_the_word_ends (void)
{
  Rig rig;

  rig_init (&rig);
  for (guint i = 1; i < 40; i++) {
    const GstClockTime until = i * 250 * MS + 12345;

    speak (&rig, 250 * MS);
    advance (&rig, until - MIN (until, 750 * MS), GST_CLOCK_TIME_NONE);
    if (rig.outputs->len > 0 && get_last (&rig)->start > 0) {
      g_assert_cmpuint (get_last (&rig)->start, >=, 12345);
      g_assert_cmpuint (
          (get_last (&rig)->start - 12345) % (250 * MS), <, SAMPLE);
    }
  }
  rig_clear (&rig);
}

static void
test_advances_that_are_not_about_a_window (void)
{
  Rig rig;

  rig_init (&rig);
  g_assert_false (advance (&rig, GST_SECOND, GST_CLOCK_TIME_NONE));
  speak (&rig, 2 * GST_SECOND);
  g_assert_false (advance (&rig, 0, GST_CLOCK_TIME_NONE));
  /* No further than the newest window, whatever it says. */
  speak (&rig, 2400 * MS);
  g_assert_true (advance (&rig, 100 * GST_SECOND, GST_CLOCK_TIME_NONE));
  g_assert_false (advance (&rig, 3 * GST_SECOND, GST_CLOCK_TIME_NONE));
  speak (&rig, 1100 * MS);
  g_assert_cmpuint (get_last (&rig)->start, ==, 4 * GST_SECOND);
  /* After the utterance it is too late. */
  hush (&rig, 2 * GST_SECOND);
  g_assert_false (advance (&rig, 5 * GST_SECOND, GST_CLOCK_TIME_NONE));
  rig_clear (&rig);
}

/* Nobody is there that commits. */
static void
test_without_advances (void)
{
  Rig rig;
  guint n_markers;

  rig_init (&rig);
  for (guint i = 0; i < 60; i++) {
    speak (&rig, 640 * MS);
    hush (&rig, 128 * MS); /* cuts are there */
  }
  n_markers = count_windows (&rig, TRUE);
  g_assert_cmpuint (n_markers, >=, 46 / 7);
  g_assert_cmpuint (n_markers, <=, 4 * 46 / 7);
  for (guint i = 0; i + 1 < rig.outputs->len; i++) {
    const GstClockTime end = get (&rig, i)->start + get (&rig, i)->duration;

    if (!get (&rig, i)->marker)
      continue;
    g_assert_cmpuint (end % (768 * MS), >=, 640 * MS);
    g_assert_true (get (&rig, i + 1)->discont);
    g_assert_cmpuint (get (&rig, i + 1)->start, ==, end);
  }
  rig_clear (&rig);
}

/* --- time --------------------------------------------------------------- */

/* A machine that is late has fewer windows, but never none. */
static void
test_steps_merge (void)
{
  Rig rig;
  guint n, n_late;

  rig_init_at (&rig, 25 * GST_SECOND, 0);
  speak (&rig, 4 * GST_SECOND);
  n = count_windows (&rig, FALSE);
  rig.lag = 501 * MS;
  speak (&rig, 8 * GST_SECOND);
  n_late = count_windows (&rig, FALSE) - n;
  g_assert_cmpuint (n_late, ==, 16 / (1 + GROWING_MAX_MERGED));
  rig.lag = 500 * MS;
  speak (&rig, GST_SECOND);
  g_assert_cmpuint (count_windows (&rig, FALSE), ==, n + n_late + 2);
  rig_clear (&rig);
}

static void
test_nothing_passes_at_once (void)
{
  Rig rig;

  rig_init (&rig);
  hush (&rig, GST_SECOND);
  pass (&rig, 1000 * 3600 * GST_SECOND);
  g_assert_cmpuint (rig.told, ==, rig.window.head);
  g_assert_cmpuint (count_windows (&rig, FALSE), ==, 0);
  g_assert_cmpuint (rig.outputs->len, <=, 3);
  speak (&rig, GST_SECOND);
  drain (&rig);
  g_assert_cmpuint (count_windows (&rig, TRUE), ==, 1);
  rig_clear (&rig);
}

/* An upstream that stops between words has said something about voice. */
static void
test_nothing_ends_an_utterance (void)
{
  static const GstClockTime words[] = {128 * MS, 256 * MS, 2 * GST_SECOND};

  for (guint i = 0; i < G_N_ELEMENTS (words); i++) {
    Rig rig;

    rig_init (&rig);
    hush (&rig, 1024 * MS);
    speak (&rig, words[i]);
    pass (&rig, 10 * GST_SECOND);
    g_assert_cmpuint (count_windows (&rig, TRUE), ==, 1);
    g_assert_cmpuint (rig.told, ==, rig.window.head);
    rig_clear (&rig);
  }
}

static void
test_a_short_pass_is_a_pause (void)
{
  Rig rig;

  rig_init (&rig);
  speak (&rig, GST_SECOND);
  pass (&rig, 300 * MS);
  speak (&rig, GST_SECOND);
  g_assert_cmpuint (count_windows (&rig, TRUE), ==, 0);
  drain (&rig);
  g_assert_cmpuint (count_windows (&rig, TRUE), ==, 1);
  g_assert_cmpuint (get_last (&rig)->duration, ==, 2300 * MS);
  rig_clear (&rig);
}

/* Stamps drift against samples: windows stay near them, and never begin before
 * what is final. */
static void
test_drift (void)
{
  static const gint64 drifts[] = {-20, -1, 1, 20}; /* us in 20 ms */

  for (guint d = 0; d < G_N_ELEMENTS (drifts); d++) {
    const gint64 drift = drifts[d] * (gint64) GST_USECOND;
    GstClockTime time = 1000 * GST_SECOND;
    Rig rig;

    rig_init_at (&rig, 4 * GST_SECOND, time);
    for (guint i = 0; i < 3000; i++) {
      growing_window_set_time (&rig.window, time);
      if (i % 800 < 700)
        speak (&rig, 20 * MS);
      else
        hush (&rig, 20 * MS);
      time += 20 * MS + drift;
      if (i % 25 == 0)
        advance (&rig, time - 700 * MS, GST_CLOCK_TIME_NONE);
      if (i % 800 == 650)
        g_assert_cmpuint (
            ABS ((gint64) (get_last (&rig)->start + get_last (&rig)->duration) -
                 (gint64) time),
            <=, 520 * MS + SKEW);
    }
    rig_clear (&rig);
  }
}

/* --- voice -------------------------------------------------------------- */

static void
add_as (Rig *rig, float level, GstClockTime time, GrowingVoice voice)
{
  const float sample = level;
  guint64 n_invalid = 0;

  for (guint64 i = 0; i < time / SAMPLE; i++) {
    growing_window_add (
        &rig->window, (const guint8 *) &sample, 1, voice, &n_invalid);
    collect (rig);
  }
}

static void
test_upstream_knows_voice (void)
{
  Rig rig;

  rig_init (&rig);
  add_as (&rig, 0.5f, 2 * GST_SECOND, GROWING_VOICE_NO); /* loud music */
  g_assert_cmpuint (count_windows (&rig, FALSE), ==, 0);
  add_as (&rig, 0.01f, 2 * GST_SECOND, GROWING_VOICE_YES);
  g_assert_cmpuint (count_windows (&rig, FALSE), >, 0);
  rig_clear (&rig);
}

static void
test_zeros_are_no_voice (void)
{
  Rig rig;

  rig_init (&rig);
  rig.window.settings.detect = NULL; /* all else is */
  hush (&rig, 2 * GST_SECOND);
  add_level (&rig, 0, 2 * GST_SECOND);
  g_assert_cmpuint (count_windows (&rig, TRUE), ==, 1);
  rig_clear (&rig);
}

static void
test_the_detector_forgets (void)
{
  Rig rig;
  guint n;

  rig_init (&rig);
  n = rig.n_forgotten;
  add_level (&rig, 0, 100 * MS);
  g_assert_cmpuint (rig.n_forgotten, ==, n);
  add_level (&rig, 0, GST_SECOND);
  g_assert_cmpuint (rig.n_forgotten, ==, n + 1);
  pass (&rig, GST_SECOND);
  g_assert_cmpuint (rig.n_forgotten, ==, n + 2);
  growing_window_restart (&rig.window, 0);
  g_assert_cmpuint (rig.n_forgotten, ==, n + 3);
  rig_clear (&rig);
}

/* --- storms ------------------------------------------------------------- */

/* A decoder behind a queue: it answers about windows that are long gone, or
 * not at all, or nonsense. */
static void
answer_at_random (Rig *rig, GRand *rand)
{
  const GrowingOutput *window;
  guint back = g_rand_int_range (rand, 0, 8);
  GstClockTime until;

  if (rig->outputs->len <= back)
    return;
  window = get (rig, rig->outputs->len - 1 - back);
  until = window->start + g_rand_double (rand) * window->duration;
  if (g_rand_int_range (rand, 0, 20) == 0)
    until = g_rand_double (rand) * 4e12;
  advance (
      rig, until, until - MIN (until, g_rand_int_range (rand, 0, 4) * 1e9));
}

static void
test_storm (void)
{
  for (guint32 seed = 1; seed <= 20; seed++) {
    g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
    Rig rig;

    rig_init_at (&rig, g_rand_int_range (rand, 1, 12) * GST_SECOND,
        g_rand_int_range (rand, 0, 1000) * MS);
    for (guint i = 0; i < 200; i++) {
      const GstClockTime time = g_rand_int_range (rand, 1, 1500) * MS;

      rig.lag = g_rand_int_range (rand, -1000, 1000) * (gint64) MS;
      switch (g_rand_int_range (rand, 0, 8)) {
        case 0:
          pass (&rig, time);
          break;
        case 1:
        case 2:
          hush (&rig, time / 2);
          break;
        case 3:
          growing_window_set_time (&rig.window,
              rig.window.head + g_rand_int_range (rand, 0, 15) * MS);
          break;
        default:
          speak (&rig, time);
      }
      if (seed % 4)
        answer_at_random (&rig, rand);
    }
    drain (&rig);
    rig_clear (&rig);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/growing/steps", test_a_window_each_step);
  g_test_add_func ("/growing/utterances", test_utterances);
  g_test_add_func ("/growing/no-overlap", test_utterances_do_not_overlap);
  g_test_add_func ("/growing/click", test_a_click_is_no_utterance);
  g_test_add_func ("/growing/end-in-word", test_a_word_begins_at_the_end);
  g_test_add_func ("/growing/buffers", test_buffers_do_not_matter);
  g_test_add_func (
      "/growing/advance/room", test_advances_cut_when_there_is_too_much);
  g_test_add_func ("/growing/advance/sentence",
      test_sentences_are_cut_off_where_that_frees_enough);
  g_test_add_func (
      "/growing/advance/exact", test_cuts_are_not_before_the_word_ends);
  g_test_add_func (
      "/growing/advance/nonsense", test_advances_that_are_not_about_a_window);
  g_test_add_func ("/growing/advance/none", test_without_advances);
  g_test_add_func ("/growing/late", test_steps_merge);
  g_test_add_func ("/growing/pass/long", test_nothing_passes_at_once);
  g_test_add_func ("/growing/pass/end", test_nothing_ends_an_utterance);
  g_test_add_func ("/growing/pass/short", test_a_short_pass_is_a_pause);
  g_test_add_func ("/growing/drift", test_drift);
  g_test_add_func ("/growing/voice/upstream", test_upstream_knows_voice);
  g_test_add_func ("/growing/voice/zeros", test_zeros_are_no_voice);
  g_test_add_func ("/growing/voice/forget", test_the_detector_forgets);
  g_test_add_func ("/growing/storm", test_storm);
  return g_test_run ();
}
