/* The files of /sys and /dev that XRT looks for, in a folder of this process.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "sim.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BDF "0000:c7:00.1"
#define DEVICE "/sys/devices/pci0000:00/0000:00:08.2/" BDF

static const char *const prefixes[] = {"/sys/bus/pci", "/sys/bus/rpmsg",
    "/sys/bus/platform", "/sys/module/amdxdna", "/sys/devices/pci0000:00",
    "/dev/accel"};

static char root[64]; /* "" until it is made */
static pid_t owner;
static pthread_mutex_t tree_lock = PTHREAD_MUTEX_INITIALIZER;
static __thread bool making; /* what makes the tree is not redirected */

static void
make_parents (char *path)
{
  for (char *slash = strchr (path + 1, '/'); slash;
       slash = strchr (slash + 1, '/')) {
    *slash = 0;
    mkdir (path, 0755);
    *slash = '/';
  }
}

static void
make_file (const char *name, const char *text)
{
  char path[PATH_MAX];
  int fd;

  snprintf (path, sizeof path, "%s%s", root, name);
  make_parents (path);
  fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0)
    return;
  if (write (fd, text, strlen (text)) < 0)
    sim_debug ("%s cannot be written: %s", path, strerror (errno));
  close (fd);
}

static void
make_line (const char *name, const char *text)
{
  char line[300];

  snprintf (line, sizeof line, "%s\n", text);
  make_file (name, line);
}

static void
make_link (const char *name, const char *target)
{
  char path[PATH_MAX];

  snprintf (path, sizeof path, "%s%s", root, name);
  make_parents (path);
  if (symlink (target, path))
    sim_debug ("%s cannot be made: %s", path, strerror (errno));
}

static void
make_tree (void)
{
  const SimDevice *device = sim_device ();
  const char *tmp = getenv ("TMPDIR");

  snprintf (root, sizeof root, "%s/npusim-XXXXXX",
      tmp && *tmp && strlen (tmp) < 40 ? tmp : "/tmp");
  if (!mkdtemp (root)) {
    fprintf (stderr, "npusim: %s cannot be made: %s\n", root, strerror (errno));
    root[0] = 0;
    return;
  }
  owner = getpid ();
  make_file (DEVICE "/vendor", "0x1022\n");
  make_line (DEVICE "/device", device->pci_id);
  make_line (DEVICE "/revision", device->revision);
  make_file (DEVICE "/subsystem_vendor", "0x1022\n");
  make_line (DEVICE "/subsystem_device", device->pci_id);
  make_file (DEVICE "/device_type", "0\n");
  make_line (
      DEVICE "/vbnv", sim.settings.name[0] ? sim.settings.name : device->name);
  make_file (DEVICE "/fw_version", "1.5.5.391\n");
  make_file (DEVICE "/accel/accel0/dev", "261:0\n");
  make_link ("/sys/bus/pci/devices/" BDF,
      "../../../devices/pci0000:00/0000:00:08.2/" BDF);
  make_link ("/sys/bus/pci/drivers/amdxdna/" BDF,
      "../../../../devices/pci0000:00/0000:00:08.2/" BDF);
  make_file ("/sys/module/amdxdna/version", "2.25.0_simulated,0\n");
  make_file ("/dev/accel/accel0", "");
}

static bool
is_of_the_npu (const char *path)
{
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
    const size_t length = strlen (prefixes[i]);

    if (!strncmp (path, prefixes[i], length) &&
        (path[length] == '/' || !path[length]))
      return true;
  }
  return false;
}

const char *
sim_tree_path (const char *path, char *buffer, size_t size)
{
  if (!path || path[0] != '/' || making || !is_of_the_npu (path))
    return path;

  pthread_mutex_lock (&tree_lock);
  if (!root[0]) {
    making = true;
    make_tree ();
    making = false;
  }
  pthread_mutex_unlock (&tree_lock);

  if (sim_may_fail (SIM_FAIL_NODE) && !strncmp (path, "/dev/accel", 10))
    return "/dev/accel/no-such-device";
  if (root[0] && snprintf (buffer, size, "%s%s", root, path) < (int) size)
    return buffer;
  return path;
}

void
sim_tree_unmap (char *path)
{
  const size_t length = strlen (root);

  if (length && !strncmp (path, root, length) && path[length] == '/')
    memmove (path, path + length, strlen (path + length) + 1);
}

static int
remove_one (
    const char *path, const struct stat *status, int flag, struct FTW *where)
{
  (void) status, (void) flag, (void) where;
  remove (path);
  return 0;
}

void
sim_tree_remove (void)
{
  if (root[0] && owner == getpid ())
    nftw (root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
  root[0] = 0;
}
