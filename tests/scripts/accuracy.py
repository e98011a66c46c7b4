"""tests/bench/accuracy.py: states of one precision beside those of another.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import re

import tap

SCRIPT = tap.ROOT / "tests/bench/accuracy.py"


def accuracy(*args, status=0):
    return tap.command("/usr/bin/python3", SCRIPT, "--model", tap.model(),
                       *args, status=status)


def the_same(folder):
    """A precision beside itself: every row has a cosine of 1."""
    tap.write_wav(folder / "a.wav", 1)
    text = accuracy("--precision", "f32", "--least", "1", "--most-rows", "0",
                    folder / "a.wav")
    tap.expect(text, "f32 beside f32, 1 windows", "worst window 1.0000000",
               "worst row 1.0000000", "rows below 0.99: 0, at most 0 in a window",
               "windows that miss a limit: 0")


def another(folder):
    """int8 is near f32, and not the same; each window has its line."""
    (folder / "more").mkdir()
    tap.write_wav(folder / "a.wav", 31)
    tap.write_wav(folder / "more/b.wav", 1)
    text = accuracy("--verbose", "--row", "2", folder)
    tap.expect(text, "int8 beside f32, 3 windows", "a.wav, window 0: ",
               "a.wav, window 1: ", "b.wav, window 0: ",
               "rows below 2.0: 4500, at most 1500 in a window")
    worst = float(re.search(r"^worst window ([0-9.]+) ", text, re.M)[1])
    lines = re.findall(r", window \d: ([0-9.]+), worst row ([0-9.]+),", text)
    assert worst == min(float(line[0]) for line in lines), text
    assert 0.99 < worst < 1, text
    assert all(float(row) <= float(window) + 1e-6
               for window, row in lines), text


def missed(folder):
    """A limit that a window misses makes the exit status 1."""
    tap.write_wav(folder / "a.wav", 1)
    for limit in (["--least", "1.1"], ["--row", "2", "--most-rows", "1499"]):
        tap.expect(accuracy(*limit, folder / "a.wav", status=1),
                   "windows that miss a limit: 1")


def mistakes(folder):
    (folder / "empty").mkdir()
    (folder / "no.wav").write_text("no recording")
    for args, answer in (([folder / "none.wav"], "there is no file"),
                         ([folder / "empty"], "there is no recording in"),
                         ([folder / "no.wav"], "could not be encoded"),
                         (["--precision", "int4", folder / "no.wav"],
                          "could not be encoded")):
        tap.expect(accuracy(*args, status=1), "accuracy.py: ", answer)


tap.run([
    ("a precision is the same as itself", tap.in_folder(the_same)),
    ("int8 is near f32, window by window", tap.in_folder(another)),
    ("a window that misses a limit is a failure", tap.in_folder(missed)),
    ("mistakes are named", tap.in_folder(mistakes)),
])
