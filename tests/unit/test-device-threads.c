/* A device whose workers cannot be made: an error that says so, nothing left,
 * and a device as soon as they can.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "device/npu-device.h"
#include "npu-error.h"

/* Threads that may yet be made; -1: any number. */
static gint n_allowed = -1;

/* Before libc's: as a limit of threads would have it. */
int
pthread_create (pthread_t *thread, const pthread_attr_t *attributes,
    void *(*run) (void *), void *data)
{
  static typeof (&pthread_create) real;

  if (n_allowed == 0)
    return EAGAIN;
  if (n_allowed > 0)
    n_allowed--;
  if (!real)
    real = (typeof (real)) dlsym (RTLD_NEXT, "pthread_create");
  return real (thread, attributes, run, data);
}

static void
test_no_threads (void)
{
  static const struct {
    gint n_allowed;
    const char *part;
  } cases[] = {{0, "worker 1 of 4"}, {3, "worker 4 of 4"}};
  const NpuDeviceOptions options = {.threads = 4};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (NpuDevice) device = NULL;

    n_allowed = cases[i].n_allowed;
    device = npu_device_open ("cpu", &options, &error);
    n_allowed = -1;
    g_assert_null (device);
    g_assert_error (error, NPU_ERROR, NPU_ERROR_FAILED);
    g_test_message ("%s", error->message);
    if (!strstr (error->message, cases[i].part) ||
        !strstr (error->message, "set threads to fewer"))
      g_error ("'%s' does not say '%s'", error->message, cases[i].part);
    g_clear_error (&error);
    device = npu_device_open ("cpu", &options, &error);
    g_assert_no_error (error);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/device/threads/none-to-be-had", test_no_threads);
  return g_test_run ();
}
