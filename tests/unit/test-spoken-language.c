/* Which windows tell the language, and which are told it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "transcript/spoken-language.h"

#define SECOND G_GUINT64_CONSTANT (1000000000)
#define ONCE G_MAXUINT64

typedef struct {
  guint64 at;       /* s */
  guint64 duration; /* s */
  int found;
  float probability, no_speech;
  gboolean asks;
  int language;    /* that it is decoded in */
  float told_prob; /* of that */
} Heard;

static void
check (guint64 interval, const Heard *heard, guint n)
{
  NpuSpokenLanguage spoken;

  npu_spoken_language_init (&spoken, -1, interval, 0.6f);
  for (guint i = 0; i < n; i++) {
    float probability = heard[i].probability;

    g_test_message ("window %u", i);
    g_assert_cmpint (npu_spoken_language_asks (&spoken, heard[i].at * SECOND),
        ==, heard[i].asks);
    g_assert_cmpint (npu_spoken_language_hear (&spoken, heard[i].at * SECOND,
                         heard[i].duration * SECOND, heard[i].found,
                         heard[i].no_speech, &probability),
        ==, heard[i].language);
    g_assert_cmpfloat (probability, ==, heard[i].told_prob);
  }
}

static void
test_once (void)
{
  static const Heard heard[] = {
      {0, 30, 7, 0.9f, 0.7f, TRUE, 7, 0.9f}, /* music: of no weight */
      {30, 30, 2, 0.4f, 0.1f, TRUE, 2, 0.4f},
      {60, 30, 5, 1, 0, FALSE, 2, 0.4f},
      {4000, 30, 5, 1, 0, FALSE, 2, 0.4f},
  };

  check (ONCE, heard, G_N_ELEMENTS (heard));
}

static void
test_each (void)
{
  static const Heard heard[] = {
      {0, 30, 2, 0.9f, 0.1f, TRUE, 2, 0.9f},
      {30, 30, 3, 0.8f, 0.1f, TRUE, 3, 0.8f},
      {60, 30, 4, 0.8f, 0.9f, TRUE, 3, 0.8f}, /* music */
      {90, 30, 4, 0.5f, 0.1f, TRUE, 3, 0.8f}, /* not sure */
      {120, 30, 3, 0.3f, 0.1f, TRUE, 3, 0.3f},
      {150, 30, 4, 0.6f, 0.1f, TRUE, 4, 0.6f},
      {120, 30, 2, 0.9f, 0.1f, FALSE, 4, 0.6f}, /* time that goes back */
  };

  check (0, heard, G_N_ELEMENTS (heard));
}

/* A name is no other language. */
static void
test_short (void)
{
  static const Heard heard[] = {
      {0, 3, 2, 0.6f, 0.1f, TRUE, 2, 0.6f}, /* there is no other yet */
      {3, 9, 3, 0.8f, 0.1f, TRUE, 2, 0.6f},
      {12, 10, 3, 0.8f, 0.1f, TRUE, 3, 0.8f},
      {22, 3, 2, 0.95f, 0.1f, TRUE, 2, 0.95f},
      {25, 3, 2, 0.7f, 0.1f, TRUE, 2, 0.7f},
  };

  check (0, heard, G_N_ELEMENTS (heard));
}

static void
test_interval (void)
{
  static const Heard heard[] = {
      {10, 30, 2, 0.9f, 0.1f, TRUE, 2, 0.9f},
      {40, 30, 3, 0.9f, 0.1f, FALSE, 2, 0.9f},
      {69, 30, 3, 0.9f, 0.1f, FALSE, 2, 0.9f},
      {70, 30, 3, 0.9f, 0.9f, TRUE, 2,
          0.9f}, /* silent: the next is asked, too */
      {99, 30, 3, 0.9f, 0.1f, TRUE, 3, 0.9f},
      {129, 30, 2, 0.9f, 0.1f, FALSE, 3, 0.9f},
      {159, 30, 2, 0.9f, 0.1f, TRUE, 2, 0.9f},
  };

  check (60 * SECOND, heard, G_N_ELEMENTS (heard));
}

static void
test_given (void)
{
  NpuSpokenLanguage spoken;

  npu_spoken_language_init (&spoken, 3, 0, 0.6f);
  g_assert_false (npu_spoken_language_asks (&spoken, 0));
  g_assert_false (npu_spoken_language_asks (&spoken, 100 * SECOND));
  g_assert_cmpint (spoken.language, ==, 3);
  g_assert_cmpfloat (spoken.probability, ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/spoken-language/once", test_once);
  g_test_add_func ("/spoken-language/each-window", test_each);
  g_test_add_func ("/spoken-language/short-windows", test_short);
  g_test_add_func ("/spoken-language/interval", test_interval);
  g_test_add_func ("/spoken-language/given", test_given);
  return g_test_run ();
}
