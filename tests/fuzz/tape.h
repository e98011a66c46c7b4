/* A fuzzer's input as a tape of decisions, so that most inputs make sense and
 * reach what is behind the first check.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

typedef struct {
  const guint8 *data;
  gsize left;
} Tape;

/* 0 behind the tape's end. */
static inline guint8
tape_u8 (Tape *tape)
{
  if (!tape->left)
    return 0;
  tape->left--;
  return *tape->data++;
}

static inline guint32
tape_u32 (Tape *tape)
{
  guint32 value = 0;

  for (guint i = 0; i < 4; i++)
    value = value << 8 | tape_u8 (tape);
  return value;
}

/* 0 to n - 1; n at most 256. */
static inline guint
tape_below (Tape *tape, guint n)
{
  return tape_u8 (tape) % n;
}

/* One of a number of strings. */
#define TAPE_ONE_OF(tape, list) (list)[tape_below (tape, G_N_ELEMENTS (list))]

/* What is left of the tape, as text that the caller frees. */
static inline char *
tape_rest (Tape *tape)
{
  char *text = g_strndup ((const char *) tape->data, tape->left);

  tape->left = 0;
  return text;
}
