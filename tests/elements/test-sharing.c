/* Several npuencoders, and nputranscribers, in one process: one set of workers,
 * one copy of the weights, and states that do not depend on who else comes and
 * goes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "encoder-rig.h"
#include "encoder/npu-encoder.h"

#define FRAMES 130
#define N_PIPELINES 16
#define N_ROUNDS 2

/* Of the process, with this name. */
static guint
count_threads (const char *name)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/task", 0, NULL);
  const char *id;
  guint n = 0;

  while (dir && (id = g_dir_read_name (dir))) {
    g_autofree char *path =
        g_build_filename ("/proc/self/task", id, "comm", NULL);
    g_autofree char *comm = NULL;

    n += g_file_get_contents (path, &comm, NULL, NULL) &&
         strcmp (g_strchomp (comm), name) == 0;
  }
  return n;
}

/* Bytes of memory that the process has for itself: files that are mapped are
 * not its own. */
static gsize
resident_size (void)
{
  g_autofree char *text = NULL;
  guint64 size, resident, mapped;

  g_assert_true (g_file_get_contents ("/proc/self/statm", &text, NULL, NULL));
  g_assert_cmpint (
      sscanf (text,
          "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT,
          &size, &resident, &mapped),
      ==, 3);
  return (resident - mapped) * (gsize) sysconf (_SC_PAGESIZE);
}

static EncoderRig *
new_rig (void)
{
  EncoderRig *rig = encoder_rig_new (
      "threads", 2, "device", "cpu", "precision", NPU_PRECISION_INT8, NULL);

  encoder_rig_set_frames (rig, FRAMES);
  return rig;
}

static void
test_workers_and_memory (void)
{
  const gsize before = resident_size ();
  EncoderRig *first = new_rig (), *second;
  g_autoptr (GBytes) expected = encoder_rig_encode (first, FRAMES, 1);
  const gsize with_one = resident_size ();
  gsize with_two;

  g_assert_cmpuint (count_threads ("npuenc-cpu"), ==, 2);
  second = new_rig ();
  {
    g_autoptr (GBytes) states = encoder_rig_encode (second, FRAMES, 1);

    g_assert_true (g_bytes_equal (states, expected));
  }
  g_assert_cmpuint (count_threads ("npuenc-cpu"), ==, 2);
  with_two = resident_size ();
  g_test_message ("first +%zu KiB, second +%zu KiB", (with_one - before) / 1024,
      (MAX (with_two, with_one) - with_one) / 1024);
  /* Activations of a short window are small beside the weights. What a
   * sanitizer keeps is its own affair. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  g_assert_cmpuint (with_two, <, with_one + (with_one - before) / 2);
#endif

  encoder_rig_free (first);
  {
    g_autoptr (GBytes) states = encoder_rig_encode (second, FRAMES, 1);

    g_assert_true (g_bytes_equal (states, expected));
  }
  encoder_rig_free (second);
  g_assert_cmpuint (count_threads ("npuenc-cpu"), ==, 0);
}

typedef struct {
  guint32 seed;
  GBytes *expected;
  GThread *thread;
} Visitor;

/* Starts, encodes some windows, and stops; again and again. */
static gpointer
come_and_go (gpointer data)
{
  const Visitor *visitor = data;
  g_autoptr (GRand) random = g_rand_new_with_seed (visitor->seed);

  for (guint i = 0; i < N_ROUNDS; i++) {
    EncoderRig *rig = new_rig ();
    const guint n = g_rand_int_range (random, 0, 3);

    for (guint j = 0; j < n; j++) {
      g_autoptr (GBytes) states = encoder_rig_encode (rig, FRAMES, 1);

      g_assert_true (g_bytes_equal (states, visitor->expected));
    }
    encoder_rig_free (rig);
  }
  return NULL;
}

static void
test_come_and_go (void)
{
  EncoderRig *rig = new_rig ();
  g_autoptr (GBytes) expected = encoder_rig_encode (rig, FRAMES, 1);
  Visitor visitors[N_PIPELINES];

  encoder_rig_free (rig);
  for (guint i = 0; i < N_PIPELINES; i++) {
    visitors[i] = (Visitor){i, expected, NULL};
    visitors[i].thread = g_thread_new ("pipeline", come_and_go, &visitors[i]);
  }
  for (guint i = 0; i < N_PIPELINES; i++)
    g_thread_join (visitors[i].thread);
  g_assert_cmpuint (count_threads ("npuenc-cpu"), ==, 0);
}

/* --- whole pipelines ------------------------------------------------------ */

#define TRANSCRIBER                                                            \
  "audiotestsrc wave=pink-noise num-buffers=20 samplesperbuffer=8000 ! "       \
  "audio/x-raw,rate=16000,channels=1 ! "                                       \
  "nputranscriber model=" TINY " device=cpu threads=2 ! fakesink sync=false"
#define N_TRANSCRIBERS 4

static GstElement *
start_transcriber (void)
{
  g_autoptr (GError) error = NULL;
  GstElement *pipeline = gst_parse_launch (TRANSCRIBER, &error);

  g_assert_no_error (error);
  g_assert_cmpint (gst_element_set_state (pipeline, GST_STATE_PLAYING), !=,
      GST_STATE_CHANGE_FAILURE);
  return pipeline;
}

static void
stop_transcriber (GstElement *pipeline)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) message =
      gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);

  g_assert_null (message);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
}

/* Wherever it is: it loads, encodes or decodes. */
static gpointer
transcribe_a_while (gpointer data)
{
  const Visitor *visitor = data;
  g_autoptr (GRand) random = g_rand_new_with_seed (visitor->seed);

  for (guint i = 0; i < N_ROUNDS; i++) {
    GstElement *pipeline = start_transcriber ();

    g_usleep ((gulong) g_rand_int_range (random, 0, 300) * 1000);
    stop_transcriber (pipeline);
  }
  return NULL;
}

/* Encoders and decoders of one model, which share workers and each its weights:
 * those that stay compute the same while others are stopped in their work. */
static void
test_whole_pipelines (void)
{
  EncoderRig *rig = new_rig ();
  g_autoptr (GBytes) expected = encoder_rig_encode (rig, FRAMES, 1);
  GstElement *stays = start_transcriber (); /* nothing is loaded anew */
  Visitor visitors[N_TRANSCRIBERS + 2];

  for (guint i = 0; i < G_N_ELEMENTS (visitors); i++) {
    visitors[i] = (Visitor){i, expected, NULL};
    visitors[i].thread = g_thread_new ("pipeline",
        i < N_TRANSCRIBERS ? transcribe_a_while : come_and_go, &visitors[i]);
  }
  g_assert_cmpuint (count_threads ("npuenc-cpu"), ==, 2);
  for (guint i = 0; i < G_N_ELEMENTS (visitors); i++)
    g_thread_join (visitors[i].thread);
  g_assert_cmpuint (count_threads ("npuenc-cpu"), ==, 2);
  stop_transcriber (stays);
  encoder_rig_free (rig);
  g_assert_cmpuint (count_threads ("npuenc-cpu"), ==, 0);
}

/* --- pools --------------------------------------------------------------- */

/* Puts an element into the pool that its name says, as an application does. */
static GstBusSyncReply
answer (GstBus *bus, GstMessage *message, gpointer user_data)
{
  g_autoptr (GstContext) context = NULL;
  const char *type;

  if (GST_MESSAGE_TYPE (message) != GST_MESSAGE_NEED_CONTEXT ||
      !gst_message_parse_context_type (message, &type) ||
      !g_str_equal (type, "npuenc.device"))
    return GST_BUS_PASS;
  context = gst_context_new (type, TRUE);
  gst_structure_set (gst_context_writable_structure (context), "pool",
      G_TYPE_STRING, GST_MESSAGE_SRC_NAME (message), NULL);
  gst_element_set_context (GST_ELEMENT (GST_MESSAGE_SRC (message)), context);
  return GST_BUS_DROP;
}

static GstElement *
start_in_pool (GstBus *bus, const char *pool)
{
  GstElement *element = gst_element_factory_make ("npuencoder", pool);

  g_object_set (element, "model", TINY, "threads", 2, "device", "cpu", NULL);
  gst_element_set_bus (element, bus);
  g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), !=,
      GST_STATE_CHANGE_FAILURE);
  return element;
}

static void
stop (GstElement *element)
{
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
}

/* An application that answers need-context has as many pools as it wants. */
static void
test_pools (void)
{
  g_autoptr (GstBus) bus = gst_bus_new ();
  GstElement *one, *two, *first;

  first = start_in_pool (bus, "alone");
  g_assert_cmpuint (count_threads ("npuenc-cpu"), ==, 2);
  gst_bus_set_sync_handler (bus, answer, NULL, NULL);
  one = start_in_pool (bus, "one");
  g_assert_cmpuint (count_threads ("npuenc-cpu"), ==, 4);
  two = start_in_pool (bus, "two");
  g_assert_cmpuint (count_threads ("npuenc-cpu"), ==, 6);
  stop (first);
  stop (one);
  stop (two);
  g_assert_cmpuint (count_threads ("npuenc-cpu"), ==, 0);
}

int
main (int argc, char **argv)
{
  encoder_test_init (&argc, &argv);
  g_test_add_func (
      "/npuencoder/sharing/workers-and-memory", test_workers_and_memory);
  g_test_add_func ("/npuencoder/sharing/come-and-go", test_come_and_go);
  g_test_add_func ("/npuencoder/sharing/whole-pipelines", test_whole_pipelines);
  g_test_add_func ("/npuencoder/sharing/pools", test_pools);
  return g_test_run ();
}
