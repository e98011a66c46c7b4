/* Recordings through one nputranscriber, one after another: the model is
 * loaded once.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "textfile.h"

G_BEGIN_DECLS

typedef struct _Job Job;

/* What a recording has come to. */
typedef struct {
  guint64 done, duration; /* ns of it; a duration of 0 is not known */
  gint64 elapsed;         /* us since its start */
} JobProgress;

typedef void (*JobProgressFunc) (
    const JobProgress *progress, gpointer user_data);

/**
 * job_new:
 * @properties: (array zero-terminated): of nputranscriber, "model", "a.bin",
 *   "task", "translate", ...; a string may be %NULL
 *
 * Loads the model. Returns: (transfer full): %NULL with @error set.
 */
Job *job_new (
    const char *const *properties, gboolean wants_json, GError **error);
void job_free (Job *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Job, job_free)

/* Transcribes @path into @file; @progress has what it came to. Returns: %FALSE
 * with @error set; another recording may be tried then. */
gboolean job_run (Job *job, const char *path, TextFile *file,
    JobProgress *progress, JobProgressFunc func, gpointer user_data,
    GError **error);

G_END_DECLS
