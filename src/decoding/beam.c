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

/* Finished answers that are enough: size x patience. */
static guint
n_wanted (const NpuSearch *search)
{
  const NpuDecodingOptions *options = search->options;

  return (guint) MAX (
      1, lrintf ((float) options->beam_size * options->patience));
}

/* Appends what a beam offers; offers of the same sum stay in order. */
static guint
add_offers (const NpuSearch *search, guint beam, const NpuNextToken *next,
    Offer *offers, guint n)
{
  const double sum = npu_answers_get (search->answers, beam)->sum;

  for (guint i = 0; i < MIN (next->n_best, search->options->beam_size + 1);
       i++) {
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
finish (
    NpuSearch *search, const NpuAnswer *beam, double sum, gboolean has_ended)
{
  NpuAnswer answer;

  npu_answer_init (
      &answer, (guint32 *) beam->tokens->data, beam->tokens->len, 0);
  answer.sum = sum;
  answer.has_ended = has_ended;
  g_array_append_val (search->finished, answer);
}

/* The first continuation of a beam keeps its sequence; the next are forked. */
static void
assign_sequences (NpuSearch *search, const GArray *parents, GArray *children)
{
  const NpuLogitsSource *source = search->source;
  const guint first = search->first_sequence;
  gboolean is_taken[NPU_MAX_BEAMS] = {FALSE};
  gboolean has_own[NPU_MAX_BEAMS] = {FALSE};

  for (guint i = 0; i < children->len; i++) {
    NpuAnswer *child = npu_answers_get (children, i);
    const guint parent = g_array_index (parents, guint, i);
    const guint sequence = npu_answers_get (search->answers, parent)->sequence;

    has_own[i] = !is_taken[sequence - first];
    is_taken[sequence - first] = TRUE;
    child->sequence = sequence;
  }
  for (guint i = 0, next = 0; i < children->len; i++) {
    NpuAnswer *child = npu_answers_get (children, i);

    if (has_own[i])
      continue;
    while (is_taken[next])
      next++;
    is_taken[next] = TRUE;
    source->fork (source->self, child->sequence, first + next);
    child->sequence = first + next;
  }
}

/* Where too few have ended, the best beams count as they are. */
static void
finish_beams (NpuSearch *search)
{
  for (guint i = 0; i < search->answers->len; i++) { /* best first */
    const NpuAnswer *beam = npu_answers_get (search->answers, i);

    if (search->finished->len >= search->options->beam_size)
      return;
    finish (search, beam, beam->sum, FALSE);
  }
}

/* All beams grow, unless the search is at its end. */
static void
open_beams (NpuSearch *search)
{
  GArray *beams = search->answers;

  search->n_open = 0;
  if (beams->len == 0 || search->finished->len >= n_wanted (search) ||
      npu_answers_get (beams, 0)->tokens->len >= search->max_tokens) {
    finish_beams (search);
    return;
  }
  for (guint i = 0; i < beams->len; i++)
    search->open[search->n_open++] = i;
}

/* Offers, best first, become beams until there are enough; those that end are
 * finished. */
static void
take_offers (NpuSearch *search, const Offer *offers, guint n)
{
  const guint32 eot = search->special->eot;
  g_autoptr (GArray) parents = g_array_new (FALSE, FALSE, sizeof (guint));
  GArray *children = npu_answers_new ();

  for (guint i = 0; i < n && children->len < search->options->beam_size; i++) {
    const NpuAnswer *parent = npu_answers_get (search->answers, offers[i].beam);
    NpuAnswer child;

    if (offers[i].token == eot) {
      if (search->finished->len < n_wanted (search))
        finish (search, parent, offers[i].sum, TRUE);
      continue;
    }
    npu_answer_init (
        &child, (guint32 *) parent->tokens->data, parent->tokens->len, 0);
    child.sum = offers[i].sum;
    g_array_append_val (child.tokens, offers[i].token);
    g_array_append_val (children, child);
    g_array_append_val (parents, offers[i].beam);
  }
  assign_sequences (search, parents, children);
  g_array_unref (search->answers);
  search->answers = children;
  search->n_steps += children->len;
  open_beams (search);
}

static void
begin (NpuSearch *search)
{
  Offer offers[NPU_MAX_BEAMS + 1];
  NpuAnswer root;
  guint n;

  npu_answer_init (
      &root, search->prefix, search->n_prefix, search->first_sequence);
  g_array_append_val (search->answers, root);
  n = add_offers (search, 0, &search->first, offers, 0);
  take_offers (search, offers, n);
}

static gboolean
take (NpuSearch *search, float *const *logits, guint first_row, GError **error)
{
  Offer offers[NPU_MAX_BEAMS * (NPU_MAX_BEAMS + 1)];
  guint n = 0;

  for (guint i = 0; i < search->n_open; i++) {
    const GArray *tokens = npu_answers_get (search->answers, i)->tokens;
    NpuNextToken next;

    if (!npu_search_read (search, (guint32 *) tokens->data, tokens->len,
            first_row + i, logits[i], &next, error))
      return FALSE;
    n = add_offers (search, i, &next, offers, n);
  }
  take_offers (search, offers, n);
  return TRUE;
}

static GArray *
get_answers (NpuSearch *search)
{
  return search->finished;
}

const NpuSearchStrategy npu_beam_search = {begin, take, get_answers};
