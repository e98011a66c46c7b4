/* Configurations: sections of commands that write registers and memory.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "array-private.h"

#include <string.h>

#define MAGIC 0x004f4443u /* "CDO" */
#define HEADER_WORDS 5    /* words that follow, magic, version, length, sum */

/* Commands, with the module they belong to. */
#define MASK_POLL 0x106
#define MASK_WRITE_32 0x102
#define WRITE_32 0x103
#define BLOCK 0x105
#define MASK_WRITE 0x107
#define WRITE 0x108
#define NO_OPERATION 0x111
#define LONG_COMMAND 0xff /* its length is in a word of its own */

static uint32_t
word_at (const uint8_t *data, size_t index)
{
  uint32_t word;

  memcpy (&word, data + index * 4, sizeof word);
  return word;
}

/* One command: its words from @at, @n of them. */
static bool
execute (
    Array *array, const uint8_t *data, size_t at, uint32_t command, uint32_t n)
{
  const uint32_t a = n > 0 ? word_at (data, at) : 0;
  const uint32_t b = n > 1 ? word_at (data, at + 1) : 0;
  const uint32_t c = n > 2 ? word_at (data, at + 2) : 0;
  const uint32_t d = n > 3 ? word_at (data, at + 3) : 0;
  const uint64_t address = (uint64_t) a << 32 | b;

  switch (command) {
    case NO_OPERATION:
    case MASK_POLL:
      return true;
    case WRITE_32:
      return n >= 2 && array_write (array, a, b, UINT32_MAX);
    case MASK_WRITE_32:
      return n >= 3 && array_write (array, a, c, b);
    case WRITE:
      return n >= 3 && array_write (array, address, c, UINT32_MAX);
    case MASK_WRITE:
      return n >= 4 && array_write (array, address, d, c);
    case BLOCK:
      for (uint32_t i = 2; i < n; i++)
        if (!array_write (array, address + (i - 2) * 4, word_at (data, at + i),
                UINT32_MAX))
          return false;
      return n >= 2;
    default:
      return array_fail (array,
          "the configuration has command 0x%x, which is unknown", command);
  }
}

/* The commands in words [at, end). */
static bool
execute_section (Array *array, const uint8_t *data, size_t at, size_t end)
{
  while (at < end) {
    const uint32_t header = word_at (data, at++);
    uint32_t n = header >> 16 & 0xff;

    if (n == LONG_COMMAND && at < end)
      n = word_at (data, at++);
    if (n > end - at)
      return array_fail (array,
          "the configuration is cut off: a command of %u words, with %zu left",
          n, end - at);
    if (!execute (array, data, at, header & 0xffff, n))
      return array_fail (array,
          "the configuration has a command 0x%x of %u "
          "words, which is too short",
          header & 0xffff, n);
    at += n;
  }
  return true;
}

bool
array_configure (Array *array, const void *data, size_t size)
{
  const uint8_t *bytes = data;
  const size_t words = size / 4;
  unsigned n_sections = 0;

  for (size_t i = 1; i + HEADER_WORDS - 1 <= words;) {
    size_t length;

    if (word_at (bytes, i) != MAGIC || word_at (bytes, i - 1) != 4) {
      i++;
      continue;
    }
    length = word_at (bytes, i + 2);
    if (length > words - i - 4)
      return array_fail (array,
          "the configuration is cut off: a section of %zu words, with %zu left",
          length, words - i - 4);
    if (!execute_section (array, bytes, i + 4, i + 4 + length))
      return false;
    i += 4 + length;
    n_sections++;
  }
  return n_sections ||
         array_fail (
             array, "there is no configuration (CDO) in %zu bytes", size);
}
