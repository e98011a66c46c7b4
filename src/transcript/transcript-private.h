/* A transcript of scripted answers, for tests.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-transcript.h"

G_BEGIN_DECLS

/* As npu_decode_window(), without prefix. */
typedef gboolean (*NpuDecodeFunc) (gpointer data, guint window,
    const NpuDecodingOptions *options, const guint32 *prompt, guint n_prompt,
    NpuDecodedWindow *decoded, GError **error);

void npu_transcript_set_decode_func (
    NpuTranscript *transcript, NpuDecodeFunc func, gpointer data);

G_END_DECLS
