/* What people write that nobody says.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-tokenizer.h"

G_BEGIN_DECLS

/* The ids of brackets, notes and other marks of what is not speech, and of the
 * special tokens that are no answer (openai/whisper, tokenizer.py,
 * non_speech_tokens; decoding.py, _get_suppress_tokens). (transfer full): of
 * guint32, sorted, each once. */
GArray *npu_non_speech_tokens (NpuTokenizer *tokenizer);

G_END_DECLS
