/* What npuencoder says when an NPU fails it: with device=xrt an error of the
 * domain and code that docs/npu.md promises, with device=auto a warning, and
 * the CPU goes on.
 *
 * usage: test-xrt-element-errors OVERLAYS
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>
#include <sys/resource.h>

#include "element-rig.h"

/* GLib passes no arguments on to a test's child. */
#define OVERLAYS_OF_CHILD "NPUENC_TEST_OVERLAYS"

static const char *overlays;

#define STREAM(code) GST_STREAM_ERROR, GST_STREAM_ERROR_##code
#define RESOURCE(code) GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_##code

/* An element that is not started: (transfer full). */
static GstElement *
new_element (const char *device, const char *directory, guint timeout)
{
  GstElement *element = gst_element_factory_make ("npuencoder", NULL);

  gst_object_ref_sink (element);
  g_object_set (element, "model", TINY, "device", device, "overlays", directory,
      "precision", BF16, "threads", 2, "timeout", timeout, NULL);
  return element;
}

/* Fails the test unless the element ends in this error, at the start or in its
 * first windows. */
static void
check_error (GstElement *element, GQuark domain, int code, const char *part)
{
  g_autoptr (GstBus) bus = gst_bus_new ();
  GstHarness *harness = NULL;
  guint n = 0;

  gst_element_set_bus (element, bus);
  if (gst_element_set_state (element, GST_STATE_PAUSED) !=
      GST_STATE_CHANGE_FAILURE) {
    harness = gst_harness_new_with_element (element, "sink", "src");
    gst_harness_set_src_caps (harness, encoder_mel_caps (N_FRAMES));
    while (gst_harness_push (harness, encoder_mel_buffer (N_FRAMES, n, 0)) ==
           GST_FLOW_OK)
      g_assert_cmpuint (++n, <, 3);
  }
  encoder_check_error (bus, domain, code, part, NULL);
  gst_element_set_bus (element, NULL);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_object_unref (element);
  if (harness)
    gst_harness_teardown (harness);
  rig_sim ("fail", "");
  rig_assert_clean ();
}

/* Fails the test unless the CPU encodes, and the element's one warning at the
 * start has @part; without, if there is one. */
static void
check_auto (const char *directory, const char *part)
{
  EncoderRig *rig = element_rig_new ("auto", directory, BF16);
  GQueue told = G_QUEUE_INIT;
  g_autoptr (GBytes) expected = element_rig_cpu_states (BF16, 0);
  g_autoptr (GBytes) states = NULL;
  g_autofree char *device = NULL;
  GError *error;

  g_assert_null (element_rig_take_messages (rig, &told));
  error = g_queue_pop_head (&told);
  if (part)
    element_rig_check (error, RESOURCE (OPEN_READ_WRITE), part);
  else
    g_assert_no_error (error);
  g_clear_error (&error);
  for (guint i = 0; i < 2; i++) {
    g_clear_pointer (&states, g_bytes_unref);
    states = element_rig_push (rig, i, 0);
    g_assert_nonnull (states);
    g_assert_true (g_bytes_equal (states, expected));
    g_free (device);
    device = element_rig_take_messages (rig, &told);
    g_assert_cmpstr (device, ==, "cpu");
  }
  g_assert_cmpuint (told.length, ==, 0);
  encoder_rig_free (rig);
  rig_sim ("fail", "");
  rig_assert_clean ();
}

/* --- the device --------------------------------------------------------- */

static void
test_open (void)
{
  static const struct {
    const char *fail, *part;
  } cases[] = {
      {"access", "no permission for /dev/accel/accel0"},
      {"busy-open", "is busy"},
      {"old", "has a driver that is too old"},
  };
  const GstResourceError codes[] = {GST_RESOURCE_ERROR_OPEN_READ_WRITE,
      GST_RESOURCE_ERROR_BUSY, GST_RESOURCE_ERROR_OPEN_READ_WRITE};

  rig_sim ("latency_us", "20000"); /* there is something to wait for */
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    rig_sim ("fail", cases[i].fail);
    check_error (new_element ("xrt", overlays, 600000), GST_RESOURCE_ERROR,
        (int) codes[i], cases[i].part);
  }
  rig_sim ("latency_us", "0");
  for (gsize i = 0; i < 2; i++) {
    rig_sim ("fail", cases[i].fail);
    check_auto (overlays, cases[i].part);
  }
  check_error (new_element ("xrt:1", overlays, 600000), RESOURCE (NOT_FOUND),
      "there is no device xrt:1");
  check_error (new_element ("xrt", NULL, 600000), RESOURCE (SETTINGS),
      "needs the property 'overlays'");
}

static void
test_node (void)
{
  if (!g_test_subprocess ()) {
    /* XRT looks once, when it is loaded. */
    g_setenv ("NPUSIM_FAIL", "node", TRUE);
    g_setenv (OVERLAYS_OF_CHILD, overlays, TRUE);
    g_test_trap_subprocess (
        NULL, 120 * G_USEC_PER_SEC, G_TEST_SUBPROCESS_DEFAULT);
    g_unsetenv ("NPUSIM_FAIL");
    g_test_trap_assert_passed ();
    return;
  }
  check_error (new_element ("xrt", overlays, 600000), RESOURCE (NOT_FOUND),
      "there is no NPU");
  rig_sim ("fail", "node");
  check_auto (overlays, NULL);
}

static void
test_memory (void)
{
  struct rlimit before, small;

  g_assert_cmpint (getrlimit (RLIMIT_MEMLOCK, &before), ==, 0);
  small = (struct rlimit){65536, before.rlim_max};
  g_assert_cmpint (setrlimit (RLIMIT_MEMLOCK, &small), ==, 0);
  rig_sim ("fail", "memlock");
  check_error (new_element ("xrt", overlays, 600000), RESOURCE (FAILED),
      "the limit RLIMIT_MEMLOCK is 64 KiB");
  setrlimit (RLIMIT_MEMLOCK, &before);

  rig_sim ("fail", "memory:from=3");
  check_error (new_element ("xrt", overlays, 600000), RESOURCE (FAILED),
      "cannot make a buffer");
}

/* --- overlays ----------------------------------------------------------- */

#define GROUP                                                                  \
  "[gelu]\nop=gelu\nlayout=rows\nrows=64\nn=1536\na-type=bf16\nc-type=bf16\n"  \
  "args=x;y\n"

static void
test_overlays (void)
{
  g_auto (RigOverlay) good = {0};
  g_autofree char *garbage = g_malloc0 (100000);

  rig_overlay_load (&good, overlays, "gelu-1536");
  {
    char *const x = good.xclbin;
    const gsize nx = good.xclbin_size, ni = good.instructions_size;
    const struct {
      const char *keys;
      char *xclbin;
      gsize xclbin_size, instructions_size;
      GQuark domain;
      int code;
      const char *part;
    } cases[] = {
        {"", garbage, 100000, ni, STREAM (FORMAT),
            "is not an xclbin with its kernel and arguments"},
        {"", x, nx / 2, ni, STREAM (FORMAT),
            "is not an xclbin with its kernel and arguments"},
        {"kernel=GEMM\n", x, nx, ni, STREAM (FORMAT),
            "is not an xclbin with its kernel and arguments"},
        {"", x, nx, ni - 4, STREAM (FORMAT), "is cut off"},
        {"", x, nx, ni - 1, STREAM (FORMAT), "whole words"},
        {"", x, nx, 0, STREAM (FORMAT), "is empty"},
        {"generation=npu2\n", x, nx, ni, RESOURCE (SETTINGS),
            "is for npu2, but xrt:0 is an npu1"},
        {"instructions=none.bin\n", x, nx, ni, RESOURCE (NOT_FOUND),
            "overlays.ini: "},
        {"rows=63\n", x, nx, ni, RESOURCE (SETTINGS), "overlays.ini: "},
    };

    for (gsize j = 0; j < G_N_ELEMENTS (cases); j++) {
      const RigOverlay spoilt = {cases[j].xclbin, good.instructions,
          cases[j].xclbin_size, cases[j].instructions_size};
      char *folder = rig_folder_new (&spoilt, GROUP, cases[j].keys);

      check_error (new_element ("xrt", folder, 600000), cases[j].domain,
          cases[j].code, cases[j].part);
      check_auto (folder, cases[j].part);
      rig_folder_free (folder);
    }
  }
  check_error (new_element ("xrt", "/nowhere", 600000), RESOURCE (NOT_FOUND),
      "is not a directory");
  check_auto ("/nowhere", "There is no folder of overlays '/nowhere'");
}

/* --- launches ----------------------------------------------------------- */

static void
test_launches (void)
{
  const struct {
    const char *fail;
    guint timeout;
    GQuark domain;
    int code;
    const char *part;
  } cases[] = {
      {"context", 600000, RESOURCE (BUSY), "has no hardware context left"},
      {"busy", 600000, RESOURCE (BUSY), "has no hardware context left"},
      {"error:n=4", 600000, STREAM (ENCODE), "loaded again"},
      {"error:n=45", 600000, STREAM (ENCODE), "loaded again"},
      {"abort:n=4", 600000, STREAM (ENCODE), "loaded again"},
      {"submit:n=4", 600000, STREAM (ENCODE), "cannot launch"},
      {"hang:n=4", 200, RESOURCE (FAILED), "did not complete within 200 ms"},
      {"hang:n=4", 600000, STREAM (ENCODE), "the driver stopped it"},
      {"lost:n=4", 600000, RESOURCE (NOT_FOUND), "was lost"},
  };

  rig_sim ("watchdog_ms", "600");
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    rig_sim ("fail", cases[i].fail);
    check_error (new_element ("xrt", overlays, cases[i].timeout),
        cases[i].domain, cases[i].code, cases[i].part);
  }
  rig_sim ("watchdog_ms", "2000");
}

int
main (int argc, char **argv)
{
  rig_keep_stdout ();
  encoder_test_init (&argc, &argv);
  overlays = argc == 2 ? argv[1] : g_getenv (OVERLAYS_OF_CHILD);
  if (!overlays)
    g_error ("usage: %s OVERLAYS", argv[0]);
  g_test_add_func ("/xrt/element-errors/open", test_open);
  g_test_add_func ("/xrt/element-errors/node", test_node);
  g_test_add_func ("/xrt/element-errors/memory", test_memory);
  g_test_add_func ("/xrt/element-errors/overlays", test_overlays);
  g_test_add_func ("/xrt/element-errors/launches", test_launches);
  return g_test_run ();
}
