/* generation_config.json of a Hugging Face checkout, of which only the
 * alignment heads are used: [[layer, head], ...].
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/json-reader.h"
#include "model-private.h"

#define MAX_CONFIG (1 << 20) /* bytes */

/* Reads a number, or steps over what is none; G_MAXUINT64 then. */
static gboolean
read_number (NpuJson *json, guint64 *value, GError **error)
{
  *value = G_MAXUINT64;
  return g_ascii_isdigit (npu_json_peek (json))
             ? npu_json_uint (json, value, error)
             : npu_json_skip (json, error);
}

/* Reads [layer, head]; *@good is cleared where it is something else. */
static gboolean
read_head (NpuJson *json, const NpuTransformerConfig *decoder, GArray *heads,
    gboolean *good, GError **error)
{
  guint64 numbers[2] = {G_MAXUINT64, G_MAXUINT64}, ignored;
  gboolean done;
  guint n = 0;

  if (npu_json_peek (json) != '[') {
    *good = FALSE;
    return npu_json_skip (json, error);
  }
  npu_json_accept (json, '[');
  for (done = npu_json_accept (json, ']'); !done; n++) {
    if (!read_number (json, n < 2 ? &numbers[n] : &ignored, error) ||
        !npu_json_next (json, ']', &done, error))
      return FALSE;
  }
  if (n != 2 || numbers[0] >= decoder->n_layers ||
      numbers[1] >= decoder->n_heads)
    *good = FALSE;
  if (*good) {
    const NpuAlignmentHead head = {(guint8) numbers[0], (guint8) numbers[1]};

    g_array_append_val (heads, head);
  }
  return TRUE;
}

static gboolean
read_heads (NpuJson *json, const NpuTransformerConfig *decoder, GArray *heads,
    gboolean *good, GError **error)
{
  gboolean done;

  g_array_set_size (heads, 0);
  *good = npu_json_peek (json) == '[';
  if (!*good)
    return npu_json_skip (json, error);
  npu_json_accept (json, '[');
  for (done = npu_json_accept (json, ']'); !done;) {
    if (!read_head (json, decoder, heads, good, error) ||
        !npu_json_next (json, ']', &done, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
read_file (NpuTensorFile *file, const NpuTransformerConfig *decoder,
    GArray *heads, gboolean *good, GError **error)
{
  g_autofree char *bytes = npu_tensor_file_read_text (file, MAX_CONFIG, error);
  g_autoptr (GString) text = g_string_new (NULL);
  NpuJson json = {.file = npu_tensor_file_get_name (file)};
  gboolean done;

  *good = FALSE;
  if (!bytes)
    return FALSE;
  json.start = json.at = bytes;
  json.end = bytes + npu_tensor_file_get_size (file);
  if (!npu_json_expect (&json, '{', error))
    return FALSE;
  for (done = npu_json_accept (&json, '}'); !done;) {
    if (!npu_json_string (&json, text, error) ||
        !npu_json_expect (&json, ':', error))
      return FALSE;
    if (g_str_equal (text->str, "alignment_heads")
            ? !read_heads (&json, decoder, heads, good, error)
            : !npu_json_skip (&json, error))
      return FALSE;
    if (!npu_json_next (&json, '}', &done, error))
      return FALSE;
  }
  return npu_json_finish (&json, error);
}

static gint
compare_heads (gconstpointer a, gconstpointer b)
{
  const NpuAlignmentHead *x = a, *y = b;

  return x->layer != y->layer ? x->layer - y->layer : x->head - y->head;
}

/* By layer and head, each once. */
static void
sort_heads (GArray *heads)
{
  NpuAlignmentHead *all = (NpuAlignmentHead *) heads->data;
  guint n = 0;

  g_array_sort (heads, compare_heads);
  for (guint i = 0; i < heads->len; i++) {
    if (n == 0 || compare_heads (&all[i], &all[n - 1]) != 0)
      all[n++] = all[i];
  }
  g_array_set_size (heads, n);
}

gboolean
npu_model_read_generation_config (
    NpuModel *model, const char *folder, gboolean is_checkout, GError **error)
{
  g_autofree char *path =
      g_build_filename (folder, "generation_config.json", NULL);
  g_autoptr (GArray) heads =
      g_array_new (FALSE, FALSE, sizeof (NpuAlignmentHead));
  NpuModelPrivate *priv = model->priv;
  NpuTensorFile *file;
  gboolean good;

  if (priv->config.n_vocab == 0)
    return TRUE;
  file = npu_tensor_file_open (path, NULL);
  if (!file)
    return TRUE;
  g_ptr_array_add (priv->table->files, file);
  if (!read_file (file, &priv->config.decoder, heads, &good,
          is_checkout ? error : NULL))
    return !is_checkout;
  /* Heads that are not there are a larger model's, of which this one was made:
   * the file says nothing of this one then. */
  if (!good || heads->len == 0)
    return TRUE;
  sort_heads (heads);
  priv->alignment_heads = g_steal_pointer (&heads);
  return TRUE;
}
