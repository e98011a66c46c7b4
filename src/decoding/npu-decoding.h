/* From one window's states to its tokens: Whisper's rules (openai/whisper,
 * decoding.py and the fallback of transcribe.py).
 *
 * Everything here is over an interface that gives logits, NpuLogitsSource, so
 * that a script can stand for the decoder.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "decoder/npu-decoder.h"
#include "tokenizer/npu-tokenizer.h"

G_BEGIN_DECLS

/* What gives logits: a decoder, or a script. Functions as npu_decoder_*(). */
typedef struct {
  gpointer self;
  guint n_vocab, n_positions;
  void (*begin) (gpointer self, guint sequence, guint window);
  void (*fork) (gpointer self, guint from, guint to);
  void (*truncate) (gpointer self, guint sequence, guint n_tokens);
  gboolean (*step) (gpointer self, const NpuDecoderRow *rows, guint n_rows,
      float *const *logits, GError **error);
  /* NULL where the step's logits are exact. */
  gboolean (*refine) (gpointer self, guint row, const guint32 *ids, guint n,
      float *logits, GError **error);
  /* As npu_decoder_step_attending(), with n_heads alignment heads; NULL and 0
   * where nobody knows where tokens look. */
  guint n_heads;
  guint (*get_window_positions) (gpointer self, guint window);
  gboolean (*step_attending) (gpointer self, const NpuDecoderRow *rows,
      guint n_rows, float *const *logits, float *const *attention,
      GError **error);
} NpuLogitsSource;

NPU_API void npu_logits_source_init (
    NpuLogitsSource *source, NpuDecoder *decoder);

typedef enum { NPU_TASK_TRANSCRIBE, NPU_TASK_TRANSLATE } NpuTask;

typedef struct {
  NpuTask task;
  int language; /* index, or -1: detected */
  gboolean timestamps;
  guint beam_size; /* 1: greedy */
  guint best_of;   /* samples at a temperature above 0 */
  float patience;
  float length_penalty; /* negative: none */
  float temperature, temperature_increment;
  float compression_ratio_threshold, logprob_threshold, no_speech_threshold;
  gboolean suppress_blank;
  const guint32 *suppress; /* [n_suppress] ids */
  guint n_suppress;
  guint max_initial_timestamp; /* in timestamps of 20 ms; G_MAXUINT: none */
  guint last_begin;            /* of a window that no other goes on from, in
                                * timestamps: what begins before it has text,
                                * and the answer all positions for that; 0: what
                                * the answer leaves comes again */
  guint64 seed;                /* of this window */
} NpuDecodingOptions;

/* As OpenAI's transcribe() has them: timestamps, greedy, fallback from 0 in
 * steps of 0.2, 5 samples, thresholds 2.4, -1 and 0.6, the first timestamp at
 * most 1 s; nothing in suppress: see npu_tokenizer_get_suppressed(). */
NPU_API void npu_decoding_options_init (NpuDecodingOptions *options);

/* How many of a source's sequences a window needs. */
NPU_API guint npu_decoding_n_sequences (const NpuDecodingOptions *options);

/* Whether @options, and a prefix of @n_prefix tokens, go with the source and
 * the vocabulary; SETTINGS in @error says what does not. */
NPU_API gboolean npu_decoding_check (const NpuLogitsSource *source,
    NpuTokenizer *tokenizer, const NpuDecodingOptions *options, guint n_prefix,
    GError **error);

/* A window's answer. */
typedef struct {
  GArray *tokens;          /* of guint32: the prefix, and what was sampled, with
                            * timestamps, without eot */
  char *text;              /* of the text tokens, stripped */
  float avg_logprob;       /* of what was sampled, with eot, by tokens + 1 */
  float no_speech_prob;    /* softmax at sot */
  float compression_ratio; /* bytes of text by bytes of zlib */
  float temperature;       /* of the attempt that was kept */
  gboolean has_failed;     /* no attempt passed: the best of them was kept */
  gboolean is_cut;         /* at the greatest number of tokens, without eot */
  guint n_tries;           /* attempts, from 1 */
  guint n_steps;           /* tokens sampled in all attempts */
  int language;            /* index, -1: an English-only model */
  float language_prob;     /* 1 where it was given */
  gboolean is_silence;     /* no-speech: nothing is to be emitted */
  guint64 decoding_time;   /* ns of steps; its share of those that it shared */
} NpuDecodedWindow;

NPU_API void npu_decoded_window_clear (NpuDecodedWindow *window);

/**
 * npu_decode_window:
 * @window: number of the window in @source, set before
 * @prompt: [n_prompt] tokens before sot, the newest last; at most the newest
 *   223 are taken
 * @prefix: [n_prefix] first tokens of the answer, forced; at most a quarter as
 *   many as there are positions. The rules see them as if they had been
 * sampled.
 * @decoded: (out): to be cleared, where %TRUE is returned
 *
 * Detects the language where none is given, decodes with fallback by
 * temperature, keeps the best of failed attempts. Uses the sequences from 0 to
 * the greater of beam_size and best_of.
 *
 * Returns: %FALSE with @error set: SETTINGS for options that do not go with the
 *   model; FAILED for logits that are not numbers; what the source says
 */
NPU_API gboolean npu_decode_window (const NpuLogitsSource *source,
    NpuTokenizer *tokenizer, guint window, const NpuDecodingOptions *options,
    const guint32 *prompt, guint n_prompt, const guint32 *prefix,
    guint n_prefix, NpuDecodedWindow *decoded, GError **error);

/* Probability of each language, [n_languages], by one step on sot; and of
 * no speech. */
NPU_API gboolean npu_detect_language (const NpuLogitsSource *source,
    NpuTokenizer *tokenizer, guint window, float *probabilities,
    float *no_speech_prob, GError **error);

G_END_DECLS
