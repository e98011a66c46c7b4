"""Tests in Python that speak TAP, and what several of them need.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import traceback
import wave

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Skip(Exception):
    """Its text says what is missing."""


def say(text):
    """Writes a diagnostic where a log that shows no passed TAP has it too."""
    for line in text.splitlines():
        print(f"# {line}")
        print(line, file=sys.stderr)


def run(tests):
    """Runs (name, function) pairs and exits."""
    sys.stdout.reconfigure(line_buffering=True)
    print(f"1..{len(tests)}")
    failed = 0
    for number, (name, function) in enumerate(tests, 1):
        try:
            function()
            print(f"ok {number} {name}")
        except Skip as skip:
            print(f"ok {number} {name} # SKIP {skip}")
        except Exception:
            failed += 1
            say(traceback.format_exc())
            print(f"not ok {number} {name}")
    sys.exit(failed > 0)


def command(*argv, timeout=300, status=0, cwd=None, env=None, stdin=""):
    """Runs argv with env added to the environment; returns what it wrote, and
    fails unless it exits with status (None: anything but 0)."""
    done = subprocess.run(
        [str(arg) for arg in argv], cwd=cwd, input=stdin, timeout=timeout,
        env={**os.environ, **(env or {})}, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    good = done.returncode != 0 if status is None else done.returncode == status
    if not good:
        say("\n".join(done.stdout.splitlines()[-100:]))
        raise AssertionError(f"{argv[0]} exited with {done.returncode}")
    return done.stdout


def expect(text, *parts):
    """Fails unless every part is in text."""
    for part in parts:
        assert part in text, f"no '{part}' in:\n{text}"


def test_data(name):
    """A file of the test data, or None."""
    folder = os.environ.get("NPUENC_TEST_DATA") or ROOT.parent / "shared"
    path = pathlib.Path(folder) / name
    return path if path.is_file() else None


def has_element(name):
    return subprocess.run(["gst-inspect-1.0", "--exists", name],
                          check=False).returncode == 0


def model():
    """A real model where the test data has one, else a synthetic one."""
    return str(test_data("models/whisper-tiny.en-encoder-f16.safetensors")
               or "synthetic:tiny")


def write_wav(path, seconds, rate=22050):
    """A mono recording of noise that swells and fades, like syllables."""
    noise = random.Random(1)
    samples = [int(9000 * (i * 4 // rate % 2) * noise.uniform(-1, 1))
               for i in range(int(seconds * rate))]
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes(struct.pack(f"<{len(samples)}h", *samples))


def folder():
    """A temporary folder; use it by with."""
    return tempfile.TemporaryDirectory(prefix="npuenc-test-")


def in_folder(test):
    """A test for run() that gives @test an empty folder."""
    def run_in_folder():
        with folder() as name:
            test(pathlib.Path(name))
    return run_in_folder
