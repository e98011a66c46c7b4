/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstwhispermelsettings.h"

GType
gst_whisper_mel_bands_get_type (void)
{
  static const GEnumValue values[] = {
      {GST_WHISPER_MEL_BANDS_AUTO, "As downstream asks, else 80", "auto"},
      {GST_WHISPER_MEL_BANDS_80, "Models before large-v3", "80"},
      {GST_WHISPER_MEL_BANDS_128, "large-v3 and its descendants", "128"},
      {0, NULL, NULL},
  };
  static gsize type;

  if (g_once_init_enter (&type))
    g_once_init_leave (
        &type, g_enum_register_static ("GstWhisperMelBands", values));
  return type;
}

GType
gst_whisper_mel_mode_get_type (void)
{
  static const GEnumValue values[] = {
      {GST_WHISPER_MEL_MODE_FIXED, "Every hop", "fixed"},
      {GST_WHISPER_MEL_MODE_FOLLOW,
          "Where the decoder says that the last window was used up", "follow"},
      {GST_WHISPER_MEL_MODE_GROWING,
          "Live captions: all audio that is not final, every step", "growing"},
      {GST_WHISPER_MEL_MODE_PAUSES,
          "At the quietest place of the last third of the last window",
          "pauses"},
      {0, NULL, NULL},
  };
  static gsize type;

  if (g_once_init_enter (&type))
    g_once_init_leave (
        &type, g_enum_register_static ("GstWhisperMelMode", values));
  return type;
}

GType
gst_whisper_mel_tail_get_type (void)
{
  static const GEnumValue values[] = {
      {GST_WHISPER_MEL_TAIL_SILENCE, "The mel of silence", "silence"},
      {GST_WHISPER_MEL_TAIL_ZERO, "0.0, as OpenAI's transcribe() has it",
          "zero"},
      {0, NULL, NULL},
  };
  static gsize type;

  if (g_once_init_enter (&type))
    g_once_init_leave (
        &type, g_enum_register_static ("GstWhisperMelTail", values));
  return type;
}

GType
gst_whisper_mel_vad_get_type (void)
{
  static const GEnumValue values[] = {
      {GST_WHISPER_MEL_VAD_AUTO,
          "Upstream's voice bit, else vad-model, else the level", "auto"},
      {GST_WHISPER_MEL_VAD_NONE, "All but digital silence is voice", "none"},
      {GST_WHISPER_MEL_VAD_SILERO, "The network of vad-model", "silero"},
      {GST_WHISPER_MEL_VAD_ENERGY, "The level over a running noise floor",
          "energy"},
      {0, NULL, NULL},
  };
  static gsize type;

  if (g_once_init_enter (&type))
    g_once_init_leave (
        &type, g_enum_register_static ("GstWhisperMelVad", values));
  return type;
}
