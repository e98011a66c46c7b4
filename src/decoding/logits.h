/* Over rows of logits: the largest, and softmax.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  guint32 id;
  float logit;
} NpuCandidate;

/* The largest of logits[n], whose ids begin at @first_id, largest first and the
 * lower id first of equals; minus infinity and NaN are none. Returns how many
 * there are, at most @n_top. */
guint npu_logits_top (const float *logits, guint n, guint32 first_id,
    NpuCandidate *top, guint n_top);

/* Puts @candidates in that order. */
void npu_candidates_sort (NpuCandidate *candidates, guint n);

/* log (sum (exp (logits[n]))), in float's precision; minus infinity where all
 * are; NaN where one is NaN. */
double npu_logits_logsumexp (const float *logits, guint n);

/* log (exp (a) + exp (b)) */
double npu_log_add_exp (double a, double b);

/* The index at which the running sum of softmax (logits[n] / temperature)
 * passes @target, which is in [0, 1); at least one logit is finite. */
guint npu_logits_draw (
    const float *logits, guint n, float temperature, double target);

G_END_DECLS
