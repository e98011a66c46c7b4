/* Memory of a step: it grows with the rows that come at once.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoder-private.h"

#include <stdlib.h>

static gpointer
new_array (gsize n, gsize size)
{
  gpointer array = NULL;

  if (n > G_MAXSIZE / size || posix_memalign (&array, 64, MAX (n * size, 64)))
    return NULL;
  return array;
}

/* The content is lost. */
#define RENEW(array, n)                                                        \
  (free (array), ((array) = new_array ((n), sizeof *(array))) != NULL)

static gboolean
reserve_rows (NpuDecoder *decoder, guint n)
{
  const DecoderWeights *weights = decoder->weights;
  DecoderStep *step = &decoder->step;
  const gsize d = (gsize) n * weights->d;
  const gsize heads = (gsize) n * weights->n_heads;
  const guint n_runs =
      (decoder->windows.n_positions + NPU_FEW_KEYS - 1) / NPU_FEW_KEYS;

  step->room = 0;
  if (!RENEW (step->slots, n) || !RENEW (step->sequence, n) ||
      !RENEW (step->n_keys, n) || !RENEW (step->attention, n) ||
      !RENEW (step->by_window, n) || !RENEW (step->x, d) ||
      !RENEW (step->norm, d) || !RENEW (step->q, d) ||
      !RENEW (step->attended, d) || !RENEW (step->hidden, 4 * d) ||
      !RENEW (step->ints, 4 * d) || !RENEW (step->scale, n) ||
      !RENEW (step->q_ints, d) || !RENEW (step->q_scale, heads) ||
      !RENEW (step->runs, heads * n_runs))
    return FALSE;
  step->room = n;
  return TRUE;
}

static gboolean
reserve_wanted (NpuDecoder *decoder, guint n)
{
  DecoderStep *step = &decoder->step;

  step->wanted_room = 0;
  if (!RENEW (step->wanted, n) || !RENEW (step->logits, n) ||
      !RENEW (step->final, (gsize) n * decoder->weights->d))
    return FALSE;
  step->wanted_room = n;
  return TRUE;
}

gboolean
decoder_step_reserve (NpuDecoder *decoder, guint n_rows, guint n_wanted)
{
  DecoderStep *step = &decoder->step;

  if (!step->windows) {
    step->windows = g_new0 (guint, decoder->options.max_windows);
    step->window_first = g_new0 (guint, decoder->options.max_windows + 1);
  }
  return (n_rows <= step->room || reserve_rows (decoder, n_rows)) &&
         (n_wanted <= step->wanted_room || reserve_wanted (decoder, n_wanted));
}

void
decoder_step_clear (NpuDecoder *decoder)
{
  DecoderStep *step = &decoder->step;

  free (step->slots);
  free (step->sequence);
  free (step->n_keys);
  free (step->by_window);
  free (step->x);
  free (step->norm);
  free (step->q);
  free (step->attended);
  free (step->hidden);
  free (step->ints);
  free (step->scale);
  free (step->q_ints);
  free (step->q_scale);
  free (step->runs);
  free (step->wanted);
  free (step->logits);
  free (step->attention);
  free (step->final);
  g_free (step->windows);
  g_free (step->window_first);
  g_free (decoder->ops);
  g_free (decoder->commands);
}
