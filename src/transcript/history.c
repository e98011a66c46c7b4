/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "history.h"

#include "initial-prompt.h"

/* Above it what was sampled is too random to go on from. */
#define MAX_TEMPERATURE 0.5f

static GArray *
new_tokens (void)
{
  return g_array_new (FALSE, FALSE, sizeof (guint32));
}

void
npu_history_init (NpuHistory *history, NpuTokenizer *tokenizer,
    guint n_positions, const char *hot_words, const char *initial_prompt,
    gboolean carry_initial)
{
  *history = (NpuHistory){
      .max = MAX (n_positions / 2, 1) - 1, /* without startofprev */
      .carried = new_tokens (),
      .initial = new_tokens (),
      .tokens = new_tokens (),
  };
  npu_initial_prompt_encode (tokenizer, hot_words, history->carried);
  npu_initial_prompt_encode (tokenizer, initial_prompt,
      carry_initial ? history->carried : history->initial);
  npu_history_reset (history);
}

void
npu_history_clear (NpuHistory *history)
{
  g_array_unref (history->carried);
  g_array_unref (history->initial);
  g_array_unref (history->tokens);
}

void
npu_history_reset (NpuHistory *history)
{
  g_array_set_size (history->tokens, 0);
  npu_history_add (
      history, (guint32 *) history->initial->data, history->initial->len);
}

void
npu_history_add (NpuHistory *history, const guint32 *tokens, guint n)
{
  g_array_append_vals (history->tokens, tokens, n);
}

void
npu_history_end_window (NpuHistory *history, const NpuDecodedWindow *decoded,
    gboolean condition_on_previous_text)
{
  /* Where all temperatures failed, the text that was kept is no better for
   * being of a low one. */
  const gboolean is_random = decoded->temperature > MAX_TEMPERATURE ||
                             (decoded->has_failed && decoded->n_tries > 1);

  if (!condition_on_previous_text || is_random)
    g_array_set_size (history->tokens, 0);
  else if (history->tokens->len > history->max)
    g_array_remove_range (
        history->tokens, 0, history->tokens->len - history->max);
}

GArray *
npu_history_build_prompt (const NpuHistory *history)
{
  const GArray *carried = history->carried, *tokens = history->tokens;
  const guint room =
      carried->len < history->max ? history->max - carried->len : 0;
  const guint n = MIN (tokens->len, room);
  GArray *prompt = new_tokens ();

  g_array_append_vals (prompt, carried->data, carried->len);
  if (n > 0) /* an empty array has no memory to point into */
    g_array_append_vals (
        prompt, tokens->data + (tokens->len - n) * sizeof (guint32), n);
  return prompt;
}
