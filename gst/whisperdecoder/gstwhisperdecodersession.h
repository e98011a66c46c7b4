/* What whisperdecoder holds open: a model with its vocabulary, a device, a
 * decoder on it, and the transcript of the stream.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "gstwhisperdecodersettings.h"
#include "transcript/npu-live-transcript.h"
#include "transcript/npu-transcript.h"

G_BEGIN_DECLS

typedef struct {
  NpuModel *model;
  NpuDevice *device;
  NpuTokenizer *tokenizer;
  NpuDecoder *decoder;
  NpuLogitsSource source;
  NpuTranscript *transcript;
  NpuLiveTranscript *live; /* for commit=alignatt */
  char *location;          /* of the model */
  GArray *suppress;        /* of guint32 */
  char *prompt, *hot_words;
} GstWhisperDecoderSession;

/**
 * gst_whisper_decoder_session_new:
 * @location: of the model
 *
 * Returns: (transfer full): a session, or %NULL after @element has posted an
 *   error message.
 */
GstWhisperDecoderSession *gst_whisper_decoder_session_new (GstElement *element,
    const GstWhisperDecoderSettings *settings, const char *location);
void gst_whisper_decoder_session_free (GstWhisperDecoderSession *session);

/* The index of language-code @code, -1 for one that is found in the speech or
 * need not be told; %FALSE with @error set where the model does not know it. */
gboolean gst_whisper_decoder_session_find_language (
    const GstWhisperDecoderSession *session, const char *code, int *language,
    GError **error);

/* Posts @error as an error message of @element, naming @properties (nullable).
 */
void gst_whisper_decoder_post_error (
    GstElement *element, const GError *error, const char *properties);

/* A window of states and its place in the stream. */
typedef struct {
  const float *states; /* [n_positions][d] */
  guint n_positions;
  GstClockTime start, duration; /* of the real audio */
} GstWhisperDecoderWindow;

/* Gives the window's states to the decoder as window 0. */
gboolean gst_whisper_decoder_session_set_states (
    GstWhisperDecoderSession *session, const GstWhisperDecoderWindow *window,
    GError **error);

/* Begins to decode a window, for which the transcript has room: see
 * npu_transcript_begin_window(). */
gboolean gst_whisper_decoder_session_begin (GstWhisperDecoderSession *session,
    const GstWhisperDecoderWindow *window, GError **error);

/* Whisper's code of what is written about a window: English where it is
 * translated to it or the model knows no other; else what was spoken. */
const char *gst_whisper_decoder_session_language (
    const GstWhisperDecoderSettings *settings, const NpuDecodedWindow *decoded);

G_END_DECLS
