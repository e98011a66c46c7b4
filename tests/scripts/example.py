"""The applications of docs/examples in C, as built and by the lines in their
headers, in Python, and in Rust where there is cargo and what it needs.

usage: example.py ENCODE TRANSCRIBE BUILD_FOLDER

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import wave

import tap

EXAMPLES = tap.ROOT / "docs/examples"
LIVE = EXAMPLES / "live.py"
ENCODE, TRANSCRIBE, BUILD = sys.argv[1:]
PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's gi
IN_PYTHON = (PYTHON, EXAMPLES / "transcribe.py")
MODEL = tap.test_data("models/whisper-tiny.en-f16.safetensors")
BASE = tap.test_data("models/ggml-base-q8_0.bin")
JFK = tap.test_data("audio/jfk.wav")
GERMAN = tap.test_data("audio/fleurs/fleurs-de-001.ogg")


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


def header(name):
    def check(folder):
        source = EXAMPLES / f"{name}.c"
        line = re.search(rf"^ \*   (cc {name}\.c (?:.*\\\n \* )?.*)$",
                         source.read_text(), re.M)
        shutil.copy(source, folder)
        text = tap.command("sh", "-c", line.group(1).replace("\\\n *", ""),
                           cwd=folder)
        assert text == "", text
        tap.expect(tap.command(f"./{name}", "--help", cwd=folder), "AUDIO")
    return check


# --- transcribe

def need_python():
    try:
        tap.command(PYTHON, "-c",
                    "import gi; gi.require_version('GstApp', '1.0')")
    except (AssertionError, FileNotFoundError):
        raise tap.Skip("there is no python3-gi or "
                       "gir1.2-gst-plugins-base-1.0")


def need_speech(program):
    if program[0] == PYTHON:
        need_python()
    if not (MODEL and BASE and JFK and GERMAN):
        raise tap.Skip("there is no whole model or no speech")


def segments(text):
    """[(begin, end, text), ...] of what transcribe prints."""
    found = re.findall(r"^ *([\d.]+) +([\d.]+)  (.+)$", text, re.M)
    return [(float(begin), float(end), words) for begin, end, words in found]


def transcribes(program):
    def check(folder):
        need_speech(program)
        text = tap.command(*program, "--model", MODEL, JFK)
        tap.expect(text, "language: en")
        have = segments(text)
        assert have and all(0 <= a < b <= 11 for a, b, _ in have), text
        assert "ask not what your country" in " ".join(c for *_, c in have)
        text = tap.command(*program, "--model", BASE, GERMAN)
        tap.expect(text, "language: de", "Wasser")
        text = tap.command(*program, "--model", BASE, "--language", "de", GERMAN)
        tap.expect(text, "Wasser")
    return check


def transcribe_errors(program):
    def check(folder):
        need_speech(program)
        tap.write_wav(folder / "speech.wav", 1)
        (folder / "text.wav").write_text("not a recording\n" * 100)
        for args, answer in (
                (["--model", "/no/such", folder / "speech.wav"], "/no/such"),
                (["--model", MODEL, "--language", "de", folder / "speech.wav"],
                 "English only"),
                (["--model", MODEL, folder / "none.wav"], "esource not found"),
                (["--model", MODEL, folder / "text.wav"], "text")):
            tap.expect(tap.command(*program, *args, status=1),
                       answer)
        tap.command(*program, status=None)
        text = tap.command(
            *program, "--model", MODEL, folder / "speech.wav", status=1,
            env={"GST_PLUGIN_PATH_1_0": "", "GST_PLUGIN_PATH": "",
                 "GST_REGISTRY_1_0": str(folder / "registry")})
        tap.expect(text, 'no element "nputranscriber"')
    return check


def interrupt(program):
    """Ctrl-C ends the stream: the process says what it has heard and exits well,
    long before the recording's end."""
    def check(folder):
        need_speech(program)
        with wave.open(str(JFK)) as sound:
            samples = sound.readframes(sound.getnframes())
        with wave.open(str(folder / "long.wav"), "wb") as out:
            out.setparams((1, 2, 16000, 0, "NONE", ""))
            for _ in range(200):
                out.writeframes(samples)
        with subprocess.Popen(
                [*map(str, program), "--model", str(MODEL),
                 str(folder / "long.wav")],
                text=True, stdout=subprocess.PIPE) as process:
            first = ""
            while not segments(first):
                first = process.stdout.readline()
                assert first, "it printed nothing"
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
        assert process.returncode == 0, process.returncode
        assert not segments(rest) or segments(rest)[-1][1] < 2000, rest
    return check


def rust(folder):
    """Built in the build folder, where the next run finds what is there."""
    need_speech(("rust",))
    if not shutil.which("cargo"):
        raise tap.Skip("there is no cargo")
    copy = folder / "transcribe-rust"
    shutil.copytree(EXAMPLES / "transcribe-rust", copy)
    try:
        tap.command("cargo", "fetch", cwd=copy, timeout=120)
    except (AssertionError, subprocess.TimeoutExpired):
        raise tap.Skip("cargo gets no crates")
    target = os.path.join(BUILD, "cargo")
    tap.command("cargo", "build", "--offline", cwd=copy, timeout=900,
                env={"CARGO_TARGET_DIR": target})
    program = os.path.join(target, "debug", "transcribe")
    text = tap.command(program, MODEL, JFK)
    tap.expect(text, "language: en", "ask not what your country")
    assert all(0 <= a < b <= 11 for a, b, _ in segments(text)), text
    tap.expect(tap.command(program, BASE, GERMAN, "de"), "Wasser")
    tap.expect(tap.command(program, "/no/such", JFK, status=1), "/no/such")
    tap.expect(tap.command(program, MODEL, folder / "none", status=1),
               "esource not found")
    tap.expect(tap.command(program, status=1), "usage: ")


# --- live.py

def live(*args, **more):
    """By Debian's Python, which is the one that has Debian's gi."""
    try:
        tap.command(PYTHON, "-c", "import gi, numpy; "
                    "gi.require_version('GstApp', '1.0')")
    except (AssertionError, FileNotFoundError):
        raise tap.Skip("there is no python3-gi, python3-numpy or "
                       "gir1.2-gst-plugins-base-1.0")
    return tap.command(PYTHON, LIVE, *args, **more)


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


tap.run([
    ("encode.c prints shapes and statistics", tap.in_folder(encodes)),
    ("encode.c says what is wrong and fails", tap.in_folder(errors)),
    ("the line in encode.c's header compiles it", tap.in_folder(header("encode"))),
    ("live.py prints states as they come", live_states),
    ("live.py says what is wrong and fails", live_errors),
    ("the line in transcribe.c's header compiles it",
     tap.in_folder(header("transcribe"))),
    *[(f"{name} {what}", tap.in_folder(test(program)))
      for name, program in (("transcribe.c", (TRANSCRIBE,)),
                            ("transcribe.py", IN_PYTHON))
      for what, test in (("prints text, times and language", transcribes),
                         ("says what is wrong and fails", transcribe_errors),
                         ("ends well by Ctrl-C", interrupt))],
    ("transcribe-rust prints text, and says what is wrong", tap.in_folder(rust)),
])
