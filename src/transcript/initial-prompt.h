/* Text that stands before the first window's.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "tokenizer/npu-tokenizer.h"

G_BEGIN_DECLS

/* Appends the tokens of a space and the stripped @text, as text follows text;
 * nothing for white space or %NULL. What is no UTF-8 is U+FFFD. */
void npu_initial_prompt_encode (
    NpuTokenizer *tokenizer, const char *text, GArray *tokens);

G_END_DECLS
