/* Calls of the C library that reach the device, as the program makes them.
 *
 * Paths of the NPU's files in /sys and /dev are taken to the simulator's own
 * tree. An open of the device node gives a file of memory of this process;
 * buffers are ranges of it, so that a mapping is an ordinary one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
/* Both names of each call are defined here, so neither may stand for the
 * other. */
#undef _FILE_OFFSET_BITS

#include "sim.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__ ((visibility ("default")))
#define NODE "/dev/accel/accel0"
#define MAX_FDS 4096
#define FILE_SIZE (1ll << 40)

/* Which descriptors are the device's; written under sim.lock. */
static bool is_device[MAX_FDS];

#define NEXT(function)                                                         \
  static __typeof__ (&(function)) next;                                        \
  if (!next)                                                                   \
  *(void **) &next = dlsym (RTLD_NEXT, #function)

static bool
ours (int fd)
{
  return fd >= 0 && fd < MAX_FDS &&
         __atomic_load_n (&is_device[fd], __ATOMIC_ACQUIRE);
}

static SimClient *
client_of (int fd)
{
  for (SimClient *client = sim.clients; client; client = client->next)
    if (client->fd == fd)
      return client;
  return NULL;
}

/* --- open and close */

static int
open_node (int flags)
{
  SimClient *client = NULL;
  int fd = -1, error = 0;

  pthread_mutex_lock (&sim.lock);
  sim_settings_poll ();
  sim.touched = true;
  if (sim.lost || sim_fails (SIM_FAIL_NODE))
    error = ENOENT;
  else if (sim_fails (SIM_FAIL_ACCESS))
    error = EACCES;
  else if (sim_fails (SIM_FAIL_BUSY_OPEN))
    error = EBUSY;
  else if (sim_fails (SIM_FAIL_IOMMU))
    error = ENODEV;
  else if (sim_fails (SIM_FAIL_SVA))
    error = EOPNOTSUPP;
  if (!error) {
    fd = (int) syscall (SYS_memfd_create, "accel0", 1u /* MFD_CLOEXEC */);
    client = calloc (1, sizeof *client);
    if (fd < 0 || fd >= MAX_FDS || !client || ftruncate (fd, FILE_SIZE))
      error = ENOMEM;
  }
  if (error) {
    if (fd >= 0)
      syscall (SYS_close, fd);
    free (client);
    sim_debug ("open of " NODE " fails: %s", strerror (error));
  } else {
    if (!(flags & O_CLOEXEC))
      fcntl (fd, F_SETFD, 0);
    client->fd = fd;
    client->memory = (int) syscall (SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
    client->next = sim.clients;
    sim.clients = client;
    sim.counters.opens++;
    __atomic_store_n (&is_device[fd], true, __ATOMIC_RELEASE);
  }
  pthread_mutex_unlock (&sim.lock);
  if (error) {
    errno = error;
    return -1;
  }
  return fd;
}

static int
open_at (int dir, const char *path, int flags, mode_t mode)
{
  char buffer[PATH_MAX];

  sim_init ();
  if (path && !strcmp (path, NODE))
    return open_node (flags);
  path = sim_tree_path (path, buffer, sizeof buffer);
  return (int) syscall (SYS_openat, dir, path, flags, mode);
}

#define DEFINE_OPEN(name)                                                      \
  EXPORT int name (const char *path, int flags, ...);                          \
  EXPORT int name (const char *path, int flags, ...)                           \
  {                                                                            \
    mode_t mode = 0;                                                           \
    va_list args;                                                              \
    va_start (args, flags);                                                    \
    if (flags & (O_CREAT | __O_TMPFILE))                                       \
      mode = va_arg (args, mode_t);                                            \
    va_end (args);                                                             \
    return open_at (AT_FDCWD, path, flags, mode);                              \
  }

#define DEFINE_OPENAT(name)                                                    \
  EXPORT int name (int dir, const char *path, int flags, ...);                 \
  EXPORT int name (int dir, const char *path, int flags, ...)                  \
  {                                                                            \
    mode_t mode = 0;                                                           \
    va_list args;                                                              \
    va_start (args, flags);                                                    \
    if (flags & (O_CREAT | __O_TMPFILE))                                       \
      mode = va_arg (args, mode_t);                                            \
    va_end (args);                                                             \
    return open_at (dir, path, flags, mode);                                   \
  }

DEFINE_OPEN (open)
DEFINE_OPEN (open64)
DEFINE_OPENAT (openat)
DEFINE_OPENAT (openat64)

EXPORT int
close (int fd)
{
  if (ours (fd)) {
    SimClient *client, **link;

    pthread_mutex_lock (&sim.lock);
    client = client_of (fd);
    for (link = &sim.clients; *link && *link != client; link = &(*link)->next)
      ;
    if (client)
      *link = client->next;
    __atomic_store_n (&is_device[fd], false, __ATOMIC_RELEASE);
    if (client) {
      sim_client_free (client);
      sim.counters.opens--;
    }
    if (sim.exiting)
      sim_report_write ();
    pthread_mutex_unlock (&sim.lock);
  }
  return (int) syscall (SYS_close, fd);
}

/* --- the device */

EXPORT int
ioctl (int fd, unsigned long request, ...)
{
  va_list args;
  void *arg;

  va_start (args, request);
  arg = va_arg (args, void *);
  va_end (args);
  if (ours (fd) && _IOC_TYPE (request) == 'd') {
    SimClient *client;
    int result;

    pthread_mutex_lock (&sim.lock);
    sim_settings_poll ();
    client = client_of (fd);
    result = client ? sim_ioctl (client, _IOC_NR (request), arg) : -EBADF;
    pthread_mutex_unlock (&sim.lock);
    if (result >= 0)
      return result;
    errno = -result;
    return -1;
  }
  return (int) syscall (SYS_ioctl, fd, request, arg);
}

/* XRT asks for locked memory. Where that has a limit, the kernel sees to it as
 * with the real driver; where it has none, locking only costs time. */
static bool
locking_is_free (void)
{
  struct rlimit limit;

  return geteuid () == 0 || (!getrlimit (RLIMIT_MEMLOCK, &limit) &&
                                limit.rlim_cur == RLIM_INFINITY);
}

static void *
map (void *address, size_t size, int prot, int flags, int fd, off_t offset)
{
  if (ours (fd)) {
    int error = 0;
    SimClient *client;

    pthread_mutex_lock (&sim.lock);
    client = client_of (fd);
    if (client && client->lost)
      error = ENODEV;
    else if (!client || !sim_bo_at_offset (client, (uint64_t) offset, size))
      error = EINVAL;
    else if (sim_fails (SIM_FAIL_MEMLOCK))
      error = EAGAIN;
    pthread_mutex_unlock (&sim.lock);
    if (error) {
      errno = error;
      return MAP_FAILED;
    }
    if (locking_is_free ())
      flags &= ~MAP_LOCKED;
  }
  return (void *) syscall (SYS_mmap, address, size, prot, flags, fd, offset);
}

EXPORT void *
mmap (void *address, size_t size, int prot, int flags, int fd, off_t offset)
{
  return map (address, size, prot, flags, fd, offset);
}

EXPORT void *
mmap64 (void *address, size_t size, int prot, int flags, int fd, off_t offset)
{
  return map (address, size, prot, flags, fd, offset);
}

/* --- paths */

EXPORT FILE *
fopen (const char *path, const char *mode)
{
  char buffer[PATH_MAX];
  NEXT (fopen);
  sim_init ();
  return next (sim_tree_path (path, buffer, sizeof buffer), mode);
}

EXPORT FILE *
fopen64 (const char *path, const char *mode)
{
  char buffer[PATH_MAX];
  NEXT (fopen64);
  sim_init ();
  return next (sim_tree_path (path, buffer, sizeof buffer), mode);
}

EXPORT DIR *
opendir (const char *path)
{
  char buffer[PATH_MAX];
  NEXT (opendir);
  sim_init ();
  return next (sim_tree_path (path, buffer, sizeof buffer));
}

EXPORT int
access (const char *path, int mode)
{
  char buffer[PATH_MAX];
  sim_init ();
  path = sim_tree_path (path, buffer, sizeof buffer);
  return (int) syscall (SYS_access, path, mode);
}

EXPORT ssize_t
readlink (const char *path, char *target, size_t size)
{
  char buffer[PATH_MAX];
  sim_init ();
  path = sim_tree_path (path, buffer, sizeof buffer);
  return syscall (SYS_readlink, path, target, size);
}

EXPORT char *
realpath (const char *path, char *resolved)
{
  char buffer[PATH_MAX], *result;
  NEXT (realpath);
  sim_init ();
  result = next (sim_tree_path (path, buffer, sizeof buffer), resolved);
  if (result)
    sim_tree_unmap (result);
  return result;
}

#define DEFINE_STAT(name, type)                                                \
  EXPORT int name (const char *path, type *result);                            \
  EXPORT int name (const char *path, type *result)                             \
  {                                                                            \
    char buffer[PATH_MAX];                                                     \
    NEXT (name);                                                               \
    sim_init ();                                                               \
    return next (sim_tree_path (path, buffer, sizeof buffer), result);         \
  }

#define DEFINE_STATAT(name, type)                                              \
  EXPORT int name (int dir, const char *path, type *result, int flags);        \
  EXPORT int name (int dir, const char *path, type *result, int flags)         \
  {                                                                            \
    char buffer[PATH_MAX];                                                     \
    NEXT (name);                                                               \
    sim_init ();                                                               \
    path = sim_tree_path (path, buffer, sizeof buffer);                        \
    return next (dir, path, result, flags);                                    \
  }

DEFINE_STAT (stat, struct stat)
DEFINE_STAT (stat64, struct stat64)
DEFINE_STAT (lstat, struct stat)
DEFINE_STAT (lstat64, struct stat64)
DEFINE_STATAT (fstatat, struct stat)
DEFINE_STATAT (fstatat64, struct stat64)
