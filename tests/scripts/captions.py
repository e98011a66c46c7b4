"""pipelines/captions-live.sh, run as a user runs it.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import contextlib
import json
import os
import re
import shutil
import subprocess

import tap

SCRIPT = tap.ROOT / "pipelines" / "captions-live.sh"
CUE = re.compile(r"(\d\d):(\d\d):(\d\d\.\d{3}) --> (\d\d):(\d\d):(\d\d\.\d{3})\n"
                 r"(.+)\n\n")

# Words of the recording, and when a small model hears them.
JFK = [{"word": word, "start": start, "end": end}
       for word, start, end in (
           ("And", 0.3, 0.7), ("so", 0.74, 1.02), ("my", 1.02, 1.38),
           ("fellow", 1.4, 1.76), ("Americans", 1.76, 2.22),
           ("ask", 3.3, 3.86), ("not", 4.04, 4.52), ("what", 5.17, 5.71),
           ("your", 5.71, 5.99), ("country", 6.05, 6.37), ("can", 6.37, 6.77),
           ("do", 6.77, 7.03), ("for", 7.03, 7.25), ("you", 7.25, 7.75),
           ("ask", 8.1, 8.67), ("what", 8.67, 8.95), ("you", 8.95, 9.27),
           ("can", 9.27, 9.47), ("do", 9.47, 9.71), ("for", 9.71, 9.91),
           ("your", 9.91, 10.19), ("country", 10.19, 10.75))]


def seconds(hours, minutes, rest):
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)


def help_text():
    text = tap.command(SCRIPT, "--help")
    tap.expect(text, "usage: captions-live.sh", "--latency", "example: ")
    assert "SPDX" not in text


def mistakes():
    for args, answer in (
            (["--latency", "soon"], "must be a number of milliseconds"),
            (["--overlay"], "a recording or a stream"),
            (["--overlay", "--vtt", "a", "b"], "two runs"),
            (["a", "b"], "one recording or stream"),
            (["none.wav"], "no file 'none.wav'")):
        text = tap.command(SCRIPT, "--model", "synthetic:tiny", *args, status=1)
        tap.expect(text, "captions-live.sh: ", answer)


def speech():
    """A model for text, and a recording of speech."""
    model = tap.test_data("models/whisper-tiny.en-f16.safetensors")
    audio = tap.test_data("audio/jfk.wav")
    if not model or not audio:
        raise tap.Skip("there is no model for text, or no speech")
    return model, audio


def recording():
    """In real time: the sentences, and cues with their times."""
    model, audio = speech()
    with tap.folder() as name:
        vtt = f"{name}/said.vtt"
        odd = f"{name}/what \"he\" said ! (1)'s.wav"
        scratch = f"{name}/a folder"
        os.mkdir(scratch)
        shutil.copy(audio, odd)
        text = tap.command(SCRIPT, "--model", model, "--language", "en",
                           "--vtt", vtt, odd, env={"TMPDIR": scratch}).lower()
        tap.expect(text, "my fellow americans", "for your country")
        with open(vtt, encoding="utf-8") as file:
            written = file.read()
    assert written.startswith("WEBVTT\n\n"), written
    cues = CUE.findall(written)
    assert written == "WEBVTT\n\n" + "".join(
        f"{a}:{b}:{c} --> {d}:{e}:{f}\n{g}\n\n" for a, b, c, d, e, f, g in cues)
    tap.expect(" ".join(cue[6] for cue in cues).lower(), "my fellow americans",
               "for your country")
    end = 0
    for cue in cues:
        start = seconds(*cue[:3])
        assert end <= start <= seconds(*cue[3:6]) <= 11.2, cue
        end = seconds(*cue[3:6])


def overlay():
    """Words on a picture: it is a sink that shows none, and the element that
    draws them tells which."""
    model, audio = speech()
    for element in ("fakevideosink", "textoverlay", "jpegenc", "matroskamux"):
        if not tap.has_element(element):
            raise tap.Skip(f"there is no {element}")
    with tap.folder() as name:
        talk = f"{name}/talk.mkv"
        tap.command(
            "gst-launch-1.0", "-q", "videotestsrc", "num-buffers=66", "!",
            "video/x-raw,width=160,height=120,framerate=6/1", "!", "jpegenc",
            "!", "matroskamux", "name=all", "!", "filesink", f"location={talk}",
            "filesrc", f"location={audio}", "!", "wavparse", "!", "all.")
        text = tap.command(
            SCRIPT, "--model", model, "--language", "en", "--overlay", talk,
            env={"GST_PLUGIN_FEATURE_RANK": "fakevideosink:512",
                 "GST_DEBUG": "*textoverlay:6", "GST_DEBUG_NO_COLOR": "1"})
    drawn = " ".join(re.findall(r"Rendering '(.*?)'", text)).lower()
    tap.expect(drawn, "fellow", "americans", "country")
    tap.expect(text.lower(), "my fellow americans", "for your country")


@contextlib.contextmanager
def camera(audio):
    """The address of a server that plays @audio to whoever asks."""
    try:
        tap.command("/usr/bin/python3", "-c", "import gi\n"
                    "gi.require_version('GstRtspServer', '1.0')")
    except AssertionError:
        raise tap.Skip("there is no gir1.2-gst-rtsp-server-1.0")
    server = subprocess.Popen(
        ["/usr/bin/python3", tap.ROOT / "tests" / "scripts" / "rtspserver.py",
         audio], stdout=subprocess.PIPE, text=True)
    try:
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()


def rtsp():
    """The sound of a camera, from the network."""
    model, audio = speech()
    for element in ("rtspsrc", "rtpL16pay"):
        if not tap.has_element(element):
            raise tap.Skip(f"there is no {element}")
    with tap.folder() as name, camera(audio) as address:
        vtt = f"{name}/said.vtt"
        text = tap.command(SCRIPT, "--model", model, "--language", "en",
                           "--vtt", vtt, address).lower()
        with open(vtt, encoding="utf-8") as file:
            written = file.read().lower()
    tap.expect(text, "fellow americans", "for your country")
    tap.expect(" ".join(written.split("\n")), "fellow americans")


def source():
    """A live source that ends; nobody speaks."""
    text = tap.command(
        SCRIPT, "--model", "synthetic:tiny", "--source",
        "audiotestsrc is-live=true wave=silence num-buffers=100")
    tap.expect(text, "audiotestsrc", "nputranscriber")


def bench(program, *options, cases=()):
    """What a program of tests/bench prints of a recording whose words are
    known."""
    model, audio = speech()
    try:
        tap.command("/usr/bin/python3", "-c", "import gi")  # Debian's
    except AssertionError:
        raise tap.Skip("there is no python3-gi")
    with tap.folder() as name:
        path = f"{name}/words.json"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(JFK, file)
        return tap.command(
            "/usr/bin/python3", tap.ROOT / "tests" / "bench" / program,
            "--model", model, "--words", path, *options, audio, *cases)


def measured():
    """tests/bench/captions.py, of a recording whose words are known."""
    text = bench("captions.py", "--real-time")
    rows = dict(re.findall(r"^(final|final, by the clock) +(-?\d+\.\d\d) s",
                           text, re.MULTILINE))
    # A word waits for its margin, and the clock is not before the window.
    assert 0.3 < float(rows["final"]) < 2.5, text
    assert float(rows["final, by the clock"]) > float(rows["final"]), text
    assert " 22 words, " in f" {text}" and "0 lost" in text, text


def soak(*cases):
    """Some cases of tests/bench/captions_soak.py, of a short recording."""
    text = bench("captions_soak.py", "--minutes", "0.25", cases=cases)
    for case in cases:
        assert re.search(rf"^{case} ", text, re.MULTILINE), text


def no_voice():
    soak("silence", "hum", "fan", "music")


def disturbed():
    soak("loss", "dtx", "pause", "flush", "states")


tap.run([("help", help_text), ("mistakes", mistakes),
         ("recording", recording), ("overlay", overlay), ("rtsp", rtsp),
         ("source", source), ("measured", measured),
         ("no voice", no_voice), ("disturbed", disturbed)])
