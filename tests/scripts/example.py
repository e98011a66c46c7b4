"""The C application of docs/examples, as built and by the line in its header, and
the Python one.

usage: example.py ENCODE

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import pathlib
import re
import shutil
import sys

import tap

SOURCE = tap.ROOT / "docs/examples/encode.c"
LIVE = tap.ROOT / "docs/examples/live.py"
ENCODE = sys.argv[1]


def encodes(folder):
    tap.write_wav(folder / "speech.wav", 3)
    text = tap.command(ENCODE, "--model", "synthetic:tiny",
                       folder / "speech.wav")
    tap.expect(text, "states of 3.000 s from 0.000 s: [1500][384], root mean",
               "window: ", "in all: ", " on cpu in ")


def errors(folder):
    tap.write_wav(folder / "speech.wav", 1)
    (folder / "text.wav").write_text("not a recording\n" * 100)
    for args, answer in (
            ([], "see --help"),
            (["--modell", "x"], "--modell"),
            (["--model", "/no/such", folder / "speech.wav"], "/no/such"),
            (["--model", "synthetic:tiny", folder / "none.wav"], "none.wav"),
            (["--model", "synthetic:tiny", folder / "text.wav"], "type")):
        tap.expect(tap.command(ENCODE, *args, status=1), answer)
    text = tap.command(
        ENCODE, "--model", "synthetic:tiny", folder / "speech.wav", status=1,
        env={"GST_PLUGIN_PATH_1_0": "", "GST_PLUGIN_PATH": "",
             "GST_REGISTRY_1_0": str(folder / "registry")})
    tap.expect(text, 'no element "whispermel"')


def header(folder):
    line = re.search(r"^ \*   (cc encode\.c .*)$", SOURCE.read_text(), re.M)
    shutil.copy(SOURCE, folder)
    text = tap.command("sh", "-c", line.group(1), cwd=folder)
    assert text == "", text
    tap.expect(tap.command("./encode", "--help", cwd=folder), "AUDIO")


def live(*args, **more):
    """By Debian's Python, which is the one that has Debian's gi."""
    python = "/usr/bin/python3"
    try:
        tap.command(python, "-c", "import gi, numpy; "
                    "gi.require_version('GstApp', '1.0')")
    except (AssertionError, FileNotFoundError):
        raise tap.Skip("there is no python3-gi, python3-numpy or "
                       "gir1.2-gst-plugins-base-1.0")
    return tap.command(python, LIVE, *args, **more)


def live_states():
    text = live("--model", "synthetic:tiny", "--window", "1", "--source",
                "audiotestsrc is-live=true num-buffers=130")
    tap.expect(text, "50 of (50, 384), root mean square")
    assert len(text.splitlines()) >= 3, text


def live_errors():
    text = live("--model", "/no/such", "--source", "audiotestsrc", status=1)
    tap.expect(text, "/no/such")
    text = live("--model", "synthetic:tiny", "--source",
                "filesrc location=/no/such ! decodebin", status=1)
    tap.expect(text, "esource not found")


def in_folder(test):
    def run():
        with tap.folder() as name:
            test(pathlib.Path(name))
    return run


tap.run([
    ("it prints shapes and statistics", in_folder(encodes)),
    ("it says what is wrong and fails", in_folder(errors)),
    ("the line in its header compiles it", in_folder(header)),
    ("the one in Python prints states as they come", live_states),
    ("the one in Python says what is wrong and fails", live_errors),
])
