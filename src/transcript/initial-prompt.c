/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initial-prompt.h"

#include <string.h>

#include "tokenizer/utf8.h"

void
npu_initial_prompt_encode (
    NpuTokenizer *tokenizer, const char *text, GArray *tokens)
{
  gsize n = text ? strlen (text) : 0;
  g_autoptr (GString) valid = g_string_new (NULL);
  g_autoptr (GString) prompt = g_string_new (" ");
  const char *stripped;

  if (n > 0)
    npu_utf8_append_valid (valid, (const guint8 *) text, n);
  n = valid->len;
  stripped = npu_utf8_strip (valid->str, &n);
  if (n == 0)
    return;
  g_string_append_len (prompt, stripped, (gssize) n);
  npu_tokenizer_encode (tokenizer, prompt->str, (gssize) prompt->len, tokens);
}
