/* Tests every kernel of every instruction set, or measures them, or those
 * whose name has NAME: --bench [NAME].
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "kernels.h"

#include <string.h>

#define AVX2 NPU_CPU_AVX2
#define AVX512 (AVX2 | NPU_CPU_AVX512)
#define AVX512_VNNI (AVX512 | NPU_CPU_AVX512_VNNI)
#define AVX512_BF16 (AVX512_VNNI | NPU_CPU_AVX512_BF16 | NPU_CPU_FAST_BF16)

static Level levels[] = {
    {.name = "c", .cpu_flags = 0},
    {.name = "c-int8", .cpu_flags = NPU_CPU_C_INT8},
    {.name = "avx2", .cpu_flags = AVX2},
    {.name = "avxvnni", .cpu_flags = AVX2 | NPU_CPU_AVX_VNNI},
    {.name = "avx512", .cpu_flags = AVX512},
    {.name = "avx512vnni", .cpu_flags = AVX512_VNNI},
    {.name = "avx512bf16", .cpu_flags = AVX512_BF16},
};

void
add_level_test (
    const Level *level, const char *name, void (*test) (gconstpointer level))
{
  g_autofree char *path = g_strdup_printf ("/%s/%s", level->name, name);

  g_test_add_data_func (path, level, test);
}

/* The table is the one asked for, not a lesser one. */
static void
test_name (gconstpointer data)
{
  const Level *level = data;

  g_assert_cmpstr (level->kernels.name, ==, level->name);
}

static void
test_absent (gconstpointer data)
{
  g_test_skip ("this CPU does not have it");
}

/* Flags that a CPU cannot have alone: the table is still complete. */
static void
test_flags_without_their_base (void)
{
  NpuKernels kernels;

  npu_kernels_init (&kernels, NPU_CPU_AVX512_VNNI | NPU_CPU_AVX512_BF16);
  g_assert_cmpstr (kernels.name, ==, "c");
}

int
main (int argc, char **argv)
{
  guint present = npu_cpu_flags ();
  gboolean bench = argc >= 2 && strcmp (argv[1], "--bench") == 0;
  Level available[G_N_ELEMENTS (levels)];
  guint n_available = 0;

  /* Slow or not, it is tested. */
  if (present & NPU_CPU_AVX512_BF16)
    present |= NPU_CPU_FAST_BF16;
  /* It is the reference of a kernel, and not there to be fast. */
  if (!bench)
    present |= NPU_CPU_C_INT8;
  g_test_init (&argc, &argv, NULL);
  if (!bench) {
    g_test_add_func (
        "/flags-without-their-base", test_flags_without_their_base);
    add_rotation_tests ();
    g_test_add_func ("/every-kernel-is-listed", kernels_check_list);
  }
  for (guint i = 0; i < G_N_ELEMENTS (levels); i++) {
    Level *level = &levels[i];

    if (level->cpu_flags & ~present) {
      if (!bench)
        add_level_test (level, "all", test_absent);
      continue;
    }
    npu_kernels_init (&level->kernels, level->cpu_flags);
    npu_few_init (&level->few, level->cpu_flags);
    npu_logits_init (&level->logits, level->cpu_flags);
    available[n_available++] = *level;
    if (bench)
      continue;
    add_level_test (level, "name", test_name);
    if (level->cpu_flags == NPU_CPU_C_INT8) {
      add_attention_s8_tests (level);
      continue;
    }
    kernels_add_tests (level);
    add_plain_tests (level);
  }

  if (bench) {
    bench_run (available, n_available, argc > 2 ? argv[2] : "");
    return 0;
  }
  return g_test_run ();
}
