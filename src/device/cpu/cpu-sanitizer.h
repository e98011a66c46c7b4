/* What kernels read and write, told to sanitizers: kernels are built without
 * their checks, which make vector loops tens of times slower.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-few.h"
#include "npu-kernels.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CPU_HAVE_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CPU_HAVE_SANITIZER 1
#endif
#endif

#ifdef CPU_HAVE_SANITIZER
/* Puts functions before those of the tables that tell the sanitizer the ranges
 * of every call, by what npu-kernels.h and npu-few.h say of them. Once for the
 * first @flags of a process; tables for other flags stay as they are. */
void cpu_sanitizer_wrap (
    NpuKernels *kernels, NpuFewKernels *few, unsigned flags);
#else
static inline void
cpu_sanitizer_wrap (NpuKernels *kernels, NpuFewKernels *few, unsigned flags)
{
}
#endif
