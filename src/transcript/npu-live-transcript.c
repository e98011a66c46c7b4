/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-live-transcript.h"

#include "decoding/commitment.h"
#include "decoding/hypothesis.h"
#include "initial-prompt.h"
#include "live-text.h"
#include "live-words.h"
#include "npu-error.h"

#define SECOND G_GUINT64_CONSTANT (1000000000)

/* A language is decided by so much speech, and at the latest by so much. */
#define LEAST_SPEECH (3 * SECOND)
#define MOST_SPEECH (10 * SECOND)
#define LEAST_PROBABILITY 0.5f

/* Nobody speaks faster; and what the edges of a window add. */
#define TOKENS_PER_SECOND 8
#define MORE_TOKENS 16

struct _NpuLiveTranscript {
  NpuLogitsSource source;
  NpuTokenizer *tokenizer;
  NpuDecodingOptions options;
  guint32 *suppress;
  GArray *prompt; /* of guint32: what was given, then n_context of context */
  guint n_context;
  NpuCommitment *commitment;

  int asked_language; /* -1: to be decided */
  int language;       /* -1: not known yet, or an English-only model */
  float language_prob;
  gboolean is_decided;

  GArray *ordered; /* of NpuHypothesisWord: of the newest hypothesis */
  NpuLiveText committed, partial;

  /* The newest window, and what was partial in it. */
  guint64 start, end;
  GArray *open_tokens; /* of guint32 */
  GArray *open_words;  /* of NpuHypothesisWord */
};

NpuLiveTranscript *
npu_live_transcript_new (const NpuLogitsSource *source, NpuTokenizer *tokenizer,
    const NpuLiveOptions *options)
{
  NpuLiveTranscript *transcript = g_new0 (NpuLiveTranscript, 1);
  NpuDecodingOptions *decoding = &transcript->options;
  const NpuCommitmentOptions commitment = {options->margin,
      options->decoding.logprob_threshold,
      options->decoding.no_speech_threshold, options->context};

  transcript->source = *source;
  transcript->tokenizer = npu_tokenizer_ref (tokenizer);
  *decoding = options->decoding;
  transcript->suppress =
      g_memdup2 (decoding->suppress, decoding->n_suppress * sizeof (guint32));
  decoding->suppress = transcript->suppress;
  transcript->prompt = g_array_new (FALSE, FALSE, sizeof (guint32));
  npu_initial_prompt_encode (tokenizer, options->hot_words, transcript->prompt);
  npu_initial_prompt_encode (
      tokenizer, options->initial_prompt, transcript->prompt);
  transcript->commitment = npu_commitment_new (&commitment);
  transcript->ordered = g_array_new (FALSE, FALSE, sizeof (NpuHypothesisWord));
  transcript->open_tokens = g_array_new (FALSE, FALSE, sizeof (guint32));
  transcript->open_words =
      g_array_new (FALSE, FALSE, sizeof (NpuHypothesisWord));
  npu_live_text_init (&transcript->committed);
  npu_live_text_init (&transcript->partial);
  transcript->asked_language = decoding->language;
  npu_live_transcript_reset (transcript);
  return transcript;
}

void
npu_live_transcript_free (NpuLiveTranscript *transcript)
{
  npu_tokenizer_unref (transcript->tokenizer);
  g_free (transcript->suppress);
  g_array_unref (transcript->prompt);
  npu_commitment_free (transcript->commitment);
  g_array_unref (transcript->ordered);
  g_array_unref (transcript->open_tokens);
  g_array_unref (transcript->open_words);
  npu_live_text_clear (&transcript->committed);
  npu_live_text_clear (&transcript->partial);
  g_free (transcript);
}

static void
forget_language (NpuLiveTranscript *transcript)
{
  transcript->language = transcript->asked_language;
  transcript->language_prob = 1;
  transcript->is_decided =
      transcript->asked_language >= 0 ||
      !npu_tokenizer_get_special (transcript->tokenizer)->is_multilingual;
}

void
npu_live_transcript_reset (NpuLiveTranscript *transcript)
{
  npu_commitment_reset (transcript->commitment);
  transcript->start = transcript->end = 0;
  g_array_set_size (transcript->open_tokens, 0);
  g_array_set_size (transcript->open_words, 0);
  forget_language (transcript);
}

void
npu_live_transcript_set_language (NpuLiveTranscript *transcript, int language)
{
  if (language >= 0 && language == transcript->asked_language)
    return;
  transcript->asked_language = language;
  npu_commitment_hear_anew (transcript->commitment);
  forget_language (transcript);
}

void
npu_live_transcript_set_margin (NpuLiveTranscript *transcript, guint64 margin)
{
  npu_commitment_set_margin (transcript->commitment, margin);
}

/* --- the language ------------------------------------------------------- */

/* Until it is decided, each window has its own. */
static gboolean
find_language (
    NpuLiveTranscript *transcript, const NpuLiveWindow *window, GError **error)
{
  const NpuSpecialTokens *special =
      npu_tokenizer_get_special (transcript->tokenizer);
  g_autofree float *probabilities = NULL;
  float no_speech_prob;
  guint best = 0;

  if (transcript->is_decided)
    return TRUE;
  probabilities = g_new (float, special->n_languages);
  if (!npu_detect_language (&transcript->source, transcript->tokenizer,
          window->window, probabilities, &no_speech_prob, error))
    return FALSE;
  for (guint i = 1; i < special->n_languages; i++) {
    if (probabilities[i] > probabilities[best])
      best = i;
  }
  transcript->language = (int) best;
  transcript->language_prob = probabilities[best];
  if (no_speech_prob > transcript->options.no_speech_threshold)
    return TRUE;
  transcript->is_decided = window->duration >= MOST_SPEECH ||
                           (window->duration >= LEAST_SPEECH &&
                               probabilities[best] > LEAST_PROBABILITY);
  return TRUE;
}

/* --- a window ----------------------------------------------------------- */

static void
init_hypothesis (const NpuLiveTranscript *transcript,
    const NpuLiveWindow *window, NpuHypothesis *hypothesis)
{
  *hypothesis = (NpuHypothesis){
      .start = window->start,
      .end = window->start + window->duration,
      .is_last = window->is_last,
      .is_held = !transcript->is_decided,
  };
}

/* words[n] are partial. */
static void
keep_open (NpuLiveTranscript *transcript, const NpuHypothesis *hypothesis,
    const NpuHypothesisWord *words, guint n)
{
  g_array_set_size (transcript->open_tokens, 0);
  g_array_set_size (transcript->open_words, 0);
  transcript->start = hypothesis->start;
  transcript->end = hypothesis->end;
  for (guint i = 0; i < n; i++) {
    NpuHypothesisWord word = words[i];

    word.first = transcript->open_tokens->len;
    g_array_append_vals (
        transcript->open_tokens, hypothesis->tokens + words[i].first, word.n);
    g_array_append_val (transcript->open_words, word);
  }
}

/* What the commitment makes of it, and the texts. @window: or NULL */
static void
finish (NpuLiveTranscript *transcript, const NpuLiveWindow *window,
    const NpuHypothesis *hypothesis, NpuLiveUpdate *update)
{
  NpuHypothesisWord *words;
  const NpuHypothesisWord *open;
  NpuCommit commit;

  g_array_set_size (transcript->ordered, hypothesis->n_words);
  words = (NpuHypothesisWord *) transcript->ordered->data;
  npu_commitment_add (transcript->commitment, hypothesis, words, &commit);
  npu_live_text_set (&transcript->committed, transcript->tokenizer, window,
      hypothesis->tokens, words + commit.first, commit.n_committed);
  open = words + commit.first + commit.n_committed;
  npu_live_text_set (&transcript->partial, transcript->tokenizer, window,
      hypothesis->tokens, open, commit.n_shown);
  keep_open (transcript, hypothesis, open, commit.n_shown);

  *update = (NpuLiveUpdate){
      .words = (NpuLiveWord *) transcript->committed.words->data,
      .n_words = transcript->committed.words->len,
      .committed = transcript->committed.all->str,
      .partial = transcript->partial.all->str,
      .partial_start = commit.n_shown ? open->start : commit.decided,
      .partial_end =
          commit.n_shown ? open[commit.n_shown - 1].end : commit.decided,
      .until = commit.until,
      .sentence = commit.sentence,
      .decided = commit.decided,
      .has_looped = commit.has_looped,
      .language = transcript->language,
      .language_prob = transcript->language_prob,
      .is_language_decided = transcript->is_decided,
      .avg_logprob = hypothesis->avg_logprob,
      .no_speech_prob = hypothesis->no_speech_prob,
  };
}

static gboolean
check (const NpuLiveTranscript *transcript, const NpuLiveWindow *window,
    GError **error)
{
  const NpuSpecialTokens *special =
      npu_tokenizer_get_special (transcript->tokenizer);

  if (transcript->source.n_vocab == special->n_vocab &&
      transcript->source.step_attending && window->n_positions > 0)
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
      "the decoder has %u tokens and the vocabulary %u, the decoder's heads that follow the speech are %u, and the window has %u positions: they do not go together",
      transcript->source.n_vocab, special->n_vocab, transcript->source.n_heads,
      window->n_positions);
  return FALSE;
}

/* The text before the window, behind the prompt. */
static void
take_context (NpuLiveTranscript *transcript)
{
  const guint32 *context = npu_commitment_get_context (
      transcript->commitment, &transcript->n_context);

  g_array_append_vals (transcript->prompt, context, transcript->n_context);
}

static void
drop_context (NpuLiveTranscript *transcript)
{
  g_array_set_size (
      transcript->prompt, transcript->prompt->len - transcript->n_context);
  transcript->n_context = 0;
}

/* What a window is heard as: one of several ways. */
typedef struct {
  gboolean is_anew; /* without the prefix that there is */
  NpuHypothesisTask task;
  NpuHeard heard;
  GArray *words; /* of NpuHypothesisWord */
  NpuHypothesis hypothesis;
  NpuVerdict verdict;
} Hearing;

static void
hearing_clear (Hearing *hearing)
{
  npu_heard_clear (&hearing->heard);
  g_clear_pointer (&hearing->words, g_array_unref);
}

static gboolean
hearing_decode (Hearing *hearing, NpuLiveTranscript *transcript,
    const NpuLiveWindow *window, GError **error)
{
  NpuHypothesisTask *task = &hearing->task;
  gboolean is_heard;

  take_context (transcript);
  task->prompt = (const guint32 *) transcript->prompt->data;
  task->n_prompt = transcript->prompt->len;
  task->max_tokens =
      TOKENS_PER_SECOND * (guint) (window->duration / SECOND) + MORE_TOKENS;
  task->no_speech_threshold =
      npu_commitment_get_no_speech_threshold (transcript->commitment);
  transcript->options.language = transcript->language;
  is_heard = npu_hypothesis_decode (&transcript->source, transcript->tokenizer,
      window->window, window->n_positions, &transcript->options, task,
      &hearing->heard, error);
  drop_context (transcript);
  return is_heard;
}

static gboolean
hear (Hearing *hearing, NpuLiveTranscript *transcript,
    const NpuLiveWindow *window, GError **error)
{
  const NpuHeard *heard = &hearing->heard;
  NpuHypothesis *hypothesis = &hearing->hypothesis;

  if (!hearing_decode (hearing, transcript, window, error))
    return FALSE;
  hearing->words = g_array_new (FALSE, FALSE, sizeof (NpuHypothesisWord));
  npu_live_words_find (transcript->tokenizer, &transcript->options, window,
      transcript->source.n_heads, hearing->task.n_prefix, heard,
      hearing->words);
  init_hypothesis (transcript, window, hypothesis);
  hypothesis->is_anew = hearing->is_anew;
  hypothesis->tokens = (const guint32 *) heard->tokens->data;
  hypothesis->n_tokens = heard->tokens->len;
  hypothesis->words = (const NpuHypothesisWord *) hearing->words->data;
  hypothesis->n_words = hearing->words->len;
  hypothesis->avg_logprob = heard->avg_logprob;
  hypothesis->no_speech_prob = heard->no_speech_prob;
  hearing->verdict = npu_commitment_judge (transcript->commitment, hypothesis);
  return TRUE;
}

static gboolean
is_better (const Hearing *hearing, const Hearing *than)
{
  return hearing->verdict.keeps_all ||
         hearing->verdict.until > than->verdict.until;
}

/* What was open before an utterance's last window, as if it was that. */
static void
hear_open (Hearing *hearing, const NpuLiveTranscript *transcript,
    const NpuLiveWindow *window)
{
  NpuHypothesis *hypothesis = &hearing->hypothesis;

  init_hypothesis (transcript, window, hypothesis);
  hypothesis->tokens = (const guint32 *) transcript->open_tokens->data;
  hypothesis->n_tokens = transcript->open_tokens->len;
  hypothesis->words = (const NpuHypothesisWord *) transcript->open_words->data;
  hypothesis->n_words = transcript->open_words->len;
  hearing->verdict = npu_commitment_judge (transcript->commitment, hypothesis);
}

/* A window is heard behind its prefix. Where guards take something from that,
 * and it is a loop or nothing follows, the prefix may be why: once more without
 * it, and it is the draft. At last there is what was open before. */
typedef enum { BEHIND_PREFIX, ANEW, OPEN, N_HEARINGS } Way;

static gboolean
hear_well (NpuLiveTranscript *transcript, const NpuLiveWindow *window,
    Hearing hearings[N_HEARINGS], Way *best, GError **error)
{
  Hearing *usual = &hearings[BEHIND_PREFIX], *anew = &hearings[ANEW];
  const NpuVerdict *verdict = &usual->verdict;

  *best = BEHIND_PREFIX;
  if (!hear (usual, transcript, window, error))
    return FALSE;
  if (verdict->keeps_all || !(verdict->has_looped || window->is_last))
    return TRUE;
  if (usual->task.n_prefix > 0) {
    anew->is_anew = TRUE;
    anew->task.draft = usual->task.prefix;
    anew->task.n_draft = usual->task.n_prefix;
    if (!hear (anew, transcript, window, error))
      return FALSE;
    if (is_better (anew, usual))
      *best = ANEW;
  }
  if (!window->is_last || window->is_new || verdict->is_silence ||
      hearings[*best].verdict.keeps_all)
    return TRUE;
  hear_open (&hearings[OPEN], transcript, window);
  if (hearings[OPEN].verdict.until > hearings[*best].verdict.until)
    *best = OPEN;
  return TRUE;
}

/* The prefix and draft of a window; none, where it has become too long. */
static void
begin (NpuLiveTranscript *transcript, const NpuLiveWindow *window,
    NpuHypothesisTask *task)
{
  npu_commitment_begin (transcript->commitment, window->start, window->is_new,
      &task->prefix, &task->n_prefix, &task->draft, &task->n_draft);
  if (task->n_prefix <= transcript->source.n_positions / 2)
    return;
  npu_commitment_hear_anew (transcript->commitment);
  npu_commitment_begin (transcript->commitment, window->start, FALSE,
      &task->prefix, &task->n_prefix, &task->draft, &task->n_draft);
}

gboolean
npu_live_transcript_add_window (NpuLiveTranscript *transcript,
    const NpuLiveWindow *window, NpuLiveUpdate *update, GError **error)
{
  Hearing hearings[N_HEARINGS] = {0};
  Way best;
  gboolean is_heard;

  if (!check (transcript, window, error))
    return FALSE;
  begin (transcript, window, &hearings[BEHIND_PREFIX].task);
  is_heard = find_language (transcript, window, error) &&
             hear_well (transcript, window, hearings, &best, error);
  if (is_heard) {
    if (window->find_due)
      hearings[best].hypothesis.due = window->find_due (window->user_data);
    finish (transcript, window, &hearings[best].hypothesis, update);
    update->has_looped = hearings[BEHIND_PREFIX].verdict.has_looped;
  }
  for (guint i = 0; i < N_HEARINGS; i++) {
    if (is_heard)
      update->n_tokens += hearings[i].heard.n_sampled;
    hearing_clear (&hearings[i]);
  }
  return is_heard;
}

void
npu_live_transcript_add_silence (NpuLiveTranscript *transcript,
    const NpuLiveWindow *window, NpuLiveUpdate *update)
{
  NpuHypothesisTask task;
  NpuHypothesis hypothesis;

  npu_commitment_begin (transcript->commitment, window->start, window->is_new,
      &task.prefix, &task.n_prefix, &task.draft, &task.n_draft);
  init_hypothesis (transcript, window, &hypothesis);
  hypothesis.is_last = TRUE;
  finish (transcript, window, &hypothesis, update);
}

void
npu_live_transcript_end (NpuLiveTranscript *transcript, NpuLiveUpdate *update)
{
  g_autoptr (GArray) tokens = transcript->open_tokens;
  g_autoptr (GArray) words = transcript->open_words;
  const NpuHypothesis hypothesis = {
      .start = transcript->start,
      .end = transcript->end,
      .is_last = TRUE,
      .tokens = (const guint32 *) tokens->data,
      .n_tokens = tokens->len,
      .words = (const NpuHypothesisWord *) words->data,
      .n_words = words->len,
  };

  transcript->open_tokens = g_array_new (FALSE, FALSE, sizeof (guint32));
  transcript->open_words =
      g_array_new (FALSE, FALSE, sizeof (NpuHypothesisWord));
  finish (transcript, NULL, &hypothesis, update);
}
