/* A segment as one JSON object (RFC 8259).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "transcript/npu-transcript.h"

G_BEGIN_DECLS

/**
 * segment_to_json:
 * @start: in the stream, ns; @end and the words' times likewise
 * @language: (nullable): Whisper's code
 *
 * Returns: (transfer full): {"start": seconds, "end": seconds, "text": ...,
 *   "tokens": [...], "avg_logprob": ..., "no_speech_prob": ...,
 *   "compression_ratio": ..., "temperature": ..., "language": ...} and a line
 *   feed; what is not finite is null. Where words were found, there is also
 *   "words": [{"word": ..., "start": ..., "end": ..., "probability": ...}, ...]
 */
char *segment_to_json (const NpuSegment *segment, guint64 start, guint64 end,
    const char *language);

/* Returns: (transfer full): {"start": seconds, "end": seconds, "text": ...,
 *   "probability": ..., "language": ...} and a line feed; @text is the word's
 *   without the space before it */
char *word_to_json (
    const NpuTimedWord *word, const char *text, const char *language);

G_END_DECLS
