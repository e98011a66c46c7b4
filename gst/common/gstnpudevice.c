/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstnpudevice.h"

gboolean
gst_npu_device_is_auto (const char *name)
{
  return !name || *name == '\0' || g_ascii_strcasecmp (name, "auto") == 0;
}

/* The pool that the application has put the element into, or NULL. */
static char *
pool_of (GstElement *element)
{
  GstContext *context =
      gst_element_get_context (element, GST_NPU_DEVICE_CONTEXT);
  char *pool = NULL;

  if (!context) {
    /* An application answers while the message is posted, or not at all. */
    gst_element_post_message (
        element, gst_message_new_need_context (
                     GST_OBJECT (element), GST_NPU_DEVICE_CONTEXT));
    context = gst_element_get_context (element, GST_NPU_DEVICE_CONTEXT);
  }
  if (!context)
    return NULL;
  gst_structure_get (
      gst_context_get_structure (context), "pool", G_TYPE_STRING, &pool, NULL);
  gst_context_unref (context);
  return pool;
}

NpuDevice *
gst_npu_device_open (GstElement *element, const char *name,
    const NpuDeviceOptions *options, GError **error)
{
  g_autofree char *pool = pool_of (element);
  NpuDeviceOptions with_pool = *options;

  with_pool.pool = pool;
  return npu_device_open (
      gst_npu_device_is_auto (name) ? "auto" : name, &with_pool, error);
}
