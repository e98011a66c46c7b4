/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rig.h"

#include <cstdio>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <dlfcn.h>
#include <unistd.h>

namespace rig
{

std::string overlays;

static int n_tests, n_failed;

/* XRT writes to stdout as well: TAP has that for itself, and XRT the other. */
static FILE *
tap ()
{
  static FILE *file;

  if (!file) {
    file = fdopen (dup (STDOUT_FILENO), "w");
    dup2 (STDERR_FILENO, STDOUT_FILENO);
  }
  return file;
}

void
note (const std::string &text)
{
  std::fprintf (tap (), "# %s\n", text.c_str ());
}

static void *
find (const char *name)
{
  void *symbol = dlsym (RTLD_DEFAULT, name);

  if (!symbol) {
    std::fprintf (
        tap (), "Bail out! the simulator is not preloaded: no %s\n", name);
    std::exit (1);
  }
  return symbol;
}

void
set (const std::string &name, const std::string &value)
{
  auto function = (decltype (&npusim_set)) find ("npusim_set");

  if (function (name.c_str (), value.c_str ()))
    fail ("no setting " + name + "=" + value);
}

void
reset ()
{
  ((decltype (&npusim_reset)) find ("npusim_reset")) ();
}

NpusimCounters
counters ()
{
  NpusimCounters counters = {};

  counters.size = sizeof counters;
  ((decltype (&npusim_get_counters)) find ("npusim_get_counters")) (&counters);
  return counters;
}

std::string
last_violation ()
{
  return (
      (decltype (&npusim_last_violation)) find ("npusim_last_violation")) ();
}

void
fail (const std::string &reason)
{
  throw std::logic_error (reason);
}

void
check (bool condition, const std::string &what)
{
  if (!condition)
    fail (what);
}

void
check_equal (uint64_t got, uint64_t wanted, const std::string &what)
{
  if (got != wanted)
    fail (what + ": " + std::to_string (got) + ", not " +
          std::to_string (wanted));
}

std::string
error_of (const std::function<void ()> &what)
{
  try {
    what ();
  } catch (const std::logic_error &) {
    throw;
  } catch (const std::exception &error) {
    note (error.what ());
    return error.what ();
  }
  fail ("nothing was thrown");
}

void
check_contains (const std::string &text, const std::string &part)
{
  if (text.find (part) == std::string::npos)
    fail ("'" + text + "' lacks '" + part + "'");
}

static void
check_nothing_is_left (uint64_t violations)
{
  const NpusimCounters now = counters ();

  check_equal (now.opens, 0, "open files");
  check_equal (now.all_bos, 0, "buffers alive");
  check_equal (now.contexts, 0, "contexts alive");
  check_equal (now.in_flight, 0, "commands in flight");
  check_equal (now.leaked_bos, 0, "buffers leaked");
  check_equal (now.leaked_contexts, 0, "contexts leaked");
  check_equal (now.violations, violations,
      "violations (the last: " + last_violation () + ")");
}

void
test (const char *name, uint64_t violations, const std::function<void ()> &body)
{
  std::string reason;

  n_tests++;
  try {
    reset ();
    body ();
    check_nothing_is_left (violations);
  } catch (const std::exception &error) {
    reason = error.what ();
  }
  n_failed += !reason.empty ();
  std::fprintf (
      tap (), "%sok %d - %s\n", reason.empty () ? "" : "not ", n_tests, name);
  if (!reason.empty ())
    note (reason);
  std::fflush (tap ());
}

int
result ()
{
  std::fprintf (tap (), "1..%d\n", n_tests);
  std::fflush (tap ());
  return n_failed > 0;
}

/* --- overlays */

static std::vector<uint32_t>
read_words (const std::string &path)
{
  std::ifstream file (path, std::ios::binary);
  std::vector<char> bytes ((std::istreambuf_iterator<char> (file)),
      std::istreambuf_iterator<char> ());
  std::vector<uint32_t> words (bytes.size () / 4);

  if (words.empty ())
    fail ("there is no " + path);
  std::memcpy (words.data (), bytes.data (), words.size () * 4);
  return words;
}

Overlay::Overlay (const std::string &name) : Overlay (xrt::device (0), name)
{
}

Overlay::Overlay (const xrt::device &on, const std::string &name)
    : device (on), xclbin (overlays + "/" + name + ".xclbin")
{
  const auto words = read_words (overlays + "/" + name + ".bin");

  device.register_xclbin (xclbin);
  context = xrt::hw_context (device, xclbin.get_uuid ());
  kernel = xrt::kernel (context, "MLIR_AIE");
  n_instructions = (uint32_t) words.size ();
  instructions = xrt::bo (
      device, words.size () * 4, XCL_BO_FLAGS_CACHEABLE, kernel.group_id (1));
  std::memcpy (instructions.map<void *> (), words.data (), words.size () * 4);
  instructions.sync (XCL_BO_SYNC_BO_TO_DEVICE);
}

xrt::bo
Overlay::buffer (size_t size, int argument)
{
  return xrt::bo (
      device, size, XRT_BO_FLAGS_HOST_ONLY, kernel.group_id (3 + argument));
}

xrt::run
Overlay::run (const std::vector<xrt::bo> &buffers)
{
  xrt::run run (kernel);

  run.set_arg (0, (uint64_t) 3);
  run.set_arg (1, instructions);
  run.set_arg (2, n_instructions);
  for (size_t i = 0; i < buffers.size (); i++)
    run.set_arg (3 + (int) i, buffers[i]);
  return run;
}

Product::Product (Overlay &overlay)
    : in (overlay.buffer (512, 0)), out (overlay.buffer (256, 1)),
      run (overlay.run ({in, out}))
{
}

void
Product::fill (int seed)
{
  int8_t *a = in.map<int8_t *> (), *b = a + 256;

  for (int i = 0; i < 512; i++)
    a[i] = (int8_t) ((i * 37 + seed * 101 + i * i * 3) % 251 - 125);
  for (int row = 0; row < 16; row++)
    for (int column = 0; column < 16; column++) {
      int sum = 0;
      for (int i = 0; i < 16; i++)
        sum += a[row * 16 + i] * b[i * 16 + column];
      /* The quick-start guide's kernel rounds down. */
      const double rounded = std::floor (sum / 128.0);
      wanted[row * 16 + column] = (int8_t) (rounded < -128  ? -128
                                            : rounded > 127 ? 127
                                                            : rounded);
    }
  in.sync (XCL_BO_SYNC_BO_TO_DEVICE);
}

bool
Product::output_is_right ()
{
  out.sync (XCL_BO_SYNC_BO_FROM_DEVICE);
  return !std::memcmp (out.map<int8_t *> (), wanted, sizeof wanted);
}

void
Product::check_output ()
{
  check (output_is_right (), "the product is wrong");
}

} // namespace rig
