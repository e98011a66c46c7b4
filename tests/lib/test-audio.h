/* Audio for tests: from WAV files, and made on the spot.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Reads the 16-bit mono WAV file at @path; anything else fails the test. Full
 * scale is 1. Free with g_free(). */
float *test_audio_read_wav (const char *path, gsize *n_samples);

/* Returns @n samples like speech at 16 kHz: a gliding voice with harmonics
 * that comes and goes, over faint noise; the same for the same seed. Free with
 * g_free(). */
float *test_audio_new_speech (gsize n, guint32 seed);

G_END_DECLS
