/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypothesis.h"

#include "language.h"
#include "npu-error.h"
#include "prompt.h"
#include "search.h"
#include "tokenizer/npu-tokenizer.h"

/* startofprev, sot, a language, a task, notimestamps */
#define MAX_TASK_TOKENS 5

typedef struct {
  NpuSearch search;
  const NpuHypothesisTask *task;
  NpuHeard *heard;
  guint n_prompt;       /* newest tokens of the prompt that there is room for */
  guint n_start;        /* tokens before the prefix */
  gsize row_size;       /* floats of a row of attention */
  guint attention_room; /* rows */
  guint max_tokens;     /* of the answer, and one more that is only looked at */
  GArray *answer;       /* of guint32: the prefix, and what follows it */
  double sum;           /* of log-probabilities */
  gboolean has_ended;
} Hypothesis;

void
npu_heard_clear (NpuHeard *heard)
{
  g_clear_pointer (&heard->tokens, g_array_unref);
  g_clear_pointer (&heard->attention, g_free);
}

/* Room for @n rows in all; what is there stays. */
static void
reserve_attention (Hypothesis *h, guint n)
{
  if (n <= h->attention_room)
    return;
  h->attention_room = MAX (n, h->attention_room + h->attention_room / 2);
  h->heard->attention = g_realloc_n (
      h->heard->attention, h->attention_room * h->row_size, sizeof (float));
}

static float *
attention_row (const Hypothesis *h, guint i)
{
  return h->heard->attention + i * h->row_size;
}

/* Takes the likeliest of what may come, which is @next; FALSE where it is the
 * end. */
static gboolean
take (Hypothesis *h, const NpuNextToken *next, guint32 *token)
{
  if (next->n_best == 0) {
    h->has_ended = TRUE;
    return FALSE;
  }
  *token = next->best[0].id;
  h->sum += npu_next_token_logprob (next, *token);
  h->has_ended = *token == h->search.special->eot;
  return !h->has_ended;
}

/* Reads the @row-th row of the last step's logits and takes what comes. */
static gboolean
read_and_take (
    Hypothesis *h, guint row, float *logits, guint32 *token, GError **error)
{
  NpuNextToken next;

  if (!npu_search_read (&h->search, (const guint32 *) h->answer->data,
          h->answer->len, row, logits, &next, error))
    return FALSE;
  take (h, &next, token);
  return TRUE;
}

/* --- the first step ----------------------------------------------------- */

/* Nothing was said: the draft goes, and what was sampled is not looked at. */
static gboolean
is_silence (Hypothesis *h)
{
  const float threshold = h->task->no_speech_threshold;
  const NpuLogitsSource *source = h->search.source;

  if (threshold <= 0 || h->heard->no_speech_prob <= threshold)
    return FALSE;
  h->has_ended = TRUE;
  h->heard->n_rows = h->heard->first_row + 1 + h->task->n_prefix;
  source->truncate (source->self, 0, h->n_start + h->task->n_prefix);
  return TRUE;
}

/* What the first step is given: prompt, sot and its task, prefix, draft. */
static GArray *
build_start (Hypothesis *h, guint n_draft, guint *sot)
{
  const NpuHypothesisTask *task = h->task;
  const NpuDecodingOptions *options = h->search.options;
  GArray *start = g_array_new (FALSE, FALSE, sizeof (guint32));

  npu_prompt_append_previous (h->search.special, h->search.source->n_positions,
      task->prompt + task->n_prompt - h->n_prompt, h->n_prompt, start);
  *sot = start->len;
  npu_prompt_append_task (
      h->search.special, options->task, options->language, FALSE, start);
  h->n_start = start->len;
  g_array_append_vals (start, task->prefix, task->n_prefix);
  g_array_append_vals (start, task->draft, n_draft);
  return start;
}

/* Takes drafted tokens as long as they are what comes, and what comes in the
 * place of the first that is not. logits[n_draft + 1][n_vocab] */
static gboolean
verify_draft (Hypothesis *h, guint n_draft, guint first_row, float *logits,
    GError **error)
{
  const NpuLogitsSource *source = h->search.source;
  const guint n_vocab = h->search.special->n_vocab;
  guint32 token = 0;
  guint n_given;

  for (guint i = 0; i <= n_draft; i++) {
    if (!read_and_take (
            h, first_row + i, logits + (gsize) i * n_vocab, &token, error))
      return FALSE;
    if (h->has_ended)
      break;
    g_array_append_val (h->answer, token);
    if (i == n_draft || token != h->task->draft[i])
      break;
  }
  h->heard->n_sampled++;
  /* Attention of drafted tokens that were wrong goes with them; the token in
   * their place has not been given to the decoder yet. */
  n_given = h->has_ended ? h->answer->len : h->answer->len - 1;
  h->heard->n_rows = h->heard->first_row + 1 + n_given;
  source->truncate (source->self, 0, h->n_start + n_given);
  return TRUE;
}

/* The wanted rows are sot, if it is not also the last, and those from the
 * prefix's last one on. */
static gboolean
step_start (
    Hypothesis *h, guint window, guint n_draft, float *rows, GError **error)
{
  const NpuLogitsSource *source = h->search.source;
  const NpuSpecialTokens *special = h->search.special;
  guint sot;
  g_autoptr (GArray) start = build_start (h, n_draft, &sot);
  g_autofree NpuDecoderRow *steps = g_new0 (NpuDecoderRow, start->len);
  g_autofree float **attention = g_new0 (float *, start->len);
  float *logits[NPU_HYPOTHESIS_MAX_DRAFT + 2];
  const guint first_wanted = h->n_start + h->task->n_prefix - 1;
  guint n = 0;

  h->heard->first_row = h->n_start - 1 - sot;
  reserve_attention (h, start->len - sot);
  for (guint i = 0; i < start->len; i++) {
    const gboolean is_wanted = i == sot || i >= first_wanted;

    steps[i] = (NpuDecoderRow){0, g_array_index (start, guint32, i), is_wanted};
    if (i >= sot)
      attention[i] = attention_row (h, i - sot);
    if (is_wanted) {
      logits[n] = rows + (gsize) n * special->n_vocab;
      n++;
    }
  }
  source->begin (source->self, 0, window);
  h->heard->n_steps++;
  return source->step_attending (
             source->self, steps, start->len, logits, attention, error) &&
         npu_no_speech_read (special, rows, &h->heard->no_speech_prob, error) &&
         (is_silence (h) ||
             verify_draft (h, n_draft, 1, rows + special->n_vocab, error));
}

/* --- and the others ----------------------------------------------------- */

static gboolean
step_one (Hypothesis *h, float *row, GError **error)
{
  const NpuLogitsSource *source = h->search.source;
  const NpuDecoderRow step = {
      0, g_array_index (h->answer, guint32, h->answer->len - 1), TRUE};
  float *attention;
  guint32 token = 0;

  reserve_attention (h, h->heard->n_rows + 1);
  attention = attention_row (h, h->heard->n_rows);
  h->heard->n_steps++;
  if (!source->step_attending (source->self, &step, 1, &row, &attention, error))
    return FALSE;
  h->heard->n_rows++;
  if (!read_and_take (h, 0, row, &token, error))
    return FALSE;
  h->heard->n_sampled++;
  if (!h->has_ended)
    g_array_append_val (h->answer, token);
  return TRUE;
}

/* Of the positions, the answer takes what it may need, and the prompt what that
 * leaves. */
static void
set_limits (Hypothesis *h)
{
  const NpuHypothesisTask *task = h->task;
  const guint n_positions = h->search.source->n_positions;
  const guint room = n_positions - MAX_TASK_TOKENS;

  h->max_tokens = MIN (task->n_prefix + MAX (task->max_tokens, 1) + 1, room);
  h->n_prompt = MIN (task->n_prompt, room - h->max_tokens);
}

static gboolean
decode (Hypothesis *h, guint window, GError **error)
{
  const NpuHypothesisTask *task = h->task;
  const guint n_vocab = h->search.special->n_vocab;
  const guint n_draft = MIN (MIN (task->n_draft, NPU_HYPOTHESIS_MAX_DRAFT),
      h->max_tokens - task->n_prefix - 1);
  g_autofree float *rows = g_new (float, (gsize) (n_draft + 2) * n_vocab);
  NpuHeard *heard = h->heard;
  guint n_new;

  g_array_append_vals (h->answer, task->prefix, task->n_prefix);
  if (!step_start (h, window, n_draft, rows, error))
    return FALSE;
  while (!h->has_ended && h->answer->len < h->max_tokens) {
    if (!step_one (h, rows, error))
      return FALSE;
  }
  if (!h->has_ended) /* the last one was not given to the decoder */
    g_array_set_size (h->answer, h->answer->len - 1);
  n_new = h->answer->len - task->n_prefix;
  heard->tokens = g_array_sized_new (FALSE, FALSE, sizeof (guint32), n_new + 1);
  g_array_append_vals (heard->tokens,
      &g_array_index (h->answer, guint32, task->n_prefix), n_new);
  heard->is_cut = !h->has_ended;
  heard->avg_logprob = (float) (h->sum / (n_new + 1));
  return TRUE;
}

gboolean
npu_hypothesis_decode (const NpuLogitsSource *source, NpuTokenizer *tokenizer,
    guint window, guint n_positions, const NpuDecodingOptions *options,
    const NpuHypothesisTask *task, NpuHeard *heard, GError **error)
{
  NpuDecodingOptions greedy = *options;
  g_autoptr (GArray) answer = g_array_new (FALSE, FALSE, sizeof (guint32));
  Hypothesis h = {
      .search = {.source = source,
          .special = npu_tokenizer_get_special (tokenizer),
          .options = &greedy,
          .blank = npu_tokenizer_get_blank (tokenizer)},
      .task = task,
      .heard = heard,
      .row_size = (gsize) source->n_heads * n_positions,
      .answer = answer,
  };

  *heard = (NpuHeard){0};
  greedy.timestamps = FALSE;
  greedy.beam_size = 1;
  h.search.n_filters = npu_logit_filters_choose (&greedy, h.search.filters);
  if (task->n_prefix > source->n_positions / 2) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "a prefix of %u tokens is more than %u", task->n_prefix,
        source->n_positions / 2);
    return FALSE;
  }
  set_limits (&h);
  if (decode (&h, window, error))
    return TRUE;
  npu_heard_clear (heard);
  return FALSE;
}
