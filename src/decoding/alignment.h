/* Which position of a window each token is heard at, from where the alignment
 * heads look (openai/whisper, timing.py, find_alignment; Sakoe and Chiba 1978
 * for dynamic time warping). Pure functions.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Replaces each of x[n] by the median of the 7 around it, the ends reflected;
 * 3 or fewer stay as they are. */
void npu_median_filter (float *x, guint n);

/**
 * npu_alignment_matrix:
 * @scores: [n_tokens], each C float[n_heads][n_positions], before the softmax
 * @n_used: positions that have audio, 1 to @n_positions: the softmax is over
 *   these alone
 * @matrix: (out caller-allocates): [n_tokens][n_used], large where a token
 *   looks
 *
 * Of each head the softmax over positions, minus its mean over tokens and by
 * its deviation over them, filtered; then the mean of all heads. Scores that
 * are not finite count as looking nowhere.
 */
void npu_alignment_matrix (const float *const *scores, guint n_tokens,
    guint n_heads, guint n_positions, guint n_used, float *matrix);

/* The cheapest way through cost[n_rows][n_columns] from the first to the last
 * of both, in its order: rows[] and columns[], with room for n_rows +
 * n_columns. Returns how many steps it has. */
guint npu_dtw (const float *cost, guint n_rows, guint n_columns, guint *rows,
    guint *columns);

/* starts[n_tokens] = the position at which the way through the matrix comes to
 * each token: never falling, the first is 0. */
void npu_alignment_starts (
    const float *matrix, guint n_tokens, guint n_used, guint *starts);

G_END_DECLS
