/* Fuzz target: a storm over whispermel, npuencoder, whisperdecoder, what they
 * make together, or nputranscriber. One thread streams
 * (buffers, gaps, segments, caps, flushes, ends), two others change states and
 * properties, flush, query and send events upstream, all by what their shares
 * of the tape say. What comes out must fit its caps and be finite; nothing may
 * hang, leak a reference, or make GLib or GStreamer complain.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>
#include <gst/gst.h>
#include <stdint.h>
#include <stdlib.h>

#include "../elements/peer-pad.h"
#include "model-writer.h"
#include "small-model.h"
#include "small-vocabulary.h"
#include "storm.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* Texts of up to half as many tokens. */
#define N_TEXT_POSITIONS 32

static char *model_path, *vocabulary_path, *trace_path;

typedef struct {
  Storm *storm;
  Tape tape;
} Share;

static gpointer
meddle (gpointer data)
{
  Share *share = data;

  storm_meddle (share->storm, &share->tape);
  return NULL;
}

static GstElement *
add_element (Storm *storm, const char *name)
{
  GstElement *element = gst_element_factory_make (name, NULL);

  if (!element)
    g_error ("there is no %s in GST_PLUGIN_PATH_1_0", name);
  gst_bin_add (GST_BIN (storm->pipeline), element);
  return element;
}

static GstPad *
link_pad (Storm *storm, GstElement *element, const char *peer_name)
{
  const gboolean is_src = *peer_name == 's' && peer_name[1] == 'i';
  g_autoptr (GstPad) peer = gst_element_get_static_pad (element, peer_name);
  GstPad *pad = peer_pad_new (NULL, is_src ? GST_PAD_SRC : GST_PAD_SINK);

  gst_pad_set_element_private (pad, storm);
  if (is_src) {
    storm_set_src_functions (pad);
    gst_pad_link (pad, peer);
  } else {
    storm_set_sink_functions (pad);
    gst_pad_link (peer, pad);
  }
  gst_pad_set_active (pad, TRUE);
  return pad;
}

static void
add_mel (Storm *storm, Tape *tape)
{
  static const char *const modes[] = {"fixed", "follow", "growing", "pauses"};

  storm->mel = add_element (storm, "whispermel");
  g_object_set (storm->mel, "window", GST_SECOND, "padding", (guint64) 0, NULL);
  gst_util_set_object_arg (
      G_OBJECT (storm->mel), "mode", TAPE_ONE_OF (tape, modes));
}

static void
add_encoder (Storm *storm, Tape *tape)
{
  storm->encoder = add_element (storm, "npuencoder");
  g_object_set (storm->encoder, "model", storm->model, "threads",
      1 + tape_below (tape, 2), NULL);
}

/* Text of windows that grow, of half of the decoders. */
static void
add_decoder (Storm *storm, Tape *tape)
{
  storm->decoder = add_element (storm, "whisperdecoder");
  gst_util_set_object_arg (G_OBJECT (storm->decoder), "commit",
      tape_below (tape, 2) ? "alignatt" : "all");
  g_object_set (storm->decoder, "vocabulary", storm->vocabulary, "threads", 1,
      "temperature-increment", 0.0, NULL);
  if (!storm->encoder)
    g_object_set (storm->decoder, "model", storm->model, NULL);
}

static void
add_transcriber (Storm *storm)
{
  storm->mel = add_element (storm, "nputranscriber");
  storm->encoder = storm->decoder = storm->mel;
  g_object_set (storm->mel, "window", GST_SECOND, "model", storm->model,
      "vocabulary", storm->vocabulary, "threads", 1, "temperature-increment",
      0.0, NULL);
}

static void
add_elements (Storm *storm, Tape *tape)
{
  enum { MEL = 1, ENCODER = 2, DECODER = 4, TRANSCRIBER = 8 };
  static const guint chains[] = {MEL | ENCODER, MEL, ENCODER, MEL | ENCODER,
      DECODER, MEL | ENCODER | DECODER, MEL | ENCODER | DECODER, TRANSCRIBER};
  const guint chain = TAPE_ONE_OF (tape, chains);
  GstElement *last = NULL;

  if (chain == TRANSCRIBER) {
    add_transcriber (storm);
    return;
  }
  if (chain & MEL) {
    add_mel (storm, tape);
    last = storm->mel;
  }
  if (chain & ENCODER) {
    add_encoder (storm, tape);
    if (last)
      gst_element_link (last, storm->encoder);
    last = storm->encoder;
  }
  if (chain & DECODER) {
    add_decoder (storm, tape);
    if (last)
      gst_element_link (last, storm->decoder);
  }
}

/* What is said now, of half of those that say it. */
static void
link_unsynced (Storm *storm, Tape *tape)
{
  if (!storm->decoder || tape_below (tape, 2) == 0)
    return;
  if (storm->decoder != storm->encoder)
    gst_object_unref (
        gst_element_request_pad_simple (storm->decoder, "unsynced_src"));
  storm->unsynced = link_pad (storm, storm->decoder, "unsynced_src");
}

static void
storm_init (Storm *storm, Tape *tape)
{
  g_mutex_init (&storm->streaming);
  g_mutex_init (&storm->sink_lock);
  storm->n_frames = 100;
  storm->model = model_path;
  storm->vocabulary = vocabulary_path;
  storm->trace = trace_path;
  storm->pipeline = gst_pipeline_new (NULL);
  storm->bus = gst_element_get_bus (storm->pipeline);
  add_elements (storm, tape);
  for (guint n = tape_below (tape, 4); n > 0; n--)
    storm_set_property (storm, tape);
  storm->src = link_pad (storm,
      storm->mel       ? storm->mel
      : storm->encoder ? storm->encoder
                       : storm->decoder,
      "sink");
  storm->sink = link_pad (storm,
      storm->decoder   ? storm->decoder
      : storm->encoder ? storm->encoder
                       : storm->mel,
      "src");
  link_unsynced (storm, tape);
}

static void
unlink_pad (GstPad *pad)
{
  g_autoptr (GstPad) peer = gst_pad_get_peer (pad);

  gst_pad_set_active (pad, FALSE);
  if (peer && GST_PAD_IS_SRC (pad))
    gst_pad_unlink (pad, peer);
  else if (peer)
    gst_pad_unlink (peer, pad);
  gst_object_unref (pad);
}

static void
check_references (GstElement *element)
{
  if (element && GST_OBJECT_REFCOUNT_VALUE (element) != 1)
    g_error ("%s has %d references", GST_OBJECT_NAME (element),
        GST_OBJECT_REFCOUNT_VALUE (element));
}

static void
storm_clear (Storm *storm)
{
  gst_element_set_state (storm->pipeline, GST_STATE_NULL);
  unlink_pad (storm->src);
  unlink_pad (storm->sink);
  if (storm->unsynced)
    unlink_pad (storm->unsynced);
  storm_read_messages (storm);
  check_references (storm->mel);
  check_references (storm->encoder);
  check_references (storm->decoder);
  gst_object_unref (storm->bus);
  gst_object_unref (storm->pipeline);
  g_mutex_clear (&storm->streaming);
  g_mutex_clear (&storm->sink_lock);
}

/* GStreamer warns of what a stream does wrong; that is the tape's doing. */
static void
on_log (const char *domain, GLogLevelFlags level, const char *message,
    gpointer unused)
{
  static const char *const ours[] = {"Got data flow before",
      "Sticky event misordering",
      /* From the audio elements in a transcriber. */
      "is not a multiple of unit size", "gst_audio_buffer_truncate"};

  for (guint i = 0; i < G_N_ELEMENTS (ours); i++) {
    if (strstr (message, ours[i]))
      return;
  }
  if (level & (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING)) {
    g_printerr ("%s: %s\n", domain, message);
    abort ();
  }
  g_log_default_handler (domain, level, message, NULL);
}

static void
remove_files (void)
{
  g_unlink (model_path);
  g_unlink (vocabulary_path);
  g_unlink (trace_path);
  g_free (model_path);
  g_free (vocabulary_path);
  g_free (trace_path);
}

static void
write_vocabulary (void)
{
  g_autoptr (GString) text =
      small_vocabulary_write (51865, VOCABULARY_TIKTOKEN);
  const int fd =
      g_file_open_tmp ("fuzz-XXXXXX.tiktoken", &vocabulary_path, NULL);

  g_close (fd, NULL);
  g_assert_true (
      g_file_set_contents (vocabulary_path, text->str, text->len, NULL));
}

static void
start (void)
{
  NpuModel *model = small_model_new (STORM_MELS, STORM_D, 1, 0);
  g_autoptr (GError) error = NULL;
  const int fd = g_file_open_tmp ("fuzz-XXXXXX.safetensors", &model_path, NULL);

  gst_init (NULL, NULL);
  g_log_set_default_handler (on_log, NULL);
  write_vocabulary ();
  trace_path = g_strdup_printf ("%s.trace", vocabulary_path);
  small_model_add_decoder (model, 1, 51865, N_TEXT_POSITIONS);
  g_close (fd, NULL);
  test_model_write (
      model, model_path, TEST_MODEL_OPENAI, NPU_DTYPE_F32, &error);
  g_assert_no_error (error);
  small_model_free (model);
  atexit (remove_files);
}

/* Bytes of the tape in four shares, so that a thread's do not move when another
 * takes more. */
int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  const gsize quarter = size / 4;
  Storm storm = {.sink_tape = {data, quarter}};
  Share shares[2] = {{&storm, {data + quarter, quarter}},
      {&storm, {data + 2 * quarter, quarter}}};
  Tape tape = {data + 3 * quarter, size - 3 * quarter};
  GThread *threads[2];

  if (!model_path)
    start ();
  storm_init (&storm, &tape);
  gst_element_set_state (storm.pipeline, GST_STATE_PLAYING);
  gst_pad_push_event (storm.src, gst_event_new_stream_start ("storm"));
  storm.unstarted = TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("meddle", meddle, &shares[i]);
  storm_stream (&storm, &tape);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  storm_clear (&storm);
  return 0;
}
