/* Things of which a process needs one: whoever asks for the same gets the same,
 * as long as somebody has it. The cache has no reference of its own: a thing
 * goes with its last user.
 *
 * Things are made and freed without the cache's lock. Who asks for one that is
 * being made or freed waits, and others do not; so what makes or frees a thing
 * may ask for others.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _NpuCacheEntry NpuCacheEntry;

/* All zero is an empty cache. */
typedef struct {
  /*< private >*/
  GMutex lock;
  GCond changed;
  GHashTable *entries; /* GBytes to NpuCacheEntry; NULL where there are none */
} NpuCache;

typedef struct {
  /* The thing, or NULL with @error set; @entry is its own. */
  gpointer (*make) (gpointer user_data, NpuCacheEntry *entry, GError **error);
  void (*free) (gpointer thing);
} NpuCacheFuncs;

/**
 * npu_cache_get:
 * @key: (nullable): what makes two things the same; nobody else gets one
 *   without a key
 * @funcs: make the thing, where it is not there, and free it; static
 *
 * Returns: (transfer full): a reference on the thing, or %NULL with @error set.
 */
NpuCacheEntry *npu_cache_get (NpuCache *cache, GBytes *key,
    const NpuCacheFuncs *funcs, gpointer user_data, GError **error);
NpuCacheEntry *npu_cache_entry_ref (NpuCacheEntry *entry);
/* The last one frees the thing. */
void npu_cache_entry_unref (NpuCacheEntry *entry);

gpointer npu_cache_entry_get_thing (const NpuCacheEntry *entry);

/* Nobody who asks gets this one from now on; those who have it keep it. */
void npu_cache_entry_forget (NpuCacheEntry *entry);

G_END_DECLS
