/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "voicedetector.h"

#include "soundlevel.h"
#include "vad/npu-vad.h"

G_STATIC_ASSERT (VOICE_DETECTOR_BLOCK == NPU_VAD_BLOCK);

/* The probability with which a voice begins, and below which it ends. */
#define BEGIN 0.5f
#define END 0.35f

/* By level: the floor sinks at once to what is quieter, and rises slowly. */
#define MIN_LEVEL -60.0   /* dB of full scale: less is surely silent */
#define FLOOR_RISE 0.1    /* dB a block: 3 dB a second */
#define FIRST_FLOOR -50.0 /* dB: speech may begin at once */
#define LEVEL_ON 6.0      /* dB over the floor */
#define LEVEL_OFF 4.0

struct _VoiceDetector {
  NpuVad *network;    /* NULL: by level */
  gboolean has_voice; /* the block before */
  double floor;       /* dB */
};

static gboolean
is_loud (VoiceDetector *self, const float *block)
{
  const double level = sound_level (block, VOICE_DETECTOR_BLOCK);

  if (level < self->floor)
    self->floor = MAX (level, MIN_LEVEL);
  else
    self->floor = MIN (self->floor + FLOOR_RISE, level);
  if (level < MIN_LEVEL)
    return FALSE;
  return level - self->floor > (self->has_voice ? LEVEL_OFF : LEVEL_ON);
}

VoiceDetector *
voice_detector_new (const char *location, GError **error)
{
  VoiceDetector *self;
  NpuVad *network = NULL;

  if (location && *location) {
    network = npu_vad_open (location, error);
    if (!network)
      return NULL;
  }
  self = g_new0 (VoiceDetector, 1);
  self->network = network;
  voice_detector_reset (self);
  return self;
}

void
voice_detector_free (VoiceDetector *self)
{
  g_clear_pointer (&self->network, npu_vad_free);
  g_free (self);
}

void
voice_detector_reset (VoiceDetector *self)
{
  if (self->network)
    npu_vad_reset (self->network);
  self->has_voice = FALSE;
  self->floor = FIRST_FLOOR;
}

gboolean
voice_detector_has_voice (VoiceDetector *self, const float *block)
{
  if (self->network)
    self->has_voice =
        npu_vad_step (self->network, block) >= (self->has_voice ? END : BEGIN);
  else
    self->has_voice = is_loud (self, block);
  return self->has_voice;
}
