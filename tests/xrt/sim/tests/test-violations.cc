/* Programs that break a rule: each is told so, and gets what a device would
 * give it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "rig.h"

#include <cstring>
#include <deque>

using namespace rig;

/* An overlay and its product. */
struct Bench {
  Overlay overlay;
  Product product{overlay};

  unsigned
  state_after_run ()
  {
    product.run.start ();
    return product.run.wait (1000);
  }
};

static void
input_not_synced ()
{
  Bench bench;

  bench.product.fill (1);
  bench.product.in.map<char *> ()[17] ^= 0x40;
  check_equal (bench.state_after_run (), ERT_CMD_STATE_COMPLETED, "state");
  /* The device has the old bytes. */
  bench.product.check_output ();
  check_contains (last_violation (), "not synced to the device");
}

static void
output_not_synced ()
{
  Bench bench;

  bench.product.fill (1);
  check_equal (bench.state_after_run (), ERT_CMD_STATE_COMPLETED, "state");
  for (int i = 0; i < 256; i++)
    check_equal ((uint8_t) bench.product.out.map<char *> ()[i], 0, "a byte");
}

static void
writes_are_lost ()
{
  Bench bench;

  bench.product.out.map<char *> ()[3] = 1;
  bench.product.out.sync (XCL_BO_SYNC_BO_FROM_DEVICE);
  check_contains (last_violation (), "overwritten by a sync from the device");
}

static void
output_read_early ()
{
  Bench bench;

  set ("latency_us", "200000");
  bench.product.fill (1);
  bench.product.run.start ();
  bench.product.output_is_right (); /* or not */
  bench.product.run.wait2 ();
  check_contains (last_violation (), "wait for it first");
  set ("latency_us", "0");
  bench.product.check_output ();
}

static void
instructions_not_synced ()
{
  Bench bench;

  bench.overlay.instructions.map<uint32_t *> ()[5] ^= 1;
  bench.product.fill (1);
  check_equal (bench.state_after_run (), ERT_CMD_STATE_COMPLETED, "state");
  check_contains (last_violation (), "the instructions");
}

static void
bytes_for_words ()
{
  Bench bench;

  bench.product.fill (1);
  bench.product.run.set_arg (2, bench.overlay.n_instructions * 4);
  check_equal (bench.state_after_run (), ERT_CMD_STATE_ERROR, "state");
  check_contains (last_violation (), "in bytes (40); it wants words (10)");
}

static void
corrupt_instructions ()
{
  Bench bench;

  bench.overlay.instructions.map<uint32_t *> ()[3] = 0x12345678;
  bench.overlay.instructions.sync (XCL_BO_SYNC_BO_TO_DEVICE);
  bench.product.fill (1);
  check_equal (bench.state_after_run (), ERT_CMD_STATE_ERROR, "state");
  check_contains (last_violation (), "header says");
}

static void
wrong_opcode ()
{
  Bench bench;

  bench.product.fill (1);
  bench.product.run.set_arg (0, (uint64_t) 2);
  check_equal (bench.state_after_run (), ERT_CMD_STATE_ERROR, "state");
  check_contains (last_violation (), "argument 0, the opcode, is 2");
}

static void
data_in_cacheable_memory ()
{
  Bench bench;
  xrt::bo out (bench.overlay.device, 256, XCL_BO_FLAGS_CACHEABLE,
      bench.overlay.kernel.group_id (4));

  bench.product.fill (1);
  bench.product.run.set_arg (4, out);
  check_equal (bench.state_after_run (), ERT_CMD_STATE_ERROR, "state");
  check_contains (last_violation (), "host_only");
}

static void
instructions_in_host_memory ()
{
  Bench bench;
  xrt::bo instructions = bench.overlay.buffer (40, 0);

  xrt::run run (bench.overlay.kernel);

  bench.product.fill (1);
  run.set_arg (0, (uint64_t) 3);
  run.set_arg (1, instructions.address ());
  run.set_arg (2, 10u);
  run.set_arg (3, bench.product.in);
  run.set_arg (4, bench.product.out);
  run.start ();
  check_equal (run.wait (1000), ERT_CMD_STATE_ERROR, "state");
  check_contains (last_violation (), "belong in a cacheable buffer");
}

static void
buffer_too_small ()
{
  Bench bench;
  xrt::bo small = bench.overlay.buffer (255, 1);

  bench.product.fill (1);
  bench.product.run.set_arg (4, small);
  check_equal (bench.state_after_run (), ERT_CMD_STATE_ERROR, "state");
  check_contains (last_violation (), "needs 256 bytes");
}

/* By its address alone, XRT does not hold it. */
static void
buffer_freed_in_flight ()
{
  Bench bench;
  xrt::run run = bench.overlay.run ({bench.product.in});

  set ("latency_us", "50000");
  bench.product.fill (1);
  {
    xrt::bo out = bench.overlay.buffer (256, 1);

    run.set_arg (4, out.address ());
    run.start ();
    check_contains (last_violation (), "which the submission does not name");
  }
  check_contains (last_violation (), "was freed while 1 commands in flight");
  run.wait2 ();
  set ("latency_us", "0");
}

static void
address_of_nothing ()
{
  Bench bench;
  xrt::run run = bench.overlay.run ({bench.product.in});

  bench.product.fill (1);
  run.set_arg (4, (uint64_t) bench.product.out.map<char *> ());
  run.start ();
  check_equal (run.wait (1000), ERT_CMD_STATE_ERROR, "state");
  check_contains (last_violation (), "a host pointer is no device address");
}

/* Only rows that are read count: padding may be anything. */
static void
padding_need_not_be_synced ()
{
  const size_t d = 1536, rows = 128;
  Overlay overlay ("gelu-1536");
  xrt::bo x = overlay.buffer (rows * d * 2, 0),
          y = overlay.buffer (rows * d * 2, 1);

  std::memset (x.map<void *> (), 0x3f, rows * d * 2);
  x.sync (XCL_BO_SYNC_BO_TO_DEVICE, 100 * d * 2, 0);
  xrt::run run = overlay.run ({x, y});
  run.start ();
  run.wait2 ();
  y.sync (XCL_BO_SYNC_BO_FROM_DEVICE, 100 * d * 2, 0);
  check_equal (counters ().violations, 0, "violations");
  y.sync (XCL_BO_SYNC_BO_FROM_DEVICE, d * 2, 100 * d * 2);
  check_equal (counters ().violations, 1, "violations");
  check_contains (last_violation (), "did not sync to the device");
}

/* What one command writes and the next reads need not cross the host. */
static void
device_to_device ()
{
  const size_t n = 128 * 1536;
  Overlay overlay ("gelu-1536");
  xrt::bo x = overlay.buffer (n * 2, 0), y = overlay.buffer (n * 2, 1),
          z = overlay.buffer (n * 2, 1);

  for (size_t i = 0; i < n; i++)
    x.map<uint16_t *> ()[i] = 0x4000; /* 2.0 */
  x.sync (XCL_BO_SYNC_BO_TO_DEVICE);
  xrt::run first = overlay.run ({x, y}), second = overlay.run ({y, z});
  first.start ();
  second.start ();
  first.wait2 ();
  second.wait2 ();
  z.sync (XCL_BO_SYNC_BO_FROM_DEVICE);
  check_equal (y.map<uint16_t *> ()[0], 0, "what the host sees of y");
  check_equal (z.map<uint16_t *> ()[n - 1], 0x3ff4, "gelu (gelu (2))");
}

int
main (int argc, char **argv)
{
  const std::string packed = argc > 1 ? argv[1] : ".";

  overlays = packed;
  test ("an input is not synced", 1, input_not_synced);
  test ("an output is not synced", 0, output_not_synced);
  test ("writes are lost in a sync from the device", 1, writes_are_lost);
  test ("an output is read early", 1, output_read_early);
  test ("instructions are not synced", 1, instructions_not_synced);
  test ("instructions are counted in bytes", 1, bytes_for_words);
  test ("instructions are corrupt", 1, corrupt_instructions);
  test ("the opcode is wrong", 1, wrong_opcode);
  test ("data are in cacheable memory", 1, data_in_cacheable_memory);
  test ("instructions are in host memory", 1, instructions_in_host_memory);
  test ("a buffer is freed in flight", 2, buffer_freed_in_flight);
  test ("an address is a host pointer", 1, address_of_nothing);
  overlays = argc > 2 ? argv[2] : ".";
  test ("padding need not be synced", 1, padding_need_not_be_synced);
  test ("commands hand buffers on without the host", 0, device_to_device);
  overlays = packed;
  test ("a buffer is too small", 1, buffer_too_small);
  return result ();
}
