/* Keeps an NPU awake for a while after a launch. The driver lets it sleep when
 * nothing has been asked of it for 5 s (amdxdna_pm.c), and the next launch then
 * waits for more than a tenth of a second; every question puts that off.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "xrt-private.h"

/* Between two questions, us: the driver's 5 s with room for a busy host. */
#define PERIOD_US (2 * G_USEC_PER_SEC)

static gpointer
keeper (gpointer data)
{
  XrtNpu *npu = data;

  g_mutex_lock (&npu->lock);
  while (!npu->keeper_stops) {
    const gint64 now = g_get_monotonic_time ();

    if (now >= npu->awake_until) {
      npu->keeper_sleeps = TRUE;
      g_cond_wait (&npu->keep, &npu->lock);
      npu->keeper_sleeps = FALSE;
      continue;
    }
    if (g_cond_wait_until (&npu->keep, &npu->lock, now + PERIOD_US))
      continue;
    /* A launch of the last seconds has done the same. */
    if (g_get_monotonic_time () - npu->last_launch < PERIOD_US)
      continue;
    g_mutex_unlock (&npu->lock);
    xrt_api_device_ask (npu->api);
    g_mutex_lock (&npu->lock);
  }
  g_mutex_unlock (&npu->lock);
  return NULL;
}

gboolean
xrt_awake_start (XrtNpu *npu, GError **error)
{
  g_mutex_lock (&npu->lock);
  if (!npu->keeper)
    npu->keeper = g_thread_try_new ("npuenc-awake", keeper, npu, error);
  g_mutex_unlock (&npu->lock);
  return npu->keeper != NULL;
}

void
xrt_awake_stop (XrtNpu *npu)
{
  if (!npu->keeper)
    return;
  g_mutex_lock (&npu->lock);
  npu->keeper_stops = TRUE;
  g_cond_signal (&npu->keep);
  g_mutex_unlock (&npu->lock);
  g_thread_join (g_steal_pointer (&npu->keeper));
}

void
xrt_awake_launched (const XrtDevice *device)
{
  XrtNpu *npu = device->npu;
  const gint64 now = g_get_monotonic_time ();
  const gint64 until = now + (gint64) (device->keep_awake / 1000);

  npu->last_launch = now;
  npu->awake_until = MAX (npu->awake_until, until);
  if (npu->keeper_sleeps && device->keep_awake)
    g_cond_signal (&npu->keep);
}
