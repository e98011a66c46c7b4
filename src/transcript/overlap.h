/* Windows that overlap are heard twice where they do. Their texts become one by
 * the times of their words.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-transcript.h"

G_BEGIN_DECLS

/* A window's segments, and what of them waits for the next window. */
typedef struct {
  guint32 eot;         /* what is below is text */
  GPtrArray *segments; /* of Copy */
  GArray *words;       /* of Heard */
  guint64 end;         /* of the window's audio */
  guint64 told;        /* end of the last segment that was given */
} NpuOverlap;

/* @eot: the first token that is no text. To be cleared. */
void npu_overlap_init (NpuOverlap *overlap, guint32 eot);
void npu_overlap_clear (NpuOverlap *overlap);

/* Forgets all: in a new stream. */
void npu_overlap_reset (NpuOverlap *overlap);

/* Of the window that comes next: begins it, and appends its segments, whose
 * words are copied; a segment without words is one. @next: another than that
 * which holds the window before */
void npu_overlap_add (NpuOverlap *next, const NpuSegment *segment);

/**
 * npu_overlap_join:
 * @next: the next window's segments, which @overlap takes
 * @start: @end: of its audio
 * @shared: ns that the window after it shares with it; 0: none comes
 *
 * Where both windows heard the same word at the same time, the text of the
 * first ends with it, and that of the second goes on behind it: with the one
 * that is nearest to the middle of what they share. Where they heard nothing
 * alike, words from the middle on are the second's, and where only one heard
 * something, its words are. Then gives what no other window hears, in order and
 * without overlap; the rest waits, with what is of the same segment.
 *
 * Returns: the time from which on text may still come
 */
guint64 npu_overlap_join (NpuOverlap *overlap, NpuOverlap *next, guint64 start,
    guint64 end, guint64 shared, NpuSegmentFunc func, gpointer user_data);

/* Gives what waits: no window comes that has its time. */
void npu_overlap_finish (
    NpuOverlap *overlap, NpuSegmentFunc func, gpointer user_data);

G_END_DECLS
