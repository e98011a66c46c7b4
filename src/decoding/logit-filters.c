/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "logit-filters.h"

#include <math.h>

/* Ids in [first, end). */
static void
forbid (
    const NpuFilterContext *context, float *logits, guint32 first, guint32 end)
{
  end = MIN (end, context->special->n_vocab);
  for (guint32 id = first; id < end; id++)
    logits[id] = -INFINITY;
}

static gboolean
is_timestamp (const NpuFilterContext *context, guint32 token)
{
  return token >= context->special->timestamp_begin;
}

/* The last token but @i is a timestamp; FALSE where there is none. */
static gboolean
ends_with_timestamp (const NpuFilterContext *context, guint i)
{
  return context->n_tokens > i &&
         is_timestamp (context, context->tokens[context->n_tokens - 1 - i]);
}

/* An answer does not begin with a space alone, nor with its end. */
void
npu_filter_blank (const NpuFilterContext *context, float *logits)
{
  if (context->n_tokens > 0)
    return;
  forbid (context, logits, context->blank, context->blank + 1);
  forbid (context, logits, context->special->eot, context->special->eot + 1);
}

void
npu_filter_suppressed (const NpuFilterContext *context, float *logits)
{
  for (guint i = 0; i < context->options->n_suppress; i++) {
    const guint32 id = context->options->suppress[i];

    forbid (context, logits, id, MIN (id, G_MAXUINT32 - 1) + 1);
  }
}

/* Languages are no answer either, though OpenAI leaves it to the model. */
void
npu_filter_languages (const NpuFilterContext *context, float *logits)
{
  const guint32 first = context->special->sot + 1;

  forbid (context, logits, first, first + context->special->n_languages);
}

/* Where timestamps are off they are no answer, as in whisper.cpp. */
void
npu_filter_no_timestamps (const NpuFilterContext *context, float *logits)
{
  forbid (context, logits, context->special->no_timestamps, G_MAXUINT32);
}

/* Timestamps come in pairs, but before the end. A pair: text follows, or the
 * end. Half a pair: the other half follows, or the end. */
void
npu_filter_timestamp_pairs (const NpuFilterContext *context, float *logits)
{
  const NpuSpecialTokens *special = context->special;

  forbid (context, logits, special->no_timestamps, special->no_timestamps + 1);
  if (!ends_with_timestamp (context, 0))
    return;
  if (context->n_tokens < 2 || ends_with_timestamp (context, 1))
    forbid (context, logits, special->timestamp_begin, G_MAXUINT32);
  else
    forbid (context, logits, 0, special->eot);
}

/* A pair before the end says that speech begins there, and leaves it to the
 * next window. Where no window begins there, its text follows. */
void
npu_filter_left_to_next (const NpuFilterContext *context, float *logits)
{
  const NpuSpecialTokens *special = context->special;
  const guint n = context->n_tokens;

  if (n >= 2 && ends_with_timestamp (context, 0) &&
      ends_with_timestamp (context, 1) &&
      context->tokens[n - 1] - special->timestamp_begin <
          context->options->last_begin)
    forbid (context, logits, special->eot, special->eot + 1);
}

/* Timestamps do not go back, and a segment takes time: only the second of a
 * pair may be the same as the first. */
void
npu_filter_timestamp_order (const NpuFilterContext *context, float *logits)
{
  const gboolean is_half_pair = ends_with_timestamp (context, 0) &&
                                context->n_tokens >= 2 &&
                                !ends_with_timestamp (context, 1);

  for (guint i = context->n_tokens; i-- > 0;) {
    const guint32 last = context->tokens[i];

    if (!is_timestamp (context, last))
      continue;
    forbid (context, logits, context->special->timestamp_begin,
        is_half_pair ? last : last + 1);
    return;
  }
}

/* An answer begins with a timestamp, and that not late. */
void
npu_filter_first_timestamp (const NpuFilterContext *context, float *logits)
{
  const guint32 first = context->special->timestamp_begin;
  const guint latest = context->options->max_initial_timestamp;

  if (context->n_tokens > 0)
    return;
  forbid (context, logits, 0, first);
  if (latest < NPU_N_TIMESTAMPS)
    forbid (context, logits, first + latest + 1, G_MAXUINT32);
}

guint
npu_logit_filters_choose (
    const NpuDecodingOptions *options, NpuLogitFilter *filters)
{
  guint n = 0;

  if (options->suppress_blank)
    filters[n++] = npu_filter_blank;
  filters[n++] = npu_filter_suppressed;
  filters[n++] = npu_filter_languages;
  if (options->timestamps) {
    filters[n++] = npu_filter_timestamp_pairs;
    filters[n++] = npu_filter_left_to_next;
    filters[n++] = npu_filter_timestamp_order;
    filters[n++] = npu_filter_first_timestamp;
  } else {
    filters[n++] = npu_filter_no_timestamps;
  }
  return n;
}
