/* How a file names its tensors: either library's names, after any prefix, with
 * the parts that wrappers of modules add taken out.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model-private.h"

#include <string.h>

#define FIRST "conv1.weight" /* the encoder's, in both libraries' names */

/* What torch.compile, DistributedDataParallel, FSDP, activation checkpoints
 * and merged LoRA layers put between the names of modules. */
static const char *const wrappers[] = {"_orig_mod", "module",
    "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "base_layer"};

static gboolean
is_wrapper (const char *part, gsize length)
{
  for (guint i = 0; i < G_N_ELEMENTS (wrappers); i++) {
    if (strlen (wrappers[i]) == length &&
        memcmp (wrappers[i], part, length) == 0)
      return TRUE;
  }
  return FALSE;
}

char *
npu_plain_name (const char *name)
{
  GString *plain = g_string_new (NULL);

  while (*name) {
    const char *dot = strchr (name, '.');
    const gsize length = dot ? (gsize) (dot - name) : strlen (name);

    if (!dot || !is_wrapper (name, length))
      g_string_append_len (plain, name, (gssize) length + (dot ? 1 : 0));
    name += length + (dot ? 1 : 0);
  }
  return g_string_free (plain, FALSE);
}

/* --- the tensors by plain name ---------------------------------------------
 */

static gboolean
fail_same (
    const NpuTensorTable *table, const char *a, const char *b, GError **error)
{
  const gboolean ordered = strcmp (a, b) < 0;

  return npu_file_fail (error, NPU_ERROR_FORMAT, table->name, NULL,
      NPU_NO_OFFSET,
      "it is not clear which of the tensors '%s' and '%s' is meant; save the model with one of them",
      ordered ? a : b, ordered ? b : a);
}

/* An adapter beside its layer: what the two give together is in no tensor. */
static gboolean
check_not_adapter (
    const NpuTensorTable *table, const char *name, GError **error)
{
  if (!strstr (name, ".lora_A.") && !strstr (name, ".lora_B."))
    return TRUE;
  return npu_file_fail (error, NPU_ERROR_FORMAT, table->name, name,
      NPU_NO_OFFSET,
      "this is a LoRA adapter that is not merged into its layer; merge it (merge_and_unload() of PEFT) and save the whole model");
}

static gboolean
add_names (NpuNames *names, const NpuTensorTable *table, GError **error)
{
  GHashTableIter iter;
  gpointer name, entry;

  g_hash_table_iter_init (&iter, table->by_name);
  while (g_hash_table_iter_next (&iter, &name, &entry)) {
    char *plain = npu_plain_name (name);
    const NpuTableEntry *other = g_hash_table_lookup (names->by_name, plain);

    if (other) {
      g_free (plain);
      return fail_same (table, name, other->tensor.name, error);
    }
    g_hash_table_insert (names->by_name, plain, entry);
    if (!check_not_adapter (table, name, error))
      return FALSE;
  }
  return TRUE;
}

NpuTableEntry *
npu_names_find (const NpuNames *names, const char *prefix, const char *name)
{
  g_autofree char *full = g_strconcat (prefix, name, NULL);

  return g_hash_table_lookup (names->by_name, full);
}

/* --- the encoder's prefix ---------------------------------------------------
 */

/* What stands before "blocks." and "layers." in any name, with that. */
static GHashTable *
find_block_prefixes (const NpuNames *names)
{
  static const char *const blocks[] = {"blocks.", "layers."};
  GHashTable *prefixes =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  GHashTableIter iter;
  gpointer key;

  g_hash_table_iter_init (&iter, names->by_name);
  while (g_hash_table_iter_next (&iter, &key, NULL)) {
    const char *name = key;

    for (guint i = 0; i < G_N_ELEMENTS (blocks); i++) {
      const char *at = strstr (name, blocks[i]);

      for (; at; at = strstr (at + 1, blocks[i])) {
        if (at == name || at[-1] == '.')
          g_hash_table_add (prefixes,
              g_strndup (name, (gsize) (at - name) + strlen (blocks[i])));
      }
    }
  }
  return prefixes;
}

static gboolean
has_blocks (GHashTable *prefixes, const char *prefix, const char *blocks)
{
  g_autofree char *full = g_strconcat (prefix, blocks, NULL);

  return g_hash_table_contains (prefixes, full);
}

/* Of two tensors that could be the encoder's first, whether one is a
 * convolution of Whisper's kind. */
static gboolean
is_convolution (const NpuTensor *tensor)
{
  return tensor->n_dims == 3 && tensor->shape[2] == 3 &&
         (tensor->shape[1] == 80 || tensor->shape[1] == 128);
}

static gboolean
choose (NpuNames *names, const NpuTensorTable *table, const char *prefix,
    gboolean hugging_face, GError **error)
{
  if (names->encoder) {
    const NpuTensor *a = &npu_names_find (names, names->encoder, FIRST)->tensor;
    const NpuTensor *b = &npu_names_find (names, prefix, FIRST)->tensor;
    const gboolean a_fits = is_convolution (a), b_fits = is_convolution (b);

    if (a_fits == b_fits)
      return fail_same (table, a->name, b->name, error);
    if (a_fits)
      return TRUE;
  }
  g_free (names->encoder);
  names->encoder = g_strdup (prefix);
  names->hugging_face = hugging_face;
  names->blocks = hugging_face ? "layers." : "blocks.";
  return TRUE;
}

static gboolean
find_encoder (NpuNames *names, const NpuTensorTable *table, GError **error)
{
  g_autoptr (GHashTable) prefixes = find_block_prefixes (names);
  GHashTableIter iter;
  gpointer key;

  g_hash_table_iter_init (&iter, names->by_name);
  while (g_hash_table_iter_next (&iter, &key, NULL)) {
    const char *name = key;
    g_autofree char *prefix = NULL;
    gboolean openai;

    if (!g_str_has_suffix (name, FIRST))
      continue;
    prefix = g_strndup (name, strlen (name) - strlen (FIRST));
    openai = has_blocks (prefixes, prefix, "blocks.");
    if (*prefix && !g_str_has_suffix (prefix, "."))
      continue;
    if (!openai && !has_blocks (prefixes, prefix, "layers."))
      continue;
    if (!choose (names, table, prefix, !openai, error))
      return FALSE;
  }
  return TRUE;
}

/* --- other layouts -----------------------------------------------------------
 */

static gboolean
has_suffix (const NpuNames *names, const char *suffix)
{
  GHashTableIter iter;
  gpointer name;

  g_hash_table_iter_init (&iter, names->by_name);
  while (g_hash_table_iter_next (&iter, &name, NULL)) {
    if (g_str_has_suffix (name, suffix))
      return TRUE;
  }
  return FALSE;
}

static gboolean
fail_no_encoder (
    const NpuNames *names, const NpuTensorTable *table, GError **error)
{
  const guint n = g_hash_table_size (table->by_name);

  if (has_suffix (names, "encoder/conv1/weight"))
    return npu_file_fail (error, NPU_ERROR_FORMAT, table->name, NULL,
        NPU_NO_OFFSET,
        "its %u tensors have CTranslate2's names (encoder/conv1/weight); use the model that it was converted from, or the model.safetensors of the same model on Hugging Face",
        n);
  return npu_file_fail (error, NPU_ERROR_FORMAT, table->name, NULL,
      NPU_NO_OFFSET,
      "no Whisper encoder among its %u tensors: expected encoder.conv1.weight, encoder.blocks.0.attn_ln.weight and so on (OpenAI's names) or model.encoder.conv1.weight, model.encoder.layers.0.self_attn_layer_norm.weight and so on (Hugging Face's), after any prefix; use a whole Whisper model or its encoder, and if this is one of several shards, give the index (model.safetensors.index.json) or the folder",
      n);
}

/* MLX keeps OpenAI's names but for the MLP, has the taps of convolutions before
 * their inputs and no positions of the encoder. */
static gboolean
check_not_mlx (
    const NpuNames *names, const NpuTensorTable *table, GError **error)
{
  const NpuTensor *conv1 =
      &npu_names_find (names, names->encoder, FIRST)->tensor;

  if (!(conv1->n_dims == 3 && conv1->shape[1] == 3 && conv1->shape[2] > 3) &&
      !has_suffix (names, ".mlp1.weight"))
    return TRUE;
  return npu_file_fail (error, NPU_ERROR_FORMAT, table->name, conv1->name,
      conv1->offset,
      "the model is in MLX's layout; use the model.safetensors of the same model on Hugging Face (openai/whisper-…), which has other shapes");
}

/* --- all of it
 * ----------------------------------------------------------------- */

/* "model.encoder." leads to "model.decoder." and "proj_out.weight". */
static void
set_others (NpuNames *names)
{
  const gsize length = strlen (names->encoder);
  g_autofree char *before = NULL;

  if (!g_str_has_suffix (names->encoder, "encoder.") ||
      (length > 8 && names->encoder[length - 9] != '.'))
    return;
  before = g_strndup (names->encoder, length - strlen ("encoder."));
  names->decoder = g_strconcat (before, "decoder.", NULL);
  if (!names->hugging_face)
    return;
  if (g_str_has_suffix (before, "model."))
    before[strlen (before) - strlen ("model.")] = '\0';
  names->output = g_strconcat (before, "proj_out.weight", NULL);
}

gboolean
npu_names_init (NpuNames *names, const NpuTensorTable *table, GError **error)
{
  *names = (NpuNames){0};
  names->by_name =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  if (!add_names (names, table, error) || !find_encoder (names, table, error))
    return FALSE;
  if (!names->encoder)
    return fail_no_encoder (names, table, error);
  set_others (names);
  return check_not_mlx (names, table, error);
}

void
npu_names_clear (NpuNames *names)
{
  g_clear_pointer (&names->by_name, g_hash_table_unref);
  g_clear_pointer (&names->encoder, g_free);
  g_clear_pointer (&names->decoder, g_free);
  g_clear_pointer (&names->output, g_free);
}

gboolean
npu_names_count_blocks (const NpuNames *names, const NpuTensorTable *table,
    const char *prefix, guint *n, GError **error)
{
  const gsize length = strlen (prefix);
  GHashTableIter iter;
  gpointer name, entry;

  *n = 0;
  g_hash_table_iter_init (&iter, names->by_name);
  while (g_hash_table_iter_next (&iter, &name, &entry)) {
    const char *number = (const char *) name + length;
    const NpuTensor *tensor = &((NpuTableEntry *) entry)->tensor;
    char *end;
    guint64 layer;

    if (!g_str_has_prefix (name, prefix))
      continue;
    layer = g_ascii_isdigit (*number) ? g_ascii_strtoull (number, &end, 10)
                                      : G_MAXUINT64;
    if (layer >= NPU_MODEL_MAX_LAYERS || *end != '.')
      return npu_file_fail (error, NPU_ERROR_FORMAT, table->name, tensor->name,
          tensor->offset,
          "expected a block number from 0 to %d after '%s'; not a Whisper model",
          NPU_MODEL_MAX_LAYERS - 1, prefix);
    *n = MAX (*n, (guint) layer + 1);
  }
  return TRUE;
}
