/* A design of kernels/aie2 as mlir-aie's tools made it, in an array, with the
 * arguments of a launch.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "array.h"

#define DESIGN_MAX_ARGUMENTS 4

typedef struct {
  const char *name; /* its folder among the designs */
  const char *op;   /* attention, layernorm or gelu */
  guint n;          /* columns of a row; heads of an attention */
} DesignKind;

extern const DesignKind design_kinds[];
extern const guint design_n_kinds;

/* Another value of what the configuration writes at an address. */
typedef struct {
  guint32 address, mask, value;
} DesignChange;

typedef struct {
  const DesignKind *kind;
  GBytes *init, *enable; /* the configuration */
  guint32 *words;        /* the instruction stream */
  gsize n_words;
  void *data[DESIGN_MAX_ARGUMENTS];
  gsize sizes[DESIGN_MAX_ARGUMENTS];
  guint n_arguments; /* the last is the result */
} Design;

/* NULL, after a skip, where the test data is not there. */
Design *design_new (const DesignKind *kind);
void design_free (Design *design);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Design, design_free)

/* New arguments of a launch, random; the result is filled with 0xff. */
void design_fill (Design *design, guint32 seed);

/* What its cores run: a line for array_add_program(), (transfer full). */
char *design_program (const Design *design);

/* An array of this configuration, but for @change where that is not NULL; NULL
 * with @why if that fails. */
Array *design_open (
    const Design *design, guint64 seed, const DesignChange *change, char **why);
/* A launch. */
gboolean design_run (const Design *design, Array *array);

/* The largest error of the result against float64, in units of what is allowed
 * (1: just so). */
double design_error (const Design *design);
