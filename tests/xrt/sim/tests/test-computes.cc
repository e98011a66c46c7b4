/* What programs compute, against plain loops in double.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "rig.h"

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>

using namespace rig;

static std::mt19937 randomness (7);
static std::string fused; /* the folder of overlays with an epilogue */

static uint16_t
to_bf16 (float x)
{
  uint32_t bits;

  std::memcpy (&bits, &x, sizeof bits);
  return (uint16_t) ((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float
from_bf16 (uint16_t x)
{
  const uint32_t bits = (uint32_t) x << 16;
  float y;

  std::memcpy (&y, &bits, sizeof y);
  return y;
}

static void
fill_bf16 (xrt::bo &bo, size_t n, float scale)
{
  std::normal_distribution<float> normal (0, scale);
  uint16_t *x = bo.map<uint16_t *> ();

  for (size_t i = 0; i < n; i++)
    x[i] = to_bf16 (normal (randomness));
  bo.sync (XCL_BO_SYNC_BO_TO_DEVICE);
}

static void
fill_f32 (xrt::bo &bo, size_t n, float mean, float scale)
{
  std::normal_distribution<float> normal (mean, scale);
  float *x = bo.map<float *> ();

  for (size_t i = 0; i < n; i++)
    x[i] = normal (randomness);
  bo.sync (XCL_BO_SYNC_BO_TO_DEVICE);
}

static void
finish (xrt::run run, xrt::bo &out)
{
  run.start ();
  check_equal (run.wait (20000), ERT_CMD_STATE_COMPLETED, "state");
  out.sync (XCL_BO_SYNC_BO_FROM_DEVICE);
}

static void
check_close (double got, double wanted, double tolerance, size_t i)
{
  if (!(std::fabs (got - wanted) <= tolerance * (1 + std::fabs (wanted))))
    fail ("value " + std::to_string (i) + " is " + std::to_string (got) +
          ", not " + std::to_string (wanted));
}

static double
gelu_of (double x)
{
  return 0.5 * x * std::erfc (-x * M_SQRT1_2);
}

static void
linear_bf16 (size_t rows, size_t k, size_t n)
{
  Overlay overlay (
      "linear-bf16-" + std::to_string (k) + "x" + std::to_string (n));
  xrt::bo a = overlay.buffer (rows * k * 2, 0),
          b = overlay.buffer (k * n * 2, 1),
          c = overlay.buffer (rows * n * 4, 2);
  const uint16_t *pa = a.map<uint16_t *> (), *pb = b.map<uint16_t *> ();

  fill_bf16 (a, rows * k, 1);
  fill_bf16 (b, k * n, 0.1f);
  finish (overlay.run ({a, b, c}), c);
  for (size_t i = 0; i < rows * n; i += 7) {
    double sum = 0;
    for (size_t j = 0; j < k; j++)
      sum += (double) from_bf16 (pa[i / n * k + j]) *
             from_bf16 (pb[j * n + i % n]);
    check_close (c.map<float *> ()[i], sum, 1e-4, i);
  }
}

static void
linear_int8 (size_t rows, size_t k, size_t n)
{
  Overlay overlay (
      "linear-int8-" + std::to_string (k) + "x" + std::to_string (n));
  xrt::bo a = overlay.buffer (rows * k, 0), b = overlay.buffer (k * n, 1),
          c = overlay.buffer (rows * n * 4, 2);
  int8_t *pa = a.map<int8_t *> (), *pb = b.map<int8_t *> ();

  /* Half of the rows and columns have the largest sums there are. */
  for (size_t i = 0; i < rows * k; i++)
    pa[i] = i / k % 2 ? (int8_t) randomness () : -128;
  for (size_t i = 0; i < k * n; i++)
    pb[i] = i % n % 2 ? (int8_t) randomness () : -128;
  a.sync (XCL_BO_SYNC_BO_TO_DEVICE);
  b.sync (XCL_BO_SYNC_BO_TO_DEVICE);
  finish (overlay.run ({a, b, c}), c);
  for (size_t i = 0; i < rows * n; i++) {
    int32_t sum = 0;
    for (size_t j = 0; j < k; j++)
      sum += pa[i / n * k + j] * pb[j * n + i % n];
    if (c.map<int32_t *> ()[i] != sum)
      check_equal ((uint64_t) c.map<int32_t *> ()[i], (uint64_t) sum,
          "value " + std::to_string (i));
  }
}

static void
linear_with_epilogue ()
{
  const size_t rows = 128, k = 384, n = 128;
  const std::string plain = overlays;

  overlays = fused;
  Overlay overlay ("linear-bf16-384x128");
  overlays = plain;
  xrt::bo a = overlay.buffer (rows * k * 2, 0),
          b = overlay.buffer (k * n * 2, 1), bias = overlay.buffer (n * 4, 2),
          r = overlay.buffer (rows * n * 4, 3),
          c = overlay.buffer (rows * n * 4, 4);
  const uint16_t *pa = a.map<uint16_t *> (), *pb = b.map<uint16_t *> ();

  fill_bf16 (a, rows * k, 1);
  fill_bf16 (b, k * n, 0.1f);
  fill_f32 (bias, n, 0.5f, 1);
  fill_f32 (r, rows * n, 0, 3);
  finish (overlay.run ({a, b, bias, r, c}), c);
  for (size_t i = 0; i < rows * n; i++) {
    double sum = bias.map<float *> ()[i % n];
    for (size_t j = 0; j < k; j++)
      sum += (double) from_bf16 (pa[i / n * k + j]) *
             from_bf16 (pb[j * n + i % n]);
    check_close (
        c.map<float *> ()[i], gelu_of (sum) + r.map<float *> ()[i], 1e-4, i);
  }
}

static void
layernorm ()
{
  const size_t rows = 128, n = 384;
  Overlay overlay ("layernorm-384");
  xrt::bo x = overlay.buffer (rows * n * 4, 0),
          g = overlay.buffer (2 * n * 4, 1),
          y = overlay.buffer (rows * n * 2, 2);
  const float *px = x.map<float *> (), *pg = g.map<float *> ();

  fill_f32 (x, rows * n, 2, 5);
  fill_f32 (g, 2 * n, 1, 0.5f);
  finish (overlay.run ({x, g, y}), y);
  for (size_t row = 0; row < rows; row++) {
    double mean = 0, var = 0;
    for (size_t i = 0; i < n; i++)
      mean += px[row * n + i] / (double) n;
    for (size_t i = 0; i < n; i++)
      var += std::pow (px[row * n + i] - mean, 2) / (double) n;
    for (size_t i = 0; i < n; i++)
      check_close (from_bf16 (y.map<uint16_t *> ()[row * n + i]),
          (px[row * n + i] - mean) / std::sqrt (var + 1e-5) * pg[i] + pg[n + i],
          1 / 256.0, row * n + i);
  }
}

static void
gelu ()
{
  const size_t n = 128 * 1536;
  Overlay overlay ("gelu-1536");
  xrt::bo x = overlay.buffer (n * 2, 0), y = overlay.buffer (n * 2, 1);

  fill_bf16 (x, n, 3);
  finish (overlay.run ({x, y}), y);
  for (size_t i = 0; i < n; i++)
    check_close (from_bf16 (y.map<uint16_t *> ()[i]),
        gelu_of (from_bf16 (x.map<uint16_t *> ()[i])), 1 / 256.0, i);
}

/* `bias_of` gives a key's bias by its number. */
static void
attention (const std::function<float (size_t)> &bias_of)
{
  const size_t rows = 128, heads = 6, tiles = 2, d = 384, tile = 64 * 64,
               pitch = tile + 64;
  Overlay overlay ("attention-6");
  xrt::bo q = overlay.buffer (heads * tiles * pitch * 2, 0),
          k = overlay.buffer (heads * tiles * pitch * 2, 1),
          v = overlay.buffer (heads * tiles * tile * 2, 2),
          o = overlay.buffer (rows * d * 2, 3);
  uint16_t *pq = q.map<uint16_t *> (), *pk = k.map<uint16_t *> (),
           *pv = v.map<uint16_t *> ();

  fill_bf16 (q, heads * tiles * pitch, 0.5f);
  fill_bf16 (k, heads * tiles * pitch, 0.5f);
  fill_bf16 (v, heads * tiles * tile, 1);
  for (size_t t = 0; t < heads * tiles; t++)
    for (size_t i = 0; i < 64; i++)
      pk[t * pitch + tile + i] = to_bf16 (bias_of (t % tiles * 64 + i));
  k.sync (XCL_BO_SYNC_BO_TO_DEVICE);
  finish (overlay.run ({q, k, v, o}), o);

  for (size_t head = 0; head < heads; head++)
    for (size_t row = 0; row < rows; row += 5) {
      double s[128], max = -INFINITY, sum = 0;

      for (size_t key = 0; key < rows; key++) {
        const size_t at = (head * tiles + key / 64) * pitch;
        s[key] = from_bf16 (pk[at + tile + key % 64]);
        for (size_t i = 0; i < 64; i++)
          s[key] +=
              (double) from_bf16 (
                  pq[(head * tiles + row / 64) * pitch + row % 64 * 64 + i]) *
              from_bf16 (pk[at + key % 64 * 64 + i]);
        max = std::fmax (max, s[key]);
      }
      for (size_t key = 0; key < rows; key++)
        sum += s[key] = std::exp2 (s[key] - max);
      for (size_t i = 0; i < 64; i++) {
        double wanted = 0;
        for (size_t key = 0; key < rows; key++)
          wanted +=
              s[key] / sum *
              from_bf16 (
                  pv[(head * tiles + key / 64) * tile + key % 64 * 64 + i]);
        check_close (from_bf16 (o.map<uint16_t *> ()[row * d + head * 64 + i]),
            wanted, 1 / 200.0, row * d + head * 64 + i);
      }
    }
}

/* Packed programs against their definition, value by value. */
static void
packed (const char *name, size_t in_size, size_t out_size,
    const std::function<double (const int8_t *, size_t)> &wanted)
{
  Overlay overlay (name);
  xrt::bo in = overlay.buffer (in_size, 0), out = overlay.buffer (out_size, 1);
  int8_t *x = in.map<int8_t *> ();

  for (size_t i = 0; i < in_size; i++)
    x[i] = (int8_t) randomness ();
  in.sync (XCL_BO_SYNC_BO_TO_DEVICE);
  finish (overlay.run ({in, out}), out);
  for (size_t i = 0; i < out_size; i++) {
    const double clipped = std::fmin (127, std::fmax (-128, wanted (x, i)));
    check (std::fabs (out.map<int8_t *> ()[i] - clipped) <= 0.5 + 1e-9,
        "value " + std::to_string (i) + " is " +
            std::to_string (out.map<int8_t *> ()[i]) + ", not " +
            std::to_string (clipped));
  }
}

static double
packed_attention (const int8_t *x, size_t i)
{
  const int8_t *q = x + i / 64 * 64, *k = x + 4096, *v = x + 8192;
  double s[64], max = -INFINITY, sum = 0, o = 0;

  for (size_t key = 0; key < 64; key++) {
    s[key] = 0;
    for (size_t j = 0; j < 64; j++)
      s[key] += q[j] * k[key * 64 + j] / 2048.0;
    max = std::fmax (max, s[key]);
  }
  for (size_t key = 0; key < 64; key++) {
    sum += std::exp (s[key] - max);
    o += std::exp (s[key] - max) * v[key * 64 + i % 64];
  }
  return o / sum;
}

static double
packed_layernorm (const int8_t *x, size_t i)
{
  double mean = 0, var = 0;

  for (int j = 0; j < 256; j++)
    mean += x[j] / 16.0 / 256;
  for (int j = 0; j < 256; j++)
    var += std::pow (x[j] / 16.0 - mean, 2) / 256;
  return 16 * ((x[i] / 16.0 - mean) / std::sqrt (var + 1e-5) * x[256 + i] / 64 +
                  x[512 + i] / 16.0);
}

static double
packed_matmul (const int8_t *x, size_t i)
{
  double sum = 0;

  for (size_t j = 0; j < 16; j++)
    sum += x[i / 16 * 16 + j] * x[256 + j * 16 + i % 16];
  return std::floor (sum / 128);
}

int
main (int argc, char **argv)
{
  const size_t shapes[][2] = {
      {384, 1152}, {384, 384}, {384, 1536}, {1536, 384}, {240, 384}};

  overlays = argc > 1 ? argv[1] : ".";
  fused = argc > 2 ? argv[2] : ".";
  for (auto &shape : shapes) {
    const std::string of =
        " of " + std::to_string (shape[0]) + " x " + std::to_string (shape[1]);
    test (("bf16 product" + of).c_str (), 0,
        [&] { linear_bf16 (128, shape[0], shape[1]); });
    test (("int8 product" + of + ", exactly").c_str (), 0,
        [&] { linear_int8 (128, shape[0], shape[1]); });
  }
  test ("product with bias, GELU and residual", 0, linear_with_epilogue);
  test ("layernorm", 0, layernorm);
  test ("gelu", 0, gelu);
  test ("attention over all keys", 0,
      [] { attention ([] (size_t) { return 0.0f; }); });
  test ("attention with the last keys masked", 0, [] {
    attention ([] (size_t key) { return key < 90 ? 0.0f : -3.0e38f; });
  });
  test ("attention with other biases", 0, [] {
    attention (
        [] (size_t key) { return key % 3 ? (float) key / 64 : -3.0e38f; });
  });
  test ("attention_64x64", 0,
      [] { packed ("attention_64x64", 12288, 4096, packed_attention); });
  test ("layernorm_256", 0,
      [] { packed ("layernorm_256", 768, 256, packed_layernorm); });
  test ("gelu_512", 0, [] {
    packed ("gelu_512", 512, 512,
        [] (const int8_t *x, size_t i) { return 127 * gelu_of (x[i] / 127.0); });
  });
  test ("matmul_16x16", 0,
      [] { packed ("matmul_16x16", 512, 256, packed_matmul); });
  return result ();
}
