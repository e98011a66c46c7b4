/* What a subtitle shows at once, made of words.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-transcript.h"

G_BEGIN_DECLS

typedef struct {
  guint line_length; /* characters, 0: any */
  guint n_lines;     /* 0: any */
  guint64 max_pause; /* ns; a longer one ends a cue; G_MAXUINT64: none does */
} NpuCueOptions;

typedef struct {
  guint64 start, end; /* of its first and last word */
  char *text;         /* lines with line feeds between */
  guint first, n;     /* its words */
} NpuCue;

/**
 * npu_cues_cut:
 * @words: [n] of one segment
 *
 * Cuts between words alone, which are never inside a character: a word that is
 * longer than a line has a line of its own. A text that needs several cues or
 * lines is shared out evenly to them, cut behind a mark where one is near.
 *
 * Returns: (transfer full): of NpuCue, none without text
 */
NPU_API GArray *npu_cues_cut (
    const NpuTimedWord *words, guint n, const NpuCueOptions *options);

G_END_DECLS
