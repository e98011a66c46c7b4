/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "segments.h"

/* Before the end of a window speech may begin that is too short for text. */
#define NEAR_END_NS G_GUINT64_CONSTANT (500000000)

typedef struct {
  const guint32 *tokens;
  guint n;
  guint32 timestamp_begin;
} Answer;

static gboolean
is_timestamp (const Answer *answer, guint i)
{
  return answer->tokens[i] >= answer->timestamp_begin;
}

static guint
time_of (const Answer *answer, guint i)
{
  return answer->tokens[i] - answer->timestamp_begin;
}

/* The index of the second timestamp of the next pair from @from on; n if there
 * is none. */
static guint
find_pair (const Answer *answer, guint from)
{
  for (guint i = MAX (from, 1); i < answer->n; i++) {
    if (is_timestamp (answer, i - 1) && is_timestamp (answer, i))
      return i;
  }
  return answer->n;
}

/* Text, then one timestamp. */
static gboolean
has_single_end (const Answer *answer)
{
  const guint n = answer->n;

  return n >= 2 && is_timestamp (answer, n - 1) &&
         !is_timestamp (answer, n - 2);
}

/* The last timestamp that has something before it; 0 if there is none. */
static guint
last_end (const Answer *answer)
{
  for (guint i = answer->n; i-- > 1;) {
    if (is_timestamp (answer, i))
      return time_of (answer, i);
  }
  return 0;
}

/* From its own timestamp, where it begins with one. */
static void
add_slice (const Answer *answer, guint first, guint end_index, guint start,
    guint end, GArray *slices)
{
  NpuSlice slice = {first, end_index - first, start, end};

  if (first < answer->n && is_timestamp (answer, first))
    slice.start = time_of (answer, first);
  g_array_append_val (slices, slice);
}

/* No pair: one segment. */
static guint
cut_one (const Answer *answer, gboolean is_cut, GArray *slices)
{
  const guint end = last_end (answer);

  if (answer->n > 0)
    add_slice (answer, 0, answer->n, 0, end > 0 ? end : NPU_WINDOW_END, slices);
  return is_cut && end > 0 && has_single_end (answer) ? end : NPU_WINDOW_END;
}

guint
npu_segments_cut (const NpuSpecialTokens *special, const guint32 *tokens,
    guint n, gboolean is_cut, GArray *slices)
{
  const Answer answer = {tokens, n, special->timestamp_begin};
  guint first = 0, start = 0, used = 0;

  for (guint i = find_pair (&answer, 1); i < n; i = find_pair (&answer, i + 1))
    used = MAX (used, time_of (&answer, i - 1));
  if (used == 0) /* or a pair that would not get us on */
    return cut_one (&answer, is_cut, slices);

  for (guint i = find_pair (&answer, 1); i < n;
       i = find_pair (&answer, i + 1)) {
    const guint end = time_of (&answer, i - 1);

    add_slice (&answer, first, i, start, end, slices);
    first = i;
    start = end;
  }
  if (!has_single_end (&answer))
    return used;
  used = time_of (&answer, n - 1);
  add_slice (&answer, first, n, start, used, slices);
  return is_cut && used > 0 ? used : NPU_WINDOW_END;
}

void
npu_segments_add_rest (const NpuSpecialTokens *special, const guint32 *tokens,
    guint n, GArray *slices)
{
  const Answer answer = {tokens, n, special->timestamp_begin};
  guint last = 0;

  if (has_single_end (&answer))
    return;
  for (guint i = find_pair (&answer, 1); i < n; i = find_pair (&answer, i + 1))
    last = i;
  if (last > 0)
    add_slice (
        &answer, last, n, time_of (&answer, last), NPU_WINDOW_END, slices);
}

gboolean
npu_segments_have_single_end (
    const NpuSpecialTokens *special, const guint32 *tokens, guint n)
{
  const Answer answer = {tokens, n, special->timestamp_begin};

  return has_single_end (&answer);
}

guint
npu_segments_last_begin (guint64 duration)
{
  return duration < NEAR_END_NS + NPU_TIMESTAMP_NS
             ? 1
             : (guint) ((duration - NEAR_END_NS) / NPU_TIMESTAMP_NS);
}
