/* npuencoder on the simulated NPU: what comes out, and what it says.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "encoder-rig.h"
#include "xrt-rig.h"

G_BEGIN_DECLS

#define N_FRAMES 60 /* one tile of positions */
#define INT8 1      /* of GstNpuEncoderPrecision */
#define BF16 3

/* A playing element. */
EncoderRig *element_rig_new (
    const char *device, const char *overlays, int precision);

/* The CPU's states of each seed's window, (transfer full). */
GBytes *element_rig_cpu_states (int precision, guint32 seed);

/* Pushes window @number with the mel of @seed, and returns what comes out,
 * (transfer full), once; NULL where nothing does. */
GBytes *element_rig_push (EncoderRig *rig, guint number, guint32 seed);

/* Takes what is on the bus up to the next statistics, or all of it: warnings
 * go to @warnings, (transfer full), but for that of random weights. Returns the
 * device of the statistics, (transfer full), or NULL. */
char *element_rig_take_messages (EncoderRig *rig, GQueue *warnings);

/* Fails the test unless @error is of @domain and @code and has @part. */
void element_rig_check (
    const GError *error, GQuark domain, int code, const char *part);

/* Fails the test unless the cosine of every position is at least so much. */
void element_rig_check_near (GBytes *a, GBytes *b, double least);

G_END_DECLS
