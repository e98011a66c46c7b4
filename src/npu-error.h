/* Errors of the library: one domain, codes by what the caller can do.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "npu-api.h"

G_BEGIN_DECLS

#define NPU_ERROR (npu_error_quark ())

/**
 * NpuError:
 * @NPU_ERROR_NOT_FOUND: a file or device node does not exist
 * @NPU_ERROR_OPEN: it exists but cannot be opened; the message says which
 *   permission or limit is missing
 * @NPU_ERROR_BUSY: the device has no room now (contexts in use by others)
 * @NPU_ERROR_SETTINGS: options that do not go together or are out of range
 * @NPU_ERROR_WRONG_TYPE: a file that is not of a known model format
 * @NPU_ERROR_FORMAT: a model of a known format with malformed content; the
 *   message names the tensor and the byte offset
 * @NPU_ERROR_UNSUPPORTED: an operation, shape or type the device does not do
 * @NPU_ERROR_LAUNCH: the device reports that a launch failed
 * @NPU_ERROR_TIMEOUT: a launch did not complete in time
 * @NPU_ERROR_CANCELLED: npu_executor_cancel() was called
 * @NPU_ERROR_FAILED: anything else, such as a resource limit
 * @NPU_ERROR_LOST: the device has gone while it was used; nothing more will
 *   run on it
 * @NPU_ERROR_READ: a file that was opened cannot be read, or has changed since
 */
typedef enum {
  NPU_ERROR_NOT_FOUND,
  NPU_ERROR_OPEN,
  NPU_ERROR_BUSY,
  NPU_ERROR_SETTINGS,
  NPU_ERROR_WRONG_TYPE,
  NPU_ERROR_FORMAT,
  NPU_ERROR_UNSUPPORTED,
  NPU_ERROR_LAUNCH,
  NPU_ERROR_TIMEOUT,
  NPU_ERROR_CANCELLED,
  NPU_ERROR_FAILED,
  NPU_ERROR_LOST,
  NPU_ERROR_READ,
} NpuError;

NPU_API GQuark npu_error_quark (void);

/* Replaces what is not UTF-8 in the message of an error that was set: names of
 * files, and words of them, go into messages as they are. @error may be NULL.
 */
void npu_error_make_valid (GError **error);

G_END_DECLS
