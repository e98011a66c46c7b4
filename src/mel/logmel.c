/* Whisper's log-mel spectrogram: framing, mel bands, logarithm.
 *
 * The window is cut into eight stretches, one per SIMD lane, and all eight
 * advance together frame by frame, so that every step below is plain vector
 * arithmetic. Compiled for the baseline CPU and for AVX2 with FMA.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "logmel.h"

#include <string.h>

#include "dft400.h"

#define N_MELS_MAX 128
#define MEL_FLOOR 1e-10f
#define LOG_MEL_FLOOR -10.0f
#define MEL_RANGE 8.0f /* log10 units kept below the window's maximum */

/* Steps whose results are gathered before they go to mel[][] as rows. */
#define BLOCK DFT_LANES

typedef DftLanes Lanes;
typedef gint32 IntLanes __attribute__ ((vector_size (DFT_LANES * 4)));

/* A band weights power[first .. first + n), from weights[offset] on. */
typedef struct {
  guint first, n, offset;
} Band;

typedef struct {
  const float *samples;
  gsize n_samples;
  gsize window_size; /* samples with the padding */
  guint n_frames;    /* of the window: a row of mel */
  guint n_active;    /* frames that see any sample */
  float *mel;
} Job;

typedef void (*ComputeFunc) (LogMel *self, const Job *job);

struct _LogMel {
  DftTables tables;
  ComputeFunc compute;
  guint n_mels;
  Band bands[N_MELS_MAX];
  float weights[2 * DFT_BINS]; /* a bin feeds two bands at most */

  /* Scratch, lane by lane. */
  Lanes frame[LOG_MEL_N_FFT];
  Lanes power[DFT_BINS];
  Lanes block[N_MELS_MAX * BLOCK]; /* [n_mels][BLOCK] */
};

/* --- mel bands --- */

/* Slaney's scale (Auditory Toolbox, 1998): linear to 1 kHz, then
 * logarithmic. */
static double
mel_to_hz (double mel)
{
  const double hz_per_mel = 200.0 / 3, knee = 15;

  if (mel < knee)
    return mel * hz_per_mel;
  return 1000 * exp ((mel - knee) * log (6.4) / 27);
}

static double
hz_to_mel (double hz)
{
  const double hz_per_mel = 200.0 / 3, knee = 1000;

  if (hz < knee)
    return hz / hz_per_mel;
  return 15 + log (hz / knee) * 27 / log (6.4);
}

/* Triangles between equidistant mels from 0 to the Nyquist frequency, each
 * with an area of 1 Hz. */
static void
init_bands (LogMel *self)
{
  const double nyquist = LOG_MEL_RATE / 2.0;
  const double bin_hz = (double) LOG_MEL_RATE / LOG_MEL_N_FFT;
  const double step = hz_to_mel (nyquist) / (self->n_mels + 1);
  guint n_weights = 0;

  for (guint m = 0; m < self->n_mels; m++) {
    Band *band = &self->bands[m];
    double low = mel_to_hz (m * step);
    double mid = mel_to_hz ((m + 1) * step);
    double high = mel_to_hz ((m + 2) * step);

    band->offset = n_weights;
    for (guint k = 0; k < DFT_BINS; k++) {
      double rise = (k * bin_hz - low) / (mid - low);
      double fall = (high - k * bin_hz) / (high - mid);
      double weight = MIN (rise, fall) * 2 / (high - low);

      if (weight <= 0)
        continue;
      g_assert (n_weights < G_N_ELEMENTS (self->weights));
      if (band->n == 0)
        band->first = k;
      band->n++;
      self->weights[n_weights++] = (float) weight;
    }
  }
}

/* --- lanes --- */

/* Rows become lanes: out[i][l] = rows[l][i]. */
DFT_INLINE void
transpose (Lanes *out, const Lanes *rows)
{
  Lanes a[8], b[8];

  /* Interleaves lanes, then pairs, then halves. */
  for (int i = 0; i < 4; i++) {
    a[2 * i] = __builtin_shufflevector (
        rows[2 * i], rows[2 * i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
    a[2 * i + 1] = __builtin_shufflevector (
        rows[2 * i], rows[2 * i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int j = 0; j < 2; j++) {
      b[i + j] = __builtin_shufflevector (
          a[i + j], a[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      b[i + j + 2] = __builtin_shufflevector (
          a[i + j], a[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
  for (int i = 0; i < 4; i++) {
    out[i] = __builtin_shufflevector (b[i], b[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    out[i + 4] =
        __builtin_shufflevector (b[i], b[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

/* log10 to float accuracy for normal x > 0: the exponent, and the series of
 * 2 artanh ((m - 1) / (m + 1)) for a mantissa m in [2/3, 4/3). */
DFT_INLINE void
log10_lanes (Lanes *x)
{
  const float ln_10_inverse = 0.434294481903251828f;
  const float log10_2 = 0.301029995663981195f;
  const gint32 two_thirds = 0x3f2aaaab;
  IntLanes bits = (IntLanes) *x;
  IntLanes exponent = (bits - two_thirds) & ~0x7fffff; /* still shifted */
  Lanes m = (Lanes) (bits - exponent);
  Lanes s = (m - 1.0f) / (m + 1.0f);
  Lanes s2 = s * s;
  Lanes series = 1.0f / 11 + s2 * (1.0f / 13);

  series = 1.0f / 9 + s2 * series;
  series = 1.0f / 7 + s2 * series;
  series = 1.0f / 5 + s2 * series;
  series = 1.0f / 3 + s2 * series;
  series = 2 * ln_10_inverse * (s + s * s2 * series);
  *x = series + __builtin_convertvector(exponent >> 23, Lanes) * log10_2;
}

/* Lanes of @x where @mask is set, of @other elsewhere. */
DFT_INLINE void
select_lanes (Lanes *x, const IntLanes *mask, const Lanes *other)
{
  *x = (Lanes) (((IntLanes) *x & *mask) | ((IntLanes) *other & ~*mask));
}

DFT_INLINE void
max_lanes (Lanes *x, const Lanes *y)
{
  IntLanes greater = *x > *y;

  select_lanes (x, &greater, y);
}

/* log10 of what is above the floor, exactly LOG_MEL_FLOOR elsewhere. */
DFT_INLINE void
floor_log10_lanes (Lanes *x)
{
  const Lanes floor = (Lanes){0} + MEL_FLOOR;
  const Lanes log_floor = (Lanes){0} + LOG_MEL_FLOOR;
  IntLanes above = *x > floor;

  select_lanes (x, &above, &floor);
  log10_lanes (x);
  select_lanes (x, &above, &log_floor);
}

/* --- a window --- */

/* The sample at @position of the padded window, reflected at both ends. */
static float
sample_at (const Job *job, gssize position)
{
  gssize end = (gssize) job->window_size;

  if (position < 0)
    position = -position;
  else if (position >= end)
    position = 2 * end - 2 - position;
  if (position < 0 || position >= (gssize) job->n_samples)
    return 0;
  return job->samples[position];
}

/* frame[i][l] = eight samples of each lane's stretch, from position + l *
 * stride on. */
DFT_INLINE void
load_eight (Lanes *frame, const Job *job, gssize position, gssize stride)
{
  Lanes rows[DFT_LANES];

  for (int l = 0; l < DFT_LANES; l++) {
    gssize first = position + l * stride;

    if (first >= 0 && first + DFT_LANES <= (gssize) job->n_samples) {
      memcpy (&rows[l], job->samples + first, sizeof rows[l]);
    } else {
      for (int i = 0; i < DFT_LANES; i++)
        rows[l][i] = sample_at (job, first + i);
    }
  }
  transpose (frame, rows);
}

/* Adds a step's mel to the block. */
DFT_INLINE void
apply_bands (LogMel *self, guint step)
{
  for (guint m = 0; m < self->n_mels; m++) {
    const Band *band = &self->bands[m];
    Lanes sum = {0};

    for (guint i = 0; i < band->n; i++)
      sum += self->power[band->first + i] * self->weights[band->offset + i];
    self->block[m * BLOCK + step] = sum;
  }
}

/* Writes log10 of a block of @n_steps from @step on to the rows of mel; every
 * lane's stretch has @n_lane_frames. */
DFT_INLINE void
store_block (LogMel *self, const Job *job, guint step, guint n_steps,
    guint n_lane_frames)
{
  for (guint m = 0; m < self->n_mels; m++) {
    Lanes *in = &self->block[m * BLOCK];
    Lanes rows[BLOCK];

    for (guint i = 0; i < BLOCK; i++)
      floor_log10_lanes (&in[i]);
    transpose (rows, in);

    for (guint l = 0; l < DFT_LANES; l++) {
      guint frame = l * n_lane_frames + step;
      guint end = MIN (frame + n_steps, job->n_active);
      float *out = job->mel + (gsize) m * job->n_frames + frame;

      if (end >= frame + BLOCK)
        memcpy (out, &rows[l], sizeof rows[l]);
      else if (end > frame)
        memcpy (out, &rows[l], (end - frame) * sizeof (float));
    }
  }
}

/* log10 of every band of every frame that sees a sample. */
DFT_INLINE void
compute_active (LogMel *self, const Job *job)
{
  const guint n_lane_frames = (job->n_active + DFT_LANES - 1) / DFT_LANES;
  const gssize stride = (gssize) n_lane_frames * LOG_MEL_HOP;
  const guint n_kept = LOG_MEL_N_FFT - LOG_MEL_HOP;

  for (guint i = 0; i < n_kept; i += DFT_LANES)
    load_eight (&self->frame[LOG_MEL_HOP + i], job,
        (gssize) i - LOG_MEL_N_FFT / 2, stride);

  for (guint step = 0; step < n_lane_frames; step += BLOCK) {
    guint n_steps = MIN (BLOCK, n_lane_frames - step);

    for (guint i = 0; i < n_steps; i++) {
      gssize next =
          (gssize) (step + i) * LOG_MEL_HOP + n_kept - LOG_MEL_N_FFT / 2;

      memmove (
          self->frame, self->frame + LOG_MEL_HOP, n_kept * sizeof *self->frame);
      for (guint j = 0; j < LOG_MEL_HOP; j += DFT_LANES)
        load_eight (&self->frame[n_kept + j], job, next + j, stride);
      dft_power (self->power, self->frame, &self->tables);
      apply_bands (self, i);
    }
    store_block (self, job, step, n_steps, n_lane_frames);
  }
}

/* Clamps to MEL_RANGE below the maximum and scales as Whisper does. n is a
 * multiple of DFT_LANES: 80 and 128 bands are. */
DFT_INLINE void
normalize (float *mel, gsize n)
{
  Lanes max = (Lanes){0} - INFINITY;
  Lanes floor;
  float top = -INFINITY;

  for (gsize i = 0; i < n; i += DFT_LANES) {
    Lanes x;

    memcpy (&x, mel + i, sizeof x);
    max_lanes (&max, &x);
  }
  for (int l = 0; l < DFT_LANES; l++)
    top = MAX (top, max[l]);
  floor = (Lanes){0} + (top - MEL_RANGE);

  for (gsize i = 0; i < n; i += DFT_LANES) {
    Lanes x;

    memcpy (&x, mel + i, sizeof x);
    max_lanes (&x, &floor);
    x = (x + 4.0f) * 0.25f;
    memcpy (mel + i, &x, sizeof x);
  }
}

DFT_INLINE void
compute (LogMel *self, const Job *job)
{
  compute_active (self, job);

  for (guint m = 0; m < self->n_mels; m++)
    for (guint f = job->n_active; f < job->n_frames; f++)
      job->mel[(gsize) m * job->n_frames + f] = LOG_MEL_FLOOR;

  normalize (job->mel, (gsize) self->n_mels * job->n_frames);
}

static void
compute_baseline (LogMel *self, const Job *job)
{
  compute (self, job);
}

#if defined(__x86_64__) || defined(__i386__)
__attribute__ ((target ("avx2,fma"))) static void
compute_avx2 (LogMel *self, const Job *job)
{
  compute (self, job);
}

static ComputeFunc
choose_compute (void)
{
  if (__builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma"))
    return compute_avx2;
  return compute_baseline;
}
#else
static ComputeFunc
choose_compute (void)
{
  return compute_baseline;
}
#endif

/* --- interface --- */

LogMel *
log_mel_new (guint n_mels)
{
  LogMel *self;

  g_return_val_if_fail (n_mels == 80 || n_mels == 128, NULL);

  self = g_aligned_alloc0 (1, sizeof *self, sizeof (Lanes));
  self->n_mels = n_mels;
  self->compute = choose_compute ();
  dft_tables_init (&self->tables);
  init_bands (self);
  return self;
}

void
log_mel_free (LogMel *self)
{
  g_aligned_free (self);
}

void
log_mel_use_baseline (LogMel *self)
{
  self->compute = compute_baseline;
}

void
log_mel_compute (LogMel *self, const float *samples, gsize n_samples,
    guint n_frames, float *mel)
{
  /* Frame f is centred on sample f * LOG_MEL_HOP. */
  gsize n_active =
      (n_samples + LOG_MEL_N_FFT / 2 + LOG_MEL_HOP - 1) / LOG_MEL_HOP;
  Job job = {
      .samples = samples,
      .n_samples = n_samples,
      .window_size = (gsize) n_frames * LOG_MEL_HOP,
      .n_frames = n_frames,
      .n_active = n_samples > 0 ? MIN (n_active, n_frames) : 0,
      .mel = mel,
  };

  g_return_if_fail (n_frames >= 2);
  g_return_if_fail (n_samples <= job.window_size);

  self->compute (self, &job);
}
