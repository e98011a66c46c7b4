/* What a kernel computes: its kind, shapes and types.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define NPU_MAX_ARGS 5

typedef struct _NpuKernel NpuKernel;

typedef enum {
  NPU_TYPE_F32,  /* row tiles past the last valid row hold anything */
  NPU_TYPE_Q8,   /* int8 with scales: rows in q8 tiles (npu-kernels.h), weights
                  * per output column, attention tiles device-packed */
  NPU_TYPE_BF16, /* bfloat16, in rows like F32; weights whose products are
                  * bfloat16's, where A in F32 is rounded as it is read */
  NPU_TYPE_S16,  /* weights whose products are 16-bit integers', with a scale
                  * for each row and column, where A in F32 is quantised as it
                  * is read; float's where those are no faster */
} NpuType;

typedef enum {
  /* args A, C, R. C = epilogue (A B): A is rows x k with rows a_stride
   * elements apart (so that a convolution over frames is a linear map over
   * overlapping rows), B the constant weights [n][k], C rows x n, R the
   * residual, rows x n, or the same buffer as C. */
  NPU_OP_LINEAR,
  /* args Q, K, V, O. O[rows][heads * 64]; Q, K, V are tiles packed by a
   * linear operation whose c_layout is NPU_LAYOUT_QKV_TILES, or by
   * npu_kernel_pack_tile(). One tile of a launch is one query tile of one
   * head: tile = head * n_row_tiles + r, where n_row_tiles = ceil (rows / 64)
   * for the rows of the launch. */
  NPU_OP_ATTENTION,
  /* args X, Y: rows x n. */
  NPU_OP_LAYERNORM,
  NPU_OP_GELU,
  /* args IN, OUT: a program of the device by its name, on blocks whose sizes
   * and content are its own. Tile t is block t of both; rows is how many
   * blocks there are at most. */
  NPU_OP_PROGRAM,
} NpuOpKind;

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

/* Describes one operation. Pointers need to live only until
 * npu_device_kernel_open() returns: a device packs what it keeps. */
typedef struct {
  NpuOpKind kind;
  guint rows;     /* the most rows a launch will have */
  guint kv_rows;  /* attention: the most keys; 0 means as many as rows */
  guint k, n;     /* linear: inner size and output columns; else n columns */
  guint a_stride; /* linear: elements between rows of A; 0 means k */
  guint heads;    /* attention and NPU_LAYOUT_QKV_TILES */
  NpuType a_type; /* of A, X, or the attention tiles */
  NpuType b_type; /* of the weights */
  NpuType c_type; /* of C, Y; with NPU_LAYOUT_QKV_TILES of the tiles */
  NpuLayout c_layout;
  gboolean gelu;       /* linear: exact GELU after the bias */
  gboolean residual;   /* linear: C += R, after the GELU */
  float scale;         /* attention: of the scores */
  float epsilon;       /* layernorm */
  const float *weight; /* linear: [n][k]; layernorm: gamma [n] */
  const float *bias;   /* linear: [n] or NULL; layernorm: beta [n] */
  const char *program; /* NPU_OP_PROGRAM: its name */
  /* NPU_LAYOUT_QKV_TILES: the attention that will read the tiles, which packs
   * them and must outlive this kernel, unless it is shared; NULL is one of the
   * same device. */
  NpuKernel *tiles_for;
} NpuOp;

G_END_DECLS
