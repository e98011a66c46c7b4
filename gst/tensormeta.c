/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tensormeta.h"

#ifdef HAVE_GST_ANALYTICS

#include <gst/analytics/gsttensormeta.h>

void
tensor_meta_add_states (
    GstBuffer *buffer, guint n_positions, guint d, gboolean half)
{
  /* A buffer of its own over the same memory: the tensor owns its buffer, so
   * this one cannot be @buffer, which owns the tensor. */
  GstBuffer *data = gst_buffer_new ();
  gsize dims[] = {1, n_positions, d};
  GstTensor **tensors = g_new (GstTensor *, 1);

  for (guint i = 0; i < gst_buffer_n_memory (buffer); i++)
    gst_buffer_append_memory (data, gst_buffer_get_memory (buffer, i));

  tensors[0] = gst_tensor_new_simple (g_quark_from_string (STATES_TENSOR_ID),
      half ? GST_TENSOR_DATA_TYPE_FLOAT16 : GST_TENSOR_DATA_TYPE_FLOAT32, data,
      GST_TENSOR_DIM_ORDER_ROW_MAJOR, G_N_ELEMENTS (dims), dims);
  gst_tensor_meta_set (gst_buffer_add_tensor_meta (buffer), 1, tensors);
}

gboolean
tensor_meta_is_tensor (const GstMeta *meta)
{
  return meta->info->api == GST_TENSOR_META_API_TYPE;
}

#else

void
tensor_meta_add_states (
    GstBuffer *buffer, guint n_positions, guint d, gboolean half)
{
}

gboolean
tensor_meta_is_tensor (const GstMeta *meta)
{
  return FALSE;
}

#endif
