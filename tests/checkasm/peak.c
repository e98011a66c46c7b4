/* What this core can do at most: multiply-adds on registers alone.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "peak.h"

#include <glib.h>

#include <time.h>

#include "npu-kernels.h"

gint64
cpu_time (void)
{
  struct timespec time;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * G_GINT64_CONSTANT (1000000000) + time.tv_nsec;
}

#define STEPS 100000
#define CHAINS 14 /* enough to hide the latency of two units */

#if defined(__x86_64__)

/* An instruction on each of 14 registers: r is x, y or z. */
#define STEP(op, r, i) op " %%" r #i ", %%" r #i ", %%" r #i "\n\t"
#define STEPS_OF(op, r)                                                        \
  STEP (op, r, 0)                                                              \
  STEP (op, r, 1)                                                              \
  STEP (op, r, 2)                                                              \
  STEP (op, r, 3)                                                              \
  STEP (op, r, 4)                                                              \
  STEP (op, r, 5)                                                              \
  STEP (op, r, 6)                                                              \
  STEP (op, r, 7)                                                              \
  STEP (op, r, 8)                                                              \
  STEP (op, r, 9)                                                              \
  STEP (op, r, 10)                                                             \
  STEP (op, r, 11)                                                             \
  STEP (op, r, 12)                                                             \
  STEP (op, r, 13)
#define RUN(op, r)                                                             \
  for (int n = 0; n < STEPS; n++)                                              \
  __asm__ volatile(STEPS_OF (op, r)::                                          \
                       : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",       \
                   "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",  \
                   "xmm13")

/* Denormals in a register would count more than what is measured. */
__attribute__ ((target ("avx"))) static void
clear_registers (void)
{
  __asm__ volatile("vzeroall" ::
                       : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                   "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
                   "xmm14", "xmm15");
}

__attribute__ ((target ("avx512f"))) static void
fma_512 (void)
{
  RUN ("vfmadd231ps", "zmm");
}

__attribute__ ((target ("avx512f,avx512vnni"))) static void
vnni_512 (void)
{
  RUN ("vpdpbusd", "zmm");
}

__attribute__ ((target ("avx2,fma"))) static void
fma_256 (void)
{
  RUN ("vfmadd231ps", "ymm");
}

__attribute__ ((target ("avx2,avxvnni"))) static void
vnni_256 (void)
{
  RUN ("%{vex%} vpdpbusd", "ymm");
}

/* G operations a second. */
static double
rate (void (*run) (void), double operations)
{
  gint64 start;

  clear_registers ();
  start = cpu_time ();
  run ();
  return operations * STEPS / MAX (cpu_time () - start, 1);
}

double
peak_f32_gflops (void)
{
  const unsigned flags = npu_cpu_flags ();

  if (flags & NPU_CPU_AVX512)
    return rate (fma_512, CHAINS * 32);
  if (flags & NPU_CPU_AVX2)
    return rate (fma_256, CHAINS * 16);
  return 0;
}

double
peak_int8_gops (void)
{
  const unsigned flags = npu_cpu_flags ();

  if (flags & NPU_CPU_AVX512_VNNI)
    return rate (vnni_512, CHAINS * 128);
  if (flags & NPU_CPU_AVX_VNNI)
    return rate (vnni_256, CHAINS * 64);
  return peak_f32_gflops ();
}

#else

double
peak_f32_gflops (void)
{
  return 0;
}

double
peak_int8_gops (void)
{
  return 0;
}

#endif
