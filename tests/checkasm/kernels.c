/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernels.h"

#include <string.h>

#include "plain.h"

static void
run_attention (Fixture *f, const NpuAttentionKernel *kernel, guint i)
{
  kernel->run (
      f->o, DIM, f->q[i], f->k[i], f->v[i], ROWS, KV_ROWS, 0.125f, f->scratch);
}

static void
run_attention_f32 (Fixture *f)
{
  run_attention (f, &f->level->kernels.attention_f32, 0);
}

static void
run_attention_s8 (Fixture *f)
{
  run_attention (f, &f->level->kernels.attention_s8, 1);
}

static void
run_attention_bf16 (Fixture *f)
{
  run_attention (f, &f->level->kernels.attention_bf16, 2);
}

static void
run_pack (Fixture *f, const NpuAttentionKernel *kernel, guint i)
{
  kernel->pack_q (f->q[i], f->x, WIDTH, ROWS);
  kernel->pack_k (f->k[i], f->x + DIM, WIDTH, ROWS);
  kernel->pack_v (f->v[i], f->x + 2 * DIM, WIDTH, ROWS);
}

static void
run_pack_f32 (Fixture *f)
{
  run_pack (f, &f->level->kernels.attention_f32, 0);
}

static void
run_pack_s8 (Fixture *f)
{
  run_pack (f, &f->level->kernels.attention_s8, 1);
}

static void
run_layernorm_f32 (Fixture *f)
{
  f->level->kernels.layernorm_f32 (
      f->y, WIDTH, f->x, WIDTH, f->columns, f->columns, 1e-5f, ROWS, WIDTH);
}

static void
run_layernorm_q8 (Fixture *f)
{
  f->level->kernels.layernorm_q8 (
      f->bytes, f->y, f->x, WIDTH, f->columns, f->columns, 1e-5f, ROWS, WIDTH);
}

static void
run_quantize_q8 (Fixture *f)
{
  f->level->kernels.quantize_q8 (
      f->bytes, f->y, f->x, HIDDEN, f->columns, ROWS, HIDDEN);
}

static void
run_convert_bf16 (Fixture *f)
{
  f->level->kernels.convert_bf16 ((guint16 *) f->bytes, f->x, ROWS * HIDDEN);
}

static void
run_gelu_f32 (Fixture *f)
{
  f->level->kernels.gelu_f32 (f->y, f->x, ROWS * HIDDEN);
}

static void
run_epilogue_f32 (Fixture *f)
{
  const NpuEpilogue epilogue = {f->columns, NPU_GELU_NONE, f->x, WIDTH};

  f->level->kernels.epilogue_f32 (
      f->y, WIDTH, f->products, WIDTH, &epilogue, ROWS, WIDTH);
}

static void
run_epilogue_s32 (Fixture *f)
{
  const NpuEpilogue epilogue = {f->columns, NPU_GELU_NONE, f->x, WIDTH};

  f->level->kernels.epilogue_s32 (f->y, WIDTH, f->acc, WIDTH, f->columns,
      f->columns, f->sums, &epilogue, ROWS, WIDTH);
}

static void
run_epilogue_s32_gelu (Fixture *f)
{
  const NpuEpilogue epilogue = {f->columns, NPU_GELU_EXACT, NULL, 0};

  f->level->kernels.epilogue_s32 (f->y, HIDDEN, f->acc, HIDDEN, f->columns,
      f->columns, f->sums, &epilogue, ROWS, HIDDEN);
}

/* --- products of a tile, with weights [WIDTH][WIDTH] -----------------------
 */

static void
run_gemm_f32 (Fixture *f)
{
  f->level->kernels.gemm_f32.run (
      f->y, WIDTH, f->x, WIDTH, f->packed[0], ROWS, WIDTH, WIDTH);
}

static void
run_gemm_s16 (Fixture *f)
{
  f->level->kernels.gemm_s16.run (
      f->acc, WIDTH, f->bytes, WIDTH, f->packed[1], ROWS, WIDTH, WIDTH);
}

static void
run_linear_s8 (Fixture *f)
{
  const NpuLinearS8 linear = {f->columns, f->columns, f->sums,
      {f->columns, NPU_GELU_NONE, f->x, WIDTH}};

  f->level->kernels.linear_s8.run (
      f->y, WIDTH, f->bytes, f->packed[2], &linear, ROWS, WIDTH, WIDTH);
}

static void
run_linear_s8_gelu (Fixture *f)
{
  const NpuLinearS8 linear = {
      f->columns, f->columns, f->sums, {f->columns, NPU_GELU_SHORT, NULL, 0}};

  f->level->kernels.linear_s8.run (
      f->y, WIDTH, f->bytes, f->packed[2], &linear, ROWS, WIDTH, WIDTH);
}

static void
run_pack_linear_s8 (Fixture *f)
{
  f->level->kernels.linear_s8.pack (f->packed[2], f->weights, WIDTH, WIDTH);
}

static void
run_gemm_bf16 (Fixture *f)
{
  f->level->kernels.gemm_bf16.run (
      f->y, WIDTH, f->bytes, WIDTH, f->packed[3], ROWS, WIDTH, WIDTH);
}

static void
run_pack_gemm_bf16 (Fixture *f)
{
  f->level->kernels.gemm_bf16.pack (f->packed[3], f->weights, WIDTH, WIDTH);
}

static void
run_pack_gemm_f32 (Fixture *f)
{
  f->level->kernels.gemm_f32.pack (f->packed[0], f->weights, WIDTH, WIDTH);
}

static void
run_pack_gemm_s16 (Fixture *f)
{
  f->level->kernels.gemm_s16.pack (f->packed[1], f->weights, WIDTH, WIDTH);
}

static void
run_quantize_s16 (Fixture *f)
{
  f->level->kernels.quantize_s16 (
      (gint16 *) f->bytes, f->y, f->x, HIDDEN, ROWS, HIDDEN);
}

static void
run_pack_bf16 (Fixture *f)
{
  run_pack (f, &f->level->kernels.attention_bf16, 2);
}

/* --- few rows: one of WIDTH, times weights [WIDTH][WIDTH] ----------------- */

static void
run_dot_s8 (Fixture *f)
{
  f->level->few.dot_s8 (f->acc, WIDTH, (const gint16 *) f->bytes, WIDTH,
      (const gint8 *) f->weights, 1, WIDTH, WIDTH);
}

static void
run_dot_s16 (Fixture *f)
{
  f->level->few.dot_s16 (f->acc, WIDTH, (const gint16 *) f->bytes, WIDTH,
      (const gint16 *) f->weights, 1, WIDTH, WIDTH);
}

static void
dot_grouped (Fixture *f, int rows)
{
  const gint8 *weights = (const gint8 *) f->weights;

  f->level->few.dot_grouped (f->acc, WIDTH, (const gint16 *) f->bytes, WIDTH,
      weights, (const gint16 *) (weights + MATRIX), rows, WIDTH, WIDTH);
}

static void
run_dot_grouped (Fixture *f)
{
  dot_grouped (f, 1);
}

static void
run_dot_grouped_rows (Fixture *f)
{
  dot_grouped (f, FEW);
}

static void
run_dot_s8_rows (Fixture *f)
{
  f->level->few.dot_s8 (f->acc, WIDTH, (const gint16 *) f->bytes, WIDTH,
      (const gint8 *) f->weights, FEW, WIDTH, WIDTH);
}

static void
run_dot_f32 (Fixture *f)
{
  f->level->few.dot_f32 (f->y, WIDTH, f->x, WIDTH, f->weights, 1, WIDTH, WIDTH);
}

static void
run_quantize_s8 (Fixture *f)
{
  f->y[0] = f->level->few.quantize_s8 ((gint8 *) f->bytes, f->x, HIDDEN);
}

static void
run_attend_f32 (Fixture *f)
{
  f->level->few.attend_f32 (
      &f->attended, f->x, f->keys, 0, DIM, NPU_FEW_KEYS, 0.125f);
}

static void
run_attend_s8 (Fixture *f)
{
  const gint8 *k = (const gint8 *) f->weights;

  f->level->few.attend_s8 (&f->attended, (const gint16 *) f->bytes, k,
      f->columns, k + NPU_FEW_KEYS * DIM, f->columns, NPU_FEW_KEYS, 1e-3f);
}

static void
run_log_sum_exp (Fixture *f)
{
  f->y[0] = f->level->logits.log_sum_exp (f->x, LOGITS);
}

static void
run_argmax (Fixture *f)
{
  f->acc[0] = f->level->logits.argmax (f->x, LOGITS);
}

static void
run_best (Fixture *f)
{
  f->acc[0] = f->level->logits.best (f->x, LOGITS, f->sums, 16);
}

/* --- the same in plain loops -------------------------------------------- */

static void
run_plain_attention (Fixture *f)
{
  plain_attention (
      f->o, f->plain_q, f->plain_k, f->plain_v, ROWS, KV_ROWS, 0.125f, f->y);
}

static void
run_plain_pack (Fixture *f)
{
  plain_pack (f->plain_q, f->x, WIDTH, ROWS);
  plain_pack_transposed (f->plain_k, f->x + DIM, WIDTH, ROWS);
  plain_pack (f->plain_v, f->x + 2 * DIM, WIDTH, ROWS);
}

static void
run_plain_pack_s8 (Fixture *f)
{
  plain_pack_q_s8 (f->plain_q, f->y, f->x, WIDTH, ROWS);
  plain_pack_k_s8 (f->plain_k, f->y, f->y + 1, f->x + DIM, WIDTH, ROWS);
  plain_pack_v_s8 (f->plain_v, f->x + 2 * DIM, WIDTH, ROWS);
}

static void
run_plain_layernorm (Fixture *f)
{
  plain_layernorm_f32 (
      f->y, WIDTH, f->x, WIDTH, f->columns, f->columns, 1e-5f, ROWS, WIDTH);
}

static void
run_plain_quantize (Fixture *f)
{
  plain_quantize_q8 (f->bytes, f->y, f->x, HIDDEN, f->columns, ROWS, HIDDEN);
}

static void
run_plain_convert_bf16 (Fixture *f)
{
  plain_convert_bf16 ((guint16 *) f->bytes, f->x, ROWS * HIDDEN);
}

static void
run_plain_gelu (Fixture *f)
{
  plain_gelu_f32 (f->y, f->x, ROWS * HIDDEN);
}

static void
run_plain_epilogue (Fixture *f)
{
  plain_epilogue_f32 (f->y, f->products, f->columns, f->x, ROWS, WIDTH);
}

static void
run_plain_epilogue_s32 (Fixture *f)
{
  plain_epilogue_s32 (f->y, f->acc, f->columns, f->columns, f->sums, f->columns,
      f->x, ROWS, WIDTH);
}

static void
run_plain_epilogue_gelu (Fixture *f)
{
  plain_epilogue_gelu (f->y, f->products, f->columns, ROWS, HIDDEN);
}

static void
run_plain_product (Fixture *f)
{
  plain_product (f->y, f->x, f->weights, WIDTH, WIDTH);
}

static void
run_plain_products (Fixture *f)
{
  for (guint i = 0; i < FEW; i++)
    plain_product (
        f->y + i * WIDTH, f->x + i * WIDTH, f->weights, WIDTH, WIDTH);
}

static void
run_plain_attend (Fixture *f)
{
  plain_attention (
      f->o, f->plain_q, f->plain_k, f->plain_v, 1, NPU_FEW_KEYS, 0.125f, f->y);
}

static void
run_plain_log_sum_exp (Fixture *f)
{
  f->y[0] = plain_log_sum_exp (f->x, LOGITS);
}

static void
run_plain_argmax (Fixture *f)
{
  f->acc[0] = plain_argmax (f->x, LOGITS);
}

static void
run_plain_gemm (Fixture *f)
{
  for (guint i = 0; i < ROWS; i++)
    plain_product (
        f->y + i * WIDTH, f->x + i * WIDTH, f->weights, WIDTH, WIDTH);
}

static void
run_plain_pack_gemm (Fixture *f)
{
  memcpy (f->y, f->weights, MATRIX * sizeof (float));
}

static void
run_plain_quantize_s8 (Fixture *f)
{
  f->y[0] = plain_quantize_s8 ((gint8 *) f->bytes, f->x, HIDDEN);
}

static void
run_plain_quantize_s16 (Fixture *f)
{
  plain_quantize_s16 ((gint16 *) f->bytes, f->y, f->x, ROWS, HIDDEN);
}

/* --- the list ------------------------------------------------------------ */

#define ATTENTION_OPS (4.0 * DIM * ROWS * KV_ROWS)
#define GEMM_OPS (2.0 * ROWS * MATRIX)
#define PACKED (3.0 * ROWS * DIM) /* q, k and v */

#define AT(field) G_STRUCT_OFFSET (Level, field)
#define ATTENTION(type)                                                        \
  {                                                                            \
    AT (kernels.attention_##type.run)                                          \
  }
#define PACK(type)                                                             \
  {                                                                            \
    AT (kernels.attention_##type.pack_q),                                      \
        AT (kernels.attention_##type.pack_k),                                  \
        AT (kernels.attention_##type.pack_v)                                   \
  }

const Kernel all_kernels[] = {
    {"attention_f32", ATTENTION (f32), add_attention_tests, run_attention_f32,
        run_plain_attention, ATTENTION_OPS, "FLOP", FALSE},
    {"attention_s8", ATTENTION (s8), add_attention_hostile_tests,
        run_attention_s8, run_plain_attention, ATTENTION_OPS, "OP", TRUE},
    {"attention_bf16", ATTENTION (bf16), add_attention_tests,
        run_attention_bf16, run_plain_attention, ATTENTION_OPS, "FLOP", FALSE},
    {"pack q, k, v f32", PACK (f32), add_attention_tests, run_pack_f32,
        run_plain_pack, PACKED, "element", FALSE},
    {"pack q, k, v s8", PACK (s8), add_attention_tests, run_pack_s8,
        run_plain_pack_s8, PACKED, "element", FALSE},
    {"pack q, k, v bf16", PACK (bf16), add_attention_tests, run_pack_bf16,
        run_plain_pack, PACKED, "element", FALSE},
    {"gemm_f32", {AT (kernels.gemm_f32.run)}, add_gemm_tests, run_gemm_f32,
        run_plain_gemm, GEMM_OPS, "FLOP", FALSE},
    {"gemm_s16", {AT (kernels.gemm_s16.run)}, add_gemm_tests, run_gemm_s16,
        run_plain_gemm, GEMM_OPS, "OP", TRUE},
    {"linear_s8 residual", {AT (kernels.linear_s8.run)}, add_linear_tests,
        run_linear_s8, run_plain_gemm, GEMM_OPS, "OP", TRUE},
    {"linear_s8 gelu", {AT (kernels.linear_s8.run)}, add_linear_tests,
        run_linear_s8_gelu, run_plain_gemm, GEMM_OPS, "OP", TRUE},
    {"pack linear_s8", {AT (kernels.linear_s8.pack)}, add_linear_tests,
        run_pack_linear_s8, run_plain_pack_gemm, MATRIX, "element", FALSE},
    {"pack gemm_f32", {AT (kernels.gemm_f32.pack)}, add_gemm_tests,
        run_pack_gemm_f32, run_plain_pack_gemm, MATRIX, "element", FALSE},
    {"pack gemm_s16", {AT (kernels.gemm_s16.pack)}, add_gemm_tests,
        run_pack_gemm_s16, run_plain_pack_gemm, MATRIX, "element", FALSE},
    {"gemm_bf16", {AT (kernels.gemm_bf16.run)}, add_gemm_tests, run_gemm_bf16,
        run_plain_gemm, GEMM_OPS, "FLOP", FALSE},
    {"pack gemm_bf16", {AT (kernels.gemm_bf16.pack)}, add_gemm_tests,
        run_pack_gemm_bf16, run_plain_pack_gemm, MATRIX, "element", FALSE},
    {"layernorm_f32", {AT (kernels.layernorm_f32)}, add_rows_tests,
        run_layernorm_f32, run_plain_layernorm, ROWS *WIDTH, "element", FALSE},
    {"layernorm_q8", {AT (kernels.layernorm_q8)}, add_rows_tests,
        run_layernorm_q8, run_plain_layernorm, ROWS *WIDTH, "element", FALSE},
    {"convert_bf16", {AT (kernels.convert_bf16)}, add_rows_tests,
        run_convert_bf16, run_plain_convert_bf16, ROWS *HIDDEN, "element",
        FALSE},
    {"quantize_q8", {AT (kernels.quantize_q8)}, add_rows_tests, run_quantize_q8,
        run_plain_quantize, ROWS *HIDDEN, "element", FALSE},
    {"quantize_s16", {AT (kernels.quantize_s16)}, add_rows_tests,
        run_quantize_s16, run_plain_quantize_s16, ROWS *HIDDEN, "element",
        FALSE},
    {"gelu_f32", {AT (kernels.gelu_f32)}, add_epilogue_tests, run_gelu_f32,
        run_plain_gelu, ROWS *HIDDEN, "element", FALSE},
    {"epilogue_f32 residual", {AT (kernels.epilogue_f32)}, add_epilogue_tests,
        run_epilogue_f32, run_plain_epilogue, ROWS *WIDTH, "element", FALSE},
    {"epilogue_s32 residual", {AT (kernels.epilogue_s32)}, add_epilogue_tests,
        run_epilogue_s32, run_plain_epilogue_s32, ROWS *WIDTH, "element",
        FALSE},
    {"epilogue_s32 gelu", {AT (kernels.epilogue_s32)}, add_epilogue_tests,
        run_epilogue_s32_gelu, run_plain_epilogue_gelu, ROWS *HIDDEN, "element",
        FALSE},
    {"dot_s8 1 row", {AT (few.dot_s8)}, add_few_tests, run_dot_s8,
        run_plain_product, 2.0 * MATRIX, "OP", TRUE},
    {"dot_s8 5 rows", {AT (few.dot_s8)}, add_few_tests, run_dot_s8_rows,
        run_plain_products, 2.0 * FEW *MATRIX, "OP", TRUE},
    {"dot_s16 1 row", {AT (few.dot_s16)}, add_few_tests, run_dot_s16,
        run_plain_product, 2.0 * MATRIX, "OP", TRUE},
    {"dot_grouped 1 row", {AT (few.dot_grouped)}, add_few_tests,
        run_dot_grouped, run_plain_product, 2.0 * MATRIX, "OP", TRUE},
    {"dot_grouped 5 rows", {AT (few.dot_grouped)}, add_few_tests,
        run_dot_grouped_rows, run_plain_products, 2.0 * FEW *MATRIX, "OP",
        TRUE},
    {"dot_f32 1 row", {AT (few.dot_f32)}, add_few_tests, run_dot_f32,
        run_plain_product, 2.0 * MATRIX, "FLOP", FALSE},
    {"attend_f32", {AT (few.attend_f32)}, add_few_tests, run_attend_f32,
        run_plain_attend, 4.0 * DIM *NPU_FEW_KEYS, "FLOP", FALSE},
    {"attend_s8", {AT (few.attend_s8)}, add_few_tests, run_attend_s8,
        run_plain_attend, 4.0 * DIM *NPU_FEW_KEYS, "OP", TRUE},
    {"quantize_s8", {AT (few.quantize_s8)}, add_few_tests, run_quantize_s8,
        run_plain_quantize_s8, HIDDEN, "element", FALSE},
    {"log_sum_exp", {AT (logits.log_sum_exp)}, add_logits_tests,
        run_log_sum_exp, run_plain_log_sum_exp, LOGITS, "element", FALSE},
    {"argmax", {AT (logits.argmax)}, add_logits_tests, run_argmax,
        run_plain_argmax, LOGITS, "element", FALSE},
    {"best 16", {AT (logits.best)}, add_logits_tests, run_best,
        run_plain_argmax, LOGITS, "element", FALSE},
};
const guint n_kernels = G_N_ELEMENTS (all_kernels);

/* The table's function at @field, or NULL. */
static gconstpointer
function_at (const Level *level, gsize field)
{
  gconstpointer function;

  memcpy (&function, (const guint8 *) level + field, sizeof function);
  return function;
}

gboolean
kernel_is_there (const Kernel *kernel, const Level *level)
{
  return function_at (level, kernel->fields[0]) != NULL;
}

void
kernels_add_tests (const Level *level)
{
  for (guint i = 0; i < n_kernels; i++) {
    guint first = 0;

    while (all_kernels[first].add_tests != all_kernels[i].add_tests)
      first++;
    if (first == i)
      all_kernels[i].add_tests (level);
  }
}

/* --- whether it is whole ------------------------------------------------- */

static gboolean
is_listed (gsize field)
{
  for (guint i = 0; i < n_kernels; i++)
    for (guint j = 0; j < MAX_FIELDS; j++)
      if (all_kernels[i].fields[j] == field)
        return TRUE;
  return FALSE;
}

/* Of a struct that is nothing but functions. */
static void
check_functions (gsize begin, gsize size)
{
  for (gsize at = begin; at < begin + size; at += sizeof (gpointer))
    if (!is_listed (at))
      g_error (
          "the function %zu bytes behind the %zuth of a Level has no test and no measurement in kernels.c",
          at - begin, begin);
}

/* The tables: of functions, but for a name and the sizes of attention's
 * tiles, and the columns that products come in. */
void
kernels_check_list (void)
{
  const gsize tiles = G_STRUCT_OFFSET (NpuAttentionKernel, pack_q);
  const gsize attention[] = {AT (kernels.attention_f32),
      AT (kernels.attention_s8), AT (kernels.attention_bf16)};
  const gsize gemm[] = {
      AT (kernels.gemm_f32), AT (kernels.gemm_s16), AT (kernels.gemm_bf16)};
  const gsize columns = G_STRUCT_OFFSET (NpuGemmKernel, pack);
  const gsize others = AT (kernels.linear_s8);

  for (guint i = 0; i < G_N_ELEMENTS (attention); i++)
    check_functions (attention[i] + tiles, sizeof (NpuAttentionKernel) - tiles);
  for (guint i = 0; i < G_N_ELEMENTS (gemm); i++)
    check_functions (gemm[i] + columns, sizeof (NpuGemmKernel) - columns);
  check_functions (others, AT (kernels) + sizeof (NpuKernels) - others);
  check_functions (AT (few), sizeof (NpuFewKernels));
  check_functions (AT (logits), sizeof (NpuLogitsKernels));
}
