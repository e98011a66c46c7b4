/* Opens models: tells what is at the location, hands it to a reader and
 * resolves its parts.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model-private.h"

#include <string.h>

#define SYNTHETIC_PREFIX "synthetic:"

/* What a folder may have, best first; those after the first two are told what
 * they are. */
static const char *const folder_files[] = {
    "model.safetensors",
    "model.safetensors.index.json",
    "weights.safetensors",
    "weights.npz",
    "model.bin",
    "pytorch_model.bin",
    "tf_model.h5",
    "encoder_model.onnx",
};

/* Where a model's files are. */
typedef struct {
  char *path, *folder;
  gboolean is_checkout; /* of Hugging Face: a folder, or an index */
} Place;

static void
place_clear (Place *place)
{
  g_free (place->path);
  g_free (place->folder);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Place, place_clear)

static gboolean
find_place (Place *place, const char *location, GError **error)
{
  g_autofree char *name = NULL;

  if (!g_file_test (location, G_FILE_TEST_IS_DIR)) {
    place->path = g_strdup (location);
    place->folder = g_path_get_dirname (location);
    return TRUE;
  }
  place->is_checkout = TRUE;
  place->folder = g_strdup (location);
  for (guint i = 0; i < G_N_ELEMENTS (folder_files); i++) {
    place->path = g_build_filename (location, folder_files[i], NULL);
    if (g_file_test (place->path, G_FILE_TEST_EXISTS))
      return TRUE;
    g_clear_pointer (&place->path, g_free);
  }
  name = g_filename_display_name (location);
  return npu_file_fail (error, NPU_ERROR_NOT_FOUND, name, NULL, NPU_NO_OFFSET,
      "this folder has no model.safetensors and no model.safetensors.index.json; give the folder of a whole Hugging Face checkout, or a model's file");
}

/* What lies beside the tensors of a model that Hugging Face's libraries wrote.
 * Of a file with a name of its own nobody knows whose its neighbours are. */
static gboolean
read_configs (
    NpuModel *model, const Place *place, gboolean is_checkout, GError **error)
{
  g_autofree char *name = g_path_get_basename (place->path);

  if (!npu_model_check_config (model, place->folder, is_checkout, error))
    return FALSE;
  return !(is_checkout || g_str_equal (name, folder_files[0])) ||
         npu_model_read_generation_config (
             model, place->folder, is_checkout, error);
}

/* Reads @file, which the model takes, into the table. */
static gboolean
read_file (NpuModel *model, Place *place, NpuTensorFile *file, GError **error)
{
  NpuModelPrivate *priv = model->priv;

  g_ptr_array_add (priv->table->files, file);
  switch (npu_tensor_file_tell_format (file, error)) {
    case NPU_FORMAT_SAFETENSORS:
      return npu_safetensors_read (priv->table, file, error) &&
             npu_model_resolve (model, error) &&
             (!place->folder ||
                 read_configs (model, place, place->is_checkout, error));
    case NPU_FORMAT_GGML:
      return npu_ggml_read (priv->table, file, &priv->ggml, error) &&
             npu_model_resolve (model, error);
    case NPU_FORMAT_JSON:
      return npu_shards_read (priv->table, file, place->folder, error) &&
             npu_model_resolve (model, error) &&
             read_configs (model, place, TRUE, error);
    default:
      return FALSE;
  }
}

static NpuModel *
open_file (const char *location, const char *name, Place *place,
    NpuTensorFile *file, GError **error)
{
  g_autoptr (NpuModel) model = npu_model_new (location, name);

  return read_file (model, place, file, error) ? g_steal_pointer (&model)
                                               : NULL;
}

NpuModel *
npu_model_open_bytes (GBytes *bytes, const char *file, GError **error)
{
  Place nowhere = {0};

  return open_file (
      file, file, &nowhere, npu_tensor_file_new_for_bytes (bytes, file), error);
}

static NpuModel *
open_synthetic (const char *location, GError **error)
{
  g_autofree char *name = g_utf8_make_valid (location, -1);
  g_autoptr (NpuModel) model = npu_model_new (location, name);

  model->synthetic = TRUE;
  if (!npu_synthetic_read (model, name + strlen (SYNTHETIC_PREFIX), error) ||
      !npu_model_resolve (model, error))
    return NULL;
  return g_steal_pointer (&model);
}

static NpuModel *
open_new (const char *location, GError **error)
{
  g_auto (Place) place = {0};
  g_autofree char *name = NULL;
  NpuTensorFile *file;

  if (g_str_has_prefix (location, SYNTHETIC_PREFIX))
    return open_synthetic (location, error);
  if (!find_place (&place, location, error))
    return NULL;
  file = npu_tensor_file_open (place.path, error);
  if (!file)
    return NULL;
  name = g_filename_display_name (location);
  return open_file (location, name, &place, file, error);
}

NpuModel *
npu_model_open (const char *location, GError **error)
{
  NpuModel *model;

  g_return_val_if_fail (location != NULL, NULL);
  model = npu_model_cache_find (location);
  if (model)
    return model;
  model = open_new (location, error);
  return model ? npu_model_cache_add (model) : NULL;
}
