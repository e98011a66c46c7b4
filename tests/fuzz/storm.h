/* The storm of fuzz-elements.c: the elements under test, pads around them, and
 * what each thread does, by its share of the tape.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "tape.h"

#define STORM_MELS 80
#define STORM_D 64     /* two blocks' width, so that a window takes no time */
#define STORM_SEQNUM 7 /* of segments, so that advances can have it */
#define FRAME (10 * GST_MSECOND)

typedef struct {
  /* Those that are not under test are NULL; a transcriber is all three. */
  GstElement *pipeline, *mel, *encoder, *decoder;
  GstPad *src, *sink; /* ours, around them */
  GstPad *unsynced;   /* likewise, of text that is said now; or NULL */
  GstBus *bus;
  GMutex streaming;   /* what must not pass each other on src */
  int flushing;       /* atomic; one flush at a time */
  gboolean unstarted; /* a flush has taken the segment; under streaming */
  const char *model, *vocabulary, *trace;
  GstClockTime head; /* of the stream; the streaming thread's */
  guint n_frames;    /* of a window of mel, or of states; likewise */
  gboolean half;     /* so are the states; likewise */
  GMutex sink_lock;
  Tape sink_tape; /* under sink_lock, as the next */
  guint wanted_mels;
} Storm;

/* storm-downstream.c: our pads' functions; each is set on a pad whose private
 * data is the storm. */
void storm_set_sink_functions (GstPad *pad);
void storm_set_src_functions (GstPad *pad);

/* storm-stream.c: streams until the tape ends. */
void storm_stream (Storm *storm, Tape *tape);

/* FLUSH_START at once, in the middle of whatever streams, FLUSH_STOP when that
 * has returned. */
void storm_flush (Storm *storm, Tape *tape);

/* storm-meddle.c: changes, reads and sends upstream until the tape ends. */
void storm_meddle (Storm *storm, Tape *tape);
void storm_set_property (Storm *storm, Tape *tape);
void storm_read_messages (Storm *storm);
