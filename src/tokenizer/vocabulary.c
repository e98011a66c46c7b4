/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vocabulary.h"

#include <string.h>

#include "npu-error.h"

NpuVocabulary *
npu_vocabulary_new (const NpuSpecialTokens *special, const char *file)
{
  NpuVocabulary *vocabulary = g_new0 (NpuVocabulary, 1);

  vocabulary->special = *special;
  vocabulary->n_text = special->eot;
  vocabulary->file = g_strdup (file);
  vocabulary->bytes = g_byte_array_new ();
  vocabulary->token = g_byte_array_new ();
  vocabulary->offsets = g_new0 (guint32, vocabulary->n_text);
  vocabulary->lengths = g_new0 (guint32, vocabulary->n_text);
  vocabulary->is_known = g_new0 (guint8, vocabulary->n_text);
  return vocabulary;
}

void
npu_vocabulary_free (NpuVocabulary *vocabulary)
{
  g_free (vocabulary->file);
  g_byte_array_unref (vocabulary->bytes);
  g_byte_array_unref (vocabulary->token);
  g_free (vocabulary->offsets);
  g_free (vocabulary->lengths);
  g_free (vocabulary->is_known);
  g_free (vocabulary);
}

/* The id that the model has for a special token's name; 0 for other names. */
static guint32
find_special (const NpuSpecialTokens *special, const guint8 *name, gsize n)
{
  const struct {
    const char *name;
    guint32 id;
  } names[] = {
      {"<|endoftext|>", special->eot},
      {"<|startoftranscript|>", special->sot},
      {"<|translate|>", special->translate},
      {"<|transcribe|>", special->transcribe},
      {"<|startoflm|>", special->start_of_lm},
      {"<|startofprev|>", special->start_of_prev},
      {"<|nospeech|>", special->no_speech},
      {"<|nocaptions|>", special->no_speech},
      {"<|notimestamps|>", special->no_timestamps},
  };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    if (n == strlen (names[i].name) && memcmp (name, names[i].name, n) == 0)
      return names[i].id;
  }
  return 0;
}

static gboolean fail_other_model (const NpuVocabulary *vocabulary,
    GError **error, const char *format, ...) G_GNUC_PRINTF (3, 4);

static gboolean
fail_other_model (
    const NpuVocabulary *vocabulary, GError **error, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, NPU_ERROR, NPU_ERROR_FORMAT,
      "vocabulary '%s': %s; it belongs to another model, or is damaged: take the one that came with the model",
      vocabulary->file, what);
  return FALSE;
}

gboolean
npu_vocabulary_add (NpuVocabulary *vocabulary, guint64 id, const guint8 *bytes,
    gsize n, GError **error)
{
  const NpuSpecialTokens *special = &vocabulary->special;
  const guint32 expected = find_special (special, bytes, n);

  if (id >= special->n_vocab)
    return fail_other_model (vocabulary, error,
        "token %" G_GUINT64_FORMAT " is in it, and the model has only %u", id,
        special->n_vocab);
  if (expected && expected != id)
    return fail_other_model (vocabulary, error,
        "%.*s is token %" G_GUINT64_FORMAT " in it and %u in the model",
        (int) n, (const char *) bytes, id, expected);
  if (id == special->eot && expected != id)
    return fail_other_model (vocabulary, error,
        "token %" G_GUINT64_FORMAT " is not <|endoftext|> in it", id);
  if (id >= vocabulary->n_text)
    return TRUE;
  if (special->is_multilingual && id == special->eot - 1 && n > 0)
    return fail_other_model (vocabulary, error,
        "token %" G_GUINT64_FORMAT
        " is not empty, as it is in multilingual models",
        id);
  if (vocabulary->is_known[id])
    return fail_other_model (
        vocabulary, error, "token %" G_GUINT64_FORMAT " is in it twice", id);
  if (n > G_MAXUINT32 - vocabulary->bytes->len)
    return fail_other_model (vocabulary, error, "it has more than 4 GiB");
  vocabulary->offsets[id] = vocabulary->bytes->len;
  vocabulary->lengths[id] = (guint32) n;
  vocabulary->is_known[id] = TRUE;
  vocabulary->n_known++;
  g_byte_array_append (vocabulary->bytes, bytes, (guint) n);
  return TRUE;
}

/* The byte that a character of GPT-2's alphabet stands for: printable ones of
 * Latin-1 for themselves, the other 68, in order, are U+0100 and on. -1 for
 * characters that are not of it. */
static int
byte_of_character (gunichar c)
{
  if ((c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xac) ||
      (c >= 0xae && c <= 0xff))
    return (int) c;
  if (c >= 0x100 && c <= 0x120) /* 00 to 20 */
    return (int) c - 0x100;
  if (c >= 0x121 && c <= 0x142) /* 7f to a0 */
    return (int) c - 0x121 + 0x7f;
  return c == 0x143 ? 0xad : -1;
}

gboolean
npu_vocabulary_add_text (NpuVocabulary *vocabulary, guint64 id,
    const char *text, gsize n, GError **error)
{
  GByteArray *bytes = vocabulary->token;

  if (id >= vocabulary->n_text)
    return npu_vocabulary_add (vocabulary, id, (const guint8 *) text, n, error);
  g_byte_array_set_size (bytes, 0);
  for (const char *at = text, *end = text + n; at < end;) {
    const gunichar c = g_utf8_get_char_validated (at, end - at);
    const int value = c & 0x80000000 ? -1 : byte_of_character (c);
    const guint8 byte = (guint8) value;

    if (value < 0)
      return fail_other_model (vocabulary, error,
          "token %" G_GUINT64_FORMAT " is not of the byte-level alphabet", id);
    g_byte_array_append (bytes, &byte, 1);
    at += g_utf8_skip[(guchar) *at];
  }
  return npu_vocabulary_add (vocabulary, id, bytes->data, bytes->len, error);
}

gboolean
npu_vocabulary_finish (NpuVocabulary *vocabulary, GError **error)
{
  gboolean is_token[256] = {FALSE};

  if (vocabulary->n_known < vocabulary->n_text)
    return fail_other_model (vocabulary, error,
        "it has %u text tokens of the %u that a model of %u tokens needs",
        vocabulary->n_known, vocabulary->n_text, vocabulary->special.n_vocab);
  for (guint32 id = 0; id < vocabulary->n_text; id++) {
    gsize n;
    const guint8 *bytes = npu_vocabulary_get (vocabulary, id, &n);

    if (n == 1)
      is_token[*bytes] = TRUE;
  }
  for (guint byte = 0; byte < 256; byte++) {
    if (!is_token[byte])
      return fail_other_model (
          vocabulary, error, "the byte %02x is no token of it", byte);
  }
  return TRUE;
}
