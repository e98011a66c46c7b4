/* The simulator's parts.
 *
 *   interpose.c   the C library's calls that reach the device
 *   tree.c        files of /sys and /dev that XRT looks for
 *   ioctl.c       one ioctl to one function
 *   memory.c      buffer objects: two views of each, and what is out of step
 *   context.c     hardware contexts, their queues and the engine
 *   command.c     what a command packet asks for
 *   program.c     the text in a test xclbin's PDI
 *   design.c      a design behind that text: see ../array
 *   compute*.c    what a program does
 *   info.c        GET_INFO and its kin
 *   settings.c, failures.c, report.c
 *
 * All state is guarded by sim.lock, but for the bytes of buffers: those are
 * the program's own to race on, as on a device.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "array.h"
#include "npu-kernels.h"
#include "npusim.h"

#define SIM_LINE 64 /* bytes of a cache line: what a sync moves at least */
#define SIM_HEAP_ADDRESS 0x4000000ull
#define SIM_HEAP_MAX (512ull << 20)
#define SIM_HEAP_CHUNK (64ull << 20)
#define SIM_SHARE_ADDRESS 0x200000000000ull
#define SIM_MAX_CUS 8
#define SIM_MAX_PROGRAMS 24 /* of one PDI */
#define SIM_MAX_ARGS 8
#define SIM_MAX_CHAIN 512
#define SIM_MAX_DEPTH 16

/* --- settings */

typedef enum {
  SIM_PHOENIX,
  SIM_STRIX,
  SIM_STRIX_HALO,
  SIM_KRACKAN,
  SIM_N_GENERATIONS
} SimGeneration;

/* What a device of a generation is. */
typedef struct {
  const char *setting; /* NPUSIM_GENERATION */
  const char *name;    /* the driver's: amdxdna, npu*_regs.c, default_vbnv */
  const char *pci_id, *revision;
  bool strix; /* an array of 8 columns, else of 5 of which 4 have a shim DMA */
} SimDevice;

const SimDevice *sim_device (void);

typedef struct {
  SimGeneration generation;
  unsigned contexts; /* 0: the generation's */
  unsigned depth;    /* submissions in flight of one context */
  unsigned watchdog_ms;
  unsigned sleep_ms; /* of idleness, then the device sleeps; 0: never */
  double wake_us;    /* that a launch then waits */
  double latency_us, queued_us, chained_us, switch_us;
  double bandwidth_gbs, gops; /* 0: no limit */
  bool check;                 /* look for violations */
  bool debug;
  char report[256];
  char control[256];
  char name[256];     /* of the device; "": the generation's */
  unsigned seed;      /* of the order of tiles in the array's model */
  char programs[256]; /* of a design's cores: a shared object */
} SimSettings;

void sim_settings_load (void);
/* Reads the control file if it has changed. */
void sim_settings_poll (void);
int sim_settings_set (const char *name, const char *value);

/* --- failures */

typedef enum {
  SIM_FAIL_NODE,
  SIM_FAIL_ACCESS,
  SIM_FAIL_BUSY_OPEN,
  SIM_FAIL_IOMMU,
  SIM_FAIL_SVA,
  SIM_FAIL_MEMLOCK,
  SIM_FAIL_MEMORY,
  SIM_FAIL_CONTEXT,
  SIM_FAIL_BUSY,
  SIM_FAIL_CONFIG,
  SIM_FAIL_OLD,
  SIM_FAIL_SUBMIT,
  SIM_FAIL_HANG,
  SIM_FAIL_ERROR,
  SIM_FAIL_ABORT,
  SIM_FAIL_LOST,
  SIM_FAIL_COMMAND,
  SIM_FAIL_CORRUPT,
  SIM_N_FAILURES
} SimFailure;

/* Whether it is planned at all; no occasion is counted. */
bool sim_may_fail (SimFailure failure);
/* A list "KIND[:OPTION...],..."; replaces the one before. */
int sim_failures_parse (const char *text);
/* Whether it fails this time; counts the occasion. */
bool sim_fails (SimFailure failure);

/* --- violations and the report */

typedef enum {
  SIM_STALE_INPUT,  /* results of bytes the host wrote and did not sync */
  SIM_LOST_WRITE,   /* a sync from the device over unsynced writes */
  SIM_EARLY_READ,   /* a sync from the device of a command's output */
  SIM_FREED_IN_USE, /* a buffer closed while a command uses it */
  SIM_WRONG_BUFFER, /* an argument of the wrong kind of memory */
  SIM_OUT_OF_RANGE, /* an address outside all buffers, or past one's end */
  SIM_NOT_PINNED,   /* an argument that the submission does not name */
  SIM_BAD_STREAM,   /* an instruction stream that is none, or its length */
  SIM_BAD_PACKET,   /* a command that is none */
  SIM_BAD_PROGRAM,  /* a PDI that the simulator cannot run */
  SIM_RESUBMITTED,  /* a command submitted again while in flight */
  SIM_ARRAY,        /* what the array's model says of a design */
  SIM_N_VIOLATIONS
} SimViolation;

void sim_violation (SimViolation violation, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));
void sim_debug (const char *format, ...)
    __attribute__ ((format (printf, 1, 2)));
void sim_report_write (void);

/* --- memory */

typedef struct SimClient SimClient;
typedef struct SimBo SimBo;

struct SimBo {
  SimBo *next;
  SimClient *client;
  uint32_t handle;
  uint32_t type;
  uint64_t size;
  uint64_t offset;   /* in the client's file; ~0 of what cannot be mapped */
  uint64_t address;  /* the device's; ~0 of commands */
  uint8_t *host;     /* what the host's mappings show */
  uint8_t *device;   /* what the device sees; host itself of commands */
  uint32_t *written; /* a hash of each line as the host last synced it */
  uint8_t *stale;    /* lines that were computed from stale input */
  SimBo *heap;       /* of a DEV buffer: where its memory is */
  unsigned uses;     /* commands in flight */
  bool user_pointer;
  bool fresh; /* never synced */
  bool closed;
};

/* An open file of the device node. */
struct SimClient {
  SimClient *next;
  int fd;
  int memory; /* file that backs the buffers */
  SimBo *bos;
  SimBo *heap; /* one for all chunks */
  uint64_t heap_size;
  uint64_t user_addresses; /* handed out to user pointers */
  uint32_t last_handle;
  bool lost; /* its device, and for good */
};

/* All return 0 or a negative errno, with sim.lock held. */
int sim_bo_create (SimClient *client, uint32_t type, uint64_t size,
    void *user_pointer, SimBo **result);
void sim_bo_close (SimBo *bo);
SimBo *sim_bo_find (SimClient *client, uint32_t handle);
/* The buffer of [address, address + size), or NULL. */
SimBo *sim_bo_at (SimClient *client, uint64_t address, uint64_t size);
SimBo *sim_bo_at_offset (SimClient *client, uint64_t offset, uint64_t size);
int sim_bo_sync (SimBo *bo, bool to_device, uint64_t offset, uint64_t size);
void sim_bo_use (SimBo *bo);
void sim_bo_unuse (SimBo *bo);
/* Where [offset, offset + size) of a buffer is as the device sees it. */
uint8_t *sim_bo_device (SimBo *bo, uint64_t offset);
uint8_t *sim_bo_host (SimBo *bo, uint64_t offset);
/* Whether the device would read other bytes there than the host wrote, or
 * bytes computed from such. */
bool sim_bo_is_stale (SimBo *bo, uint64_t offset, uint64_t size);
void sim_bo_set_stale (SimBo *bo, uint64_t offset, uint64_t size, bool stale);
void sim_client_free (SimClient *client);

/* --- programs */

typedef enum { SIM_LINEAR, SIM_ATTENTION, SIM_LAYERNORM, SIM_GELU } SimOp;
typedef enum { SIM_ROWS, SIM_TILES, SIM_PACKED } SimLayout;
typedef enum { SIM_F32, SIM_BF16, SIM_INT8, SIM_INT32 } SimType;

/* Roles of arguments: what the letter of `args` says. */
typedef enum {
  SIM_ARG_NONE,
  SIM_ARG_A,
  SIM_ARG_B,
  SIM_ARG_C,
  SIM_ARG_X,
  SIM_ARG_G,
  SIM_ARG_Y,
  SIM_ARG_Q,
  SIM_ARG_K,
  SIM_ARG_V,
  SIM_ARG_O,
  SIM_ARG_BIAS,
  SIM_ARG_R,
  SIM_ARG_IN,
  SIM_ARG_OUT,
  SIM_N_ARGS
} SimArg;

typedef struct {
  SimOp op;
  SimLayout layout;
  int rows, k, n, kv_tiles, heads;
  SimType a_type, b_type, c_type;
  bool bias, gelu, residual; /* epilogue */
  SimArg args[SIM_MAX_ARGS];
  int n_args;
  double operations; /* of one command */
  char cores[128];   /* what they run; "": no design, computed by the above */
} SimProgram;

/* What is in a PDI: one program or several, which of them a stream says. */
typedef struct {
  SimProgram list[SIM_MAX_PROGRAMS];
  int n;
} SimPrograms;

/* Reads a PDI; FALSE with a reason in `why` if it has no program. */
bool sim_programs_parse (SimPrograms *programs, const void *pdi, size_t size,
    char *why, size_t why_size);
/* The program whose number the stream writes to a core's program memory; the
 * first where it writes none. NULL: there is no such. */
const SimProgram *sim_programs_choose (
    const SimPrograms *programs, const uint32_t *stream, size_t n_words);
size_t sim_type_size (SimType type);
/* Bytes that the argument covers from its address. */
uint64_t sim_program_arg_size (const SimProgram *program, SimArg arg);
bool sim_arg_is_output (SimArg arg);

/* An array that is configured as the PDI says behind its text; NULL with a
 * reason in `why`. */
Array *sim_design_load (const SimPrograms *programs, const void *pdi,
    size_t size, char *why, size_t why_size);
/* A launch; false after a violation. */
bool sim_design_run (Array *array, const SimProgram *program,
    uint8_t *const *data, const uint32_t *words, size_t n_words);

/* Where each argument is for the device, by role. */
typedef struct {
  uint8_t *data[SIM_N_ARGS];
} SimArgs;

void sim_compute (const SimProgram *program, const SimArgs *args);

/* c[rows][ldc] = a[rows][k] b[k][n]. Sums of integers are exact while they are
 * below 2^24 in magnitude. */
void sim_matmul (float *c, ptrdiff_t ldc, const float *a, const float *b,
    int rows, int k, int n);

void sim_compute_linear (const SimProgram *program, const SimArgs *args);
void sim_compute_attention (const SimProgram *program, const SimArgs *args);
void sim_compute_packed (const SimProgram *program, const SimArgs *args);

void *sim_scratch (size_t size); /* free() it; never NULL */
void sim_widen_bf16 (float *y, const void *x, size_t n);
const NpuKernels *sim_kernels (void);

/* --- contexts */

typedef struct SimContext SimContext;

typedef struct SimCall SimCall; /* a command, see command.c */

typedef struct {
  SimBo *packet;
  SimBo **bos; /* what the submission names */
  unsigned n_bos;
  SimCall *calls;
  unsigned n_calls;
  bool is_chain;
  bool queued; /* behind another */
  int64_t submitted;
} SimJob;

struct SimContext {
  SimContext *next;
  SimClient *client;
  uint32_t id;
  unsigned columns;
  SimPrograms programs[SIM_MAX_CUS];
  bool runnable[SIM_MAX_CUS];
  char why[SIM_MAX_CUS][ARRAY_MESSAGE];
  Array *arrays[SIM_MAX_CUS]; /* NULL: no program there is a design */
  int n_cus;
  bool configured;

  SimJob jobs[SIM_MAX_DEPTH];
  uint64_t submitted, completed, errors;
  pthread_cond_t work, done;
  pthread_t engine;
  bool stop, leaving;
  unsigned waiters; /* threads in submit or wait */
};

int sim_context_create (SimClient *client, uint32_t n_tiles, uint32_t *id);
int sim_context_destroy (SimClient *client, uint32_t id);
int sim_context_config (SimClient *client, uint32_t id, uint32_t type,
    const void *value, uint32_t size);
int sim_context_submit (SimClient *client, uint32_t id, uint32_t packet,
    const uint32_t *handles, uint32_t n_handles, uint64_t *seq);
int sim_context_wait (
    SimClient *client, uint32_t id, uint64_t seq, uint32_t timeout_ms);
/* Whether a command in flight writes there. */
bool sim_contexts_write (const SimBo *bo, uint64_t offset, uint64_t size);
unsigned sim_contexts_limit (void);
unsigned sim_columns (void);

/* --- commands */

typedef enum {
  SIM_NEW = 1,
  SIM_COMPLETED = 4,
  SIM_ERROR = 5,
  SIM_ABORTED = 6,
  SIM_TIMEOUT = 8
} SimState;

/* Reads the packet of a submission into its calls and holds their buffers;
 * what is wrong with it is told here. Returns a negative errno if it is not
 * even read. With sim.lock, like the two after it. */
int sim_command_read (SimContext *context, SimJob *job);
void sim_command_release (SimJob *job);
bool sim_command_writes (
    const SimJob *job, const SimBo *bo, uint64_t offset, uint64_t size);
/* Runs the calls, engine side, without sim.lock; `start` is when the engine
 * took them, in ns. Returns the state for the packet. */
SimState sim_command_run (
    SimContext *context, SimJob *job, int64_t start, bool corrupt);
void sim_command_set_state (SimBo *packet, SimState state);
int64_t sim_now (void);
/* Something is asked of the device, with sim.lock: whether it slept. */
bool sim_wake (void);
void sim_sleep_until (int64_t ns);

/* --- the rest */

int sim_get_info (SimClient *client, void *arg);
int sim_get_array (SimClient *client, void *arg);
int sim_ioctl (SimClient *client, unsigned request, void *arg);

/* The path to open instead, in `buffer`, or `path` itself. */
const char *sim_tree_path (const char *path, char *buffer, size_t size);
/* Takes the tree's own folder off a resolved path. */
void sim_tree_unmap (char *path);
void sim_tree_remove (void);

typedef struct {
  pthread_mutex_t lock;
  pthread_once_t once;
  SimSettings settings;
  SimClient *clients;
  SimContext *contexts;
  uint32_t last_context;
  unsigned columns_used;
  SimContext *last_on_array;
  pthread_cond_t array;
  bool lost, touched, exiting;
  int64_t last_asked; /* when something was asked of the device; 0: never */
  NpusimCounters counters;
  uint64_t violations[SIM_N_VIOLATIONS];
  char last_violation[ARRAY_MESSAGE];
} Sim;

extern Sim sim;

void sim_init (void);
