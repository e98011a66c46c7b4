/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-cache.h"

struct _NpuCacheEntry {
  NpuCache *cache;
  const NpuCacheFuncs *funcs;
  GBytes *key; /* or NULL */
  gpointer thing;

  /* Under the cache's lock. */
  guint n_users;
  gboolean is_listed; /* in entries */
  gboolean is_busy;   /* being made or freed */
};

/* With the lock held, as what follows. */
static void
list_entry (NpuCacheEntry *entry)
{
  NpuCache *cache = entry->cache;

  if (!cache->entries)
    cache->entries = g_hash_table_new (g_bytes_hash, g_bytes_equal);
  g_hash_table_insert (cache->entries, entry->key, entry);
  entry->is_listed = TRUE;
}

static void
unlist_entry (NpuCacheEntry *entry)
{
  NpuCache *cache = entry->cache;

  if (!entry->is_listed)
    return;
  g_hash_table_remove (cache->entries, entry->key);
  if (g_hash_table_size (cache->entries) == 0)
    g_clear_pointer (&cache->entries, g_hash_table_unref);
  entry->is_listed = FALSE;
  g_cond_broadcast (&cache->changed);
}

/* Waits until what is there is neither being made nor freed. */
static NpuCacheEntry *
find_settled (NpuCache *cache, GBytes *key)
{
  NpuCacheEntry *entry;

  while (
      cache->entries && (entry = g_hash_table_lookup (cache->entries, key))) {
    if (!entry->is_busy)
      return entry;
    g_cond_wait (&cache->changed, &cache->lock);
  }
  return NULL;
}

static void
entry_free (NpuCacheEntry *entry)
{
  g_clear_pointer (&entry->key, g_bytes_unref);
  g_free (entry);
}

NpuCacheEntry *
npu_cache_get (NpuCache *cache, GBytes *key, const NpuCacheFuncs *funcs,
    gpointer user_data, GError **error)
{
  NpuCacheEntry *entry;

  g_mutex_lock (&cache->lock);
  entry = key ? find_settled (cache, key) : NULL;
  if (entry) {
    entry->n_users++;
    g_mutex_unlock (&cache->lock);
    return entry;
  }
  entry = g_new0 (NpuCacheEntry, 1);
  entry->cache = cache;
  entry->funcs = funcs;
  entry->n_users = 1;
  if (key) {
    entry->key = g_bytes_ref (key);
    entry->is_busy = TRUE;
    list_entry (entry);
  }
  g_mutex_unlock (&cache->lock);

  entry->thing = funcs->make (user_data, entry, error);

  g_mutex_lock (&cache->lock);
  entry->is_busy = FALSE;
  if (!entry->thing)
    unlist_entry (entry);
  g_cond_broadcast (&cache->changed);
  g_mutex_unlock (&cache->lock);
  if (!entry->thing)
    g_clear_pointer (&entry, entry_free);
  return entry;
}

NpuCacheEntry *
npu_cache_entry_ref (NpuCacheEntry *entry)
{
  g_mutex_lock (&entry->cache->lock);
  entry->n_users++;
  g_mutex_unlock (&entry->cache->lock);
  return entry;
}

void
npu_cache_entry_unref (NpuCacheEntry *entry)
{
  NpuCache *cache = entry->cache;
  gboolean is_last;

  g_mutex_lock (&cache->lock);
  is_last = --entry->n_users == 0;
  entry->is_busy = is_last;
  g_mutex_unlock (&cache->lock);
  if (!is_last)
    return;

  entry->funcs->free (entry->thing);

  g_mutex_lock (&cache->lock);
  unlist_entry (entry);
  g_mutex_unlock (&cache->lock);
  entry_free (entry);
}

gpointer
npu_cache_entry_get_thing (const NpuCacheEntry *entry)
{
  return entry->thing;
}

void
npu_cache_entry_forget (NpuCacheEntry *entry)
{
  g_mutex_lock (&entry->cache->lock);
  unlist_entry (entry);
  g_mutex_unlock (&entry->cache->lock);
}
