/* The timeline: valid JSON at any time, and what an executor writes there
 * agrees with its statistics to the nanosecond.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor/npu-executor.h"
#include "executor/npu-trace.h"
#include "executor-rig.h"
#include "fake-device.h"
#include "npu-clock.h"

#ifdef HAVE_JSON_GLIB
#include <json-glib/json-glib.h>

#define MS ((guint64) 1000000)
#define SECOND ((guint64) 1000000000)

static char *
new_path (void)
{
  char *path = NULL;
  int fd = g_file_open_tmp ("npu-trace-XXXXXX.json", &path, NULL);

  g_assert_cmpint (fd, >=, 0);
  g_close (fd, NULL);
  return path;
}

static JsonParser *
parse (const char *path)
{
  JsonParser *parser = json_parser_new ();
  g_autofree char *text = NULL;
  GError *error = NULL;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_utf8_validate (text, -1, NULL));
  json_parser_load_from_data (parser, text, -1, &error);
  g_assert_no_error (error);
  return parser;
}

static JsonArray *
events_of (JsonParser *parser)
{
  return json_node_get_array (json_parser_get_root (parser));
}

static gboolean
is_phase (JsonObject *event, const char *phase)
{
  return strcmp (json_object_get_string_member (event, "ph"), phase) == 0;
}

static gint64
get_ns (JsonObject *event, const char *member)
{
  return llround (1000.0 * json_object_get_double_member (event, member));
}

/* Name of the thread that @event is on. */
static const char *
lane_of (JsonArray *events, JsonObject *event)
{
  guint i;

  for (i = 0; i < json_array_get_length (events); i++) {
    JsonObject *other = json_array_get_object_element (events, i);

    if (is_phase (other, "M") &&
        strcmp (json_object_get_string_member (other, "name"), "thread_name") ==
            0 &&
        json_object_get_int_member (other, "tid") ==
            json_object_get_int_member (event, "tid"))
      return json_object_get_string_member (
          json_object_get_object_member (other, "args"), "name");
  }
  g_assert_not_reached ();
}

/* --- the file --------------------------------------------------------- */

static void
test_events (void)
{
  g_autofree char *path = new_path ();
  g_autoptr (NpuTrace) trace = npu_trace_new (path, NULL);
  g_autoptr (JsonParser) parser = NULL;
  JsonObject *span = NULL, *mark = NULL, *args;
  guint64 now = npu_clock_ns ();
  GError *error = NULL;
  JsonArray *events;
  guint i;

  npu_trace_add (trace, "slot 0", "block 0 attention", "compute", now + 1000000,
      now + 1001001, 24, 3);
  npu_trace_mark (trace, "host", "block 0 attention", "stall", now, 27, 1);
  g_assert_true (npu_trace_close (trace, &error));
  g_assert_no_error (error);
  /* Too late, and harmless. */
  npu_trace_mark (trace, "host", "late", "stall", now, 0, 1);
  g_assert_true (npu_trace_close (trace, &error));

  parser = parse (path);
  events = events_of (parser);
  for (i = 0; i < json_array_get_length (events); i++) {
    JsonObject *event = json_array_get_object_element (events, i);

    g_assert_cmpint (json_object_get_int_member (event, "pid"), ==, 1);
    if (is_phase (event, "X"))
      span = event;
    else if (is_phase (event, "i"))
      mark = event;
    else
      g_assert_true (is_phase (event, "M"));
  }

  g_assert_nonnull (span);
  g_assert_cmpstr (lane_of (events, span), ==, "slot 0");
  g_assert_cmpstr (
      json_object_get_string_member (span, "name"), ==, "block 0 attention");
  g_assert_cmpstr (json_object_get_string_member (span, "cat"), ==, "compute");
  g_assert_cmpint (get_ns (span, "dur"), ==, 1001);
  args = json_object_get_object_member (span, "args");
  g_assert_cmpstr (
      json_object_get_string_member (args, "stage"), ==, "block 0 attention");
  g_assert_cmpint (json_object_get_int_member (args, "first_tile"), ==, 24);
  g_assert_cmpint (json_object_get_int_member (args, "tiles"), ==, 3);

  g_assert_nonnull (mark);
  g_assert_cmpstr (lane_of (events, mark), ==, "host");
  g_assert_cmpstr (json_object_get_string_member (mark, "name"), ==, "stall");
  g_assert_cmpint (get_ns (span, "ts") - get_ns (mark, "ts"), ==, 1000000);
  g_remove (path);
}

static void
test_strings (void)
{
  static const struct {
    const char *name, *read;
  } names[] = {
      {"", ""},
      {"a \"quoted\" \\ name\n\t\x01\x1f/",
          "a \"quoted\" \\ name\n\t\x01\x1f/"},
      {"Größe 世界 🎤", "Größe 世界 🎤"},
      {"broken \xff\xc3( end", "broken \xef\xbf\xbd\xef\xbf\xbd( end"},
      {"cut \xe4\xb8", "cut \xef\xbf\xbd\xef\xbf\xbd"},
  };
  g_autofree char *path = new_path ();
  g_autoptr (NpuTrace) trace = npu_trace_new (path, NULL);
  g_autoptr (JsonParser) parser = NULL;
  guint i, n_seen = 0;
  JsonArray *events;

  for (i = 0; i < G_N_ELEMENTS (names); i++)
    npu_trace_add (trace, names[i].name, names[i].name, "compute", 0, 1, 0, 1);
  g_assert_true (npu_trace_close (trace, NULL));

  parser = parse (path);
  events = events_of (parser);
  for (i = 0; i < json_array_get_length (events); i++) {
    JsonObject *event = json_array_get_object_element (events, i);

    if (!is_phase (event, "X"))
      continue;
    g_assert_cmpstr (
        json_object_get_string_member (event, "name"), ==, names[n_seen].read);
    g_assert_cmpstr (lane_of (events, event), ==, names[n_seen].read);
    /* From before the trace was opened. */
    g_assert_cmpint (get_ns (event, "ts"), ==, 0);
    g_assert_cmpint (get_ns (event, "dur"), ==, 0);
    n_seen++;
  }
  g_assert_cmpuint (n_seen, ==, G_N_ELEMENTS (names));
  g_remove (path);
}

static void *
add_many (void *data)
{
  NpuTrace *trace = data;
  guint64 now = npu_clock_ns ();
  guint i;

  for (i = 0; i < 2000; i++)
    npu_trace_add (trace, i % 2 ? "slot 1" : "slot 0", "stage", "compute",
        now + i, now + i + 1, i, 1);
  return NULL;
}

typedef struct {
  char *path;
  GString *text;
} Reader;

static void *
read_all (void *data)
{
  Reader *reader = data;
  int fd = g_open (reader->path, O_RDONLY, 0);
  char part[4096];
  gssize n;

  while ((n = read (fd, part, sizeof part)) > 0)
    g_string_append_len (reader->text, part, n);
  g_close (fd, NULL);
  return NULL;
}

/* The file is there when it is whole; a FIFO's reader gets it as it grows. */
static void
test_many_events (gconstpointer to_fifo)
{
  g_autofree char *path = new_path ();
  Reader reader = {path, g_string_new (NULL)};
  g_autoptr (NpuTrace) trace = NULL;
  g_autoptr (JsonParser) parser = NULL;
  GThread *threads[4], *read = NULL;
  guint i, n_spans = 0;
  JsonArray *events;

  if (to_fifo) {
    g_remove (path);
    g_assert_cmpint (mkfifo (path, 0600), ==, 0);
    read = g_thread_new ("read", read_all, &reader);
    while (!(trace = npu_trace_new (path, NULL)))
      g_thread_yield (); /* until the reader is there */
  } else {
    trace = npu_trace_new (path, NULL);
  }
  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("add", add_many, trace);
  for (i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  if (!to_fifo) {
    g_autofree char *before = NULL;

    g_assert_true (g_file_get_contents (path, &before, NULL, NULL));
    g_assert_cmpstr (before, ==, "");
  }
  g_assert_true (npu_trace_close (trace, NULL));
  if (read) {
    g_thread_join (read);
    g_remove (path);
    g_file_set_contents (path, reader.text->str, -1, NULL);
  }

  parser = parse (path);
  events = events_of (parser);
  for (i = 0; i < json_array_get_length (events); i++)
    n_spans += is_phase (json_array_get_object_element (events, i), "X");
  g_assert_cmpuint (n_spans, ==, 8000);
  /* The process, and a name and a place for each of two lanes. */
  g_assert_cmpuint (json_array_get_length (events), ==, 8000 + 1 + 2 * 2);
  g_string_free (reader.text, TRUE);
  g_remove (path);
}

static void
test_cannot_open (void)
{
  g_autofree char *path = new_path ();
  g_autofree char *below = g_build_filename (path, "trace.json", NULL);
  GError *error = NULL;

  g_assert_null (npu_trace_new (below, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_OPEN);
  g_assert_nonnull (strstr (error->message, below));
  g_clear_error (&error);
  g_remove (path);
}

static void
test_disk_full (void)
{
  NpuTrace *trace;
  GError *error = NULL;
  guint round, i;

  if (!g_file_test ("/dev/full", G_FILE_TEST_EXISTS)) {
    g_test_skip ("no /dev/full here to write to");
    return;
  }
  /* Found when the file is closed, or long before. */
  for (round = 0; round < 2; round++) {
    trace = npu_trace_new ("/dev/full", &error);
    g_assert_no_error (error);
    for (i = 0; i < (round == 0 ? 1 : 5000); i++)
      npu_trace_add (trace, "slot 0", "stage", "compute", 0, 1, 0, 1);
    g_assert_false (npu_trace_flush (trace, NULL));
    g_assert_false (npu_trace_check (trace, NULL));
    g_assert_false (npu_trace_close (trace, &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_FAILED);
    g_assert_true (npu_trace_close (trace, NULL));
    g_assert_nonnull (strstr (error->message, "there is no trace"));
    g_assert_nonnull (strstr (error->message, "'/dev/full'"));
    g_assert_true (g_str_has_suffix (error->message, g_strerror (ENOSPC)));
    g_clear_error (&error);
    npu_trace_free (trace);
  }
}

/* --- an executor's ---------------------------------------------------- */

typedef struct {
  gint64 start, end;
} Span;

static int
compare_spans (gconstpointer a, gconstpointer b)
{
  const Span *x = a, *y = b;

  if (x->start != y->start)
    return x->start < y->start ? -1 : 1;
  return x->end < y->end ? -1 : x->end > y->end;
}

static GArray *
spans_of (JsonArray *events, const char *category, const char *lane)
{
  GArray *spans = g_array_new (FALSE, FALSE, sizeof (Span));
  guint i;

  for (i = 0; i < json_array_get_length (events); i++) {
    JsonObject *event = json_array_get_object_element (events, i);
    Span span;

    if (is_phase (event, "M"))
      continue;
    if (category != NULL &&
        strcmp (json_object_get_string_member (event, "cat"), category) != 0)
      continue;
    if (lane != NULL && strcmp (lane_of (events, event), lane) != 0)
      continue;
    span.start = span.end = get_ns (event, "ts");
    if (is_phase (event, "X"))
      span.end += get_ns (event, "dur");
    g_array_append_val (spans, span);
  }
  g_array_sort (spans, compare_spans);
  return spans;
}

static guint64
sum_of (JsonArray *events, const char *category)
{
  g_autoptr (GArray) spans = spans_of (events, category, NULL);
  guint64 sum = 0;
  guint i;

  for (i = 0; i < spans->len; i++) {
    const Span *span = &g_array_index (spans, Span, i);

    sum += (guint64) (span->end - span->start);
  }
  return sum;
}

static guint64
union_of (JsonArray *events, const char *category)
{
  g_autoptr (GArray) spans = spans_of (events, category, NULL);
  gint64 sum = 0, until = 0;
  guint i;

  for (i = 0; i < spans->len; i++) {
    const Span *span = &g_array_index (spans, Span, i);

    sum += MAX (span->end - MAX (span->start, until), 0);
    until = MAX (until, span->end);
  }
  return (guint64) sum;
}

static guint
count_of (JsonArray *events, const char *category)
{
  g_autoptr (GArray) spans = spans_of (events, category, NULL);

  return spans->len;
}

/* Names of the lanes from top to bottom, a line each. */
static char *
lanes_of (JsonArray *events)
{
  GString *lanes = g_string_new (NULL);
  gint64 place = 0;
  guint i;

  for (i = 0; i < json_array_get_length (events); i++) {
    JsonObject *event = json_array_get_object_element (events, i);
    JsonObject *args;

    if (strcmp (json_object_get_string_member (event, "name"),
            "thread_sort_index") != 0)
      continue;
    args = json_object_get_object_member (event, "args");
    g_assert_cmpint (
        json_object_get_int_member (args, "sort_index"), ==, ++place);
    g_string_append (lanes, lane_of (events, event));
    g_string_append_c (lanes, '\n');
  }
  return g_string_free (lanes, FALSE);
}

static void
assert_disjoint (JsonArray *events, const char *lane)
{
  g_autoptr (GArray) spans = spans_of (events, NULL, lane);
  guint i;

  g_assert_cmpuint (spans->len, >, 0);
  for (i = 1; i < spans->len; i++)
    g_assert_cmpint (g_array_index (spans, Span, i - 1).end, <=,
        g_array_index (spans, Span, i).start);
}

static void
check_executor_trace (const FakeOptions *options, guint depth)
{
  g_autofree char *path = new_path ();
  g_autoptr (NpuTrace) trace = npu_trace_new (path, NULL);
  g_autoptr (NpuDevice) device = fake_device_new (options);
  g_autoptr (Rig) rig = rig_new (device, depth, 24, 2, 60 * SECOND);
  g_autoptr (JsonParser) parser = NULL;
  GError *error = NULL;
  g_autoptr (GString) expected_lanes = g_string_new ("host\n");
  g_autofree char *lanes = NULL;
  JsonArray *events;
  NpuStats stats;
  guint slot;

  npu_executor_set_trace (rig->executor, trace);
  rig->stage.needs = NPU_NEEDS_SAME_ROWS;
  rig_run (rig, 2, &error);
  g_assert_no_error (error);
  npu_executor_set_trace (rig->executor, NULL);
  npu_executor_get_run_stats (rig->executor, &stats);
  rig_run (rig, 2, &error);
  g_assert_no_error (error);
  g_assert_true (npu_trace_close (trace, NULL));

  parser = parse (path);
  events = events_of (parser);
  g_assert_cmpuint (count_of (events, "compute"), ==, stats.launches);
  g_assert_cmpuint (count_of (events, "queue"), ==, stats.launches);
  g_assert_cmpuint (count_of (events, "stall"), ==, stats.stalls);
  g_assert_cmpuint (count_of (events, "error"), ==, 0);
  g_assert_cmpuint (sum_of (events, "dma-write"), ==, stats.dma_write_time);
  g_assert_cmpuint (sum_of (events, "dma-read"), ==, stats.dma_read_time);
  g_assert_cmpuint (union_of (events, "compute"), ==, stats.compute_time);
  g_assert_cmpuint (sum_of (events, "wait"), <=, stats.total_time);
  for (slot = 0; slot < depth; slot++) {
    g_autofree char *lane = g_strdup_printf ("slot %u", slot);

    assert_disjoint (events, lane);
    g_string_append_printf (expected_lanes, "%s\n", lane);
  }
  lanes = lanes_of (events);
  g_assert_cmpstr (lanes, ==, expected_lanes->str);
  g_remove (path);
}

static void
test_agrees_with_stats (void)
{
  FakeOptions workers = {
      .n_workers = 3,
      .launch_time = MS / 4,
      .sync_time = 20000,
      .scramble = TRUE,
      .tile = rig_tile,
  };
  FakeOptions fast = {.mode = FAKE_AT_ONCE, .tile = rig_tile};
  guint depth;

  for (depth = 1; depth <= 5; depth++) {
    check_executor_trace (&workers, depth);
    check_executor_trace (&fast, depth);
  }
}

static void
test_shows_errors (void)
{
  FakeOptions slow = {.mode = FAKE_ON_WAIT, .tile = rig_tile};
  g_autofree char *path = new_path ();
  g_autoptr (NpuTrace) trace = npu_trace_new (path, NULL);
  g_autoptr (NpuDevice) device = fake_device_new (&slow);
  g_autoptr (Rig) rig = rig_new (device, 3, 10, 1, SECOND);
  g_autoptr (JsonParser) parser = NULL;

  npu_executor_set_trace (rig->executor, trace);
  fake_device_fail_launch_at (device, 4);
  g_assert_false (rig_run (rig, 1, NULL));
  g_assert_true (npu_trace_close (trace, NULL));
  parser = parse (path);
  g_assert_cmpuint (count_of (events_of (parser), "error"), ==, 1);
  g_assert_cmpuint (count_of (events_of (parser), "compute"), ==, 4);
  g_remove (path);
}

static void
add_tests (void)
{
  g_test_add_func ("/trace/events-name-lane-stage-and-tiles", test_events);
  g_test_add_func ("/trace/any-name-makes-valid-json", test_strings);
  g_test_add_data_func (
      "/trace/whole-events-while-threads-add", NULL, test_many_events);
  g_test_add_data_func ("/trace/whole-events-in-a-fifo", GINT_TO_POINTER (TRUE),
      test_many_events);
  g_test_add_func ("/trace/a-file-that-cannot-be-opened", test_cannot_open);
  g_test_add_func ("/trace/close-reports-a-full-disk", test_disk_full);
  g_test_add_func (
      "/trace/executor-agrees-with-statistics", test_agrees_with_stats);
  g_test_add_func ("/trace/executor-marks-errors", test_shows_errors);
}

#else

static void
test_nothing (void)
{
  g_test_skip ("built without json-glib-1.0");
}

static void
add_tests (void)
{
  g_test_add_func ("/trace/is-valid-json", test_nothing);
}

#endif

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_tests ();
  return g_test_run ();
}
