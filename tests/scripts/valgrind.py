"""Short pipelines under valgrind: no invalid access, nothing lost. What it sees
and AddressSanitizer does not is memory of the libraries that are not ours.

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
        text = tap.command(
            "valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full",
            "--errors-for-leak-kinds=definite",
            "--show-leak-kinds=definite", "--gen-suppressions=all",
            f"--suppressions={SUPPRESSIONS}",
            "gst-launch-1.0", "--quiet", *SOURCE, *pipeline, timeout=1000)
        assert "==" not in text, text  # valgrind's own lines
    return run


def encode(*properties):
    return clean("whispermel", "window=1000000000", "!", "npuencoder",
                 "model=synthetic:tiny", "threads=2", "timeout=1000000",
                 *properties, "!", "fakesink")


tap.command("gst-inspect-1.0", "npuencoder")  # fills the registry
tap.run([
    ("whispermel", clean("whispermel", "window=1000000000", "!", "fakesink")),
    ("npuencoder in int8", encode("precision=int8")),
])
