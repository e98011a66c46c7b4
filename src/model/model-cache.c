/* The models that are open in this process, by location, without references: a
 * model leaves with its last user.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model-private.h"

static GMutex lock;
static GHashTable *models; /* location to NpuModel, not owned */

static gboolean
is_current (const NpuModel *model)
{
  const GPtrArray *files = model->priv->table->files;

  for (guint i = 0; i < files->len; i++) {
    if (!npu_tensor_file_is_current (g_ptr_array_index (files, i)))
      return FALSE;
  }
  return TRUE;
}

/* With the lock held; the model is not about to be freed, for that takes the
 * lock too. */
static NpuModel *
find_locked (const char *location)
{
  NpuModel *model = models ? g_hash_table_lookup (models, location) : NULL;

  if (!model || !is_current (model))
    return NULL;
  return npu_model_ref (model);
}

NpuModel *
npu_model_cache_find (const char *location)
{
  NpuModel *model;

  g_mutex_lock (&lock);
  model = find_locked (location);
  g_mutex_unlock (&lock);
  return model;
}

NpuModel *
npu_model_cache_add (NpuModel *model)
{
  NpuModelPrivate *priv = model->priv;
  NpuModel *other;

  g_mutex_lock (&lock);
  other = find_locked (priv->location);
  if (!other) {
    NpuModel *stale;

    if (!models)
      models = g_hash_table_new (g_str_hash, g_str_equal);
    stale = g_hash_table_lookup (models, priv->location);
    if (stale)
      stale->priv->is_cached = FALSE;
    priv->is_cached = TRUE;
    g_hash_table_replace (models, priv->location, model);
  }
  g_mutex_unlock (&lock);
  if (!other)
    return model;
  npu_model_unref (model);
  return other;
}

gboolean
npu_model_cache_release (NpuModel *model)
{
  NpuModelPrivate *priv = model->priv;
  gboolean is_last;

  g_mutex_lock (&lock);
  is_last = g_atomic_int_dec_and_test (&priv->ref_count);
  if (is_last && priv->is_cached) {
    g_hash_table_remove (models, priv->location);
    if (g_hash_table_size (models) == 0)
      g_clear_pointer (&models, g_hash_table_unref);
  }
  g_mutex_unlock (&lock);
  return is_last;
}
