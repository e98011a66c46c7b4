/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstnpuencodersession.h"

#include "gstnpuencoder.h"
#include "common/gstnpudevice.h"
#include "common/gstnpuerror.h"
#include "common/gstnpumodel.h"
#include "common/gstnpurange.h"
#include "gstnpuencoderfallback.h"
#include "base/npu-output-file.h"

#include <string.h>

#define GST_CAT_DEFAULT gst_npu_encoder_debug

static gboolean
check_settings (GstElement *element)
{
  g_autoptr (GError) error = NULL;

  if (gst_npu_range_check_all (G_OBJECT (element), &error))
    return TRUE;
  gst_npu_post_error (element, error, GST_RESOURCE_ERROR_SETTINGS, NULL);
  return FALSE;
}

static NpuDevice *
open_device (GstElement *element, const GstNpuEncoderSettings *settings)
{
  g_autofree char *note = NULL;
  const NpuDeviceOptions options = {
      .note = &note,
      .threads = settings->threads,
      .overlays = settings->overlays,
      .keep_awake = settings->keep_awake * GST_MSECOND,
  };
  g_autoptr (GError) error = NULL;
  NpuDevice *device =
      gst_npu_device_open (element, settings->device, &options, &error);

  if (!device)
    gst_npu_post_error (element, error, GST_RESOURCE_ERROR_OPEN_READ_WRITE,
        "properties device, overlays");
  else if (note)
    GST_ELEMENT_WARNING (element, RESOURCE, OPEN_READ_WRITE,
        ("%s. Windows are encoded on the CPU.", note),
        ("property device is auto"));
  return device;
}

static void
log_stages (const GstNpuEncoderSession *session, GstElement *element)
{
  g_autofree char *table = npu_encoder_describe (session->encoder);

  GST_INFO_OBJECT (element, "stages run on: %s\n%s",
      npu_encoder_get_placement (session->encoder), table);
}

/* Opens the encoder; where the device is auto's choice and cannot have it, on
 * the CPU. Takes @model. */
static gboolean
open_encoder (GstNpuEncoderSession *session, GstElement *element,
    const GstNpuEncoderSettings *settings, NpuModel *model)
{
  NpuEncoderOptions options = {
      .depth = settings->depth,
      .batch_size = settings->batch_size,
      .precision = settings->precision,
      .timeout = settings->timeout * GST_MSECOND,
  };
  NpuDevice *host = npu_device_get_host (session->device);
  g_autoptr (GError) error = NULL;

  if (!gst_npu_device_is_auto (settings->device) || host == session->device)
    host = NULL; /* nothing to fall back to */
  session->encoder = npu_encoder_new (model, session->device, &options, &error);
  if (session->encoder && host) {
    npu_precision_from_string (
        npu_encoder_get_precision (session->encoder), &options.precision);
    session->cpu_options = options;
    session->model = g_steal_pointer (&model);
  } else if (host && gst_npu_encoder_is_device_failure (error)) {
    gst_npu_post_warning (element, error, GST_RESOURCE_ERROR_OPEN_READ_WRITE,
        "Windows are encoded on the CPU");
    g_clear_error (&error);
    session->encoder = npu_encoder_new (model, host, &options, &error);
  }
  g_clear_pointer (&model, npu_model_unref);

  if (!session->encoder)
    gst_npu_post_error (element, error, GST_RESOURCE_ERROR_OPEN_READ_WRITE,
        g_error_matches (error, NPU_ERROR, NPU_ERROR_TIMEOUT)
            ? "properties device, timeout"
            : "properties model, device, precision");
  else
    log_stages (session, element);
  return session->encoder != NULL;
}

static NpuTrace *
open_trace (GstElement *element, const GstNpuEncoderSettings *settings)
{
  const char *location = settings->trace_location;
  g_autoptr (GError) error = NULL;
  NpuTrace *trace = NULL;

  if (npu_output_file_differs (location, settings->model, &error))
    trace = npu_trace_new (location, &error);
  if (!trace)
    gst_npu_post_error (element, error, GST_RESOURCE_ERROR_OPEN_WRITE,
        "property trace-location");
  return trace;
}

GstNpuEncoderSession *
gst_npu_encoder_session_new (
    GstElement *element, const GstNpuEncoderSettings *settings)
{
  GstNpuEncoderSession *session = g_new0 (GstNpuEncoderSession, 1);
  g_autoptr (NpuModel) model = NULL;

  if (!check_settings (element))
    goto fail;
  model =
      gst_npu_model_open (element, settings->model, "the states mean nothing");
  if (!model)
    goto fail;
  session->model_name = g_strdup (model->name);

  session->device = open_device (element, settings);
  if (!session->device)
    goto fail;

  if (!open_encoder (session, element, settings, g_steal_pointer (&model)))
    goto fail;

  if (settings->trace_location && *settings->trace_location) {
    session->trace = open_trace (element, settings);
    if (!session->trace)
      goto fail;
    npu_executor_set_trace (
        npu_encoder_get_executor (session->encoder), session->trace);
  }
  return session;

fail:
  gst_npu_encoder_session_free (session, element);
  return NULL;
}

static void
warn_of_trace (
    GstNpuEncoderSession *session, GstElement *element, const GError *error)
{
  if (!session->trace_failed)
    GST_ELEMENT_WARNING (element, RESOURCE, WRITE,
        ("%s (property trace-location)", error->message), (NULL));
  session->trace_failed = TRUE;
}

void
gst_npu_encoder_session_check_trace (
    GstNpuEncoderSession *session, GstElement *element, gboolean flush)
{
  g_autoptr (GError) error = NULL;

  if (session->trace && !(flush ? npu_trace_flush (session->trace, &error)
                                : npu_trace_check (session->trace, &error)))
    warn_of_trace (session, element, error);
}

void
gst_npu_encoder_session_free (
    GstNpuEncoderSession *session, GstElement *element)
{
  g_autoptr (GError) error = NULL;

  /* What uses a thing goes before it. */
  g_clear_pointer (&session->encoder, npu_encoder_free);
  g_clear_pointer (&session->cpu_encoder, npu_encoder_free);
  if (session->trace && !npu_trace_close (session->trace, &error))
    warn_of_trace (session, element, error);
  g_clear_pointer (&session->trace, npu_trace_free);
  g_clear_pointer (&session->device, npu_device_unref);
  g_clear_pointer (&session->model, npu_model_unref);
  g_free (session->model_name);
  g_free (session);
}

void
gst_npu_encoder_session_cancel (GstNpuEncoderSession *session)
{
  session->cancelled = TRUE;
  npu_executor_cancel (npu_encoder_get_executor (session->encoder));
  if (session->cpu_encoder)
    npu_executor_cancel (npu_encoder_get_executor (session->cpu_encoder));
}

void
gst_npu_encoder_session_resume (GstNpuEncoderSession *session)
{
  session->cancelled = FALSE;
  npu_executor_resume (npu_encoder_get_executor (session->encoder));
  if (session->cpu_encoder)
    npu_executor_resume (npu_encoder_get_executor (session->cpu_encoder));
}
