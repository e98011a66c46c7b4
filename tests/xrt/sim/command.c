/* What a command packet asks for: which program, which instructions, which
 * buffers. Everything that a device would stumble over is looked at before
 * anything is computed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <drm/drm.h>
#include <drm/amdxdna_accel.h>

#define OPCODE_START_CU 0
#define OPCODE_CHAIN 19
#define CHAIN_COUNT 1 /* words of a chain's packet */
#define CHAIN_ERROR_INDEX 3
#define CHAIN_HANDLES 7
#define MAP_OPCODE 0x00 /* bytes in the register map */
#define MAP_INSTRUCTIONS 0x08
#define MAP_N_INSTRUCTIONS 0x10
#define MAP_BUFFERS 0x14
#define TRANSACTION 3 /* the opcode of an instruction stream */
#define STREAM_SIZE 3 /* word of its header: bytes of all of it */

/* An argument of a command: a range of a buffer. */
typedef struct {
  SimArg role;
  SimBo *bo;
  uint64_t offset, size;
} Range;

struct SimCall {
  bool good; /* else something below is missing */
  SimBo *packet;
  const SimProgram *program;
  Array *array; /* NULL: the program is no design */
  SimBo *instructions;
  uint64_t instructions_offset;
  uint32_t n_instructions;
  Range ranges[SIM_MAX_ARGS];
  unsigned n_ranges;
};

typedef SimCall Call;

void
sim_command_set_state (SimBo *packet, SimState state)
{
  uint32_t *header = (uint32_t *) sim_bo_host (packet, 0);

  __atomic_store_n (
      header, (*header & ~15u) | (uint32_t) state, __ATOMIC_RELEASE);
}

static uint64_t
get_u64 (const uint8_t *map, size_t offset)
{
  uint64_t value;
  memcpy (&value, map + offset, sizeof value);
  return value;
}

/* --- reading the packet, with sim.lock */

static bool
is_named (const SimJob *job, const SimBo *bo)
{
  for (unsigned i = 0; i < job->n_bos; i++)
    if (job->bos[i] == bo)
      return true;
  return false;
}

static bool
find_range (SimContext *context, const SimJob *job, uint64_t address,
    Range *range, int index)
{
  const unsigned long long size = range->size;

  range->bo = sim_bo_at (context->client, address, range->size);
  if (!range->bo) {
    range->bo = sim_bo_at (context->client, address, 1);
    if (range->bo)
      sim_violation (SIM_OUT_OF_RANGE,
          "argument %d needs %llu bytes, but buffer %u ends %llu bytes after "
          "the address given",
          index, size, range->bo->handle,
          (unsigned long long) (range->bo->address + range->bo->size -
                                address));
    else
      sim_violation (SIM_OUT_OF_RANGE,
          "argument %d is at 0x%llx, where no buffer is (a host pointer is no "
          "device address)",
          index, (unsigned long long) address);
    return false;
  }
  range->offset = address - range->bo->address;
  if (range->bo->type != AMDXDNA_BO_SHARE) {
    sim_violation (SIM_WRONG_BUFFER,
        "argument %d is in buffer %u, which is %s; data belongs in host_only "
        "buffers",
        index, range->bo->handle,
        range->bo->type == AMDXDNA_BO_DEV ? "for instructions (cacheable)"
                                          : "a command");
    return false;
  }
  if (!is_named (job, range->bo))
    sim_violation (SIM_NOT_PINNED,
        "argument %d is in buffer %u, which the submission does not name, so "
        "that it may not be in memory",
        index, range->bo->handle);
  return true;
}

static bool
find_instructions (SimContext *context, Call *call, uint64_t address)
{
  SimBo *bo =
      sim_bo_at (context->client, address, (uint64_t) call->n_instructions * 4);

  if (!bo)
    bo = sim_bo_at (context->client, address, 1);
  if (!bo) {
    sim_violation (SIM_OUT_OF_RANGE,
        "the instructions are at 0x%llx, where no buffer is",
        (unsigned long long) address);
    return false;
  }
  if (bo->type != AMDXDNA_BO_DEV) {
    sim_violation (SIM_WRONG_BUFFER,
        "the instructions are in buffer %u, which is host memory; they belong "
        "in a cacheable buffer of the kernel's group",
        bo->handle);
    return false;
  }
  call->instructions = bo;
  call->instructions_offset = address - bo->address;
  return true;
}

/* Of the unit's programs the one that the stream brings. */
static bool
choose_program (SimContext *context, int cu, Call *call)
{
  const uint64_t left = call->instructions->size - call->instructions_offset;
  const uint64_t words = left / 4;

  call->program = sim_programs_choose (&context->programs[cu],
      (const uint32_t *) sim_bo_device (
          call->instructions, call->instructions_offset),
      words < call->n_instructions ? words : call->n_instructions);
  if (!call->program) {
    sim_violation (SIM_BAD_STREAM,
        "the instruction stream brings a program that is none of the %d in the "
        "xclbin",
        context->programs[cu].n);
    return false;
  }
  call->array = call->program->cores[0] ? context->arrays[cu] : NULL;
  return true;
}

static bool
read_map (SimContext *context, const SimJob *job, int cu, Call *call,
    const uint8_t *map, size_t size)
{
  const SimProgram *program;

  if (size < MAP_BUFFERS) {
    sim_violation (
        SIM_BAD_PACKET, "the command has %zu bytes of arguments", size);
    return false;
  }
  memcpy (&call->n_instructions, map + MAP_N_INSTRUCTIONS, 4);
  if (!find_instructions (context, call, get_u64 (map, MAP_INSTRUCTIONS)) ||
      !choose_program (context, cu, call))
    return false;
  program = call->program;
  if (size < MAP_BUFFERS + program->n_args * sizeof (uint64_t)) {
    sim_violation (SIM_BAD_PACKET,
        "the command has %zu bytes of arguments; the program takes %d buffers",
        size, program->n_args);
    return false;
  }
  if (get_u64 (map, MAP_OPCODE) != TRANSACTION) {
    sim_violation (SIM_BAD_PACKET, "argument 0, the opcode, is %llu, not %d",
        (unsigned long long) get_u64 (map, MAP_OPCODE), TRANSACTION);
    return false;
  }
  for (int i = 0; i < program->n_args; i++) {
    Range *range = &call->ranges[call->n_ranges++];

    range->role = program->args[i];
    range->size = sim_program_arg_size (program, range->role);
    if (!find_range (context, job, get_u64 (map, MAP_BUFFERS + 8 * (size_t) i),
            range, 3 + i))
      return false;
  }
  return true;
}

static bool
read_packet (SimContext *context, const SimJob *job, SimBo *packet, Call *call)
{
  const uint32_t *words = (const uint32_t *) sim_bo_host (packet, 0);
  const uint32_t opcode = words[0] >> 23 & 31, count = words[0] >> 12 & 0x7ff;
  const uint32_t extra = words[0] >> 10 & 3;
  int cu;

  if (opcode != OPCODE_START_CU || count < 1 + extra ||
      (count + 1) * sizeof *words > packet->size) {
    sim_violation (SIM_BAD_PACKET,
        "command buffer %u has opcode %u and %u words; it starts no kernel",
        packet->handle, opcode, count);
    return false;
  }
  cu = __builtin_ffs ((int) words[1]) - 1;
  if (cu < 0 || cu >= context->n_cus) {
    sim_violation (SIM_BAD_PACKET, "command buffer %u names unit %d of %d",
        packet->handle, cu, context->n_cus);
    return false;
  }
  if (!context->runnable[cu]) {
    sim_violation (SIM_BAD_PROGRAM, "%s", context->why[cu]);
    return false;
  }
  return read_map (context, job, cu, call,
      (const uint8_t *) (words + 2 + extra),
      (count - 1 - extra) * sizeof *words);
}

/* Keeps what a command uses until it is done, named or not. */
static void
hold (const Call *call, void (*change) (SimBo *))
{
  if (call->packet)
    change (call->packet);
  if (call->instructions)
    change (call->instructions);
  for (unsigned i = 0; i < call->n_ranges; i++)
    if (call->ranges[i].bo)
      change (call->ranges[i].bo);
}

static void
read_call (SimContext *context, const SimJob *job, SimBo *packet, Call *call)
{
  memset (call, 0, sizeof *call);
  call->good = read_packet (context, job, packet, call);
  call->packet = packet;
  hold (call, sim_bo_use);
}

static int
read_chain (SimContext *context, SimJob *job)
{
  const uint8_t *words = sim_bo_host (job->packet, 0);
  uint32_t count;

  memcpy (&count, words + CHAIN_COUNT * 4, sizeof count);
  if (!count || count > SIM_MAX_CHAIN ||
      CHAIN_HANDLES * 4 + count * 8ull > job->packet->size) {
    sim_violation (SIM_BAD_PACKET, "a chain of %u commands", count);
    return -EINVAL;
  }
  job->calls = calloc (count, sizeof *job->calls);
  if (!job->calls)
    return -ENOMEM;
  job->n_calls = count;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t handle =
        (uint32_t) get_u64 (words, CHAIN_HANDLES * 4 + i * sizeof (uint64_t));
    SimBo *packet = sim_bo_find (context->client, handle);

    if (packet)
      read_call (context, job, packet, &job->calls[i]);
    else
      sim_violation (SIM_FREED_IN_USE,
          "command %u of a chain, buffer %u, is freed", i, handle);
  }
  return 0;
}

int
sim_command_read (SimContext *context, SimJob *job)
{
  const uint32_t header = *(const uint32_t *) sim_bo_host (job->packet, 0);

  job->is_chain = (header >> 23 & 31) == OPCODE_CHAIN;
  if (job->is_chain) {
    sim.counters.chains++;
    return read_chain (context, job);
  }
  job->calls = calloc (1, sizeof *job->calls);
  if (!job->calls)
    return -ENOMEM;
  job->n_calls = 1;
  read_call (context, job, job->packet, &job->calls[0]);
  return 0;
}

void
sim_command_release (SimJob *job)
{
  for (unsigned i = 0; i < job->n_calls; i++)
    hold (&job->calls[i], sim_bo_unuse);
  free (job->calls);
  job->calls = NULL;
  job->n_calls = 0;
}

/* Whether a command writes there, of a range that it is in: an attention's
 * output is some columns of rows whose other columns are other commands'. */
static bool
range_is_written (const SimProgram *program, const Range *range,
    uint64_t offset, uint64_t size)
{
  const uint64_t pitch = (uint64_t) program->n * 2;
  const uint64_t width = (uint64_t) program->heads * NPU_HEAD_DIM * 2;
  uint64_t column;

  if (range->role != SIM_ARG_O || size >= pitch)
    return true;
  column = (offset + pitch - range->offset % pitch) % pitch;
  return column < width || column + size > pitch;
}

bool
sim_command_writes (
    const SimJob *job, const SimBo *bo, uint64_t offset, uint64_t size)
{
  for (unsigned i = 0; i < job->n_calls; i++)
    for (unsigned j = 0; j < job->calls[i].n_ranges; j++) {
      const Range *range = &job->calls[i].ranges[j];

      if (range->bo == bo && sim_arg_is_output (range->role) &&
          range->offset < offset + size &&
          offset < range->offset + range->size &&
          range_is_written (job->calls[i].program, range, offset, size))
        return true;
    }
  return false;
}

/* --- checks of memory, without sim.lock */

static bool
stream_is_good (const Call *call)
{
  const uint64_t size = (uint64_t) call->n_instructions * 4;
  const uint64_t left = call->instructions->size - call->instructions_offset;
  uint32_t header[4];

  if (call->n_instructions < 4 || left < sizeof header) {
    sim_violation (SIM_BAD_STREAM, "the instruction stream has %u words",
        call->n_instructions);
    return false;
  }
  if (sim.settings.check &&
      sim_bo_is_stale (call->instructions, call->instructions_offset,
          size < left ? size : left))
    sim_violation (SIM_STALE_INPUT,
        "the instructions in buffer %u were not synced to the device",
        call->instructions->handle);
  memcpy (header, sim_bo_device (call->instructions, call->instructions_offset),
      sizeof header);
  if (header[STREAM_SIZE] == size && size <= left)
    return true;
  if (header[STREAM_SIZE] == call->n_instructions)
    sim_violation (SIM_BAD_STREAM,
        "argument 2 is the length of the instruction stream in bytes (%u); it "
        "wants words (%u)",
        call->n_instructions, call->n_instructions / 4);
  else
    sim_violation (SIM_BAD_STREAM,
        "the instruction stream's header says %u bytes, the command %llu",
        header[STREAM_SIZE], (unsigned long long) size);
  return false;
}

static const Range *
find_role (const Call *call, SimArg role)
{
  for (unsigned i = 0; i < call->n_ranges; i++)
    if (call->ranges[i].role == role)
      return &call->ranges[i];
  return NULL;
}

/* Rows of the input from which rows of the output are computed: a stale one
 * spoils its own only, and padding need not be synced. Others spoil all. */
static SimArg
row_input (const SimProgram *program)
{
  if (program->layout == SIM_PACKED)
    return SIM_ARG_NONE;
  switch (program->op) {
    case SIM_LINEAR:
      return SIM_ARG_A;
    case SIM_ATTENTION:
      return SIM_ARG_Q;
    default:
      return SIM_ARG_X;
  }
}

static SimArg
row_output (const SimProgram *program)
{
  switch (program->op) {
    case SIM_LINEAR:
      return SIM_ARG_C;
    case SIM_ATTENTION:
      return SIM_ARG_O;
    default:
      return SIM_ARG_Y;
  }
}

static void
check_whole_inputs (const Call *call)
{
  for (unsigned i = 0; i < call->n_ranges; i++) {
    const Range *range = &call->ranges[i];

    if (sim_arg_is_output (range->role) || range->role == SIM_ARG_R ||
        range->role == row_input (call->program))
      continue;
    if (sim_bo_is_stale (range->bo, range->offset, range->size))
      sim_violation (SIM_STALE_INPUT,
          "argument %u (buffer %u, bytes %llu to %llu) was written by the host "
          "and not synced to the device",
          3 + i, range->bo->handle, (unsigned long long) range->offset,
          (unsigned long long) (range->offset + range->size));
  }
}

/* Parts of attention's q are tiles of heads; those of its output are rows of
 * a part of the columns. */
static void
mark_stale_tiles (const Call *call, const Range *q, const Range *o)
{
  const SimProgram *program = call->program;
  const int tiles = program->rows / NPU_TILE_ROWS;
  const uint64_t tile_size = q->size / (uint64_t) (tiles * program->heads);
  const uint64_t pitch = (uint64_t) program->n * 2, width = NPU_HEAD_DIM * 2;

  for (int head = 0; head < program->heads; head++)
    for (int tile = 0; tile < tiles; tile++) {
      const uint64_t index =
          (uint64_t) head * (uint64_t) tiles + (uint64_t) tile;
      const bool stale =
          sim_bo_is_stale (q->bo, q->offset + index * tile_size, tile_size);

      for (int row = 0; row < NPU_TILE_ROWS; row++)
        sim_bo_set_stale (o->bo,
            o->offset + (uint64_t) (tile * NPU_TILE_ROWS + row) * pitch +
                (uint64_t) head * width,
            width, stale);
    }
}

static void
mark_stale_rows (const Call *call)
{
  const SimProgram *program = call->program;
  const Range *in = find_role (call, row_input (program));
  const Range *out = find_role (call, row_output (program));
  const Range *residual = find_role (call, SIM_ARG_R);
  const uint64_t rows = (uint64_t) program->rows;

  if (!in || !out)
    return;
  if (program->op == SIM_ATTENTION) {
    mark_stale_tiles (call, in, out);
    return;
  }
  sim_bo_set_stale (out->bo, out->offset, out->size, false);
  for (uint64_t row = 0; row < rows; row++)
    if (sim_bo_is_stale (
            in->bo, in->offset + row * (in->size / rows), in->size / rows) ||
        (residual && sim_bo_is_stale (residual->bo,
                         residual->offset + row * (residual->size / rows),
                         residual->size / rows)))
      sim_bo_set_stale (out->bo, out->offset + row * (out->size / rows),
          out->size / rows, true);
}

/* --- running */

static double
call_bytes (const Call *call)
{
  double bytes = 0;

  for (unsigned i = 0; i < call->n_ranges; i++)
    bytes += (double) call->ranges[i].size;
  return bytes;
}

/* What DMA and arithmetic take at the rates set. */
static int64_t
call_time (const Call *call)
{
  double dma = 0, compute = 0;

  if (sim.settings.bandwidth_gbs > 0)
    dma = call_bytes (call) / sim.settings.bandwidth_gbs;
  if (sim.settings.gops > 0)
    compute = call->program->operations / sim.settings.gops;
  return (int64_t) (dma > compute ? dma : compute);
}

/* Computes it, or has its design computed. */
static bool
compute (const Call *call)
{
  SimArgs args = {{NULL}};
  uint8_t *data[SIM_MAX_ARGS];

  for (unsigned i = 0; i < call->n_ranges; i++)
    args.data[call->ranges[i].role] = data[i] =
        sim_bo_device (call->ranges[i].bo, call->ranges[i].offset);
  if (call->array)
    return sim_design_run (call->array, call->program, data,
        (const uint32_t *) sim_bo_device (
            call->instructions, call->instructions_offset),
        call->n_instructions);
  sim_compute (call->program, &args);
  return true;
}

static SimState
run_call (const Call *call, int64_t end, bool corrupt)
{
  const Range *out = find_role (call, row_output (call->program));

  if (!stream_is_good (call))
    return SIM_ERROR;
  if (!out)
    out = find_role (call, SIM_ARG_OUT);
  if (sim.settings.check) {
    check_whole_inputs (call);
    mark_stale_rows (call);
  }
  if (!compute (call))
    return SIM_ERROR;
  if (corrupt && out)
    for (uint64_t i = 0; i < out->size; i += 97)
      sim_bo_device (out->bo, out->offset)[i] ^= 0x55;
  sim_sleep_until (end);
  return SIM_COMPLETED;
}

SimState
sim_command_run (SimContext *context, SimJob *job, int64_t start, bool corrupt)
{
  SimState state = SIM_COMPLETED;
  unsigned i;

  (void) context;
  for (i = 0; i < job->n_calls && state == SIM_COMPLETED; i++) {
    const Call *call = &job->calls[i];
    bool good;

    pthread_mutex_lock (&sim.lock);
    good = call->good && !sim_fails (SIM_FAIL_COMMAND);
    pthread_mutex_unlock (&sim.lock);
    state =
        good ? run_call (call, start + call_time (call), corrupt) : SIM_ERROR;
    start = sim_now () + (int64_t) (sim.settings.chained_us * 1000);
    __atomic_add_fetch (&sim.counters.commands, 1, __ATOMIC_RELAXED);
  }
  if (state != SIM_COMPLETED && job->is_chain) {
    const uint32_t index = i - 1;

    memcpy (
        sim_bo_host (job->packet, CHAIN_ERROR_INDEX * 4), &index, sizeof index);
  }
  return state;
}
