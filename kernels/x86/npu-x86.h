/* The x86 kernels: each function overwrites what its instruction set does
 * better than those before it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-kernels.h"

void npu_attention_init_f32_avx2 (NpuKernels *kernels);
void npu_attention_init_s8_avx2 (NpuKernels *kernels);
void npu_attention_init_s8_avxvnni (NpuKernels *kernels);
void npu_attention_init_f32_avx512 (NpuKernels *kernels);
void npu_attention_init_s8_avx512vnni (NpuKernels *kernels);
void npu_attention_init_s8_avx512bf16 (NpuKernels *kernels);

void npu_rows_init_avx2 (NpuKernels *kernels);
void npu_rows_init_avx512 (NpuKernels *kernels);

void npu_gemm_init_f32_avx2 (NpuKernels *kernels);
void npu_gemm_init_s16_avx2 (NpuKernels *kernels);
void npu_gemm_init_s16_avxvnni (NpuKernels *kernels);
void npu_gemm_init_s16_avx512vnni (NpuKernels *kernels);

void npu_epilogue_init_avx2 (NpuKernels *kernels);
void npu_epilogue_init_avx512 (NpuKernels *kernels);
