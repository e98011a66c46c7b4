/* Launches in flight and the contexts that come and go under them, with XRT's
 * verbs scripted here: what a driver does at an unlucky moment. Needs no XRT.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "device/xrt/xrt-private.h"
#include "npu-clock.h"

#define MS ((guint64) 1000000)
#define LONG (600 * 1000 * MS)
#define N_CONTEXTS 3
#define N_OVERLAYS 6 /* two of each */

/* --- a driver ------------------------------------------------------------ */

struct XrtApiContext {
  guint n_commands; /* that are left in it */
};

struct XrtApiKernel {
  XrtApiContext *context;
};

struct XrtApiCommand {
  XrtApiContext *context;
  XrtApiState state;
  int failed; /* which of the list whose last it is */
};

struct XrtApiList {
  guint n_used;
};

static struct {
  GMutex lock;
  GCond changed;
  guint n_contexts, max_contexts, n_started;
  guint fails_each;             /* every so many commands fail; 0: none */
  gboolean hangs;               /* commands that start from now on never end */
  gboolean is_held, is_waiting; /* commands wait in their start */
  XrtApiCommand *last;          /* that was started */
} driver = {.max_contexts = G_MAXUINT};

bool
xrt_api_xclbin_check (const char *path, const char *kernel, unsigned arg,
    uint32_t *group, XrtApiError *error)
{
  *group = 0;
  return true;
}

XrtApiContext *
xrt_api_context_new (
    XrtApiDevice *device, const char *xclbin, XrtApiError *error)
{
  XrtApiContext *context = NULL;

  g_mutex_lock (&driver.lock);
  if (driver.n_contexts < driver.max_contexts) {
    driver.n_contexts++;
    context = g_new0 (XrtApiContext, 1);
  } else {
    *error = (XrtApiError){.code = EBUSY, .message = "no room"};
  }
  g_mutex_unlock (&driver.lock);
  return context;
}

void
xrt_api_context_free (XrtApiContext *context)
{
  g_mutex_lock (&driver.lock);
  g_assert_cmpuint (context->n_commands, ==, 0);
  driver.n_contexts--;
  g_mutex_unlock (&driver.lock);
  g_free (context);
}

XrtApiKernel *
xrt_api_kernel_new (XrtApiDevice *device, XrtApiContext *context,
    const char *name, const uint32_t *words, size_t n_words, XrtApiError *error)
{
  XrtApiKernel *kernel = g_new0 (XrtApiKernel, 1);

  kernel->context = context;
  return kernel;
}

void
xrt_api_kernel_free (XrtApiKernel *kernel)
{
  g_free (kernel);
}

XrtApiCommand *
xrt_api_command_new (XrtApiKernel *kernel, XrtApiError *error)
{
  XrtApiCommand *command = g_new0 (XrtApiCommand, 1);

  g_mutex_lock (&driver.lock);
  command->context = kernel->context;
  command->context->n_commands++;
  g_mutex_unlock (&driver.lock);
  return command;
}

void
xrt_api_command_free (XrtApiCommand *command)
{
  g_mutex_lock (&driver.lock);
  command->context->n_commands--;
  if (driver.last == command)
    driver.last = NULL;
  g_mutex_unlock (&driver.lock);
  g_free (command);
}

/* A command, or @n of a list whose last it is. */
static bool
start_commands (XrtApiCommand *command, gsize n)
{
  g_mutex_lock (&driver.lock);
  driver.is_waiting = driver.is_held;
  g_cond_broadcast (&driver.changed);
  while (driver.is_held)
    g_cond_wait (&driver.changed, &driver.lock);
  driver.is_waiting = FALSE;
  driver.last = command;
  command->state = driver.hangs ? XRT_API_RUNNING : XRT_API_COMPLETED;
  for (gsize i = 0; i < n; i++) {
    driver.n_started++;
    if (!driver.hangs && driver.fails_each &&
        driver.n_started % driver.fails_each == 0) {
      command->state = XRT_API_FAILED;
      command->failed = (int) i;
    }
  }
  g_cond_broadcast (&driver.changed);
  g_mutex_unlock (&driver.lock);
  return true;
}

bool
xrt_api_command_start (XrtApiCommand *command, XrtApiError *error)
{
  return start_commands (command, 1);
}

bool
xrt_api_wait (XrtApiCommand *command, XrtApiList *list, unsigned timeout_ms,
    XrtApiState *state, XrtApiError *error)
{
  const gint64 end = g_get_monotonic_time () + timeout_ms * 1000;

  g_mutex_lock (&driver.lock);
  while (command->state == XRT_API_RUNNING &&
         g_cond_wait_until (&driver.changed, &driver.lock, end))
    ;
  *state = command->state;
  g_mutex_unlock (&driver.lock);
  *error = (XrtApiError){
      .code = EIO, .command = command->failed, .message = "as scripted"};
  return true;
}

XrtApiState
xrt_api_state (XrtApiCommand *command, XrtApiList *list)
{
  g_assert_not_reached ();
}

XrtApiList *
xrt_api_list_new (XrtApiContext *context, XrtApiError *error)
{
  return g_new0 (XrtApiList, 1);
}

void
xrt_api_list_free (XrtApiList *list)
{
  g_free (list);
}

void
xrt_api_list_reset (XrtApiList *list)
{
  list->n_used = 0;
}

bool
xrt_api_list_start (XrtApiList *list, XrtApiCommand *const *commands, size_t n,
    XrtApiError *error)
{
  g_assert_cmpuint (list->n_used, ==, 0);
  list->n_used = (guint) n;
  for (size_t i = 1; i < n; i++)
    g_assert_true (commands[i]->context == commands[0]->context);
  return start_commands (commands[n - 1], n);
}

void
xrt_api_device_ask (XrtApiDevice *device)
{
}

/* --- a device ------------------------------------------------------------ */

typedef struct {
  char *folder;
  XrtNpu npu;
  XrtDevice device;
} Rig;

static void
write_file (const Rig *rig, const char *name, const void *data, gssize size)
{
  g_autofree char *path = g_build_filename (rig->folder, name, NULL);

  g_assert_true (g_file_set_contents (path, data, size, NULL));
}

/* Two overlays of each context. */
static void
write_overlays (const Rig *rig)
{
  static const guint32 stream[] = {0x06030100, 0x105, 0, 16};
  g_autoptr (GString) text = g_string_new (NULL);

  write_file (rig, "i.bin", stream, sizeof stream);
  for (guint i = 0; i < N_OVERLAYS; i++) {
    g_autofree char *name = g_strdup_printf ("%u.xclbin", i % N_CONTEXTS);

    write_file (rig, name, "xclbin2", -1);
    g_string_append_printf (text,
        "[%u]\nop=linear\nlayout=rows\nrows=256\nk=384\nn=128\na-type=bf16\n"
        "b-type=bf16\nc-type=f32\nxclbin=%s\ninstructions=i.bin\nargs=a;b;c\n",
        i, name);
  }
  write_file (rig, XRT_OVERLAYS_FILE, text->str, -1);
}

static void
rig_set_up (Rig *rig, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  driver.hangs = FALSE;
  driver.max_contexts = G_MAXUINT;
  driver.fails_each = driver.n_started = 0;
  rig->folder = g_dir_make_tmp ("jobs-XXXXXX", &error);
  g_assert_no_error (error);
  write_overlays (rig);
  rig->npu.name = (char *) "xrt:0";
  rig->npu.max_resident = G_MAXUINT;
  rig->npu.contexts = g_ptr_array_new ();
  g_mutex_init (&rig->npu.objects);
  g_mutex_init (&rig->npu.lock);
  g_cond_init (&rig->npu.changed);
  g_cond_init (&rig->npu.keep);
  rig->device.base.name = (char *) "xrt:0";
  rig->device.npu = &rig->npu;
  rig->device.overlays = xrt_overlays_read (rig->folder, &error);
  g_assert_no_error (error);
  xrt_contexts_open (&rig->device, &error);
  g_assert_no_error (error);
}

static void
rig_tear_down (Rig *rig, gconstpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (rig->folder, 0, NULL);
  const char *name;

  xrt_contexts_close (&rig->device);
  g_assert_cmpuint (driver.n_contexts, ==, 0);
  xrt_overlays_free (rig->device.overlays);
  g_ptr_array_unref (rig->npu.contexts);
  g_mutex_clear (&rig->npu.objects);
  g_mutex_clear (&rig->npu.lock);
  g_cond_clear (&rig->npu.changed);
  g_cond_clear (&rig->npu.keep);
  while ((name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (rig->folder, name, NULL);

    g_unlink (path);
  }
  g_rmdir (rig->folder);
  g_free (rig->folder);
}

#define MAX_PARTS 8

/* Counts the commands of each part; a start may be tried again. */
static gboolean
bind_next (XrtApiCommand *command, guint part, guint index, gpointer user_data,
    GError **error)
{
  guint *n_bound = user_data;

  if (part == 0 && index == 0)
    memset (n_bound, 0, MAX_PARTS * sizeof *n_bound);
  g_assert_cmpuint (index, ==, n_bound[part]);
  n_bound[part]++;
  return TRUE;
}

/* Both programs of a context in turn, with one command and with two. */
static gboolean
start (XrtJob *job, guint context, guint n_parts, GError **error)
{
  GPtrArray *programs = job->device->programs;
  XrtJobPart parts[MAX_PARTS];
  guint n_bound[MAX_PARTS];
  gboolean done;

  for (guint i = 0; i < n_parts; i++)
    parts[i] = (XrtJobPart){
        g_ptr_array_index (programs, context + i % 2 * N_CONTEXTS), 1 + i % 2};
  done = xrt_job_start (job, parts, n_parts, bind_next, n_bound, error);
  for (guint i = 0; done && i < n_parts; i++)
    g_assert_cmpuint (n_bound[i], ==, parts[i].n_commands);
  return done;
}

/* --- an unlucky moment ---------------------------------------------------- */

typedef struct {
  Rig *rig;
  XrtJob job;
  gboolean done;
  GError *error; /* of its wait */
} User;

static gpointer
start_and_wait (gpointer data)
{
  User *user = data;

  user->done = start (&user->job, 0, 1, &user->error) &&
               xrt_job_wait (&user->job, LONG, NULL, &user->error);
  return NULL;
}

static void
user_init (User *user, Rig *rig, guint64 timeout)
{
  *user = (User){.rig = rig};
  xrt_job_init (&user->job, &rig->device, timeout);
}

static void
user_clear (User *user)
{
  g_clear_error (&user->error);
  xrt_job_clear (&user->job);
}

static void
set_driver (gboolean is_held, gboolean hangs)
{
  g_mutex_lock (&driver.lock);
  driver.is_held = is_held;
  driver.hangs = hangs;
  g_cond_broadcast (&driver.changed);
  g_mutex_unlock (&driver.lock);
}

static void
wait_for_start (void)
{
  g_mutex_lock (&driver.lock);
  while (!driver.is_waiting)
    g_cond_wait (&driver.changed, &driver.lock);
  g_mutex_unlock (&driver.lock);
}

static void
wait_for_n_started (guint n)
{
  g_mutex_lock (&driver.lock);
  while (driver.n_started < n)
    g_cond_wait (&driver.changed, &driver.lock);
  g_mutex_unlock (&driver.lock);
}

static void
wait_for_unload (XrtNpu *npu)
{
  g_mutex_lock (&npu->lock);
  while (!npu->exclusive)
    g_cond_wait (&npu->changed, &npu->lock);
  g_mutex_unlock (&npu->lock);
}

/* A launch is on its way to the driver while the one before it fails, and hangs
 * when it is there. A third has already begun to make the context anew, with
 * nothing in flight and no error to tell: the second fails all the same. */
static void
test_late_start (Rig *rig, gconstpointer data)
{
  User first, late, third;
  GThread *late_thread, *third_thread;
  GError *error = NULL;

  user_init (&first, rig, LONG);
  user_init (&late, rig, MS); /* nobody has to wait for it for long */
  user_init (&third, rig, LONG);
  set_driver (FALSE, TRUE);
  g_assert_true (start (&first.job, 0, 1, &error));
  set_driver (TRUE, TRUE);
  late_thread = g_thread_new ("late", start_and_wait, &late);
  wait_for_start ();

  g_mutex_lock (&driver.lock);
  driver.last->state = XRT_API_FAILED;
  g_cond_broadcast (&driver.changed);
  g_mutex_unlock (&driver.lock);
  g_assert_false (xrt_job_wait (&first.job, LONG, NULL, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_LAUNCH);
  g_clear_error (&error);

  third_thread = g_thread_new ("third", start_and_wait, &third);
  wait_for_unload (&rig->npu);
  set_driver (FALSE, TRUE);
  wait_for_n_started (2);
  set_driver (FALSE, FALSE); /* it hangs; those after it do not */

  g_thread_join (late_thread);
  g_thread_join (third_thread);
  g_assert_false (late.done);
  g_assert_error (late.error, NPU_ERROR, NPU_ERROR_LAUNCH);
  g_assert_nonnull (strstr (late.error->message, "did not end"));
  g_assert_true (third.done);
  g_assert_no_error (third.error);
  user_clear (&first);
  user_clear (&late);
  user_clear (&third);
}

/* --- threads ---------------------------------------------------------------
 */

#define N_USERS 4
#define N_LAUNCHES 200

typedef struct {
  XrtJob job;
  guint index, n_failed;
} Thread;

static gpointer
launch_often (gpointer data)
{
  Thread *thread = data;

  for (guint i = 0; i < N_LAUNCHES; i++) {
    g_autoptr (GError) error = NULL;
    NpuRunTimes times;

    if (start (&thread->job, (thread->index + i) % N_CONTEXTS,
            1 + i % MAX_PARTS, &error) &&
        xrt_job_wait (&thread->job, LONG, &times, &error)) {
      g_assert_no_error (error);
      g_assert_cmpuint (times.end, >=, times.start);
      g_assert_true (xrt_job_is_done (&thread->job));
      continue;
    }
    g_assert_error (error, NPU_ERROR, NPU_ERROR_LAUNCH);
    thread->n_failed++;
  }
  return NULL;
}

/* Room for fewer contexts than there are files, and launches, alone and in
 * lists, that fail: each launch is done or has an error of its own. */
static void
test_threads (Rig *rig, gconstpointer data)
{
  Thread threads[N_USERS];
  GThread *running[N_USERS];
  guint n_failed = 0;

  driver.max_contexts = N_CONTEXTS - 1;
  driver.fails_each = 37;
  for (guint i = 0; i < N_USERS; i++) {
    threads[i] = (Thread){.index = i};
    xrt_job_init (&threads[i].job, &rig->device, LONG);
    running[i] = g_thread_new ("user", launch_often, &threads[i]);
  }
  for (guint i = 0; i < N_USERS; i++) {
    g_thread_join (running[i]);
    xrt_job_clear (&threads[i].job);
    n_failed += threads[i].n_failed;
  }
  g_assert_cmpuint (driver.n_started, >=, N_USERS * N_LAUNCHES);
  g_assert_cmpuint (n_failed, >, 0);
}

#define ADD(name, function)                                                    \
  g_test_add ("/xrt/jobs/" name, Rig, NULL, rig_set_up, function, rig_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("late-start", test_late_start);
  ADD ("threads", test_threads);
  return g_test_run ();
}
