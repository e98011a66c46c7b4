/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstnpuencoderwindow.h"

#include <string.h>

#include "floats.h"
#include "tensormeta.h"

#define HALF_INFINITY 65520.0f /* what is rounded to it, and more */

static gsize
n_states (const GstNpuEncoderWindow *window)
{
  return (gsize) window->n_frames / 2 * window->d;
}

gsize
gst_npu_encoder_window_mel_size (const GstNpuEncoderWindow *window)
{
  return (gsize) window->n_frames * window->n_mels * sizeof (float);
}

gsize
gst_npu_encoder_window_states_size (const GstNpuEncoderWindow *window)
{
  return n_states (window) * (window->half ? sizeof (guint16) : sizeof (float));
}

static gboolean
check_mel (const GstNpuEncoderWindow *window, const float *mel, gsize size,
    GError **error)
{
  gsize expected = gst_npu_encoder_window_mel_size (window);
  gsize n = size / sizeof (float);
  gsize bad;

  if (size != expected) {
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        "a buffer has %" G_GSIZE_FORMAT
        " bytes, but its caps, %u mel bands of %u float32 frames, make %" G_GSIZE_FORMAT,
        size, window->n_mels, window->n_frames, expected);
    return FALSE;
  }
  bad = floats_find_non_finite (mel, n);
  if (bad < n) {
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        "the mel has a NaN or an infinity at index %" G_GSIZE_FORMAT
        ", band %" G_GSIZE_FORMAT ", frame %" G_GSIZE_FORMAT,
        bad, bad / window->n_frames, bad % window->n_frames);
    return FALSE;
  }
  return TRUE;
}

/* Beyond its largest number a half float is an infinity. */
static gboolean
check_half (const float *states, gsize n, GError **error)
{
  float largest = 0.0f;

  for (gsize i = 0; i < n; i++)
    largest = MAX (largest, ABS (states[i]));
  if (largest < HALF_INFINITY)
    return TRUE;
  g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_ENCODE,
      "states of up to %g are too large for property output-type float16; choose float32",
      (double) largest);
  return FALSE;
}

static gboolean
is_aligned (gconstpointer data)
{
  return GPOINTER_TO_SIZE (data) % sizeof (float) == 0;
}

/* By way of our own memory where the type differs or floats cannot be in the
 * buffer's. */
static gboolean
encode_mapped (const GstNpuEncoderWindow *window, NpuEncoder *encoder,
    const GstMapInfo *in, const GstMapInfo *out, NpuStats *stats,
    GError **error)
{
  g_autofree float *own_mel = NULL;
  g_autofree float *own_states = NULL;
  const float *mel = (const float *) in->data;
  float *states = (float *) out->data;

  if (!is_aligned (mel))
    mel = own_mel = g_memdup2 (in->data, in->size);
  if (window->half || !is_aligned (states))
    states = own_states = g_new (float, n_states (window));

  if (!check_mel (window, mel, in->size, error) ||
      !npu_encoder_encode (
          encoder, mel, window->n_frames, states, stats, error))
    return FALSE;

  if (window->half && !check_half (states, n_states (window), error))
    return FALSE;
  if (window->half)
    floats_to_half (out->data, states, n_states (window));
  else if (own_states)
    memcpy (out->data, own_states, out->size);
  return TRUE;
}

gboolean
gst_npu_encoder_window_encode (const GstNpuEncoderWindow *window,
    NpuEncoder *encoder, GstBuffer *mel, GstBuffer *states, NpuStats *stats,
    GError **error)
{
  gboolean encoded = FALSE;
  GstMapInfo in, out;

  /* A pool of downstream may have larger buffers. */
  gst_buffer_set_size (states, gst_npu_encoder_window_states_size (window));

  if (!gst_buffer_map (mel, &in, GST_MAP_READ)) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
        "a buffer of mel cannot be mapped for reading");
    return FALSE;
  }
  if (gst_buffer_map (states, &out, GST_MAP_WRITE)) {
    encoded = encode_mapped (window, encoder, &in, &out, stats, error);
    gst_buffer_unmap (states, &out);
  } else {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_WRITE,
        "a buffer for states cannot be mapped for writing");
  }
  gst_buffer_unmap (mel, &in);

  if (encoded)
    tensor_meta_add_states (
        states, window->n_frames / 2, window->d, window->half);
  return encoded;
}
