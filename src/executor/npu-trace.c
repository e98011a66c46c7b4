/* Writes the timeline: one JSON event a line, whole lines at a time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-trace.h"

#include <pthread.h>
#include <string.h>

#include "npu-clock.h"
#include "base/npu-output-file.h"

/* Events are written to the file in pieces of about this many bytes. */
#define BUFFER_SIZE 65536

struct _NpuTrace {
  guint64 origin; /* ns of the clock that are 0 in the file */
  /* Guards all below. Not a GMutex: ThreadSanitizer does not know those. */
  pthread_mutex_t lock;
  NpuOutputFile *file; /* NULL once it is closed, or writing failed */
  GError *failure;     /* of the first write that failed, or NULL */
  GString *buffer;
  GHashTable *lanes; /* name to thread id, from 1 */
};

/* With the lock. After a failure nothing is kept of the file. */
static void
flush (NpuTrace *trace)
{
  if (trace->file && !npu_output_file_write (trace->file, trace->buffer->str,
                         trace->buffer->len, &trace->failure))
    g_clear_pointer (&trace->file, npu_output_file_abandon);
  g_string_truncate (trace->buffer, 0);
}

/* With the lock. */
static gboolean
report (NpuTrace *trace, GError **error)
{
  if (!trace->failure)
    return TRUE;
  g_propagate_prefixed_error (
      error, g_error_copy (trace->failure), "there is no trace: ");
  return FALSE;
}

static void
append_string (GString *buffer, const char *text)
{
  g_string_append_c (buffer, '"');
  while (*text != '\0') {
    gunichar c = g_utf8_get_char_validated (text, -1);

    if (c == (gunichar) -1 || c == (gunichar) -2) {
      g_string_append (buffer, "\\ufffd");
      text++;
      continue;
    }
    if (c == '"' || c == '\\')
      g_string_append_c (buffer, '\\');
    if (c < 0x20)
      g_string_append_printf (buffer, "\\u%04x", c);
    else
      g_string_append_unichar (buffer, c);
    text = g_utf8_next_char (text);
  }
  g_string_append_c (buffer, '"');
}

static void
append_us (GString *buffer, const char *key, guint64 ns)
{
  g_string_append_printf (buffer, ",\"%s\":%" G_GUINT64_FORMAT ".%03u", key,
      ns / 1000, (guint) (ns % 1000));
}

static void
append_lane (NpuTrace *trace, const char *lane, guint id)
{
  GString *buffer = trace->buffer;

  g_string_append_printf (buffer,
      ",\n{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":1,\"tid\":%u,\"args\":{\"name\":",
      id);
  append_string (buffer, lane);
  g_string_append (buffer, "}}");
  g_string_append_printf (buffer,
      ",\n{\"ph\":\"M\",\"name\":\"thread_sort_index\",\"pid\":1,\"tid\":%u,\"args\":{\"sort_index\":%u}}",
      id, id);
}

static guint
find_lane (NpuTrace *trace, const char *lane)
{
  guint id = GPOINTER_TO_UINT (g_hash_table_lookup (trace->lanes, lane));

  if (id == 0) {
    id = g_hash_table_size (trace->lanes) + 1;
    g_hash_table_insert (trace->lanes, g_strdup (lane), GUINT_TO_POINTER (id));
    append_lane (trace, lane, id);
  }
  return id;
}

static void
add_event (NpuTrace *trace, const char *lane, const char *stage,
    const char *category, gboolean is_span, guint64 start, guint64 end,
    guint first_tile, guint n_tiles)
{
  GString *buffer = trace->buffer;
  gboolean is_compute = strcmp (category, "compute") == 0;
  guint id;

  start = MAX (start, trace->origin) - trace->origin;
  end = MAX (end, trace->origin) - trace->origin;

  pthread_mutex_lock (&trace->lock);
  if (trace->file) {
    id = find_lane (trace, lane);
    g_string_append (buffer, ",\n{\"name\":");
    append_string (buffer, is_compute ? stage : category);
    g_string_append (buffer, ",\"cat\":");
    append_string (buffer, category);
    g_string_append_printf (
        buffer, ",\"ph\":\"%s\",\"pid\":1,\"tid\":%u", is_span ? "X" : "i", id);
    append_us (buffer, "ts", start);
    if (is_span)
      append_us (buffer, "dur", MAX (start, end) - start);
    else
      g_string_append (buffer, ",\"s\":\"t\"");
    g_string_append (buffer, ",\"args\":{\"stage\":");
    append_string (buffer, stage);
    g_string_append_printf (
        buffer, ",\"first_tile\":%u,\"tiles\":%u}}", first_tile, n_tiles);
    if (buffer->len >= BUFFER_SIZE)
      flush (trace);
  }
  pthread_mutex_unlock (&trace->lock);
}

NpuTrace *
npu_trace_new (const char *location, GError **error)
{
  NpuOutputFile *file = npu_output_file_open (location, error);
  NpuTrace *trace;

  if (!file) {
    g_prefix_error (error, "there can be no trace: ");
    return NULL;
  }
  trace = g_new0 (NpuTrace, 1);
  trace->origin = npu_clock_ns ();
  pthread_mutex_init (&trace->lock, NULL);
  trace->file = file;
  trace->buffer = g_string_sized_new (BUFFER_SIZE + 1024);
  trace->lanes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  /* Every later event begins with the comma after the one before. */
  g_string_append (trace->buffer,
      "[\n{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":1,\"tid\":0,\"args\":{\"name\":\"npuencoder\"}}");
  return trace;
}

gboolean
npu_trace_flush (NpuTrace *trace, GError **error)
{
  gboolean done;

  pthread_mutex_lock (&trace->lock);
  flush (trace);
  done = report (trace, error);
  pthread_mutex_unlock (&trace->lock);
  return done;
}

gboolean
npu_trace_check (NpuTrace *trace, GError **error)
{
  gboolean done;

  pthread_mutex_lock (&trace->lock);
  done = report (trace, error);
  pthread_mutex_unlock (&trace->lock);
  return done;
}

gboolean
npu_trace_close (NpuTrace *trace, GError **error)
{
  gboolean done;

  pthread_mutex_lock (&trace->lock);
  g_string_append (trace->buffer, "\n]\n");
  flush (trace);
  if (trace->file) {
    npu_output_file_close (trace->file, &trace->failure);
    trace->file = NULL;
  }
  done = report (trace, error);
  g_clear_error (&trace->failure);
  pthread_mutex_unlock (&trace->lock);
  return done;
}

void
npu_trace_free (NpuTrace *trace)
{
  if (trace == NULL)
    return;
  npu_trace_close (trace, NULL);
  pthread_mutex_destroy (&trace->lock);
  g_string_free (trace->buffer, TRUE);
  g_hash_table_unref (trace->lanes);
  g_free (trace);
}

void
npu_trace_add_lane (NpuTrace *trace, const char *lane)
{
  pthread_mutex_lock (&trace->lock);
  if (trace->file)
    find_lane (trace, lane);
  pthread_mutex_unlock (&trace->lock);
}

void
npu_trace_add (NpuTrace *trace, const char *lane, const char *stage,
    const char *category, guint64 start, guint64 end, guint first_tile,
    guint n_tiles)
{
  add_event (
      trace, lane, stage, category, TRUE, start, end, first_tile, n_tiles);
}

void
npu_trace_mark (NpuTrace *trace, const char *lane, const char *stage,
    const char *category, guint64 time, guint first_tile, guint n_tiles)
{
  add_event (
      trace, lane, stage, category, FALSE, time, time, first_tile, n_tiles);
}
