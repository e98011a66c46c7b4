/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-error.h"
#include "scripted-private.h"
#include "transcript/npu-live-transcript.h"

#define MAX_LIVE_WORDS 8

struct _NpuLiveTranscript {
  NpuDecoder *decoder;
  NpuLiveWord words[MAX_LIVE_WORDS];
  char *rest;  /* that is partial */
  guint64 end; /* of the last window */
};

NpuLiveTranscript *
npu_live_transcript_new (const NpuLogitsSource *source, NpuTokenizer *tokenizer,
    const NpuLiveOptions *options)
{
  NpuLiveTranscript *transcript = g_new0 (NpuLiveTranscript, 1);

  transcript->decoder = source->self;
  g_mutex_lock (&script_lock);
  script_seen.margin = options->margin;
  g_mutex_unlock (&script_lock);
  return transcript;
}

void
npu_live_transcript_free (NpuLiveTranscript *transcript)
{
  g_free (transcript->rest);
  g_free (transcript);
}

void
npu_live_transcript_reset (NpuLiveTranscript *transcript)
{
  g_clear_pointer (&transcript->rest, g_free);
  g_mutex_lock (&script_lock);
  script_seen.n_live_resets++;
  g_mutex_unlock (&script_lock);
}

void
npu_live_transcript_set_language (NpuLiveTranscript *transcript, int language)
{
  g_mutex_lock (&script_lock);
  script_seen.live_language = language;
  g_mutex_unlock (&script_lock);
}

void
npu_live_transcript_set_margin (NpuLiveTranscript *transcript, guint64 margin)
{
  g_mutex_lock (&script_lock);
  script_seen.margin = margin;
  g_mutex_unlock (&script_lock);
}

static void
fill_update (NpuLiveTranscript *transcript, const ScriptedUpdate *now,
    guint64 start, NpuLiveUpdate *update)
{
  g_assert_cmpuint (now->n_words, <=, MAX_LIVE_WORDS);
  for (guint i = 0; i < now->n_words; i++)
    transcript->words[i] = (NpuLiveWord){start + now->words[i].start,
        start + now->words[i].end, now->words[i].text};
  *update = (NpuLiveUpdate){
      .words = transcript->words,
      .n_words = now->n_words,
      .committed = now->committed ? now->committed : "",
      .partial = now->partial ? now->partial : "",
      .until = now->until,
      .sentence = now->sentence,
      .decided = now->decided,
      .language = now->language,
      .language_prob = 0.75f,
      .is_language_decided = now->is_language_decided,
      .n_tokens = 3,
  };
}

gboolean
npu_live_transcript_add_window (NpuLiveTranscript *transcript,
    const NpuLiveWindow *window, NpuLiveUpdate *update, GError **error)
{
  ScriptedUpdate now;
  gboolean done;
  guint64 due;

  g_mutex_lock (&script_lock);
  script_seen.n_live++;
  script_seen.live_start = window->start;
  script_seen.live_duration = window->duration;
  script_seen.is_new = window->is_new;
  script_seen.is_last = window->is_last;
  now = script_update;
  done = script_wait_or_cancel (transcript->decoder, now.wait);
  g_mutex_unlock (&script_lock);
  if (!done) {
    g_set_error_literal (error, NPU_ERROR, NPU_ERROR_CANCELLED, "cancelled");
    return FALSE;
  }
  if (script_window.domain) {
    g_set_error_literal (
        error, script_window.domain, script_window.error, "as scripted");
    return FALSE;
  }
  if (now.on_heard)
    now.on_heard (now.user_data);
  due = window->find_due ? window->find_due (window->user_data) : 0;
  g_mutex_lock (&script_lock);
  script_seen.due = due;
  g_mutex_unlock (&script_lock);
  fill_update (transcript, &now, window->start, update);
  g_free (transcript->rest);
  transcript->rest = g_strdup (now.rest);
  transcript->end = window->start + window->duration;
  return TRUE;
}

void
npu_live_transcript_add_silence (NpuLiveTranscript *transcript,
    const NpuLiveWindow *window, NpuLiveUpdate *update)
{
  const ScriptedUpdate nothing = {.decided = window->start + window->duration};

  fill_update (transcript, &nothing, window->start, update);
}

void
npu_live_transcript_end (NpuLiveTranscript *transcript, NpuLiveUpdate *update)
{
  const ScriptedSegment word = {
      0, 100 * G_GUINT64_CONSTANT (1000000), transcript->rest};
  const ScriptedUpdate rest = {.words = &word,
      .n_words = transcript->rest != NULL,
      .committed = transcript->rest,
      .decided = transcript->end};

  g_mutex_lock (&script_lock);
  script_seen.n_live_ends++;
  g_mutex_unlock (&script_lock);
  fill_update (transcript, &rest,
      transcript->end -
          MIN (transcript->end, 100 * G_GUINT64_CONSTANT (1000000)),
      update);
}
