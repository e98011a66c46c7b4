/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstnpuerror.h"

#include "npu-error.h"

/* The element's own category, which has its factory's name. */
static GstDebugCategory *
category_of (GstElement *element)
{
  GstElementFactory *factory = gst_element_get_factory (element);
  GstDebugCategory *category = NULL;

  if (factory)
    GST_DEBUG_CATEGORY_GET (category, GST_OBJECT_NAME (factory));
  return category ? category : GST_CAT_DEFAULT;
}

static void
translate (
    const GError *error, GstResourceError open_code, GQuark *domain, int *code)
{
  *domain = GST_RESOURCE_ERROR;
  *code = GST_RESOURCE_ERROR_FAILED;

  if (error->domain != NPU_ERROR) {
    *domain = error->domain;
    *code = error->code;
    return;
  }
  switch ((NpuError) error->code) {
    case NPU_ERROR_NOT_FOUND:
    case NPU_ERROR_LOST:
      *code = GST_RESOURCE_ERROR_NOT_FOUND;
      break;
    case NPU_ERROR_OPEN:
      *code = open_code;
      break;
    case NPU_ERROR_READ:
      *code = GST_RESOURCE_ERROR_OPEN_READ;
      break;
    case NPU_ERROR_BUSY:
      *code = GST_RESOURCE_ERROR_BUSY;
      break;
    case NPU_ERROR_SETTINGS:
    case NPU_ERROR_UNSUPPORTED:
      *code = GST_RESOURCE_ERROR_SETTINGS;
      break;
    case NPU_ERROR_WRONG_TYPE:
      *domain = GST_STREAM_ERROR;
      *code = GST_STREAM_ERROR_WRONG_TYPE;
      break;
    case NPU_ERROR_FORMAT:
      *domain = GST_STREAM_ERROR;
      *code = GST_STREAM_ERROR_FORMAT;
      break;
    case NPU_ERROR_LAUNCH:
      *domain = GST_STREAM_ERROR;
      *code = GST_STREAM_ERROR_ENCODE;
      break;
    case NPU_ERROR_TIMEOUT:
    case NPU_ERROR_CANCELLED:
    case NPU_ERROR_FAILED:
      break;
  }
}

/* The text of a message, which applications show: UTF-8, whatever bytes of a
 * property or a file it repeats. Takes @text. */
static char *
make_valid (char *text)
{
  char *valid = g_utf8_make_valid (text, -1);

  g_free (text);
  return valid;
}

void
gst_npu_post_error (GstElement *element, const GError *error,
    GstResourceError open_code, const char *properties)
{
  GQuark domain;
  int code;
  char *text;

  translate (error, open_code, &domain, &code);
  if (properties)
    text = g_strdup_printf ("%s (%s)", error->message, properties);
  else
    text = g_strdup (error->message);
  text = make_valid (text);

  GST_CAT_ERROR_OBJECT (category_of (element), element, "%s", text);
  gst_element_message_full (element, GST_MESSAGE_ERROR, domain, code, text,
      NULL, __FILE__, G_STRFUNC, __LINE__);
}

void
gst_npu_post_warning (GstElement *element, const GError *error,
    GstResourceError open_code, const char *consequence)
{
  GQuark domain;
  int code;
  char *text;

  translate (error, open_code, &domain, &code);
  text = make_valid (g_strdup_printf ("%s. %s.", error->message, consequence));
  GST_CAT_WARNING_OBJECT (category_of (element), element, "%s", text);
  gst_element_message_full (element, GST_MESSAGE_WARNING, domain, code, text,
      NULL, __FILE__, G_STRFUNC, __LINE__);
}
