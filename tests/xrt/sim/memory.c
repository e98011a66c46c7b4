/* Buffer objects.
 *
 * A buffer is a range of the client's file, which the program maps, and a copy
 * of it, which the device works on: caches of host and device are not coherent,
 * and only SYNC_BO moves bytes between the two. What the host wrote and did not
 * sync is found by a hash of every line, kept from the last sync.
 *
 * Places are offsets in the file: the heap's first, then other buffers, then
 * (not in the file) user pointers. Device addresses follow from them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "sim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <drm/drm.h>
#include <drm/amdxdna_accel.h>

#define PAGE 4096ull
#define USER_PLACE (1ull << 40) /* of user pointers: behind the file */
#define NO_OFFSET (~0ull)

static uint64_t
round_up (uint64_t size, uint64_t unit)
{
  return (size + unit - 1) / unit * unit;
}

/* Where a buffer is among those of its client. */
static uint64_t
place_of (const SimBo *bo)
{
  if (bo->address < SIM_SHARE_ADDRESS)
    return bo->address - SIM_HEAP_ADDRESS;
  return bo->address - SIM_SHARE_ADDRESS;
}

/* The first gap of `size` bytes in [start, end), ~0 if there is none. The list
 * is sorted by place. */
static uint64_t
find_gap (SimClient *client, uint64_t start, uint64_t end, uint64_t size)
{
  uint64_t place = start;

  for (SimBo *bo = client->bos; bo; bo = bo->next) {
    const uint64_t first = place_of (bo);

    if (bo->type == AMDXDNA_BO_DEV_HEAP || first + bo->size <= place)
      continue;
    if (first >= place + size)
      break;
    place = first + round_up (bo->size, PAGE);
  }
  return place + size <= end ? place : ~0ull;
}

static void
insert (SimClient *client, SimBo *bo)
{
  SimBo **link = &client->bos;

  while (*link && place_of (*link) < place_of (bo))
    link = &(*link)->next;
  bo->next = *link;
  *link = bo;
}

static void *
anonymous (uint64_t size)
{
  void *memory = mmap (NULL, size, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

static void *
map_file (SimClient *client, uint64_t size, uint64_t offset)
{
  void *memory = mmap (NULL, size, PROT_READ | PROT_WRITE,
      MAP_SHARED | MAP_NORESERVE, client->memory, (off_t) offset);
  return memory == MAP_FAILED ? NULL : memory;
}

static bool
make_tables (SimBo *bo, uint64_t size)
{
  const uint64_t lines = size / SIM_LINE;

  bo->device = anonymous (size);
  bo->written = anonymous (lines * sizeof *bo->written);
  bo->stale = anonymous (lines);
  return bo->device && bo->written && bo->stale;
}

static void
unmap (void *memory, uint64_t size)
{
  if (memory)
    munmap (memory, size);
}

static void
drop_tables (SimBo *bo, uint64_t size)
{
  const uint64_t lines = size / SIM_LINE;

  if (bo->device != bo->host)
    unmap (bo->device, size);
  unmap (bo->written, lines * sizeof *bo->written);
  unmap (bo->stale, lines);
}

/* --- the heap */

static int
make_heap (SimClient *client)
{
  SimBo *heap = calloc (1, sizeof *heap);

  if (!heap)
    return -ENOMEM;
  heap->address = SIM_HEAP_ADDRESS;
  heap->host = map_file (client, SIM_HEAP_MAX, 0);
  if (!heap->host || !make_tables (heap, SIM_HEAP_MAX)) {
    drop_tables (heap, SIM_HEAP_MAX);
    unmap (heap->host, SIM_HEAP_MAX);
    free (heap);
    return -ENOMEM;
  }
  client->heap = heap;
  return 0;
}

/* A part of the heap as a buffer: a chunk of it, or a DEV buffer. */
static void
place_in_heap (SimClient *client, SimBo *bo, uint64_t place)
{
  SimBo *heap = client->heap;

  bo->heap = heap;
  bo->address = SIM_HEAP_ADDRESS + place;
  bo->host = heap->host + place;
  bo->device = heap->device + place;
  bo->written = heap->written + place / SIM_LINE;
  bo->stale = heap->stale + place / SIM_LINE;
}

static int
create_heap_chunk (SimClient *client, SimBo *bo)
{
  if (bo->size % SIM_HEAP_CHUNK || client->heap_size + bo->size > SIM_HEAP_MAX)
    return -EINVAL;
  if (!client->heap) {
    const int result = make_heap (client);
    if (result)
      return result;
  }
  place_in_heap (client, bo, client->heap_size);
  bo->offset = client->heap_size;
  client->heap_size += bo->size;
  return 0;
}

static int
create_in_heap (SimClient *client, SimBo *bo)
{
  const uint64_t size = round_up (bo->size, PAGE);
  uint64_t place;

  if (!client->heap)
    return -EINVAL;
  place = find_gap (client, 0, client->heap_size, size);
  if (place == ~0ull)
    return client->heap_size < SIM_HEAP_MAX ? -EAGAIN : -ENOSPC;
  place_in_heap (client, bo, place);
  bo->offset = NO_OFFSET;
  memset (bo->stale, 0, size / SIM_LINE);
  return 0;
}

/* --- other buffers */

static int
create_mappable (SimClient *client, SimBo *bo)
{
  const uint64_t size = round_up (bo->size, PAGE);
  const uint64_t place = find_gap (client, SIM_HEAP_MAX, USER_PLACE, size);

  if (place == ~0ull)
    return -ENOMEM;
  bo->offset = place;
  bo->address = SIM_SHARE_ADDRESS + place;
  bo->host = map_file (client, size, place);
  if (!bo->host)
    return -ENOMEM;
  if (bo->type == AMDXDNA_BO_CMD) {
    bo->device = bo->host; /* it is the driver that reads commands */
    return 0;
  }
  bo->fresh = true;
  return make_tables (bo, size) ? 0 : -ENOMEM;
}

static int
create_of_user (SimClient *client, SimBo *bo, void *table)
{
  const struct amdxdna_drm_va_tbl *entries = table;

  if (entries->num_entries != 1)
    return -EINVAL;
  bo->size = entries->va_entries[0].len;
  bo->host = (uint8_t *) (uintptr_t) entries->va_entries[0].vaddr;
  if (!bo->size || (uintptr_t) bo->host % PAGE)
    return -EINVAL;
  bo->size = round_up (bo->size, PAGE);
  bo->user_pointer = true;
  bo->offset = NO_OFFSET;
  bo->address = SIM_SHARE_ADDRESS + USER_PLACE + client->user_addresses;
  client->user_addresses += bo->size;
  return make_tables (bo, bo->size) ? 0 : -ENOMEM;
}

static void
free_bo (SimBo *bo)
{
  const uint64_t size = round_up (bo->size, PAGE);

  if (!bo->heap) {
    drop_tables (bo, size);
    if (!bo->user_pointer) {
      unmap (bo->host, size);
      if (bo->offset != NO_OFFSET)
        fallocate (bo->client->memory,
            FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) bo->offset,
            (off_t) size);
    }
  }
  free (bo);
}

int
sim_bo_create (SimClient *client, uint32_t type, uint64_t size,
    void *user_pointer, SimBo **result)
{
  SimBo *bo;
  int error;

  if ((!size && !user_pointer) || size > (1ull << 38))
    return -EINVAL;
  if (type != AMDXDNA_BO_DEV_HEAP && sim_fails (SIM_FAIL_MEMORY))
    return -ENOMEM;
  bo = calloc (1, sizeof *bo);
  if (!bo)
    return -ENOMEM;
  bo->client = client;
  bo->type = type;
  bo->size = size;
  if (type == AMDXDNA_BO_DEV_HEAP)
    error = create_heap_chunk (client, bo);
  else if (type == AMDXDNA_BO_DEV)
    error = create_in_heap (client, bo);
  else if (type == AMDXDNA_BO_SHARE && user_pointer)
    error = create_of_user (client, bo, user_pointer);
  else if (type == AMDXDNA_BO_SHARE || type == AMDXDNA_BO_CMD)
    error = create_mappable (client, bo);
  else
    error = -EINVAL;
  if (error) {
    free_bo (bo);
    return error;
  }
  bo->handle = ++client->last_handle;
  insert (client, bo);
  *result = bo;
  return 0;
}

static void
unlink_and_free (SimBo *bo)
{
  SimBo **link = &bo->client->bos;

  while (*link && *link != bo)
    link = &(*link)->next;
  if (*link)
    *link = bo->next;
  free_bo (bo);
}

/* Packets of commands are XRT's to free, with the context that they hang in:
 * the driver keeps what it has in flight. Buffers are the program's. */
void
sim_bo_close (SimBo *bo)
{
  if (bo->uses && !bo->client->lost && bo->type != AMDXDNA_BO_CMD)
    sim_violation (SIM_FREED_IN_USE,
        "buffer %u (%llu bytes) was freed while %u commands in flight use it; "
        "wait for them first",
        bo->handle, (unsigned long long) bo->size, bo->uses);
  bo->closed = true;
  if (!bo->uses)
    unlink_and_free (bo);
}

void
sim_bo_use (SimBo *bo)
{
  bo->uses++;
}

void
sim_bo_unuse (SimBo *bo)
{
  if (--bo->uses == 0 && bo->closed)
    unlink_and_free (bo);
}

SimBo *
sim_bo_find (SimClient *client, uint32_t handle)
{
  for (SimBo *bo = client->bos; bo; bo = bo->next)
    if (bo->handle == handle && !bo->closed)
      return bo;
  return NULL;
}

SimBo *
sim_bo_at (SimClient *client, uint64_t address, uint64_t size)
{
  for (SimBo *bo = client->bos; bo; bo = bo->next)
    if (bo->type != AMDXDNA_BO_DEV_HEAP && address >= bo->address &&
        address - bo->address < bo->size &&
        size <= bo->size - (address - bo->address))
      return bo;
  return NULL;
}

SimBo *
sim_bo_at_offset (SimClient *client, uint64_t offset, uint64_t size)
{
  for (SimBo *bo = client->bos; bo; bo = bo->next)
    if (bo->offset != NO_OFFSET && !bo->closed && offset >= bo->offset &&
        offset + size <= bo->offset + round_up (bo->size, PAGE))
      return bo;
  return NULL;
}

uint8_t *
sim_bo_device (SimBo *bo, uint64_t offset)
{
  return bo->device + offset;
}

uint8_t *
sim_bo_host (SimBo *bo, uint64_t offset)
{
  return bo->host + offset;
}

/* --- what is out of step */

/* Of a line; that of zeros is 0. */
static uint32_t
hash_line (const uint8_t *line)
{
  uint64_t word[SIM_LINE / 8], a = 0, b = 0;

  memcpy (word, line, sizeof word);
  for (int i = 0; i < SIM_LINE / 8; i += 2) {
    a = (a ^ word[i]) * 0x9e3779b97f4a7c15u;
    b = (b ^ word[i + 1]) * 0xc2b2ae3d27d4eb4fu;
    a ^= a >> 29;
    b ^= b >> 31;
  }
  a ^= b * 0x165667b19e3779f9u;
  return (uint32_t) (a ^ (a >> 32));
}

bool
sim_bo_is_stale (SimBo *bo, uint64_t offset, uint64_t size)
{
  if (!bo->written || !size)
    return false;
  for (uint64_t line = offset / SIM_LINE;
       line <= (offset + size - 1) / SIM_LINE; line++)
    if (bo->stale[line] ||
        hash_line (bo->host + line * SIM_LINE) != bo->written[line])
      return true;
  return false;
}

void
sim_bo_set_stale (SimBo *bo, uint64_t offset, uint64_t size, bool stale)
{
  if (!bo->stale || !size)
    return;
  memset (bo->stale + offset / SIM_LINE, stale,
      (offset + size - 1) / SIM_LINE - offset / SIM_LINE + 1);
}

static bool
is_zero (const uint8_t *memory, uint64_t size)
{
  return !memory[0] && !memcmp (memory, memory + 1, size - 1);
}

static void
sync_to_device (SimBo *bo, uint64_t first, uint64_t end)
{
  /* XRT syncs every buffer once it has made it, when both views are zero. */
  const bool new_and_zero = bo->fresh && is_zero (bo->host + first * SIM_LINE,
                                             (end - first) * SIM_LINE);

  bo->fresh = false;
  if (new_and_zero)
    return;
  memcpy (bo->device + first * SIM_LINE, bo->host + first * SIM_LINE,
      (end - first) * SIM_LINE);
  if (!sim.settings.check)
    return;
  for (uint64_t line = first; line < end; line++)
    bo->written[line] = hash_line (bo->device + line * SIM_LINE);
  memset (bo->stale + first, 0, end - first);
}

static void
sync_from_device (SimBo *bo, uint64_t first, uint64_t end)
{
  uint64_t n_lost = 0, n_stale = 0;

  if (sim.settings.check)
    for (uint64_t line = first; line < end; line++) {
      n_lost += hash_line (bo->host + line * SIM_LINE) != bo->written[line];
      n_stale += bo->stale[line];
    }
  memcpy (bo->host + first * SIM_LINE, bo->device + first * SIM_LINE,
      (end - first) * SIM_LINE);
  if (!sim.settings.check)
    return;
  for (uint64_t line = first; line < end; line++)
    bo->written[line] = hash_line (bo->host + line * SIM_LINE);
  memset (bo->stale + first, 0, end - first);
  if (n_lost)
    sim_violation (SIM_LOST_WRITE,
        "buffer %u: %llu lines of %d bytes that the host had written and not "
        "synced were overwritten by a sync from the device of bytes %llu to "
        "%llu",
        bo->handle, (unsigned long long) n_lost, SIM_LINE,
        (unsigned long long) first * SIM_LINE,
        (unsigned long long) end * SIM_LINE);
  if (n_stale)
    sim_violation (SIM_STALE_INPUT,
        "buffer %u, bytes %llu to %llu: the host reads results of inputs that "
        "it wrote and did not sync to the device",
        bo->handle, (unsigned long long) first * SIM_LINE,
        (unsigned long long) end * SIM_LINE);
}

int
sim_bo_sync (SimBo *bo, bool to_device, uint64_t offset, uint64_t size)
{
  uint64_t first, end;

  if (offset > bo->size || size > bo->size - offset)
    return -EINVAL;
  sim.counters.syncs++;
  sim.counters.synced_bytes += size;
  if (!size || bo->device == bo->host)
    return 0;
  first = offset / SIM_LINE;
  end = (offset + size + SIM_LINE - 1) / SIM_LINE;
  if (!to_device && bo->uses && sim.settings.check && !bo->client->lost &&
      sim_contexts_write (bo, offset, size))
    sim_violation (SIM_EARLY_READ,
        "buffer %u, bytes %llu to %llu: synced from the device while a command "
        "in flight writes there; wait for it first",
        bo->handle, (unsigned long long) offset,
        (unsigned long long) (offset + size));
  if (to_device)
    sync_to_device (bo, first, end);
  else
    sync_from_device (bo, first, end);
  return 0;
}

void
sim_client_free (SimClient *client)
{
  for (SimContext *context = sim.contexts; context;) {
    if (context->client != client) {
      context = context->next;
      continue;
    }
    sim.counters.leaked_contexts++;
    sim_debug ("context %u was left when its file was closed", context->id);
    sim_context_destroy (client, context->id);
    context = sim.contexts;
  }
  for (SimBo *bo = client->bos, *next; bo; bo = next) {
    next = bo->next;
    if (!bo->closed) {
      sim.counters.leaked_bos++;
      sim_debug ("buffer %u was left when its file was closed", bo->handle);
    }
    free_bo (bo);
  }
  if (client->heap) {
    drop_tables (client->heap, SIM_HEAP_MAX);
    unmap (client->heap->host, SIM_HEAP_MAX);
    free (client->heap);
  }
  close (client->memory);
  free (client);
}
