/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scripted-private.h"

#include <string.h>

#include "device/npu-device.h"
#include "npu-error.h"

/* Models: "en:NAME" knows English only; "none" does not exist. Vocabularies:
 * "none" does not exist. */

GMutex script_lock;
static GCond script_cond;
ScriptedWindow script_window;
ScriptedUpdate script_update;
ScriptSeen script_seen;

void
script_set_window (const ScriptedWindow *window)
{
  g_mutex_lock (&script_lock);
  script_window = window ? *window : (ScriptedWindow){0};
  g_mutex_unlock (&script_lock);
}

void
script_get_seen (ScriptSeen *copy)
{
  g_mutex_lock (&script_lock);
  *copy = script_seen;
  g_mutex_unlock (&script_lock);
}

void
script_set_update (const ScriptedUpdate *update)
{
  g_mutex_lock (&script_lock);
  script_update = *update;
  g_mutex_unlock (&script_lock);
}

void
script_forget (void)
{
  g_mutex_lock (&script_lock);
  memset (&script_seen, 0, sizeof script_seen);
  memset (&script_update, 0, sizeof script_update);
  script_seen.live_language = -2;
  g_mutex_unlock (&script_lock);
  script_set_window (NULL);
}

G_DEFINE_QUARK (npu - error - quark, npu_error)

/* --- model and device --------------------------------------------------- */

NpuModel *
npu_model_open (const char *location, GError **error)
{
  NpuModel *model;

  if (strcmp (location, "none") == 0) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND, "there is no file '%s'",
        location);
    return NULL;
  }
  model = g_new0 (NpuModel, 1);
  model->name = g_strdup (location);
  g_mutex_lock (&script_lock);
  script_seen.n_opened++;
  g_strlcpy (script_seen.location, location, sizeof script_seen.location);
  g_mutex_unlock (&script_lock);
  return model;
}

void
npu_model_unref (NpuModel *model)
{
  g_mutex_lock (&script_lock);
  script_seen.n_closed++;
  g_mutex_unlock (&script_lock);
  g_free (model->name);
  g_free (model);
}

NpuDevice *
npu_device_open (
    const char *name, const NpuDeviceOptions *options, GError **error)
{
  if (strcmp (name, "auto") != 0 && strcmp (name, "cpu") != 0) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS, "no device '%s'", name);
    return NULL;
  }
  return g_malloc0 (1);
}

const char *
npu_device_get_name (const NpuDevice *device)
{
  return "cpu";
}

void
npu_device_unref (NpuDevice *device)
{
  g_free (device);
}

/* --- tokenizer ---------------------------------------------------------- */

struct _NpuTokenizer {
  NpuSpecialTokens special;
};

NpuTokenizer *
npu_tokenizer_new (NpuModel *model, const char *location, GError **error)
{
  NpuTokenizer *tokenizer;

  if (g_strcmp0 (location, "none") == 0) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND,
        "there is no vocabulary '%s'", location);
    return NULL;
  }
  tokenizer = g_new0 (NpuTokenizer, 1);
  tokenizer->special.is_multilingual = !g_str_has_prefix (model->name, "en:");
  tokenizer->special.n_vocab = 51865;
  tokenizer->special.n_languages = 99;
  return tokenizer;
}

void
npu_tokenizer_unref (NpuTokenizer *tokenizer)
{
  g_free (tokenizer);
}

const NpuSpecialTokens *
npu_tokenizer_get_special (NpuTokenizer *tokenizer)
{
  return &tokenizer->special;
}

static const char *const codes[] = {"en", "zh", "de"};

const char *
npu_language_get_code (guint index)
{
  return index < G_N_ELEMENTS (codes) ? codes[index] : NULL;
}

int
npu_tokenizer_find_language (NpuTokenizer *tokenizer, const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (codes); i++) {
    if (g_ascii_strncasecmp (name, codes[i], 2) == 0 &&
        !g_ascii_isalpha (name[2]))
      return i;
  }
  return -1;
}

const guint32 *
npu_tokenizer_get_suppressed (NpuTokenizer *tokenizer, guint *n)
{
  static const guint32 usual[] = {1, 2, 7};

  *n = G_N_ELEMENTS (usual);
  return usual;
}

/* --- decoder ------------------------------------------------------------ */

struct _NpuDecoder {
  NpuDevice *device;
  gboolean cancelled;
};

NpuDecoder *
npu_decoder_new (NpuModel *model, NpuDevice *device,
    const NpuDecoderOptions *options, GError **error)
{
  NpuDecoder *decoder = g_new0 (NpuDecoder, 1);

  decoder->device = device;
  return decoder;
}

void
npu_decoder_free (NpuDecoder *decoder)
{
  g_free (decoder);
}

guint
npu_decoder_get_d (NpuDecoder *decoder)
{
  return SCRIPT_D;
}

NpuPrecision
npu_decoder_get_precision (NpuDecoder *decoder)
{
  return NPU_PRECISION_F32;
}

const char *
npu_precision_to_string (NpuPrecision precision)
{
  return "f32";
}

NpuDevice *
npu_decoder_get_device (NpuDecoder *decoder)
{
  return decoder->device;
}

char *
npu_decoder_describe (NpuDecoder *decoder)
{
  return g_strdup ("what the script says");
}

gboolean
npu_decoder_set_window (NpuDecoder *decoder, guint window, const float *states,
    guint n_positions, GError **error)
{
  g_mutex_lock (&script_lock);
  script_seen.first_state = states[0];
  script_seen.last_state = states[n_positions * SCRIPT_D - 1];
  script_seen.n_positions = n_positions;
  g_mutex_unlock (&script_lock);
  return TRUE;
}

static void
set_cancelled (NpuDecoder *decoder, gboolean cancelled)
{
  g_mutex_lock (&script_lock);
  decoder->cancelled = cancelled;
  g_cond_broadcast (&script_cond);
  g_mutex_unlock (&script_lock);
}

void
npu_decoder_cancel (NpuDecoder *decoder)
{
  set_cancelled (decoder, TRUE);
}

void
npu_decoder_resume (NpuDecoder *decoder)
{
  set_cancelled (decoder, FALSE);
}

void
npu_logits_source_init (NpuLogitsSource *source, NpuDecoder *decoder)
{
  *source = (NpuLogitsSource){.self = decoder};
}

void
npu_decoded_window_clear (NpuDecodedWindow *window)
{
}

/* --- transcript --------------------------------------------------------- */

struct _NpuTranscript {
  NpuDecoder *decoder;
  int language;
  guint n_places;
  GQueue open; /* of OpenWindow */
};

typedef struct {
  guint place;
  guint64 start, duration;
  ScriptedWindow script;
  guint n_left; /* steps */
} OpenWindow;

gboolean
npu_decoding_check (const NpuLogitsSource *source, NpuTokenizer *tokenizer,
    const NpuDecodingOptions *options, guint n_prefix, GError **error)
{
  return TRUE;
}

NpuTranscript *
npu_transcript_new (const NpuLogitsSource *source, NpuTokenizer *tokenizer,
    const NpuTranscriptOptions *options)
{
  NpuTranscript *transcript = g_new0 (NpuTranscript, 1);

  transcript->decoder = source->self;
  transcript->language = options->decoding.language;
  transcript->n_places = options->n_windows;
  g_queue_init (&transcript->open);
  g_mutex_lock (&script_lock);
  script_seen.options = options->decoding;
  script_seen.words = options->words;
  script_seen.hallucination_silence_threshold =
      options->hallucination_silence_threshold;
  script_seen.n_suppress = options->decoding.n_suppress;
  if (script_seen.n_suppress > 0)
    script_seen.last_suppressed =
        options->decoding.suppress[script_seen.n_suppress - 1];
  script_seen.options.suppress = NULL;
  g_strlcpy (script_seen.prompt,
      options->initial_prompt ? options->initial_prompt : "",
      sizeof script_seen.prompt);
  g_strlcpy (script_seen.hot_words,
      options->hot_words ? options->hot_words : "",
      sizeof script_seen.hot_words);
  script_seen.language_interval = options->language_interval;
  g_mutex_unlock (&script_lock);
  return transcript;
}

void
npu_transcript_free (NpuTranscript *transcript)
{
  g_queue_clear_full (&transcript->open, g_free);
  g_free (transcript);
}

void
npu_transcript_reset (NpuTranscript *transcript)
{
  g_queue_clear_full (&transcript->open, g_free);
  g_mutex_lock (&script_lock);
  script_seen.n_resets++;
  g_mutex_unlock (&script_lock);
}

/* With the lock. */
gboolean
script_wait_or_cancel (const NpuDecoder *decoder, guint64 wait)
{
  const gint64 end = g_get_monotonic_time () + wait;

  while (!decoder->cancelled && g_get_monotonic_time () < end)
    g_cond_wait_until (&script_cond, &script_lock, end);
  return !decoder->cancelled;
}

static void
fill_decoded (NpuDecodedWindow *decoded, int language, const char *code)
{
  *decoded = (NpuDecodedWindow){
      .avg_logprob = -0.25f,
      .no_speech_prob = 0.125f,
      .compression_ratio = 1.5f,
      .temperature = 0.2f,
      .n_tries = 2,
      .n_steps = 10,
      .language = language,
      .language_prob = 0.75f,
  };
  for (guint i = 0; code && i < G_N_ELEMENTS (codes); i++) {
    if (strcmp (codes[i], code) == 0)
      decoded->language = i;
  }
}

void
npu_transcript_set_followed (
    NpuTranscript *transcript, gboolean is_followed, gboolean varies)
{
  g_mutex_lock (&script_lock);
  script_seen.is_followed = is_followed;
  g_mutex_unlock (&script_lock);
}

void
npu_transcript_set_overlap (NpuTranscript *transcript, guint64 overlap)
{
  g_mutex_lock (&script_lock);
  script_seen.overlap = overlap;
  g_mutex_unlock (&script_lock);
}

void
npu_transcript_set_pauses (
    NpuTranscript *transcript, const NpuPause *pauses, guint n)
{
}

/* Nothing waits: scripted text is given at once. */
void
npu_transcript_finish (
    NpuTranscript *transcript, NpuSegmentFunc func, gpointer user_data)
{
  g_mutex_lock (&script_lock);
  script_seen.n_finished++;
  g_mutex_unlock (&script_lock);
}

gboolean
npu_transcript_begin_window (NpuTranscript *transcript, guint window,
    guint64 start, guint64 duration, GError **error)
{
  OpenWindow *open = g_new0 (OpenWindow, 1);

  g_assert_cmpuint (window, <, transcript->n_places);
  g_mutex_lock (&script_lock);
  script_seen.n_windows++;
  script_seen.start = start;
  script_seen.duration = duration;
  open->script = script_window;
  g_mutex_unlock (&script_lock);
  open->place = window;
  open->start = start;
  open->duration = duration;
  open->n_left = MAX (open->script.n_steps, 1);
  g_queue_push_tail (&transcript->open, open);
  return TRUE;
}

int
npu_transcript_find_free (NpuTranscript *transcript)
{
  guint taken = 0;

  for (GList *item = transcript->open.head; item; item = item->next) {
    const OpenWindow *open = item->data;

    if (open->n_left > 0)
      taken |= 1u << open->place;
  }
  for (guint i = 0; i < transcript->n_places; i++) {
    if (!(taken & 1u << i))
      return (int) i;
  }
  return -1;
}

gboolean
npu_transcript_has_whole (NpuTranscript *transcript)
{
  const OpenWindow *oldest = g_queue_peek_head (&transcript->open);

  return oldest && oldest->n_left == 0;
}

/* One of the windows that share a step. */
static gboolean
step_window (NpuTranscript *transcript, OpenWindow *open, GError **error)
{
  gboolean done;

  g_mutex_lock (&script_lock);
  done = script_wait_or_cancel (transcript->decoder, open->script.wait);
  g_mutex_unlock (&script_lock);
  if (!done) {
    g_set_error_literal (error, NPU_ERROR, NPU_ERROR_CANCELLED, "cancelled");
    return FALSE;
  }
  if (open->script.domain) {
    g_set_error_literal (
        error, open->script.domain, open->script.error, "as scripted");
    return FALSE;
  }
  open->n_left--;
  return TRUE;
}

gboolean
npu_transcript_step (NpuTranscript *transcript, GError **error)
{
  guint n = 0;

  for (GList *item = transcript->open.head; item; item = item->next) {
    OpenWindow *open = item->data;

    if (open->n_left == 0)
      continue;
    n++;
    if (!step_window (transcript, open, error)) {
      g_queue_clear_full (&transcript->open, g_free);
      return FALSE;
    }
  }
  g_mutex_lock (&script_lock);
  script_seen.n_steps++;
  script_seen.most_open = MAX (script_seen.most_open, n);
  g_mutex_unlock (&script_lock);
  return TRUE;
}

void
npu_transcript_take_window (NpuTranscript *transcript, NpuSegmentFunc func,
    gpointer user_data, NpuDecodedWindow *decoded, guint64 *used_until)
{
  static const guint32 tokens[] = {50364, 440, 50414};
  g_autofree OpenWindow *open = g_queue_pop_head (&transcript->open);
  const ScriptedWindow *now = &open->script;
  g_autofree NpuTimedWord *words =
      g_memdup2 (now->words, now->n_words * sizeof *words);

  for (guint i = 0; i < now->n_words; i++) {
    words[i].start += open->start;
    words[i].end += open->start;
  }
  fill_decoded (decoded, transcript->language, now->code);
  for (guint i = 0; i < now->n_segments; i++) {
    const ScriptedSegment *of = &now->segments[i];
    const NpuSegment segment = {.start = open->start + of->start,
        .end = open->start + of->end,
        .text = of->text,
        .tokens = tokens,
        .n_tokens = G_N_ELEMENTS (tokens),
        .words = i == 0 ? words : NULL,
        .n_words = i == 0 ? now->n_words : 0,
        .window = decoded};

    func (&segment, user_data);
  }
  *used_until = open->start + (now->used ? now->used : open->duration);
}
