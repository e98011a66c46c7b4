/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstwhisperdecoderstats.h"

void
gst_whisper_decoder_stats_init_window (GstWhisperDecoderStats *stats,
    const GstWhisperDecoderSession *session,
    const GstWhisperDecoderWindow *window, const GstSegment *time,
    const NpuDecodedWindow *decoded, guint64 total_time)
{
  *stats = (GstWhisperDecoderStats) GST_WHISPER_DECODER_STATS_INIT;
  gst_npu_report_init (&stats->report, time, window->start, window->duration);
  stats->total_time = total_time;
  stats->precision =
      npu_precision_to_string (npu_decoder_get_precision (session->decoder));
  g_strlcpy (stats->device,
      npu_device_get_name (npu_decoder_get_device (session->decoder)),
      sizeof stats->device);
  if (!decoded)
    return;

  stats->tokens = decoded->n_steps;
  stats->tries = decoded->n_tries;
  stats->temperature = decoded->temperature;
  stats->avg_logprob = decoded->avg_logprob;
  stats->compression_ratio = decoded->compression_ratio;
  stats->no_speech_prob = decoded->no_speech_prob;
  stats->language_prob = decoded->language_prob;
  stats->language =
      decoded->language < 0 ? "en" : npu_language_get_code (decoded->language);
}

void
gst_whisper_decoder_stats_add (
    GstWhisperDecoderStats *totals, GstWhisperDecoderStats *window)
{
  GstWhisperDecoderStats sum = *window;

  sum.report = totals->report;
  gst_npu_report_add (&sum.report, &window->report);
  sum.tokens += totals->tokens;
  sum.total_time += totals->total_time;
  sum.tries += totals->tries;
  if (!sum.language) {
    sum.language = totals->language;
    sum.language_prob = totals->language_prob;
  }
  *totals = sum;
}

GstStructure *
gst_whisper_decoder_stats_to_structure (const GstWhisperDecoderStats *stats)
{
  GstStructure *structure =
      gst_npu_report_to_structure (&stats->report, "whisperdecoder-stats");

  gst_structure_set (structure, "tokens", G_TYPE_UINT64, stats->tokens,
      "total-time", G_TYPE_UINT64, stats->total_time, "token-time",
      G_TYPE_UINT64, stats->tokens ? stats->total_time / stats->tokens : 0,
      "tries", G_TYPE_UINT64, stats->tries, "temperature", G_TYPE_DOUBLE,
      stats->temperature, "avg-logprob", G_TYPE_DOUBLE, stats->avg_logprob,
      "compression-ratio", G_TYPE_DOUBLE, stats->compression_ratio,
      "no-speech-probability", G_TYPE_DOUBLE, stats->no_speech_prob, "language",
      G_TYPE_STRING, stats->language, "language-probability", G_TYPE_DOUBLE,
      stats->language_prob, "realtime-factor", G_TYPE_DOUBLE,
      gst_npu_report_get_realtime_factor (&stats->report, stats->total_time),
      "device", G_TYPE_STRING, stats->device, "precision", G_TYPE_STRING,
      stats->precision, NULL);
  return structure;
}
