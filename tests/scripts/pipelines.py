"""The scripts of pipelines/, run as a user runs them.

usage: pipelines.py [quickstart]    quickstart builds the plugin once more

gst-launch-1.0 is in some tests a script that does what the real one does now and
then: it stays after an error, or loses an interrupt.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import wave

import tap

PIPELINES = tap.ROOT / "pipelines"
SCRIPTS = ("quickstart.sh", "encode-file.sh", "encode-live.sh",
           "encode-two.sh", "print-stats.sh", "record-live.sh",
           "transcribe.sh")
SYNTHETIC = {"NPUENC_MODEL": "synthetic:tiny"}
TICKS = ("--source", "audiotestsrc is-live=true wave=ticks")
WIDTH = 384  # of tiny
WINDOW = 1500 * WIDTH * 4
FIELDS = (
    "window", "timestamp", "stream-time", "running-time", "duration", "tiles",
    "launches", "stalls", "total-time", "tile-time", "dma-write-time",
    "compute-time", "dma-read-time", "dma-overhead", "realtime-factor",
    "depth", "batch-size", "device", "precision", "model", "placement")


def script(name, *args, env=SYNTHETIC, **more):
    return tap.command(PIPELINES / name, *args, env=env, **more)


def in_folder(test):
    """Gives the test an empty folder with speech.wav."""
    def run():
        with tap.folder() as name:
            folder = pathlib.Path(name)
            tap.write_wav(folder / "speech.wav", 3)
            test(folder)
    return run


def bare_copy(folder):
    """A copy of pipelines/ that has no model near it, and an environment in
    which there is none and a download finds url."""
    copy = folder / "project" / "pipelines"
    shutil.copytree(PIPELINES, copy)
    env = {"XDG_DATA_HOME": str(folder / "data"), "NPUENC_MODEL": ""}
    return copy, env


# --- help and mistakes

def help_test(name):
    def run():
        text = script(name, "--help")
        tap.expect(text, f"usage: {name}", "--model", "$NPUENC_MODEL",
                   "example: ")
        assert "SPDX" not in text
    return run


def mistakes(folder):
    audio = folder / "speech.wav"
    for args, answer in (
            (["encode-file.sh"], "a recording and where to write"),
            (["encode-file.sh", "--modell", "x"], "no option --modell"),
            (["encode-file.sh", "--model"], "wants a value"),
            (["encode-file.sh", "none.wav", "o"], "no file 'none.wav'"),
            (["encode-file.sh", "--model", "none", audio, "o"],
             "no file 'none'"),
            (["encode-live.sh", "--window", "31"], "1 to 30"),
            (["encode-live.sh", "--window", "x"], "must be a number"),
            (["encode-two.sh", audio, "a"], "two recordings"),
            (["encode-two.sh", audio, "a", audio, "a"], "both recordings"),
            (["print-stats.sh"], "it takes a recording"),
            (["record-live.sh", "a"], "where to write the recording"),
            (["record-live.sh", "a", "a"], "both would be written to 'a'"),
            (["record-live.sh", "--seconds", "0", "a", "b"],
             "must be a number of seconds"),
            (["transcribe.sh"], "it takes recordings"),
            (["transcribe.sh", "--format", "doc", audio], "txt, srt, vtt"),
            (["transcribe.sh", audio], "no words"),
            (["quickstart.sh", "a", "b"], "one recording at most"),
            (["quickstart.sh", "none.wav"], "no file 'none.wav'")):
        text = script(*args, status=1, cwd=folder)
        tap.expect(text, f"{args[0]}: ", answer)
    assert sorted(os.listdir(folder)) == ["speech.wav"]


def says_why(folder):
    (folder / "text.wav").write_text("not a recording\n" * 100)
    text = script("encode-file.sh", folder / "text.wav", folder / "o",
                  status=1)
    tap.expect(text, "ERROR: ", "the pipeline failed")
    text = script("encode-file.sh", "--model", "synthetic:enormous",
                  folder / "speech.wav", folder / "o", status=1)
    tap.expect(text, "ERROR: ", "enormous", "the pipeline failed")


# --- encoding

def encode_file(folder):
    for name in ("my speech (1)'s", 'a "b" ! c\\d, $e', "#x;y=z*"):
        odd, states = folder / f"{name}.wav", folder / f"{name}.f32"
        shutil.copy(folder / "speech.wav", odd)
        text = script("encode-file.sh", odd, states)
        tap.expect(text, "$ gst-launch-1.0 ", "window 1: 0.0 s to 3.0 s",
                   "x real time")
        assert states.stat().st_size == WINDOW


def properties(folder):
    audio = folder / "speech.wav"
    script("encode-file.sh", audio, folder / "a", "depth=1")
    script("encode-file.sh", audio, folder / "b", "depth=4", "batch-size=2")
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()
    script("encode-file.sh", audio, folder / "c", "no-such=1", status=1)


def encode_two(folder):
    tap.write_wav(folder / "other.wav", 2, rate=44100)
    script("encode-file.sh", folder / "speech.wav", folder / "1")
    script("encode-file.sh", folder / "other.wav", folder / "2")
    text = script("encode-two.sh", folder / "speech.wav", folder / "a",
                  folder / "other.wav", folder / "b")
    tap.expect(text, "first: window 1: 0.0 s to 3.0 s",
               "second: window 1: 0.0 s to 2.0 s")
    assert (folder / "1").read_bytes() == (folder / "a").read_bytes()
    assert (folder / "2").read_bytes() == (folder / "b").read_bytes()


def print_stats(folder):
    text = script("print-stats.sh", folder / "speech.wav", "depth=2")
    start = text.index("\nnpuencoder-stats\n") + 1
    lines = text[start:].splitlines()[1:]
    found = dict(line.strip().split(": ", 1) for line in lines if line)
    missing = [field for field in FIELDS if field not in found]
    assert not missing, f"{missing} missing in:\n{text}"
    assert found["depth"] == "2" and found["model"] == "synthetic:tiny", text
    assert found["duration"] == "3000000000", text


def live_windows(folder):
    text = script("encode-live.sh", *TICKS, "--window", "1", "--windows", "2",
                  folder / "states")
    tap.expect(text, "Source: audiotestsrc", "window 1: 0.0 s to 1.0 s", "window 2: 1.0 s to 2.0 s")
    assert (folder / "states").stat().st_size == 2 * 50 * WIDTH * 4


def live_interrupt(folder):
    """Ctrl-C: the terminal interrupts the whole process group."""
    live = subprocess.Popen(
        [PIPELINES / "encode-live.sh", *TICKS, "--window", "1",
         folder / "states"],
        env={**os.environ, **SYNTHETIC}, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    seen = [live.stdout.readline()]
    time.sleep(0.5)
    os.killpg(live.pid, signal.SIGINT)
    try:
        seen += live.communicate(timeout=60)[0].splitlines()
    except subprocess.TimeoutExpired:
        os.killpg(live.pid, signal.SIGKILL)
        raise
    assert live.returncode == 0, live.returncode
    windows = [line for line in seen if line.startswith("window ")]
    assert len(windows) >= 2, seen
    positions = (folder / "states").stat().st_size // (WIDTH * 4)
    assert positions > 50, positions


def live_source(folder):
    """Whatever this machine has, the script says what it opened or goes on
    without, and a source that does not open is an error that says so."""
    text = script("encode-live.sh", "--window", "1", "--windows", "1")
    assert re.search(r"^Source: \w+src$|^There is no microphone here", text,
                     re.M), text
    tap.expect(text, "window 1: 0.0 s to 1.0 s")
    text = script("encode-live.sh", "--source", "filesrc location=/none",
                  status=1)
    tap.expect(text, "'filesrc location=/none' gives no sound: ", "/none",
               "gst-inspect-1.0 filesrc")


def record_live(folder):
    """The recording is whole and closed, and so are the states of it."""
    sound, states = folder / "sound.wav", folder / "states"
    script("record-live.sh", *TICKS, "--window", "1", "--seconds", "3", sound,
           states)
    with wave.open(str(sound)) as recording:
        seconds = recording.getnframes() / recording.getframerate()
    positions = states.stat().st_size // (WIDTH * 4)
    assert seconds > 1, seconds
    # The last window is as long as the others, whatever is in it.
    assert 50 * seconds - 2 <= positions <= 50 * (seconds + 1) + 2, (
        seconds, positions)


# --- the ends of gst-launch-1.0

STATS = """Got message #1 from element "encoder" (element): npuencoder-stats, \
window=(guint64)1, stream-time=(guint64)0, duration=(guint64)1000000000, \
total-time=(guint64)1000000, realtime-factor=(double)1000;"""
GOT = 'Got message #2 from element "pipeline0" '


def with_launcher(folder, body, shell="/bin/sh"):
    """An environment with another gst-launch-1.0."""
    tool = folder / "bin" / "gst-launch-1.0"
    tool.parent.mkdir()
    tool.write_text(f"#!{shell}\n{body}\n")
    tool.chmod(0o755)
    return {**SYNTHETIC, "PATH": f"{tool.parent}:{os.environ['PATH']}"}


def ends_test(body, status, *parts):
    def run(folder):
        env = with_launcher(folder, body)
        text = script("encode-file.sh", folder / "speech.wav", folder / "o",
                      env=env, status=status, timeout=60)
        tap.expect(text, *parts)
    return run


stays_after_error = ends_test(
    f"echo '{GOT}(error): GstMessageError;'; exec sleep 1000", 1,
    "the pipeline failed")
stays_after_end = ends_test(
    f"echo '{STATS}'; echo '{GOT}(eos): no message details'; exec sleep 1000", 0,
    "window 1: 0.0 s to 1.0 s")
ends_with_error = ends_test(f"echo '{STATS}'; exit 1", 1,
                            "the pipeline failed")
ends_well_after_error = ends_test(
    f"echo '{STATS}'; echo '{GOT}(error): GstMessageError;'", 1,
    "the pipeline failed")


names_missing_decoder = ends_test(
    """echo 'Got message #9 from element "decodebin0" (element): missing-plugin, \
type=(string)decoder, detail=(GstCaps)"audio/mpeg\\,\\ mpegversion\\=\\(int\\)4", \
name=(string)"MPEG-4\\ AAC\\ decoder";'; exit 1""", 1,
    "GStreamer has no MPEG-4 AAC decoder here",
    "apt-get install gstreamer1.0-libav", "the pipeline failed")


def start(name, *args, env):
    return subprocess.Popen(
        [PIPELINES / name, *args], env={**os.environ, **env}, text=True,
        start_new_session=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def loses_interrupt(folder):
    """One that does not hear the first interrupt, one that hears it and does
    nothing, and one that hears none."""
    said = "lambda *_: (print('handling interrupt.', flush=True){})"
    hears = "signal.signal(signal.SIGINT, {})"
    for number, body in enumerate((
            "time.sleep(3); " + hears.format(said.format(", sys.exit(0)")),
            hears.format(said.format(",")),
            "")):
        place = folder / str(number)
        place.mkdir()
        env = with_launcher(
            place, "import signal, sys, time\n"
            "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
            f"print({STATS!r}, flush=True)\n{body}\n"
            "while True:\n    time.sleep(0.1)\n", shell=sys.executable)
        running = start("encode-file.sh", folder / "speech.wav", folder / "o",
                        env=env)
        running.stdout.readline()
        os.killpg(running.pid, signal.SIGINT)
        try:
            running.communicate(timeout=60)
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
        assert running.returncode == 130, running.returncode


def shows_progress(folder):
    """A window is shown before the next is there."""
    go_on = folder / "go on"
    env = with_launcher(
        folder, f"echo '{STATS}'\nuntil [ -e '{go_on}' ]; do sleep 0.1; done")
    running = start("encode-file.sh", folder / "speech.wav", folder / "o",
                    env=env)
    line = running.stdout.readline()
    go_on.touch()
    running.communicate(timeout=60)
    assert line.startswith("window 1: 0.0 s to 1.0 s"), line
    assert running.returncode == 0, running.returncode


def empty_recording(folder):
    empty = folder / "empty.wav"
    tap.write_wav(empty, 0)
    for args in (["encode-file.sh", empty, folder / "o"],
                 ["print-stats.sh", empty],
                 ["encode-two.sh", folder / "speech.wav", folder / "1", empty,
                  folder / "2"]):
        text = script(*args, status=1)
        tap.expect(text, "no window was encoded", "empty.wav")


# --- the model

def no_network(folder):
    copy, env = bare_copy(folder)
    env["NPUENC_MODEL_URL"] = "file:///no/such/model"
    text = tap.command(copy / "encode-file.sh", folder / "speech.wav",
                       folder / "o", env=env)
    tap.expect(text, "Downloading whisper-tiny.en", "synthetic:tiny",
               "MEAN NOTHING")
    assert (folder / "o").stat().st_size == WINDOW
    assert os.listdir(folder / "data" / "npuenc") == []


def wrong_download(folder):
    copy, env = bare_copy(folder)
    (folder / "wrong").write_text("an error page")
    env["NPUENC_MODEL_URL"] = f"file://{folder}/wrong"
    text = tap.command(copy / "encode-file.sh", folder / "speech.wav",
                       folder / "o", env=env, status=1)
    tap.expect(text, "SHA-256", "It was deleted", "--model")
    assert os.listdir(folder / "data" / "npuenc") == []
    assert not (folder / "o").exists()


def right_download(folder):
    if not shutil.which("curl") and not shutil.which("wget"):
        raise tap.Skip("there is neither curl nor wget")
    content = os.urandom(1 << 20)
    (folder / "served").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    target = folder / "new" / "model"
    tap.command("sh", "-euc", f'''
        here={PIPELINES}
        . "$here/common.sh"
        download file://{folder}/served {digest} {target}''')
    assert target.read_bytes() == content
    assert os.listdir(target.parent) == ["model"]


def model_order(folder):
    copy, env = bare_copy(folder)
    show = ["sh", "-euc", f'here={copy}; . "$here/common.sh"; find_model; '
            'echo "$model"', "show"]
    places = [folder / "data" / "npuenc", folder / "shared" / "models",
              folder / "project" / "models"]
    for place in places:  # each comes before the one before it
        place.mkdir(parents=True)
        file = place / "some.safetensors"
        file.touch()
        got = tap.command(*show, env=env).splitlines()[-1]
        assert os.path.samefile(got, file), got
    env["NPUENC_MODEL"] = "synthetic:base"
    assert tap.command(*show, env=env).endswith("\nsynthetic:base\n")
    text = tap.command(*show, "--model", places[0] / "some.safetensors",
                       env=env)
    assert os.path.samefile(text.splitlines()[-1],
                            places[0] / "some.safetensors"), text


# --- packages

def no_root(folder):
    """A user without sudo is told what root must run."""
    tools = folder / "bin"
    tools.mkdir()
    for tool in ("sh", "mktemp", "rm", "tr", "sed", "dirname", "cat"):
        (tools / tool).symlink_to(shutil.which(tool))
    for tool, answer in (("id", "echo 1000"), ("dpkg-query", "exit 1"),
                         ("apt-get", "exit 99")):
        (tools / tool).write_text(f"#!/bin/sh\n{answer}\n")
        (tools / tool).chmod(0o755)
    text = tap.command(PIPELINES / "quickstart.sh", status=1,
                       env={"PATH": str(tools)})
    tap.expect(text, "You are not root and there is no sudo",
               "apt-get install --no-install-recommends gcc ", "espeak-ng")


# --- quickstart

def not_source(folder, names):
    """Of names in folder, those that a checkout does not have."""
    return [name for name in names if name in (".git", "models")
            or pathlib.Path(folder, name, "meson-private").exists()]


def quickstart(folder):
    missing = tap.command("sh", "-euc", f'''
        . {PIPELINES}/packages.sh
        missing_packages $(build_packages) $(run_packages) curl espeak-ng''')
    if missing:
        raise tap.Skip(f"not installed: {' '.join(missing.split())}")
    tree = folder / "tree"
    shutil.copytree(tap.ROOT, tree, ignore=not_source)
    env = {**SYNTHETIC, "GST_PLUGIN_PATH_1_0": "", "GST_PLUGIN_PATH": "",
           "GST_REGISTRY_1_0": str(folder / "registry")}

    text = tap.command(tree / "pipelines/quickstart.sh", env=env, timeout=900)
    tap.expect(text, "1500 positions", f"of {WIDTH} float32 values",
               "standard deviation", "x real time", "MEAN NOTHING")
    states = tree / "build/quickstart/states.f32"
    assert states.stat().st_size == WINDOW

    # What it built is found by the other scripts.
    tap.command(tree / "pipelines/encode-file.sh", folder / "speech.wav",
                folder / "o", env=env)
    text = tap.command(tree / "pipelines/quickstart.sh",
                       folder / "speech.wav", env=env)
    tap.expect(text, "window 1: 0.0 s to 3.0 s")
    assert states.read_bytes() == (folder / "o").read_bytes()

    # No sound is an explanation and a failure, not a mean of nothing.
    tap.write_wav(folder / "empty.wav", 0)
    text = tap.command(tree / "pipelines/quickstart.sh", folder / "empty.wav",
                       env=env, status=1)
    tap.expect(text, "no window was encoded", "empty.wav")
    assert "nan" not in text, text

    readme_commands(tree, env)
    sees_xrt(tree, folder)
    other_prefix(tree, folder)


def readme_commands(tree, env):
    """What README.md says after quickstart.sh, as pasted, with a model."""
    model = tap.test_data("models/whisper-tiny.en-f16.safetensors")
    if model:
        text = tap.command(tree / "pipelines/quickstart.sh", "--model", model,
                           env=env)
        tap.expect(text, "model=whisper-tiny.en.safetensors")
        said = text.split("The words that were spoken:")[1]
        assert "second" in said, text
    use = (tree / "README.md").read_text().split("\n## Use\n")[1]
    code = "\n".join(
        block for block in re.findall(r"^```sh\n(.*?)^```",
                                      use.split("\n## ")[0], re.M | re.S)
        if "webvttenc" not in block or tap.has_element("webvttenc"))
    assert "build/quickstart" in code and "autoaudiosrc" in code, code
    code = code.replace("autoaudiosrc",
                        "audiotestsrc is-live=true num-buffers=100")
    if not model:
        code = code.replace("whisper-tiny.en.safetensors", "synthetic:tiny")
    tap.command("env", "-u", "GST_PLUGIN_PATH_1_0", "bash", "-euo", "pipefail",
                "-c", code, cwd=tree, env=env)
    tap.expect(tap.command(tree / "build/tests/bench/npuenc-bench", "--help"),
               "bf16")


def sees_xrt(tree, folder):
    """XRT that was installed after the first build is found by the next."""
    if not shutil.which("c++"):
        return
    (folder / "xrt.pc").write_text(
        "Name: xrt\nDescription: none\nVersion: 2.99\nLibs:\nCflags:\n")
    setup = ["meson", "setup", "--reconfigure", tree / "build", tree]
    text = tap.command(*setup, f"-Dpkg_config_path={folder}")
    assert re.search(r"dependency xrt found: YES 2\.99", text), text
    tap.command(*setup, "-Dpkg_config_path=", "-Dxrt=disabled")


def other_prefix(tree, folder):
    """A plugin below another prefix works where the folder is told."""
    prefix = folder / "home" / ".local"
    tap.command("meson", "configure", tree / "build", f"-Dprefix={prefix}")
    text = tap.command("ninja", "-C", tree / "build", "install", timeout=900)
    plugins = prefix / "lib/gstreamer-1.0"
    tap.expect(text, f"export GST_PLUGIN_PATH={plugins}")
    clean = {"GST_PLUGIN_PATH_1_0": "", "LD_LIBRARY_PATH": "",
             "GST_PLUGIN_PATH": str(plugins),
             "GST_REGISTRY_1_0": str(folder / "registry of prefix")}
    moved = folder / "moved"
    for place in (prefix, moved):
        clean["GST_PLUGIN_PATH"] = str(place / "lib/gstreamer-1.0")
        text = tap.command("env", "-u", "GST_PLUGIN_PATH_1_0",
                           "gst-inspect-1.0", "npuencoder", env=clean)
        tap.expect(text, f"{place}/lib/gstreamer-1.0/libgstnpuencoder.so")
        tap.command(prefix / "bin/npuenc-bench", "--help", env=clean)
        if place == prefix:
            shutil.copytree(prefix / "lib", moved / "lib")
    tap.command("ninja", "-C", tree / "build", "uninstall")
    left = [path for path in prefix.rglob("*") if not path.is_dir()]
    assert not left, left


QUICKSTART = [("quickstart builds, encodes and shows", quickstart)]
TESTS = [(f"{name} --help", help_test(name)) for name in SCRIPTS] + [
    ("mistakes on the command line are named", mistakes),
    ("a pipeline that fails says why", says_why),
    ("encode-file writes raw float32", encode_file),
    ("encode-file sets properties, and depth changes no bit", properties),
    ("encode-two writes what encode-file writes", encode_two),
    ("print-stats prints every field", print_stats),
    ("encode-live stops after so many windows", live_windows),
    ("encode-live encodes the last window after Ctrl-C", live_interrupt),
    ("encode-live says where sound comes from", live_source),
    ("an error ends a gst-launch-1.0 that stays", stays_after_error),
    ("the end of a stream ends a gst-launch-1.0 that stays", stays_after_end),
    ("a status of gst-launch-1.0 is the script's", ends_with_error),
    ("an error is one whatever the status", ends_well_after_error),
    ("Ctrl-C ends what does not hear it", loses_interrupt),
    ("record-live records and encodes", record_live),
    ("a decoder that is missing is named with its package",
     names_missing_decoder),
    ("windows are shown as they come", shows_progress),
    ("an empty recording is a mistake", empty_recording),
    ("without a network the model is synthetic, and said to be", no_network),
    ("a download with other bytes is refused and deleted", wrong_download),
    ("a download appears under its name when it is right", right_download),
    ("models are looked for in the documented order", model_order),
    ("a user without root and sudo is told what to install", no_root),
]


def main():
    chosen = QUICKSTART if sys.argv[1:] == ["quickstart"] else TESTS
    tap.run([(name, test if name.endswith("--help") else in_folder(test))
             for name, test in chosen])


main()
