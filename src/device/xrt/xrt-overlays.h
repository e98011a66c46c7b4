/* The overlays of a directory: compiled NPU programs, each for one operation
 * and shape, as its key file overlays.ini describes them. Knows nothing of
 * XRT, so that it can be tested, and used, where there is none.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "device/npu-device.h"

G_BEGIN_DECLS

#define XRT_OVERLAYS_FILE "overlays.ini"
#define XRT_MAX_ROLES 8 /* buffer arguments of a program */

/* Bytes of the stream of instructions: a 64th of a device's heap. */
#define XRT_MAX_INSTRUCTIONS ((gsize) 1 << 20)

/* Attention tiles (layout = tiles). Q: bf16[64][64], then 64 unused; K: the
 * same, then bf16 bias[64], added to the scores of its keys; V: bf16[64][64].
 */
#define XRT_QK_TILE_SIZE ((gsize) 8320)
#define XRT_V_TILE_SIZE ((gsize) 8192)
#define XRT_MASKED_BIAS (-3.0e38f)

typedef enum {
  XRT_LAYOUT_ROWS,
  XRT_LAYOUT_TILES,
  XRT_LAYOUT_PACKED,
} XrtLayout;

typedef enum {
  XRT_TYPE_NONE,
  XRT_TYPE_F32,
  XRT_TYPE_BF16,
  XRT_TYPE_INT8,
  XRT_TYPE_INT32,
} XrtType;

/* What a buffer argument of a program is. */
typedef enum {
  XRT_ROLE_A,
  XRT_ROLE_B,
  XRT_ROLE_C,
  XRT_ROLE_BIAS,
  XRT_ROLE_R,
  XRT_ROLE_X,
  XRT_ROLE_G,
  XRT_ROLE_Y,
  XRT_ROLE_Q,
  XRT_ROLE_K,
  XRT_ROLE_V,
  XRT_ROLE_O,
  XRT_ROLE_IN,
  XRT_ROLE_OUT,
  XRT_N_ROLES,
} XrtRole;

typedef enum {
  XRT_GENERATION_ANY, /* not told */
  XRT_GENERATION_NPU1,
  XRT_GENERATION_NPU2,
  XRT_GENERATION_OTHER, /* of an NPU: none of these; no overlay is for it */
} XrtGeneration;

typedef struct {
  char *name; /* its group in the file */
  NpuOpKind op;
  XrtLayout layout;
  guint rows;     /* of one command; of queries */
  guint k, n;     /* linear; n: columns of y, or o's pitch */
  guint kv_tiles; /* attention: tiles of 64 keys */
  guint heads;    /* attention: of one command */
  XrtType a_type, b_type, c_type;
  gboolean has_bias, has_gelu, has_residual; /* done by the program */
  XrtRole args[XRT_MAX_ROLES];
  guint n_args;
  XrtGeneration generation;
  char *xclbin, *instructions; /* paths */
  char *kernel;
  gsize in_size, out_size; /* layout packed: bytes of a block */
} XrtOverlay;

typedef struct {
  char *directory;
  GPtrArray *list; /* of XrtOverlay, in the file's order; at least one */
} XrtOverlays;

/**
 * xrt_overlays_read:
 * @directory: the directory that has overlays.ini
 *
 * Reads and checks the descriptions; of the files that they name, only that
 * they are there.
 *
 * Returns: (transfer full): the overlays, or %NULL with @error set: NOT_FOUND
 * for a directory or file that is not there, SETTINGS for a description that
 * is wrong. The message names file, group and key, and what must be there.
 */
XrtOverlays *xrt_overlays_read (const char *directory, GError **error);
void xrt_overlays_free (XrtOverlays *overlays);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (XrtOverlays, xrt_overlays_free)

/**
 * xrt_overlay_read_instructions:
 * @n_words: (out): how many 32-bit words
 *
 * Reads a program's stream of instructions: little-endian words, or where the
 * file is text one hexadecimal word a line, whatever its name.
 *
 * Returns: (transfer full): the words in host order, to be freed by g_free(),
 * or %NULL with @error set: NOT_FOUND, OPEN, or FORMAT for a file that is not
 * a whole stream.
 */
guint32 *xrt_overlay_read_instructions (
    const XrtOverlay *overlay, gsize *n_words, GError **error);

/* Whether the program has an argument of this role. */
gboolean xrt_overlay_has_role (const XrtOverlay *overlay, XrtRole role);

gsize xrt_type_size (XrtType type);
const char *xrt_type_name (XrtType type);
const char *xrt_generation_name (XrtGeneration generation);

/**
 * xrt_generation_of:
 * @name: as the driver calls the NPU: "RyzenAI-npu4", "NPU Strix"; "" where it
 *   does not
 * @pci_id: its PCI device id in hexadecimal, "0x17f0"; "" where it is not known
 *
 * npu1 is Phoenix and Hawk Point; npu4 to npu6 of the driver's names, Strix,
 * Strix Halo and Krackan, are npu2 to the tools (amdxdna, npu*_regs.c).
 *
 * Returns: the generation; ANY where nothing is known of the NPU.
 */
XrtGeneration xrt_generation_of (const char *name, const char *pci_id);

G_END_DECLS
