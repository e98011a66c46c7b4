/* A whispermel in a harness, with a bus, and a record of all that it pushes,
 * in order.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/check/gstharness.h>
#include <gst/gst.h>

G_BEGIN_DECLS

#define RATE 16000
#define SAMPLE (GST_SECOND / RATE)
#define AUDIO_CAPS                                                             \
  "audio/x-raw,format=F32LE,rate=16000,channels=1,layout=interleaved"

/* g_test_init() and gst_init(); says where the plugin is when it is missing. */
void mel_test_init (int *argc, char ***argv);

typedef struct {
  GstHarness *harness;
  GstElement *element;
  GstBus *bus;
  GQueue pushed; /* of GstBuffer and GstEvent */
} MelRig;

/* Returns a playing element, with properties as g_object_set() takes them;
 * window is 1 s unless they say otherwise. No caps have come yet. */
MelRig *mel_rig_new (const char *first_property, ...) G_GNUC_NULL_TERMINATED;
void mel_rig_free (MelRig *rig);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MelRig, mel_rig_free)

/* Sends caps and a time segment from 0. */
void mel_rig_start (MelRig *rig);

/* (transfer full): @n samples, or silence where @samples is NULL. */
GstBuffer *mel_buffer_new (const float *samples, gsize n, GstClockTime pts);

/* Pushes @n samples in one buffer. */
GstFlowReturn mel_rig_push (
    MelRig *rig, const float *samples, gsize n, GstClockTime pts);

/* Sends @event (transfer full) downstream. */
gboolean mel_rig_send (MelRig *rig, GstEvent *event);

/* (transfer full): the next window, past any events, or %NULL. */
GstBuffer *mel_rig_pop_window (MelRig *rig);

/* (transfer full): what was pushed next, a %NULL event if that is a window. */
GstEvent *mel_rig_pop_event (MelRig *rig);

/* Fails the test unless an event of @type was pushed next. */
void mel_rig_check_event (MelRig *rig, GstEventType type);

/* Forgets what was pushed so far. */
void mel_rig_forget (MelRig *rig);

/* Fails the test unless the next window begins at @pts, lasts @n_samples and
 * has the bytes that they give, alone, with 80 bands and the rig's window. */
void mel_rig_check_window (
    MelRig *rig, GstClockTime pts, const float *samples, gsize n_samples);

/* Fails the test where there is another window. */
void mel_rig_check_no_window (MelRig *rig);

/* Fails the test unless there is an error (or other @type of message) of
 * @domain and @code whose text has every one of the NULL-terminated strings. */
void mel_rig_check_message (MelRig *rig, GstMessageType type, GQuark domain,
    int code, ...) G_GNUC_NULL_TERMINATED;

G_END_DECLS
