/* The table of kernels: the C reference, overwritten by what the CPU has.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-kernels-internal.h"

#if NPU_HAVE_X86
#include "x86/npu-x86.h"

static void
init_x86 (NpuKernels *kernels, unsigned cpu_flags)
{
  if (!(cpu_flags & NPU_CPU_AVX2))
    return;
  kernels->name = "avx2";
  npu_attention_init_f32_avx2 (kernels);
  npu_attention_init_s8_avx2 (kernels);
  kernels->attention_bf16 = kernels->attention_f32;
  npu_rows_init_avx2 (kernels);
  npu_epilogue_init_avx2 (kernels);
  npu_gemm_init_f32_avx2 (kernels);
  npu_gemm_init_s16_avx2 (kernels);

  if (cpu_flags & NPU_CPU_AVX_VNNI) {
    kernels->name = "avxvnni";
    npu_attention_init_s8_avxvnni (kernels);
    npu_gemm_init_s16_avxvnni (kernels);
    npu_linear_init_s8_avxvnni (kernels);
  }

  if (!(cpu_flags & NPU_CPU_AVX512))
    return;
  kernels->name = "avx512";
  kernels->gemm_s16 = (NpuGemmKernel){0};
  npu_gemm_init_f32_avx512 (kernels);
  npu_attention_init_f32_avx512 (kernels);
  kernels->attention_bf16 = kernels->attention_f32;
  npu_rows_init_avx512 (kernels);
  npu_epilogue_init_avx512 (kernels);
  /* As fast as int8 in AVX2, and exact. */
  if (!(cpu_flags & NPU_CPU_AVX_VNNI))
    kernels->attention_s8 = kernels->attention_f32;

  if (!(cpu_flags & NPU_CPU_AVX512_VNNI))
    return;
  kernels->name = "avx512vnni";
  npu_attention_init_s8_avx512vnni (kernels);
  npu_gemm_init_s16_avx512vnni (kernels);
  npu_linear_init_s8_avx512vnni (kernels);

  if (!(cpu_flags & NPU_CPU_AVX512_BF16) || !(cpu_flags & NPU_CPU_FAST_BF16))
    return;
  kernels->name = "avx512bf16";
  npu_attention_init_bf16_avx512bf16 (kernels);
  npu_gemm_init_bf16_avx512bf16 (kernels);
}
#endif

void
npu_kernels_init (NpuKernels *kernels, unsigned cpu_flags)
{
  kernels->name = "c";
  kernels->gemm_f32 = kernels->gemm_s16 = kernels->gemm_bf16 =
      (NpuGemmKernel){0};
  kernels->linear_s8 = (NpuLinearKernel){0};
  npu_attention_init_c (kernels);
  npu_rows_init_c (kernels);
  npu_epilogue_init_c (kernels);
  if (cpu_flags & NPU_CPU_C_INT8) {
    kernels->name = "c-int8";
    npu_attention_init_s8_c_int8 (kernels);
  }
#if NPU_HAVE_X86
  init_x86 (kernels, cpu_flags);
#endif
}
