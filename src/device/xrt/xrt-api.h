/* XRT as C sees it: the few verbs that the device needs, over XRT's C++ API,
 * since its C API cannot register an xclbin for a hardware context, has no
 * runlists and keeps the texts of its errors to itself.
 *
 * No exception leaves these functions: they fill in an XrtApiError. Nothing
 * here locks; who calls what when is in xrt-context.h.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define XRT_API_MESSAGE_SIZE 256

typedef struct {
  int code;    /* an errno, as far as XRT tells; 0 where it does not */
  int command; /* of a list that was waited for: which one failed, from 0; -1
                * where XRT does not tell */
  char message[XRT_API_MESSAGE_SIZE];
} XrtApiError;

typedef struct XrtApiDevice XrtApiDevice;
typedef struct XrtApiContext XrtApiContext; /* a hardware context */
typedef struct XrtApiKernel XrtApiKernel;   /* of one, with instructions */
typedef struct XrtApiBo XrtApiBo;
typedef struct XrtApiCommand XrtApiCommand; /* one run of a kernel */
typedef struct XrtApiList XrtApiList;       /* commands, submitted as one */

/* How a submission is. */
typedef enum {
  XRT_API_RUNNING,
  XRT_API_COMPLETED,
  XRT_API_TIMED_OUT, /* the driver's watchdog ended it */
  XRT_API_ABORTED,
  XRT_API_FAILED,
} XrtApiState;

/* --- device */

bool xrt_api_count_devices (unsigned *n, XrtApiError *error);
XrtApiDevice *xrt_api_device_open (unsigned index, XrtApiError *error);
void xrt_api_device_free (XrtApiDevice *device);
/* What the device is called, such as "NPU Phoenix", and its address, such as
 * 0000:c7:00.1. Empty where XRT does not know. */
void xrt_api_device_name (XrtApiDevice *device, char *name, size_t name_size,
    char *bdf, size_t bdf_size);

/* Asks the driver something that it must wake the device for. */
void xrt_api_device_ask (XrtApiDevice *device);

/* --- contexts and kernels */

/* Reads the file, without the device: whether it is an xclbin that has
 * @kernel, and the memory group of the kernel's argument number @arg. */
bool xrt_api_xclbin_check (const char *path, const char *kernel, unsigned arg,
    uint32_t *group, XrtApiError *error);

/* Registers the xclbin and makes a hardware context for it. */
XrtApiContext *xrt_api_context_new (
    XrtApiDevice *device, const char *xclbin, XrtApiError *error);
/* After all of its kernels, commands and lists. Whatever is still in flight in
 * it is ended by the driver. */
void xrt_api_context_free (XrtApiContext *context);

/* A kernel with its stream of instructions, resident on the device. A launch
 * tells the firmware their number in words of 32 bits, on every generation: so
 * do mlir-aie's host programs (Xilinx/mlir-aie, pull request 1609: "as number
 * of instructions not number of bytes") and ROCm's runtime for these NPUs
 * (amd_xdna_driver.cpp, insts_size / sizeof (uint32_t)), and the driver passes
 * it on as it is. Only the stream's own header counts bytes. */
XrtApiKernel *xrt_api_kernel_new (XrtApiDevice *device, XrtApiContext *context,
    const char *name, const uint32_t *words, size_t n_words,
    XrtApiError *error);
void xrt_api_kernel_free (XrtApiKernel *kernel);
/* The memory group of an argument's buffers. */
bool xrt_api_kernel_group (
    XrtApiKernel *kernel, unsigned arg, uint32_t *group, XrtApiError *error);

/* --- buffers */

/* Memory that host and device share; @data is its mapping, page-aligned. */
XrtApiBo *xrt_api_bo_new (XrtApiDevice *device, size_t size, uint32_t group,
    void **data, XrtApiError *error);
void xrt_api_bo_free (XrtApiBo *bo);
bool xrt_api_bo_sync (XrtApiBo *bo, bool to_device, size_t offset, size_t size,
    XrtApiError *error);

/* --- commands */

XrtApiCommand *xrt_api_command_new (XrtApiKernel *kernel, XrtApiError *error);
/* A command in flight goes only together with its context. */
void xrt_api_command_free (XrtApiCommand *command);
/* Argument number @arg, from 0 for the first buffer, is part of a buffer. */
bool xrt_api_command_set (XrtApiCommand *command, unsigned arg, XrtApiBo *bo,
    size_t offset, size_t size, XrtApiError *error);
bool xrt_api_command_start (XrtApiCommand *command, XrtApiError *error);

XrtApiList *xrt_api_list_new (XrtApiContext *context, XrtApiError *error);
void xrt_api_list_free (XrtApiList *list);
/* Submits the commands, whose arguments are set, in this order. */
bool xrt_api_list_start (XrtApiList *list, XrtApiCommand *const *commands,
    size_t n, XrtApiError *error);

/* Lets go of the commands, which have ended: each may be in one list alone. */
void xrt_api_list_reset (XrtApiList *list);

/* Waits for a started command, or the started list where there is one. At most
 * @timeout_ms, which is not 0: XRT takes that for ever. False with @error where
 * XRT cannot even wait. */
bool xrt_api_wait (XrtApiCommand *command, XrtApiList *list,
    unsigned timeout_ms, XrtApiState *state, XrtApiError *error);

/* How it is now, without waiting: RUNNING where XRT cannot tell. */
XrtApiState xrt_api_state (XrtApiCommand *command, XrtApiList *list);

#ifdef __cplusplus
}
#endif
