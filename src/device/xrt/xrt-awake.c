/* Keeps an NPU awake for a while after a launch. The driver lets it sleep when
 * nothing has been asked of it for 5 s (amdxdna_pm.c), and the next launch then
 * waits for more than a tenth of a second; every question puts that off.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "xrt-private.h"

/* Between two questions, us: the driver's 5 s with room for a busy host. */
#define PERIOD_US (2 * G_USEC_PER_SEC)

/* How long there is reason to keep it awake from @now, us; 0: none. */
static gint64
reason_lasts (const XrtDevice *device, gint64 now)
{
  const gint64 end = device->last_launch + (gint64) (device->keep_awake / 1000);

  return device->last_launch && now < end ? end - now : 0;
}

static gpointer
keeper (gpointer data)
{
  XrtDevice *device = data;

  g_mutex_lock (&device->lock);
  while (!device->keeper_stops) {
    const gint64 now = g_get_monotonic_time ();

    if (!reason_lasts (device, now)) {
      device->keeper_sleeps = TRUE;
      g_cond_wait (&device->keep, &device->lock);
      device->keeper_sleeps = FALSE;
      continue;
    }
    if (g_cond_wait_until (&device->keep, &device->lock, now + PERIOD_US))
      continue;
    /* A launch of the last seconds has done the same. */
    if (g_get_monotonic_time () - device->last_launch < PERIOD_US)
      continue;
    g_mutex_unlock (&device->lock);
    xrt_api_device_ask (device->api);
    g_mutex_lock (&device->lock);
  }
  g_mutex_unlock (&device->lock);
  return NULL;
}

gboolean
xrt_awake_start (XrtDevice *device, GError **error)
{
  if (!device->keep_awake)
    return TRUE;
  device->keeper = g_thread_try_new ("npuenc-awake", keeper, device, error);
  return device->keeper != NULL;
}

void
xrt_awake_stop (XrtDevice *device)
{
  if (!device->keeper)
    return;
  g_mutex_lock (&device->lock);
  device->keeper_stops = TRUE;
  g_cond_signal (&device->keep);
  g_mutex_unlock (&device->lock);
  g_thread_join (g_steal_pointer (&device->keeper));
}

void
xrt_awake_launched (XrtDevice *device)
{
  device->last_launch = g_get_monotonic_time ();
  if (device->keeper_sleeps)
    g_cond_signal (&device->keep);
}
