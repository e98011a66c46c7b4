/* The driver's entry points: one ioctl to one function.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <drm/drm.h>
#include <drm/amdxdna_accel.h>

#define GEM_CLOSE 0x09
#define MAX_ARG_COUNT 4095

Sim sim = {.lock = PTHREAD_MUTEX_INITIALIZER,
    .once = PTHREAD_ONCE_INIT,
    .array = PTHREAD_COND_INITIALIZER};

static void
init_once (void)
{
  sim_settings_load ();
  /* XRT flushes caches by instructions that nothing can observe, unless its
   * own setting tells it to ask the driver. */
  setenv ("Debug.force_driver_sync", "true", 0);
}

void
sim_init (void)
{
  pthread_once (&sim.once, init_once);
}

__attribute__ ((constructor)) static void
load (void)
{
  sim_init ();
}

__attribute__ ((destructor)) static void
unload (void)
{
  pthread_mutex_lock (&sim.lock);
  sim.exiting = true;
  sim_report_write ();
  pthread_mutex_unlock (&sim.lock);
  sim_tree_remove ();
}

static int
create_bo (SimClient *client, struct amdxdna_drm_create_bo *arg)
{
  SimBo *bo;
  const int result = sim_bo_create (
      client, arg->type, arg->size, (void *) (uintptr_t) arg->vaddr, &bo);

  if (result)
    return result;
  arg->handle = bo->handle;
  sim_debug ("buffer %u: type %u, %llu bytes, device address 0x%llx",
      bo->handle, bo->type, (unsigned long long) bo->size,
      (unsigned long long) bo->address);
  return 0;
}

static int
get_bo_info (SimClient *client, struct amdxdna_drm_get_bo_info *arg)
{
  SimBo *bo = sim_bo_find (client, arg->handle);

  if (!bo)
    return -ENOENT;
  arg->map_offset = bo->offset;
  arg->vaddr = bo->user_pointer ? (uintptr_t) bo->host : AMDXDNA_INVALID_ADDR;
  arg->xdna_addr = bo->address;
  return 0;
}

static int
sync_bo (SimClient *client, struct amdxdna_drm_sync_bo *arg)
{
  SimBo *bo = sim_bo_find (client, arg->handle);

  if (!bo)
    return -ENOENT;
  return sim_bo_sync (
      bo, arg->direction == SYNC_DIRECT_TO_DEVICE, arg->offset, arg->size);
}

static int
gem_close (SimClient *client, struct drm_gem_close *arg)
{
  SimBo *bo = sim_bo_find (client, arg->handle);

  if (!bo)
    return -EINVAL;
  sim_bo_close (bo);
  return 0;
}

static int
create_context (SimClient *client, struct amdxdna_drm_create_hwctx *arg)
{
  int result;

  if (arg->ext || arg->ext_flags)
    return -EINVAL;
  result = sim_context_create (client, arg->num_tiles, &arg->handle);
  sim_debug ("context %u with %u tiles: %s", arg->handle, arg->num_tiles,
      strerror (-result));
  arg->syncobj_handle = AMDXDNA_INVALID_FENCE_HANDLE;
  arg->umq_doorbell = AMDXDNA_INVALID_DOORBELL_OFFSET;
  return result;
}

static int
exec_cmd (SimClient *client, struct amdxdna_drm_exec_cmd *arg)
{
  uint64_t seq = 0;
  int result;

  if (arg->ext || arg->ext_flags || arg->type != AMDXDNA_CMD_SUBMIT_EXEC_BUF ||
      arg->cmd_count != 1 || arg->arg_count > MAX_ARG_COUNT)
    return -EINVAL;
  result = sim_context_submit (client, arg->hwctx, (uint32_t) arg->cmd_handles,
      (const uint32_t *) (uintptr_t) arg->args, arg->arg_count, &seq);
  arg->seq = seq;
  return result;
}

/* What a driver of Linux 6.14 does not know of what XRT asks. */
static bool
is_too_new (unsigned command, void *arg)
{
  const struct amdxdna_drm_get_info *info = arg;

  switch (command) {
    case DRM_AMDXDNA_WAIT_CMD:
    case DRM_AMDXDNA_GET_ARRAY:
      return true;
    case DRM_AMDXDNA_GET_INFO:
      return info->param > DRM_AMDXDNA_GET_POWER_MODE;
    default:
      return false;
  }
}

static int
driver_ioctl (SimClient *client, unsigned command, void *arg)
{
  if (sim_may_fail (SIM_FAIL_OLD) && is_too_new (command, arg) &&
      sim_fails (SIM_FAIL_OLD))
    return -EINVAL;
  switch (command) {
    case DRM_AMDXDNA_CREATE_BO:
      return create_bo (client, arg);
    case DRM_AMDXDNA_GET_BO_INFO:
      return get_bo_info (client, arg);
    case DRM_AMDXDNA_SYNC_BO:
      return sync_bo (client, arg);
    case DRM_AMDXDNA_CREATE_HWCTX:
      return create_context (client, arg);
    case DRM_AMDXDNA_DESTROY_HWCTX:
      return sim_context_destroy (
          client, ((struct amdxdna_drm_destroy_hwctx *) arg)->handle);
    case DRM_AMDXDNA_CONFIG_HWCTX: {
      struct amdxdna_drm_config_hwctx *config = arg;
      return sim_context_config (client, config->handle, config->param_type,
          (void *) (uintptr_t) config->param_val, config->param_val_size);
    }
    case DRM_AMDXDNA_EXEC_CMD:
      return exec_cmd (client, arg);
    case DRM_AMDXDNA_WAIT_CMD: {
      struct amdxdna_drm_wait_cmd *wait = arg;
      return sim_context_wait (client, wait->hwctx, wait->seq, wait->timeout);
    }
    case DRM_AMDXDNA_GET_INFO:
      sim_wake ();
      return sim_get_info (client, arg);
    case DRM_AMDXDNA_GET_ARRAY:
      return sim_get_array (client, arg);
    case DRM_AMDXDNA_SET_STATE:
      return 0;
    default:
      return -EINVAL;
  }
}

int
sim_ioctl (SimClient *client, unsigned request, void *arg)
{
  int result;

  if (request == GEM_CLOSE)
    result = gem_close (client, arg);
  else if (client->lost &&
           request == DRM_COMMAND_BASE + DRM_AMDXDNA_DESTROY_HWCTX)
    result = driver_ioctl (client, DRM_AMDXDNA_DESTROY_HWCTX, arg);
  else if (client->lost)
    return -ENODEV;
  else if (request >= DRM_COMMAND_BASE)
    result = driver_ioctl (client, request - DRM_COMMAND_BASE, arg);
  else
    result = -EINVAL; /* no syncobj, no sharing */
  if (result < 0)
    sim_debug ("ioctl 0x%x: %s", request, strerror (-result));
  /* What is lost is freed all the same, but the caller hears of it. */
  return client->lost ? -ENODEV : result;
}
