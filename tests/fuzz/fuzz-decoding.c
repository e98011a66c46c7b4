/* Decoding of any logits, NaN and infinities among them, with any options that
 * are taken: it ends, and what comes out keeps the rules.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tape.h"
#include "tokenizer/tokenizer-private.h"
#include "transcript/npu-transcript.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

#define N_VOCAB 51865
#define MAX_STEPS 3000
#define N_POSITIONS 100 /* of a window */
#define N_HEADS 2

static NpuTokenizer *tokenizer;
static const NpuSpecialTokens *special;

/* A decoder whose logits are on the tape. */
typedef struct {
  Tape tape;
  guint n_tokens[16]; /* of a sequence */
  guint n_steps;
  guint64 last_end;
} Rig;

static void
begin (gpointer self, guint sequence, guint window)
{
  ((Rig *) self)->n_tokens[sequence] = 0;
}

static void
fork_sequence (gpointer self, guint from, guint to)
{
  ((Rig *) self)->n_tokens[to] = ((Rig *) self)->n_tokens[from];
}

static void
truncate_sequence (gpointer self, guint sequence, guint n_tokens)
{
  if (n_tokens > ((Rig *) self)->n_tokens[sequence])
    abort ();
  ((Rig *) self)->n_tokens[sequence] = n_tokens;
}

/* Any float; mostly one of a decoder. */
static float
any_logit (Tape *tape)
{
  const guint8 kind = tape_u8 (tape);
  const guint32 bits = tape_u32 (tape);
  float value;

  if (kind > 3)
    return (float) (gint8) kind / 4;
  if (kind == 3)
    return NAN;
  if (kind == 2)
    return -INFINITY;
  memcpy (&value, &bits, sizeof value);
  return value;
}

static guint32
any_token (Tape *tape)
{
  const guint32 kind = tape_u8 (tape), value = tape_u8 (tape);

  if (kind < 100)
    return special->timestamp_begin + kind * 15 + value % 15;
  if (kind < 140)
    return special->eot + value % 120;
  return (kind << 8 | value) % N_VOCAB;
}

static gboolean
step (gpointer self, const NpuDecoderRow *rows, guint n_rows,
    float *const *logits, GError **error)
{
  Rig *rig = self;
  guint n = 0;

  if (++rig->n_steps > MAX_STEPS)
    abort (); /* hangs */
  for (guint i = 0; i < n_rows; i++) {
    if (rows[i].token >= N_VOCAB || ++rig->n_tokens[rows[i].sequence] > 448)
      abort ();
    if (!rows[i].wants_logits)
      continue;
    for (guint v = 0; v < N_VOCAB; v++)
      logits[n][v] = -10;
    for (guint e = tape_below (&rig->tape, 12); e > 0; e--)
      logits[n][any_token (&rig->tape)] = any_logit (&rig->tape);
    n++;
  }
  return TRUE;
}

static guint
get_window_positions (gpointer self, guint window)
{
  return N_POSITIONS;
}

static gboolean
step_attending (gpointer self, const NpuDecoderRow *rows, guint n_rows,
    float *const *logits, float *const *attention, GError **error)
{
  Rig *rig = self;

  if (!step (self, rows, n_rows, logits, error))
    return FALSE;
  for (guint i = 0; i < n_rows; i++) {
    for (guint p = 0; attention[i] && p < N_HEADS * N_POSITIONS; p++)
      attention[i][p] = 0;
    for (guint e = tape_below (&rig->tape, 4); attention[i] && e > 0; e--) {
      const guint at = tape_below (&rig->tape, N_HEADS * N_POSITIONS - 8);
      const float score = any_logit (&rig->tape);

      for (guint p = at; p < at + 8; p++)
        attention[i][p] = score;
    }
  }
  return TRUE;
}

static gboolean
refine (gpointer self, guint row, const guint32 *ids, guint n, float *logits,
    GError **error)
{
  Rig *rig = self;

  for (guint i = 0; i < n; i++)
    logits[i] = any_logit (&rig->tape);
  return TRUE;
}

static void
read_options (Tape *tape, NpuTranscriptOptions *options)
{
  NpuDecodingOptions *decoding = &options->decoding;

  *options =
      (NpuTranscriptOptions){.condition_on_previous_text = tape_below (tape, 2),
          .language_interval = tape_below (tape, 2) ? G_MAXUINT64 : 0,
          .n_windows = 1 + tape_below (tape, 3)};
  npu_decoding_options_init (decoding);
  decoding->language = (int) tape_below (tape, 101) - 1;
  decoding->task = tape_below (tape, 4) == 1 ? NPU_TASK_TRANSLATE : 0;
  decoding->timestamps = tape_below (tape, 4) != 1;
  decoding->beam_size = tape_below (tape, 6);
  decoding->best_of = tape_below (tape, 4);
  decoding->temperature = (float) tape_below (tape, 5) / 4;
  decoding->temperature_increment = (float) tape_below (tape, 3) / 3;
  decoding->patience = (float) tape_below (tape, 5) / 2;
  decoding->length_penalty = (float) tape_below (tape, 4) - 1;
  decoding->suppress_blank = tape_below (tape, 2);
  decoding->max_initial_timestamp = tape_below (tape, 100);
  if (tape_below (tape, 2))
    decoding->suppress =
        npu_tokenizer_get_suppressed (tokenizer, &decoding->n_suppress);
  options->words = tape_below (tape, 2);
  options->hallucination_silence_threshold = tape_below (tape, 3);
}

static void
on_segment (const NpuSegment *segment, gpointer data)
{
  Rig *rig = data;

  if (segment->start >= segment->end || segment->start < rig->last_end ||
      !*segment->text || !g_utf8_validate (segment->text, -1, NULL))
    abort ();
  rig->last_end = segment->end;
  for (guint i = 0; i < segment->n_words; i++) {
    const NpuTimedWord *word = &segment->words[i];

    if (word->start < (i ? word[-1].end : segment->start) ||
        word->end < word->start || word->end > segment->end ||
        !(word->probability >= 0 && word->probability <= 1.001f) ||
        !g_utf8_validate (word->text, -1, NULL))
      abort ();
  }
}

/* A window, and how far it was used; FALSE after an error. */
static gboolean
add_window (NpuTranscript *transcript, Rig *rig, guint64 *at)
{
  const guint64 duration =
      (1 + (guint64) tape_u8 (&rig->tape)) * 30 * 1000000000 / 256;
  guint64 used_until;
  g_autoptr (GError) error = NULL;

  rig->n_steps = 0;
  if (!npu_transcript_add_window (transcript, 0, *at, duration, on_segment, rig,
          NULL, &used_until, &error)) {
    if (!error)
      abort ();
    return FALSE;
  }
  if (used_until < *at + 10000000 || used_until > *at + duration ||
      rig->last_end > *at + duration)
    abort ();
  *at = used_until;
  return TRUE;
}

/* As many windows at once as there are places for; FALSE after an error. */
static gboolean
add_windows (NpuTranscript *transcript, Rig *rig, guint64 *at)
{
  const guint64 duration = (guint64) 30 * 1000000000;
  g_autoptr (GError) error = NULL;
  int place;

  rig->n_steps = 0;
  while ((place = npu_transcript_find_free (transcript)) >= 0) {
    if (!npu_transcript_begin_window (
            transcript, (guint) place, *at, duration, &error))
      return error ? FALSE : (abort (), FALSE);
    *at += duration;
  }
  while (npu_transcript_is_open (transcript)) {
    guint64 used_until;

    if (npu_transcript_has_whole (transcript))
      npu_transcript_take_window (
          transcript, on_segment, rig, NULL, &used_until);
    else if (!npu_transcript_step (transcript, &error))
      return error ? FALSE : (abort (), FALSE);
  }
  if (rig->last_end > *at)
    abort ();
  return TRUE;
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
  Rig rig = {.tape = {data, size}};
  NpuLogitsSource source = {.self = &rig,
      .n_vocab = N_VOCAB,
      .n_positions = 448,
      .begin = begin,
      .fork = fork_sequence,
      .truncate = truncate_sequence,
      .step = step,
      .n_heads = N_HEADS,
      .get_window_positions = get_window_positions,
      .step_attending = step_attending};
  NpuTranscriptOptions options;
  NpuTranscript *transcript;
  guint64 at = 0;

  if (!tokenizer) {
    NpuSpecialTokens tokens;

    npu_special_tokens_init (&tokens, N_VOCAB);
    tokenizer = npu_tokenizer_new_of_vocabulary (
        npu_vocabulary_new_synthetic (&tokens, "input"));
    special = npu_tokenizer_get_special (tokenizer);
  }
  read_options (&rig.tape, &options);
  if (tape_below (&rig.tape, 4) == 1)
    source.refine = refine;
  transcript = npu_transcript_new (&source, tokenizer, &options);
  for (guint i = 0; i < 3 && rig.tape.left > 0; i++) {
    if (options.n_windows > 1 ? !add_windows (transcript, &rig, &at)
                              : !add_window (transcript, &rig, &at))
      break;
  }
  npu_transcript_free (transcript);
  return 0;
}
