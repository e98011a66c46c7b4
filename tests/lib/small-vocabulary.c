/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "small-vocabulary.h"

#include <string.h>

const char *const vocabulary_form_names[N_VOCABULARY_FORMS] = {"tokenizer.json",
    "vocab.json", "vocabulary.json", "vocabulary.txt", "some.tiktoken"};

GByteArray *
small_vocabulary_token (guint n_vocab, guint id)
{
  static const char *const words[] = {" t", "th", " th", "the", " the", "he",
      "aa", "aaaa", "\xe2\x99", " \xe2\x99", "\xe2\x99\xaa", "\n\n", "  ",
      "\xf0\x9f", "\xf0\x9f\x91", " -->", "ll", "'ll"};
  GByteArray *bytes = g_byte_array_new ();

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
  return bytes; /* 50256 is empty in multilingual ones */
}

/* In GPT-2's alphabet. */
static GString *
to_alphabet (const GByteArray *bytes)
{
  GString *text = g_string_new (NULL);

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
  return text;
}

/* Everything beyond ASCII as \u escapes, surrogates where needed. */
static void
append_json_string (GString *text, const char *value)
{
  g_string_append_c (text, '"');
  for (; *value; value = g_utf8_next_char (value)) {
    const gunichar c = g_utf8_get_char (value);

    if (c == '"' || c == '\\')
      g_string_append_printf (text, "\\%c", (char) c);
    else if (c < 0x80)
      g_string_append_c (text, (char) c);
    else if (c < 0x10000)
      g_string_append_printf (text, "\\u%04x", c);
    else
      g_string_append_printf (text, "\\u%04x\\u%04x",
          0xd800 + ((c - 0x10000) >> 10), 0xdc00 + (c & 0x3ff));
  }
  g_string_append_c (text, '"');
}

static void
append_entry (
    GString *text, VocabularyForm form, guint id, const GByteArray *bytes)
{
  g_autoptr (GString) alphabet = to_alphabet (bytes);

  switch (form) {
    case VOCABULARY_TOKENIZER_JSON:
    case VOCABULARY_VOCAB_JSON:
      g_string_append (text, id > 0 ? ", " : "");
      append_json_string (text, alphabet->str);
      g_string_append_printf (text, ": %u", id);
      break;
    case VOCABULARY_LIST_JSON:
      g_string_append (text, id > 0 ? ",\n" : "");
      append_json_string (text, alphabet->str);
      break;
    case VOCABULARY_LINES:
      g_string_append_printf (text, "%s\n", alphabet->str);
      break;
    default: {
      g_autofree char *base64 = g_base64_encode (bytes->data, bytes->len);

      g_string_append_printf (text, "%s %u\n", *base64 ? base64 : "=", id);
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

  for (guint id = 0; id < n_text; id++) {
    GByteArray *bytes = small_vocabulary_token (n_vocab, id);

    append_entry (text, form, id, bytes);
    g_byte_array_unref (bytes);
  }
  return g_string_append (text, after[form]);
}
