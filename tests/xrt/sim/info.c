/* What the driver tells about itself and the device.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "sim.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <drm/drm.h>
#include <drm/amdxdna_accel.h>

static int
answer (struct amdxdna_drm_get_info *info, const void *data, size_t size)
{
  const size_t room = info->buffer_size;

  memcpy ((void *) (uintptr_t) info->buffer, data, size < room ? size : room);
  return 0;
}

static int
get_metadata (struct amdxdna_drm_get_info *info)
{
  const bool strix = sim_device ()->strix;
  const struct amdxdna_drm_query_aie_metadata metadata = {
      .col_size = 1 << 25,
      .cols = strix ? 8 : 5,
      .rows = 6,
      .version = {1, 1},
      .core = {.row_count = 4,
          .row_start = 2,
          .dma_channel_count = 2,
          .lock_count = 16,
          .event_reg_count = 4},
      .mem = {.row_count = 1,
          .row_start = 1,
          .dma_channel_count = 6,
          .lock_count = 64,
          .event_reg_count = 6},
      .shim = {.row_count = 1,
          .row_start = 0,
          .dma_channel_count = 2,
          .lock_count = 16,
          .event_reg_count = 6},
  };

  return answer (info, &metadata, sizeof metadata);
}

static int
get_clocks (struct amdxdna_drm_get_info *info)
{
  const bool strix = sim_device ()->strix;
  const struct amdxdna_drm_query_clock_metadata clocks = {
      .mp_npu_clock = {.name = "MP-NPU Clock", .freq_mhz = strix ? 1267 : 600},
      .h_clock = {.name = "H Clock", .freq_mhz = strix ? 1800 : 1024},
  };

  return answer (info, &clocks, sizeof clocks);
}

static int
get_resources (struct amdxdna_drm_get_info *info)
{
  struct amdxdna_drm_get_resource_info resources = {
      .npu_clk_max = sim_device ()->strix ? 1800 : 1024,
      .npu_tops_max = sim_device ()->strix ? 50 : 10,
      .npu_task_max = sim_contexts_limit (),
  };

  for (SimContext *context = sim.contexts; context; context = context->next)
    resources.npu_task_curr++;
  return answer (info, &resources, sizeof resources);
}

static int
get_contexts (struct amdxdna_drm_get_info *info)
{
  struct amdxdna_drm_query_hwctx *entry = (void *) (uintptr_t) info->buffer;
  uint32_t n = 0;

  for (SimContext *context = sim.contexts; context; context = context->next) {
    if ((n + 1) * sizeof *entry > info->buffer_size)
      break;
    entry[n++] = (struct amdxdna_drm_query_hwctx){
        .context_id = context->id,
        .num_col = context->columns,
        .pid = getpid (),
        .command_submissions = context->submitted,
        .command_completions = context->completed,
        .errors = context->errors,
    };
  }
  info->buffer_size = n * (uint32_t) sizeof *entry;
  return 0;
}

int
sim_get_info (SimClient *client, void *arg)
{
  struct amdxdna_drm_get_info *info = arg;
  const struct amdxdna_drm_query_aie_version version = {1, 1};
  const struct amdxdna_drm_query_firmware_version firmware = {1, 5, 5, 391};
  const struct amdxdna_drm_get_power_mode power = {.power_mode = 0};
  const struct amdxdna_drm_attribute_state off = {.state = 0};

  (void) client;
  switch (info->param) {
    case DRM_AMDXDNA_QUERY_AIE_METADATA:
      return get_metadata (info);
    case DRM_AMDXDNA_QUERY_AIE_VERSION:
      return answer (info, &version, sizeof version);
    case DRM_AMDXDNA_QUERY_CLOCK_METADATA:
      return get_clocks (info);
    case DRM_AMDXDNA_QUERY_SENSORS:
      info->buffer_size = 0;
      return 0;
    case DRM_AMDXDNA_QUERY_HW_CONTEXTS:
      return get_contexts (info);
    case DRM_AMDXDNA_QUERY_FIRMWARE_VERSION:
      return answer (info, &firmware, sizeof firmware);
    case DRM_AMDXDNA_GET_POWER_MODE:
      return answer (info, &power, sizeof power);
    case DRM_AMDXDNA_QUERY_RESOURCE_INFO:
      return get_resources (info);
    case DRM_AMDXDNA_GET_FORCE_PREEMPT_STATE:
    case DRM_AMDXDNA_GET_FRAME_BOUNDARY_PREEMPT_STATE:
      return answer (info, &off, sizeof off);
    default:
      return -EOPNOTSUPP;
  }
}

int
sim_get_array (SimClient *client, void *arg)
{
  struct amdxdna_drm_get_array *array = arg;
  uint8_t *place = (void *) (uintptr_t) array->buffer;
  uint32_t n = 0, size = sizeof (struct amdxdna_drm_hwctx_entry);

  (void) client;
  if (array->param != DRM_AMDXDNA_HW_CONTEXT_ALL) {
    array->num_element = 0;
    return array->param == DRM_AMDXDNA_HW_LAST_ASYNC_ERR ? 0 : -EOPNOTSUPP;
  }
  if (array->element_size < size)
    size = array->element_size;
  for (SimContext *context = sim.contexts; context && n < array->num_element;
       context = context->next) {
    const struct amdxdna_drm_hwctx_entry entry = {
        .context_id = context->id,
        .num_col = context->columns,
        .hwctx_id = context->id,
        .pid = getpid (),
        .command_submissions = context->submitted,
        .command_completions = context->completed,
        .errors = context->errors,
        .priority = AMDXDNA_QOS_NORMAL_PRIORITY,
        .state = context->submitted > context->completed,
    };
    memcpy (place + n++ * (size_t) array->element_size, &entry, size);
  }
  array->num_element = n;
  array->element_size = size;
  return 0;
}
