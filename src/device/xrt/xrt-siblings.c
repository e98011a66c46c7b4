/* Devices of this process that are one NPU: each element opens its own, and
 * they share its contexts. One that has none takes one that another does not
 * use at the moment.
 *
 * The lock of the list is taken before that of a device, never after.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "xrt-private.h"

static GMutex lock;
static GList *devices;

void
xrt_siblings_add (XrtDevice *device)
{
  g_mutex_lock (&lock);
  devices = g_list_prepend (devices, device);
  g_mutex_unlock (&lock);
}

void
xrt_siblings_remove (XrtDevice *device)
{
  g_mutex_lock (&lock);
  devices = g_list_remove (devices, device);
  g_mutex_unlock (&lock);
}

XrtRoom
xrt_siblings_make_room (const XrtDevice *device)
{
  XrtRoom room = XRT_ROOM_NONE;

  g_mutex_lock (&lock);
  for (GList *link = devices; link && room != XRT_ROOM_MADE;
       link = link->next) {
    XrtDevice *sibling = link->data;

    if (sibling != device && sibling->index == device->index)
      room = MAX (room, xrt_contexts_give (sibling));
  }
  g_mutex_unlock (&lock);
  return room;
}
