/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xrt-overlays.h"

#include <string.h>

const char *
xrt_generation_name (XrtGeneration generation)
{
  static const char *const names[] = {
      "any NPU", "npu1", "npu2", "NPU of another generation"};

  return names[generation];
}

/* The number in "RyzenAI-npu4", as the driver names what it has no better name
 * for; 0 where there is none. */
static guint64
number_of (const char *name)
{
  const char *npu = strstr (name, "RyzenAI-npu");

  return npu ? g_ascii_strtoull (npu + strlen ("RyzenAI-npu"), NULL, 10) : 0;
}

static XrtGeneration
generation_of_name (const char *name)
{
  static const struct {
    const char *part;
    XrtGeneration generation;
  } names[] = {
      {"Phoenix", XRT_GENERATION_NPU1},
      {"Hawk", XRT_GENERATION_NPU1},
      {"Strix", XRT_GENERATION_NPU2},
      {"Krackan", XRT_GENERATION_NPU2},
      {"Gorgon", XRT_GENERATION_NPU2},
  };

  switch (number_of (name)) {
    case 0:
      break;
    case 1:
      return XRT_GENERATION_NPU1;
    case 4:
    case 5:
    case 6:
      return XRT_GENERATION_NPU2;
    default:
      return XRT_GENERATION_OTHER;
  }
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    if (strstr (name, names[i].part))
      return names[i].generation;
  return XRT_GENERATION_ANY;
}

XrtGeneration
xrt_generation_of (const char *name, const char *pci_id)
{
  const XrtGeneration named = generation_of_name (name);

  if (named != XRT_GENERATION_ANY)
    return named;
  switch (g_ascii_strtoull (pci_id, NULL, 16)) {
    case 0x1502:
      return XRT_GENERATION_NPU1;
    case 0x17f0:
      return XRT_GENERATION_NPU2;
    case 0:
      return XRT_GENERATION_ANY;
    default:
      return XRT_GENERATION_OTHER;
  }
}
