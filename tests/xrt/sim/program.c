/* The programs in a test xclbin: text where a real one has a PDI. For each a
 * line "npusim 1", then the keys of the overlay's group in overlays.ini. With a
 * key `cores`, a design follows behind the text: see design.c.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const ops[] = {"linear", "attention", "layernorm", "gelu"};
static const char *const layouts[] = {"rows", "tiles", "packed"};
static const char *const types[] = {"f32", "bf16", "int8", "int32"};
static const char *const args[SIM_N_ARGS] = {
    [SIM_ARG_NONE] = "",
    [SIM_ARG_A] = "a",
    [SIM_ARG_B] = "b",
    [SIM_ARG_C] = "c",
    [SIM_ARG_X] = "x",
    [SIM_ARG_G] = "g",
    [SIM_ARG_Y] = "y",
    [SIM_ARG_Q] = "q",
    [SIM_ARG_K] = "k",
    [SIM_ARG_V] = "v",
    [SIM_ARG_O] = "o",
    [SIM_ARG_BIAS] = "bias",
    [SIM_ARG_R] = "r",
    [SIM_ARG_IN] = "in",
    [SIM_ARG_OUT] = "out",
};

#define COUNT(array) ((int) (sizeof array / sizeof *array))

static int
find_word (const char *const *words, int n, const char *word)
{
  for (int i = 0; i < n; i++)
    if (!strcmp (words[i], word))
      return i;
  return -1;
}

size_t
sim_type_size (SimType type)
{
  switch (type) {
    case SIM_BF16:
      return 2;
    case SIM_INT8:
      return 1;
    default:
      return 4;
  }
}

bool
sim_arg_is_output (SimArg arg)
{
  return arg == SIM_ARG_C || arg == SIM_ARG_Y || arg == SIM_ARG_O ||
         arg == SIM_ARG_OUT;
}

static bool
parse_number (const char *value, int *number)
{
  char *end;
  const long x = strtol (value, &end, 10);

  *number = (int) x;
  return end != value && !*end && x > 0 && x <= 1 << 20;
}

static bool
parse_type (const char *value, SimType *type)
{
  const int i = find_word (types, COUNT (types), value);

  *type = (SimType) i;
  return i >= 0;
}

static bool
parse_args (SimProgram *program, char *value)
{
  char *rest = NULL;

  for (char *word = strtok_r (value, ";", &rest); word;
       word = strtok_r (NULL, ";", &rest)) {
    const int role = find_word (args, SIM_N_ARGS, word);

    if (role <= 0 || program->n_args == SIM_MAX_ARGS)
      return false;
    program->args[program->n_args++] = (SimArg) role;
  }
  return program->n_args > 0;
}

static bool
parse_epilogue (SimProgram *program, char *value)
{
  char *rest = NULL;

  for (char *word = strtok_r (value, ";", &rest); word;
       word = strtok_r (NULL, ";", &rest))
    if (!strcmp (word, "bias"))
      program->bias = true;
    else if (!strcmp (word, "gelu"))
      program->gelu = true;
    else if (!strcmp (word, "residual"))
      program->residual = true;
    else
      return false;
  return true;
}

static bool
parse_key (SimProgram *program, const char *key, char *value)
{
  int word;

  if (!strcmp (key, "op")) {
    word = find_word (ops, COUNT (ops), value);
    program->op = (SimOp) word;
    return word >= 0;
  }
  if (!strcmp (key, "layout")) {
    word = find_word (layouts, COUNT (layouts), value);
    program->layout = (SimLayout) word;
    return word >= 0;
  }
  if (!strcmp (key, "rows"))
    return parse_number (value, &program->rows);
  if (!strcmp (key, "k"))
    return parse_number (value, &program->k);
  if (!strcmp (key, "n"))
    return parse_number (value, &program->n);
  if (!strcmp (key, "kv-tiles"))
    return parse_number (value, &program->kv_tiles);
  if (!strcmp (key, "heads"))
    return parse_number (value, &program->heads);
  if (!strcmp (key, "a-type"))
    return parse_type (value, &program->a_type);
  if (!strcmp (key, "b-type"))
    return parse_type (value, &program->b_type);
  if (!strcmp (key, "c-type"))
    return parse_type (value, &program->c_type);
  if (!strcmp (key, "args"))
    return parse_args (program, value);
  if (!strcmp (key, "cores")) {
    snprintf (program->cores, sizeof program->cores, "%s", value);
    return strlen (value) < sizeof program->cores;
  }
  if (!strcmp (key, "epilogue"))
    return parse_epilogue (program, value);
  return true; /* xclbin, kernel and the like are not ours */
}

static bool
has_arg (const SimProgram *program, SimArg arg)
{
  for (int i = 0; i < program->n_args; i++)
    if (program->args[i] == arg)
      return true;
  return false;
}

static bool
is_complete (const SimProgram *program)
{
  const SimProgram *p = program;

  if (p->layout == SIM_PACKED)
    return p->rows && has_arg (p, SIM_ARG_IN) && has_arg (p, SIM_ARG_OUT);
  switch (p->op) {
    case SIM_LINEAR:
      return p->rows && p->k && p->n && has_arg (p, SIM_ARG_A) &&
             has_arg (p, SIM_ARG_B) && has_arg (p, SIM_ARG_C) &&
             (!p->bias || has_arg (p, SIM_ARG_BIAS)) &&
             (!p->residual || has_arg (p, SIM_ARG_R)) &&
             ((p->a_type == SIM_BF16 && p->b_type == SIM_BF16 &&
                  (p->c_type == SIM_F32 || p->c_type == SIM_BF16)) ||
                 (p->a_type == SIM_INT8 && p->b_type == SIM_INT8 &&
                     p->c_type == SIM_INT32 && !p->bias && !p->gelu &&
                     !p->residual));
    case SIM_ATTENTION:
      return p->rows && p->rows % NPU_TILE_ROWS == 0 && p->kv_tiles && p->n &&
             p->n >= p->heads * NPU_HEAD_DIM && has_arg (p, SIM_ARG_Q) &&
             has_arg (p, SIM_ARG_K) && has_arg (p, SIM_ARG_V) &&
             has_arg (p, SIM_ARG_O);
    case SIM_LAYERNORM:
      return p->rows && p->n && has_arg (p, SIM_ARG_X) &&
             has_arg (p, SIM_ARG_G) && has_arg (p, SIM_ARG_Y);
    default:
      return p->rows && p->n && has_arg (p, SIM_ARG_X) &&
             has_arg (p, SIM_ARG_Y);
  }
}

static double
count_operations (const SimProgram *program)
{
  const double rows = program->rows, n = program->n;

  switch (program->op) {
    case SIM_LINEAR:
      return 2 * rows * n * program->k;
    case SIM_ATTENTION:
      return 4 * rows * NPU_HEAD_DIM * NPU_TILE_ROWS * program->kv_tiles *
             program->heads;
    default:
      return 10 * rows * n;
  }
}

#define FIRST_LINE "npusim 1"

/* The lines up to the next program's. */
static bool
parse_program (SimProgram *program, char **lines, char *why, size_t why_size)
{
  char *line;

  *program = (SimProgram){.heads = 1};
  while ((line = strtok_r (NULL, "\r\n", lines))) {
    char *value = strchr (line, '=');

    if (!strcmp (line, FIRST_LINE))
      break;
    if (!value)
      continue;
    *value++ = 0;
    if (!parse_key (program, line, value)) {
      snprintf (
          why, why_size, "the PDI's '%.40s' cannot be '%.60s'", line, value);
      return false;
    }
  }
  if (!is_complete (program)) {
    snprintf (why, why_size,
        "the PDI lacks a key of its operation, or its types or shapes are none "
        "that the simulator computes");
    return false;
  }
  program->operations = count_operations (program);
  return true;
}

bool
sim_programs_parse (SimPrograms *programs, const void *pdi, size_t size,
    char *why, size_t why_size)
{
  char text[16384], *lines = NULL, *line;
  const size_t length = size < sizeof text - 1 ? size : sizeof text - 1;

  memcpy (text, pdi, length);
  text[length] = 0;
  line = strtok_r (text, "\r\n", &lines);
  if (!line || strcmp (line, FIRST_LINE)) {
    snprintf (why, why_size,
        "the xclbin is not made for the simulator: its PDI does not begin with "
        "'" FIRST_LINE "'");
    return false;
  }
  programs->n = 0;
  do {
    if (programs->n == SIM_MAX_PROGRAMS) {
      snprintf (
          why, why_size, "the PDI has more than %d programs", SIM_MAX_PROGRAMS);
      return false;
    }
    if (!parse_program (&programs->list[programs->n++], &lines, why, why_size))
      return false;
  } while (*lines);
  return true;
}

/* --- which of them */

#define STREAM_HEADER 4
#define STREAM_WRITE 0
#define STREAM_BLOCK 1
#define STREAM_MASK_WRITE 3
#define STREAM_OWN 0x80 /* operations with their size in the second word */
#define PROGRAM_MEMORY 0x20000u
#define OFFSET_MASK 0xfffffu
#define FIRST_CORE_ROW 2
#define ROW_SHIFT 20

const SimProgram *
sim_programs_choose (
    const SimPrograms *programs, const uint32_t *stream, size_t n_words)
{
  uint32_t number = 0;

  for (size_t at = STREAM_HEADER; at + 6 <= n_words;) {
    const uint32_t *words = stream + at;
    const uint32_t kind = words[0] & 0xff;
    const uint32_t size = kind == STREAM_WRITE        ? 6
                          : kind == STREAM_MASK_WRITE ? 7
                          : kind == STREAM_BLOCK      ? words[3] / 4
                          : kind & STREAM_OWN         ? words[1] / 4
                                                      : 0;

    if (kind == STREAM_WRITE && (words[2] & OFFSET_MASK) == PROGRAM_MEMORY &&
        (words[2] >> ROW_SHIFT & 31) >= FIRST_CORE_ROW) {
      number = words[4];
      break;
    }
    if (size < 4) /* no stream: that is told elsewhere */
      break;
    at += size;
  }
  return number < (uint32_t) programs->n ? &programs->list[number] : NULL;
}

/* Of q and k in the tiles layout: 64 x 64 and one row more. */
#define TILE_SIZE (NPU_TILE_ROWS * NPU_HEAD_DIM * 2)
#define QK_TILE_SIZE (TILE_SIZE + NPU_HEAD_DIM * 2)

static uint64_t
packed_size (const SimProgram *program, bool in)
{
  const uint64_t tile = NPU_TILE_ROWS * NPU_HEAD_DIM;
  const uint64_t rows = (uint64_t) program->rows, n = (uint64_t) program->n,
                 k = (uint64_t) program->k;

  switch (program->op) {
    case SIM_ATTENTION:
      return in ? 3 * tile : tile;
    case SIM_LAYERNORM:
      return in ? 3 * n : n;
    case SIM_GELU:
      return n;
    default:
      return in ? rows * k + k * n : rows * n;
  }
}

uint64_t
sim_program_arg_size (const SimProgram *program, SimArg arg)
{
  const uint64_t rows = (uint64_t) program->rows, n = (uint64_t) program->n,
                 k = (uint64_t) program->k, heads = (uint64_t) program->heads,
                 kv_tiles = (uint64_t) program->kv_tiles;

  switch (arg) {
    case SIM_ARG_A:
      return rows * k * sim_type_size (program->a_type);
    case SIM_ARG_B:
      return k * n * sim_type_size (program->b_type);
    case SIM_ARG_C:
      return rows * n * sim_type_size (program->c_type);
    case SIM_ARG_X:
      return rows * n * (program->op == SIM_LAYERNORM ? 4 : 2);
    case SIM_ARG_G:
      return 2 * n * sizeof (float);
    case SIM_ARG_Y:
      return rows * n * 2;
    case SIM_ARG_Q:
      return heads * (rows / NPU_TILE_ROWS) * QK_TILE_SIZE;
    case SIM_ARG_K:
      return heads * kv_tiles * QK_TILE_SIZE;
    case SIM_ARG_V:
      return heads * kv_tiles * TILE_SIZE;
    case SIM_ARG_O:
      return ((rows - 1) * n + heads * NPU_HEAD_DIM) * 2;
    case SIM_ARG_BIAS:
      return n * sizeof (float);
    case SIM_ARG_R:
      return rows * n * sizeof (float);
    case SIM_ARG_IN:
      return packed_size (program, true);
    case SIM_ARG_OUT:
      return packed_size (program, false);
    default:
      return 0;
  }
}
