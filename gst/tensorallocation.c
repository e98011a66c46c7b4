/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tensorallocation.h"

#define ALIGNMENT_MASK 63 /* as GstAllocationParams has it */

gboolean
tensor_allocation_propose (GstQuery *query, guint size)
{
  const GstAllocationParams params = {.align = ALIGNMENT_MASK};
  g_autoptr (GstBufferPool) pool = NULL;
  gboolean need_pool;
  GstCaps *caps;

  gst_query_parse_allocation (query, &caps, &need_pool);
  if (need_pool) {
    GstStructure *config;

    pool = gst_buffer_pool_new ();
    config = gst_buffer_pool_get_config (pool);
    gst_buffer_pool_config_set_params (config, caps, size, 0, 0);
    gst_buffer_pool_config_set_allocator (config, NULL, &params);
    if (!gst_buffer_pool_set_config (pool, config))
      return FALSE;
  }
  gst_query_add_allocation_pool (query, pool, size, 0, 0);
  gst_query_add_allocation_param (query, NULL, &params);
  return TRUE;
}

void
tensor_allocation_decide (GstQuery *query, guint size)
{
  GstAllocationParams params;
  guint min = 0, max = 0;

  gst_allocation_params_init (&params);
  if (gst_query_get_n_allocation_params (query) > 0) {
    g_autoptr (GstAllocator) allocator = NULL;

    gst_query_parse_nth_allocation_param (query, 0, &allocator, &params);
    params.align |= ALIGNMENT_MASK;
    gst_query_set_nth_allocation_param (query, 0, allocator, &params);
  } else {
    params.align = ALIGNMENT_MASK;
    gst_query_add_allocation_param (query, NULL, &params);
  }

  if (gst_query_get_n_allocation_pools (query) > 0) {
    g_autoptr (GstBufferPool) pool = NULL;

    gst_query_parse_nth_allocation_pool (query, 0, &pool, NULL, &min, &max);
    gst_query_set_nth_allocation_pool (query, 0, pool, size, min, max);
  } else {
    gst_query_add_allocation_pool (query, NULL, size, min, max);
  }
}
