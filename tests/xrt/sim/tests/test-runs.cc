/* Programs that do everything right: runs, queues, chains, contexts.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "rig.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>

using namespace rig;
using Clock = std::chrono::steady_clock;

static void
one_run ()
{
  Overlay overlay;
  Product product (overlay);

  product.fill (1);
  product.run.start ();
  check_equal (product.run.wait (1000), ERT_CMD_STATE_COMPLETED, "state");
  product.check_output ();
  check_equal (counters ().commands, 1, "commands");
}

static void
pipeline ()
{
  Overlay overlay;
  std::deque<Product> slots;

  set ("latency_us", "2000");
  for (int i = 0; i < 3; i++)
    slots.emplace_back (overlay);
  for (int i = 0; i < 30; i++) {
    Product &slot = slots[(size_t) i % 3];

    if (i >= 3) {
      slot.run.wait2 ();
      slot.check_output ();
    }
    slot.fill (i);
    slot.run.start ();
  }
  for (auto &slot : slots)
    slot.run.wait2 ();
  for (auto &slot : slots)
    slot.check_output ();
  check_equal (counters ().most_in_flight, 3, "most in flight");
  check_equal (counters ().blocked, 0, "blocked submissions");
  set ("latency_us", "0");
}

static void
fifth_submission_blocks ()
{
  Overlay overlay;
  std::deque<Product> slots;

  set ("latency_us", "200000");
  for (int i = 0; i < 5; i++) {
    slots.emplace_back (overlay);
    slots.back ().fill (i);
  }
  for (int i = 0; i < 4; i++)
    slots[(size_t) i].run.start ();
  const auto start = Clock::now ();
  slots[4].run.start ();
  const std::chrono::duration<double> blocked = Clock::now () - start;
  for (auto &slot : slots)
    slot.run.wait2 ();
  for (auto &slot : slots)
    slot.check_output ();
  check (blocked.count () > 0.02, "the fifth submission did not block");
  check_equal (counters ().most_in_flight, 4, "most in flight");
  check_equal (counters ().blocked, 1, "blocked submissions");
  set ("latency_us", "0");
}

static void
run_list ()
{
  Overlay overlay;
  std::deque<Product> slots;
  xrt::runlist list (overlay.context);

  for (int i = 0; i < 10; i++) {
    slots.emplace_back (overlay);
    slots.back ().fill (i);
    list.add (slots.back ().run);
  }
  list.execute ();
  list.wait (std::chrono::milliseconds (1000));
  for (auto &slot : slots)
    slot.check_output ();
  check_equal (counters ().chains, 1, "chains");
  check_equal (counters ().commands, 10, "commands");
  list.reset ();
}

static void
seventh_context ()
{
  xrt::device device (0);
  std::deque<Overlay> six;

  for (int i = 0; i < 6; i++)
    six.emplace_back (device);
  check_contains (error_of ([&] { Overlay{device}; }), "Invalid argument");
  check_equal (counters ().most_contexts, 6, "most contexts");
  six.pop_back ();
  Overlay again (device);
  Product product (again);
  product.fill (7);
  product.run.start ();
  product.run.wait2 ();
  product.check_output ();
}

static void
contexts_take_turns ()
{
  xrt::device device (0);
  Overlay one (device), other (device);
  Product first (one), second (other);

  set ("gops", "0.00027"); /* 8192 operations: 30 ms */
  first.fill (1);
  second.fill (2);
  const auto start = Clock::now ();
  first.run.start ();
  second.run.start ();
  first.run.wait2 ();
  second.run.wait2 ();
  const std::chrono::duration<double> both = Clock::now () - start;
  first.check_output ();
  second.check_output ();
  check (both.count () > 0.055, "both had the array at once");
  check_equal (counters ().switches, 1, "switches");
  set ("gops", "0");
}

static void
memory_is_freed ()
{
  Overlay overlay;
  const uint64_t before = counters ().bos;
  uint64_t addresses = 0;

  for (int i = 0; i < 50; i++) {
    xrt::bo bo = overlay.buffer (32 << 20, 0);
    bo.map<char *> ()[i] = 1;
    addresses |= bo.address ();
    check_equal (bo.map<uint8_t *> ()[i + 1], 0, "a byte of a new buffer");
    if (i)
      check_equal (bo.map<uint8_t *> ()[i - 1], 0, "a byte of a freed buffer");
    check_equal (counters ().bos, before + 1, "buffers");
  }
  check (addresses != 0, "no addresses");
}

static void
parts_of_buffers ()
{
  Overlay overlay;
  Product product (overlay);
  xrt::bo all = overlay.buffer (4096, 1), part (all, 256, 1024);
  xrt::run run = overlay.run ({product.in, part});

  product.fill (3);
  run.start ();
  run.wait2 ();
  product.run.start ();
  product.run.wait2 ();
  product.check_output ();
  part.sync (XCL_BO_SYNC_BO_FROM_DEVICE);
  check (!memcmp (all.map<char *> () + 1024, product.out.map<char *> (), 256),
      "the part has other bytes");
}

static void
user_pointers ()
{
  Overlay overlay;
  Product product (overlay);
  void *memory = aligned_alloc (4096, 4096);
  {
    xrt::bo out (overlay.device, memory, 4096, XRT_BO_FLAGS_HOST_ONLY,
        overlay.kernel.group_id (4));
    xrt::run run = overlay.run ({product.in, out});

    product.fill (4);
    run.start ();
    run.wait2 ();
    product.run.start ();
    product.run.wait2 ();
    product.check_output ();
    out.sync (XCL_BO_SYNC_BO_FROM_DEVICE);
    check (!memcmp (memory, product.out.map<char *> (), 256),
        "the user's memory has other bytes");
  }
  free (memory);
}

static void
one_run_many_times ()
{
  Overlay overlay;
  Product product (overlay);

  for (int i = 0; i < 200; i++) {
    product.fill (i);
    product.run.start ();
    product.run.wait2 ();
    product.check_output ();
  }
}

static void
latencies ()
{
  Overlay overlay;
  Product product (overlay);

  set ("latency_us", "3000");
  product.fill (1);
  const auto start = Clock::now ();
  for (int i = 0; i < 10; i++) {
    product.run.start ();
    product.run.wait2 ();
  }
  const std::chrono::duration<double> time = Clock::now () - start;
  check (time.count () >= 0.03,
      std::to_string (time.count ()) + " s for 10 launches of 3 ms");
  set ("latency_us", "0");
}

int
main (int argc, char **argv)
{
  overlays = argc > 1 ? argv[1] : ".";
  test ("a run computes its buffers", 0, one_run);
  test ("runs overlap in a pipeline of three", 0, pipeline);
  test ("the fifth submission of a context blocks", 0, fifth_submission_blocks);
  test ("a run list is one submission", 0, run_list);
  test ("the seventh context is refused", 0, seventh_context);
  test ("contexts take turns", 0, contexts_take_turns);
  test ("freed buffers give their memory back, and it is zero", 0,
      memory_is_freed);
  test ("parts of buffers are addressed", 0, parts_of_buffers);
  test ("buffers over the program's own memory", 0, user_pointers);
  test ("a run is started again", 0, one_run_many_times);
  test ("a launch takes its latency", 0, latencies);
  return result ();
}
