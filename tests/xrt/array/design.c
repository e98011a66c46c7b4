/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "design.h"

#include <math.h>
#include <string.h>

#include "npu-aie-programs.h"
#include "npu-math.h"
#include "test-data.h"

#define ROWS 1536
#define POSITIONS 1500
#define TILES (ROWS / 64)
#define TILE_ELEMENTS (64 * 64)
#define TILE_PITCH (TILE_ELEMENTS + 64)
#define COLUMNS 4
#define MASKED -3.0e38
#define LOG2_E 1.4426950408889634

const DesignKind design_kinds[] = {
    {"gelu_n1536", "gelu", 1536},
    {"gelu_n2048", "gelu", 2048},
    {"gelu_n3072", "gelu", 3072},
    {"layernorm_n384", "layernorm", 384},
    {"layernorm_n512", "layernorm", 512},
    {"layernorm_n768", "layernorm", 768},
    {"attention_h6", "attention", 6},
    {"attention_h8", "attention", 8},
    {"attention_h12", "attention", 12},
};
const guint design_n_kinds = G_N_ELEMENTS (design_kinds);

static NpuBf16
narrow (double x)
{
  return npu_bits_of_float (npu_round_bf16 ((float) x)) >> 16;
}

static double
widen (NpuBf16 x)
{
  return npu_float_of_bits ((uint32_t) x << 16);
}

static double
normal (GRand *random)
{
  const double u = 1 - g_rand_double (random), w = g_rand_double (random);

  return sqrt (-2 * log (u)) * cos (2 * G_PI * w);
}

static gboolean
is_op (const Design *design, const char *op)
{
  return g_str_equal (design->kind->op, op);
}

/* --- files */

static GBytes *
read_part (const DesignKind *kind, const char *file)
{
  g_autofree char *name =
      g_strdup_printf ("npu-designs/%s/%s", kind->name, file);
  g_autofree char *path = test_data_path (name);
  g_autoptr (GError) error = NULL;
  char *content;
  gsize size;

  if (!path)
    return NULL;
  g_file_get_contents (path, &content, &size, &error);
  g_assert_no_error (error);
  return g_bytes_new_take (content, size);
}

static void
add_argument (Design *design, gsize size)
{
  design->data[design->n_arguments] = g_malloc (size);
  design->sizes[design->n_arguments++] = size;
}

static void
add_arguments (Design *design)
{
  const gsize n = design->kind->n;

  if (is_op (design, "gelu")) {
    add_argument (design, ROWS * n * sizeof (NpuBf16));
    add_argument (design, ROWS * n * sizeof (NpuBf16));
  } else if (is_op (design, "layernorm")) {
    add_argument (design, ROWS * n * sizeof (float));
    add_argument (design, 2 * n * sizeof (float));
    add_argument (design, ROWS * n * sizeof (NpuBf16));
  } else {
    add_argument (design, n * TILES * TILE_PITCH * sizeof (NpuBf16));
    add_argument (design, n * TILES * TILE_PITCH * sizeof (NpuBf16));
    add_argument (design, n * TILES * TILE_ELEMENTS * sizeof (NpuBf16));
    add_argument (design, ROWS * n * 64 * sizeof (NpuBf16));
  }
}

Design *
design_new (const DesignKind *kind)
{
  Design *design = g_new0 (Design, 1);
  g_autoptr (GBytes) stream = read_part (kind, "instructions.bin");

  design->kind = kind;
  design->init = stream ? read_part (kind, "main_aie_cdo_init.bin") : NULL;
  design->enable =
      design->init ? read_part (kind, "main_aie_cdo_enable.bin") : NULL;
  if (!design->enable) {
    design_free (design);
    return NULL;
  }
  design->n_words = g_bytes_get_size (stream) / sizeof *design->words;
  design->words = g_new (guint32, design->n_words);
  memcpy (design->words, g_bytes_get_data (stream, NULL),
      design->n_words * sizeof *design->words);
  add_arguments (design);
  return design;
}

void
design_free (Design *design)
{
  if (!design)
    return;
  for (guint i = 0; i < design->n_arguments; i++)
    g_free (design->data[i]);
  g_free (design->words);
  g_clear_pointer (&design->init, g_bytes_unref);
  g_clear_pointer (&design->enable, g_bytes_unref);
  g_free (design);
}

/* --- arguments */

static void
fill_tiles (NpuBf16 *x, gsize n_tiles, gsize pitch, double scale, GRand *random)
{
  for (gsize tile = 0; tile < n_tiles; tile++)
    for (gsize i = 0; i < TILE_ELEMENTS; i++)
      x[tile * pitch + i] = narrow (scale * normal (random));
}

static void
fill_attention (Design *design, GRand *random)
{
  const gsize n_tiles = design->kind->n * TILES;
  NpuBf16 *q = design->data[0], *k = design->data[1];

  memset (q, 0, design->sizes[0]);
  fill_tiles (q, n_tiles, TILE_PITCH, LOG2_E / 8, random);
  fill_tiles (k, n_tiles, TILE_PITCH, 1, random);
  fill_tiles (design->data[2], n_tiles, TILE_ELEMENTS, 1, random);
  for (gsize tile = 0; tile < n_tiles; tile++)
    for (gsize i = 0; i < 64; i++)
      k[tile * TILE_PITCH + TILE_ELEMENTS + i] =
          tile % TILES * 64 + i < POSITIONS ? 0 : narrow (MASKED);
}

void
design_fill (Design *design, guint32 seed)
{
  GRand *random = g_rand_new_with_seed (seed);
  const gsize n = design->kind->n;

  if (is_op (design, "gelu")) {
    NpuBf16 *x = design->data[0];

    for (gsize i = 0; i < ROWS * n; i++)
      x[i] = narrow (3 * normal (random));
  } else if (is_op (design, "layernorm")) {
    float *x = design->data[0], *g = design->data[1];

    for (gsize i = 0; i < ROWS * n; i++)
      x[i] = (float) (0.5 + 2 * normal (random));
    for (gsize i = 0; i < 2 * n; i++)
      g[i] = (float) (1 + 0.3 * normal (random));
  } else {
    fill_attention (design, random);
  }
  memset (design->data[design->n_arguments - 1], 0xff,
      design->sizes[design->n_arguments - 1]);
  g_rand_free (random);
}

/* --- running */

char *
design_program (const Design *design)
{
  const guint n = design->kind->n;

  if (is_op (design, "gelu"))
    return g_strdup ("gelu");
  if (is_op (design, "layernorm"))
    return g_strdup_printf ("layernorm n=%u objects=%d", n, ROWS / 64);
  /* Where the tools put the buffers: core-buffers.json. */
  return g_strdup ("attention kv-tiles=24 acc=16384 state=10240");
}

#define CDO_HEADER 5
#define CDO_BLOCK 0x105
#define CDO_WRITE 0x108

/* The configuration with the change: in each command that writes there. */
static GBytes *
change_init (const Design *design, const DesignChange *change)
{
  const gsize n = g_bytes_get_size (design->init) / 4;
  guint32 *words =
      g_memdup2 (g_bytes_get_data (design->init, NULL), n * sizeof *words);
  guint n_changed = 0;

  for (gsize i = CDO_HEADER; change && i + 3 < n;) {
    const guint32 command = words[i] & 0xffff;
    gsize length = words[i] >> 16 & 0xff, start = i + 1;

    if (length == 0xff)
      length = words[start++];
    if (command == CDO_BLOCK || command == CDO_WRITE)
      for (gsize j = 2; j < length; j++)
        if (words[start + 1] + 4 * (j - 2) == change->address) {
          guint32 *word = &words[start + j];

          *word = (*word & ~change->mask) | change->value;
          n_changed++;
        }
    i = start + length;
  }
  g_assert_true (!change || n_changed > 0);
  return g_bytes_new_take (words, n * sizeof *words);
}

Array *
design_open (
    const Design *design, guint64 seed, const DesignChange *change, char **why)
{
  g_autofree char *line = design_program (design);
  g_autoptr (GBytes) init = change_init (design, change);
  Array *array = array_new (COLUMNS, seed);

  if (array_add_program (array, line, NULL) &&
      array_configure (
          array, g_bytes_get_data (init, NULL), g_bytes_get_size (init)) &&
      array_configure (array, g_bytes_get_data (design->enable, NULL),
          g_bytes_get_size (design->enable)))
    return array;
  *why = g_strdup (array_error (array));
  array_free (array);
  return NULL;
}

gboolean
design_run (const Design *design, Array *array)
{
  for (guint i = 0; i < design->n_arguments; i++)
    array_set_argument (array, i, design->data[i], design->sizes[i]);
  return array_run (array, design->words, design->n_words);
}

/* --- results */

/* Within 0.53 of a bfloat16 step: half of one, and what gelu.c promises. */
static double
error_in_steps (NpuBf16 y, double exact, double floor)
{
  const double magnitude = MAX (fabs (exact), floor);

  return fabs (widen (y) - exact) / (ldexp (1, ilogb (magnitude) - 7) * 0.53);
}

static double
gelu_error (const Design *design)
{
  const NpuBf16 *x = design->data[0], *y = design->data[1];
  double worst = 0;

  for (gsize i = 0; i < design->sizes[1] / sizeof *y; i++) {
    const double value = widen (x[i]);
    const double exact = value * 0.5 * erfc (-value * M_SQRT1_2);

    worst = MAX (worst, error_in_steps (y[i], exact, 1e-10));
  }
  return worst;
}

static double
layernorm_error (const Design *design)
{
  const gsize n = design->kind->n;
  const float *x = design->data[0], *g = design->data[1];
  const NpuBf16 *y = design->data[2];
  double worst = 0;

  for (gsize row = 0; row < ROWS; row++, x += n, y += n) {
    double mean = 0, variance = 0;

    for (gsize i = 0; i < n; i++)
      mean += (double) x[i] / (double) n;
    for (gsize i = 0; i < n; i++)
      variance += (x[i] - mean) * (x[i] - mean) / (double) n;
    for (gsize i = 0; i < n; i++) {
      const double exact =
          (x[i] - mean) / sqrt (variance + 1e-5) * g[i] + g[n + i];

      worst = MAX (worst, error_in_steps (y[i], exact, 0.03));
    }
  }
  return worst;
}

/* One row of a head: softmax to base 2 of the scores, times v. */
static void
exact_row (const Design *design, gsize head, gsize row, double o[64])
{
  const NpuBf16 *q = (const NpuBf16 *) design->data[0] +
                     (head * TILES + row / 64) * TILE_PITCH + row % 64 * 64;
  const NpuBf16 *k =
      (const NpuBf16 *) design->data[1] + head * TILES * TILE_PITCH;
  const NpuBf16 *v =
      (const NpuBf16 *) design->data[2] + head * TILES * TILE_ELEMENTS;
  double sum = 0;

  memset (o, 0, 64 * sizeof *o);
  for (gsize key = 0; key < POSITIONS; key++) {
    const NpuBf16 *kt = k + key / 64 * TILE_PITCH + key % 64 * 64;
    double s = 0;

    for (gsize i = 0; i < 64; i++)
      s += widen (q[i]) * widen (kt[i]);
    s = exp2 (s);
    sum += s;
    for (gsize i = 0; i < 64; i++)
      o[i] += s * widen (v[key * 64 + i]);
  }
  for (gsize i = 0; i < 64; i++)
    o[i] /= sum;
}

/* Some rows of each head and tile: a mix-up of any would show. 0.004 is what
 * rounding weights to bfloat16 may do to sums of values of deviation 1. */
static double
attention_error (const Design *design)
{
  const gsize d = design->kind->n * 64;
  const NpuBf16 *y = design->data[3];
  double worst = 0;

  for (gsize head = 0; head < design->kind->n; head++)
    for (gsize row = head; row < ROWS; row += 37) {
      double o[64];

      exact_row (design, head, row, o);
      for (gsize i = 0; i < 64; i++)
        worst = MAX (
            worst, fabs (widen (y[row * d + head * 64 + i]) - o[i]) / 0.004);
    }
  return worst;
}

double
design_error (const Design *design)
{
  if (is_op (design, "gelu"))
    return gelu_error (design);
  if (is_op (design, "layernorm"))
    return layernorm_error (design);
  return attention_error (design);
}
