/* What the simulator's tests share: the simulator's functions, an overlay ready
 * to run, and results in TAP.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npusim.h"

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <xrt/xrt_bo.h>
#include <xrt/xrt_device.h>
#include <xrt/xrt_hw_context.h>
#include <xrt/xrt_kernel.h>
#include <xrt/experimental/xrt_kernel.h>
#include <xrt/experimental/xrt_xclbin.h>

namespace rig
{

/* The simulator, found in the process. */
void set (const std::string &name, const std::string &value);
void reset ();
NpusimCounters counters ();
std::string last_violation ();

/* A line of the test's output that is no result. */
void note (const std::string &text);
/* Fails the test with the reason. */
[[noreturn]] void fail (const std::string &reason);
void check (bool condition, const std::string &what);
void check_equal (uint64_t got, uint64_t wanted, const std::string &what);

/* The text of the exception that `what` throws; fails if it throws none. */
std::string error_of (const std::function<void ()> &what);
void check_contains (const std::string &text, const std::string &part);

/* Runs a test, after which nothing may be alive; `violations` is how many the
 * test makes. */
void test (
    const char *name, uint64_t violations, const std::function<void ()> &body);
int result (); /* the plan, and the exit status */

extern std::string overlays; /* the folder */

class Overlay
{
public:
  explicit Overlay (const std::string &name = PRODUCT); /* on device 0 */
  explicit Overlay (
      const xrt::device &device, const std::string &name = PRODUCT);

  xrt::bo buffer (size_t size, int argument);
  /* A run whose buffers are set, in the order of the overlay's arguments. */
  xrt::run run (const std::vector<xrt::bo> &buffers);

  xrt::device device;
  xrt::xclbin xclbin;
  xrt::hw_context context;
  xrt::kernel kernel;
  xrt::bo instructions;
  uint32_t n_instructions;

private:
  static constexpr const char *PRODUCT = "matmul_16x16";
};

/* Products of 16 x 16 int8: the packed program matmul_16x16. */
class Product
{
public:
  explicit Product (Overlay &overlay);

  void fill (int seed); /* input, and syncs it */
  void check_output (); /* syncs it and compares */
  bool output_is_right ();

  xrt::bo in, out;
  xrt::run run;

private:
  int8_t wanted[256];
};

} // namespace rig
