/* What becomes of timestamps that are off: each test is a stream of packets,
 * made of true times, what is lost, and what is wrong with the stamps.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "meltimeline.h"

#define MS ((gint64) GST_MSECOND)
#define PACKET (20 * MS)
#define N_SAMPLES 320 /* of a packet */

typedef struct {
  gint64 true_time, stamp; /* ns */
  gboolean lost, discont;
} Packet;

/* @n packets in a row, stamped as they should be. */
static Packet *
packets_new (guint n)
{
  Packet *packets = g_new0 (Packet, n);

  for (guint i = 0; i < n; i++)
    packets[i].true_time = packets[i].stamp = i * PACKET;
  return packets;
}

typedef struct {
  gint64 worst;   /* most that a time given was off the true one */
  gint64 silence; /* ns filled in */
  guint n_jumps;  /* holes that are longer than the threshold, or backwards */
  guint n_held;   /* most packets that were held back */
} Result;

static void
take_pieces (MelTimeline *timeline, guint *n_popped, Result *result)
{
  MelTimelinePiece piece;

  while (mel_timeline_pop (timeline, &piece)) {
    const Packet *packet = piece.data;

    (*n_popped)++;
    result->worst =
        MAX (result->worst, ABS ((gint64) piece.time - packet->true_time));
    result->silence += CLAMP (piece.hole, 0, 3600 * (gint64) GST_SECOND);
    result->n_jumps += piece.hole > 40 * MS || piece.hole < -40 * MS;
  }
}

static Result
run (Packet *packets, guint n)
{
  Result result = {0};
  guint n_pushed = 0, n_popped = 0;
  MelTimeline timeline;

  mel_timeline_init (&timeline, 40 * MS, GST_SECOND);
  for (guint i = 0; i < n; i++) {
    if (packets[i].lost)
      continue;
    mel_timeline_push (&timeline, &packets[i], MAX (packets[i].stamp, 0),
        N_SAMPLES, packets[i].discont);
    n_pushed++;
    take_pieces (&timeline, &n_popped, &result);
    result.n_held = MAX (result.n_held, n_pushed - n_popped);
  }
  mel_timeline_settle (&timeline);
  take_pieces (&timeline, &n_popped, &result);
  mel_timeline_clear (&timeline, NULL);

  g_assert_cmpuint (n_popped, ==, n_pushed);
  g_test_message ("worst %g ms, silence %g ms, %u jumps, %u packets held",
      (double) result.worst / MS, (double) result.silence / MS, result.n_jumps,
      result.n_held);
  return result;
}

#define N 5000 /* packets: 100 s */

static void
test_exact (void)
{
  g_autofree Packet *packets = packets_new (N);
  Result result = run (packets, N);

  g_assert_cmpint (result.worst, ==, 0);
  g_assert_cmpint (result.silence, ==, 0);
  g_assert_cmpuint (result.n_held, ==, 0);
}

/* Percent of the packets. */
static void
test_loss (gconstpointer percent)
{
  g_autofree Packet *packets = packets_new (N);
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  gint64 lost = 0;
  Result result;

  for (guint i = 20; i < N - 1; i++) {
    packets[i].lost =
        g_rand_int_range (rand, 0, 100) < GPOINTER_TO_INT (percent);
    lost += packets[i].lost ? PACKET : 0;
  }
  result = run (packets, N);
  g_assert_cmpint (result.worst, <=, 20 * MS);
  g_assert_cmpint (result.silence, >=, lost - 20 * MS);
  g_assert_cmpint (result.silence, <=, lost);
  g_assert_cmpuint (result.n_held, <=, 51);
}

/* From the first packets on, where nothing tells yet whether stamps are exact.
 */
static void
test_loss_at_once (void)
{
  g_autofree Packet *packets = packets_new (N);

  packets[1].lost = packets[3].lost = packets[5].lost = TRUE;
  g_assert_cmpint (run (packets, N).silence, ==, 3 * PACKET);
}

/* All that is lost is flagged: nothing is held back. */
static void
test_flagged_loss (void)
{
  g_autofree Packet *packets = packets_new (N);
  g_autoptr (GRand) rand = g_rand_new_with_seed (2);
  Result result;

  for (guint i = 1; i < N; i++) {
    packets[i].lost = g_rand_int_range (rand, 0, 100) < 10;
    packets[i].discont = packets[i - 1].lost;
  }
  result = run (packets, N);
  g_assert_cmpint (result.worst, ==, 0);
  g_assert_cmpuint (result.n_held, ==, 0);
}

/* Holes too small to be one add up to no more than a step. */
static void
test_tiny_holes (void)
{
  g_autofree Packet *packets = packets_new (N);
  Result result;

  for (guint i = 0; i < N; i++)
    packets[i].stamp = packets[i].true_time = i * (PACKET + MS);
  result = run (packets, N);
  g_assert_cmpint (result.worst, <=, 20 * MS);
  g_assert_cmpuint (result.n_jumps, ==, 0);
}

/* Sources that stamp on arrival; neither drift nor a hole is to be seen. */
static void
test_jitter (gconstpointer ms)
{
  gint64 most = GPOINTER_TO_INT (ms) * MS;

  for (guint seed = 0; seed < 50; seed++) {
    g_autofree Packet *packets = packets_new (N);
    g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
    Result result;

    for (guint i = 0; i < N; i++)
      packets[i].stamp += g_rand_double_range (rand, -most, most);
    result = run (packets, N);
    g_assert_cmpint (result.worst, <=, 20 * MS);
    g_assert_cmpint (result.silence, <=, 20 * MS);
    g_assert_cmpuint (result.n_jumps, ==, 0);
  }
}

/* Both at once: only many stamps tell that packets are missing, and by then
 * some have a time that is too early. */
static void
test_jitter_and_loss (void)
{
  for (guint seed = 0; seed < 20; seed++) {
    g_autofree Packet *packets = packets_new (N);
    g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
    Result result;

    for (guint i = 0; i < N; i++) {
      packets[i].stamp += g_rand_double_range (rand, -10, 10) * MS;
      packets[i].lost = g_rand_int_range (rand, 0, 100) < 5;
    }
    result = run (packets, N);
    g_assert_cmpint (result.worst, <=, 60 * MS);
    g_assert_cmpuint (result.n_held, <=, 51);
  }
}

static void
test_drift (gconstpointer ppm)
{
  g_autofree Packet *packets = packets_new (N);
  Result result;

  for (guint i = 0; i < N; i++)
    packets[i].stamp = packets[i].true_time =
        (gint64) (i * PACKET * (1 + GPOINTER_TO_INT (ppm) * 1e-6));
  result = run (packets, N);
  g_assert_cmpint (result.worst, <=, MS);
  g_assert_cmpint (result.silence, ==, 0);
}

/* Some containers stamp in milliseconds. */
static void
test_rounding (void)
{
  g_autofree Packet *packets = packets_new (N);
  Result result;

  for (guint i = 0; i < N; i++) {
    packets[i].true_time = i * (PACKET + MS / 3);
    packets[i].stamp = packets[i].true_time / MS * MS;
  }
  result = run (packets, N);
  g_assert_cmpint (result.worst, <=, 3 * MS);
  g_assert_cmpint (result.silence, ==, 0);
}

/* By so many ms, for one packet and for ten. */
static void
test_outlier (gconstpointer ms)
{
  static const guint lengths[] = {1, 10};

  for (guint l = 0; l < G_N_ELEMENTS (lengths); l++) {
    g_autofree Packet *packets = packets_new (N);
    Result result;

    for (guint i = 700; i < 700 + lengths[l]; i++)
      packets[i].stamp += GPOINTER_TO_INT (ms) * MS;
    result = run (packets, N);
    g_assert_cmpint (result.worst, ==, 0);
    g_assert_cmpint (result.silence, ==, 0);
    g_assert_cmpuint (result.n_held, <=, lengths[l]);
  }
}

/* The source stood still for 200 ms, and what it had captured came at once. */
static void
test_stall (void)
{
  g_autofree Packet *packets = packets_new (N);

  for (guint i = 700; i < 710; i++)
    packets[i].stamp = 710 * PACKET;
  g_assert_cmpint (run (packets, N).silence, ==, 0);
  g_assert_cmpint (run (packets, N).worst, ==, 0);
}

/* A packet of comfort noise every 400 ms, for a minute. */
static void
test_dtx (void)
{
  g_autofree Packet *packets = packets_new (N);
  gint64 lost = 0;
  Result result;

  for (guint i = 500; i < 3500; i++) {
    packets[i].lost = i % 20 != 0;
    lost += packets[i].lost ? PACKET : 0;
  }
  result = run (packets, N);
  g_assert_cmpint (result.worst, ==, 0);
  g_assert_cmpint (result.silence, ==, lost);
}

static void
test_pause (void)
{
  g_autofree Packet *packets = packets_new (N);
  Result result;

  for (guint i = 700; i < 2700; i++)
    packets[i].lost = TRUE;
  result = run (packets, N);
  g_assert_cmpint (result.worst, ==, 0);
  g_assert_cmpint (result.silence, ==, 2000 * PACKET);
  g_assert_cmpuint (result.n_jumps, ==, 1);
  g_assert_cmpuint (result.n_held, <=, 51); /* discont-wait */
}

static void
test_begins_again (void)
{
  g_autofree Packet *packets = packets_new (N);
  Result result;

  for (guint i = 2000; i < N; i++)
    packets[i].stamp = packets[i].true_time = (i - 2000) * PACKET;
  result = run (packets, N);
  g_assert_cmpint (result.worst, ==, 0);
  g_assert_cmpuint (result.n_jumps, ==, 1);
}

static void
test_no_stamps (void)
{
  g_autofree Packet *packets = packets_new (N);
  Result result;

  for (guint i = 1; i < N; i++)
    packets[i].stamp = i % 2 ? -1 : G_MAXINT64;
  for (guint i = 1; i < N; i++)
    packets[i].stamp = packets[i].stamp < 0 ? G_MAXINT64 - 1 : G_MAXINT64;
  result = run (packets, N);
  g_assert_cmpint (result.worst, ==, 0);
  g_assert_cmpuint (result.n_held, ==, 0);
}

/* Stamps at half the speed, eight packets at a time: nothing jumps. */
static void
test_half_speed (gconstpointer flagged)
{
  g_autofree Packet *packets = packets_new (N);
  Result result;

  for (guint i = 0; i < N; i++) {
    packets[i].stamp = (i / 8 * 4 + i % 8) * PACKET;
    packets[i].discont = GPOINTER_TO_INT (flagged) && i % 8 == 0;
  }
  result = run (packets, N);
  g_assert_cmpuint (result.n_jumps, ==, 0);
  g_assert_cmpint (result.worst, ==, 0);
}

/* A source that begins anew each 20 s is believed each time. */
static void
test_goes_back_now_and_then (void)
{
  g_autofree Packet *packets = packets_new (N);

  for (guint i = 0; i < N; i++)
    packets[i].stamp = packets[i].true_time = i % 1000 * PACKET;
  g_assert_cmpuint (run (packets, N).n_jumps, ==, N / 1000 - 1);
}

/* Whatever the stamps, each packet comes back once, in order, and no more than
 * discont-wait is held. */
static void
test_nonsense (void)
{
  for (guint seed = 0; seed < 200; seed++) {
    g_autofree Packet *packets = packets_new (500);
    g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
    gint64 time = 0;

    for (guint i = 0; i < 500; i++) {
      switch (g_rand_int_range (rand, 0, 8)) {
        case 0:
          time = (gint64) g_rand_int (rand) << g_rand_int_range (rand, 0, 32);
          break;
        case 1:
          time += g_rand_int_range (rand, -2000, 2000) * MS;
          break;
        default:
          time += g_rand_int_range (rand, 0, 60) * MS;
      }
      time = MAX (time, 0) & G_MAXINT64;
      packets[i].stamp = time;
      packets[i].discont = g_rand_int_range (rand, 0, 30) == 0;
    }
    g_assert_cmpuint (run (packets, 500).n_held, <=, 51);
  }
}

#define ADD(name, func) g_test_add_func ("/meltimeline/" name, func)
#define ADD_DATA(name, data, func)                                             \
  g_test_add_data_func ("/meltimeline/" name, GINT_TO_POINTER (data), func)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("exact-stamps-are-taken", test_exact);
  ADD_DATA ("1-percent-lost", 1, test_loss);
  ADD_DATA ("5-percent-lost", 5, test_loss);
  ADD_DATA ("20-percent-lost", 20, test_loss);
  ADD ("lost-at-the-start", test_loss_at_once);
  ADD ("flagged-loss-is-believed-at-once", test_flagged_loss);
  ADD ("tiny-holes", test_tiny_holes);
  ADD_DATA ("jitter-of-2-ms", 2, test_jitter);
  ADD_DATA ("jitter-of-5-ms", 5, test_jitter);
  ADD_DATA ("jitter-of-10-ms", 10, test_jitter);
  ADD ("jitter-and-loss", test_jitter_and_loss);
  ADD_DATA ("clock-200-ppm-fast", 200, test_drift);
  ADD_DATA ("clock-200-ppm-slow", -200, test_drift);
  ADD ("stamps-in-milliseconds", test_rounding);
  ADD_DATA ("outlier-of-15-ms", 15, test_outlier);
  ADD_DATA ("outlier-of-100-ms", 100, test_outlier);
  ADD_DATA ("outlier-of-minus-100-ms", -100, test_outlier);
  ADD_DATA ("outlier-of-an-hour", 3600000, test_outlier);
  ADD ("stall", test_stall);
  ADD ("dtx", test_dtx);
  ADD ("pause", test_pause);
  ADD ("begins-again", test_begins_again);
  ADD ("without-stamps-samples-are-counted", test_no_stamps);
  ADD_DATA ("half-speed", FALSE, test_half_speed);
  ADD_DATA ("half-speed-flagged", TRUE, test_half_speed);
  ADD ("goes-back-now-and-then", test_goes_back_now_and_then);
  ADD ("nonsense-loses-nothing", test_nonsense);
  return g_test_run ();
}
