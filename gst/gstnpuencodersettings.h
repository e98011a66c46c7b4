/* npuencoder's settable properties: each is a field of one structure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "encoder/npu-encoder.h"

G_BEGIN_DECLS

/* Each level shows what the one before shows. */
typedef enum {
  GST_NPU_ENCODER_VERBOSITY_NONE,
  GST_NPU_ENCODER_VERBOSITY_SUMMARY,
  GST_NPU_ENCODER_VERBOSITY_STAGES,
  GST_NPU_ENCODER_VERBOSITY_TILES,
} GstNpuEncoderVerbosity;

typedef enum {
  GST_NPU_ENCODER_OUTPUT_TYPE_FLOAT32,
  GST_NPU_ENCODER_OUTPUT_TYPE_FLOAT16,
} GstNpuEncoderOutputType;

/* Property ids. */
enum {
  GST_NPU_ENCODER_MODEL = 1,
  GST_NPU_ENCODER_DEVICE,
  GST_NPU_ENCODER_OVERLAYS,
  GST_NPU_ENCODER_DEPTH,
  GST_NPU_ENCODER_BATCH_SIZE,
  GST_NPU_ENCODER_PRECISION,
  GST_NPU_ENCODER_THREADS,
  GST_NPU_ENCODER_TIMEOUT,
  GST_NPU_ENCODER_VERBOSITY,
  GST_NPU_ENCODER_POST_MESSAGES,
  GST_NPU_ENCODER_TRACE_LOCATION,
  GST_NPU_ENCODER_OUTPUT_TYPE,
  GST_NPU_ENCODER_KEEP_AWAKE,
  GST_NPU_ENCODER_N_SETTINGS, /* the first id that is free */
};

/* Fields of enumerated properties are ints, as GValue has them. */
typedef struct {
  char *model;
  char *device;
  char *overlays;
  char *trace_location;
  guint depth;
  guint batch_size;
  guint threads;
  guint timeout;    /* ms */
  guint keep_awake; /* ms */
  int precision;    /* NpuPrecision */
  int verbosity;    /* GstNpuEncoderVerbosity */
  int output_type;  /* GstNpuEncoderOutputType */
  gboolean post_messages;
} GstNpuEncoderSettings;

/* Installs the properties; they are set to their defaults when an object is
 * constructed. */
void gst_npu_encoder_settings_install (GObjectClass *klass);

void gst_npu_encoder_settings_set (
    GstNpuEncoderSettings *settings, guint id, const GValue *value);
void gst_npu_encoder_settings_get (
    const GstNpuEncoderSettings *settings, guint id, GValue *value);
void gst_npu_encoder_settings_clear (GstNpuEncoderSettings *settings);

G_END_DECLS
