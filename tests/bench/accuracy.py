#!/usr/bin/env python3
"""How near an encoder's states in one precision are to those in another.

    accuracy.py --model ggml-base-q8_0.bin speech.wav folder/…

Recordings, or folders of them (.wav, .flac, .ogg), are cut into windows of 30 s, the last
one padded with silence, as whispermel does; both precisions get the same mel. A
window's cosine is that of all its states as one vector, a row is one of its 1500
positions. Printed are the worst window and row, and how many rows are below --row
(0.99), in all and in one window; with --verbose a line for each window.

--cpu LEVEL is the kernels' limit (NPUENC_CPU): with `c-int8` int8 has the 8-bit
integers of CPUs with VNNI on every CPU, multiplied in float.

With --least or --most-rows the exit status is 1 where a window has a lower cosine, or
more such rows.

Python 3.9 or later, gst-launch-1.0, and GST_PLUGIN_PATH where the plugin is not
installed.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import argparse
import array
import dataclasses
import math
import operator
import os
import pathlib
import re
import subprocess
import sys
import tempfile

POSITIONS = 1500


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\nRecordings")[0],
        epilog="Recordings" + __doc__.split("\n\nRecordings")[1],
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="+", type=pathlib.Path)
    parser.add_argument("--model", required=True, help="a Whisper model")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--reference", default="f32", help="a precision")
    parser.add_argument("--cpu", help="NPUENC_CPU, for --precision")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--row", type=float, default=0.99,
                        help="rows below this are counted")
    parser.add_argument("--least", type=float, help="cosine of every window")
    parser.add_argument("--most-rows", type=int, help="of every window")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args()


def files_of(paths):
    for path in paths:
        if path.is_dir():
            found = sorted(p for p in path.rglob("*")
                           if p.suffix in (".wav", ".flac", ".ogg"))
            if not found:
                sys.exit(f"accuracy.py: there is no recording in '{path}'.")
            yield from found
        elif path.is_file():
            yield path
        else:
            sys.exit(f"accuracy.py: there is no file '{path}'.")


def states(options, path, precision, cpu, folder):
    """The floats of all windows, and how many a row has."""
    out = pathlib.Path(folder, "states.f32")
    argv = ["gst-launch-1.0", "-v", "filesrc", f"location={path}", "!",
            "decodebin", "!", "audioconvert", "!", "audioresample", "!",
            "whispermel", "!", "npuencoder", "device=cpu",
            f"model={options.model}", f"precision={precision}",
            f"threads={options.threads}", "name=encoder", "!",
            "filesink", f"location={out}"]
    env = dict(os.environ)
    if cpu:
        env["NPUENC_CPU"] = cpu
    done = subprocess.run(argv, env=env, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    size = re.search(r"GstNpuEncoder:encoder\.GstPad:src: caps = .*?"
                     r"dimensions=\(string\)(\d+):", done.stdout)
    if done.returncode or not size:
        print(done.stdout, file=sys.stderr)
        sys.exit(f"accuracy.py: '{path}' could not be encoded.")
    floats = array.array("f", out.read_bytes())
    if sys.byteorder == "big":
        floats.byteswap()
    return floats, int(size.group(1))


def dot(x, y):
    return sum(map(operator.mul, x, y))


def cosine(xx, yy, xy):
    """1 where the two are the same; 0 where one has no direction."""
    return xy / math.sqrt(xx * yy) if xx > 0 and yy > 0 else float(xx == yy)


@dataclasses.dataclass
class Window:
    path: pathlib.Path
    number: int
    cosine: float
    worst: float  # of its rows
    below: int    # rows


def compare(path, number, x, y, d, limit):
    sums, rows = [0.0, 0.0, 0.0], []
    for at in range(0, len(x), d):
        a, b = x[at:at + d], y[at:at + d]
        parts = dot(a, a), dot(b, b), dot(a, b)
        sums = list(map(operator.add, sums, parts))
        rows.append(cosine(*parts))
    # A NaN is below everything.
    return Window(path, number, cosine(*sums), min(rows, key=lambda r: r if
                                                   r == r else -2.0),
                  sum(not row >= limit for row in rows))


def windows_of(options, path, folder):
    tested, d = states(options, path, options.precision, options.cpu, folder)
    reference, _ = states(options, path, options.reference, None, folder)
    size = POSITIONS * d
    if len(tested) != len(reference) or len(tested) % size:
        sys.exit(f"accuracy.py: '{path}': {len(tested)} and {len(reference)} "
                 "floats are not as many windows of both precisions.")
    for number, at in enumerate(range(0, len(tested), size)):
        yield compare(path, number, tested[at:at + size],
                      reference[at:at + size], d, options.row)


def main():
    options = parse_options()
    found = []
    with tempfile.TemporaryDirectory(prefix="accuracy-") as folder:
        for path in files_of(options.recordings):
            for window in windows_of(options, path, folder):
                found.append(window)
                if options.verbose:
                    print(f"{path}, window {window.number}: "
                          f"{window.cosine:.7f}, worst row {window.worst:.7f}, "
                          f"{window.below} rows below {options.row}",
                          flush=True)
    worst = min(found, key=lambda w: w.cosine)
    row = min(found, key=lambda w: w.worst)
    cpu = f" with {options.cpu}'s kernels" if options.cpu else ""
    print(f"{options.model}: {options.precision}{cpu} beside "
          f"{options.reference}, {len(found)} windows")
    print(f"worst window {worst.cosine:.7f} ({worst.path}, {worst.number})")
    print(f"worst row {row.worst:.7f} ({row.path}, {row.number})")
    print(f"rows below {options.row}: {sum(w.below for w in found)}, "
          f"at most {max(w.below for w in found)} in a window")
    missed = [w for w in found
              if (options.least is not None and not w.cosine >= options.least)
              or (options.most_rows is not None
                  and w.below > options.most_rows)]
    if options.least is not None or options.most_rows is not None:
        print(f"windows that miss a limit: {len(missed)}")
    sys.exit(1 if missed else 0)


main()
