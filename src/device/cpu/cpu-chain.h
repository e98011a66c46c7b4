/* Launches each of which needs the one before, as one list of commands.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "cpu-units.h"

G_BEGIN_DECLS

typedef struct {
  CpuDevice *device;
  CpuUnits units;
} CpuLink;

/* All zero before the first list. */
typedef struct {
  CpuLink *links; /* [n_links], room for max_links */
  NpuCommand *commands;
  guint n_links, max_links;
  gint cancelled; /* atomic */
} CpuChain;

void cpu_chain_set (CpuChain *chain, CpuDevice *device,
    const NpuLaunch *launches, guint n_launches);
/* As npu_run_wait(), in the calling thread with the help of workers. */
gboolean cpu_chain_run (
    CpuChain *chain, CpuDevice *device, guint64 timeout, GError **error);
void cpu_chain_cancel (CpuChain *chain);
void cpu_chain_clear (CpuChain *chain);

G_END_DECLS
