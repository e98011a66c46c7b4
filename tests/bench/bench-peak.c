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

static double
int16_c (void)
{
  gint32 sums[64];
  gint16 a[64], b[64];

  memset (sums, 0, sizeof sums);
  memset (a, 0, sizeof a);
  memset (b, 0, sizeof b);
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
#define WORDS_512(s) _mm512_dpwssd_epi32 (s, a, b)
#define WORDS_256(s) _mm256_dpwssd_avx_epi32 (s, a, b)
#define MADD_512(s) _mm512_add_epi32 (s, _mm512_madd_epi16 (a, b))
#define MADD_256(s) _mm256_add_epi32 (s, _mm256_madd_epi16 (a, b))
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
PEAK (int16_avx512vnni, "avx512f,avx512vnni", __m512i, _mm512_setzero_si512 (),
    WORDS_512, 32)
PEAK (int16_avxvnni, "avx2,avxvnni", __m256i, _mm256_setzero_si256 (),
    WORDS_256, 16)
PEAK (int16_avx512, "avx512f,avx512bw", __m512i, _mm512_setzero_si512 (),
    MADD_512, 32)
PEAK (int16_avx2, "avx2", __m256i, _mm256_setzero_si256 (), MADD_256, 16)
PEAK (int8_avx512vnni, "avx512f,avx512vnni", __m512i, _mm512_setzero_si512 (),
    DOT_512, 64)
PEAK (
    int8_avxvnni, "avx2,avxvnni", __m256i, _mm256_setzero_si256 (), DOT_256, 32)
PEAK (int8_avx512, "avx512f,avx512bw", __m512i, _mm512_setzero_si512 (),
    PAIRS_512, 64)
PEAK (int8_avx2, "avx2", __m256i, _mm256_setzero_si256 (), PAIRS_256, 32)

#endif

/* Of each type the first that the CPU has. */
static const struct {
  BenchType type;
  guint flag;
  PeakFunc run;
  const char *code;
} codes[] = {
#if defined(__x86_64__)
    {BENCH_F32, NPU_CPU_AVX512, f32_avx512, "AVX-512 FMA"},
    {BENCH_F32, NPU_CPU_AVX2, f32_avx2, "AVX2 FMA"},
    {BENCH_BF16, NPU_CPU_AVX512_BF16, bf16_avx512, "AVX-512 vdpbf16ps"},
    {BENCH_INT16, NPU_CPU_AVX512_VNNI, int16_avx512vnni, "AVX-512 vpdpwssd"},
    {BENCH_INT16, NPU_CPU_AVX_VNNI, int16_avxvnni, "AVX vpdpwssd"},
    {BENCH_INT16, NPU_CPU_AVX512, int16_avx512, "AVX-512 vpmaddwd"},
    {BENCH_INT16, NPU_CPU_AVX2, int16_avx2, "AVX2 vpmaddwd"},
    {BENCH_INT8, NPU_CPU_AVX512_VNNI, int8_avx512vnni, "AVX-512 vpdpbusd"},
    {BENCH_INT8, NPU_CPU_AVX_VNNI, int8_avxvnni, "AVX vpdpbusd"},
    {BENCH_INT8, NPU_CPU_AVX512, int8_avx512, "AVX-512 vpmaddubsw"},
    {BENCH_INT8, NPU_CPU_AVX2, int8_avx2, "AVX2 vpmaddubsw"},
#endif
    {BENCH_F32, 0, f32_c, "compiled C"},
    {BENCH_INT16, 0, int16_c, "compiled C"},
    {BENCH_INT8, 0, int8_c, "compiled C"},
};

/* NULL where the CPU has none. */
static PeakFunc
choose (BenchType type, const char **code)
{
  const guint flags = npu_cpu_flags ();

  for (gsize i = 0; i < G_N_ELEMENTS (codes); i++)
    if (codes[i].type == type && (codes[i].flag & ~flags) == 0) {
      *code = codes[i].code;
      return codes[i].run;
    }
  *code = "none";
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
  PeakFunc run[BENCH_N_TYPES];

  *peaks = (BenchPeaks){.threads = n_threads};
  for (guint type = 0; type < BENCH_N_TYPES; type++)
    run[type] = choose (type, &peaks->of[type].code);
  /* The best of the rounds: others on the machine only take away. */
  for (guint i = 0; i < ROUNDS; i++)
    for (guint type = 0; type < BENCH_N_TYPES; type++) {
      BenchPeak *peak = &peaks->of[type];

      if (!run[type])
        continue;
      peak->one = MAX (peak->one, rate_of (run[type], 1));
      peak->all = MAX (peak->all, rate_of (run[type], n_threads));
    }
}

const char *
bench_type_name (BenchType type)
{
  static const char *const names[] = {"f32", "bf16", "int16", "int8"};

  return names[type];
}
