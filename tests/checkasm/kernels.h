/* Every kernel of the tables, once: what tests it, and how it is measured.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "checkasm.h"

G_BEGIN_DECLS

#define ROWS NPU_TILE_ROWS
#define DIM NPU_HEAD_DIM
#define KV_ROWS 1500
#define KV_TILES ((KV_ROWS + ROWS - 1) / ROWS)
#define WIDTH 512 /* base */
#define HIDDEN 2048
#define FEW 5 /* rows: beams */
#define MATRIX (WIDTH * WIDTH)
#define LOGITS 51866

/* What kernels are measured on. */
typedef struct {
  const Level *level;
  float *x, *y, *o, *columns, *products;
  guint8 *bytes;
  gint32 *acc, *sums;
  guint8 *q[3], *k[3], *v[3], *scratch; /* f32, int8 and bf16 tiles */
  float *plain_q, *plain_k, *plain_v;
  float *weights;    /* WIDTH x WIDTH */
  guint8 *packed[4]; /* the same for gemm_f32, gemm_s16, linear_s8, gemm_bf16 */
  const float *keys[NPU_FEW_KEYS];
  NpuAttended attended;
} Fixture;

#define MAX_FIELDS 3

typedef struct {
  const char *name;
  /* Where the tables have it: G_STRUCT_OFFSET in a Level; 0 ends them. */
  gsize fields[MAX_FIELDS];
  void (*add_tests) (const Level *level); /* of several kernels, perhaps */
  void (*run) (Fixture *fixture);
  void (*plain) (Fixture *fixture); /* int8's: what f32 does in its place */
  double work;                      /* of one run, in units */
  const char *unit;                 /* G of it a second are printed */
  gboolean is_int8;                 /* what its peak is */
} Kernel;

extern const Kernel all_kernels[];
extern const guint n_kernels;

/* Whether @level has it. */
gboolean kernel_is_there (const Kernel *kernel, const Level *level);

/* Adds every kernel's tests. */
void kernels_add_tests (const Level *level);

/* Fails the test where a table has a function that is not listed. */
void kernels_check_list (void);

G_END_DECLS
