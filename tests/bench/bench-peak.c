/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench-peak.h"

#include <string.h>

#include "npu-clock.h"
#include "npu-kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Many short rounds: one of them finds the clock high. */
#define ROUNDS 40
#define ROUND_TIME ((guint64) 5000000) /* ns */

/* Enough chains to fill two pipes of four or five cycles each. */
#define CHAINS 12
#define STEPS 4096

/* Runs STEPS steps; returns the operations that this makes. */
typedef double (*PeakFunc) (void);

/* Keeps a chain in its register, where the compiler cannot see through. */
#define OPAQUE(x, constraint) __asm__ volatile("" : "+" constraint (x))

static double
f32_c (void)
{
  float sums[64];
  float a = 1.0f, b = 0.0f;

  memset (sums, 0, sizeof sums);
  OPAQUE (a, "r");
  OPAQUE (b, "r");
  for (int i = 0; i < STEPS; i++) {
    for (int j = 0; j < 64; j++)
      sums[j] = sums[j] * a + b;
    __asm__ volatile("" : : "r"(sums) : "memory");
  }
  return 2.0 * 64 * STEPS;
}

static double
int8_c (void)
{
  gint32 sums[64];
  guint8 a[64];
  gint8 b[64];

  memset (sums, 0, sizeof sums);
  memset (a, 1, sizeof a);
  memset (b, 1, sizeof b);
  for (int i = 0; i < STEPS; i++) {
    __asm__ volatile("" : : "r"(a), "r"(b), "r"(sums) : "memory");
    for (int j = 0; j < 64; j++)
      sums[j] += (gint32) a[j] * b[j];
  }
  return 2.0 * 64 * STEPS;
}

#if defined(__x86_64__)

/* A step of one chain. The factor may be another every time: else a compiler
 * would multiply once for all chains. */
#define CHAIN(s, step)                                                         \
  OPAQUE (a, "v");                                                             \
  s = step (s);                                                                \
  OPAQUE (s, "v");

/* One function per instruction set: a loop of CHAINS independent sums. */
#define PEAK(name, isa, Vector, zero, step, lanes)                             \
  __attribute__ ((target (isa))) static double name (void)                     \
  {                                                                            \
    Vector s0 = zero, s1 = zero, s2 = zero, s3 = zero, s4 = zero, s5 = zero;   \
    Vector s6 = zero, s7 = zero, s8 = zero, s9 = zero, s10 = zero, s11 = zero; \
    Vector a = zero, b = zero;                                                 \
                                                                               \
    OPAQUE (a, "v");                                                           \
    OPAQUE (b, "v");                                                           \
    for (int i = 0; i < STEPS; i++) {                                          \
      CHAIN (s0, step)                                                         \
      CHAIN (s1, step)                                                         \
      CHAIN (s2, step)                                                         \
      CHAIN (s3, step)                                                         \
      CHAIN (s4, step)                                                         \
      CHAIN (s5, step)                                                         \
      CHAIN (s6, step)                                                         \
      CHAIN (s7, step)                                                         \
      CHAIN (s8, step)                                                         \
      CHAIN (s9, step)                                                         \
      CHAIN (s10, step)                                                        \
      CHAIN (s11, step)                                                        \
    }                                                                          \
    return 2.0 * (lanes) *CHAINS * STEPS;                                      \
  }

#define FMA_512(s) _mm512_fmadd_ps (a, b, s)
#define FMA_256(s) _mm256_fmadd_ps (a, b, s)
#define DOT_512(s) _mm512_dpbusd_epi32 (s, a, b)
#define DOT_256(s) _mm256_dpbusd_avx_epi32 (s, a, b)
#define BF16_512(s) _mm512_dpbf16_ps (s, (__m512bh) a, (__m512bh) b)
#define PAIRS_512(s)                                                           \
  _mm512_add_epi32 (s,                                                         \
      _mm512_madd_epi16 (_mm512_maddubs_epi16 (a, b), _mm512_set1_epi16 (1)))
#define PAIRS_256(s)                                                           \
  _mm256_add_epi32 (s,                                                         \
      _mm256_madd_epi16 (_mm256_maddubs_epi16 (a, b), _mm256_set1_epi16 (1)))

PEAK (f32_avx512, "avx512f", __m512, _mm512_setzero_ps (), FMA_512, 16)
PEAK (f32_avx2, "avx2,fma", __m256, _mm256_setzero_ps (), FMA_256, 8)
PEAK (bf16_avx512, "avx512f,avx512bf16", __m512, _mm512_setzero_ps (), BF16_512,
    32)
PEAK (int8_avx512vnni, "avx512f,avx512vnni", __m512i, _mm512_setzero_si512 (),
    DOT_512, 64)
PEAK (
    int8_avxvnni, "avx2,avxvnni", __m256i, _mm256_setzero_si256 (), DOT_256, 32)
PEAK (int8_avx512, "avx512f,avx512bw", __m512i, _mm512_setzero_si512 (),
    PAIRS_512, 64)
PEAK (int8_avx2, "avx2", __m256i, _mm256_setzero_si256 (), PAIRS_256, 32)

#endif

static PeakFunc
choose_f32 (const char **code)
{
#if defined(__x86_64__)
  const unsigned flags = npu_cpu_flags ();

  if (flags & NPU_CPU_AVX512) {
    *code = "AVX-512 FMA";
    return f32_avx512;
  }
  if (flags & NPU_CPU_AVX2) {
    *code = "AVX2 FMA";
    return f32_avx2;
  }
#endif
  *code = "compiled C";
  return f32_c;
}

static PeakFunc
choose_int8 (const char **code)
{
#if defined(__x86_64__)
  const unsigned flags = npu_cpu_flags ();

  if (flags & NPU_CPU_AVX512_VNNI) {
    *code = "AVX-512 vpdpbusd";
    return int8_avx512vnni;
  }
  if (flags & NPU_CPU_AVX_VNNI) {
    *code = "AVX vpdpbusd";
    return int8_avxvnni;
  }
  if (flags & NPU_CPU_AVX512) {
    *code = "AVX-512 vpmaddubsw";
    return int8_avx512;
  }
  if (flags & NPU_CPU_AVX2) {
    *code = "AVX2 vpmaddubsw";
    return int8_avx2;
  }
#endif
  *code = "compiled C";
  return int8_c;
}

/* NULL where the CPU has no products of bfloat16. */
static PeakFunc
choose_bf16 (void)
{
#if defined(__x86_64__)
  if (npu_cpu_flags () & NPU_CPU_AVX512_BF16)
    return bf16_avx512;
#endif
  return NULL;
}

typedef struct {
  PeakFunc run;
  double rate; /* 1e9 a second */
} PeakJob;

/* Of this thread: what others take of its processor does not count. */
static guint64
cpu_time_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &now);
  return (guint64) now.tv_sec * 1000000000u + (guint64) now.tv_nsec;
}

static gpointer
peak_main (gpointer data)
{
  PeakJob *job = data;
  const guint64 start = npu_clock_ns (), cpu_start = cpu_time_ns ();
  guint64 now = start;
  double operations = 0;

  while (now - start < ROUND_TIME) {
    operations += job->run ();
    now = npu_clock_ns ();
  }
  job->rate = operations / (double) (cpu_time_ns () - cpu_start);
  return NULL;
}

static double
rate_of (PeakFunc run, guint n_threads)
{
  g_autofree PeakJob *jobs = g_new0 (PeakJob, n_threads);
  g_autofree GThread **threads = g_new0 (GThread *, n_threads);
  double rate = 0;

  for (guint i = 0; i < n_threads; i++) {
    jobs[i].run = run;
    threads[i] = g_thread_new ("peak", peak_main, &jobs[i]);
  }
  for (guint i = 0; i < n_threads; i++) {
    g_thread_join (threads[i]);
    rate += jobs[i].rate;
  }
  return rate;
}

void
bench_peaks_measure (guint n_threads, BenchPeaks *peaks)
{
  const PeakFunc bf16 = choose_bf16 ();
  PeakFunc f32, int8;

  *peaks = (BenchPeaks){.threads = n_threads};
  f32 = choose_f32 (&peaks->f32_code);
  int8 = choose_int8 (&peaks->int8_code);
  /* The best of the rounds: others on the machine only take away. */
  for (guint i = 0; i < ROUNDS; i++) {
    peaks->f32_one = MAX (peaks->f32_one, rate_of (f32, 1));
    peaks->f32_all = MAX (peaks->f32_all, rate_of (f32, n_threads));
    if (bf16 != NULL) {
      peaks->bf16_one = MAX (peaks->bf16_one, rate_of (bf16, 1));
      peaks->bf16_all = MAX (peaks->bf16_all, rate_of (bf16, n_threads));
    }
    peaks->int8_one = MAX (peaks->int8_one, rate_of (int8, 1));
    peaks->int8_all = MAX (peaks->int8_all, rate_of (int8, n_threads));
  }
}
