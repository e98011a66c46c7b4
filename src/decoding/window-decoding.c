/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "window-decoding.h"

#include <string.h>

#include "compression.h"
#include "fallback.h"
#include "language.h"
#include "npu-clock.h"
#include "prompt.h"
#include "search.h"
#include "tokenizer/utf8.h"

/* sot, language, task, no_timestamps and eot. */
#define N_AROUND 5

/* What the logits of a window's next step are for. */
typedef enum {
  FIND_LANGUAGE, /* sot alone */
  READ_START,    /* what stands before the answer */
  SEARCH,        /* an attempt's next tokens */
  WHOLE,
} Phase;

struct _NpuWindowDecoding {
  Phase phase;
  NpuDecodingOptions options;
  NpuSearch search;
  NpuFallback fallback;
  NpuTokenizer *tokenizer;
  guint window;
  NpuLanguageFunc choose_language;
  gpointer data;

  guint32 *prefix;
  GArray *start; /* tokens before the first sampled one */
  guint n_fed;   /* of them, that the first sequence has been given */
  guint sot;     /* index of sot in them */
  float *row;    /* [n_vocab]: the last token's logits, for all attempts */
  int language;
  float language_prob, no_speech_prob;
  guint64 decoding_time;
};

/* --- what stands before the answer --------------------------------------- */

static void
begin (NpuWindowDecoding *decoding)
{
  const NpuLogitsSource *source = decoding->search.source;

  source->begin (
      source->self, decoding->search.first_sequence, decoding->window);
  decoding->n_fed = 0;
}

/* The answer's length: half of the positions, and what the others leave. What
 * is cut off there comes again; where it does not, all positions but those that
 * npu_find_words() puts around the text. */
static void
set_limits (NpuWindowDecoding *decoding)
{
  NpuSearch *search = &decoding->search;
  const guint n_positions = search->source->n_positions;
  const guint n_before = decoding->start->len - search->n_prefix;
  const guint most = decoding->options.last_begin > 0 && n_positions > N_AROUND
                         ? n_positions - N_AROUND
                         : n_positions / 2;

  search->n_start = decoding->start->len;
  search->max_tokens = MIN (most, n_positions - n_before);
}

/* Once the language is known. */
static void
append_task (NpuWindowDecoding *decoding)
{
  NpuSearch *search = &decoding->search;

  npu_prompt_append_task (search->special, decoding->options.task,
      decoding->language, decoding->options.timestamps, decoding->start);
  g_array_append_vals (decoding->start, search->prefix, search->n_prefix);
  set_limits (decoding);
  decoding->phase = READ_START;
}

static void
begin_search (NpuWindowDecoding *decoding, const guint32 *prompt, guint n)
{
  const NpuSearch *search = &decoding->search;

  npu_prompt_append_previous (
      search->special, search->source->n_positions, prompt, n, decoding->start);
  decoding->sot = decoding->start->len;
  begin (decoding);
  if (search->special->is_multilingual && decoding->language < 0)
    decoding->phase = FIND_LANGUAGE;
  else
    append_task (decoding);
}

/* By a step on sot alone: a prompt has no say. Where nothing stands before sot,
 * that step is the start's first. */
static gboolean
find_language (
    NpuWindowDecoding *decoding, float *logits, guint row, GError **error)
{
  const NpuSearch *search = &decoding->search;
  const NpuSpecialTokens *special = search->special;
  g_autofree float *probabilities = g_new (float, special->n_languages);
  int found;

  if (!npu_no_speech_read (special, logits, &decoding->no_speech_prob, error) ||
      !npu_languages_read (
          search->source, special, row, logits, probabilities, &found, error))
    return FALSE;
  decoding->language = found;
  decoding->language_prob = probabilities[found];
  if (decoding->choose_language)
    decoding->language = decoding->choose_language (decoding->data, found,
        decoding->no_speech_prob, &decoding->language_prob);
  decoding->n_fed = 1;
  if (decoding->sot > 0)
    begin (decoding);
  append_task (decoding);
  return TRUE;
}

static guint
ask_start (const NpuWindowDecoding *decoding, GArray *rows)
{
  const GArray *start = decoding->start;

  for (guint i = decoding->n_fed; i < start->len; i++) {
    const NpuDecoderRow row = {decoding->search.first_sequence,
        g_array_index (start, guint32, i),
        i == decoding->sot || i + 1 == start->len};

    g_array_append_val (rows, row);
  }
  return start->len - decoding->n_fed;
}

/* --- attempts ------------------------------------------------------------ */

/* Text and how much it repeats itself. */
static void
read_text (NpuTokenizer *tokenizer, NpuDecodedWindow *decoded)
{
  gsize n, n_kept = 0;
  g_autofree char *text = npu_tokenizer_decode (
      tokenizer, (guint32 *) decoded->tokens->data, decoded->tokens->len, &n);
  const char *stripped = npu_utf8_strip (text, &n);

  decoded->compression_ratio = npu_compression_ratio (stripped, n);
  decoded->text = g_malloc (n + 1);
  for (gsize i = 0; i < n; i++) {
    if (stripped[i] != '\0') /* text may hold it, a string may not */
      decoded->text[n_kept++] = stripped[i];
  }
  decoded->text[n_kept] = '\0';
}

static void
end_attempt (NpuWindowDecoding *decoding)
{
  const NpuSearch *search = &decoding->search;
  NpuDecodedWindow decoded = {.no_speech_prob = decoding->no_speech_prob};
  NpuAnswer answer;

  npu_search_end (&decoding->search, &answer);
  decoded.tokens = answer.tokens;
  decoded.is_cut = !answer.has_ended;
  decoded.avg_logprob =
      (float) (answer.sum / (answer.tokens->len - search->n_prefix + 1));
  read_text (decoding->tokenizer, &decoded);
  npu_fallback_take (&decoding->fallback, &decoded);
}

/* Ends attempts that need no step any more, and begins those that follow. */
static void
go_on (NpuWindowDecoding *decoding)
{
  float temperature;

  while (decoding->search.n_open == 0) {
    if (decoding->search.strategy)
      end_attempt (decoding);
    if (!npu_fallback_needs_attempt (&decoding->fallback, &temperature)) {
      decoding->phase = WHOLE;
      return;
    }
    npu_search_begin (&decoding->search, temperature);
  }
}

/* The no-speech probability, where sot was among the rows, and what may come
 * first. */
static gboolean
read_start (NpuWindowDecoding *decoding, float *const *logits, guint n,
    guint first_row, GError **error)
{
  NpuSearch *search = &decoding->search;
  float *last = logits[n - 1];

  if (decoding->n_fed <= decoding->sot &&
      !npu_no_speech_read (
          search->special, logits[0], &decoding->no_speech_prob, error))
    return FALSE;
  /* Kept for later attempts. */
  memcpy (decoding->row, last, search->special->n_vocab * sizeof *last);
  if (!npu_search_read (search, search->prefix, search->n_prefix,
          first_row + n - 1, decoding->row, &search->first, error))
    return FALSE;
  decoding->n_fed = decoding->start->len;
  decoding->phase = SEARCH;
  go_on (decoding);
  return TRUE;
}

/* --- a window ------------------------------------------------------------ */

NpuWindowDecoding *
npu_window_decoding_new (const NpuLogitsSource *source, NpuTokenizer *tokenizer,
    const NpuWindowTask *task, GError **error)
{
  const NpuSpecialTokens *special = npu_tokenizer_get_special (tokenizer);
  NpuWindowDecoding *decoding;

  if (!npu_decoding_check (
          source, tokenizer, task->options, task->n_prefix, error))
    return NULL;
  decoding = g_new0 (NpuWindowDecoding, 1);
  decoding->options = *task->options;
  decoding->options.suppress = g_memdup2 (
      task->options->suppress, task->options->n_suppress * sizeof (guint32));
  decoding->prefix =
      g_memdup2 (task->prefix, task->n_prefix * sizeof (guint32));
  decoding->search = (NpuSearch){source, special, &decoding->options,
      .blank = npu_tokenizer_get_blank (tokenizer), .prefix = decoding->prefix,
      .n_prefix = task->n_prefix, .first_sequence = task->first_sequence};
  decoding->search.n_filters =
      npu_logit_filters_choose (&decoding->options, decoding->search.filters);
  npu_fallback_init (
      &decoding->fallback, &decoding->options, special->timestamp_begin);
  decoding->tokenizer = npu_tokenizer_ref (tokenizer);
  decoding->window = task->window;
  decoding->choose_language = task->choose_language;
  decoding->data = task->data;
  decoding->start = g_array_new (FALSE, FALSE, sizeof (guint32));
  decoding->row = g_new (float, special->n_vocab);
  decoding->language = task->options->language;
  decoding->language_prob = 1;
  begin_search (decoding, task->prompt, task->n_prompt);
  return decoding;
}

void
npu_window_decoding_free (NpuWindowDecoding *decoding)
{
  if (!decoding)
    return;
  npu_search_clear (&decoding->search);
  npu_fallback_clear (&decoding->fallback);
  npu_tokenizer_unref (decoding->tokenizer);
  g_array_unref (decoding->start);
  g_free ((gpointer) decoding->options.suppress);
  g_free (decoding->prefix);
  g_free (decoding->row);
  g_free (decoding);
}

gboolean
npu_window_decoding_is_whole (const NpuWindowDecoding *decoding)
{
  return decoding->phase == WHOLE;
}

void
npu_window_decoding_end (NpuWindowDecoding *decoding, NpuDecodedWindow *decoded)
{
  npu_fallback_end (&decoding->fallback, decoded);
  decoded->n_steps = decoding->search.n_steps;
  decoded->language =
      decoding->search.special->is_multilingual ? decoding->language : -1;
  decoded->language_prob = decoding->language_prob;
  decoded->decoding_time = decoding->decoding_time;
}

/* Appends the rows of the window's next step; returns how many. */
static guint
ask (const NpuWindowDecoding *decoding, GArray *rows)
{
  const NpuDecoderRow sot = {
      decoding->search.first_sequence, decoding->search.special->sot, TRUE};

  switch (decoding->phase) {
    case FIND_LANGUAGE:
      g_array_append_val (rows, sot);
      return 1;
    case READ_START:
      return ask_start (decoding, rows);
    case SEARCH:
      return npu_search_ask (&decoding->search, rows);
    case WHOLE:
      break;
  }
  return 0;
}

/* @logits: [n], of the source's last step, from its row @first_row on. */
static gboolean
take (NpuWindowDecoding *decoding, float *const *logits, guint n,
    guint first_row, GError **error)
{
  switch (decoding->phase) {
    case FIND_LANGUAGE:
      return find_language (decoding, logits[0], first_row, error);
    case READ_START:
      return read_start (decoding, logits, n, first_row, error);
    case SEARCH:
      if (!npu_search_take (&decoding->search, logits, first_row, error))
        return FALSE;
      go_on (decoding);
      return TRUE;
    case WHOLE:
      break;
  }
  return TRUE;
}

/* --- a step of several --------------------------------------------------- */

void
npu_decoding_step_init (NpuDecodingStep *step, guint n_vocab)
{
  step->rows = g_array_new (FALSE, FALSE, sizeof (NpuDecoderRow));
  step->counts = g_array_new (FALSE, FALSE, sizeof (guint));
  step->logits = g_ptr_array_new_with_free_func (g_free);
  step->n_vocab = n_vocab;
}

void
npu_decoding_step_clear (NpuDecodingStep *step)
{
  g_clear_pointer (&step->rows, g_array_unref);
  g_clear_pointer (&step->counts, g_array_unref);
  g_clear_pointer (&step->logits, g_ptr_array_unref);
}

/* Rows from @first on that want logits. */
static guint
count_wanted (const GArray *rows, guint first, guint n)
{
  guint n_wanted = 0;

  for (guint i = first; i < first + n; i++)
    n_wanted += g_array_index (rows, NpuDecoderRow, i).wants_logits != 0;
  return n_wanted;
}

static gboolean
give (NpuDecodingStep *step, const NpuLogitsSource *source, GError **error)
{
  const guint n_wanted = count_wanted (step->rows, 0, step->rows->len);

  while (step->logits->len < n_wanted)
    g_ptr_array_add (step->logits, g_new (float, step->n_vocab));
  return source->step (source->self, (NpuDecoderRow *) step->rows->data,
      step->rows->len, (float *const *) step->logits->pdata, error);
}

gboolean
npu_decodings_step (NpuDecodingStep *step, const NpuLogitsSource *source,
    NpuWindowDecoding *const *decodings, guint n, GError **error)
{
  const guint64 start = npu_clock_ns ();
  guint row = 0, wanted = 0;
  guint64 time;

  g_array_set_size (step->rows, 0);
  g_array_set_size (step->counts, 0);
  for (guint i = 0; i < n; i++) {
    const guint count = ask (decodings[i], step->rows);

    g_array_append_val (step->counts, count);
  }
  if (!give (step, source, error))
    return FALSE;
  time = npu_clock_ns () - start;

  for (guint i = 0; i < n; i++) {
    const guint count = g_array_index (step->counts, guint, i);
    const guint n_wanted = count_wanted (step->rows, row, count);
    const guint64 begin = npu_clock_ns ();

    if (!take (decodings[i], (float *const *) step->logits->pdata + wanted,
            n_wanted, wanted, error))
      return FALSE;
    decodings[i]->decoding_time +=
        time * count / step->rows->len + (npu_clock_ns () - begin);
    row += count;
    wanted += n_wanted;
  }
  return TRUE;
}
