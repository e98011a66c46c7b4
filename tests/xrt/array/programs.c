/* The programs of kernels/aie2 as the loops of their cores (design.py) call
 * them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "array-core.h"

#include "npu-aie-programs.h"

#define F32 4
#define BF16 2
#define HEAD 64
#define GELU_OBJECT NPU_AIE_TILE /* elements of an object */
#define LAYERNORM_ROWS 4         /* of an object */

/* --- gelu: x to y */

enum { GELU_X, GELU_Y };

static bool
gelu_begin (ArrayCore *core, const int *parameters)
{
  (void) parameters;
  return array_core_open (core, GELU_X, ARRAY_IN, GELU_OBJECT * BF16) &&
         array_core_open (core, GELU_Y, ARRAY_OUT, GELU_OBJECT * BF16);
}

static void
gelu_run (ArrayCore *core, const int *parameters, int *step)
{
  (void) parameters, (void) step;
  for (;;) {
    const NpuBf16 *x = array_core_acquire (core, GELU_X);
    NpuBf16 *y = x ? array_core_acquire (core, GELU_Y) : NULL;

    if (!y)
      return;
    npu_gelu_row (x, y, GELU_OBJECT);
    array_core_release (core, GELU_X);
    array_core_release (core, GELU_Y);
  }
}

/* --- layernorm: gamma and beta once a launch, then objects of four rows */

enum { LAYERNORM_N, LAYERNORM_OBJECTS };
enum { LAYERNORM_X, LAYERNORM_G, LAYERNORM_Y };

static bool
layernorm_begin (ArrayCore *core, const int *parameters)
{
  const size_t n = (size_t) parameters[LAYERNORM_N];

  return array_core_open (
             core, LAYERNORM_X, ARRAY_IN, LAYERNORM_ROWS * n * F32) &&
         array_core_open (core, LAYERNORM_G, ARRAY_IN, 2 * n * F32) &&
         array_core_open (
             core, LAYERNORM_Y, ARRAY_OUT, LAYERNORM_ROWS * n * BF16);
}

/* `step`: objects done. */
static void
layernorm_run (ArrayCore *core, const int *parameters, int *step)
{
  for (;;) {
    const float *g = array_core_acquire (core, LAYERNORM_G);
    const float *x = g ? array_core_acquire (core, LAYERNORM_X) : NULL;
    NpuBf16 *y = x ? array_core_acquire (core, LAYERNORM_Y) : NULL;

    if (!y)
      return;
    npu_layernorm_rows (x, g, y, LAYERNORM_ROWS, parameters[LAYERNORM_N]);
    array_core_release (core, LAYERNORM_X);
    array_core_release (core, LAYERNORM_Y);
    if (++*step == parameters[LAYERNORM_OBJECTS]) {
      array_core_release (core, LAYERNORM_G);
      *step = 0;
    }
  }
}

/* --- attention: a tile of q against all k and v */

enum { ATTENTION_TILES, ATTENTION_ACC, ATTENTION_STATE };
enum { ATTENTION_Q, ATTENTION_KV, ATTENTION_O };

static bool
attention_begin (ArrayCore *core, const int *parameters)
{
  const size_t bias = (size_t) parameters[ATTENTION_TILES] * HEAD;

  return array_core_open (
             core, ATTENTION_Q, ARRAY_IN, (NPU_AIE_TILE + bias) * BF16) &&
         array_core_open (core, ATTENTION_KV, ARRAY_IN, NPU_AIE_TILE * BF16) &&
         array_core_open (core, ATTENTION_O, ARRAY_OUT, NPU_AIE_TILE * BF16);
}

/* `step`: 0 before a tile of q, then 1 + the number of objects of k and v that
 * it has seen. */
static void
attention_run (ArrayCore *core, const int *parameters, int *step)
{
  float *acc = array_core_memory (
      core, (size_t) parameters[ATTENTION_ACC], NPU_AIE_TILE * F32);
  float *state = array_core_memory (
      core, (size_t) parameters[ATTENTION_STATE], NPU_AIE_STATE * F32);

  while (acc && state) {
    NpuBf16 *q = array_core_acquire (core, ATTENTION_Q);
    NpuBf16 *o = q ? array_core_acquire (core, ATTENTION_O) : NULL;
    const NpuBf16 *kv;

    if (!o)
      return;
    if (!*step) {
      npu_attention_begin (q, acc, state);
      *step = 1;
    }
    kv = array_core_acquire (core, ATTENTION_KV);
    if (!kv)
      return;
    if (*step % 2)
      npu_attention_scores (q, kv, o, state, *step / 2);
    else
      npu_attention_values (o, kv, acc, state);
    array_core_release (core, ATTENTION_KV);
    if (++*step <= 2 * parameters[ATTENTION_TILES])
      continue;
    npu_attention_end (o, acc, state);
    array_core_release (core, ATTENTION_Q);
    array_core_release (core, ATTENTION_O);
    *step = 0;
  }
}

const ArrayProgram array_programs[] = {
    {"gelu", {NULL}, gelu_begin, gelu_run},
    {"layernorm", {"n", "objects"}, layernorm_begin, layernorm_run},
    {"attention", {"kv-tiles", "acc", "state"}, attention_begin, attention_run},
    {NULL, {NULL}, NULL, NULL},
};
