/* Whether somebody speaks: by Silero's network where there is its file, else by
 * level over a running noise floor. Knows no pads.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define VOICE_DETECTOR_BLOCK 512 /* samples of 16 kHz, 32 ms */

typedef struct _VoiceDetector VoiceDetector;

/**
 * voice_detector_new:
 * @location: (nullable): Silero's network, a safetensors file; %NULL or "": by
 *   level
 *
 * Returns: %NULL with @error set as npu_vad_open() does
 */
VoiceDetector *voice_detector_new (const char *location, GError **error);
void voice_detector_free (VoiceDetector *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VoiceDetector, voice_detector_free)

/* What comes does not follow what was. */
void voice_detector_reset (VoiceDetector *self);

/* @block: [%VOICE_DETECTOR_BLOCK], what follows the one before */
gboolean voice_detector_has_voice (VoiceDetector *self, const float *block);

G_END_DECLS
