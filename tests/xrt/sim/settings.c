/* Settings: environment variables NPUSIM_*, a control file, npusim_set.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "sim.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef enum { NUMBER, COUNT, FLAG, TEXT } Kind;

typedef struct {
  const char *name;
  Kind kind;
  size_t offset;
} Setting;

#define SETTING(name, kind)                                                    \
  {                                                                            \
#name, kind, offsetof(SimSettings, name)                                   \
  }

static const Setting settings[] = {
    SETTING (contexts, COUNT),
    SETTING (depth, COUNT),
    SETTING (watchdog_ms, COUNT),
    SETTING (sleep_ms, COUNT),
    SETTING (wake_us, NUMBER),
    SETTING (latency_us, NUMBER),
    SETTING (queued_us, NUMBER),
    SETTING (chained_us, NUMBER),
    SETTING (switch_us, NUMBER),
    SETTING (bandwidth_gbs, NUMBER),
    SETTING (gops, NUMBER),
    SETTING (check, FLAG),
    SETTING (debug, FLAG),
    SETTING (report, TEXT),
    SETTING (control, TEXT),
    SETTING (name, TEXT),
    SETTING (seed, COUNT),
    SETTING (programs, TEXT),
};

static const SimDevice devices[SIM_N_GENERATIONS] = {
    [SIM_PHOENIX] = {"phoenix", "RyzenAI-npu1", "0x1502", "0x00", false},
    [SIM_STRIX] = {"strix", "RyzenAI-npu4", "0x17f0", "0x10", true},
    [SIM_STRIX_HALO] = {"strix-halo", "RyzenAI-npu5", "0x17f0", "0x11", true},
    [SIM_KRACKAN] = {"krackan", "RyzenAI-npu6", "0x17f0", "0x20", true},
};

const SimDevice *
sim_device (void)
{
  return &devices[sim.settings.generation];
}

static int
set_generation (const char *value)
{
  for (int i = 0; i < SIM_N_GENERATIONS; i++)
    if (!strcmp (value, devices[i].setting)) {
      sim.settings.generation = (SimGeneration) i;
      return 0;
    }
  return -1;
}

static int
set_value (const Setting *setting, const char *value)
{
  void *place = (char *) &sim.settings + setting->offset;
  char *end = NULL;

  if (setting->kind == TEXT) {
    snprintf (place, sizeof sim.settings.report, "%s", value);
    return 0;
  }
  errno = 0;
  if (setting->kind == NUMBER) {
    const double x = strtod (value, &end);
    if (end == value || *end || !(x >= 0))
      return -1;
    *(double *) place = x;
  } else {
    const unsigned long x = strtoul (value, &end, 10);
    if (end == value || *end || errno || x > 1000000 || *value == '-')
      return -1;
    if (setting->kind == FLAG)
      *(bool *) place = x != 0;
    else
      *(unsigned *) place = (unsigned) x;
  }
  if (sim.settings.depth < 1 || sim.settings.depth > SIM_MAX_DEPTH)
    sim.settings.depth = 4;
  return 0;
}

int
sim_settings_set (const char *name, const char *value)
{
  if (!strcmp (name, "generation"))
    return set_generation (value);
  if (!strcmp (name, "fail"))
    return sim_failures_parse (value);
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
    if (!strcmp (name, settings[i].name))
      return set_value (&settings[i], value);
  return -1;
}

static void
set_or_complain (const char *name, const char *value, const char *where)
{
  if (sim_settings_set (name, value))
    fprintf (stderr,
        "npusim: %s: there is no setting '%s', or '%s' is no value of it; see "
        "the simulator's README.md\n",
        where, name, value);
}

void
sim_settings_load (void)
{
  extern char **environ;

  sim.settings.depth = 4;
  sim.settings.watchdog_ms = 2000;
  sim.settings.check = true;
  for (char **variable = environ; variable && *variable; variable++) {
    char name[64], *equals = strchr (*variable, '=');
    size_t length;

    if (strncmp (*variable, "NPUSIM_", 7) || !equals)
      continue;
    length = (size_t) (equals - *variable) - 7;
    if (length >= sizeof name)
      continue;
    for (size_t i = 0; i < length; i++)
      name[i] = (char) tolower ((unsigned char) (*variable)[7 + i]);
    name[length] = 0;
    set_or_complain (name, equals + 1, "environment");
  }
}

void
sim_settings_poll (void)
{
  static struct timespec seen;
  struct stat status;
  char line[512];
  FILE *file;

  if (!sim.settings.control[0] || stat (sim.settings.control, &status) ||
      (status.st_mtim.tv_sec == seen.tv_sec &&
          status.st_mtim.tv_nsec == seen.tv_nsec))
    return;
  seen = status.st_mtim;
  file = fopen (sim.settings.control, "re");
  if (!file)
    return;
  while (fgets (line, sizeof line, file)) {
    char *value = strchr (line, '=');

    line[strcspn (line, "\r\n")] = 0;
    if (!line[0] || line[0] == '#')
      continue;
    if (value)
      *value++ = 0;
    set_or_complain (line, value ? value : "", sim.settings.control);
  }
  fclose (file);
}
