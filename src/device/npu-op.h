/* What a kernel computes: its kind, shapes, storages and product.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define NPU_MAX_ARGS 5

typedef struct _NpuKernel NpuKernel;

typedef enum {
  /* args A, C, R. C = epilogue (A B): A is rows x k with rows a_stride
   * elements apart (so that a convolution over frames is a linear map over
   * overlapping rows), B the constant weights [n][k], C rows x n, R the
   * residual, rows x n floats, or the same buffer as C. */
  NPU_OP_LINEAR,
  /* args Q, K, V, O. O[rows][heads * 64]; Q, K, V are tiles packed by a
   * linear operation whose c_layout is NPU_LAYOUT_QKV_TILES, or by
   * npu_kernel_pack_tile(). One tile of a launch is one query tile of one
   * head: tile = head * n_row_tiles + r, where n_row_tiles = ceil (rows / 64)
   * for the rows of the launch. */
  NPU_OP_ATTENTION,
  /* args X, Y: rows x n; X is floats. */
  NPU_OP_LAYERNORM,
  /* args X, Y: rows x n. */
  NPU_OP_GELU,
  /* args IN, OUT: a program of the device by its name, on blocks whose sizes
   * and content are its own. Tile t is block t of both; rows is how many
   * blocks there are at most. */
  NPU_OP_PROGRAM,
} NpuOpKind;

/* How a buffer holds numbers. */
typedef enum {
  NPU_STORAGE_F32,  /* row tiles past the last valid row hold anything */
  NPU_STORAGE_BF16, /* bfloat16, in rows like F32 */
  NPU_STORAGE_Q8,   /* int8 with scales: rows in q8 tiles (npu-kernels.h);
                     * attention tiles as the device packs them */
} NpuStorage;

/* What is multiplied, whatever the storage of the rows: those become it as they
 * are read. */
typedef enum {
  NPU_PRODUCT_F32,
  NPU_PRODUCT_BF16, /* of values rounded to bfloat16 */
  NPU_PRODUCT_S16,  /* 16-bit integers with a scale for each row and column, of
                     * rows in F32; float's where those are no faster */
  NPU_PRODUCT_S8,   /* int8 with a scale for each row and column, rotated */
} NpuProduct;

typedef enum {
  NPU_LAYOUT_ROWS,      /* row-major */
  NPU_LAYOUT_QKV_TILES, /* n = 3 * heads * 64 columns q, k, v go to the args
                         * C, K, V (1, 2, 3) as attention tiles */
} NpuLayout;

enum { NPU_ARG_A = 0, NPU_ARG_C = 1, NPU_ARG_R = 2 }; /* linear, rows */
enum { NPU_ARG_QKV_Q = 1, NPU_ARG_QKV_K = 2, NPU_ARG_QKV_V = 3 }; /* tiles */
enum { NPU_ARG_Q = 0, NPU_ARG_K = 1, NPU_ARG_V = 2, NPU_ARG_O = 3 };
enum { NPU_ARG_X = 0, NPU_ARG_Y = 1 };
enum { NPU_ARG_IN = 0, NPU_ARG_OUT = 1 };

#define NPU_ARG_BIT(arg) (1u << (arg))

typedef struct {
  guint k, n;           /* inner size and output columns */
  guint a_stride;       /* elements between rows of A; 0 means k */
  NpuStorage a_storage; /* S8 alone reads Q8, and only where a_stride is k */
  NpuProduct product;   /* that is asked for: see NpuSupport */
  NpuStorage c_storage; /* with NPU_LAYOUT_QKV_TILES of the tiles */
  NpuLayout c_layout;
  guint heads;       /* NPU_LAYOUT_QKV_TILES */
  gboolean gelu;     /* exact GELU after the bias */
  gboolean residual; /* C += R, after the GELU */
  /* NPU_LAYOUT_QKV_TILES: the attention that will read the tiles, which packs
   * them and must outlive this kernel, unless it is shared; NULL is one of the
   * same device. */
  NpuKernel *tiles_for;
} NpuLinearOp;

typedef struct {
  guint heads;
  guint kv_rows; /* the most keys; 0 means as many as rows */
  NpuStorage qkv_storage;
  NpuStorage o_storage;
  float scale; /* of the scores */
} NpuAttentionOp;

typedef struct {
  guint n;
  NpuStorage y_storage;
  float epsilon;
} NpuLayerNormOp;

typedef struct {
  guint n;
  NpuStorage storage; /* of both */
} NpuGeluOp;

/* Describes one operation. Its constants and names need to live only until
 * npu_kernel_open() returns: a device packs what it keeps. */
typedef struct {
  NpuOpKind kind;
  guint rows;          /* the most rows a launch will have */
  const float *weight; /* linear: [n][k]; layernorm: gamma [n] */
  const float *bias;   /* linear: [n] or NULL; layernorm: beta [n] */
  union {              /* by kind */
    NpuLinearOp linear;
    NpuAttentionOp attention;
    NpuLayerNormOp layernorm;
    NpuGeluOp gelu;
    const char *program; /* its name */
  };
} NpuOp;

G_END_DECLS
