#!/usr/bin/env python3
"""How late live captions are, and how right, on a recording whose words' times
are known.

usage: captions.py [--real-time] --model MODEL --words WORDS.json RECORDING

WORDS.json is a list of {"word": "...", "start": seconds, "end": seconds}.

A word's time is counted from its end in WORDS.json to the end of the window that
made it final, as if computing took none; with --real-time, by the clock, also
with the time from when nputranscriber had that window's audio until it told the
word. Only words that are heard as they are in WORDS.json count.

Needs Python's gi; the error rate is Whisper's where tests/bench/wer has its
normaliser.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import argparse
import json
import pathlib
import resource
import statistics
import sys
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "wer")]
import score  # noqa: E402
from livestream import blocks, plain, stop, wait_for_end  # noqa: E402


def run(options):
    """Returns a list of (ns that it took, an update of unsynced_src)."""
    pipeline = Gst.parse_launch(
        "filesrc name=source ! decodebin ! audioconvert ! audioresample "
        f"{'! identity sync=true' if options.real_time else ''} ! "
        "nputranscriber name=speech mode=growing ! fakesink "
        "speech.unsynced_src ! fakesink name=updates signal-handoffs=true "
        "sync=false")
    speech = pipeline.get_by_name("speech")
    updates, came = [], []

    def on_audio(pad, info):
        buffer = info.get_buffer()
        came.append((buffer.pts + buffer.duration, time.monotonic_ns()))
        return Gst.PadProbeReturn.OK

    def on_update(sink, buffer, pad):
        now = time.monotonic_ns()
        update = json.loads(buffer.extract_dup(0, buffer.get_size()))
        since = next((at for end, at in came if end >= update["end"]), now)
        updates.append((now - since, update))

    pipeline.get_by_name("source").set_property("location", options.recording)
    speech.set_property("model", options.model)
    speech.set_property("language-code", options.language)
    speech.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, on_audio)
    pipeline.get_by_name("updates").connect("handoff", on_update)
    pipeline.set_state(Gst.State.PLAYING)
    wait_for_end(pipeline)
    pipeline.set_state(Gst.State.NULL)
    return updates


def said(updates):
    """Final words: (text, end of the window, by the clock), in ns."""
    return [(word, update["end"], update["end"] + cost)
            for cost, update in updates
            for word in update["committed"].split()]


def shown(updates):
    """The same of each word since when it was shown as it stayed, and how many
    words of what was shown were changed."""
    final, on_show, since, changed = [], [], [], 0
    for cost, update in updates:
        final += update["committed"].split()
        text = [plain(word) for word in final + update["partial"].split()]
        same = 0
        while same < min(len(text), len(on_show)) and \
                text[same] == on_show[same]:
            same += 1
        changed += len(on_show) - same
        since[same:] = [(update["end"], update["end"] + cost)] * (
            len(text) - same)
        on_show = text
    return [(word, *times) for word, times in zip(final, since)], changed


def delays(words, captions, which):
    """Seconds from the end of a word to captions' [which] time, in order."""
    return sorted(captions[there][which] / 1e9 - words[here]["end"]
                  for here, there in blocks([word["word"] for word in words],
                                            [word[0] for word in captions]))


def row(name, values):
    late = values[min(len(values) - 1, int(0.95 * len(values)))]
    print(f"{name:22s} {statistics.median(values):6.2f} s {late:6.2f} s "
          f"{values[-1]:6.2f} s  ({len(values)} words)")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--real-time", action="store_true")
    parser.add_argument("--model", required=True)
    parser.add_argument("--words", required=True)
    parser.add_argument("--language", default="en")
    parser.add_argument("recording")
    options = parser.parse_args()
    Gst.init(None)

    with open(options.words, encoding="utf-8") as file:
        words = json.load(file)
    updates = run(options)
    final = said(updates)
    on_show, changed = shown(updates)
    if not delays(words, final, 1):
        stop("no word of the recording was heard")

    normalize = score.Normalizer()
    errors = score.count(
        normalize(" ".join(word["word"] for word in words), options.language),
        normalize(" ".join(word[0] for word in final), options.language))
    print(f"{errors.words} words, word error rate {100 * errors.rate:.1f} %: "
          f"{errors.substituted} substituted, {errors.deleted} lost, "
          f"{errors.inserted} inserted; normaliser: {normalize.name}")
    print(f"{'':22s} {'median':>8s} {'95 %':>8s} {'longest':>8s}")
    row("final", delays(words, final, 1))
    row("shown as it stays", delays(words, on_show, 1))
    if options.real_time:
        row("final, by the clock", delays(words, final, 2))
        row("shown, by the clock", delays(words, on_show, 2))
    print(f"{changed / len(final):.2f} words changed for each that was final")
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{used.ru_utime + used.ru_stime:.1f} s of the processor for "
          f"{updates[-1][1]['end'] / 1e9:.0f} s of audio, loading included")


main()
