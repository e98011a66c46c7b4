"""docs/subtitles.md, command by command, and that its files play back with the text
at the right time; odd text in SubRip and WebVTT.

The recording: silence, a sentence of 3 to 14 s, silence, another of 31 to 36.9 s.
Files are read by ffmpeg and by GStreamer.

usage: subtitles.py NPUENC_TRANSCRIBE

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import functools
import http.server
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
import threading
import wave

import tap

PAGE = tap.ROOT / "docs" / "subtitles.md"
TOOL = os.path.abspath(sys.argv[1])
MODEL = tap.test_data("models/whisper-tiny.en-f16.safetensors")
JFK = tap.test_data("audio/jfk.wav")
QUILTER = tap.test_data("audio/1272-128104-0000.wav")
PLAYER = pathlib.Path(__file__).parent / "playtext.py"
PYTHON = "/usr/bin/python3"  # which has Debian's gi
LENGTH = 36.86

VIDEO = ("videotestsrc num-buffers=369 pattern=gradient "
         "foreground-color=0xff203040 ! "
         "video/x-raw,width=320,height=192,framerate=10/1 ! videoconvert ! ")
SOUND = "filesrc location=talk.wav ! wavparse ! audioconvert ! "


def need_data():
    if not (MODEL and JFK and QUILTER):
        raise tap.Skip("there is no whole model or no speech")


def need(*elements):
    for element in elements:
        if not tap.has_element(element):
            raise tap.Skip(f"there is no {element}")


def gst(folder, line):
    tap.command("bash", "-euo", "pipefail", "-c", f"gst-launch-1.0 -q {line}",
                cwd=folder)


def prepare(folder):
    """The recording and its videos, where there is what they need."""
    shutil.copy(JFK, folder / "speech.wav")
    samples = bytes()
    for seconds, path in ((3, JFK), (17, QUILTER)):
        with wave.open(str(path)) as sound:
            samples += bytes(2 * 16000 * seconds)
            samples += sound.readframes(sound.getnframes())
    with wave.open(str(folder / "talk.wav"), "wb") as out:
        out.setparams((1, 2, 16000, 0, "NONE", ""))
        out.writeframes(samples)
    gst(folder, VIDEO + "vp8enc deadline=1 ! queue ! webmmux name=mux ! "
        "filesink location=talk.webm " + SOUND + "audioresample ! "
        "audio/x-raw,rate=48000 ! vorbisenc ! queue ! mux.")
    if all(map(tap.has_element, ("openh264enc", "voaacenc", "h264parse",
                                 "aacparse"))):
        gst(folder, VIDEO + "openh264enc gop-size=10 ! h264parse ! queue ! "
            "mp4mux name=mux ! filesink location=talk.mp4 " + SOUND +
            "audioresample ! voaacenc ! aacparse ! queue ! mux.")


# --- the page

def sections():
    """(heading, [command, ...])."""
    for part in PAGE.read_text().split("\n## ")[1:]:
        heading, text = part.split("\n", 1)
        yield heading, re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)


def run_command(folder, code):
    need_data()
    for name in ("talk.mp4", "talk.srt", "talk.vtt"):
        if name in code and not (folder / name).exists() and \
                f"--format {name[-3:]}" not in code:
            raise tap.Skip(f"there is no {name}: an encoder of it is missing")
    need(*re.findall(r"textoverlay|srtenc|webvttenc|pngenc|h264parse",
                     code))
    if code.startswith("ffmpeg"):
        need_program("ffmpeg")
    code = re.sub(r"\bmodel=[^ \\\n]+", f"model={MODEL}", code)
    code = code.replace("./pipelines", str(tap.ROOT / "pipelines"))
    tap.command("bash", "-euo", "pipefail", "-c", code, cwd=folder,
                env={"NPUENC_MODEL": str(MODEL)})


def need_program(name):
    if not shutil.which(name):
        raise tap.Skip(f"there is no {name}")


# --- what players read

def seconds(text):
    parts = [float(part) for part in text.replace(",", ".").split(":")]
    return sum(part * 60 ** i for i, part in enumerate(reversed(parts)))


def srt_cues(text):
    """[(begin, end, text), ...] of SubRip, without its markup."""
    found = re.findall(r"^([\d:,]+) --> ([\d:,]+)\n(.*?)(?:\n\n|\Z)", text,
                       re.M | re.S)
    return [(seconds(begin), seconds(end), re.sub("<[^>]*>", "", words).strip())
            for begin, end, words in found]


def by_ffmpeg(path):
    need_program("ffmpeg")
    return srt_cues(tap.command(
        "ffmpeg", "-nostdin", "-loglevel", "error", "-i", path, "-map", "0:s",
        "-f", "srt", "-"))


def by_gstreamer(what):
    text = tap.command(PYTHON, PLAYER, what)
    if text.startswith("SKIP"):
        raise tap.Skip(text[5:].strip())
    cues = [tuple(json.loads(line)) for line in text.splitlines()
            if line.startswith("[")]
    return [cue for i, cue in enumerate(cues) if cue not in cues[:i]]


@functools.lru_cache
def expected(folder):
    """What the recording's segments are, by a run of their own."""
    need_data()
    tap.command(TOOL, "--quiet", "--model", MODEL, "--format", "json", "--out",
                folder / "expected", folder / "talk.wav")
    whole = json.loads((folder / "expected" / "talk.json").read_text())
    cues = [(s["start"], s["end"], s["text"]) for s in whole["segments"]]
    country = [cue for cue in cues if "country." in cue[2]]
    quilter = [cue for cue in cues if "Quilter" in cue[2]]
    assert 13 < country[-1][1] < 15, cues
    assert 29 < quilter[0][0] < 32 and 36 < quilter[0][1] < LENGTH + 0.1, cues
    return cues


def check_cues(folder, cues):
    """The text, and its times up to what an encoder's delay makes. The sound of
    the videos went through an encoder, so a word may differ."""
    want = expected(folder)
    assert cues, "no cues"
    last = 0.0
    for begin, end, text in cues:
        assert last - 0.002 <= begin < end <= LENGTH + 0.2 and text, cues
        last = end
    for part in ("country.", "gospel."):
        have = [cue for cue in cues if part in cue[2]]
        like = [cue for cue in want if part in cue[2]]
        assert have and abs(have[-1][1] - like[-1][1]) <= 0.6, (part, cues, want)
    check_cues_of_words(cues)


def check_cues_of_words(cues):
    """Shown while they are said, and short. Speech is from 3.3 and from 31 s."""
    assert 2.5 < cues[0][0] < 4, cues
    assert 30.5 < [cue for cue in cues if "Quilter" in cue[2]][0][0] < 32, cues
    for begin, end, text in cues:
        lines = text.split("\n")
        assert len(lines) <= 2 and max(map(len, lines)) <= 42, cues
        assert end < 15 or begin > 30, cues


def check_file(name, codec):
    def check(folder):
        path = folder / name
        if not path.exists():
            raise tap.Skip(f"{name} could not be made")
        check_cues(folder, by_gstreamer(path))
        need_program("ffprobe")
        cues = by_ffmpeg(path)
        if name == "titled.mp4":  # of the last it knows no end: see the page
            assert cues[-1][0] > 32, cues
            cues[-1] = (cues[-1][0], by_gstreamer(path)[-1][1],
                        cues[-1][2])
        check_cues(folder, cues)
        streams = json.loads(tap.command(
            "ffprobe", "-v", "error", "-show_streams", "-of", "json", path))
        text = [s for s in streams["streams"] if s["codec_type"] == "subtitle"]
        assert len(text) == 1 and text[0]["codec_name"] == codec, streams
        assert text[0]["tags"]["language"] == "eng", text
    return check


def check_files_of_text(folder):
    for name in ("talk.srt", "pipeline.srt"):
        if not (folder / name).exists():
            raise tap.Skip(f"{name} could not be made")
        check_cues(folder, srt_cues((folder / name).read_text()))


# --- pictures

def grey(folder, name, demuxer="pngdec"):
    """The picture's bytes, one a point, and its width."""
    out = folder / "grey.raw"
    gst(folder, f"filesrc location={name} ! pngparse ! {demuxer} ! "
        "videoconvert ! video/x-raw,format=GRAY8,width=640,height=200 ! "
        f"filesink location={out.name}")
    data = out.read_bytes()
    assert len(data) == 640 * 200, len(data)
    return data


def check_pictures(folder):
    """Text is in the lower half while somebody speaks, and not behind it."""
    need("pngparse")
    shutil.copy(PAGE.parent / "captions.png", folder / "page.png")
    if not (folder / "captions-05.png").exists():
        raise tap.Skip("captions-05.png could not be made")
    bright = {}
    for name in ("page.png", "captions-05.png"):
        data = grey(folder, name)
        assert max(data[:640 * 100]) < 100, name
        bright[name] = sum(point > 200 for point in data[640 * 100:])
        assert 1000 < bright[name] < 20000, bright
    ratio = bright["page.png"] / bright["captions-05.png"]
    assert 0.5 < ratio < 2, bright
    if (folder / "drawn.webm").exists():
        frames = folder / "frames.raw"
        gst(folder, "filesrc location=drawn.webm ! matroskademux ! vp8dec ! "
            "videorate ! video/x-raw,framerate=1/1 ! videoconvert ! "
            f"video/x-raw,format=GRAY8 ! filesink location={frames.name}")
        size = 320 * 192
        data = frames.read_bytes()
        count = [sum(point > 200 for point in
                     data[size * second + size // 2:size * second + size])
                 for second in (8, 22, 33)]
        plain = count[1]
        assert count[0] > plain + 30 and count[2] > plain + 30, count


# --- HLS

class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def play(folder, name):
    """What playbin3 shows over HTTP."""
    need("playbin3", "hlsdemux2", "souphttpsrc")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        return by_gstreamer(f"http://127.0.0.1:{server.server_port}/{name}")
    finally:
        server.shutdown()
        server.server_close()


def check_hls(folder):
    if not (folder / "index.m3u8").exists():
        raise tap.Skip("index.m3u8 could not be made")
    tap.expect((folder / "index.m3u8").read_text(), 'LANGUAGE="en"',
               'URI="talk.m3u8"', "\nvideo.m3u8\n")
    have = srt_cues((folder / "talk.srt").read_text())
    parts = sorted(folder.glob("talk-*.vtt"),
                   key=lambda path: int(path.stem.split("-")[1]))
    lengths = [float(x) for x in re.findall(
        r"#EXTINF:([\d.]+)", (folder / "talk.m3u8").read_text())]
    assert len(parts) == len(lengths) > 4, (parts, lengths)
    start = int(tap.command(
        "ffprobe", "-v", "error", "-show_entries", "stream=start_pts",
        "-select_streams", "v", "-of", "csv=p=0",
        folder / "video00000.ts").split()[0])
    begin = 0.0
    for part, length in zip(parts, lengths):
        text = part.read_text()
        tap.expect(text, f"MPEGTS:{start},")
        shown = [c for c in have if c[0] < begin + length and c[1] > begin]
        assert text.count(" --> ") == len(shown), (text, shown, begin)
        assert all(words in text for _, _, words in shown), (text, shown)
        begin += length
    check_cues(folder, play(folder, "index.m3u8"))


def check_ffmpeg_hls(folder):
    if not (folder / "whole.m3u8").exists():
        raise tap.Skip("whole.m3u8 could not be made")
    tap.expect((folder / "talk-1.vtt").read_text(), "MPEGTS:0,")
    check_cues(folder, play(folder, "whole.m3u8"))


# What is right after each command of a section; the last may be of all of them.
CHECKS = {
    "In a file of its own": [None, check_files_of_text],
    "In Matroska": [check_file("talk.mkv", "subrip")],
    "In MP4": [check_file("titled.mp4", "mov_text")],
    "With ffmpeg": [check_file("muxed.mp4", "mov_text")],
    "In the picture": [None, check_pictures],
    "Over HTTP, with HLS": [None, check_hls, check_ffmpeg_hls],
}


# --- hls-subtitles.sh by itself

MEDIA = """#EXTM3U
#EXT-X-TARGETDURATION:4
#EXTINF:4.0,
a.m4s
#EXTINF:3.5,
b.m4s
#EXT-X-ENDLIST"""
STYLED = """\ufeffWEBVTT - of a test\r
\r
STYLE\r
::cue { color: lime }\r
\r
first\r
00:01.000 --> 00:05.000 line:0\r
across\r
both\r
\r
NOTE nothing\r
\r
01:00:00.000 --> 01:00:01.000\r
late"""


def hls_script(folder, *args, **more):
    return tap.command(tap.ROOT / "pipelines/hls-subtitles.sh", *args,
                       cwd=folder, **more)


def cuts_webvtt(folder):
    """Names, settings, styles; a cue across a border and one behind the end."""
    (folder / "v.m3u8").write_text(MEDIA)
    (folder / "t.vtt").write_bytes(STYLED.encode())
    hls_script(folder, "--name", "Deutsch", "t.vtt", "v.m3u8", "m.m3u8")
    first, second = (folder.joinpath(f"t-{i}.vtt").read_text() for i in (1, 2))
    cue = "first\n00:01.000 --> 00:05.000 line:0\nacross\nboth\n\n"
    head = ("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n"
            "STYLE\n::cue { color: lime }\n\n")
    assert first == head + cue, first
    assert second == \
        head + cue + "01:00:00.000 --> 01:00:01.000\nlate\n\n", second
    tap.expect((folder / "m.m3u8").read_text(), 'NAME="Deutsch",DEFAULT')
    hls_script(folder, "--start", "90000", "t.vtt", "v.m3u8", "m.m3u8")
    tap.expect((folder / "t-1.vtt").read_text(), "MPEGTS:90000,")


def names_mistakes(folder):
    tap.expect(hls_script(folder, "--help"), "usage: hls-subtitles.sh",
               "example: ")
    (folder / "v.m3u8").write_text(MEDIA)
    (folder / "live.m3u8").write_text(MEDIA.replace("#EXT-X-ENDLIST", ""))
    (folder / "none.m3u8").write_text("#EXTM3U\n#EXT-X-ENDLIST\n")
    (folder / "ts.m3u8").write_text(MEDIA.replace("m4s", "ts"))
    (folder / "t.vtt").write_text("WEBVTT\n\n")
    (folder / "v.vtt").write_text("WEBVTT\n\n")
    (folder / "t.srt").write_text("1\n")
    for args, answer in (
            (["t.vtt", "v.m3u8"], "two playlists"),
            (["--lang", "de", "t.vtt", "v.m3u8", "m.m3u8"], "no option --lang"),
            (["--start", "x", "t.vtt", "v.m3u8", "m.m3u8"], "a number"),
            (["--name", 'a"b', "t.vtt", "v.m3u8", "m.m3u8"], "no quotes"),
            (["x.vtt", "v.m3u8", "m.m3u8"], "no file 'x.vtt'"),
            (["t.srt", "v.m3u8", "m.m3u8"], "no WebVTT"),
            (["t.vtt", "live.m3u8", "m.m3u8"], "no EXT-X-ENDLIST"),
            (["t.vtt", "none.m3u8", "m.m3u8"], "no segment"),
            (["t.vtt", "ts.m3u8", "m.m3u8"], "'a.ts', which is not there"),
            (["v.vtt", "v.m3u8", "m.m3u8"], "one of the others"),
            (["t.vtt", "v.m3u8", "v.m3u8"], "written over"),
            (["t.vtt", "v.m3u8", "/m.m3u8"], "in the folder of")):
        tap.expect(hls_script(folder, *args, status=1), answer)
    assert not (folder / "m.m3u8").exists()


def main():
    tests = [("hls-subtitles.sh cuts WebVTT", tap.in_folder(cuts_webvtt)),
             ("hls-subtitles.sh names mistakes", tap.in_folder(names_mistakes))]
    with tempfile.TemporaryDirectory(prefix="npuenc-test-") as name:
        folder = pathlib.Path(name)
        if MODEL and JFK and QUILTER:
            prepare(folder)
        page = list(sections())
        missing = set(CHECKS) - {heading for heading, _ in page}
        assert not missing, f"no section {missing}"
        for heading, commands in page:
            checks = CHECKS[heading]
            assert len(commands) == len(checks), (heading, commands)
            for number, (code, check) in enumerate(zip(commands, checks), 1):
                tests.append((f"{heading}: command {number} runs as shown",
                              functools.partial(run_command, folder, code)))
                if check:
                    tests.append((f"{heading}: what {number} made is right",
                                  functools.partial(check, folder)))
        tap.run(tests)


main()
