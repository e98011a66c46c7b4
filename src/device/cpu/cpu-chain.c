/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu-chain.h"

#include "cpu-lane.h"
#include "cpu-list.h"

static void
run_unit (gpointer data, guint unit)
{
  CpuLink *link = data;

  cpu_units_run (&link->units, link->device, unit, 1, cpu_lane_of_thread ());
}

/* Room for @n links; what those that were there have for their parts stays. */
static void
make_room (CpuChain *chain, guint n)
{
  if (n <= chain->max_links)
    return;
  chain->links = g_renew (CpuLink, chain->links, n);
  chain->commands = g_renew (NpuCommand, chain->commands, n);
  for (guint i = chain->max_links; i < n; i++)
    chain->links[i] = (CpuLink){0};
  chain->max_links = n;
}

void
cpu_chain_set (CpuChain *chain, CpuDevice *device, const NpuLaunch *launches,
    guint n_launches)
{
  make_room (chain, n_launches);
  for (guint i = 0; i < n_launches; i++) {
    CpuLink *link = &chain->links[i];

    link->device = device;
    cpu_units_cut (&link->units, device, &launches[i]);
    chain->commands[i] = (NpuCommand){run_unit, link, link->units.n_units};
  }
  chain->n_links = n_launches;
  g_atomic_int_set (&chain->cancelled, FALSE);
}

gboolean
cpu_chain_run (
    CpuChain *chain, CpuDevice *device, guint64 timeout, GError **error)
{
  return cpu_device_run_list (&device->base, chain->commands, chain->n_links,
      timeout, &chain->cancelled, error);
}

void
cpu_chain_cancel (CpuChain *chain)
{
  g_atomic_int_set (&chain->cancelled, TRUE);
}

void
cpu_chain_clear (CpuChain *chain)
{
  for (guint i = 0; i < chain->max_links; i++)
    cpu_units_clear (&chain->links[i].units);
  g_free (chain->links);
  g_free (chain->commands);
}
