/* The least program for an NPU: the product of two 16 x 16 matrices.
 *
 * usage: example OVERLAYS [leak]      leak: ends without giving back its
 * buffers
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <unistd.h>

#include <xrt/xrt_bo.h>
#include <xrt/xrt_device.h>
#include <xrt/xrt_hw_context.h>
#include <xrt/xrt_kernel.h>
#include <xrt/experimental/xrt_xclbin.h>

static void
multiply (const std::string &overlays, bool leak)
{
  xrt::device device (0);
  xrt::xclbin xclbin (overlays + "/matmul_16x16.xclbin");
  device.register_xclbin (xclbin);
  xrt::hw_context context (device, xclbin.get_uuid ());
  xrt::kernel kernel (context, "MLIR_AIE");

  std::ifstream file (overlays + "/matmul_16x16.bin", std::ios::binary);
  std::vector<char> stream ((std::istreambuf_iterator<char> (file)),
      std::istreambuf_iterator<char> ());
  xrt::bo instructions (
      device, stream.size (), XCL_BO_FLAGS_CACHEABLE, kernel.group_id (1));
  std::memcpy (instructions.map<void *> (), stream.data (), stream.size ());
  instructions.sync (XCL_BO_SYNC_BO_TO_DEVICE);

  xrt::bo in (device, 512, XRT_BO_FLAGS_HOST_ONLY, kernel.group_id (3));
  xrt::bo out (device, 256, XRT_BO_FLAGS_HOST_ONLY, kernel.group_id (4));
  std::memset (in.map<void *> (), 8, 512);
  in.sync (XCL_BO_SYNC_BO_TO_DEVICE);

  xrt::run run =
      kernel (3, instructions, (uint32_t) (stream.size () / 4), in, out);
  run.wait2 ();
  out.sync (XCL_BO_SYNC_BO_FROM_DEVICE);
  std::printf ("8 x 8 x 16 / 128 = %d\n", out.map<int8_t *> ()[0]);
  std::fflush (stdout);
  if (leak)
    new xrt::bo (in), new xrt::bo (out);
}

int
main (int argc, char **argv)
{
  try {
    multiply (argc > 1 ? argv[1] : ".", argc > 2);
  } catch (const std::exception &error) {
    std::fprintf (stderr, "%s\n", error.what ());
    return 1;
  }
  return 0;
}
