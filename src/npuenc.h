/* The library in one header; each part says more in its own.
 *
 *   pkg-config --cflags --libs npuenc-1.0
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "decoder/npu-decoder.h"
#include "decoding/npu-decoding.h"
#include "device/npu-device.h"
#include "encoder/npu-encoder.h"
#include "executor/npu-executor.h"
#include "executor/npu-stats.h"
#include "executor/npu-trace.h"
#include "model/npu-model.h"
#include "npu-api.h"
#include "npu-error.h"
#include "tiles/npu-program.h"
#include "tiles/npu-tiles.h"
#include "tokenizer/npu-tokenizer.h"
#include "transcript/npu-transcript.h"
#include "vad/npu-vad.h"
