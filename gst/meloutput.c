/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "meloutput.h"

#include <string.h>

#include "melcaps.h"
#include "tensorallocation.h"

GST_DEBUG_CATEGORY_EXTERN (whisper_mel_debug);
#define GST_CAT_DEFAULT whisper_mel_debug

void
mel_output_init (MelOutput *self, GstElement *element, GstPad *pad,
    guint n_frames, gboolean zero_tail)
{
  *self = (MelOutput){
      .element = element,
      .pad = pad,
      .n_frames = n_frames,
      .zero_tail = zero_tail,
  };
  g_mutex_init (&self->lock);
}

void
mel_output_set_n_frames (MelOutput *self, guint n_frames)
{
  if (self->n_frames == n_frames)
    return;
  self->n_frames = n_frames;
  self->is_negotiated = FALSE;
  g_clear_pointer (&self->aligned, g_free);
}

/* A pool that comes while the pad is flushing must not make anybody wait. */
static void
take_pool (MelOutput *self, GstBufferPool *pool)
{
  GstBufferPool *old;

  g_mutex_lock (&self->lock);
  old = self->pool;
  self->pool = pool;
  if (pool && (self->flushing || self->stopped))
    gst_buffer_pool_set_flushing (pool, TRUE);
  g_mutex_unlock (&self->lock);

  if (old) {
    gst_buffer_pool_set_active (old, FALSE);
    gst_object_unref (old);
  }
}

void
mel_output_clear (MelOutput *self)
{
  take_pool (self, NULL);
  g_clear_pointer (&self->log_mel, log_mel_free);
  g_clear_pointer (&self->aligned, g_free);
  g_mutex_clear (&self->lock);
}

void
mel_output_set_flushing (MelOutput *self, gboolean flushing)
{
  g_mutex_lock (&self->lock);
  self->flushing = flushing;
  if (self->pool && !self->stopped)
    gst_buffer_pool_set_flushing (self->pool, flushing);
  g_mutex_unlock (&self->lock);
}

void
mel_output_stop (MelOutput *self)
{
  g_mutex_lock (&self->lock);
  self->stopped = TRUE;
  if (self->pool)
    gst_buffer_pool_set_flushing (self->pool, TRUE);
  g_mutex_unlock (&self->lock);
}

static gsize
get_size (const MelOutput *self)
{
  return (gsize) self->n_mels * self->n_frames * sizeof (float);
}

static gboolean
configure_pool (GstBufferPool *pool, GstCaps *caps, guint size, guint min,
    guint max, GstAllocator *allocator, const GstAllocationParams *params)
{
  GstStructure *config = gst_buffer_pool_get_config (pool);

  gst_buffer_pool_config_set_params (config, caps, size, min, max);
  gst_buffer_pool_config_set_allocator (config, allocator, params);
  if (gst_buffer_pool_set_config (pool, config))
    return TRUE;

  /* The pool has changed something; it may still do. */
  config = gst_buffer_pool_get_config (pool);
  if (gst_buffer_pool_config_validate_params (config, caps, size, min, max))
    return gst_buffer_pool_set_config (pool, config);
  gst_structure_free (config);
  return FALSE;
}

/* Downstream's pool where it offers one that fits, else our own: fresh memory
 * for every window would cost as much as a tenth of its mel. */
static gboolean
allocate (MelOutput *self, GstCaps *caps)
{
  g_autoptr (GstQuery) query = gst_query_new_allocation (caps, TRUE);
  g_autoptr (GstAllocator) allocator = NULL;
  g_autoptr (GstBufferPool) pool = NULL;
  GstAllocationParams params;
  guint size = get_size (self), min, max;

  if (!gst_pad_peer_query (self->pad, query))
    GST_DEBUG_OBJECT (self->element, "downstream offers no allocation");
  tensor_allocation_decide (query, size);
  gst_query_parse_nth_allocation_param (query, 0, &allocator, &params);
  gst_query_parse_nth_allocation_pool (query, 0, &pool, NULL, &min, &max);

  if (pool &&
      !configure_pool (pool, caps, size, min, max, allocator, &params)) {
    GST_DEBUG_OBJECT (self->element, "downstream's pool does not fit");
    g_clear_object (&pool);
  }
  if (!pool) {
    pool = gst_buffer_pool_new ();
    if (!configure_pool (pool, caps, size, min, 0, allocator, &params))
      goto fail;
  }
  if (!gst_buffer_pool_set_active (pool, TRUE))
    goto fail;
  take_pool (self, g_steal_pointer (&pool));
  return TRUE;

fail:
  GST_ELEMENT_ERROR (self->element, RESOURCE, NO_SPACE_LEFT,
      ("Cannot allocate buffers of %u bytes for mel windows.", size), (NULL));
  return FALSE;
}

static void
post_no_common_caps (MelOutput *self, guint n_mels, GstCaps *theirs)
{
  g_autofree char *bands =
      n_mels ? g_strdup_printf ("%u", n_mels) : g_strdup ("80 or 128");

  GST_ELEMENT_ERROR (self->element, CORE, NEGOTIATION,
      ("The element downstream does not take windows of %u frames by %s mel bands. Set property window to the length it takes and property n-mels to its bands. Dimensions are frames:bands:1, as 3000:80:1, never bands:frames:1.",
          self->n_frames, bands),
      ("downstream takes %" GST_PTR_FORMAT, theirs));
}

gboolean
mel_output_negotiate (MelOutput *self, guint n_mels)
{
  g_autoptr (GstCaps) theirs = gst_pad_peer_query_caps (self->pad, NULL);
  g_autoptr (GstCaps) current = gst_pad_get_current_caps (self->pad);
  guint wanted = n_mels ? n_mels : mel_caps_get_wish (theirs);
  g_autoptr (GstCaps) ours =
      mel_caps_new (wanted, self->n_frames, self->n_frames, 1);
  g_autoptr (GstCaps) caps =
      gst_caps_intersect_full (ours, theirs, GST_CAPS_INTERSECT_FIRST);

  self->is_negotiated = FALSE;
  if (gst_caps_is_empty (caps)) {
    if (!GST_PAD_IS_FLUSHING (self->pad))
      post_no_common_caps (self, wanted, theirs);
    return FALSE;
  }
  caps = gst_caps_fixate (caps);
  GST_INFO_OBJECT (self->element, "windows are %" GST_PTR_FORMAT, caps);

  if (self->n_mels != mel_caps_get_n_mels (caps)) {
    g_clear_pointer (&self->log_mel, log_mel_free);
    g_clear_pointer (&self->aligned, g_free);
    self->n_mels = mel_caps_get_n_mels (caps);
    self->log_mel = log_mel_new (self->n_mels);
  }
  if ((!current || !gst_caps_is_equal (current, caps)) &&
      !gst_pad_push_event (self->pad, gst_event_new_caps (caps)))
    return FALSE;
  self->is_negotiated = allocate (self, caps);
  return self->is_negotiated;
}

static void
set_timing (GstBuffer *buffer, const MelWindow *window)
{
  const gsize length = window->n_samples;

  GST_BUFFER_PTS (buffer) = window->start;
  GST_BUFFER_DTS (buffer) = GST_CLOCK_TIME_NONE;
  GST_BUFFER_DURATION (buffer) = length * AUDIO_WINDOW_SAMPLE_TIME;
  GST_BUFFER_OFFSET (buffer) = window->start / AUDIO_WINDOW_SAMPLE_TIME;
  GST_BUFFER_OFFSET_END (buffer) = GST_BUFFER_OFFSET (buffer) + length;
}

/* As transcribe() of OpenAI's whisper has it: it takes the mel of the audio
 * with 30 s of silence behind it, so that the last frames see that silence,
 * keeps the frames that begin in the audio, samples / 160 rounded down, and
 * pads them with zeros (whisper/transcribe.py, pad_or_trim of a segment). */
static void
clear_tail (const MelOutput *self, gsize n_samples, float *mel)
{
  gsize n_content = n_samples / LOG_MEL_HOP;

  for (guint m = 0; m < self->n_mels; m++)
    for (gsize f = n_content; f < self->n_frames; f++)
      mel[m * (gsize) self->n_frames + f] = 0;
}

/* @data: of get_size() bytes, of any alignment: allocators downstream may ask
 * for a prefix of any length. */
static void
compute (MelOutput *self, const MelWindow *window, guint8 *data)
{
  gboolean sound = window->content == AUDIO_WINDOW_SOUND;
  gsize length = window->n_samples;
  gboolean aligned = (guintptr) data % G_ALIGNOF (float) == 0;
  float *mel = (float *) (gpointer) data;

  if (!aligned) {
    if (!self->aligned)
      self->aligned = g_malloc (get_size (self));
    mel = self->aligned;
  }
  log_mel_compute (
      self->log_mel, window->samples, sound ? length : 0, self->n_frames, mel);
  if (self->zero_tail)
    clear_tail (self, length, mel);
  if (!aligned)
    memcpy (data, mel, get_size (self));
}

static GstFlowReturn
fail (MelOutput *self, GstBuffer **buffer, const char *why)
{
  gst_clear_buffer (buffer);
  GST_ELEMENT_ERROR (self->element, RESOURCE, WRITE,
      ("Cannot write to a buffer for a mel window."), ("%s", why));
  return GST_FLOW_ERROR;
}

GstFlowReturn
mel_output_make (MelOutput *self, const MelWindow *window, GstBuffer **buffer)
{
  GstFlowReturn flow;
  gsize offset, size;
  GstMapInfo map;

  /* Only this thread replaces the pool. */
  flow = gst_buffer_pool_acquire_buffer (self->pool, buffer, NULL);
  if (flow == GST_FLOW_FLUSHING)
    return flow;
  if (flow != GST_FLOW_OK) {
    GST_ELEMENT_ERROR (self->element, RESOURCE, NO_SPACE_LEFT,
        ("Cannot allocate a buffer for a mel window."),
        ("pool answers %s", gst_flow_get_name (flow)));
    return flow;
  }
  gst_buffer_get_sizes (*buffer, &offset, &size);
  if (gst_buffer_get_size (*buffer) < get_size (self) &&
      size - offset < get_size (self))
    return fail (self, buffer, "it is too small");
  gst_buffer_set_size (*buffer, get_size (self));
  if (!gst_buffer_map (*buffer, &map, GST_MAP_WRITE))
    return fail (self, buffer, "it cannot be mapped");
  compute (self, window, map.data);
  gst_buffer_unmap (*buffer, &map);

  set_timing (*buffer, window);
  if (window->content == AUDIO_WINDOW_SILENCE)
    GST_BUFFER_FLAG_SET (*buffer, GST_BUFFER_FLAG_GAP);
  return GST_FLOW_OK;
}
