/* Test data: files from outside the project, and inputs made on the spot.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * test_data_path:
 * @name: relative to the folder of test data, "audio/jfk.wav"
 *
 * The folder is named by the environment variable NPUENC_TEST_DATA, else it
 * is ../shared from the project's root.
 *
 * Returns: (transfer full): an absolute path, or %NULL, after g_test_skip()
 * has said what is missing.
 */
char *test_data_path (const char *name);

/* Reads @n little-endian floats, all there are in the file at @path; any other
 * size fails the test. Free with g_free(). */
float *test_data_read_f32 (const char *path, gsize n);

/* Returns [n_mels][n_frames] floats in the range of a log-mel, loud and quiet
 * stretches of it; the same for the same seed. Free with g_free(). */
float *test_data_new_mel (guint n_mels, guint n_frames, guint32 seed);

/* Copies the first @n_frames columns of mel[n_mels][all_frames]. Free with
 * g_free(). */
float *test_data_crop_mel (
    const float *mel, guint n_mels, guint all_frames, guint n_frames);

G_END_DECLS
