#!/usr/bin/env python3
"""Live captions of streams that are not as they should be: what is said of
sounds without a voice, what packet loss, jumps, pauses, flushes and changes of
state cost, whether memory stays, and whether a machine that was slow recovers.

usage: captions_soak.py --model MODEL --words WORDS.json RECORDING
                        [--minutes N] [--second FILE CODE] [--set PROPERTY=VALUE]... [CASE]...

WORDS.json is as captions.py has it. Cases, all but sounds and the last four by default:

  silence hum fan music    N minutes each (10): how many words are told
  sounds    noises, strokes and tones, 20 s at three levels each: likewise
  whole     the recording as it is: what the others are held against
  loss      one packet of 20 ms in twenty is lost
  dtx       pauses are GAP events
  jump      time leaps by a minute, and back by half of one
  pause     the source is paused, and goes on later
  eos       the stream ends within a word, three times
  flush     flushes at any time, then the recording
  states    changes of state at any time, then the recording
  language  the recording, then --second FILE CODE in its language
  slow      by the clock: four times as slow for 30 s, see --slow
  late      the same by a clock that shows the time of the stream, as if an update
            took --update seconds (0.2): how late the latest word is
  long      N minutes (120) of the recording over and over, live by a clock
            that shows the time of the stream: memory, and how late words are

Times are compared with WORDS.json. Words of the other cases are compared with
those of `whole`. Nothing but `slow` is by the clock. Exits with 1 where
something is not as docs/live.md says. Needs Python's gi.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import sounds  # noqa: E402
from livestream import (PACKET, RATE, SAMPLES, Run, blocks, packets,  # noqa: E402
                        plain, read, stop, to_ns)

MINUTE = 60 * Gst.SECOND


# --- what is found ----------------------------------------------------------

class Report:
    """Lines of a table, and whether all is as it should be."""

    def __init__(self):
        self.failed = False

    def row(self, case, text, good, run):
        good = good and not run.faults
        self.failed |= not good
        print(f"{case:8s} {'' if good else 'WRONG: '}{text}", flush=True)
        for fault in run.faults[:5]:
            print(f"{case:8s} WRONG: {fault}", flush=True)


def errors(known, words, to_reference=lambda time: time):
    """Seconds from a word's start in WORDS.json to its own, without sign;
    @to_reference takes the stream's time to the recording's."""
    return sorted(abs(to_reference(words[there][0]) / 1e9 -
                      known[here]["start"])
                  for here, there in blocks([w["word"] for w in known],
                                            [w[2] for w in words]))


def judge_times(report, case, known, run, **options):
    words = run.words
    found = errors(known, words, **options)
    if not found:
        report.row(case, "no word of the recording was heard", False, run)
        return
    late = found[min(len(found) - 1, int(0.95 * len(found)))]
    doubled = sum(plain(a[2]) == plain(b[2]) and len(plain(a[2])) > 0
                  for a, b in zip(words, words[1:]))
    said = sum(plain(a["word"]) == plain(b["word"])
               for a, b in zip(known, known[1:]))
    median = statistics.median(found)
    report.row(
        case, f"{len(words)} words, {len(found)} of {len(known)} as they are "
        f"known, {doubled - said} doubled; their times are off by "
        f"{median:.2f} s in the median, {late:.2f} s for 95 %, "
        f"{found[-1]:.2f} s at most",
        median <= 0.1 and late <= 0.3 and doubled <= said, run)


def judge_same(report, case, whole, run):
    """Text must be what the recording's was."""
    here = [word[2] for word in whole]
    there = [word[2] for word in run.words]
    lost = len(here) - len(blocks(here, there))
    more = len(there) - len(blocks(here, there))
    report.row(case, f"{len(there)} words, {lost} lost and {more} more than "
               "without", lost == 0 and more == 0, run)


# --- cases ------------------------------------------------------------------

class Cases:
    def __init__(self, options):
        self.options = options
        self.report = Report()
        with open(options.words, encoding="utf-8") as file:
            self.known = json.load(file)
        self.pcm = read(options.recording)
        self._whole = None

    def run(self, **more):
        run = Run(self.options, **more)
        run.play()
        return run

    def get_whole(self):
        if self._whole is None:
            self._whole = self.run()
            self._whole.push_all(self.pcm)
            self._whole.finish()
        return self._whole

    def pauses(self, least):
        """(start, end) in samples where nobody speaks, a little inside."""
        for a, b in zip(self.known, self.known[1:]):
            if b["start"] - a["end"] >= least:
                yield (int((a["end"] + 0.1) * RATE) // PACKET * PACKET,
                       int((b["start"] - 0.1) * RATE) // PACKET * PACKET)

    def no_voice(self, case, piece):
        run = self.run()
        minutes = self.options.minutes or 10
        end, at = int(minutes * 60 * RATE), 0
        while at < end:
            run.push_all(piece, to_ns(at))
            at += len(piece) // SAMPLES
        words = run.finish()
        heard = " ".join(word[2] for word in words)[:60]
        self.report.row(case, f"{len(words)} words in {minutes:g} minutes"
                        f"{': ' + heard if heard else ''}",
                        not words, run)

    def silence(self):
        self.no_voice("silence", bytes(RATE * SAMPLES))

    def hum(self):
        self.no_voice("hum", sounds.hum())

    def fan(self):
        self.no_voice("fan", sounds.fan())

    def music(self):
        self.no_voice("music", sounds.music())

    def sounds(self):
        """Of several levels, one after the other, in a stream each."""
        for sound in sounds.MORE:
            heard = []
            for level in (-50, -35, -20):
                run = self.run()
                run.push_all(sounds.at_level(sound, level))
                heard += [word[2] for word in run.finish()]
            self.report.row(
                "sounds", f"{sound.__name__}, 20 s at -50, -35 and -20 dB: "
                f"{len(heard)} words{': ' if heard else ''}"
                f"{' '.join(heard)[:60]}", not heard, run)

    def whole(self):
        judge_times(self.report, "whole", self.known, self.get_whole())

    def loss(self):
        run, lost = self.run(), random.Random(3)
        for at, data in packets(self.pcm):
            if lost.random() < 0.05:
                run.is_new = True
            else:
                run.push(at, data)
        run.finish()
        judge_times(self.report, "loss", self.known, run)

    def dtx(self):
        run, done = self.run(), 0
        for start, end in self.pauses(0.35):
            run.push_all(self.pcm[done * SAMPLES:start * SAMPLES],
                         to_ns(done))
            run.gap(to_ns(start), to_ns(end) - to_ns(start))
            done = end
        run.push_all(self.pcm[done * SAMPLES:], to_ns(done))
        run.finish()
        judge_times(self.report, "dtx", self.known, run)

    def jump(self):
        """In the pauses that are nearest to a third and two thirds."""
        pauses = [sum(pause) // 2 // PACKET * PACKET
                  for pause in self.pauses(0.3)]
        total = len(self.pcm) // SAMPLES
        cuts = [min(pauses, key=lambda at: abs(at - total * i // 3))
                for i in (1, 2)]
        offsets = (0, MINUTE, MINUTE // 2)
        parts = list(zip([0, *cuts], [*cuts, total], offsets))
        run = self.run()
        for start, end, offset in parts:
            run.is_new = True
            run.push_all(self.pcm[start * SAMPLES:end * SAMPLES],
                         to_ns(start) + offset)
        run.finish()

        # Which part a word is of, by the order of words: time leaps at cuts.
        part, last, words = 0, 0, []
        for start, end, text in run.words:
            while part + 1 < len(parts) and (
                    start < last or
                    start - parts[part][2] > to_ns(parts[part][1])):
                part += 1
            last = start
            words.append((start - parts[part][2], end, text))
        run.words = words
        judge_times(self.report, "jump", self.known, run)

    def pause(self):
        run = self.run()
        for number, (at, data) in enumerate(packets(self.pcm)):
            if number % 900 == 600:
                run.pipeline.set_state(Gst.State.PAUSED)
                time.sleep(0.5)
                run.play()
            run.push(at, data)
        run.finish()
        judge_same(self.report, "pause", self.get_whole().words, run)

    def eos(self):
        """Words that ended before the end are all there that were there."""
        for share in (0.25, 0.5, 0.75):
            word = self.known[int(share * len(self.known))]
            end = int((word["start"] + word["end"]) / 2 * RATE)
            run = self.run()
            run.push_all(self.pcm[:end * SAMPLES])
            words = run.finish()
            before = [w[2] for w in self.get_whole().words
                      if w[1] <= to_ns(end) - Gst.SECOND // 10]
            there = [w[2] for w in words]
            # The newest words are heard without what follows them.
            other = len(before) - len(blocks(before, there))
            more = len(there) - len(before)
            self.report.row(
                "eos", f"within '{word['word']}': {len(words)} words, "
                f"{other} of the {len(before)} before it otherwise",
                other <= 2 and -1 <= more <= 2, run)

    def storm(self, case, disturb):
        """Packets go in while @disturb(run, number) comes between them."""
        run = self.run()
        is_over = threading.Event()

        def feed():
            position = 0
            while not is_over.is_set():
                for _ in range(50):
                    size = PACKET * SAMPLES
                    at = position % len(self.pcm) // size * size
                    if not run.push(to_ns(position // SAMPLES),
                                    self.pcm[at:at + size]):
                        time.sleep(0.001)
                        break
                    position += size

        feeder = threading.Thread(target=feed)
        feeder.start()
        luck = random.Random(4)
        for number in range(60):
            time.sleep(luck.choice((0, 0.01, 0.1, 0.4)))
            disturb(run, luck)
        is_over.set()
        return run, feeder

    def flush(self):
        def disturb(run, luck):
            run.source.send_event(Gst.Event.new_flush_start())
            run.source.send_event(Gst.Event.new_flush_stop(True))

        run, feeder = self.storm("flush", disturb)
        run.source.send_event(Gst.Event.new_flush_start())
        feeder.join()
        run.source.send_event(Gst.Event.new_flush_stop(True))
        run.words, run.is_new = [], True
        run.push_all(self.pcm)
        run.finish()
        judge_same(self.report, "flush", self.get_whole().words, run)

    def states(self):
        def disturb(run, luck):
            run.pipeline.set_state(luck.choice((
                Gst.State.NULL, Gst.State.READY, Gst.State.PAUSED,
                Gst.State.PLAYING, Gst.State.PLAYING)))

        run, feeder = self.storm("states", disturb)
        run.pipeline.set_state(Gst.State.NULL)
        feeder.join()
        run.words, run.is_new = [], True
        run.play()
        run.push_all(self.pcm)
        run.finish()
        judge_same(self.report, "states", self.get_whole().words, run)

    def language(self):
        """A property that is written while somebody speaks."""
        if not self.options.second:
            stop("language needs --second FILE CODE")
        path, code = self.options.second
        second = read(path)
        alone = self.run()
        alone.speech.set_property("language-code", code)
        alone.push_all(second)
        alone.finish()

        run, told = self.run(), []

        def on_tag(pad, info):
            event = info.get_event()
            if event.type == Gst.EventType.TAG:
                has, tag = event.parse_tag().get_string("language-code")
                if has:
                    told.append((tag, len(run.words)))
            return Gst.PadProbeReturn.OK

        run.speech.get_static_pad("src").add_probe(
            Gst.PadProbeType.EVENT_DOWNSTREAM, on_tag)
        run.push_all(self.pcm)
        run.speech.set_property("language-code", code)
        run.push_all(second, to_ns(len(self.pcm) // SAMPLES))
        run.finish()
        # Words that were told before a tag, and what follows it.
        changes = " ".join(f"{tag} from word {at}" for tag, at in told)
        expected = [w[2] for w in self.get_whole().words + alone.words]
        there = [w[2] for w in run.words]
        same = len(blocks(expected, there))
        self.report.row(
            "language", f"{changes}; {len(there)} words, "
            f"{len(expected) - same} lost or otherwise and "
            f"{len(there) - same} more than of each alone",
            # The audio on the way is heard in the new language.
            abs(len(expected) - len(there)) <= 3 and
            len(expected) - same <= 0.15 * len(expected) and
            [tag for tag, _ in told] == [self.options.language, code], run)

    def slow(self):
        """The process gets a share of its time; the source goes on."""
        run = self.run(by_clock=True)
        clock = run.pipeline.get_clock()
        begin = clock.get_time() - run.pipeline.get_base_time()
        brake, said = None, []

        bus = run.pipeline.get_bus()
        seconds = self.options.slow_seconds
        for at, data in packets(self.pcm):
            if not brake and at >= 15 * Gst.SECOND:
                brake = subprocess.Popen(
                    [sys.executable, "-c", BRAKE, str(os.getpid()),
                     str(self.options.slow), str(seconds)])
            due = begin + at + to_ns(PACKET)
            now = clock.get_time() - run.pipeline.get_base_time()
            if due > now:
                time.sleep((due - now) / 1e9)
            run.push(begin + at, data)
            while message := bus.pop_filtered(Gst.MessageType.ELEMENT):
                structure = message.get_structure()
                if structure.get_name() == "nputranscriber-overload":
                    said.append([at / 1e9] + [structure.get_value(name)
                                              for name in OVERLOAD])
        run.source.emit("end-of-stream")
        run.wait()
        delay = run.speech.get_property("max-observed-delay") / 1000
        run.close()
        if brake:
            brake.wait()
        for when, over, load, lag, dropped in said:
            share = f"{load:.2f}" if load else "not known yet"
            print(f"slow     at {when:.1f} s: "
                  f"{'overloaded' if over else 'well again'}, load {share},"
                  f" {lag / 1e9:.1f} s late, {dropped} samples dropped")
        run.words = [(start - begin, end - begin, text)
                     for start, end, text in run.words]
        found = errors(self.known, run.words)
        dropped = said[-1][4] if said else 0
        self.report.row(
            "slow", f"{len(run.words)} words, {len(found)} of "
            f"{len(self.known)} as they are known, the latest "
            f"{delay:.1f} s after its start; {dropped} samples dropped",
            len(found) >= 0.9 * len(self.known) and dropped == 0 and
            bool(said) and not said[-1][1], run)

    def late(self):
        """Each window stands still for a while before it is decoded."""
        run = self.run(by_stream=True)
        clock, seconds = run.clock, self.options.slow_seconds

        def on_window(pad, info):
            is_slow = 15 <= clock.now / Gst.SECOND < 15 + seconds
            clock.spend(int(self.options.update * Gst.SECOND *
                            (self.options.slow if is_slow else 1)))
            return Gst.PadProbeReturn.OK

        run.speech.get_by_name("whisperdecoder").get_static_pad(
            "sink").add_probe(Gst.PadProbeType.BUFFER, on_window)
        run.push_all(self.pcm)
        run.finish()
        delay = run.speech.get_property("max-observed-delay")
        found = errors(self.known, run.words)
        self.report.row(
            "late", f"{len(run.words)} words, {len(found)} of "
            f"{len(self.known)} as they are known, the latest "
            f"{delay / 1000:.1f} s after its start",
            delay <= run.speech.get_property("latency") and
            len(found) >= 0.9 * len(self.known), run)

    def long(self):
        """Memory, how late words are, and what a minute costs."""
        run, rows = self.run(by_stream=True), []
        minutes = int(self.options.minutes or 120)
        source = packets(self.pcm)
        for number in range(minutes * 60 * RATE // PACKET):
            at, data = next(source, (None, None))
            if at is None or len(data) < PACKET * SAMPLES:
                source = packets(self.pcm)
                at, data = next(source)
            run.push(to_ns(number * PACKET), data)
            if (number + 1) * PACKET % (60 * RATE) == 0:
                rows.append((resident(), time.process_time(),
                             len(run.words)))
                if len(rows) % QUARTER == 0 or len(rows) == minutes:
                    print(f"long     {tell_quarter(rows, run)}", flush=True)
        run.finish()
        half, quarter = max(1, minutes // 2), max(1, minutes // 4)
        before = max(row[0] for row in rows[:half])
        after = max(row[0] for row in rows[half:] or rows)
        late = delays(run, 0, len(run.words))
        first = late[:rows[quarter - 1][2]]
        last = late[rows[-quarter - 1][2] if minutes > quarter else 0:]
        self.report.row(
            "long", f"{minutes} minutes: at most {before / 1e6:.1f} MB in the "
            f"first half, {after / 1e6:.1f} MB in the second; words final "
            f"after {describe(first)} in the first quarter, "
            f"{describe(last)} in the last",
            after <= 1.05 * before and bool(first) and bool(last) and
            abs(statistics.median(last) - statistics.median(first)) <= 0.1,
            run)


QUARTER = 15  # minutes


def delays(run, first, end):
    """Seconds from the end of words[first:end] until each was told."""
    return [(told - word[1]) / 1e9
            for word, told in list(zip(run.words, run.told))[first:end]]


def tell_quarter(rows, run):
    """The newest quarter of an hour of @rows, one a minute: (bytes, seconds of
    the processor, words) so far."""
    quarter = rows[-1 - (len(rows) - 1) % QUARTER:]
    _, used, first = (rows[-len(quarter) - 1] if len(rows) > len(quarter)
                      else (0, 0, 0))
    _, used_now, end = rows[-1]
    most = max(row[0] for row in quarter)
    return (f"{len(rows)} minutes: at most {most / 1e6:.1f} MB, "
            f"{used_now - used:.0f} s of the processor, {end - first} words, "
            f"final after {describe(delays(run, first, end))}")


def describe(late):
    if not late:
        return "none"
    late = sorted(late)
    return (f"{statistics.median(late):.2f} s (95 % "
            f"{late[min(len(late) - 1, int(0.95 * len(late)))]:.2f} s)")


def resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


OVERLOAD = ("overloaded", "load", "lag", "dropped")

# Stops a process for its share of every 100 ms.
BRAKE = """
import os, signal, sys, time
pid, factor, seconds = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
end = time.monotonic() + seconds
try:
    while time.monotonic() < end:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.1 * (1 - 1 / factor))
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.1 / factor)
finally:
    os.kill(pid, signal.SIGCONT)
"""

USUAL = ("silence", "hum", "fan", "music", "whole", "loss", "dtx", "jump",
         "pause", "eos", "flush", "states")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--words", required=True)
    parser.add_argument("--language", default="en")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--second", nargs=2)
    parser.add_argument("--slow", type=float, default=4)
    parser.add_argument("--slow-seconds", type=float, default=30)
    parser.add_argument("--update", type=float, default=0.2)
    parser.add_argument("recording")
    parser.add_argument("case", nargs="*",
                        choices=[*USUAL, "sounds", "language", "slow", "late", "long",
                                 []])
    options = parser.parse_args()
    Gst.init(None)
    cases = Cases(options)
    for case in options.case or USUAL:
        getattr(cases, case)()
    sys.exit(cases.report.failed)


main()
