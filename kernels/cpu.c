/* What the CPU and its operating system allow.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-kernels.h"

#if defined(__x86_64__)

#include <cpuid.h>

/* State that the operating system saves: XCR0. */
#define XCR0_AVX 0x6u     /* xmm, ymm */
#define XCR0_AVX512 0xe6u /* and masks, zmm */

static unsigned
xcr0 (void)
{
  unsigned low, high;

  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

static int
has_bits (unsigned word, unsigned bits)
{
  return (word & bits) == bits;
}

static int
is_amd (void)
{
  unsigned a, b, c, d;

  return __get_cpuid (0, &a, &b, &c, &d) && b == signature_AMD_ebx;
}

unsigned
npu_cpu_flags (void)
{
  unsigned a, b, c, d, flags = 0, saved;
  unsigned b7, c7, max_subleaf, a71 = 0;

  if (!__get_cpuid (1, &a, &b, &c, &d) || !has_bits (c, bit_OSXSAVE | bit_AVX))
    return 0;
  saved = xcr0 ();
  if (!has_bits (saved, XCR0_AVX) || !has_bits (c, bit_FMA | bit_F16C))
    return 0;

  if (!__get_cpuid_count (7, 0, &max_subleaf, &b7, &c7, &d) ||
      !has_bits (b7, bit_AVX2))
    return 0;
  flags |= NPU_CPU_AVX2;
  if (max_subleaf >= 1)
    __cpuid_count (7, 1, a71, b, c, d);
  if (has_bits (a71, 1u << 4))
    flags |= NPU_CPU_AVX_VNNI;

  if (!has_bits (saved, XCR0_AVX512) ||
      !has_bits (b7, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL))
    return flags;
  flags |= NPU_CPU_AVX512;
  if (!has_bits (c7, 1u << 11))
    return flags;
  flags |= NPU_CPU_AVX512_VNNI;
  if (has_bits (a71, 1u << 5))
    flags |= NPU_CPU_AVX512_BF16 | (is_amd () ? NPU_CPU_FAST_BF16 : 0);
  return flags;
}

#else

unsigned
npu_cpu_flags (void)
{
  return 0;
}

#endif
