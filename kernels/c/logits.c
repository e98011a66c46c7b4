/* A row of logits, in C.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA c

#include "npu-best.h"
#include "npu-kernels-internal.h"
#include "npu-math.h"

#if NPU_HAVE_X86
#include "x86/npu-x86.h"
#endif

/* Sums run in this many lanes: compilers may not reorder a float sum. */
#define LANES 16

static int
NPU_KERNEL (logits_argmax) (const float *x, int n)
{
  float largest = -INFINITY;
  int at = -1;

  for (int i = 0; i < n; i++)
    if (x[i] > largest) {
      largest = x[i];
      at = i;
    }
  return at;
}

static float
NPU_KERNEL (logits_log_sum_exp) (const float *x, int n)
{
  const int at = NPU_KERNEL (logits_argmax) (x, n), whole = n - n % LANES;
  const float largest = at < 0 ? 0.0f : x[at];
  float lanes[LANES] = {0}, sum = 0.0f;

  for (int i = 0; i < whole; i += LANES)
    for (int j = 0; j < LANES; j++)
      lanes[j] += npu_exp2 ((x[i + j] - largest) * NPU_LOG2E);
  for (int i = whole; i < n; i++)
    lanes[i - whole] += npu_exp2 ((x[i] - largest) * NPU_LOG2E);
  for (int j = 0; j < LANES; j++)
    sum += lanes[j];
  return at < 0 && sum == 0.0f ? -INFINITY : largest + logf (sum);
}

static int
NPU_KERNEL (logits_best) (const float *x, int n, int *ids, int n_best)
{
  NpuBest list = {.ids = ids, .n_max = n_best};

  for (int i = 0; i < n && n_best > 0; i++)
    if (x[i] > npu_best_threshold (&list))
      npu_best_insert (&list, x[i], i);
  return list.n;
}

void
npu_logits_init (NpuLogitsKernels *kernels, unsigned cpu_flags)
{
  *kernels = (NpuLogitsKernels){NPU_KERNEL (logits_argmax),
      NPU_KERNEL (logits_log_sum_exp), NPU_KERNEL (logits_best)};
#if NPU_HAVE_X86
  if (cpu_flags & NPU_CPU_AVX2)
    npu_logits_init_avx2 (kernels);
  if ((cpu_flags & NPU_CPU_AVX2) && (cpu_flags & NPU_CPU_AVX512))
    npu_logits_init_avx512 (kernels);
#endif
}
