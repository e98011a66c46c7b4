/* What a program that runs on the simulated NPU may ask of it. Nothing here is
 * needed to use it: a test finds these by dlsym (RTLD_DEFAULT, "npusim_set")
 * and so runs without the simulator too.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is alive now, and what has happened since the start or the last
 * npusim_reset. */
typedef struct {
  uint64_t size; /* of this struct, set by the caller */

  /* alive */
  uint64_t opens;    /* open files of the device node */
  uint64_t bos;      /* of the application: neither heap nor commands */
  uint64_t bo_bytes; /* their bytes */
  uint64_t all_bos;  /* with the heap and the commands */
  uint64_t contexts;
  uint64_t in_flight; /* submissions that have not completed */

  /* happened */
  uint64_t submissions;  /* EXEC_CMD; a chain is one */
  uint64_t commands;     /* computed; each of a chain is one */
  uint64_t chains;       /* submissions of several commands */
  uint64_t blocked;      /* submissions that found the queue full */
  uint64_t switches;     /* another context took the array */
  uint64_t wakes;        /* launches that found the device asleep */
  uint64_t syncs;        /* SYNC_BO */
  uint64_t synced_bytes; /* by them */
  uint64_t failures;     /* injected */
  uint64_t leaked_bos;   /* still there when their file was closed */
  uint64_t leaked_contexts;
  uint64_t most_in_flight; /* of one context */
  uint64_t most_contexts;
  uint64_t array_words; /* moved by the DMA of designs, see ../array */
  uint64_t array_bds;   /* descriptors that it worked off */
  uint64_t violations;  /* of any kind; the report tells them apart */
} NpusimCounters;

/* Changes a setting: the name of the environment variable without NPUSIM_, in
 * lower case ("fail", "latency_us"). Returns 0, or -1 if there is no such
 * setting or the value cannot be read. */
int npusim_set (const char *name, const char *value);

void npusim_get_counters (NpusimCounters *counters);

/* Forgets what has happened, and what was to fail. */
void npusim_reset (void);

/* The last violation as a sentence, "" if there was none. The string is valid
 * until the next call. */
const char *npusim_last_violation (void);

#ifdef __cplusplus
}
#endif
