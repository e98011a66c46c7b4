/* Preloaded into tests built for ThreadSanitizer: tells it of GLib's locks,
 * queues and references.
 *
 * Debian's GLib is not instrumented, and its GMutex is a futex and no pthread
 * mutex, so without this every datum that a GMutex protects looks like a race.
 * Each function here is GLib's own between an acquire and a release.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <dlfcn.h> /* dladdr() is of _GNU_SOURCE, as all are built with */
#include <glib-object.h>
#include <gst/gst.h>
#include <stdlib.h>
#include <string.h>

/* Of the sanitizer's runtime. It is absent in processes that a test starts,
 * which inherit the preloading. */
extern void __tsan_acquire (void *address) __attribute__ ((weak));
extern void __tsan_release (void *address) __attribute__ ((weak));
extern void __tsan_ignore_thread_begin (void) __attribute__ ((weak));
extern void __tsan_ignore_thread_end (void) __attribute__ ((weak));

static inline void
acquire (gconstpointer address)
{
  if (__tsan_acquire)
    __tsan_acquire ((void *) address);
}

static inline void
release (gconstpointer address)
{
  if (__tsan_release)
    __tsan_release ((void *) address);
}

/* Declares `real`, the function of the same name that this one hides. */
#define REAL(name)                                                             \
  static typeof (&name) cached;                                                \
  typeof (&name) real = __atomic_load_n (&cached, __ATOMIC_RELAXED);           \
  if (!real) {                                                                 \
    real = (typeof (&name)) dlsym (RTLD_NEXT, #name);                          \
    __atomic_store_n (&cached, real, __ATOMIC_RELAXED);                        \
  }

#define LOCKS(name, Type)                                                      \
  void (name) (Type * lock)                                                    \
  {                                                                            \
    REAL (name)                                                                \
    real (lock);                                                               \
    acquire (lock);                                                            \
  }

#define TRIES(name, Type)                                                      \
  gboolean (name) (Type * lock)                                                \
  {                                                                            \
    REAL (name)                                                                \
    gboolean locked = real (lock);                                             \
    if (locked)                                                                \
      acquire (lock);                                                          \
    return locked;                                                             \
  }

#define UNLOCKS(name, Type)                                                    \
  void (name) (Type * lock)                                                    \
  {                                                                            \
    REAL (name)                                                                \
    release (lock);                                                            \
    real (lock);                                                               \
  }

LOCKS (g_mutex_lock, GMutex)
TRIES (g_mutex_trylock, GMutex)
UNLOCKS (g_mutex_unlock, GMutex)
LOCKS (g_rec_mutex_lock, GRecMutex)
TRIES (g_rec_mutex_trylock, GRecMutex)
UNLOCKS (g_rec_mutex_unlock, GRecMutex)
LOCKS (g_rw_lock_writer_lock, GRWLock)
TRIES (g_rw_lock_writer_trylock, GRWLock)
UNLOCKS (g_rw_lock_writer_unlock, GRWLock)
LOCKS (g_rw_lock_reader_lock, GRWLock)
TRIES (g_rw_lock_reader_trylock, GRWLock)
UNLOCKS (g_rw_lock_reader_unlock, GRWLock)

void (g_cond_wait) (GCond *cond, GMutex *mutex)
{
  REAL (g_cond_wait)
  release (mutex);
  real (cond, mutex);
  acquire (mutex);
}

gboolean (g_cond_wait_until) (GCond *cond, GMutex *mutex, gint64 end_time)
{
  REAL (g_cond_wait_until)
  release (mutex);
  gboolean signalled = real (cond, mutex, end_time);
  acquire (mutex);
  return signalled;
}

gboolean (g_once_init_enter) (volatile void *location)
{
  REAL (g_once_init_enter)
  gboolean first = real (location);
  acquire ((void *) location);
  return first;
}

void (g_once_init_leave) (volatile void *location, gsize result)
{
  REAL (g_once_init_leave)
  release ((void *) location);
  real (location, result);
}

/* What is pushed is seen by who pops it. */
void
g_async_queue_push (GAsyncQueue *queue, gpointer data)
{
  REAL (g_async_queue_push)
  release (queue);
  real (queue, data);
}

gpointer
g_async_queue_pop (GAsyncQueue *queue)
{
  REAL (g_async_queue_pop)
  gpointer data = real (queue);
  acquire (queue);
  return data;
}

gpointer
g_async_queue_try_pop (GAsyncQueue *queue)
{
  REAL (g_async_queue_try_pop)
  gpointer data = real (queue);
  acquire (queue);
  return data;
}

gpointer
g_async_queue_timeout_pop (GAsyncQueue *queue, guint64 timeout)
{
  REAL (g_async_queue_timeout_pop)
  gpointer data = real (queue, timeout);
  acquire (queue);
  return data;
}

/* The last reference frees, after all that was done under the others. */
void (g_object_unref) (gpointer object)
{
  REAL (g_object_unref)
  release (object);
  acquire (object);
  real (object);
}

void
gst_object_unref (gpointer object)
{
  REAL (gst_object_unref)
  release (object);
  acquire (object);
  real (object);
}

void
gst_mini_object_unref (GstMiniObject *object)
{
  REAL (gst_mini_object_unref)
  release (object);
  acquire (object);
  real (object);
}

/* A pool of threads, which GStreamer's tasks run in. */
typedef struct {
  GFunc func;
  gpointer user_data;
} Pool;

static void
run_in_pool (gpointer data, gpointer user_data)
{
  const Pool *pool = user_data;

  acquire (data);
  pool->func (data, pool->user_data);
}

/* What is allocated here is as old as the program. */
GThreadPool *
g_thread_pool_new (GFunc func, gpointer user_data, gint max_threads,
    gboolean exclusive, GError **error)
{
  REAL (g_thread_pool_new)
  Pool *pool = g_new (Pool, 1);

  *pool = (Pool){func, user_data};
  return real (run_in_pool, pool, max_threads, exclusive, error);
}

gboolean
g_thread_pool_push (GThreadPool *pool, gpointer data, GError **error)
{
  REAL (g_thread_pool_push)
  release (data);
  return real (pool, data, error);
}

/* Memory that GLib hands out in slices goes from thread to thread under a lock
 * of its own. To the sanitizer whoever got the block has written all of it, and
 * every other thread's first use is a race with that; here nobody has. */
int
posix_memalign (void **memory, size_t alignment, size_t size)
{
  REAL (posix_memalign)
  Dl_info caller;
  const int is_glib = __tsan_ignore_thread_begin &&
                      dladdr (__builtin_return_address (0), &caller) &&
                      caller.dli_fname &&
                      strstr (caller.dli_fname, "libglib-2.0") != NULL;

  if (is_glib)
    __tsan_ignore_thread_begin ();
  const int result = real (memory, alignment, size);
  if (is_glib)
    __tsan_ignore_thread_end ();
  return result;
}
