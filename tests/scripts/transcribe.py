"""npuenc-transcribe and transcribe.sh as people use them.

usage: transcribe.py NPUENC_TRANSCRIBE

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import json
import os
import pathlib
import re
import shutil
import sys
import wave

import tap

DATA = pathlib.Path(os.environ.get("NPUENC_TEST_DATA",
                                   tap.ROOT.parent / "shared"))
MODEL = DATA / "models" / "whisper-tiny.en-f16.safetensors"
BASE = DATA / "models" / "ggml-base-q8_0.bin"
JFK = DATA / "audio" / "jfk.wav"
TOOL = os.path.abspath(sys.argv[1])


def transcribe(*args, model=MODEL, **more):
    if not model.exists() or not JFK.exists():
        raise tap.Skip(f"there is no {model} or no {JFK}")
    return tap.command(TOOL, "--model", model, *args, **more)


def seconds(text):
    hours, minutes, rest = text.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def check_cues(cues, end):
    """(start, end, text): in order, without overlap, within the audio."""
    last = 0
    assert cues
    for start, stop, text in cues:
        assert last <= start < stop <= end + 0.001, cues
        assert text.strip() == text and text and "\ufffd" not in text, cues
        last = stop


def parse_cues(text, arrow):
    found = re.findall(rf"^({arrow}) --> ({arrow})\n(.+)\n$", text, re.M)
    return [(seconds(a), seconds(b), c) for a, b, c in found]


def formats(folder):
    """The formats agree, and are what players take."""
    out = {}
    for name in ("txt", "srt", "vtt", "json"):
        transcribe("--format", name, "--out", folder, JFK)
        out[name] = (folder / f"jfk.{name}").read_text(encoding="utf-8")
    assert "ask not what your country" in out["txt"], out["txt"]

    srt = parse_cues(out["srt"], r"\d\d:\d\d:\d\d,\d\d\d")
    vtt = parse_cues(out["vtt"], r"\d\d:\d\d:\d\d\.\d\d\d")
    assert out["vtt"].startswith("WEBVTT\n\n"), out["vtt"]
    assert out["srt"].startswith("1\n"), out["srt"]
    assert srt == vtt, (srt, vtt)
    check_cues(srt, 11.0)
    assert [text for _, _, text in srt] == out["txt"].splitlines()

    whole = json.loads(out["json"])
    assert whole["language"] == "en" and whole["duration"] == 11.0, whole
    assert whole["text"] == " ".join(out["txt"].splitlines()), whole
    assert [(s["start"], s["end"], s["text"])
            for s in whole["segments"]] == srt
    for segment in whole["segments"]:
        assert segment["tokens"] and segment["avg_logprob"] < 0, segment

    if shutil.which("ffmpeg"):
        for name in ("srt", "vtt"):
            tap.command("ffmpeg", "-loglevel", "error", "-nostdin", "-i",
                        folder / f"jfk.{name}", "-f", "srt", os.devnull, "-y")


def one_fails(folder):
    """The others are transcribed, and the status tells."""
    (folder / "text.wav").write_text("not a recording\n" * 100)
    tap.command("gst-launch-1.0", "-q", "videotestsrc", "num-buffers=5", "!",
                "jpegenc", "!", "matroskamux", "!", "filesink",
                f"location={folder / 'mute.mkv'}")
    text = transcribe("--out", folder / "out", folder / "none.wav",
                      folder / "text.wav", folder / "mute.mkv", JFK, status=1)
    tap.expect(text, "none.wav: there is no such file", "text.wav: ",
               "mute.mkv: there is no sound in it")
    assert os.listdir(folder / "out") == ["jfk.txt"], text


def same_names(folder):
    (folder / "a").mkdir()
    tap.write_wav(folder / "a" / "jfk.wav", 1)
    text = transcribe("--out", folder, JFK, folder / "a" / "jfk.wav")
    tap.expect(text, "jfk.txt", "jfk-2.txt")
    assert "country" in (folder / "jfk.txt").read_text()
    assert "country" not in (folder / "jfk-2.txt").read_text()


def odd_names(folder):
    for name in ("two words.wav", "line\nfeed.wav", "-dash.wav", ".hidden"):
        shutil.copy(JFK, folder / name)
        transcribe("--quiet", "--out", folder / "out", "--", name, cwd=folder)
    assert sorted(os.listdir(folder / "out")) == [
        "-dash.txt", ".hidden.txt", "line\nfeed.txt", "two words.txt"]


def what_is_there(folder):
    """What is no regular file is written to, not replaced; where nobody reads
    and where there is no room it fails, and what was there stays."""
    target = folder / "target"
    target.touch()
    (folder / "jfk.txt").symlink_to(target)
    transcribe("--quiet", "--out", folder, JFK)
    assert (folder / "jfk.txt").is_symlink()
    assert "country" in target.read_text()

    os.mkfifo(folder / "jfk.srt")
    text = transcribe("--format", "srt", "--out", folder, JFK, status=1)
    tap.expect(text, "jfk.srt", "nobody reads it")
    assert (folder / "jfk.srt").is_fifo()

    (folder / "jfk.vtt").write_text("before")
    # GStreamer's registry and ORC's code are files, too.
    text = tap.command("prlimit", "--fsize=8", TOOL, "--model", MODEL,
                       "--format", "vtt", "--out", folder, JFK, status=1,
                       env={"GST_REGISTRY_UPDATE": "no",
                            "ORC_CODE": "backup"})
    tap.expect(text, "jfk.vtt", "File too large")
    assert (folder / "jfk.vtt").read_text() == "before"
    assert sorted(os.listdir(folder)) == [
        "jfk.srt", "jfk.txt", "jfk.vtt", "target"]


def models_files(folder):
    """A recording's name may be that of a file of the model's."""
    vocabulary = MODEL.with_name("whisper-tiny.en-tokenizer.json")
    if not vocabulary.exists():
        raise tap.Skip(f"there is no {vocabulary}")
    shutil.copy(MODEL, folder / "model.safetensors")
    shutil.copy(vocabulary, folder / "tokenizer.json")
    shutil.copy(JFK, folder / "tokenizer.wav")
    transcribe("--format", "json", "--out", folder, folder / "tokenizer.wav",
               model=folder / "model.safetensors")
    assert (folder / "tokenizer.json").read_bytes() == vocabulary.read_bytes()
    assert "country" in (folder / "tokenizer-2.json").read_text()


def no_speech(folder):
    """Silence and what is too short have no text, and a file all the same."""
    tap.write_wav(folder / "short.wav", 0.05)
    silence = folder / "silence.wav"
    tap.command("gst-launch-1.0", "-q", "audiotestsrc", "wave=silence",
                "num-buffers=50", "samplesperbuffer=1600", "!",
                "audio/x-raw,rate=16000,channels=1,format=S16LE", "!",
                "wavenc", "!", "filesink", f"location={silence}")
    transcribe("--out", folder, folder / "short.wav", silence)
    for name in ("short", "silence"):
        assert (folder / f"{name}.txt").read_text() == "", name


def odd_bytes(folder):
    """A WAV file of 8 bits with an odd number of samples, which wavparse of
    GStreamer 1.22 gives nothing of: its pad byte stands behind them."""
    with wave.open(str(JFK)) as jfk:
        loud = jfk.readframes(16001)[1::2]
    path = folder / "odd.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 1, 16000, 0, "NONE", None))
        file.writeframes(bytes(byte ^ 0x80 for byte in loud))
    data = bytearray(path.read_bytes() + b"\0")
    data[4:8] = (len(data) - 8).to_bytes(4, "little")
    path.write_bytes(data)
    transcribe("--format", "json", "--out", folder, path)
    whole = json.loads((folder / "odd.json").read_text())
    assert abs(whole["duration"] - 1) < 0.01, whole


def damaged_headers(folder):
    """A WAV file that ends with the head of a chunk, which wavparse of
    GStreamer 1.22 reads for ever; and more samples a second than there is
    memory for. Whoever comes after them is heard."""
    whole = JFK.read_bytes()
    sound = whole.index(b"data")
    cut, fast = folder / "cut.wav", folder / "fast.wav"
    cut.write_bytes(whole[:36] + b"LIST" + (26).to_bytes(4, "little"))
    fast.write_bytes(whole[:24] + (2 ** 31 - 1).to_bytes(4, "little") +
                     whole[28:sound + 1000])
    text = transcribe("--out", folder, cut, fast, JFK, status=1)
    assert (folder / "cut.txt").read_text() == ""
    tap.expect(text, "fast.wav", "2147483647 samples a second")
    assert "country" in (folder / "jfk.txt").read_text()


def german(folder):
    clip = DATA / "audio" / "fleurs" / "fleurs-de-001.ogg"
    for options in ([], ["--language", "de-DE"], ["--translate"]):
        transcribe("--format", "json", "--out", folder, *options, clip,
                   model=BASE)
        whole = json.loads((folder / "fleurs-de-001.json").read_text())
        language = "en" if options == ["--translate"] else "de"
        assert whole["language"] == language, whole
        assert whole["text"], whole


def words(folder):
    """Cues that end at pauses, of two lines at most, and words in JSON."""
    out = {}
    for name in ("txt", "srt", "vtt", "json"):
        transcribe("--words", "--format", name, "--out", folder, JFK)
        out[name] = (folder / f"jfk.{name}").read_text(encoding="utf-8")
    cues = out["srt"].rstrip("\n").split("\n\n")
    lines = [line for cue in cues for line in cue.split("\n")[2:]]
    assert len(cues) > 1 and all(cue.count("\n") in (2, 3) for cue in cues)
    assert all(0 < len(line) <= 42 for line in lines), lines
    assert " ".join(lines).split() == out["txt"].split(), out
    assert len(out["txt"].splitlines()) == len(cues), out["txt"]
    for segment in json.loads(out["json"])["segments"]:
        said = "".join(word["word"] for word in segment["words"])
        assert said.strip() == segment["text"], segment
        at = segment["start"]
        for word in segment["words"]:
            assert at <= word["start"] <= word["end"], segment
            assert 0 < word["probability"] <= 1, word
            at = word["end"]
        assert at <= segment["end"], segment


def search(folder):
    """Beams, windows at once, and languages: as the element's."""
    two = DATA / "decoding/inputs/de-40s-then-en-22s.flac"
    if not two.exists():
        raise tap.Skip(f"there is no {two}")
    whole = {}
    for name, args in (
            ("all", ["--beam-size", "5", "--batch", "8",
                     "--language-interval", "0"]),
            ("one", ["--language-interval", "3600", "--batch", "1"])):
        transcribe("--format", "json", "--out", folder / name, *args, two,
                   model=BASE)
        whole[name] = json.loads(
            (folder / name / f"{two.stem}.json").read_text())
    assert whole["all"]["text"] != whole["one"]["text"], whole
    for name, languages in (("one", {"de"}), ("all", {"de", "en"})):
        found = {s["language"] for s in whole[name]["segments"]}
        assert found == languages, (name, found)
    tap.expect(whole["all"]["text"], "Insel", "romantic")


def at_once(folder):
    """Windows at once lose no words where one ends: here the first ends within a
    sentence, whose beginning its answer would leave to the next."""
    clips = [DATA / "audio/lj" / f"LJ001-{i:04}.flac" for i in (16, 15, 14, 12)]
    if not all(clip.exists() for clip in clips):
        raise tap.Skip("there is no speech of LJ Speech")
    samples = b""
    for clip in clips:
        tap.command("gst-launch-1.0", "-q", "filesrc", f"location={clip}", "!",
                    "decodebin", "!", "audio/x-raw,format=S16LE,rate=16000", "!",
                    "filesink", f"location={folder}/one.raw")
        samples += (folder / "one.raw").read_bytes()
    with wave.open(str(folder / "four.wav"), "wb") as out:
        out.setparams((1, 2, 16000, 0, "NONE", ""))
        out.writeframes(samples)
    transcribe("--language", "en", "--batch", "8", "--out", folder,
               folder / "four.wav", model=BASE)
    tap.expect((folder / "four.txt").read_text(), "it was natural therefore",
               "whatever they were, especially as no more time is occupied",
               "printing beautiful letters")


def told(folder):
    """A prompt and hot words change the spelling; quotes are theirs."""
    heard = {}
    for name, args in (("none", []), ("prompt", ["--prompt", "fellow-Americans"]),
                       ("hot", ["--hot-words", "fellow-Americans"]),
                       ("quotes", ["--prompt", '"fellow-Americans" x'])):
        transcribe("--out", folder / name, *args, JFK)
        heard[name] = (folder / name / "jfk.txt").read_text()
    assert "fellow Americans" in heard["none"], heard
    assert "fellow-Americans" in heard["hot"], heard
    assert heard["prompt"] != heard["none"] != heard["quotes"], heard


def mistakes(folder):
    for args, answer in (
            ([], "it takes recordings"),
            (["--format", "doc", JFK], "txt, srt, vtt or json"),
            (["--beam-size", "0", JFK], "--beam-size must be 1 to 16"),
            (["--batch", "17", JFK], "--batch must be 1 to 16"),
            (["--language-interval", "nan", JFK], "--language-interval is"),
            (["--beam-size", "many", JFK], "many")):
        tap.expect(transcribe(*args, status=2), answer)
    tap.expect(transcribe("--translate", "--out", folder, JFK, status=1),
               "English only")
    tap.expect(transcribe("--language", "de", "--out", folder, JFK, status=1),
               "English only")
    tap.expect(transcribe("--precision", "fast", "--out", folder, JFK,
                          status=1), "'fast'", "auto, int8, f32")
    (folder / "file").touch()
    tap.expect(transcribe("--out", folder / "file", JFK, status=1),
               "cannot be made")


def script(folder):
    if not MODEL.exists():
        raise tap.Skip(f"there is no {MODEL}")
    text = tap.command(tap.ROOT / "pipelines" / "transcribe.sh", "--model",
                       MODEL, "--format", "srt", "--out", folder,
                       "--beam-size", "2", "--batch", "2", "--prompt", "A talk",
                       "--hot-words", "country, ask", "--language-interval",
                       "0", JFK)
    tap.expect(text, "jfk.srt")
    assert "country" in (folder / "jfk.srt").read_text()


tap.run([(name, tap.in_folder(test)) for name, test in (
    ("formats agree and are well formed", formats),
    ("a file that fails does not stop the others", one_fails),
    ("files of one name have transcripts of their own", same_names),
    ("any name of a file", odd_names),
    ("what is there already", what_is_there),
    ("files of the model", models_files),
    ("no speech, no text", no_speech),
    ("a WAV file of an odd number of bytes", odd_bytes),
    ("headers that are damaged", damaged_headers),
    ("languages and translation", german),
    ("times of words", words),
    ("beams, windows at once, languages", search),
    ("windows at once lose nothing", at_once),
    ("prompts and hot words", told),
    ("mistakes are named", mistakes),
    ("transcribe.sh", script),
)])
