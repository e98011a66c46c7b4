"""The C application of docs/examples, as built and by the line in its header.

usage: example.py ENCODE

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import pathlib
import re
import shutil
import sys

import tap

SOURCE = tap.ROOT / "docs/examples/encode.c"
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


def in_folder(test):
    def run():
        with tap.folder() as name:
            test(pathlib.Path(name))
    return run


tap.run([
    ("it prints shapes and statistics", in_folder(encodes)),
    ("it says what is wrong and fails", in_folder(errors)),
    ("the line in its header compiles it", in_folder(header)),
])
