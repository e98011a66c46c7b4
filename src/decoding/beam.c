/* Beam search (openai/whisper, decoding.py, BeamSearchDecoder): every beam
 * offers its likeliest continuations, the likeliest of all become the next
 * beams, and those that end are put aside until there are enough.
 *
 * Beams never hold the same answer: the search begins with one, and what a beam
 * offers differs in the last token. Caches are shared by index: of a beam's
 * continuations the first keeps its sequence, the others fork it into sequences
 * that nothing continues.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "search.h"

#include <math.h>

/* A beam's answer and one token more. */
typedef struct {
  guint beam;
  guint32 token;
  double sum;
} Offer;

typedef struct {
  NpuSearch *search;
  guint size, n_wanted; /* finished answers: size x patience */
  GArray *beams;        /* of NpuAnswer; at most size */
  GArray *finished;     /* of NpuAnswer */
} Beams;

static NpuAnswer *
get (GArray *answers, guint i)
{
  return &g_array_index (answers, NpuAnswer, i);
}

static GArray *
new_answers (void)
{
  GArray *answers = g_array_new (FALSE, FALSE, sizeof (NpuAnswer));

  g_array_set_clear_func (answers, (GDestroyNotify) npu_answer_clear);
  return answers;
}

/* Appends what a beam offers; offers of the same sum stay in order. */
static guint
add_offers (const Beams *beams, guint beam, const NpuNextToken *next,
    Offer *offers, guint n)
{
  const double sum = get (beams->beams, beam)->sum;

  for (guint i = 0; i < MIN (next->n_best, beams->size + 1); i++) {
    const guint32 token = next->best[i].id;
    const Offer offer = {
        beam, token, sum + npu_next_token_logprob (next, token)};
    guint at = n++;

    for (; at > 0 && offers[at - 1].sum < offer.sum; at--)
      offers[at] = offers[at - 1];
    offers[at] = offer;
  }
  return n;
}

static void
finish (Beams *beams, const NpuAnswer *beam, double sum, gboolean has_ended)
{
  NpuAnswer answer;

  npu_answer_init (
      &answer, (guint32 *) beam->tokens->data, beam->tokens->len, 0);
  answer.sum = sum;
  answer.has_ended = has_ended;
  g_array_append_val (beams->finished, answer);
}

/* The first continuation of a beam keeps its sequence; the next are forked. */
static void
assign_sequences (Beams *beams, const GArray *parents, GArray *children)
{
  const NpuLogitsSource *source = beams->search->source;
  gboolean is_taken[NPU_MAX_BEAMS] = {FALSE};
  gboolean has_own[NPU_MAX_BEAMS] = {FALSE};

  for (guint i = 0; i < children->len; i++) {
    NpuAnswer *child = get (children, i);
    const guint parent = g_array_index (parents, guint, i);
    const guint sequence = get (beams->beams, parent)->sequence;

    has_own[i] = !is_taken[sequence];
    is_taken[sequence] = TRUE;
    child->sequence = sequence;
  }
  for (guint i = 0, free_sequence = 0; i < children->len; i++) {
    NpuAnswer *child = get (children, i);

    if (has_own[i])
      continue;
    while (is_taken[free_sequence])
      free_sequence++;
    is_taken[free_sequence] = TRUE;
    source->fork (source->self, child->sequence, free_sequence);
    child->sequence = free_sequence;
  }
}

/* Offers, best first, become beams until there are enough; those that end are
 * finished. */
static void
take_offers (Beams *beams, const Offer *offers, guint n)
{
  const guint32 eot = beams->search->special->eot;
  g_autoptr (GArray) parents = g_array_new (FALSE, FALSE, sizeof (guint));
  GArray *children = new_answers ();

  for (guint i = 0; i < n && children->len < beams->size; i++) {
    const NpuAnswer *parent = get (beams->beams, offers[i].beam);
    NpuAnswer child;

    if (offers[i].token == eot) {
      if (beams->finished->len < beams->n_wanted)
        finish (beams, parent, offers[i].sum, TRUE);
      continue;
    }
    npu_answer_init (
        &child, (guint32 *) parent->tokens->data, parent->tokens->len, 0);
    child.sum = offers[i].sum;
    g_array_append_val (child.tokens, offers[i].token);
    g_array_append_val (children, child);
    g_array_append_val (parents, offers[i].beam);
  }
  assign_sequences (beams, parents, children);
  g_array_unref (beams->beams);
  beams->beams = children;
  beams->search->n_steps += children->len;
}

static gboolean
advance (Beams *beams, GError **error)
{
  NpuSearch *search = beams->search;
  const NpuAnswer *open[NPU_MAX_BEAMS];
  Offer offers[NPU_MAX_BEAMS * (NPU_MAX_BEAMS + 1)];
  guint n = 0;

  for (guint i = 0; i < beams->beams->len; i++)
    open[i] = get (beams->beams, i);
  if (!npu_search_step (search, open, beams->beams->len, error))
    return FALSE;
  for (guint i = 0; i < beams->beams->len; i++) {
    const GArray *tokens = open[i]->tokens;
    NpuNextToken next;

    if (!npu_search_read (search, (guint32 *) tokens->data, tokens->len, i,
            search->rows + (gsize) i * search->special->n_vocab, &next, error))
      return FALSE;
    n = add_offers (beams, i, &next, offers, n);
  }
  take_offers (beams, offers, n);
  return TRUE;
}

/* Where too few have ended, the best beams count as they are. */
static void
finish_beams (Beams *beams)
{
  for (guint i = 0; i < beams->beams->len; i++) { /* best first */
    const NpuAnswer *beam = get (beams->beams, i);

    if (beams->finished->len >= beams->size)
      return;
    finish (beams, beam, beam->sum, FALSE);
  }
}

GArray *
npu_search_beam_all (NpuSearch *search, GError **error)
{
  const guint size = search->options->beam_size;
  Beams beams = {search, size,
      (guint) MAX (1, lrintf ((float) size * search->options->patience)),
      new_answers (), new_answers ()};
  Offer offers[NPU_MAX_BEAMS + 1];
  NpuAnswer root;
  guint n;
  gboolean ok = TRUE;

  npu_answer_init (&root, search->prefix, search->n_prefix, 0);
  g_array_append_val (beams.beams, root);
  n = add_offers (&beams, 0, &search->first, offers, 0);
  take_offers (&beams, offers, n);
  while (ok && beams.beams->len > 0 && beams.finished->len < beams.n_wanted &&
         get (beams.beams, 0)->tokens->len < search->max_tokens)
    ok = advance (&beams, error);
  finish_beams (&beams);
  g_array_unref (beams.beams);
  if (!ok)
    g_clear_pointer (&beams.finished, g_array_unref);
  return beams.finished;
}

gboolean
npu_search_beam (NpuSearch *search, NpuAnswer *answer, GError **error)
{
  GArray *answers = npu_search_beam_all (search, error);
  const NpuAnswer *best = NULL;

  if (!answers)
    return FALSE;
  for (guint i = 0; i < answers->len; i++) {
    if (!best || npu_search_rank (search, get (answers, i)) >
                     npu_search_rank (search, best))
      best = get (answers, i);
  }
  npu_answer_init (answer, search->prefix, search->n_prefix, 0);
  answer->sum = -INFINITY;
  answer->has_ended = TRUE;
  if (best) { /* else nothing could come */
    g_array_set_size (answer->tokens, 0);
    g_array_append_vals (answer->tokens, best->tokens->data, best->tokens->len);
    answer->sum = best->sum;
    answer->has_ended = best->has_ended;
  }
  g_array_unref (answers);
  return TRUE;
}
