/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "languages.h"

#include <string.h>

#include "npu-tokenizer.h"

/* In the order of their tokens. */
static const struct {
  const char *code, *name;
} languages[] = {
    {"en", "English"},
    {"zh", "Chinese"},
    {"de", "German"},
    {"es", "Spanish"},
    {"ru", "Russian"},
    {"ko", "Korean"},
    {"fr", "French"},
    {"ja", "Japanese"},
    {"pt", "Portuguese"},
    {"tr", "Turkish"},
    {"pl", "Polish"},
    {"ca", "Catalan"},
    {"nl", "Dutch"},
    {"ar", "Arabic"},
    {"sv", "Swedish"},
    {"it", "Italian"},
    {"id", "Indonesian"},
    {"hi", "Hindi"},
    {"fi", "Finnish"},
    {"vi", "Vietnamese"},
    {"he", "Hebrew"},
    {"uk", "Ukrainian"},
    {"el", "Greek"},
    {"ms", "Malay"},
    {"cs", "Czech"},
    {"ro", "Romanian"},
    {"da", "Danish"},
    {"hu", "Hungarian"},
    {"ta", "Tamil"},
    {"no", "Norwegian"},
    {"th", "Thai"},
    {"ur", "Urdu"},
    {"hr", "Croatian"},
    {"bg", "Bulgarian"},
    {"lt", "Lithuanian"},
    {"la", "Latin"},
    {"mi", "Maori"},
    {"ml", "Malayalam"},
    {"cy", "Welsh"},
    {"sk", "Slovak"},
    {"te", "Telugu"},
    {"fa", "Persian"},
    {"lv", "Latvian"},
    {"bn", "Bengali"},
    {"sr", "Serbian"},
    {"az", "Azerbaijani"},
    {"sl", "Slovenian"},
    {"kn", "Kannada"},
    {"et", "Estonian"},
    {"mk", "Macedonian"},
    {"br", "Breton"},
    {"eu", "Basque"},
    {"is", "Icelandic"},
    {"hy", "Armenian"},
    {"ne", "Nepali"},
    {"mn", "Mongolian"},
    {"bs", "Bosnian"},
    {"kk", "Kazakh"},
    {"sq", "Albanian"},
    {"sw", "Swahili"},
    {"gl", "Galician"},
    {"mr", "Marathi"},
    {"pa", "Punjabi"},
    {"si", "Sinhala"},
    {"km", "Khmer"},
    {"sn", "Shona"},
    {"yo", "Yoruba"},
    {"so", "Somali"},
    {"af", "Afrikaans"},
    {"oc", "Occitan"},
    {"ka", "Georgian"},
    {"be", "Belarusian"},
    {"tg", "Tajik"},
    {"sd", "Sindhi"},
    {"gu", "Gujarati"},
    {"am", "Amharic"},
    {"yi", "Yiddish"},
    {"lo", "Lao"},
    {"uz", "Uzbek"},
    {"fo", "Faroese"},
    {"ht", "Haitian Creole"},
    {"ps", "Pashto"},
    {"tk", "Turkmen"},
    {"nn", "Nynorsk"},
    {"mt", "Maltese"},
    {"sa", "Sanskrit"},
    {"lb", "Luxembourgish"},
    {"my", "Myanmar"},
    {"bo", "Tibetan"},
    {"tl", "Tagalog"},
    {"mg", "Malagasy"},
    {"as", "Assamese"},
    {"tt", "Tatar"},
    {"haw", "Hawaiian"},
    {"ln", "Lingala"},
    {"ha", "Hausa"},
    {"ba", "Bashkir"},
    {"jw", "Javanese"},
    {"su", "Sundanese"},
    {"yue", "Cantonese"},
};

/* Other codes and names that people write. */
static const struct {
  const char *alias, *code;
} aliases[] = {
    {"cmn", "zh"},
    {"fil", "tl"},
    {"in", "id"},
    {"iw", "he"},
    {"jv", "jw"},
    {"nb", "no"},
    {"burmese", "my"},
    {"castilian", "es"},
    {"flemish", "nl"},
    {"haitian", "ht"},
    {"letzeburgesch", "lb"},
    {"mandarin", "zh"},
    {"moldavian", "ro"},
    {"moldovan", "ro"},
    {"panjabi", "pa"},
    {"pushto", "ps"},
    {"sinhalese", "si"},
    {"valencian", "ca"},
};

const char *
npu_language_get_code (guint index)
{
  return index < G_N_ELEMENTS (languages) ? languages[index].code : NULL;
}

const char *
npu_language_get_name (guint index)
{
  return index < G_N_ELEMENTS (languages) ? languages[index].name : NULL;
}

static int
find_exact (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (languages); i++) {
    if (g_ascii_strcasecmp (name, languages[i].code) == 0 ||
        g_ascii_strcasecmp (name, languages[i].name) == 0)
      return (int) i;
  }
  return -1;
}

int
npu_language_find (const char *name)
{
  g_autofree char *subtag = g_strndup (name, strcspn (name, "-_"));
  const char *code = subtag;

  for (guint i = 0; i < G_N_ELEMENTS (aliases); i++) {
    if (g_ascii_strcasecmp (subtag, aliases[i].alias) == 0)
      code = aliases[i].code;
  }
  return find_exact (code);
}
