#!/usr/bin/env python3
"""What beams, times of words and windows at once cost in decoding a recording.

    decoding.py --model ggml-base-q8_0.bin speech.wav

Each is a process of its own, with the same windows (mode=pauses), one thread
unless --threads, greedy unless it is said, and no second attempt at a window: that
would be another number of tokens. Seconds are of the processor, less those of the
same process with a tenth of a second of silence, which only loads the model, and
less those that the encoder alone takes. All run one after the other in a round;
printed are medians, of the rounds and of the ratios within a round.

Python 3.9 or later, gst-launch-1.0, and GST_PLUGIN_PATH where the plugin is not
installed.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import wave

GREEDY = "greedy"
KINDS = {GREEDY: "", "beam-size=5": "beam-size=5",
         "timestamps=words": "timestamps=words", "batch=8": "batch=8"}


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\nEach")[0],
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording")
    parser.add_argument("--model", required=True, help="a whole Whisper model")
    parser.add_argument("--language", default="en")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def processor_seconds(path, elements):
    argv = ["gst-launch-1.0", "-q", "filesrc", f"location={path}", "!",
            "decodebin", "!", "audioconvert", "!", "audioresample", "!",
            "whispermel", "mode=pauses", "tail=zero", "!", *elements, "!",
            "fakesink"]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"decoding.py: {argv[0]} exited with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def measure(options, silence):
    """{kind: seconds of decoding} of a round."""
    encoder = ["npuencoder", f"model={options.model}",
               f"threads={options.threads}"]

    def seconds(more):
        return (processor_seconds(options.recording, encoder + more) -
                processor_seconds(silence, encoder + more))

    encoding = seconds([])
    return {kind: seconds(["!", "whisperdecoder", f"threads={options.threads}",
                           f"language-code={options.language}",
                           "temperature-increment=0", *more.split()]) - encoding
            for kind, more in KINDS.items()}


def main():
    options = parse_options()
    if not pathlib.Path(options.recording).is_file():
        sys.exit(f"decoding.py: there is no file '{options.recording}'.")
    rounds = []
    with tempfile.TemporaryDirectory(prefix="decoding-") as folder:
        silence = pathlib.Path(folder, "silence.wav")
        with wave.open(str(silence), "wb") as out:
            out.setparams((1, 2, 16000, 0, "NONE", ""))
            out.writeframes(bytes(3200))
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            rounds.append(measure(options, silence))
    print(f"{options.recording}, {options.threads} threads, "
          f"{options.rounds} rounds: decoding, seconds of the processor")
    for kind in KINDS:
        seconds = statistics.median(r[kind] for r in rounds)
        ratio = statistics.median(r[kind] / r[GREEDY] if r[GREEDY] > 0
                                  else float("nan") for r in rounds)
        print(f"{kind:20} {seconds:8.2f} {ratio:6.2f}")


main()
