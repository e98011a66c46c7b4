/* Which language is spoken, as the windows of a stream tell it one after the
 * other.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  /* ns from the begin of a window that told it to that of the next which is
   * asked; G_MAXUINT64: the first one with speech decides */
  guint64 interval;
  float no_speech_threshold; /* above it a window does not tell */

  int language;      /* -1: not known yet */
  float probability; /* 1 where it was given */
  gboolean is_given;
  guint64 told_at; /* begin of the window that told it */
} NpuSpokenLanguage;

/* @given: -1: windows tell it */
void npu_spoken_language_init (NpuSpokenLanguage *spoken, int given,
    guint64 interval, float no_speech_threshold);

/* Whether a window that begins at @start is asked. */
gboolean npu_spoken_language_asks (
    const NpuSpokenLanguage *spoken, guint64 start);

/**
 * npu_spoken_language_hear:
 * @found: the likeliest language of a window that begins at @start and has
 *   @duration of audio
 * @probability: (inout): how likely that is; then of what is returned
 *
 * Windows are heard in their order. Of several that were asked before the first
 * of them told, the later ones may be none to ask any more: what is known
 * stays. It stays, too, where another language is not likelier than all others
 * together, or in a window of less than 10 s not likelier by far (0.9): a
 * window of music or of two languages is no change, nor is a name.
 *
 * Returns: the language that the window is decoded in
 */
int npu_spoken_language_hear (NpuSpokenLanguage *spoken, guint64 start,
    guint64 duration, int found, float no_speech_prob, float *probability);

G_END_DECLS
