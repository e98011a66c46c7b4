/* Words that are heard around a pause: attention
 * comes to a word anywhere in the pause before it, and leaves it anywhere in
 * the one behind it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "decoding/words.h"
#include "npu-pause.h"

G_BEGIN_DECLS

/* @joined becomes pauses[n], which are in order, those with a click between
 * them as one; without what may be within a word: %NULL where none is left. */
void npu_pauses_join (GArray **joined, const NpuPause *pauses, guint n);

/* Of a whole window that is said to have no text from @text_end to @end: where
 * the next is to begin, behind which somebody begins to speak so shortly before
 * @end that nothing was made of it; else @end. @pauses may be %NULL. */
guint64 npu_pauses_find_late_voice (
    const GArray *pauses, guint64 start, guint64 text_end, guint64 end);

/* Of @word, whose times are seconds from @begin on, nothing is said in any of
 * @pauses: it is what is heard before, or behind, whichever is more. One that
 * is heard in a pause alone stays, and so does a number, which may have one
 * within. */
void npu_pauses_leave (const GArray *pauses, guint64 begin, NpuWord *word);

G_END_DECLS
