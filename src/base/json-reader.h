/* A strict reader for the JSON that comes with models: objects, arrays, strings
 * and unsigned integers are read, what else there is can be stepped over. It
 * never recurses, copies only strings, and reports byte offsets in the file.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  const char *file;   /* for messages */
  const char *tensor; /* whose entry is being read, for messages, or NULL */
  const char *start, *at, *end;
  guint64 offset; /* of start in the file */
} NpuJson;

#define NPU_JSON_MAX_DEPTH 64 /* of what is stepped over */

/* The offset in the file of what comes next, after white space. */
guint64 npu_json_offset (NpuJson *json);

/* What comes next, after white space; NUL at the end. */
char npu_json_peek (NpuJson *json);

/* Whether @c comes next; it is consumed if so. */
gboolean npu_json_accept (NpuJson *json, char c);

/* The same, but FALSE with @error set (FORMAT) if it does not. */
gboolean npu_json_expect (NpuJson *json, char c, GError **error);

/* After an element of an object or array that ends with @close: either a
 * comma, or the end, whereupon *@done is set. */
gboolean npu_json_next (
    NpuJson *json, char close, gboolean *done, GError **error);

/* Reads a string; its text replaces @text. */
gboolean npu_json_string (NpuJson *json, GString *text, GError **error);

/* Reads an unsigned integer of at most 64 bits, without fraction or
 * exponent. */
gboolean npu_json_uint (NpuJson *json, guint64 *value, GError **error);

/* Steps over a value of any kind. */
gboolean npu_json_skip (NpuJson *json, GError **error);

/* Reads the value of the member @name, which it may use for its own, whole. */
typedef gboolean (*NpuJsonMember) (
    NpuJson *json, GString *name, gpointer data, GError **error);

/* Reads an object, member by member. */
gboolean npu_json_object (
    NpuJson *json, NpuJsonMember read, gpointer data, GError **error);

/* Nothing but white space is left. */
gboolean npu_json_finish (NpuJson *json, GError **error);

G_END_DECLS
