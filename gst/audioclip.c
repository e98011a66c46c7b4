/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "audioclip.h"

#include "audiowindow.h"

GstBuffer *
audio_clip (GstBuffer *buffer, const GstSegment *segment)
{
  gsize n = gst_buffer_get_size (buffer) / sizeof (float);
  GstClockTime start = GST_BUFFER_PTS (buffer), stop;
  guint64 clipped_start, clipped_stop, n_before, n_after;
  GstBuffer *part;

  if (n == 0)
    goto nothing;
  if (segment->format != GST_FORMAT_TIME || start > (GstClockTime) G_MAXINT64)
    return buffer; /* it has no time, or none that can be */

  stop = start + n * AUDIO_WINDOW_SAMPLE_TIME;
  if (!gst_segment_clip (
          segment, GST_FORMAT_TIME, start, stop, &clipped_start, &clipped_stop))
    goto nothing;
  n_before = (clipped_start - start) / AUDIO_WINDOW_SAMPLE_TIME;
  n_after = (stop - clipped_stop) / AUDIO_WINDOW_SAMPLE_TIME;
  if (n_before == 0 && n_after == 0 && clipped_start == start)
    return buffer;
  if (n_before + n_after >= n)
    goto nothing;

  part = gst_buffer_copy_region (buffer,
      GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_MEMORY, n_before * sizeof (float),
      (n - n_before - n_after) * sizeof (float));
  GST_BUFFER_PTS (part) = clipped_start;
  gst_buffer_unref (buffer);
  return part;

nothing:
  gst_buffer_unref (buffer);
  return NULL;
}
