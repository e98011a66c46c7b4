/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "prompt.h"

void
npu_prompt_append_previous (const NpuSpecialTokens *special, guint n_positions,
    const guint32 *prompt, guint n_prompt, GArray *tokens)
{
  const guint n = MIN (n_prompt, n_positions / 2 - 1);

  if (n == 0)
    return;
  g_array_append_val (tokens, special->start_of_prev);
  g_array_append_vals (tokens, prompt + n_prompt - n, n);
}

void
npu_prompt_append_task (const NpuSpecialTokens *special, NpuTask task,
    int language, gboolean timestamps, GArray *tokens)
{
  g_array_append_val (tokens, special->sot);
  if (special->is_multilingual) {
    const guint32 language_token = special->sot + 1 + (guint32) language;

    g_array_append_val (tokens, language_token);
    g_array_append_vals (tokens,
        task == NPU_TASK_TRANSLATE ? &special->translate : &special->transcribe,
        1);
  }
  if (!timestamps)
    g_array_append_val (tokens, special->no_timestamps);
}
