/* Every failure on demand, as a program sees it through XRT; afterwards
 * everything works again and nothing is left.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "rig.h"

#include <chrono>
#include <cstdio>
#include <deque>
#include <fstream>
#include <thread>

using namespace rig;
using Clock = std::chrono::steady_clock;

static void
works ()
{
  Overlay overlay;
  Product product (overlay);

  product.fill (1);
  product.run.start ();
  check_equal (product.run.wait (1000), ERT_CMD_STATE_COMPLETED, "state");
  product.check_output ();
}

static void
open_fails (const char *kind, const char *text)
{
  set ("fail", kind);
  check_contains (error_of ([] { xrt::device (0); }), text);
  set ("fail", "");
  works ();
}

static void
mmap_fails ()
{
  set ("fail", "memlock:n=1");
  check_contains (
      error_of ([] { xrt::device (0); }), "Resource temporarily unavailable");
  set ("fail", "");
  works ();
}

static void
mmap_of_a_buffer_fails ()
{
  Overlay overlay;

  set ("fail", "memlock");
  check_contains (error_of ([&] { overlay.buffer (4096, 0); }),
      "Resource temporarily unavailable");
  set ("fail", "memory");
  check_contains (error_of ([&] { overlay.buffer (4096, 0); }), "memory");
  set ("fail", "");
  overlay.buffer (4096, 0);
}

static void
context_fails (const char *kind, const char *text)
{
  xrt::device device (0);

  set ("fail", kind);
  check_contains (error_of ([&] { Overlay{device}; }), text);
  set ("fail", "");
  Overlay{device};
}

static void
wait_times_out ()
{
  Overlay overlay;
  Product product (overlay);

  set ("watchdog_ms", "1500");
  set ("fail", "hang:n=1");
  product.fill (1);
  product.run.start ();
  const auto start = Clock::now ();
  check_equal (product.run.wait (50), ERT_CMD_STATE_TIMEOUT, "state");
  const std::chrono::duration<double> time = Clock::now () - start;
  check (time.count () < 1.4, "the wait was the watchdog's");
  check_equal (counters ().in_flight, 1, "in flight");
  /* Then the watchdog strikes, and the context can be used again. */
  std::this_thread::sleep_for (std::chrono::milliseconds (2000));
  check_equal (counters ().in_flight, 0, "in flight after the watchdog");
  check_equal (product.run.state (), ERT_CMD_STATE_TIMEOUT, "state");
  product.run.start ();
  check_equal (product.run.wait (20000), ERT_CMD_STATE_COMPLETED, "state");
  product.check_output ();
  set ("watchdog_ms", "2000");
}

static void
queue_is_aborted ()
{
  Overlay overlay;
  std::deque<Product> slots;

  set ("watchdog_ms", "200");
  set ("fail", "hang:n=1");
  for (int i = 0; i < 3; i++) {
    slots.emplace_back (overlay);
    slots.back ().fill (i);
    slots.back ().run.start ();
  }
  check_equal (slots[0].run.wait (2000), ERT_CMD_STATE_TIMEOUT, "state");
  check_equal (slots[1].run.wait (2000), ERT_CMD_STATE_ABORT, "state");
  check_equal (slots[2].run.wait (2000), ERT_CMD_STATE_ABORT, "state");
  set ("watchdog_ms", "2000");
}

static void
command_fails (const char *kind, ert_cmd_state state)
{
  Overlay overlay;
  Product product (overlay);

  set ("fail", std::string (kind) + ":n=2");
  for (int i = 0; i < 3; i++) {
    product.fill (i);
    product.run.start ();
    check_equal (product.run.wait (1000),
        i == 1 ? state : ERT_CMD_STATE_COMPLETED,
        "state of command " + std::to_string (i));
    if (i != 1)
      product.check_output ();
  }
  check_equal (counters ().failures, 1, "failures");
}

static void
list_fails ()
{
  Overlay overlay;
  std::deque<Product> slots;
  xrt::runlist list (overlay.context);

  for (int i = 0; i < 4; i++) {
    slots.emplace_back (overlay);
    slots.back ().fill (i);
    list.add (slots.back ().run);
  }
  set ("fail", "error:n=1");
  list.execute ();
  error_of ([&] { list.wait (std::chrono::milliseconds (1000)); });
  set ("fail", "");
  list.execute ();
  list.wait (std::chrono::milliseconds (1000));
  for (auto &slot : slots)
    slot.check_output ();
}

static void
submission_fails ()
{
  Overlay overlay;
  Product product (overlay);

  product.fill (1);
  set ("fail", "submit:n=1");
  check_contains (error_of ([&] { product.run.start (); }), "Invalid argument");
}

static void
device_is_lost ()
{
  {
    Overlay overlay;
    Product product (overlay), next (overlay);

    product.fill (1);
    next.fill (2);
    set ("latency_us", "100000");
    set ("fail", "lost:n=2");
    product.run.start ();
    check_contains (error_of ([&] { next.run.start (); }), "No such device");
    check_contains (
        error_of ([&] { overlay.buffer (4096, 0); }), "No such device");
    /* XRT ends the process if a run goes that it has not seen finished. */
    check_equal (product.run.state (), ERT_CMD_STATE_ABORT, "state");
  }
  check_contains (
      error_of ([] { xrt::device (0); }), "No such file or directory");
  set ("latency_us", "0");
  set ("fail", "");
  works ();
}

static void
wait_for_a_lost_device ()
{
  Overlay overlay;
  Product product (overlay), other (overlay);

  set ("fail", "hang:n=1,lost:n=2");
  product.fill (1);
  product.run.start ();
  std::thread loser ([&] {
    std::this_thread::sleep_for (std::chrono::milliseconds (100));
    error_of ([&] { other.run.start (); });
  });
  /* Aborted, or an exception: but it comes back. */
  const auto start = Clock::now ();
  try {
    check (product.run.wait (5000) != ERT_CMD_STATE_COMPLETED, "it completed");
  } catch (const std::system_error &error) {
    note (error.what ());
    check_equal (product.run.state (), ERT_CMD_STATE_ABORT, "state");
  }
  loser.join ();
  const std::chrono::duration<double> time = Clock::now () - start;
  check (time.count () < 2, "the wait went on");
  set ("fail", "");
}

static void
old_driver ()
{
  Overlay overlay;
  Product product (overlay);

  set ("fail", "old");
  set ("latency_us", "50000");
  product.fill (1);
  product.run.start ();
  check_contains (
      error_of ([&] { product.run.wait (1000); }), "Invalid argument");
  set ("fail", "");
  product.run.wait (1000);
  set ("latency_us", "0");
}

static void
corrupt_output ()
{
  Overlay overlay;
  Product product (overlay);

  set ("fail", "corrupt:n=1");
  product.fill (1);
  product.run.start ();
  product.run.wait (1000);
  check (!product.output_is_right (), "the output is right");
}

static void
chances ()
{
  Overlay overlay;
  Product product (overlay);
  uint64_t n_failed[2] = {};

  product.fill (1);
  for (uint64_t &n : n_failed) {
    set ("fail", "error:p=0.2:seed=3:from=11");
    for (int i = 0; i < 110; i++) {
      product.run.start ();
      const bool failed = product.run.wait (1000) != ERT_CMD_STATE_COMPLETED;
      check (!failed || i >= 10, "a command before the first failed");
      n += failed;
    }
  }
  check (n_failed[0] > 5 && n_failed[0] < 40,
      std::to_string (n_failed[0]) + " of 100 failed");
  check_equal (n_failed[1], n_failed[0], "failures the second time");
}

static void
control_file (const std::string &path)
{
  Overlay overlay;
  Product product (overlay);

  product.fill (1);
  std::ofstream (path) << "fail=error\n";
  set ("control", path);
  product.run.start ();
  check_equal (product.run.wait (1000), ERT_CMD_STATE_ERROR, "state");
  std::ofstream (path) << "# none\nfail=\n";
  product.run.start ();
  check_equal (product.run.wait (1000), ERT_CMD_STATE_COMPLETED, "state");
  set ("control", "");
  std::remove (path.c_str ());
}

int
main (int argc, char **argv)
{
  overlays = argc > 1 ? argv[1] : ".";
  test ("no permission", 0, [] { open_fails ("access", "Permission denied"); });
  test ("busy node", 0, [] { open_fails ("busy-open", "busy"); });
  test ("memlock limit at open", 0, mmap_fails);
  test ("memlock limit and no memory for a buffer", 0, mmap_of_a_buffer_fails);
  test ("no context left", 0,
      [] { context_fails ("context", "Invalid argument"); });
  test ("busy device", 0, [] { context_fails ("busy", "busy"); });
  test ("a hung command: the wait ends, then the watchdog strikes", 0,
      wait_times_out);
  test ("what is queued behind a hung command is aborted", 0, queue_is_aborted);
  test ("error state", 0, [] { command_fails ("error", ERT_CMD_STATE_ERROR); });
  test ("aborted", 0, [] { command_fails ("abort", ERT_CMD_STATE_ABORT); });
  test ("a run list fails", 0, list_fails);
  test ("a submission fails", 0, submission_fails);
  test ("the device is lost", 0, device_is_lost);
  test ("the device is lost while a command is waited for", 0,
      wait_for_a_lost_device);
  test ("an old driver", 0, old_driver);
  test ("corrupt output", 0, corrupt_output);
  test ("failures by chance are the same for the same seed", 0, chances);
  test ("settings come from a control file", 0,
      [argv] { control_file (std::string (argv[0]) + ".control"); });
  return result ();
}
