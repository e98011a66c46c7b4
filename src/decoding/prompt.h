/* What stands before an answer (Radford et al. 2022, figure 1).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-decoding.h"

G_BEGIN_DECLS

/* Appends startofprev and the newest of prompt[n_prompt], if there are any, so
 * that they fill at most half of @n_positions. */
void npu_prompt_append_previous (const NpuSpecialTokens *special,
    guint n_positions, const guint32 *prompt, guint n_prompt, GArray *tokens);

/* Appends sot and what it is to do, in @language. */
void npu_prompt_append_task (const NpuSpecialTokens *special, NpuTask task,
    int language, gboolean timestamps, GArray *tokens);

G_END_DECLS
