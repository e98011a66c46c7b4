/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "language.h"

#include <math.h>

#include "logits.h"
#include "npu-error.h"

static gboolean
fail_not_numbers (GError **error)
{
  g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED,
      "the decoder's logits at the start of a window are not all numbers: are the model's weights and the states that it was given sound?");
  return FALSE;
}

gboolean
npu_no_speech_read (const NpuSpecialTokens *special, const float *logits,
    float *probability, GError **error)
{
  const double all = npu_logits_logsumexp (logits, special->n_vocab);

  if (!isfinite (all))
    return fail_not_numbers (error);
  *probability = (float) exp (logits[special->no_speech] - all);
  return TRUE;
}

gboolean
npu_languages_read (const NpuLogitsSource *source,
    const NpuSpecialTokens *special, guint row, const float *logits,
    float *probabilities, int *language, GError **error)
{
  const guint n = special->n_languages;
  const guint32 first = special->sot + 1;
  g_autofree guint32 *ids = g_new (guint32, n);
  g_autofree float *exact = g_memdup2 (logits + first, n * sizeof (float));
  double all;

  for (guint i = 0; i < n; i++)
    ids[i] = first + i;
  if (source->refine &&
      !source->refine (source->self, row, ids, n, exact, error))
    return FALSE;
  all = npu_logits_logsumexp (exact, n);
  if (!isfinite (all))
    return fail_not_numbers (error);

  *language = 0;
  for (guint i = 0; i < n; i++) {
    probabilities[i] = (float) exp (exact[i] - all);
    if (exact[i] > exact[*language])
      *language = (int) i;
  }
  return TRUE;
}

gboolean
npu_detect_language (const NpuLogitsSource *source, NpuTokenizer *tokenizer,
    guint window, float *probabilities, float *no_speech_prob, GError **error)
{
  const NpuSpecialTokens *special = npu_tokenizer_get_special (tokenizer);
  const NpuDecoderRow row = {0, special->sot, TRUE};
  g_autofree float *logits = g_new (float, special->n_vocab);
  int language;

  source->begin (source->self, 0, window);
  return source->step (source->self, &row, 1, &logits, error) &&
         npu_no_speech_read (special, logits, no_speech_prob, error) &&
         npu_languages_read (
             source, special, 0, logits, probabilities, &language, error);
}
