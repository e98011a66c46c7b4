/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "xrt-private.h"

#define NODES "/dev/accel"

/* The NPU's node that this user may not use; NULL where there is none. */
static char *
forbidden_node (void)
{
  g_autoptr (GDir) dir = g_dir_open (NODES, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (NODES, name, NULL);

    if (g_str_has_prefix (name, "accel") && access (path, R_OK | W_OK) != 0 &&
        (errno == EACCES || errno == EPERM))
      return g_steal_pointer (&path);
  }
  return NULL;
}

/* The limit of locked memory in KiB; 0 where there is none. */
static guint64
memlock_limit (void)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_MEMLOCK, &limit) != 0 ||
      limit.rlim_cur == RLIM_INFINITY)
    return 0;
  return MAX (limit.rlim_cur / 1024, 1);
}

/* Whether a context was made, but not for its program: the driver gives the
 * same code to both. XRT tells which call it was. */
static gboolean
is_config (const XrtApiError *cause)
{
  return strstr (cause->message, "CONFIG_CTX") ||
         strstr (cause->message, "CONFIG_HWCTX");
}

gboolean
xrt_error_is_no_room (const XrtApiError *cause)
{
  switch (cause->code) {
    case EINVAL: /* the kernel's driver, when all contexts are taken */
      return !strstr (cause->message, "DPU kernel") && /* XRT, of an xclbin */
             !is_config (cause);
    case ENOSPC:
    case EBUSY:
      return TRUE;
    case EAGAIN:
      return memlock_limit () == 0;
    default:
      return FALSE;
  }
}

static gboolean
set_forbidden (GError **error, const char *what, const char *node)
{
  g_set_error (error, NPU_ERROR, NPU_ERROR_OPEN,
      "%s cannot be opened: no permission for %s; add this user to its group: sudo usermod -aG render $USER, then log in again",
      what, node);
  return FALSE;
}

static gboolean
set_memlock (GError **error, const char *what, const XrtApiError *cause)
{
  g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED,
      "%s cannot lock memory: the limit RLIMIT_MEMLOCK is %" G_GUINT64_FORMAT
      " KiB; raise it (ulimit -l unlimited, or a line '* - memlock unlimited' in /etc/security/limits.conf and a new login; for a service LimitMEMLOCK=infinity) (XRT: %s)",
      what, memlock_limit (), cause->message);
  return FALSE;
}

static gboolean
set_too_old (GError **error, const char *what, const XrtApiError *cause)
{
  g_set_error (error, NPU_ERROR, NPU_ERROR_OPEN,
      "%s has a driver that is too old for this XRT: %s; the amdxdna driver of Linux 6.14 or later is needed, from the kernel or from AMD's xdna-driver",
      what, cause->message);
  return FALSE;
}

/* The driver binds every process that opens it to the IOMMU. */
static gboolean
set_no_iommu (GError **error, const char *what, const XrtApiError *cause)
{
  g_set_error (error, NPU_ERROR, NPU_ERROR_OPEN,
      "%s cannot be opened: the IOMMU is off, or shares no addresses with it (SVA), without which its driver does not work: switch the IOMMU on in the BIOS setup, take amd_iommu=off and iommu=off from the kernel's command line, and see sudo dmesg for 'AMD-Vi' and 'SVA bind device failed' (XRT: %s)",
      what, cause->message);
  return FALSE;
}

static gboolean
set_not_configured (GError **error, const char *what, const XrtApiError *cause)
{
  g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED,
      "%s cannot load its program: the driver refuses the configuration in the xclbin: it was built for another NPU, or for other firmware; build the overlay again for this NPU, and see sudo dmesg for what amdxdna says (XRT: %s)",
      what, cause->message);
  return FALSE;
}

static gboolean
set_other (
    GError **error, XrtDoing doing, const char *what, const XrtApiError *cause)
{
  if (doing == XRT_DOING_OPEN)
    g_set_error (error, NPU_ERROR, NPU_ERROR_OPEN,
        "%s cannot be opened: XRT says: %s; see whether xrt-smi examine shows the NPU",
        what, cause->message);
  else if (doing == XRT_DOING_CONTEXT)
    g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED,
        "%s cannot load its program: XRT says: %s; see sudo dmesg for what amdxdna says, and build the overlay again for this NPU",
        what, cause->message);
  else if (doing == XRT_DOING_BUFFER)
    g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED,
        "%s cannot make a buffer: XRT says: %s; close other programs that use the NPU",
        what, cause->message);
  else
    g_set_error (error, NPU_ERROR, NPU_ERROR_LAUNCH,
        "%s cannot launch: XRT says: %s; the program is loaded again for the next launch",
        what, cause->message);
  return FALSE;
}

gboolean
xrt_error_set_forbidden (const char *what, GError **error)
{
  g_autofree char *node = forbidden_node ();

  return node && !set_forbidden (error, what, node);
}

gboolean
xrt_error_set (
    GError **error, XrtDoing doing, const char *what, const XrtApiError *cause)
{
  g_autofree char *node = NULL;

  if (doing == XRT_DOING_OPEN && xrt_error_set_forbidden (what, error))
    return FALSE;
  switch (cause->code) {
    case EACCES:
    case EPERM:
      node = forbidden_node ();
      return set_forbidden (error, what, node ? node : NODES "/accel0");
    case EAGAIN: /* of mmap(), which locks */
      if (doing != XRT_DOING_LAUNCH && memlock_limit () > 0)
        return set_memlock (error, what, cause);
      break;
    case EBUSY:
      if (doing == XRT_DOING_CONTEXT)
        break;
      g_set_error (error, NPU_ERROR, NPU_ERROR_BUSY,
          "%s is busy: another program has it for itself; close that, or use device=cpu (XRT: %s)",
          what, cause->message);
      return FALSE;
    case ENODEV:
    case ENXIO:
    case EIO:
    case ESHUTDOWN:
      if (doing == XRT_DOING_OPEN && cause->code == ENODEV)
        return set_no_iommu (error, what, cause);
      if (doing == XRT_DOING_OPEN)
        break;
      g_set_error (error, NPU_ERROR, NPU_ERROR_LOST,
          "%s was lost: %s; the kernel's log (sudo dmesg) has the reason; open it again when xrt-smi examine shows it, or use device=cpu",
          what, cause->message);
      return FALSE;
    case EINVAL: /* the kernel's answer to a call that it does not know */
      if (doing == XRT_DOING_CONTEXT && is_config (cause))
        return set_not_configured (error, what, cause);
      if (doing != XRT_DOING_WAIT)
        break;
      return set_too_old (error, what, cause);
    case ENOTTY:
    case ENOSYS:
    case EOPNOTSUPP:
      if (doing == XRT_DOING_OPEN && !strstr (cause->message, "IOCTL"))
        return set_no_iommu (error, what, cause);
      return set_too_old (error, what, cause);
    default:
      break;
  }
  return set_other (error, doing, what, cause);
}
