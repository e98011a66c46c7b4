/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench-svg.h"

#include <math.h>
#include <string.h>

#include "npu-error.h"
#include "base/npu-output-file.h"

#define LEFT 84
#define RIGHT 24
#define TOP 92
#define ROW 34 /* from lane to lane */
#define BAR 24
#define MIN_WIDTH 1500.0
#define MAX_WIDTH 6000.0
#define LAUNCH_WIDTH 22.0 /* of the picture, for each launch */

/* --- reading ----------------------------------------------------------- */

typedef struct {
  guint lane; /* thread id */
  gboolean is_span;
  char *category, *stage;
  double start, duration; /* us */
  guint first_tile, n_tiles;
} Event;

typedef struct {
  GHashTable *lanes; /* thread id: name */
  guint n_lanes;     /* the largest id */
  GArray *events;    /* of Event */
  double start, end;
  guint n_launches;
} Timeline;

static void
event_clear (gpointer data)
{
  Event *event = data;

  g_free (event->category);
  g_free (event->stage);
}

static void
timeline_clear (Timeline *timeline)
{
  g_hash_table_unref (timeline->lanes);
  g_array_unref (timeline->events);
}

/* The number after "key": in a line of the trace, or 0. */
static double
number_of (const char *line, const char *key)
{
  g_autofree char *quoted = g_strdup_printf ("\"%s\":", key);
  const char *found = strstr (line, quoted);

  return found != NULL ? g_ascii_strtod (found + strlen (quoted), NULL) : 0;
}

/* The text after "key": as it stands there; the last one in the line, since
 * a lane's name follows that of its event. */
static char *
text_of (const char *line, const char *key)
{
  g_autofree char *quoted = g_strdup_printf ("\"%s\":\"", key);
  const char *found = g_strrstr (line, quoted);
  const char *end;

  if (found == NULL)
    return g_strdup ("");
  found += strlen (quoted);
  for (end = found; *end != '\0' && *end != '"'; end++)
    if (*end == '\\' && end[1] != '\0')
      end++;
  return g_strndup (found, (gsize) (end - found));
}

static void
read_line (Timeline *timeline, const char *line)
{
  const guint lane = (guint) number_of (line, "tid");
  Event event = {.lane = lane};

  if (strstr (line, "\"thread_name\"") != NULL) {
    g_hash_table_insert (
        timeline->lanes, GUINT_TO_POINTER (lane), text_of (line, "name"));
    timeline->n_lanes = MAX (timeline->n_lanes, lane);
  }
  if (strstr (line, "\"ts\":") == NULL)
    return;
  event.is_span = strstr (line, "\"ph\":\"X\"") != NULL;
  event.category = text_of (line, "cat");
  event.stage = text_of (line, "stage");
  event.start = number_of (line, "ts");
  event.duration = number_of (line, "dur");
  event.first_tile = (guint) number_of (line, "first_tile");
  event.n_tiles = (guint) number_of (line, "tiles");
  timeline->start = MIN (timeline->start, event.start);
  timeline->end = MAX (timeline->end, event.start + event.duration);
  timeline->n_launches += strcmp (event.category, "queue") == 0;
  g_array_append_val (timeline->events, event);
}

static gboolean
read_trace (const char *location, Timeline *timeline, GError **error)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents (location, &text, NULL, error))
    return FALSE;
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    read_line (timeline, lines[i]);
  if (timeline->events->len == 0) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_FORMAT,
        "the trace '%s' has no events to draw", location);
    return FALSE;
  }
  return TRUE;
}

/* --- drawing ----------------------------------------------------------- */

/* Categories, with a colour each; two shades of compute, by turns of stages. */
static const struct {
  const char *category, *colour, *text;
} colours[] = {
    {"dma-write", "#2f6fb7", "dma-write"},
    {"compute", "#3f9a5a", "compute"},
    {"dma-read", "#e08a1e", "dma-read"},
    {"queue", "#d9dce1", "queued"},
    {"wait", "#b9a6d3", "host waits"},
};
#define OTHER_COMPUTE "#86c98f"
#define STALL "#c8102e"

typedef struct {
  GString *out;
  const Timeline *timeline;
  double scale; /* pixels a us */
  double width;
  GHashTable *shades; /* stages by turns: name to number, from 1 */
} Drawing;

static const char *
colour_of (Drawing *drawing, const Event *event)
{
  guint shade;

  for (guint i = 0; i < G_N_ELEMENTS (colours); i++) {
    if (strcmp (event->category, colours[i].category) != 0)
      continue;
    if (strcmp (event->category, "compute") != 0)
      return colours[i].colour;
    shade =
        GPOINTER_TO_UINT (g_hash_table_lookup (drawing->shades, event->stage));
    return shade % 2 ? colours[i].colour : OTHER_COMPUTE;
  }
  return "#888";
}

static double
x_of (const Drawing *drawing, double us)
{
  return LEFT + (us - drawing->timeline->start) * drawing->scale;
}

static double
y_of (guint lane)
{
  return TOP + (lane - 1) * (double) ROW;
}

/* The one label that fits inside a bar, or nothing. */
static void
draw_label (Drawing *drawing, const Event *event, double x, double width)
{
  g_autofree char *tiles = event->n_tiles == 1
                               ? g_strdup_printf ("%u", event->first_tile)
                               : g_strdup_printf ("%u-%u", event->first_tile,
                                     event->first_tile + event->n_tiles - 1);
  g_autofree char *both = g_strdup_printf ("%s %s", event->stage, tiles);
  const char *text = both;

  if (strcmp (event->category, "compute") != 0)
    return;
  if (6.2 * (double) strlen (text) > width)
    text = tiles;
  if (6.6 * (double) strlen (text) > width)
    return;
  g_string_append_printf (drawing->out,
      "<text class=\"in\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", x + width / 2,
      y_of (event->lane) + BAR / 2.0 + 4, text);
}

static void
draw_span (Drawing *drawing, const Event *event)
{
  const double x = x_of (drawing, event->start);
  const double width = MAX (event->duration * drawing->scale, 0.6);
  const gboolean is_thin = strcmp (event->category, "queue") == 0;
  const double inset = is_thin ? BAR / 3.0 : 0;
  g_autofree char *stage = g_markup_escape_text (event->stage, -1);

  g_string_append_printf (drawing->out,
      "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" "
      "fill=\"%s\"><title>%s: %s, tiles %u to %u, %.1f us from %.1f us"
      "</title></rect>\n",
      x, y_of (event->lane) + inset, width, BAR - 2 * inset,
      colour_of (drawing, event), event->category, stage, event->first_tile,
      event->first_tile + MAX (event->n_tiles, 1) - 1, event->duration,
      event->start - drawing->timeline->start);
  draw_label (drawing, event, x, width);
}

/* A stall: a red line through all lanes, with a head above them. */
static void
draw_mark (Drawing *drawing, const Event *event)
{
  const double x = x_of (drawing, event->start);
  const double bottom = y_of (drawing->timeline->n_lanes) + BAR + 4;

  g_string_append_printf (drawing->out,
      "<g class=\"stall\"><title>%s: the device had run dry before tile %u, "
      "at %.1f us</title><path d=\"M%.2f %d v%.1f\"/><path d=\"M%.2f %d l-4 -7 "
      "h8 z\"/></g>\n",
      event->category, event->first_tile,
      event->start - drawing->timeline->start, x, TOP - 6, bottom - TOP + 6, x,
      TOP - 5);
}

static void
draw_legend (Drawing *drawing, const char *title)
{
  g_autofree char *escaped = g_markup_escape_text (title, -1);
  GString *out = drawing->out;
  double x = LEFT;

  g_string_append_printf (out,
      "<text class=\"title\" x=\"%d\" y=\"26\">%s</text>\n", LEFT, escaped);
  for (guint i = 0; i < G_N_ELEMENTS (colours); i++) {
    g_string_append_printf (out,
        "<rect x=\"%.0f\" y=\"42\" width=\"16\" height=\"14\" fill=\"%s\"/>"
        "<text x=\"%.0f\" y=\"54\">%s</text>\n",
        x, colours[i].colour, x + 22, colours[i].text);
    x += 48 + 7.0 * (double) strlen (colours[i].text);
  }
  g_string_append_printf (out,
      "<g class=\"stall\"><path d=\"M%.0f 42 v14\"/><path d=\"M%.0f 47 l-4 -7 "
      "h8 z\"/></g><text x=\"%.0f\" y=\"54\">stall: the device ran "
      "dry</text>\n",
      x + 8, x + 8, x + 22);
}

/* Lines at round times, ten or so of them. */
static void
draw_axis (Drawing *drawing)
{
  const double span = drawing->timeline->end - drawing->timeline->start;
  const double rough = span / (drawing->width / 140.0);
  double step = pow (10, floor (log10 (MAX (rough, 1e-3))));
  const double bottom = y_of (drawing->timeline->n_lanes) + ROW;

  step *= rough / step > 5 ? 10 : rough / step > 2 ? 5 : 2;
  for (double us = 0; us <= span; us += step) {
    const double x = LEFT + us * drawing->scale;

    g_string_append_printf (drawing->out,
        "<path class=\"grid\" d=\"M%.1f %d V%.1f\"/><text class=\"tick\" "
        "x=\"%.1f\" y=\"%.1f\">",
        x, TOP - 8, bottom, x, bottom + 16);
    if (span >= 10000)
      g_string_append_printf (drawing->out, "%g ms</text>\n", us / 1000);
    else
      g_string_append_printf (drawing->out, "%g us</text>\n", us);
  }
}

static void
draw_lanes (Drawing *drawing)
{
  const Timeline *timeline = drawing->timeline;

  for (guint lane = 1; lane <= timeline->n_lanes; lane++) {
    const char *name =
        g_hash_table_lookup (timeline->lanes, GUINT_TO_POINTER (lane));

    g_string_append_printf (drawing->out,
        "<rect class=\"lane\" x=\"%d\" y=\"%.1f\" width=\"%.1f\" "
        "height=\"%d\"/><text class=\"name\" x=\"%d\" y=\"%.1f\">%s</text>\n",
        LEFT, y_of (lane), drawing->width, BAR, LEFT - 10,
        y_of (lane) + BAR / 2.0 + 4, name != NULL ? name : "?");
  }
}

static void
draw_all (Drawing *drawing, const char *title)
{
  const Timeline *timeline = drawing->timeline;
  const double height = y_of (timeline->n_lanes) + ROW + 30;

  g_string_append_printf (drawing->out,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" "
      "height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\">\n"
      "<style>text{font:13px sans-serif;fill:#222}.title{font-size:17px;"
      "font-weight:bold}.in{font-size:11px;fill:#fff;text-anchor:middle;"
      "pointer-events:none}.name{text-anchor:end}.tick{font-size:11px;"
      "text-anchor:middle;fill:#666}.grid{stroke:#ccc;stroke-width:1}"
      ".lane{fill:#f4f5f7}.stall path{stroke:" STALL ";fill:" STALL
      "}</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
      LEFT + drawing->width + RIGHT, height, LEFT + drawing->width + RIGHT,
      height);
  draw_legend (drawing, title);
  draw_lanes (drawing);
  draw_axis (drawing);

  for (guint i = 0; i < timeline->events->len; i++) {
    const Event *event = &g_array_index (timeline->events, Event, i);

    if (!g_hash_table_contains (drawing->shades, event->stage))
      g_hash_table_insert (drawing->shades, event->stage,
          GUINT_TO_POINTER (g_hash_table_size (drawing->shades) + 1));
    if (event->is_span)
      draw_span (drawing, event);
  }
  for (guint i = 0; i < timeline->events->len; i++) {
    const Event *event = &g_array_index (timeline->events, Event, i);

    if (!event->is_span)
      draw_mark (drawing, event);
  }
  g_string_append (drawing->out, "</svg>\n");
}

gboolean
bench_svg_draw (
    const char *trace, const char *svg, const char *title, GError **error)
{
  Timeline timeline = {.start = G_MAXDOUBLE};
  gboolean done;

  timeline.lanes = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  timeline.events = g_array_new (FALSE, FALSE, sizeof (Event));
  g_array_set_clear_func (timeline.events, event_clear);
  done = read_trace (trace, &timeline, error);
  if (done) {
    g_autoptr (GString) out = g_string_new (NULL);
    Drawing drawing = {.out = out, .timeline = &timeline};

    drawing.width =
        CLAMP (LAUNCH_WIDTH * timeline.n_launches, MIN_WIDTH, MAX_WIDTH);
    drawing.scale = drawing.width / MAX (timeline.end - timeline.start, 1e-3);
    drawing.shades = g_hash_table_new (g_str_hash, g_str_equal);
    draw_all (&drawing, title);
    g_hash_table_unref (drawing.shades);
    done = npu_output_file_write_all (svg, out->str, out->len, error);
  }
  timeline_clear (&timeline);
  return done;
}
