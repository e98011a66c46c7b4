/* config.json of a Hugging Face checkout: what it says must be what the
 * encoder and decoder compute.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "model-private.h"

/* What is looked for; G_MAXUINT64 and NULL where it is not there. */
typedef struct {
  guint64 d_model, encoder_heads, decoder_heads;
  char *model_type, *activation;
  gboolean scales_embedding;
} Config;

static void
config_clear (Config *config)
{
  g_free (config->model_type);
  g_free (config->activation);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Config, config_clear)

static gboolean
read_string (NpuJson *json, GString *text, char **value, GError **error)
{
  if (npu_json_peek (json) != '"')
    return npu_json_skip (json, error);
  if (!npu_json_string (json, text, error))
    return FALSE;
  g_free (*value);
  *value = g_strdup (text->str);
  return TRUE;
}

static gboolean
read_member (NpuJson *json, GString *text, gpointer data, GError **error)
{
  Config *config = data;
  struct {
    const char *key;
    guint64 *number;
    char **string;
  } members[] = {
      {"d_model", &config->d_model, NULL},
      {"encoder_attention_heads", &config->encoder_heads, NULL},
      {"decoder_attention_heads", &config->decoder_heads, NULL},
      {"model_type", NULL, &config->model_type},
      {"activation_function", NULL, &config->activation},
  };

  if (g_str_equal (text->str, "scale_embedding")) {
    config->scales_embedding = npu_json_peek (json) == 't';
    return npu_json_skip (json, error);
  }
  for (guint i = 0; i < G_N_ELEMENTS (members); i++) {
    if (!g_str_equal (text->str, members[i].key))
      continue;
    if (members[i].string)
      return read_string (json, text, members[i].string, error);
    if (g_ascii_isdigit (npu_json_peek (json)))
      return npu_json_uint (json, members[i].number, error);
  }
  return npu_json_skip (json, error);
}

#define MAX_FILE (1 << 20) /* bytes */

gboolean
npu_model_open_beside (NpuModel *model, const char *path, gboolean is_checkout,
    NpuTensorFile **file, GError **error)
{
  g_autoptr (GError) cause = NULL;

  *file = npu_tensor_file_open (path, &cause);
  if (*file) {
    g_ptr_array_add (model->priv->table->files, *file);
    return TRUE;
  }
  if (!is_checkout || g_error_matches (cause, NPU_ERROR, NPU_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&cause));
  return FALSE;
}

gboolean
npu_model_read_object (
    NpuTensorFile *file, NpuJsonMember read, gpointer data, GError **error)
{
  g_autofree char *text = npu_tensor_file_read_text (file, MAX_FILE, error);
  NpuJson json = {.file = npu_tensor_file_get_name (file)};

  if (!text)
    return FALSE;
  json.start = json.at = text;
  json.end = text + npu_tensor_file_get_size (file);
  return npu_json_object (&json, read, data, error) &&
         npu_json_finish (&json, error);
}

/* --- what must be so ---------------------------------------------------------
 */

static gboolean
check_heads (const char *file, const char *key, guint64 heads,
    const NpuTransformerConfig *part, GError **error)
{
  if (heads == G_MAXUINT64 || part->d == 0 || heads == part->n_heads)
    return TRUE;
  return npu_file_fail (error, NPU_ERROR_FORMAT, file, NULL, NPU_NO_OFFSET,
      "%s is %" G_GUINT64_FORMAT
      ", but only heads of 64 columns can be computed, which are %u in a model of width %u; use a model of one of Whisper's own shapes",
      key, heads, part->n_heads, part->d);
}

static gboolean
check_config (const char *file, const Config *config,
    const NpuModelConfig *model, GError **error)
{
  if (config->activation && !g_str_equal (config->activation, "gelu"))
    return npu_file_fail (error, NPU_ERROR_FORMAT, file, NULL, NPU_NO_OFFSET,
        "activation_function is '%s', but only Whisper's own, gelu, can be computed",
        strlen (config->activation) <= 64 &&
                npu_name_is_printable (
                    config->activation, strlen (config->activation))
            ? config->activation
            : "(no name)");
  if (config->scales_embedding)
    return npu_file_fail (error, NPU_ERROR_FORMAT, file, NULL, NPU_NO_OFFSET,
        "scale_embedding is true, which no model of OpenAI's has and is not computed");
  return check_heads (file, "encoder_attention_heads", config->encoder_heads,
             &model->encoder, error) &&
         check_heads (file, "decoder_attention_heads", config->decoder_heads,
             &model->decoder, error);
}

gboolean
npu_model_check_config (
    NpuModel *model, const char *folder, gboolean is_checkout, GError **error)
{
  g_autofree char *path = g_build_filename (folder, "config.json", NULL);
  g_auto (Config)
      config = {G_MAXUINT64, G_MAXUINT64, G_MAXUINT64, NULL, NULL, FALSE};
  const guint d = model->priv->config.encoder.d;
  NpuTensorFile *file;

  if (!npu_model_open_beside (model, path, is_checkout, &file, error))
    return FALSE;
  if (!file)
    return TRUE;
  if (!npu_model_read_object (
          file, read_member, &config, is_checkout ? error : NULL))
    return !is_checkout;
  /* Of another model, or of one that Whisper's encoder is a part of. */
  if (!config.model_type || !g_str_equal (config.model_type, "whisper"))
    return TRUE;
  if (config.d_model != G_MAXUINT64 && config.d_model != d) {
    if (!is_checkout)
      return TRUE;
    return npu_file_fail (error, NPU_ERROR_FORMAT,
        npu_tensor_file_get_name (file), NULL, NPU_NO_OFFSET,
        "d_model is %" G_GUINT64_FORMAT
        ", but the tensors are of width %u; the checkout's files do not belong together, download it again",
        config.d_model, d);
  }
  return check_config (
      npu_tensor_file_get_name (file), &config, &model->priv->config, error);
}
