/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "small-vocabulary.h"

#include <string.h>

const char *const vocabulary_form_names[N_VOCABULARY_FORMS] = {"tokenizer.json",
    "vocab.json", "vocabulary.json", "vocabulary.txt", "some.tiktoken"};

/* Of token @id of a vocabulary. */
static void
set_token (GByteArray *bytes, guint id)
{
  static const char *const words[] = {" t", "th", " th", "the", " the", "he",
      "aa", "aaaa", "\xe2\x99", " \xe2\x99", "\xe2\x99\xaa", "\n\n", "  ",
      "\xf0\x9f", "\xf0\x9f\x91", " -->", "ll", "'ll"};

  g_byte_array_set_size (bytes, 0);
  if (id < 256) {
    const guint8 byte = (guint8) (id + 33); /* "!" is the first, as in GPT-2 */

    g_byte_array_append (bytes, &byte, 1);
  } else if (id < 256 + G_N_ELEMENTS (words)) {
    const char *word = words[id - 256];

    g_byte_array_append (bytes, (const guint8 *) word, strlen (word));
  } else if (id < 50256) {
    char text[16];
    int n = g_snprintf (text, sizeof text, " w%05u\xc3\xa9", id);

    g_byte_array_append (bytes, (const guint8 *) text, (guint) n);
  }
  /* 50256 is empty in multilingual ones */
}

GByteArray *
small_vocabulary_token (guint n_vocab, guint id)
{
  GByteArray *bytes = g_byte_array_new ();

  set_token (bytes, id);
  return bytes;
}

/* In GPT-2's alphabet. */
static void
to_alphabet (GString *text, const GByteArray *bytes)
{
  g_string_truncate (text, 0);
  for (guint i = 0; i < bytes->len; i++) {
    const guint8 byte = bytes->data[i];
    gunichar c = byte;

    if (byte <= 0x20)
      c = 0x100u + byte;
    else if (byte >= 0x7f && byte <= 0xa0)
      c = 0x121u + byte - 0x7f;
    else if (byte == 0xad)
      c = 0x143;
    g_string_append_unichar (text, c);
  }
}

/* As g_string_append_printf() would, without its allocation, which costs a
 * walk of the stack where a sanitizer notes who allocates. */
static void append (GString *text, const char *format, ...)
    G_GNUC_PRINTF (2, 3);

static void
append (GString *text, const char *format, ...)
{
  char some[64];
  va_list args;

  va_start (args, format);
  g_vsnprintf (some, sizeof some, format, args);
  va_end (args);
  g_string_append (text, some);
}

/* Everything beyond ASCII as \u escapes, surrogates where needed. */
static void
append_json_string (GString *text, const char *value)
{
  g_string_append_c (text, '"');
  for (; *value; value = g_utf8_next_char (value)) {
    const gunichar c = g_utf8_get_char (value);

    if (c == '"' || c == '\\')
      append (text, "\\%c", (char) c);
    else if (c < 0x80)
      g_string_append_c (text, (char) c);
    else if (c < 0x10000)
      append (text, "\\u%04x", c);
    else
      append (text, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
          0xdc00 + (c & 0x3ff));
  }
  g_string_append_c (text, '"');
}

/* @alphabet is room for a token. */
static void
append_entry (GString *text, VocabularyForm form, guint id,
    const GByteArray *bytes, GString *alphabet)
{
  to_alphabet (alphabet, bytes);
  switch (form) {
    case VOCABULARY_TOKENIZER_JSON:
    case VOCABULARY_VOCAB_JSON:
      g_string_append (text, id > 0 ? ", " : "");
      append_json_string (text, alphabet->str);
      append (text, ": %u", id);
      break;
    case VOCABULARY_LIST_JSON:
      g_string_append (text, id > 0 ? ",\n" : "");
      append_json_string (text, alphabet->str);
      break;
    case VOCABULARY_LINES:
      g_string_append (text, alphabet->str);
      g_string_append_c (text, '\n');
      break;
    default: {
      char base64[64];
      int state = 0, save = 0;
      gsize n = g_base64_encode_step (
          bytes->data, bytes->len, FALSE, base64, &state, &save);

      n += g_base64_encode_close (FALSE, base64 + n, &state, &save);
      base64[n] = '\0';
      append (text, "%s %u\n", n ? base64 : "=", id);
      break;
    }
  }
}

GString *
small_vocabulary_write (guint n_vocab, VocabularyForm form)
{
  static const char *const before[] = {
      "{\"version\": \"1.0\", \"truncation\": null, \"pre_tokenizer\": "
      "{\"type\": \"ByteLevel\", \"x\": [1.5e3, -2, true, [\"}\"]]}, "
      "\"model\": {\"type\": \"BPE\", \"vocab\": {",
      "{", "[", "", ""};
  static const char *const after[] = {
      "}, \"merges\": [\"\\u0120 t\", [\"a\", \"b\"]]}}", "}", "]\n", "", ""};
  const guint n_text = n_vocab > 51864 ? 50257 : 50256;
  GString *text = g_string_new (before[form]);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GString) alphabet = g_string_new (NULL);

  for (guint id = 0; id < n_text; id++) {
    set_token (bytes, id);
    append_entry (text, form, id, bytes, alphabet);
  }
  return g_string_append (text, after[form]);
}

void
small_vocabulary_special (NpuSpecialTokens *special)
{
  const guint eot = 400, n_languages = 99, translate = eot + 2 + n_languages;

  *special = (NpuSpecialTokens){
      .is_multilingual = TRUE,
      .n_languages = n_languages,
      .eot = eot,
      .sot = eot + 1,
      .translate = translate,
      .transcribe = translate + 1,
      .start_of_lm = translate + 2,
      .start_of_prev = translate + 3,
      .no_speech = translate + 4,
      .no_timestamps = translate + 5,
      .timestamp_begin = translate + 6,
      .n_vocab = translate + 6 + NPU_N_TIMESTAMPS,
  };
}
