/* Statistics as whisperdecoder shows them: the structure whisperdecoder-stats
 * of its messages and of its property `stats`.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "common/gstnpureport.h"
#include "gstwhisperdecodersession.h"

G_BEGIN_DECLS

/* One window, or all since the start or the reset: then `tokens`, `total_time`
 * and `tries` are sums and the rest is the last window's. */
typedef struct {
  GstNpuReport report;
  guint64 tokens;
  guint64 total_time; /* ns */
  guint64 tries;
  double temperature, avg_logprob, compression_ratio, no_speech_prob,
      language_prob;
  const char *language;  /* that is spoken; NULL where it is not known */
  const char *precision; /* static, like the one before */
  char device[32];
} GstWhisperDecoderStats;

#define GST_WHISPER_DECODER_STATS_INIT                                         \
  {                                                                            \
    .report = GST_NPU_REPORT_INIT                                              \
  }

/* Of @window, in @time, on @session; @decoded is %NULL where nothing was. */
void gst_whisper_decoder_stats_init_window (GstWhisperDecoderStats *stats,
    const GstWhisperDecoderSession *session,
    const GstWhisperDecoderWindow *window, const GstSegment *time,
    const NpuDecodedWindow *decoded, guint64 total_time);

/* Adds @window to @totals and gives it its number. */
void gst_whisper_decoder_stats_add (
    GstWhisperDecoderStats *totals, GstWhisperDecoderStats *window);

/* Returns: (transfer full): the structure whisperdecoder-stats. */
GstStructure *gst_whisper_decoder_stats_to_structure (
    const GstWhisperDecoderStats *stats);

G_END_DECLS
