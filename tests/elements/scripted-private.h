/* What the parts of the script share.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "scripted-decoder.h"

G_BEGIN_DECLS

extern GMutex script_lock; /* of what follows */
extern ScriptedWindow script_window;
extern ScriptedUpdate script_update;
extern ScriptSeen script_seen;

/* With the lock held: for @wait us, or until the decoder is cancelled, which is
 * %FALSE. */
gboolean script_wait_or_cancel (const NpuDecoder *decoder, guint64 wait);

G_END_DECLS
