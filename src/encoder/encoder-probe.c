/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "encoder-probe.h"

#include <math.h>

#define MIN_COSINE 0.98
#define MAX_BAD_POSITIONS (ENCODER_PROBE_POSITIONS / 50)

/* Frames of a syllable: a hiss, a vowel, a pause. */
#define HISS_FRAMES 5
#define VOWEL_FRAMES 14
#define PAUSE_FRAMES 5
#define SYLLABLE_FRAMES (HISS_FRAMES + VOWEL_FRAMES + PAUSE_FRAMES)

/* Log-mel as whispermel scales it: the loudest is near 1, silence 2 lower. */
#define FLOOR -0.75f
#define NOISE 0.12f

/* The lower three formants of /a i u e o/, as shares of the mel scale from 0
 * to 8 kHz (after Peterson and Barney 1952). */
static const float vowels[][3] = {
    {0.28f, 0.36f, 0.56f},
    {0.12f, 0.53f, 0.62f},
    {0.13f, 0.31f, 0.54f},
    {0.22f, 0.49f, 0.57f},
    {0.23f, 0.30f, 0.56f},
};

/* A number of [-1, 1) that depends on the band and the frame. */
static float
noise_at (guint band, guint frame)
{
  guint32 h = band * 0x9e3779b1u ^ frame * 0x85ebca77u;

  h ^= h >> 15;
  h *= 0xc2b2ae3du;
  h ^= h >> 13;
  return (float) (h >> 8) / (float) (1 << 23) - 1.0f;
}

static float
bump (float x, float centre, float width)
{
  const float t = (x - centre) / width;

  return expf (-t * t);
}

/* @x is the band's place on the mel scale, 0 to 1. */
static float
level_at (float x, guint frame)
{
  const guint syllable = frame / SYLLABLE_FRAMES;
  const guint phase = frame % SYLLABLE_FRAMES;
  float level = 0.0f;

  if (phase < HISS_FRAMES) {
    level = 1.2f * bump (x, syllable % 2 ? 0.75f : 0.92f, 0.15f);
  } else if (phase < HISS_FRAMES + VOWEL_FRAMES) {
    const float *from = vowels[syllable % G_N_ELEMENTS (vowels)];
    const float *to = vowels[(syllable + 2) % G_N_ELEMENTS (vowels)];
    const float glide = (float) (phase - HISS_FRAMES) / (float) VOWEL_FRAMES;
    const float loudness = sinf ((float) G_PI * (0.1f + 0.8f * glide));

    for (guint i = 0; i < 3; i++) {
      const float centre = from[i] + (to[i] - from[i]) * glide;

      level += (1.8f - 0.4f * (float) i) * bump (x, centre, 0.05f);
    }
    /* Harmonics of the voice, as far as bands tell them apart. */
    level += 0.4f * (0.5f - x) * cosf (x * 90.0f);
    level *= loudness;
  }
  return level;
}

void
encoder_probe_fill (float *mel, guint n_mels)
{
  for (guint band = 0; band < n_mels; band++)
    for (guint frame = 0; frame < ENCODER_PROBE_FRAMES; frame++) {
      const float x = ((float) band + 0.5f) / (float) n_mels;

      mel[band * ENCODER_PROBE_FRAMES + frame] =
          FLOOR + NOISE * noise_at (band, frame) + level_at (x, frame);
    }
}

gboolean
encoder_probe_holds (const float *exact, const float *approximate, guint d)
{
  guint n_bad = 0;

  for (guint i = 0; i < ENCODER_PROBE_POSITIONS; i++) {
    const float *x = exact + (gsize) i * d, *y = approximate + (gsize) i * d;
    double xy = 0.0, xx = 0.0, yy = 0.0;

    for (guint j = 0; j < d; j++) {
      xy += (double) x[j] * y[j];
      xx += (double) x[j] * x[j];
      yy += (double) y[j] * y[j];
    }
    /* Not "<": a NaN is bad too. */
    n_bad += !(xy >= MIN_COSINE * sqrt (xx * yy));
  }
  return n_bad <= MAX_BAD_POSITIONS;
}
