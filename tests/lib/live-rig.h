/* A scripted speaker through windows that grow to words, on a virtual clock.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "scripted-source.h"
#include "tokenizer/npu-tokenizer.h"
#include "transcript/npu-live-transcript.h"

G_BEGIN_DECLS

#define MS G_GUINT64_CONSTANT (1000000)

#define LIVE_RIG_VOCAB 51865
#define LIVE_RIG_HEADS 3
#define LIVE_RIG_SPOKEN 200

/* Byte tokens of the synthetic vocabulary. */
#define BYTE(c) ((guint32) (guint8) ((c) - '!'))

typedef struct {
  guint32 token;
  guint64 start, end; /* ms */
  guint64 voice;      /* ms: a pause before it; 0: none */
} LiveSpoken;

/* A model that hears what is in the window. */
typedef struct {
  LiveSpoken spoken[LIVE_RIG_SPOKEN];
  guint n_spoken;
  guint64 start, end; /* of the window, ms */
  guint n_positions;
  int language;
  float language_weight, no_speech_weight;

  /* From windows that end there on, ms, it says its last two words over and
   * over: behind those that are forced, or always. Else it hears another word
   * before the first. 0: never */
  guint64 lost_from;
  gboolean is_always_lost;
} LiveSpeaker;

typedef struct {
  LiveSpeaker speaker;
  ScriptedSource *scripted;
  NpuLiveTranscript *transcript;
  NpuLiveUpdate update;
  GString *text; /* all that is final, a bar behind each word */
  guint64 last_end;
} LiveRig;

/* Makes the vocabulary that all rigs share; live_rig_run() runs the tests and
 * frees it. */
void live_rig_init (void);
int live_rig_run (void);
NpuTokenizer *live_rig_get_tokenizer (void);

/* @language: an index, or -1; @context: tokens of earlier text */
LiveRig *live_rig_new (int language);
LiveRig *live_rig_new_with_context (int language, guint context);
void live_rig_free (LiveRig *rig);

/* Tokens are said in order of time. */
void live_rig_say (LiveRig *rig, guint32 token, guint64 start, guint64 end);

/* A window of what is said from @start_ms to @end_ms; only one at a time. */
NpuLiveWindow live_rig_window (LiveRig *rig, guint64 start_ms, guint64 end_ms);

/* Words never run back and none is empty. */
void live_rig_add (LiveRig *rig, const NpuLiveWindow *window);
void live_rig_hear (
    LiveRig *rig, guint64 start_ms, guint64 end_ms, gboolean is_last);

char *live_rig_text_of (const guint32 *tokens, guint n);

/* A text of so many words: word i is token 300 + i, 400 ms each; every tenth
 * ends a sentence. */
#define LIVE_RIG_WORDS 50

void live_rig_say_all (LiveRig *rig);
char *live_rig_expect_all (void); /* what its rig's text must be */

G_END_DECLS
