/* Windows that grow to words: each window of a live stream has the audio from
 * somewhere to now, and says which words are final and what is being said
 * (decoding/commitment.h has the policy).
 *
 * One thread at a time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "decoding/npu-decoding.h"
#include "npu-pause.h"

G_BEGIN_DECLS

typedef struct _NpuLiveTranscript NpuLiveTranscript;

typedef struct {
  /* Greedy at temperature 0 whatever is set; of it count task, language,
   * suppress_blank, suppress, logprob_threshold and no_speech_threshold. */
  NpuDecodingOptions decoding;
  const char *hot_words, *initial_prompt; /* of every window; or NULL */
  guint64 margin; /* ns between a word's end and now, for it to be final */
  guint context;  /* tokens of earlier text that a window is told, behind the
                   * prompt */
} NpuLiveOptions;

/* A window, set in the source. Times are the stream's, in ns. */
typedef struct {
  guint window; /* its number in the source */
  guint n_positions;
  guint64 start, duration; /* of its audio; silence may follow it */
  gboolean is_new;         /* it does not go on from the one before */
  gboolean is_last;        /* of an utterance: all of it is final */
  const NpuPause *pauses;  /* [n_pauses], in order: of its audio */
  guint n_pauses;

  /* Words that begin before what it returns are final as they are; asked when
   * the window has been heard, as that takes time. NULL: no word is. */
  guint64 (*find_due) (gpointer user_data);
  gpointer user_data;
} NpuLiveWindow;

/* Times never run back from one word to the next. */
typedef struct {
  guint64 start, end; /* start <= end */
  const char *text;   /* valid UTF-8, stripped, not empty, without NUL */
} NpuLiveWord;

typedef struct {
  const NpuLiveWord *words; /* [n_words]: final from now on */
  guint n_words;
  const char *committed; /* their text in one, "" without any */
  const char *partial;   /* of what follows them, as it sounds now; or "" */
  guint64 partial_start, partial_end; /* of it; both `decided` without any */
  guint64 until;       /* end of the last word that is final, or 0 */
  guint64 sentence;    /* end of the last sentence that is, or 0 */
  guint64 decided;     /* no word comes before it any more */
  gboolean has_looped; /* the decoder repeated itself, and was stopped */
  int language;        /* index; -1: an English-only model */
  float language_prob; /* 1 where it was given */
  gboolean is_language_decided; /* it stays until a reset */
  float avg_logprob, no_speech_prob;
  guint n_tokens; /* sampled */
} NpuLiveUpdate;

/* @source, @tokenizer and @options are kept, by reference the second, by copy
 * the others; what @source calls must outlive the transcript. The source knows
 * where its tokens look. */
NPU_API NpuLiveTranscript *npu_live_transcript_new (
    const NpuLogitsSource *source, NpuTokenizer *tokenizer,
    const NpuLiveOptions *options);
NPU_API void npu_live_transcript_free (NpuLiveTranscript *transcript);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuLiveTranscript, npu_live_transcript_free)

/* Forgets text, times and the language. */
NPU_API void npu_live_transcript_reset (NpuLiveTranscript *transcript);

/* From the next window on, which is heard anew; nothing changes where it is the
 * same again. -1: decided anew, by the first 3 s of speech that are more likely
 * than not of one, at the latest after 10 s. */
NPU_API void npu_live_transcript_set_language (
    NpuLiveTranscript *transcript, int language);
NPU_API void npu_live_transcript_set_margin (
    NpuLiveTranscript *transcript, guint64 margin);

/**
 * npu_live_transcript_add_window:
 * @update: (out): valid until the next call on @transcript
 *
 * Returns: %FALSE with @error set: SETTINGS for options that do not go with the
 *   model; FAILED for logits that are not numbers; what the source says. The
 *   transcript is as it was before
 */
NPU_API gboolean npu_live_transcript_add_window (NpuLiveTranscript *transcript,
    const NpuLiveWindow *window, NpuLiveUpdate *update, GError **error);

/**
 * npu_live_transcript_add_silence:
 *
 * A window without voice, which the source has not been given: no word comes of
 * it, and what was open before it is not any more.
 */
NPU_API void npu_live_transcript_add_silence (NpuLiveTranscript *transcript,
    const NpuLiveWindow *window, NpuLiveUpdate *update);

/**
 * npu_live_transcript_end:
 *
 * No window follows, where the last one was not that of an utterance: what was
 * partial is final.
 */
NPU_API void npu_live_transcript_end (
    NpuLiveTranscript *transcript, NpuLiveUpdate *update);

G_END_DECLS
