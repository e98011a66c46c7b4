/* generation_config.json of a Hugging Face checkout, of which only the
 * alignment heads are used: [[layer, head], ...].
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model-private.h"

typedef struct {
  const NpuTransformerConfig *decoder;
  GArray *heads; /* of NpuAlignmentHead */
  gboolean good; /* they are heads of the decoder */
} Generation;

/* Reads a number, or steps over what is none; G_MAXUINT64 then. */
static gboolean
read_number (NpuJson *json, guint64 *value, GError **error)
{
  *value = G_MAXUINT64;
  return g_ascii_isdigit (npu_json_peek (json))
             ? npu_json_uint (json, value, error)
             : npu_json_skip (json, error);
}

/* Reads [layer, head]; `good` is cleared where it is something else. */
static gboolean
read_head (NpuJson *json, Generation *generation, GError **error)
{
  const NpuTransformerConfig *decoder = generation->decoder;
  guint64 numbers[2] = {G_MAXUINT64, G_MAXUINT64}, ignored;
  gboolean done;
  guint n = 0;

  if (npu_json_peek (json) != '[') {
    generation->good = FALSE;
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
    generation->good = FALSE;
  if (generation->good) {
    const NpuAlignmentHead head = {(guint8) numbers[0], (guint8) numbers[1]};

    g_array_append_val (generation->heads, head);
  }
  return TRUE;
}

static gboolean
read_heads (NpuJson *json, Generation *generation, GError **error)
{
  gboolean done;

  g_array_set_size (generation->heads, 0);
  generation->good = npu_json_peek (json) == '[';
  if (!generation->good)
    return npu_json_skip (json, error);
  npu_json_accept (json, '[');
  for (done = npu_json_accept (json, ']'); !done;) {
    if (!read_head (json, generation, error) ||
        !npu_json_next (json, ']', &done, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
read_member (NpuJson *json, GString *name, gpointer data, GError **error)
{
  return g_str_equal (name->str, "alignment_heads")
             ? read_heads (json, data, error)
             : npu_json_skip (json, error);
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
  Generation generation = {&priv->config.decoder, heads, FALSE};
  NpuTensorFile *file;

  if (priv->config.n_vocab == 0)
    return TRUE;
  if (!npu_model_open_beside (model, path, is_checkout, &file, error))
    return FALSE;
  if (!file)
    return TRUE;
  if (!npu_model_read_object (
          file, read_member, &generation, is_checkout ? error : NULL))
    return !is_checkout;
  /* Heads that are not there are a larger model's, of which this one was made:
   * the file says nothing of this one then. */
  if (!generation.good || heads->len == 0)
    return TRUE;
  sort_heads (heads);
  priv->alignment_heads = g_steal_pointer (&heads);
  return TRUE;
}
