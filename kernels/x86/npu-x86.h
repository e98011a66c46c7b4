/* The x86 kernels: each function overwrites what its instruction set does
 * better than those before it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-few.h"
#include "npu-kernels.h"
#include "npu-logits.h"

void npu_attention_init_f32_avx2 (NpuKernels *kernels);
void npu_attention_init_s8_avx2 (NpuKernels *kernels);
void npu_attention_init_s8_avxvnni (NpuKernels *kernels);
void npu_attention_init_f32_avx512 (NpuKernels *kernels);
void npu_attention_init_s8_avx512vnni (NpuKernels *kernels);
void npu_attention_init_bf16_avx512bf16 (NpuKernels *kernels);

void npu_rows_init_avx2 (NpuKernels *kernels);
void npu_rows_init_avx512 (NpuKernels *kernels);

void npu_gemm_init_f32_avx2 (NpuKernels *kernels);
void npu_gemm_init_f32_avx512 (NpuKernels *kernels);
void npu_gemm_init_bf16_avx512bf16 (NpuKernels *kernels);
void npu_gemm_init_s16_avx2 (NpuKernels *kernels);
void npu_gemm_init_s16_avxvnni (NpuKernels *kernels);
void npu_gemm_init_s16_avx512vnni (NpuKernels *kernels);

void npu_linear_init_s8_avxvnni (NpuKernels *kernels);
void npu_linear_init_s8_avx512vnni (NpuKernels *kernels);

void npu_epilogue_init_avx2 (NpuKernels *kernels);
void npu_epilogue_init_avx512 (NpuKernels *kernels);

void npu_logits_init_avx2 (NpuLogitsKernels *kernels);
void npu_logits_init_avx512 (NpuLogitsKernels *kernels);

void npu_few_init_avx2 (NpuFewKernels *kernels);
void npu_few_init_avxvnni (NpuFewKernels *kernels);
void npu_few_init_avx512 (NpuFewKernels *kernels);
void npu_few_init_avx512vnni (NpuFewKernels *kernels);
