/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spoken-language.h"

/* A change is believed above it; in a short window, which may be a name or a
 * word of greeting, above the second. */
#define CHANGE_THRESHOLD 0.5f
#define SHORT_THRESHOLD 0.9f
#define SHORT_NS G_GUINT64_CONSTANT (10000000000)

void
npu_spoken_language_init (NpuSpokenLanguage *spoken, int given,
    guint64 interval, float no_speech_threshold)
{
  *spoken = (NpuSpokenLanguage){
      .interval = interval,
      .no_speech_threshold = no_speech_threshold,
      .language = given,
      .probability = 1,
      .is_given = given >= 0,
  };
}

gboolean
npu_spoken_language_asks (const NpuSpokenLanguage *spoken, guint64 start)
{
  if (spoken->is_given)
    return FALSE;
  return spoken->language < 0 ||
         (spoken->interval != G_MAXUINT64 && start >= spoken->told_at &&
             start - spoken->told_at >= spoken->interval);
}

int
npu_spoken_language_hear (NpuSpokenLanguage *spoken, guint64 start,
    guint64 duration, int found, float no_speech_prob, float *probability)
{
  const float threshold =
      duration < SHORT_NS ? SHORT_THRESHOLD : CHANGE_THRESHOLD;
  const gboolean is_known = spoken->language >= 0;
  const gboolean tells =
      no_speech_prob <= spoken->no_speech_threshold &&
      (!is_known || found == spoken->language || *probability > threshold);

  if (npu_spoken_language_asks (spoken, start) && tells) {
    spoken->language = found;
    spoken->probability = *probability;
    spoken->told_at = start;
    return found;
  }
  if (!is_known)
    return found;
  *probability = spoken->probability;
  return spoken->language;
}
