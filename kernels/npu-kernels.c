/* The table of kernels: the C reference, overwritten by what the CPU has.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-kernels-internal.h"

void
npu_kernels_init (NpuKernels *kernels, unsigned cpu_flags)
{
  kernels->name = "c";
  npu_attention_init_c (kernels);
  npu_rows_init_c (kernels);
  npu_epilogue_init_c (kernels);
}
