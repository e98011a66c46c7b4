/* whisperdecoder's settable properties: each is a field of one structure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "decoding/npu-decoding.h"

G_BEGIN_DECLS

/* Each level shows what the one before shows. */
typedef enum {
  GST_WHISPER_DECODER_VERBOSITY_NONE,
  GST_WHISPER_DECODER_VERBOSITY_SUMMARY,
  GST_WHISPER_DECODER_VERBOSITY_STAGES,
  GST_WHISPER_DECODER_VERBOSITY_TILES,
} GstWhisperDecoderVerbosity;

typedef enum {
  GST_WHISPER_DECODER_TIMESTAMPS_NONE,
  GST_WHISPER_DECODER_TIMESTAMPS_SEGMENTS,
  GST_WHISPER_DECODER_TIMESTAMPS_WORDS,
} GstWhisperDecoderTimestamps;

/* When text is final. */
typedef enum {
  GST_WHISPER_DECODER_COMMIT_ALL,
  GST_WHISPER_DECODER_COMMIT_ALIGNATT,
} GstWhisperDecoderCommit;

typedef enum {
  GST_WHISPER_DECODER_TEXT_SEGMENTS,
  GST_WHISPER_DECODER_TEXT_WORDS,
} GstWhisperDecoderText;

/* Property ids. */
enum {
  GST_WHISPER_DECODER_MODEL = 1,
  GST_WHISPER_DECODER_VOCABULARY,
  GST_WHISPER_DECODER_DEVICE,
  GST_WHISPER_DECODER_THREADS,
  GST_WHISPER_DECODER_TIMEOUT,
  GST_WHISPER_DECODER_PRECISION,
  GST_WHISPER_DECODER_VERBOSITY,
  GST_WHISPER_DECODER_POST_MESSAGES,
  GST_WHISPER_DECODER_LANGUAGE_CODE,
  GST_WHISPER_DECODER_LANGUAGE_INTERVAL,
  GST_WHISPER_DECODER_TASK,
  GST_WHISPER_DECODER_TEXT,
  GST_WHISPER_DECODER_TIMESTAMPS,
  GST_WHISPER_DECODER_LINE_LENGTH,
  GST_WHISPER_DECODER_LINES,
  GST_WHISPER_DECODER_MAX_PAUSE,
  GST_WHISPER_DECODER_HALLUCINATION_SILENCE_THRESHOLD,
  GST_WHISPER_DECODER_BEAM_SIZE,
  GST_WHISPER_DECODER_BEST_OF,
  GST_WHISPER_DECODER_PATIENCE,
  GST_WHISPER_DECODER_LENGTH_PENALTY,
  GST_WHISPER_DECODER_TEMPERATURE,
  GST_WHISPER_DECODER_TEMPERATURE_INCREMENT,
  GST_WHISPER_DECODER_COMPRESSION_RATIO_THRESHOLD,
  GST_WHISPER_DECODER_LOGPROB_THRESHOLD,
  GST_WHISPER_DECODER_NO_SPEECH_THRESHOLD,
  GST_WHISPER_DECODER_CONDITION_ON_PREVIOUS_TEXT,
  GST_WHISPER_DECODER_INITIAL_PROMPT,
  GST_WHISPER_DECODER_HOT_WORDS,
  GST_WHISPER_DECODER_SUPPRESS_BLANK,
  GST_WHISPER_DECODER_SUPPRESS_TOKENS,
  GST_WHISPER_DECODER_MAX_INITIAL_TIMESTAMP,
  GST_WHISPER_DECODER_SEED,
  GST_WHISPER_DECODER_BATCH,
  GST_WHISPER_DECODER_COMMIT,
  GST_WHISPER_DECODER_MARGIN,
  GST_WHISPER_DECODER_CONTEXT,
  GST_WHISPER_DECODER_LATENCY,
  GST_WHISPER_DECODER_LATENESS,
  GST_WHISPER_DECODER_N_SETTINGS, /* the first id that is free */
};

/* Fields of enumerated properties are ints, as GValue has them. */
typedef struct {
  char *model;
  char *vocabulary;
  char *device;
  char *language_code;
  char *initial_prompt;
  char *hot_words;
  char *suppress_tokens;
  guint threads;
  guint timeout;  /* ms */
  guint latency;  /* ms */
  guint lateness; /* ms */
  guint beam_size;
  guint best_of;
  guint batch;
  guint line_length;
  guint lines;
  int precision;  /* NpuPrecision */
  int verbosity;  /* GstWhisperDecoderVerbosity */
  int task;       /* NpuTask */
  int commit;     /* GstWhisperDecoderCommit */
  int text;       /* GstWhisperDecoderText */
  int timestamps; /* GstWhisperDecoderTimestamps */
  gboolean post_messages;
  gboolean condition_on_previous_text;
  gboolean suppress_blank;
  double patience;
  double length_penalty;
  double temperature;
  double temperature_increment;
  double compression_ratio_threshold;
  double logprob_threshold;
  double no_speech_threshold;
  guint64 max_initial_timestamp;           /* ns */
  guint64 max_pause;                       /* ns */
  guint64 hallucination_silence_threshold; /* ns */
  guint64 seed;
  guint64 language_interval; /* ns */
  guint64 margin;            /* ns */
  guint context;             /* tokens */
} GstWhisperDecoderSettings;

/* Whether times of words are needed. */
gboolean gst_whisper_decoder_settings_want_words (
    const GstWhisperDecoderSettings *settings);

/* Installs the properties; they are set to their defaults when an object is
 * constructed. */
void gst_whisper_decoder_settings_install (GObjectClass *klass);

void gst_whisper_decoder_settings_set (
    GstWhisperDecoderSettings *settings, guint id, const GValue *value);
void gst_whisper_decoder_settings_get (
    const GstWhisperDecoderSettings *settings, guint id, GValue *value);
void gst_whisper_decoder_settings_clear (GstWhisperDecoderSettings *settings);

G_END_DECLS
