/* The default number of workers: what taskset, cpusets and the quotas of
 * cgroups leave of the machine.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <sched.h>

#include "device/cpu/cpu-count.h"
#include "device/npu-device.h"

#define N_CPUS 16

/* A file below a made-up root. */
typedef struct {
  const char *path, *content;
} File;

typedef struct {
  const char *name;
  File files[8];
  guint expected; /* of N_CPUS */
} Case;

static const Case cases[] = {
    {"no-cgroups", {{NULL, NULL}}, 16},
    {"v2/no-limit",
        {{"proc/self/cgroup", "0::/user.slice\n"},
            {"sys/fs/cgroup/user.slice/cpu.max", "max 100000\n"}},
        16},
    {"v2/limit",
        {{"proc/self/cgroup", "0::/a/b\n"},
            {"sys/fs/cgroup/a/b/cpu.max", "250000 100000\n"}},
        3},
    {"v2/limit-above",
        {{"proc/self/cgroup", "0::/a/b\n"},
            {"sys/fs/cgroup/a/b/cpu.max", "800000 100000\n"},
            {"sys/fs/cgroup/a/cpu.max", "200000 100000\n"}},
        2},
    {"v2/container", /* the top is its own group */
        {{"proc/self/cgroup", "0::/\n"},
            {"sys/fs/cgroup/cpu.max", "50000 100000\n"}},
        1},
    {"v2/group-of-another-namespace",
        {{"proc/self/cgroup", "0::/../../x\n"},
            {"sys/fs/cgroup/cpu.max", "400000 100000\n"}},
        4},
    {"v2/nonsense",
        {{"proc/self/cgroup", "0::/a\n"},
            {"sys/fs/cgroup/a/cpu.max", "100000\n"},
            {"sys/fs/cgroup/cpu.max", "-5 100000\n"}},
        16},
    {"v2/zeros",
        {{"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/cpu.max", "0 0\n"}},
        16},
    {"v1/no-limit",
        {{"proc/self/cgroup", "5:cpuset:/\n4:cpu,cpuacct:/a\n"},
            {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n"},
            {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"}},
        16},
    {"v1/limit",
        {{"proc/self/cgroup", "5:cpuset:/\n4:cpu,cpuacct:/a/b\n1:name=x:/\n"},
            {"sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n"},
            {"sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n"},
            {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "150000\n"},
            {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "50000\n"}},
        3},
    {"v1/container", /* named as outside, mounted as its own */
        {{"proc/self/cgroup", "4:cpu,cpuacct:/docker/0123\n"},
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n"},
            {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}},
        2},
    {"v1/another-controller",
        {{"proc/self/cgroup", "4:cpuacct:/a\n"},
            {"sys/fs/cgroup/cpuacct/a/cpu.cfs_quota_us", "100000\n"},
            {"sys/fs/cgroup/cpuacct/a/cpu.cfs_period_us", "100000\n"}},
        16},
    {"both",
        {{"proc/self/cgroup", "4:cpu:/a\n0::/b\n"},
            {"sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "700000\n"},
            {"sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"},
            {"sys/fs/cgroup/unified/b/cpu.max", "500000 100000\n"}},
        5},
};

/* Removes the files, and the folders that are empty then. */
static void
remove_root (const char *root, const Case *c)
{
  for (guint i = 0; i < G_N_ELEMENTS (c->files) && c->files[i].path; i++) {
    char *path = g_build_filename (root, c->files[i].path, NULL);

    g_remove (path);
    for (;;) {
      char *folder = g_path_get_dirname (path);

      g_free (path);
      path = folder;
      if (g_rmdir (path) != 0 || g_str_equal (path, root))
        break;
    }
    g_free (path);
  }
  g_rmdir (root);
}

static void
test_case (gconstpointer data)
{
  const Case *c = data;
  g_autofree char *root = g_dir_make_tmp ("cpu-count-XXXXXX", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (c->files) && c->files[i].path; i++) {
    g_autofree char *path = g_build_filename (root, c->files[i].path, NULL);
    g_autofree char *folder = g_path_get_dirname (path);

    g_mkdir_with_parents (folder, 0700);
    g_assert_true (g_file_set_contents (path, c->files[i].content, -1, NULL));
  }
  g_assert_cmpuint (cpu_count_with_quotas (N_CPUS, root), ==, c->expected);
  g_assert_cmpuint (cpu_count_with_quotas (0, root), ==, 1);
  remove_root (root, c);
}

/* taskset and cpusets: one CPU makes one worker. */
static void
test_affinity (void)
{
  cpu_set_t before, one;
  NpuDevice *device;

  g_assert_cmpint (sched_getaffinity (0, sizeof before, &before), ==, 0);
  CPU_ZERO (&one);
  for (int i = 0; i < CPU_SETSIZE && CPU_COUNT (&one) == 0; i++)
    if (CPU_ISSET (i, &before))
      CPU_SET (i, &one);
  g_assert_cmpint (sched_setaffinity (0, sizeof one, &one), ==, 0);
  g_assert_cmpuint (cpu_count (), ==, 1);
  device = npu_device_open ("cpu", NULL, NULL);
  g_assert_cmpuint (npu_device_get_n_workers (device), ==, 1);
  npu_device_unref (device);
  g_assert_cmpint (sched_setaffinity (0, sizeof before, &before), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path = g_strconcat ("/cpu-count/", cases[i].name, NULL);

    g_test_add_data_func (path, &cases[i], test_case);
  }
  g_test_add_func ("/cpu-count/affinity", test_affinity);
  return g_test_run ();
}
