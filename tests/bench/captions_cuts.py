#!/usr/bin/env python3
"""Whether a word is lost or told twice where live captions end anywhere: within
a word, just behind one, in a pause.

usage: captions_cuts.py --model MODEL [--language CODE] [--every SECONDS]
                        [--end eos|leap|gap|loss] [--set PROPERTY=VALUE]...
                        [--verbose] RECORDING...

Each recording is cut off after SECONDS (0.37), twice as much, and so on. What is
left is heard as live captions, not by the clock, and at once, as a recording is.
Words count that the recording's whole text has, too, and that end a second
before the cut or earlier. A stream ends there (eos), its time leaps (leap), a
GAP event follows (gap), or half a second is lost and the recording goes on
(loss).

Exits with 1 where words were lost or told twice. Needs Python's gi.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import argparse
import difflib
import pathlib
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from livestream import (CAPS, RATE, SAMPLES, Run, blocks, plain,  # noqa: E402
                        read, to_ns, wait_for_end)

NEWEST = Gst.SECOND  # words that end in it do not count
BETWEEN = 60 * Gst.SECOND  # from one cut's start to the next one's
LOSS = RATE // 2


def hear_at_once(options, pcm):
    """(start, end, text) of a recording's words."""
    pipeline = Gst.parse_launch(
        f"appsrc name=source format=time caps={CAPS} ! "
        "nputranscriber name=speech mode=follow text=words ! "
        "fakesink name=words signal-handoffs=true sync=false")
    words = []

    def on_word(sink, buffer, pad):
        text = buffer.extract_dup(0, buffer.get_size()).decode()
        words.append((buffer.pts, buffer.pts + buffer.duration, text))

    speech = pipeline.get_by_name("speech")
    speech.set_property("model", options.model)
    speech.set_property("language-code", options.language)
    pipeline.get_by_name("words").connect("handoff", on_word)
    source = pipeline.get_by_name("source")
    buffer = Gst.Buffer.new_wrapped(pcm)
    buffer.pts, buffer.duration = 0, to_ns(len(pcm) // SAMPLES)
    pipeline.set_state(Gst.State.PLAYING)
    source.emit("push-buffer", buffer)
    source.emit("end-of-stream")
    wait_for_end(pipeline)
    pipeline.set_state(Gst.State.NULL)
    return words


def hear_each(options, pcm, cuts):
    """A stream each."""
    for end in cuts:
        run = Run(options)
        run.play()
        run.push_all(pcm[:end * SAMPLES])
        yield run.finish()


def hear_together(options, pcm, cuts):
    """One stream: times leap, or a GAP event is where nothing is."""
    run = Run(options)
    run.play()
    for number, end in enumerate(cuts):
        start = number * BETWEEN
        run.is_new = options.end != "gap"
        run.push_all(pcm[:end * SAMPLES], start)
        if options.end == "gap":
            at = start + to_ns(end)
            run.gap(at, start + BETWEEN - at)
        elif options.end == "loss":
            run.is_new = True
            run.push_all(pcm[(end + LOSS) * SAMPLES:],
                         start + to_ns(end + LOSS))
    words = run.finish()
    for number in range(len(cuts)):
        start = number * BETWEEN
        yield [(word[0] - start, word[1] - start, word[2]) for word in words
               if start <= word[0] < start + BETWEEN]


def texts(words):
    return [word[2] for word in words]


def compare(reference, whole, words, before):
    """Words lost, words too many that the whole does not have either, words
    heard otherwise."""
    known_there = {there for _, there in blocks(texts(whole), texts(words))}
    known = [plain(word[2]) for word in reference]
    heard = [plain(word[2]) for word in words]
    lost, more, other = [], [], 0
    for kind, a, b, c, d in difflib.SequenceMatcher(
            None, known, heard, autojunk=False).get_opcodes():
        here = [word[2] for word in reference[a:b] if word[1] <= before]
        there = [word[2] for word in words[c:d] if word[1] <= before]
        if kind == "equal":
            continue
        same = min(b - a, d - c)
        other += min(same, len(here))
        lost += here[same:]
        more += there[same:] if not known_there.issuperset(
            range(c + same, d)) else []
    return lost, more, other


def judge(options, path):
    pcm = read(path)
    step = int(options.every * RATE)
    cuts = range(step, len(pcm) // SAMPLES - (
        LOSS + RATE if options.end == "loss" else 0), step)
    whole = hear_at_once(options, pcm)
    hear = hear_each if options.end == "eos" else hear_together
    n_lost = n_more = n_other = n_words = 0
    for end, words in zip(cuts, hear(options, pcm, cuts)):
        before = to_ns(end) - NEWEST
        at_once = hear_at_once(options, pcm[:end * SAMPLES])
        # What only the cut has, it may have made up.
        reference = [at_once[i] for i, _ in blocks(
            texts(at_once), texts(whole))]
        words = [word for word in words if word[0] < to_ns(end)]
        lost, more, other = compare(reference, whole, words, before)
        n_words += sum(word[1] <= before for word in reference)
        n_lost += len(lost)
        n_more += len(more)
        n_other += other
        if options.verbose and (lost or more):
            print(f"  cut at {end / RATE:.2f} s, lost: {' '.join(lost)}; too "
                  f"many: {' '.join(more)}\n    live: "
                  f"{' '.join(texts(words))}\n    at once: "
                  f"{' '.join(texts(at_once))}", flush=True)
    print(f"{pathlib.Path(path).name:24s} {len(cuts)} cuts, {n_words} words: "
          f"{n_lost} lost, {n_more} too many, {n_other} otherwise", flush=True)
    return n_lost + n_more


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--language", default="en")
    parser.add_argument("--every", type=float, default=0.37)
    parser.add_argument("--end", default="leap",
                        choices=("eos", "leap", "gap", "loss"))
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("recording", nargs="+")
    options = parser.parse_args()
    Gst.init(None)
    keeper = Run(options)  # holds the model between the streams
    keeper.pipeline.set_state(Gst.State.PAUSED)
    faults = sum(judge(options, path) for path in options.recording)
    keeper.close()
    sys.exit(faults > 0)


main()
