/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstnpuencoderfallback.h"

#include "gstnpuencoder.h"
#include "common/gstnpuerror.h"

#define GST_CAT_DEFAULT gst_npu_encoder_debug

gboolean
gst_npu_encoder_is_device_failure (const GError *error)
{
  if (error->domain != NPU_ERROR)
    return FALSE;
  switch ((NpuError) error->code) {
    case NPU_ERROR_SETTINGS:
    case NPU_ERROR_WRONG_TYPE:
    case NPU_ERROR_FORMAT:
    case NPU_ERROR_CANCELLED:
    case NPU_ERROR_READ:
      return FALSE;
    case NPU_ERROR_NOT_FOUND:
    case NPU_ERROR_OPEN:
    case NPU_ERROR_BUSY:
    case NPU_ERROR_UNSUPPORTED:
    case NPU_ERROR_LAUNCH:
    case NPU_ERROR_TIMEOUT:
    case NPU_ERROR_FAILED:
    case NPU_ERROR_LOST:
      break;
  }
  return TRUE;
}

NpuEncoder *
gst_npu_encoder_session_choose (GstNpuEncoderSession *session)
{
  return session->stays_on_cpu ? session->cpu_encoder : session->encoder;
}

/* Makes the CPU's encoder where there is none yet. */
static gboolean
have_cpu_encoder (
    GstNpuEncoderSession *session, GstElement *element, GError **error)
{
  NpuEncoder *encoder;

  if (session->cpu_encoder)
    return TRUE;
  encoder = npu_encoder_new (session->model,
      npu_device_get_host (session->device), &session->cpu_options, error);
  if (!encoder)
    return FALSE;
  npu_executor_set_trace (npu_encoder_get_executor (encoder), session->trace);

  /* It may be cancelled from now on; or have been while it was made. */
  GST_OBJECT_LOCK (element);
  session->cpu_encoder = encoder;
  if (session->cancelled)
    npu_executor_cancel (npu_encoder_get_executor (encoder));
  GST_OBJECT_UNLOCK (element);
  return TRUE;
}

static void
warn (GstNpuEncoderSession *session, GstElement *element, const GError *error)
{
  const char *device = npu_device_get_name (session->device);
  g_autofree char *what = NULL;

  if (!session->stays_on_cpu)
    what = g_strdup_printf (
        "This window is encoded again on the CPU; the next is tried on %s",
        device);
  else if (g_error_matches (error, NPU_ERROR, NPU_ERROR_LOST))
    what = g_strdup_printf (
        "%s has gone: this window and all that follow are encoded on the CPU",
        device);
  else
    what = g_strdup_printf (
        "%u windows in a row failed on %s: this one and all that follow are encoded on the CPU",
        session->n_failures, device);
  gst_npu_post_warning (
      element, error, GST_RESOURCE_ERROR_OPEN_READ_WRITE, what);
}

NpuEncoder *
gst_npu_encoder_session_fall_back (GstNpuEncoderSession *session,
    GstElement *element, NpuEncoder *encoder, GError **error)
{
  g_autoptr (GError) cpu_error = NULL;

  if (!session->model || encoder != session->encoder ||
      !gst_npu_encoder_is_device_failure (*error))
    return NULL;

  session->n_failures++;
  session->stays_on_cpu = session->n_failures >= GST_NPU_ENCODER_MAX_FAILURES ||
                          g_error_matches (*error, NPU_ERROR, NPU_ERROR_LOST);
  warn (session, element, *error);
  if (have_cpu_encoder (session, element, &cpu_error))
    return session->cpu_encoder;

  session->stays_on_cpu = FALSE;
  g_prefix_error (
      &cpu_error, "%s; and the CPU cannot take its place: ", (*error)->message);
  g_clear_error (error);
  g_propagate_error (error, g_steal_pointer (&cpu_error));
  return NULL;
}

void
gst_npu_encoder_session_succeeded (
    GstNpuEncoderSession *session, NpuEncoder *encoder)
{
  if (encoder == session->encoder)
    session->n_failures = 0;
}
