/* The power spectrum of a windowed real frame of 400 samples, eight frames at
 * once, one per SIMD lane.
 *
 * 400 = 16 * 25: sixteen real DFTs of 25 samples, a twiddle, thirteen complex
 * DFTs of 16; the rest follows from the symmetry of a real signal's spectrum.
 * A header, because logmel.c compiles it once per instruction set.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <math.h>

#define DFT_SIZE 400
#define DFT_BINS (DFT_SIZE / 2 + 1)
#define DFT_LANES 8

/* Lanes are passed by address: by value their ABI depends on the CPU. */
typedef float DftLanes __attribute__ ((vector_size (DFT_LANES * 4)));

typedef struct {
  DftLanes re, im;
} DftComplex;

typedef struct {
  float re, im;
} DftTwiddle;

typedef struct {
  float window[DFT_SIZE];        /* periodic Hann */
  DftTwiddle w5_in_25[5][3];     /* [b][c]: W25^(b c) */
  DftTwiddle w4_in_16[4][4];     /* [b][c]: W16^(b c) */
  DftTwiddle w25_in_400[16][13]; /* [n][k]: W400^(n k) */
} DftTables;

#define DFT_INLINE static inline __attribute__ ((always_inline))

/* exp (-2 pi i k / n) */
static inline DftTwiddle
dft_twiddle (int k, int n)
{
  double angle = 2 * M_PI * k / n;

  return (DftTwiddle){(float) cos (angle), (float) -sin (angle)};
}

static inline void
dft_tables_init (DftTables *tables)
{
  for (int i = 0; i < DFT_SIZE; i++)
    tables->window[i] = (float) (0.5 - 0.5 * cos (2 * M_PI * i / DFT_SIZE));

  for (int b = 0; b < 5; b++)
    for (int c = 0; c < 3; c++)
      tables->w5_in_25[b][c] = dft_twiddle (b * c, 25);
  for (int b = 0; b < 4; b++)
    for (int c = 0; c < 4; c++)
      tables->w4_in_16[b][c] = dft_twiddle (b * c, 16);
  for (int n = 0; n < 16; n++)
    for (int k = 0; k < 13; k++)
      tables->w25_in_400[n][k] = dft_twiddle (n * k, DFT_SIZE);
}

DFT_INLINE void
dft_rotate (DftComplex *x, const DftTwiddle *w)
{
  DftLanes re = x->re * w->re - x->im * w->im;

  x->im = x->re * w->im + x->im * w->re;
  x->re = re;
}

#define COS_1_5 0.309016994374947424f  /* cos (2 pi / 5) */
#define COS_2_5 -0.809016994374947424f /* cos (4 pi / 5) */
#define SIN_1_5 0.951056516295153572f
#define SIN_2_5 0.587785252292473129f

/* Outputs 0, 1 and 2; 4 and 3 are the conjugates of 1 and 2. */
DFT_INLINE void
dft_real_5 (DftComplex *y, const DftLanes *x)
{
  DftLanes sum_1 = x[1] + x[4], sum_2 = x[2] + x[3];
  DftLanes diff_1 = x[1] - x[4], diff_2 = x[2] - x[3];

  y[0].re = x[0] + sum_1 + sum_2;
  y[0].im = (DftLanes){0};
  y[1].re = x[0] + COS_1_5 * sum_1 + COS_2_5 * sum_2;
  y[1].im = -(SIN_1_5 * diff_1 + SIN_2_5 * diff_2);
  y[2].re = x[0] + COS_2_5 * sum_1 + COS_1_5 * sum_2;
  y[2].im = SIN_1_5 * diff_2 - SIN_2_5 * diff_1;
}

/* As the one above for the real and the imaginary part, joined. */
DFT_INLINE void
dft_complex_5 (DftComplex *y, const DftComplex *x)
{
  DftLanes re[5], im[5];
  DftComplex y_re[3], y_im[3];

  for (int i = 0; i < 5; i++) {
    re[i] = x[i].re;
    im[i] = x[i].im;
  }
  dft_real_5 (y_re, re);
  dft_real_5 (y_im, im);

  y[0].re = y_re[0].re;
  y[0].im = y_im[0].re;
  for (int k = 1; k < 3; k++) {
    y[k].re = y_re[k].re - y_im[k].im;
    y[k].im = y_re[k].im + y_im[k].re;
    y[5 - k].re = y_re[k].re + y_im[k].im;
    y[5 - k].im = y_im[k].re - y_re[k].im;
  }
}

/* Outputs 0 to 12 of x[25]; n = 5 a + b, k = c + 5 d. */
DFT_INLINE void
dft_real_25 (DftComplex *y, const DftLanes *x, const DftTables *tables)
{
  DftComplex inner[3][5]; /* [c][b] */
  DftLanes real[5];
  DftComplex outer[5];

  for (int b = 0; b < 5; b++) {
    DftLanes column[5];
    DftComplex out[3];

    for (int a = 0; a < 5; a++)
      column[a] = x[5 * a + b];
    dft_real_5 (out, column);
    real[b] = out[0].re;
    for (int c = 1; c < 3; c++) {
      if (b > 0)
        dft_rotate (&out[c], &tables->w5_in_25[b][c]);
      inner[c][b] = out[c];
    }
  }

  dft_real_5 (outer, real);
  for (int d = 0; d < 3; d++)
    y[5 * d] = outer[d];
  for (int c = 1; c < 3; c++) {
    dft_complex_5 (outer, inner[c]);
    for (int d = 0; d < 3; d++)
      y[c + 5 * d] = outer[d];
    /* k = c + 15 and c + 20 stand for their mirror images 25 - k. */
    for (int d = 3; d < 5; d++) {
      y[25 - c - 5 * d].re = outer[d].re;
      y[25 - c - 5 * d].im = -outer[d].im;
    }
  }
}

DFT_INLINE void
dft_complex_4 (DftComplex *y, const DftComplex *x)
{
  DftLanes even_re = x[0].re + x[2].re, even_im = x[0].im + x[2].im;
  DftLanes half_re = x[0].re - x[2].re, half_im = x[0].im - x[2].im;
  DftLanes odd_re = x[1].re + x[3].re, odd_im = x[1].im + x[3].im;
  DftLanes turn_re = x[1].re - x[3].re, turn_im = x[1].im - x[3].im;

  y[0].re = even_re + odd_re;
  y[0].im = even_im + odd_im;
  y[1].re = half_re + turn_im;
  y[1].im = half_im - turn_re;
  y[2].re = even_re - odd_re;
  y[2].im = even_im - odd_im;
  y[3].re = half_re - turn_im;
  y[3].im = half_im + turn_re;
}

/* n = 4 a + b, k = c + 4 d. */
DFT_INLINE void
dft_complex_16 (DftComplex *y, const DftComplex *x, const DftTables *tables)
{
  DftComplex inner[4][4]; /* [c][b] */

  for (int b = 0; b < 4; b++) {
    DftComplex column[4], out[4];

    for (int a = 0; a < 4; a++)
      column[a] = x[4 * a + b];
    dft_complex_4 (out, column);
    inner[0][b] = out[0];
    for (int c = 1; c < 4; c++) {
      if (b > 0)
        dft_rotate (&out[c], &tables->w4_in_16[b][c]);
      inner[c][b] = out[c];
    }
  }

  for (int c = 0; c < 4; c++) {
    DftComplex out[4];

    dft_complex_4 (out, inner[c]);
    for (int d = 0; d < 4; d++)
      y[c + 4 * d] = out[d];
  }
}

/* power[DFT_BINS] = |DFT (window * samples[DFT_SIZE])|^2, lane by lane.
 * n = 16 n1 + n2, k = k1 + 25 k2. */
DFT_INLINE void
dft_power (DftLanes *power, const DftLanes *samples, const DftTables *tables)
{
  DftComplex rows[13][16]; /* [k1][n2] */

  for (int n2 = 0; n2 < 16; n2++) {
    DftLanes x[25];
    DftComplex y[13];

    for (int n1 = 0; n1 < 25; n1++)
      x[n1] = samples[16 * n1 + n2] * tables->window[16 * n1 + n2];
    dft_real_25 (y, x, tables);
    rows[0][n2] = y[0];
    for (int k1 = 1; k1 < 13; k1++) {
      dft_rotate (&y[k1], &tables->w25_in_400[n2][k1]);
      rows[k1][n2] = y[k1];
    }
  }

  for (int k1 = 0; k1 < 13; k1++) {
    DftComplex y[16];

    dft_complex_16 (y, rows[k1], tables);
    for (int k2 = 0; k2 < 16; k2++) {
      int k = k1 + 25 * k2;

      power[k < DFT_BINS ? k : DFT_SIZE - k] =
          y[k2].re * y[k2].re + y[k2].im * y[k2].im;
    }
  }
}
