/* Transcripts as files: plain text, SubRip, WebVTT and JSON.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
  TEXT_FORMAT_TXT,  /* a line for each segment */
  TEXT_FORMAT_SRT,  /* SubRip */
  TEXT_FORMAT_VTT,  /* WebVTT (W3C) */
  TEXT_FORMAT_JSON, /* {"file", "duration", "language", "text", "segments"} */
} TextFormat;

/* %FALSE where there is no format @name: "txt", "srt", "vtt", "json". */
gboolean text_format_from_name (const char *name, TextFormat *format);
/* Which is also the file's extension. */
const char *text_format_get_name (TextFormat format);

typedef struct _TextFile TextFile;

TextFile *text_file_new (TextFormat format);
void text_file_free (TextFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TextFile, text_file_free)

/* Appends text[length], UTF-8, from @start to @end, in ns; for JSON
 * whisperdecoder's object. */
void text_file_add (
    TextFile *file, guint64 start, guint64 end, const char *text, gsize length);

/* Returns: (transfer full): the whole file. @name and @duration, in ns, are of
 * the recording. */
char *text_file_finish (TextFile *file, const char *name, guint64 duration);

G_END_DECLS
