/* What the storm streams: buffers of any values, lengths and times, gaps,
 * segments, caps, flushes, ends.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "storm.h"

#include <math.h>
#include <string.h>

#define SAMPLE_NS 62500 /* at 16 kHz */

static float
one_value (guint kind, guint32 noise)
{
  float value;

  switch (kind) {
    case 0:
      return 0.0f;
    case 1:
      return noise % 100 ? 0.1f : NAN;
    case 2:
      return 1e-40f;
    case 3:
      return noise % 3000 ? 1e-3f : 1e6f;
    case 4:
      return noise % 2 ? 3e38f : -3e38f;
    case 5:
      memcpy (&value, &noise, sizeof value); /* any bits */
      return value;
    default:
      return (float) (gint32) noise / 2147483648.0f;
  }
}

/* Bytes that may begin anywhere in memory, and be in two pieces. */
static GstBuffer *
new_buffer (Tape *tape, gsize size)
{
  const guint kind = tape_below (tape, 14);
  const gsize skew = tape_below (tape, 6) == 0 ? 1 + tape_below (tape, 3) : 0;
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, size + skew, NULL);
  guint32 noise = tape_u32 (tape) | 1;
  GstMapInfo info;

  gst_buffer_map (buffer, &info, GST_MAP_WRITE);
  if (info.size)
    memset (info.data, 0, info.size);
  for (gsize i = skew; i + 4 <= info.size; i += 4) {
    float value;

    noise ^= noise << 13;
    noise ^= noise >> 17;
    noise ^= noise << 5;
    value = one_value (kind, noise);
    memcpy (info.data + i, &value, sizeof value);
  }
  gst_buffer_unmap (buffer, &info);
  if (skew)
    gst_buffer_resize (buffer, (gssize) skew, (gssize) size);
  if (size > 8 && tape_below (tape, 16) == 0) {
    const gsize half = size / 2;
    GstBuffer *first =
        gst_buffer_copy_region (buffer, GST_BUFFER_COPY_ALL, 0, half);

    first = gst_buffer_append (
        first, gst_buffer_copy_region (
                   buffer, GST_BUFFER_COPY_MEMORY, half, size - half));
    gst_buffer_unref (buffer);
    buffer = first;
  }
  return buffer;
}

static GstClockTime
any_time (Tape *tape, GstClockTime head)
{
  switch (tape_below (tape, 20)) {
    case 1:
      return GST_CLOCK_TIME_NONE;
    case 2:
      return head + tape_below (tape, 80) * GST_MSECOND;
    case 3:
      return head > GST_SECOND ? head - tape_u8 (tape) * 4 * GST_MSECOND : 0;
    case 4:
      return (guint64) tape_u32 (tape) * tape_u32 (tape);
    case 5:
      return G_MAXUINT64 - 1 - tape_u8 (tape);
    case 6:
      return G_MAXINT64;
    case 7:
      return head + 5 * GST_SECOND;
    default:
      return head;
  }
}

static void
set_times (Storm *storm, Tape *tape, GstBuffer *buffer, GstClockTime length)
{
  static const GstBufferFlags flags[] = {GST_BUFFER_FLAG_DISCONT,
      GST_BUFFER_FLAG_GAP, GST_BUFFER_FLAG_RESYNC | GST_BUFFER_FLAG_CORRUPTED};
  const GstClockTime pts = any_time (tape, storm->head);

  GST_BUFFER_PTS (buffer) = pts;
  switch (tape_below (tape, 8)) {
    case 1:
      GST_BUFFER_DURATION (buffer) = GST_CLOCK_TIME_NONE;
      break;
    case 2:
      GST_BUFFER_DURATION (buffer) = (guint64) tape_u32 (tape)
                                     << tape_below (tape, 31);
      break;
    default:
      GST_BUFFER_DURATION (buffer) = length;
  }
  if (tape_below (tape, 8) == 1)
    GST_BUFFER_FLAG_SET (buffer, TAPE_ONE_OF (tape, flags));
  if (GST_CLOCK_TIME_IS_VALID (pts) && pts < G_MAXINT64 / 4)
    storm->head = pts + length;
}

static GstFlowReturn
push_buffer (Storm *storm, Tape *tape)
{
  GstBuffer *buffer;

  if (storm->mel) {
    const guint usual = storm->decoder ? 16000 : 4000;
    const guint n = tape_u32 (tape) % (tape_below (tape, 10) ? usual : 40000);

    buffer = new_buffer (
        tape, n * 4 + (tape_below (tape, 60) == 1 ? tape_below (tape, 4) : 0));
    set_times (storm, tape, buffer, n * SAMPLE_NS);
  } else {
    static const gssize wrong[] = {4, -4};
    gsize size =
        (gsize) storm->n_frames *
        (storm->encoder ? STORM_MELS * 4 : STORM_D * (storm->half ? 2 : 4));
    const guint decision = tape_below (tape, 40);

    if (decision == 1)
      size = 0;
    else if (decision == 2)
      size += (gsize) TAPE_ONE_OF (tape, wrong);
    buffer = new_buffer (tape, size);
    set_times (storm, tape, buffer, storm->n_frames * FRAME);
  }
  return gst_pad_push (storm->src, buffer);
}

/* Of mel or of states, whichever the first element takes. */
static GstCaps *
new_tensor_caps (Storm *storm, Tape *tape, gboolean good)
{
  static const char *const tails[] = {":1", "", ":1:1", ":2"};
  const guint frames =
      good ? 2 + 2 * tape_below (tape, 60) : tape_u32 (tape) % 3010;
  const guint tail = tape_below (tape, good ? 3 : 4);
  const gboolean is_fit = good || tape_below (tape, 8);
  const gboolean half = !storm->encoder && tape_below (tape, 2);
  g_autofree char *dimensions =
      storm->encoder
          ? g_strdup_printf ("%u:%u", frames, is_fit ? STORM_MELS : 128)
          : g_strdup_printf ("%u:%u", is_fit ? STORM_D : 128, frames);
  g_autofree char *text = g_strdup_printf (
      "other/tensors,format=static,num_tensors=1,types=(string)%s,"
      "dimensions=(string)%s%s,framerate=0/1",
      half ? "float16" : "float32", dimensions, tails[tail]);

  if (frames >= 2 && frames <= 200) {
    storm->n_frames = frames;
    storm->half = half;
  }
  return gst_caps_from_string (text);
}

static void
send_caps (Storm *storm, Tape *tape, gboolean good)
{
  static const char *const bad_audio[] = {
      "audio/x-raw,format=S16LE,rate=16000,channels=1,layout=interleaved",
      "audio/x-raw,format=F32LE,rate=8000,channels=1,layout=interleaved",
      "audio/x-raw,format=F32LE,rate=16000,channels=2,layout=interleaved",
      "other/tensors,format=static"};
  g_autoptr (GstCaps) caps = NULL;

  if (storm->mel) {
    caps = gst_caps_from_string (
        good || tape_below (tape, 4)
            ? "audio/x-raw,format=F32LE,rate=16000,channels=1,"
              "layout=interleaved"
            : TAPE_ONE_OF (tape, bad_audio));
  } else {
    caps = new_tensor_caps (storm, tape, good);
  }
  gst_pad_push_event (storm->src, gst_event_new_caps (caps));
}

static void
send_segment (Storm *storm, Tape *tape, gboolean good)
{
  static const double rates[] = {0.5, 2.0, -1.0, 1e-3};
  GstSegment segment;
  GstEvent *event;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  if (!good) {
    if (tape_below (tape, 8) == 1)
      gst_segment_init (&segment, GST_FORMAT_BYTES);
    segment.start = tape_below (tape, 3)
                        ? tape_below (tape, 10) * GST_SECOND / 3
                        : (guint64) tape_u32 (tape) << tape_below (tape, 32);
    segment.time = tape_below (tape, 2) ? segment.start : tape_below (tape, 5);
    segment.position = segment.start;
    if (tape_below (tape, 3) == 1)
      segment.stop = segment.start + tape_below (tape, 5) * GST_SECOND;
    if (tape_below (tape, 8) == 1)
      segment.rate = TAPE_ONE_OF (tape, rates);
    if (tape_below (tape, 10) == 1)
      segment.base = (guint64) tape_u32 (tape) << tape_below (tape, 31);
    storm->head = segment.start;
  }
  event = gst_event_new_segment (&segment);
  gst_event_set_seqnum (event, STORM_SEQNUM);
  gst_pad_push_event (storm->src, event);
}

static void
send_gap (Storm *storm, Tape *tape)
{
  GstClockTime length = tape_u8 (tape) * 12 * GST_MSECOND;
  const GstClockTime start = any_time (tape, storm->head);

  if (tape_below (tape, 6) == 1)
    length = tape_below (tape, 2)
                 ? GST_CLOCK_TIME_NONE
                 : (guint64) tape_u32 (tape) << tape_below (tape, 32);
  if (start == GST_CLOCK_TIME_NONE)
    return; /* GStreamer makes no such event */
  gst_pad_push_event (storm->src, gst_event_new_gap (start, length));
  if (length < 100 * GST_SECOND)
    storm->head += length;
}

void
storm_flush (Storm *storm, Tape *tape)
{
  if (g_atomic_int_exchange (&storm->flushing, TRUE))
    return;
  gst_pad_push_event (storm->src, gst_event_new_flush_start ());
  g_usleep (tape_u8 (tape));
  g_mutex_lock (&storm->streaming);
  gst_pad_push_event (
      storm->src, gst_event_new_flush_stop (tape_below (tape, 2)));
  /* Elements that have been stopped meanwhile do not pass it on. */
  if (GST_PAD_IS_FLUSHING (storm->sink))
    gst_pad_send_event (storm->sink, gst_event_new_flush_stop (TRUE));
  storm->unstarted = TRUE;
  g_mutex_unlock (&storm->streaming);
  g_atomic_int_set (&storm->flushing, FALSE);
}

static void
send_others (Storm *storm, Tape *tape)
{
  switch (tape_below (tape, 4)) {
    case 0:
      gst_pad_push_event (storm->src,
          gst_event_new_tag (gst_tag_list_new (GST_TAG_TITLE, "x", NULL)));
      break;
    case 1:
      gst_pad_push_event (
          storm->src, gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM,
                          gst_structure_new_empty ("made-up")));
      break;
    case 2: {
      g_autoptr (GstCaps) caps = gst_pad_get_current_caps (storm->src);

      if (caps) {
        g_autoptr (GstQuery) query =
            gst_query_new_allocation (caps, tape_below (tape, 2));

        gst_pad_peer_query (storm->src, query);
      }
      break;
    }
    default:
      gst_pad_push_event (storm->src, gst_event_new_eos ());
      gst_pad_push_event (storm->src, gst_event_new_stream_start ("next"));
      storm->unstarted = TRUE;
  }
}

/* Lets the flush have the lock, and elements the time to start: else the tape
 * has run out by then. */
static void
wait_for_flow (Storm *storm, Tape *tape)
{
  for (guint i = 0; i < 100 && g_atomic_int_get (&storm->flushing); i++)
    g_usleep (100);
  g_usleep (tape_u8 (tape) * (storm->decoder ? 100 : 10));
}

void
storm_stream (Storm *storm, Tape *tape)
{
  while (tape->left) {
    const guint decision = tape_below (tape, 32);
    GstFlowReturn flow = GST_FLOW_OK;

    if (decision == 31) {
      storm_flush (storm, tape);
      continue;
    }
    g_mutex_lock (&storm->streaming);
    if (storm->unstarted) {
      storm->unstarted = FALSE;
      send_caps (storm, tape, TRUE); /* the end of a stream takes them too */
      send_segment (storm, tape, TRUE);
    }
    if (decision < 22) {
      flow = push_buffer (storm, tape);
    } else if (decision < 25)
      send_gap (storm, tape);
    else if (decision < 27)
      send_segment (storm, tape, FALSE);
    else if (decision < 29)
      send_caps (storm, tape, FALSE);
    else
      send_others (storm, tape);
    g_mutex_unlock (&storm->streaming);
    if (flow == GST_FLOW_FLUSHING)
      wait_for_flow (storm, tape);
  }
}
