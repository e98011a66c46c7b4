/* The encoder's plan: activations that share memory, and what each stage finds
 * there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "encoder/encoder-plan.h"

#include "describe-check.h"
#include "fake-npu.h"
#include "small-model.h"
#include "test-data.h"

#include <string.h>

#define N_MELS 80
#define D 128
#define N_LAYERS 3
#define TIMEOUT (600 * (guint64) 1000000000)

static const NpuPrecision precisions[] = {NPU_PRECISION_F32, NPU_PRECISION_INT8,
    NPU_PRECISION_BF16, NPU_PRECISION_INT16};

static NpuDevice *
open_device (const char *name)
{
  const NpuDeviceOptions options = {.threads = 2};
  g_autoptr (GError) error = NULL;
  NpuDevice *device = npu_device_open (name, &options, &error);

  g_assert_no_error (error);
  return device;
}

/* NULL where the device has no such products. */
static EncoderPlan *
open_plan (const NpuModel *model, NpuDevice *device, NpuPrecision precision)
{
  const PlanOptions options = {.precision = precision, .depth = 3};
  g_autoptr (GError) error = NULL;
  EncoderPlan *plan = encoder_plan_new (model, device, &options, &error);

  if (!g_error_matches (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED))
    g_assert_no_error (error);
  return plan;
}

static const NpuPlanStage *
stage_at (const EncoderPlan *plan, guint i)
{
  return &g_array_index (plan->plan->stages, NpuPlanStage, i);
}

/* --- how much ------------------------------------------------------------ */

/* Bytes with a buffer for each of the activations. */
static gsize
size_without_sharing (const EncoderPlan *plan)
{
  gsize sizes[PLAN_N_BUFFERS] = {0}, sum = 0;

  for (guint i = 0; i < plan->plan->stages->len; i++)
    for (guint arg = 0; arg < NPU_MAX_ARGS; arg++) {
      const NpuPlanStage *stage = stage_at (plan, i);
      const guint buffer = stage->args[arg];
      const gsize size = stage->kernel->arg_size[arg] + stage->offset[arg];

      if (buffer != NPU_NO_BUFFER)
        sizes[buffer] = MAX (sizes[buffer], size);
    }
  for (guint i = 0; i < PLAN_N_BUFFERS; i++)
    sum += sizes[i];
  return sum;
}

static void
test_size (void)
{
  NpuModel *model = npu_model_open ("synthetic:base", NULL);
  NpuDevice *device = open_device ("cpu");

  for (guint i = 0; i < G_N_ELEMENTS (precisions); i++) {
    g_autoptr (EncoderPlan) plan = open_plan (model, device, precisions[i]);
    gsize size, before;

    if (!plan)
      continue;
    size = npu_device_get_usage (device).buffers_size;
    before = size_without_sharing (plan);
    g_test_message ("%s: %.1f MB of activations, %.1f MB without sharing",
        npu_precision_to_string (precisions[i]), (double) size / 1e6,
        (double) before / 1e6);
    g_assert_cmpuint (3 * size, <=, 2 * before);
  }
  npu_device_unref (device);
  npu_model_unref (model);
}

/* --- who is where --------------------------------------------------------- */

/* Whether launches of stage @i may be in flight while one of @j is. */
static gboolean
overlap (const EncoderPlan *plan, guint i, guint j)
{
  return i == j || (j == i + 1 && stage_at (plan, j)->needs != NPU_NEEDS_ALL) ||
         (i == j + 1 && stage_at (plan, i)->needs != NPU_NEEDS_ALL);
}

/* What stage @i writes is nobody else's, of those that may be in flight with
 * it, unless it is the same buffer. */
static void
check_writes (const EncoderPlan *plan, guint i)
{
  const NpuPlanStage *stage = stage_at (plan, i);

  for (guint j = 0; j < plan->plan->stages->len; j++) {
    const NpuPlanStage *other = stage_at (plan, j);

    if (!overlap (plan, i, j))
      continue;
    for (guint a = 0; a < NPU_MAX_ARGS; a++)
      for (guint b = 0; b < NPU_MAX_ARGS; b++)
        if ((stage->writes & NPU_ARG_BIT (a)) &&
            other->args[b] != NPU_NO_BUFFER && other->args[b] != stage->args[a])
          g_assert_cmpuint (stage->memory[a], !=, other->memory[b]);
  }
}

/* Follows what is in each memory from the first stage to the last: everybody
 * finds what was written for him. */
static void
check_content (const EncoderPlan *plan)
{
  g_autofree guint *content = g_new (guint, plan->plan->memory->len);

  for (guint i = 0; i < plan->plan->memory->len; i++)
    content[i] = NPU_NO_BUFFER;
  /* What the host writes. */
  for (guint i = 0; i < plan->plan->stages->len; i++)
    for (guint arg = 0; arg < NPU_MAX_ARGS; arg++)
      if (stage_at (plan, i)->args[arg] == PLAN_MEL ||
          stage_at (plan, i)->args[arg] == PLAN_POSITIONAL) {
        g_assert_cmpuint (
            content[stage_at (plan, i)->memory[arg]], ==, NPU_NO_BUFFER);
        content[stage_at (plan, i)->memory[arg]] =
            stage_at (plan, i)->args[arg];
      }
  for (guint i = 0; i < plan->plan->stages->len; i++) {
    const NpuPlanStage *stage = stage_at (plan, i);

    for (guint arg = 0; arg < NPU_MAX_ARGS; arg++)
      if (stage->reads & NPU_ARG_BIT (arg))
        g_assert_cmpuint (content[stage->memory[arg]], ==, stage->args[arg]);
    for (guint arg = 0; arg < NPU_MAX_ARGS; arg++)
      if (stage->writes & NPU_ARG_BIT (arg))
        content[stage->memory[arg]] = stage->args[arg];
  }
  for (guint i = 0; i < plan->plan->memory->len; i++) {
    g_assert_cmpuint (content[i], !=, NPU_NO_BUFFER);
    if (g_ptr_array_index (plan->plan->memory, i) ==
        npu_plan_get_buffer (plan->plan, PLAN_STATES))
      g_assert_cmpuint (content[i], ==, PLAN_STATES);
    if (g_ptr_array_index (plan->plan->memory, i) ==
        npu_plan_get_buffer (plan->plan, PLAN_POSITIONAL))
      g_assert_cmpuint (content[i], ==, PLAN_POSITIONAL);
  }
}

/* What an NPU writes does not come where the host wrote without a sync: its
 * caches may write that later. */
static void
check_sides (const EncoderPlan *plan)
{
  g_autofree guint *sides = g_new0 (guint, plan->plan->memory->len);
  g_autofree guint *syncs = g_new0 (guint, plan->plan->memory->len);

  for (guint i = 0; i < plan->plan->stages->len; i++) {
    const NpuPlanStage *stage = stage_at (plan, i);

    for (guint arg = 0; arg < NPU_MAX_ARGS; arg++)
      if (stage->args[arg] != NPU_NO_BUFFER) {
        sides[stage->memory[arg]] |=
            stage->kernel->host_args & NPU_ARG_BIT (arg) ? 1 : 2;
        syncs[stage->memory[arg]] |= stage->sync_args & NPU_ARG_BIT (arg);
      }
  }
  for (guint i = 0; i < plan->plan->memory->len; i++)
    g_assert_true (sides[i] != 3 || syncs[i]);
}

static void
check_plan (const EncoderPlan *plan)
{
  for (guint i = 0; i < plan->plan->stages->len; i++)
    check_writes (plan, i);
  check_content (plan);
  check_sides (plan);
}

static void
test_sharing (void)
{
  NpuModel *model = small_model_new (N_MELS, D, N_LAYERS, 0);

  for (guint ops = 0; ops < 32; ops++) {
    const FakeNpuOptions npu = {
        .ops = ops, .host_epilogue = ops % 2, .threads = 1};
    NpuDevice *device;

    fake_npu_install (&npu);
    device = open_device (ops == 0 ? "cpu" : "xrt");
    for (guint i = 0; i < G_N_ELEMENTS (precisions); i++) {
      g_autoptr (EncoderPlan) plan = open_plan (model, device, precisions[i]);

      if (plan)
        check_plan (plan);
    }
    npu_device_unref (device);
    fake_npu_install (NULL);
  }
  small_model_free (model);
}

/* --- what was there before ------------------------------------------------ */

static float *
encode (
    EncoderPlan *plan, NpuExecutor *executor, const float *mel, guint n_frames)
{
  g_autofree NpuStage *stages = g_new0 (NpuStage, plan->plan->stages->len);
  g_autoptr (GError) error = NULL;

  encoder_plan_write_edges (plan, n_frames, &error);
  g_assert_no_error (error);
  encoder_plan_write_frames (plan, mel, n_frames, 0, n_frames);
  encoder_plan_fill (plan, n_frames, 0, stages);
  npu_executor_run (executor, stages, plan->plan->stages->len, &error);
  g_assert_no_error (error);
  return g_memdup2 (npu_plan_get_buffer (plan->plan, PLAN_STATES)->data,
      (gsize) n_frames / 2 * D * sizeof (float));
}

/* Whatever a memory had before, NaNs of every type here, does not reach the
 * states. */
static void
test_leftovers (void)
{
  static const guint lengths[] = {258, 2, 130};
  NpuModel *model = small_model_new (N_MELS, D, N_LAYERS, 0);
  NpuDevice *device = open_device ("cpu");
  NpuExecutor *executor = npu_executor_new (device, 3, TIMEOUT, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (precisions); i++) {
    g_autoptr (EncoderPlan) plan = open_plan (model, device, precisions[i]);

    for (guint j = 0; plan && j < G_N_ELEMENTS (lengths); j++) {
      const guint n = lengths[j];
      g_autofree float *mel = test_data_new_mel (N_MELS, n, j);
      g_autofree float *expected = encode (plan, executor, mel, n);
      g_autofree float *states = NULL;

      for (guint k = 0; k < plan->plan->memory->len; k++) {
        NpuBuffer *memory = g_ptr_array_index (plan->plan->memory, k);

        if (memory != npu_plan_get_buffer (plan->plan, PLAN_POSITIONAL))
          memset (memory->data, 0xff, memory->size);
      }
      states = encode (plan, executor, mel, n);
      g_assert_cmpmem (states, n / 2 * D * sizeof *states, expected,
          n / 2 * D * sizeof *expected);
    }
  }
  npu_executor_free (executor);
  npu_device_unref (device);
  small_model_free (model);
}

/* --- the table ------------------------------------------------------------ */

static char *
describe (const char *device_name, NpuPrecision precision)
{
  NpuModel *model = small_model_new (N_MELS, D, N_LAYERS, 0);
  NpuDevice *device = open_device (device_name);
  EncoderPlan *plan = open_plan (model, device, precision);
  char *text = plan ? npu_plan_describe (plan->plan) : NULL;

  encoder_plan_free (plan);
  npu_device_unref (device);
  small_model_free (model);
  return text;
}

/* On a CPU that has float's products only, and beside an NPU that has int8's.
 */
static void
test_table (void)
{
  const FakeNpuOptions npu = {
      .ops = FAKE_NPU_LINEAR_Q8 | FAKE_NPU_LINEAR_BF16, .threads = 1};
  g_autofree char *level = g_strdup (g_getenv ("NPUENC_CPU"));
  g_autofree char *f32 = NULL, *int8 = NULL, *bf16 = NULL, *on_npu = NULL;
  g_autofree char *claimed = NULL;

  g_setenv ("NPUENC_CPU", "c", TRUE);
  f32 = describe ("cpu", NPU_PRECISION_F32);
  describe_check_line (f32, "conv1", "cpu f32 f32 f32 f32");
  describe_check_line (f32, "blocks 0-2 qkv", "cpu f32 f32 f32 f32");
  describe_check_line (f32, "blocks 0-2 attention", "cpu f32 - - f32");
  g_assert_null (describe ("cpu", NPU_PRECISION_INT16));
  int8 = describe ("cpu", NPU_PRECISION_INT8);
  describe_check_line (int8, "conv2", "cpu f32 int16 f32 f32");
  describe_check_line (int8, "blocks 0-2 qkv", "cpu f32 int16 f32 int8");
  describe_check_line (int8, "blocks 0-2 attention", "cpu int8 - - f32");
  bf16 = describe ("cpu", NPU_PRECISION_BF16);
  describe_check_line (bf16, "blocks 0-2 fc1", "cpu bf16 bf16 f32 bf16");
  describe_check_line (bf16, "final norm", "cpu f32 - - f32");

  /* VNNI's integers, in float. */
  g_setenv ("NPUENC_CPU", "c-int8", TRUE);
  claimed = describe ("cpu", NPU_PRECISION_INT8);
  describe_check_line (claimed, "block 0 fc1", "cpu f32 int16 f32 f32");
  describe_check_line (claimed, "blocks 1-2 fc1", "cpu int8 int8 int8 int8");
  describe_check_line (claimed, "block 0 attention", "cpu bf16 - - f32");
  describe_check_line (claimed, "blocks 1-2 attention", "cpu int8 - - f32");
  g_setenv ("NPUENC_CPU", "c", TRUE);

  fake_npu_install (&npu);
  on_npu = describe ("xrt", NPU_PRECISION_INT8);
  describe_check_line (on_npu, "block 0 qkv", "xrt:0 f32 bf16 bf16 int8");
  describe_check_line (on_npu, "blocks 1-2 qkv", "xrt:0 int8 int8 int8 int8");
  describe_check_line (on_npu, "block 0 fc1", "xrt:0 f32 bf16 bf16 f32");
  describe_check_line (on_npu, "blocks 1-2 fc1", "xrt:0 int8 int8 int8 int8");
  describe_check_line (on_npu, "blocks 0-2 attention", "cpu int8 - - f32");
  fake_npu_install (NULL);
  if (level)
    g_setenv ("NPUENC_CPU", level, TRUE);
  else
    g_unsetenv ("NPUENC_CPU");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/encoder/plan/size", test_size);
  g_test_add_func ("/encoder/plan/sharing", test_sharing);
  g_test_add_func ("/encoder/plan/leftovers", test_leftovers);
  g_test_add_func ("/encoder/plan/table", test_table);
  return g_test_run ();
}
