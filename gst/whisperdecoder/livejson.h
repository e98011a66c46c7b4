/* What is said now, as one JSON object (RFC 8259).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "transcript/npu-live-transcript.h"

G_BEGIN_DECLS

/* (transfer full): {"start": ns, "end": ns, "committed": ..., "partial": ...,
 * "language": ...} and a line feed. @start and @end are the window's, @language
 * may be %NULL. */
char *live_update_to_json (const NpuLiveUpdate *update, guint64 start,
    guint64 end, const char *language);

/* (transfer full): {"start": seconds, "end": seconds, "text": ...,
 * "language": ...} and a line feed, of one word. */
char *live_word_to_json (
    const NpuLiveWord *word, guint64 start, guint64 end, const char *language);

G_END_DECLS
