/* An npuencoder in a harness, with a bus, and buffers of mel to push.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/check/gstharness.h>
#include <gst/gst.h>

G_BEGIN_DECLS

#define TINY "synthetic:tiny" /* n_mels 80, d 384 */
#define TINY_N_MELS 80
#define TINY_D 384
#define FRAME (10 * GST_MSECOND)

/* g_test_init() and gst_init(); says where the plugin is when it is missing. */
void encoder_test_init (int *argc, char ***argv);

/* Where tests are quick: keeps the weights of synthetic:tiny, as a playing
 * element has them, until the program ends, so that other elements share them.
 * Not where the test is of how they come and go. */
void encoder_test_keep_weights (const char *precision);

typedef struct {
  GstHarness *harness;
  GstElement *element;
  GstBus *bus;
} EncoderRig;

/* Returns a playing element on synthetic:tiny, with properties as
 * g_object_set() takes them. Its sink pad has no caps yet. */
EncoderRig *encoder_rig_new (
    const char *first_property, ...) G_GNUC_NULL_TERMINATED;
void encoder_rig_free (EncoderRig *rig);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EncoderRig, encoder_rig_free)

/* Caps of mel, (transfer full): "FRAMES:80:1". */
GstCaps *encoder_mel_caps (guint n_frames);
GstCaps *encoder_mel_caps_from_dimensions (const char *dimensions);

/* Sends caps and a time segment. */
void encoder_rig_set_frames (EncoderRig *rig, guint n_frames);

/* (transfer full): a window of @n_frames at @pts, of its full duration; the
 * same for the same seed. */
GstBuffer *encoder_mel_buffer (guint n_frames, guint32 seed, GstClockTime pts);

/* Pushes one window and returns, (transfer full), the bytes that come out. */
GBytes *encoder_rig_encode (EncoderRig *rig, guint n_frames, guint32 seed);

/* The bytes of a buffer, (transfer full); takes the buffer. */
GBytes *encoder_take_bytes (GstBuffer *buffer);

/* (transfer full): the next message of @type, or %NULL after @timeout. */
GstMessage *encoder_pop_message (
    GstBus *bus, GstMessageType type, GstClockTime timeout);

/* (transfer full): the next npuencoder-stats; fails the test without. */
GstStructure *encoder_pop_stats (GstBus *bus);

/* Fails the test unless @bus has an error of @domain and @code whose text has
 * every one of the NULL-terminated strings. */
void encoder_check_error (
    GstBus *bus, GQuark domain, int code, ...) G_GNUC_NULL_TERMINATED;

/* (transfer full): an empty file's name, for the test to replace and remove. */
char *encoder_temp_file (void);

G_END_DECLS
