/* A whisperdecoder over the scripted library in a harness, with a bus.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/check/gstharness.h>
#include <gst/gst.h>

#include "scripted-decoder.h"

G_BEGIN_DECLS

/* g_test_init(), gst_init() and the element's registration. */
void decoder_test_init (int *argc, char ***argv);

typedef struct {
  GstHarness *harness;
  GstElement *element;
  GstBus *bus;
} DecoderRig;

/* A playing element with model "m" and properties as g_object_set() takes them.
 * Its sink pad has no caps yet. */
DecoderRig *decoder_rig_new (
    const char *first_property, ...) G_GNUC_NULL_TERMINATED;
void decoder_rig_free (DecoderRig *rig);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DecoderRig, decoder_rig_free)

/* Sends caps of windows of @n_positions, float32, and a segment of time. */
void decoder_rig_set_positions (DecoderRig *rig, guint n_positions);
GstCaps *decoder_caps (const char *dimensions, const char *type);

/* (transfer full): states of a window at @pts; value i of position p is
 * p + i / 64. */
GstBuffer *decoder_states (
    guint n_positions, GstClockTime pts, GstClockTime duration);

/* What came out since the last call: "gap 0-1000", "text 1000-2000 hello",
 * "tag de", "event rstranscribe/final-transcript", one by one with line feeds
 * between; times in ms. Free with g_free(). */
char *decoder_rig_take (DecoderRig *rig);

/* Fails the test unless the bus has an error of @domain and @code whose text
 * has each of the NULL-terminated strings. */
void decoder_check_error (
    GstBus *bus, GQuark domain, int code, ...) G_GNUC_NULL_TERMINATED;

#define MS GST_MSECOND

G_END_DECLS
