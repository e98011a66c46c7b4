"""Short pipelines under valgrind: no invalid access, nothing lost.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import shutil

import tap

SUPPRESSIONS = tap.ROOT / "tests/sanitizers/valgrind.supp"
SOURCE = ["audiotestsrc", "num-buffers=12", "samplesperbuffer=1600", "!",
          "audio/x-raw,rate=16000", "!", "audioconvert", "!"]


def clean(*pipeline):
    def run():
        if not shutil.which("valgrind"):
            raise tap.Skip("there is no valgrind")
        tap.command(
            "valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full",
            "--errors-for-leak-kinds=definite",
            "--show-leak-kinds=definite", "--num-callers=30",
            f"--suppressions={SUPPRESSIONS}",
            "gst-launch-1.0", "--quiet", *SOURCE, *pipeline, timeout=1000)
    return run


def encode(*properties):
    return clean("whispermel", "window=1000000000", "!", "npuencoder",
                 "model=synthetic:tiny", "threads=2", *properties, "!",
                 "fakesink")


tap.run([
    ("whispermel", clean("whispermel", "window=1000000000", "!", "fakesink")),
    ("npuencoder in int8", encode("precision=int8")),
    ("npuencoder in f32, one launch at a time",
     encode("precision=f32", "depth=1", "batch-size=1")),
    ("npuencoder that cannot start", clean(
        "whispermel", "!", "npuencoder", "model=/no/such/model", "!",
        "fakesink")),
])
