/* Expectations about models that must not open.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-error.h"

G_BEGIN_DECLS

#define MODEL_EXPECT_FILE "made.bin" /* what messages call bytes */
#define MODEL_EXPECT_MAX 8

/* Fails the test unless @error has @code, and its message begins with @file
 * and has every one of @texts, of which the first NULL ends the list. */
void model_expect_message (const GError *error, NpuError code, const char *file,
    const char *const texts[MODEL_EXPECT_MAX]);

/* Fails the test unless opening @bytes as a model fails like that. */
void model_expect_error (
    GBytes *bytes, NpuError code, const char *const texts[MODEL_EXPECT_MAX]);

#define MODEL_EXPECT_ERROR(bytes, code, ...)                                   \
  model_expect_error (                                                         \
      bytes, code, (const char *const[MODEL_EXPECT_MAX]){__VA_ARGS__})

G_END_DECLS
