/* Instruction streams: what the firmware does for a launch.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "array-private.h"

#define HEADER_WORDS 4
#define HEADER_OPERATIONS 2
#define HEADER_SIZE 3

#define WRITE 0x00
#define BLOCK 0x01
#define MASK_WRITE 0x03
#define WAIT_TOKEN 0x80
#define PATCH_ADDRESS 0x81

/* An address in the host's memory, as a shim's descriptor has it: the argument
 * and the bytes from its beginning. 0 is no argument. */
#define ARGUMENT_SHIFT 40

/* Words of each, the block's least. */
static unsigned
size_of (uint32_t operation)
{
  switch (operation) {
    case WRITE:
      return 6;
    case BLOCK:
    case WAIT_TOKEN:
      return 4;
    case MASK_WRITE:
      return 7;
    case PATCH_ADDRESS:
      return 12;
    default:
      return 0;
  }
}

static bool
block (Array *array, const uint32_t *words, size_t n)
{
  for (size_t i = 4; i < n; i++)
    if (!array_write (array, words[2] + (i - 4) * 4, words[i], UINT32_MAX))
      return false;
  return true;
}

/* Writes the address of an argument into a shim's descriptor. */
static bool
patch (Array *array, const uint32_t *words)
{
  const uint32_t address = words[6], argument = words[8], offset = words[10];
  const uint64_t base = (uint64_t) (argument + 1) << ARGUMENT_SHIFT | offset;

  if (argument >= ARRAY_MAX_ARGUMENTS || !array->arguments[argument].data)
    return array_fail (array,
        "the stream patches the address of argument %u into 0x%x: there is no "
        "such argument",
        argument, address);
  if (offset % 4)
    return array_fail (array,
        "the stream patches argument %u with an offset of %u bytes into shim "
        "(%u,0): misaligned, a descriptor addresses words of 4",
        argument, offset, address >> 25 & 0x7f);
  return array_write (array, address, (uint32_t) base, UINT32_MAX) &&
         array_write (array, address + 4, (uint32_t) (base >> 32), 0xffff);
}

static bool
wait_token (Array *array, const uint32_t *words)
{
  const int column = (int) (words[2] >> 16 & 0xff);
  const int row = (int) (words[2] >> 8 & 0xff);
  const unsigned direction = words[2] & 0xff, channel = words[3] >> 24;
  Tile *tile = array_tile (array, column, row);

  if (!tile || direction > MM2S || channel >= tile->n_channels)
    return array_fail (array,
        "the stream waits for channel %u (direction %u) of tile (%d,%d), which "
        "is none",
        channel, direction, column, row);
  return array_wait (array, &tile->channels[direction][channel]);
}

static bool
execute (Array *array, const uint32_t *words, size_t n)
{
  switch (words[0] & 0xff) {
    case WRITE:
      return array_write (array, words[2], words[4], UINT32_MAX);
    case BLOCK:
      return block (array, words, n);
    case MASK_WRITE:
      return array_write (array, words[2], words[4], words[5]);
    case WAIT_TOKEN:
      return wait_token (array, words);
    default:
      return patch (array, words);
  }
}

bool
array_run (Array *array, const uint32_t *words, size_t n)
{
  size_t at = HEADER_WORDS;

  if (array->failed)
    return false;
  if (n < HEADER_WORDS || words[HEADER_SIZE] != n * 4)
    return array_fail (array,
        "%zu words are no instruction stream: its header says %u bytes", n,
        n < HEADER_WORDS ? 0 : words[HEADER_SIZE]);
  for (uint32_t i = 0; i < words[HEADER_OPERATIONS]; i++) {
    const size_t left = n - at;
    size_t size = left ? size_of (words[at] & 0xff) : 0;

    if (left && !size)
      return array_fail (array,
          "operation %u of the stream is 0x%02x, which is unknown", i,
          words[at] & 0xff);
    if (size <= left && (words[at] & 0xff) == BLOCK)
      size = words[at + 3] / 4;
    if (!left || size > left || size < 4)
      return array_fail (
          array, "operation %u of the stream is cut off at word %zu", i, at);
    if (!execute (array, words + at, size))
      return array_fail (array, "operation %u of the stream failed", i);
    at += size;
  }
  return array_settle (array);
}
