/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scripted-source.h"

#include <math.h>

#include "npu-error.h"

static void
begin (gpointer self, guint sequence, guint window)
{
  ScriptedSource *scripted = self;

  g_assert_cmpuint (sequence, <, SCRIPTED_SEQUENCES);
  g_array_set_size (scripted->sequences[sequence], 0);
  scripted->windows[sequence] = window;
}

static void
fork_sequence (gpointer self, guint from, guint to)
{
  ScriptedSource *scripted = self;
  const GArray *tokens = scripted->sequences[from];

  g_assert_cmpuint (from, <, SCRIPTED_SEQUENCES);
  g_assert_cmpuint (to, <, SCRIPTED_SEQUENCES);
  g_assert_cmpuint (from, !=, to);
  g_array_set_size (scripted->sequences[to], 0);
  g_array_append_vals (scripted->sequences[to], tokens->data, tokens->len);
  scripted->windows[to] = scripted->windows[from];
  scripted->n_forks++;
}

static void
truncate_sequence (gpointer self, guint sequence, guint n_tokens)
{
  ScriptedSource *scripted = self;

  g_assert_cmpuint (n_tokens, <=, scripted->sequences[sequence]->len);
  g_array_set_size (scripted->sequences[sequence], n_tokens);
}

static gboolean
step_attending (gpointer self, const NpuDecoderRow *rows, guint n_rows,
    float *const *logits, float *const *attention, GError **error)
{
  ScriptedSource *scripted = self;
  const guint n_vocab = scripted->source.n_vocab;
  const float coarse = scripted->coarseness;

  g_assert_cmpuint (n_rows, >, 0);
  if (++scripted->n_steps == scripted->fail_at) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_LAUNCH, "as the script has it");
    return FALSE;
  }
  scripted->n_rows += n_rows;
  scripted->most_rows = MAX (scripted->most_rows, n_rows);
  g_array_set_size (scripted->asked, 0);
  for (guint i = 0; i < n_rows; i++) {
    const guint s = rows[i].sequence;
    GArray *tokens = scripted->sequences[s];
    float *row;

    g_assert_cmpuint (rows[i].token, <, n_vocab);
    g_assert_cmpuint (tokens->len, <, scripted->source.n_positions);
    g_array_append_val (tokens, rows[i].token);
    scripted->most_tokens = MAX (scripted->most_tokens, tokens->len);
    if (attention && attention[i])
      scripted->attend (scripted->data, scripted->windows[s],
          (guint32 *) tokens->data, tokens->len, attention[i]);
    if (!rows[i].wants_logits)
      continue;
    row = logits[scripted->asked->len];
    g_array_append_val (scripted->asked, s);
    scripted->func (scripted->data, scripted->windows[s],
        (guint32 *) tokens->data, tokens->len, row);
    for (guint v = 0; v < n_vocab && coarse > 0; v++)
      row[v] = roundf (row[v] / coarse) * coarse;
  }
  return TRUE;
}

static gboolean
step (gpointer self, const NpuDecoderRow *rows, guint n_rows,
    float *const *logits, GError **error)
{
  return step_attending (self, rows, n_rows, logits, NULL, error);
}

static gboolean
refine (gpointer self, guint row, const guint32 *ids, guint n, float *logits,
    GError **error)
{
  ScriptedSource *scripted = self;
  g_autofree float *all = g_new (float, scripted->source.n_vocab);
  GArray *tokens;
  guint s;

  g_assert_cmpuint (row, <, scripted->asked->len);
  scripted->n_refined += n;
  s = g_array_index (scripted->asked, guint, row);
  tokens = scripted->sequences[s];
  scripted->func (scripted->data, scripted->windows[s],
      (guint32 *) tokens->data, tokens->len, all);
  for (guint i = 0; i < n; i++)
    logits[i] = all[ids[i]];
  return TRUE;
}

ScriptedSource *
scripted_source_new (guint n_vocab, ScriptedLogitsFunc func, gpointer data)
{
  ScriptedSource *scripted = g_new0 (ScriptedSource, 1);

  scripted->source = (NpuLogitsSource){.self = scripted,
      .n_vocab = n_vocab,
      .n_positions = 448,
      .begin = begin,
      .fork = fork_sequence,
      .truncate = truncate_sequence,
      .step = step};
  scripted->func = func;
  scripted->data = data;
  scripted->asked = g_array_new (FALSE, FALSE, sizeof (guint));
  for (guint i = 0; i < SCRIPTED_SEQUENCES; i++)
    scripted->sequences[i] = g_array_new (FALSE, FALSE, sizeof (guint32));
  return scripted;
}

void
scripted_source_free (ScriptedSource *scripted)
{
  for (guint i = 0; i < SCRIPTED_SEQUENCES; i++)
    g_array_unref (scripted->sequences[i]);
  g_array_unref (scripted->asked);
  g_free (scripted);
}

void
scripted_source_set_coarse (ScriptedSource *scripted, float step)
{
  scripted->coarseness = step;
  scripted->source.refine = refine;
}

void
scripted_source_set_attention (
    ScriptedSource *scripted, guint n_heads, ScriptedAttentionFunc attend)
{
  scripted->attend = attend;
  scripted->source.n_heads = n_heads;
  scripted->source.step_attending = step_attending;
}
