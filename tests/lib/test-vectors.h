/* Vectors in JSON from the folder of test data, read by a parser that is not
 * ours.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* @name: "decoding/vectors/encode.json". (transfer full): NULL after
 * g_test_skip() has said what is missing. */
JsonNode *test_vectors_load (const char *name);

/* The numbers of an array, as guint32. (transfer full) */
GArray *test_vectors_ids (JsonArray *array);

/* The number or @otherwise where there is none or null. */
double test_vectors_number (
    JsonObject *object, const char *member, double otherwise);

/* Fails unless both hold the same guint32; @what is printed. */
void test_vectors_assert_ids (
    const char *what, const GArray *actual, const GArray *expected);

G_END_DECLS
