/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstnpuencodersettings.h"

#include "common/gstnpurange.h"
#include "common/gstnpusettings.h"

static const gsize offsets[GST_NPU_ENCODER_N_SETTINGS] = {
#define OFFSET(field) G_STRUCT_OFFSET (GstNpuEncoderSettings, field)
    [GST_NPU_ENCODER_MODEL] = OFFSET (model),
    [GST_NPU_ENCODER_DEVICE] = OFFSET (device),
    [GST_NPU_ENCODER_OVERLAYS] = OFFSET (overlays),
    [GST_NPU_ENCODER_DEPTH] = OFFSET (depth),
    [GST_NPU_ENCODER_BATCH_SIZE] = OFFSET (batch_size),
    [GST_NPU_ENCODER_PRECISION] = OFFSET (precision),
    [GST_NPU_ENCODER_THREADS] = OFFSET (threads),
    [GST_NPU_ENCODER_TIMEOUT] = OFFSET (timeout),
    [GST_NPU_ENCODER_VERBOSITY] = OFFSET (verbosity),
    [GST_NPU_ENCODER_POST_MESSAGES] = OFFSET (post_messages),
    [GST_NPU_ENCODER_TRACE_LOCATION] = OFFSET (trace_location),
    [GST_NPU_ENCODER_OUTPUT_TYPE] = OFFSET (output_type),
    [GST_NPU_ENCODER_KEEP_AWAKE] = OFFSET (keep_awake),
#undef OFFSET
};

void
gst_npu_encoder_settings_set (
    GstNpuEncoderSettings *settings, guint id, const GValue *value)
{
  gst_npu_settings_set (settings, offsets, id, value);
}

void
gst_npu_encoder_settings_get (
    const GstNpuEncoderSettings *settings, guint id, GValue *value)
{
  gst_npu_settings_get (settings, offsets, id, value);
}

void
gst_npu_encoder_settings_clear (GstNpuEncoderSettings *settings)
{
  g_clear_pointer (&settings->model, g_free);
  g_clear_pointer (&settings->device, g_free);
  g_clear_pointer (&settings->overlays, g_free);
  g_clear_pointer (&settings->trace_location, g_free);
}

/* --- the class's properties --------------------------------------------- */

static GType
register_precision (void)
{
  static const GEnumValue values[] = {
      {NPU_PRECISION_AUTO,
          "bf16 on an NPU that has it; else int8 where its quality holds, else int16 where the CPU has its products, else f32",
          "auto"},
      {NPU_PRECISION_INT8,
          "integer products of 8 bits, or of 16 on CPUs without VNNI", "int8"},
      {NPU_PRECISION_F32, "32-bit float throughout", "f32"},
      {NPU_PRECISION_BF16, "bfloat16 products, sums in float", "bf16"},
      {NPU_PRECISION_INT16,
          "integer products of 16 bits, on CPUs that have them faster than float's",
          "int16"},
      {0, NULL, NULL},
  };

  return gst_npu_settings_register_enum ("GstNpuEncoderPrecision", values);
}

static GType
register_verbosity (void)
{
  static const GEnumValue values[] = {
      {GST_NPU_ENCODER_VERBOSITY_NONE, "No detail", "none"},
      {GST_NPU_ENCODER_VERBOSITY_SUMMARY, "Every window", "summary"},
      {GST_NPU_ENCODER_VERBOSITY_STAGES, "Every window and stage", "stages"},
      {GST_NPU_ENCODER_VERBOSITY_TILES, "Every window, stage and launch",
          "tiles"},
      {0, NULL, NULL},
  };

  return gst_npu_settings_register_enum ("GstNpuEncoderVerbosity", values);
}

static GType
register_output_type (void)
{
  static const GEnumValue values[] = {
      {GST_NPU_ENCODER_OUTPUT_TYPE_FLOAT32, "32-bit float", "float32"},
      {GST_NPU_ENCODER_OUTPUT_TYPE_FLOAT16, "16-bit float, rounded to nearest",
          "float16"},
      {0, NULL, NULL},
  };

  return gst_npu_settings_register_enum ("GstNpuEncoderOutputType", values);
}

#define FLAGS (G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS)
#define READY (FLAGS | GST_PARAM_MUTABLE_READY)
#define ALWAYS (FLAGS | GST_PARAM_MUTABLE_PLAYING)

#define DEFAULT_MODEL NULL
#define DEFAULT_DEVICE "auto"
#define DEFAULT_OVERLAYS NULL
#define DEFAULT_DEPTH 3
#define DEFAULT_BATCH_SIZE 0
#define DEFAULT_PRECISION NPU_PRECISION_AUTO
#define DEFAULT_THREADS 0
#define DEFAULT_TIMEOUT 10000
#define DEFAULT_VERBOSITY GST_NPU_ENCODER_VERBOSITY_NONE
#define DEFAULT_POST_MESSAGES TRUE
#define DEFAULT_TRACE_LOCATION NULL
#define DEFAULT_OUTPUT_TYPE GST_NPU_ENCODER_OUTPUT_TYPE_FLOAT32
#define DEFAULT_KEEP_AWAKE 30000

/* What computes, and of what. */
static void
make_device_specs (GParamSpec **specs)
{
  /**
   * GstNpuEncoder:model:
   *
   * The model's file or folder, or `synthetic:SIZE` for random weights of that
   * shape.
   *
   * Since: 1.0
   */
  specs[GST_NPU_ENCODER_MODEL] = g_param_spec_string ("model", "Model",
      "A Whisper model: safetensors (Hugging Face or OpenAI tensor names; a file, an index of shards or a checkout's folder) or whisper.cpp's ggml .bin (f32, f16, all its quantisations); or synthetic:tiny, :base, :small, :medium, :large-v3 for random weights of that shape (Since: 1.0)",
      DEFAULT_MODEL, READY);
  /**
   * GstNpuEncoder:device:
   *
   * Elements of one process that name the same device share it.
   *
   * Since: 1.0
   */
  specs[GST_NPU_ENCODER_DEVICE] = g_param_spec_string ("device", "Device",
      "Where to compute: auto (xrt if a device and overlays are there, else cpu), cpu, xrt or xrt:N for the Nth NPU from 0 (Since: 1.0)",
      DEFAULT_DEVICE, READY);
  /**
   * GstNpuEncoder:overlays:
   *
   * The folder that has overlays.ini.
   *
   * Since: 1.0
   */
  specs[GST_NPU_ENCODER_OVERLAYS] = g_param_spec_string ("overlays", "Overlays",
      "Directory of NPU overlays with their overlays.ini, for the device xrt (Since: 1.0)",
      DEFAULT_OVERLAYS, READY);
  /**
   * GstNpuEncoder:precision:
   *
   * What is multiplied.
   *
   * Since: 1.0
   */
  specs[GST_NPU_ENCODER_PRECISION] = g_param_spec_enum ("precision",
      "Precision", "Arithmetic of the matrix products (Since: 1.0)",
      register_precision (), DEFAULT_PRECISION, READY);
  /**
   * GstNpuEncoder:threads:
   *
   * Elements of one process that ask for the same number share them.
   *
   * Since: 1.0
   */
  specs[GST_NPU_ENCODER_THREADS] = gst_npu_range_uint ("threads", "Threads",
      "Worker threads of the CPU device, 0 = as many as this process may use (Since: 1.0)",
      0, NPU_MAX_THREADS, DEFAULT_THREADS, READY);
  /**
   * GstNpuEncoder:keep-awake:
   *
   * Of an NPU; nothing on the CPU.
   *
   * Since: 1.0
   */
  specs[GST_NPU_ENCODER_KEEP_AWAKE] = g_param_spec_uint ("keep-awake",
      "Keep awake",
      "Milliseconds after a window for which the NPU is kept awake, so that the next one of a live stream does not wait for it; 0 = not at all (Since: 1.0)",
      0, G_MAXUINT, DEFAULT_KEEP_AWAKE, READY);
}

/* How windows go through it. */
static void
make_ring_specs (GParamSpec **specs)
{
  /**
   * GstNpuEncoder:depth:
   *
   * Slots of the ring of launches.
   *
   * Since: 1.0
   */
  specs[GST_NPU_ENCODER_DEPTH] = gst_npu_range_uint ("depth", "Depth",
      "Launches in flight; 1 runs them one after another. The states do not depend on it (Since: 1.0)",
      1, NPU_EXECUTOR_MAX_DEPTH, DEFAULT_DEPTH, READY);
  /**
   * GstNpuEncoder:batch-size:
   *
   * At most that many tiles in a launch.
   *
   * Since: 1.0
   */
  specs[GST_NPU_ENCODER_BATCH_SIZE] = gst_npu_range_uint ("batch-size",
      "Batch size",
      "64-row tiles per launch, 0 = the device's choice. The states do not depend on it (Since: 1.0)",
      0, NPU_EXECUTOR_MAX_BATCH, DEFAULT_BATCH_SIZE, READY);
  /**
   * GstNpuEncoder:timeout:
   *
   * Of a launch, in ms in which it could run.
   *
   * Since: 1.0
   */
  specs[GST_NPU_ENCODER_TIMEOUT] = gst_npu_range_uint ("timeout", "Timeout",
      "Milliseconds that one launch may take before it is an error (Since: 1.0)",
      1, G_MAXUINT, DEFAULT_TIMEOUT, READY);
  /**
   * GstNpuEncoder:output-type:
   *
   * Float16 states take half the memory.
   *
   * Since: 1.0
   */
  specs[GST_NPU_ENCODER_OUTPUT_TYPE] = g_param_spec_enum ("output-type",
      "Output type", "Type of the hidden states (Since: 1.0)",
      register_output_type (), DEFAULT_OUTPUT_TYPE, READY);
}

/* What is told of it. */
static void
make_report_specs (GParamSpec **specs)
{
  /**
   * GstNpuEncoder:verbosity:
   *
   * Each level has what the one before has.
   *
   * Since: 1.0
   */
  specs[GST_NPU_ENCODER_VERBOSITY] = g_param_spec_enum ("verbosity",
      "Verbosity",
      "Detail in the log (GST_DEBUG=npuencoder:4) and in the messages (Since: 1.0)",
      register_verbosity (), DEFAULT_VERBOSITY, ALWAYS);
  /**
   * GstNpuEncoder:post-messages:
   *
   * Whether there are npuencoder-stats messages.
   *
   * Since: 1.0
   */
  specs[GST_NPU_ENCODER_POST_MESSAGES] = g_param_spec_boolean ("post-messages",
      "Post messages",
      "Post an npuencoder-stats element message after every window (Since: 1.0)",
      DEFAULT_POST_MESSAGES, ALWAYS);
  /**
   * GstNpuEncoder:trace-location:
   *
   * The file is written as the stream goes, and put into its place at the end.
   *
   * Since: 1.0
   */
  specs[GST_NPU_ENCODER_TRACE_LOCATION] = g_param_spec_string ("trace-location",
      "Trace location",
      "File for a timeline of every launch, in the JSON that ui.perfetto.dev and chrome://tracing show; replaced if it exists (Since: 1.0)",
      DEFAULT_TRACE_LOCATION, READY);
}

void
gst_npu_encoder_settings_install (GObjectClass *klass)
{
  GParamSpec *specs[GST_NPU_ENCODER_N_SETTINGS] = {NULL};

  make_device_specs (specs);
  make_ring_specs (specs);
  make_report_specs (specs);
  g_object_class_install_properties (klass, G_N_ELEMENTS (specs), specs);
}
