/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu-isa.h"

#include <oneapi/dnnl/dnnl.h>

#include "npu-error.h"
#include "npu-kernels.h"

#ifdef __x86_64__

/* Of what oneDNN takes for AVX2 or better. */
static gboolean
is_limited (void)
{
  return dnnl_get_effective_cpu_isa () == dnnl_cpu_isa_sse41 ||
         dnnl_get_effective_cpu_isa () == dnnl_cpu_isa_avx;
}

static gboolean
limit (void)
{
  if (npu_cpu_flags () & NPU_CPU_AVX2)
    return TRUE; /* with FMA and F16C */
  /* AVX is that of CPUs that have no FMA either. It fails where the application
   * has used oneDNN before; and then it may be limited already. */
  return dnnl_set_max_cpu_isa (dnnl_cpu_isa_avx) == dnnl_success ||
         is_limited ();
}

#else

static gboolean
limit (void)
{
  return TRUE;
}

#endif

gboolean
cpu_isa_limit (GError **error)
{
  static gsize state; /* 1: limited as it must be, 2: not */

  if (g_once_init_enter (&state))
    g_once_init_leave (&state, limit () ? 1 : 2);
  if (state == 1)
    return TRUE;
  g_set_error_literal (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
      "this CPU has no FMA or F16C, but oneDNN, which this process used before, would take it for one that has; set the environment variable ONEDNN_MAX_CPU_ISA to AVX");
  return FALSE;
}
