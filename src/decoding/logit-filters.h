/* What may come next: each rule sets logits to minus infinity
 * (openai/whisper, decoding.py, LogitFilter).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-decoding.h"

G_BEGIN_DECLS

/* A sequence at the step whose logits are filtered. */
typedef struct {
  const NpuSpecialTokens *special;
  const NpuDecodingOptions *options;
  guint32 blank;         /* the token " " */
  const guint32 *tokens; /* [n_tokens]: the answer so far */
  guint n_tokens;
} NpuFilterContext;

/* logits[n_vocab] */
typedef void (*NpuLogitFilter) (const NpuFilterContext *context, float *logits);

#define NPU_MAX_LOGIT_FILTERS 8

/* The rules that @options ask for, in their order; returns how many. */
guint npu_logit_filters_choose (
    const NpuDecodingOptions *options, NpuLogitFilter *filters);

/* One by one, for tests. */
void npu_filter_blank (const NpuFilterContext *context, float *logits);
void npu_filter_suppressed (const NpuFilterContext *context, float *logits);
void npu_filter_languages (const NpuFilterContext *context, float *logits);
void npu_filter_no_timestamps (const NpuFilterContext *context, float *logits);
void npu_filter_timestamp_pairs (
    const NpuFilterContext *context, float *logits);
void npu_filter_left_to_next (const NpuFilterContext *context, float *logits);
void npu_filter_timestamp_order (
    const NpuFilterContext *context, float *logits);
void npu_filter_first_timestamp (
    const NpuFilterContext *context, float *logits);

G_END_DECLS
