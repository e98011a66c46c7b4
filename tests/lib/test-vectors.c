/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test-vectors.h"

#include "test-data.h"

JsonNode *
test_vectors_load (const char *name)
{
  g_autofree char *path = test_data_path (name);
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;

  if (!path)
    return NULL;
  json_parser_load_from_file (parser, path, &error);
  g_assert_no_error (error);
  return json_parser_steal_root (parser);
}

GArray *
test_vectors_ids (JsonArray *array)
{
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (guint32));

  for (guint i = 0; i < json_array_get_length (array); i++) {
    const guint32 id = (guint32) json_array_get_int_element (array, i);

    g_array_append_val (ids, id);
  }
  return ids;
}

double
test_vectors_number (JsonObject *object, const char *member, double otherwise)
{
  JsonNode *node = json_object_get_member (object, member);

  return node && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_double (node)
                                              : otherwise;
}

static char *
print_ids (const GArray *ids)
{
  GString *text = g_string_new ("[");

  for (guint i = 0; i < ids->len; i++)
    g_string_append_printf (text, " %u", g_array_index (ids, guint32, i));
  return g_string_free (g_string_append (text, " ]"), FALSE);
}

void
test_vectors_assert_ids (
    const char *what, const GArray *actual, const GArray *expected)
{
  g_autofree char *actual_text = print_ids (actual);
  g_autofree char *expected_text = print_ids (expected);

  if (g_strcmp0 (actual_text, expected_text) != 0)
    g_error ("%s: %s, expected %s", what, actual_text, expected_text);
}
