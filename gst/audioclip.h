/* Cuts audio to its segment.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/**
 * audio_clip:
 * @buffer: (transfer full): 16 kHz mono floats
 * @segment: of any format; only one in TIME cuts
 *
 * As gst_audio_buffer_clip(), but a buffer is as long as its samples, whatever
 * its duration says.
 *
 * Returns: (transfer full) (nullable): what is inside, with the time of its
 *   first sample; %NULL where that is nothing
 */
GstBuffer *audio_clip (GstBuffer *buffer, const GstSegment *segment);

G_END_DECLS
