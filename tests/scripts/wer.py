"""tests/bench/wer: how errors are counted, the layouts of corpora, and the whole with
the plugin and, for the other programs, modules that answer what they are told to.

usage: wer.py NPUENC_TRANSCRIBE

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import json
import os
import random
import shutil
import sys

import tap

FOLDER = tap.ROOT / "tests" / "bench" / "wer"
sys.path.insert(0, str(FOLDER))
import corpora  # noqa: E402
import score  # noqa: E402

TOOL = os.path.abspath(sys.argv[1])
MODEL = tap.test_data("models/whisper-tiny.en-f16.safetensors")
JFK = tap.test_data("audio/jfk.wav")
TEXT = ("And so, my fellow Americans: ask not what your country can do for you, "
        "ask what you can do for your country.")
N_WORDS = 22

FAKE = """
class Segment:
    def __init__(self, text):
        self.text = text
class WhisperModel:
    def __init__(self, model, device, compute_type, cpu_threads):
        assert device == "cpu" and cpu_threads == 1 and model == "a-folder"
    def transcribe(self, path, beam_size, language):
        assert beam_size == 5 and language in ("en", None), language
        return iter([Segment(" and so my fellow americans"),
                     Segment(" ask not")]), None
class BatchedInferencePipeline:
    def __init__(self, model):
        assert isinstance(model, WhisperModel)
    def transcribe(self, path, beam_size, batch_size, without_timestamps,
                   language):
        assert beam_size == 5 and batch_size == 8 and not without_timestamps
        return iter([Segment(" and so my fellow")]), None
"""


FAKE_CLI = """#!/bin/sh
for file; do
  case $file in *.wav) echo ' And so my fellow Americans' >"$file.txt" ;; esac
done
"""


def distance(a, b):
    """Levenshtein's, from its definition."""
    if not a or not b:
        return len(a) + len(b)
    return min(distance(a[1:], b[1:]) + (a[0] != b[0]),
               distance(a[1:], b) + 1, distance(a, b[1:]) + 1)


def counts():
    dice = random.Random(1)
    for _ in range(300):
        a, b = ([dice.choice("abc") for _ in range(dice.randrange(6))]
                for _ in range(2))
        errors = score.count(a, b)
        assert sum(errors[:3]) == distance(a, b), (a, b, errors)
        assert errors.words == len(a)
        assert len(b) == len(a) - errors.deleted + errors.inserted, (a, b)
    assert score.count("a b c d".split(), "a x c".split()) == (1, 1, 0, 4)
    assert score.count([], ["a"]) == (0, 0, 1, 0)
    assert score.add([score.Errors(1, 2, 3, 10), score.Errors(0, 0, 1, 4)]) == \
        (1, 2, 4, 14)
    assert score.Errors(1, 2, 4, 14).rate == 0.5
    assert score.Errors(0, 0, 0, 0).rate == 0.0


def normalizes():
    """By whatever normaliser is here."""
    normalize = score.Normalizer()
    assert normalize("Ask NOT, what?", "en") == "ask not what".split()
    assert normalize("Über-Mut, heiß!", "de")[0].startswith("über")
    assert len(normalize("日本語です。", "ja")) == 5, normalize("日本語です。", "ja")
    assert normalize("", "en") == []


def layouts(folder):
    def put(name, text="", top=folder):
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    put("ls/12/34/12-34.trans.txt", "12-34-0000 ONE TWO\n12-34-0001 THREE\n")
    put("ls/12/34/12-34-0000.flac")
    put("cv/de/test.tsv", "client_id\tpath\tsentence\tlocale\n"
        "x\ta.mp3\t\"Ja\", sagte er.\tde\nx\tb\tNein.\tde\n")
    put("cv/de/clips/a.mp3")
    put("fl/de_de/test.tsv",
        "1\t111.wav\tGuten Tag.\tguten tag\tg u t\t16000\tMALE\n")
    put("fl/de_de/audio/test/111.wav")
    put("fl/cmn_hans_cn/test.tsv", "2\t222.wav\t你好。\t你好\t\t\t\n")
    put("fl/cmn_hans_cn/test/222.wav")
    put("pl/texts.tsv", "a/1.ogg\tfr\tBonjour\n2.wav\tHello\n")

    for top, layout, want in (
            ("ls", "librispeech", [("12-34-0000.flac", "en", "ONE TWO"),
                                   ("12-34-0001.flac", "en", "THREE")]),
            ("cv", "commonvoice", [("a.mp3", "de", '"Ja", sagte er.'),
                                   ("b.mp3", "de", "Nein.")]),
            ("fl", "fleurs", [("222.wav", "zh", "你好。"),
                              ("111.wav", "de", "Guten Tag.")]),
            ("pl", "texts", [("1.ogg", "fr", "Bonjour"),
                             ("2.wav", "auto", "Hello")])):
        name, clips = corpora.read(folder / top, "auto", "test")
        assert name == layout, (name, layout)
        assert [(c.path.name, c.language, c.text) for c in clips] == want, clips
        assert clips[0].path.is_file() or layout == "texts", clips[0]
        assert corpora.read(folder / top, layout, "test")[1] == clips
    assert corpora.read(folder / "ls", "fleurs", "test") == ("fleurs", [])
    assert corpora.read(folder / "cv", "auto", "dev")[1] == []


def wer(*args, **more):
    return tap.command(sys.executable, FOLDER / "wer.py", "--program", TOOL,
                       "--threads", "1", "--model", MODEL, *args, **more)


def corpus(folder):
    if not (MODEL and JFK):
        raise tap.Skip("there is no whole model or no speech")
    chapter = folder / "ls" / "1" / "2"
    chapter.mkdir(parents=True)
    shutil.copy(JFK, chapter / "1-2-0000.wav")
    tap.command("gst-launch-1.0", "-q", "filesrc", f"location={JFK}", "!",
                "wavparse", "!", "audioconvert", "!", "flacenc", "!",
                "filesink", f"location={chapter}/1-2-0001.flac")
    wrong = TEXT.replace("country", "kitchen")  # twice
    (chapter / "1-2.trans.txt").write_text(
        f"1-2-0000 {TEXT.upper()}\n1-2-0001 {wrong}\n1-2-0002 LOST\n")
    return folder / "ls"


def line(text, name):
    found = [row for row in text.splitlines() if row.startswith(name)]
    assert len(found) == 1, text
    return found[0][len(name):].split()


def ours(folder):
    """Two words of 44 differ, in a clip of wav and one of flac; one is missing."""
    out = folder / "out.json"
    text = wer("--json", out, "--ours", "", "--ours", "--precision f32",
               "--rounds", "2", corpus(folder))
    tap.expect(text, "1 clips are missing", "1-2-0002",
               "librispeech, 2 clips, 22.0 s, 44 words", "normaliser: ")
    for name in ("npuenc-transcribe  ", "npuenc-transcribe --precision f32"):
        cells = line(text, name)
        assert cells[:4] == ["4.55", "2", "0", "0"], text
    assert line(text, "npuenc-transcribe  ")[7] == "1.00", text
    whole = json.loads(out.read_text())
    assert [len(engine["rounds"]) for engine in whole] == [2, 2], whole
    clips = whole[0]["clips"]
    assert [c["substituted"] for c in clips] == [0, 2], clips
    assert "country" in clips[1]["text"], clips


def peers(folder):
    """What is not installed is told; what is has a line with its own errors."""
    top = corpus(folder)
    text = wer("--limit", "1", "--openvino", "a-folder", top)
    tap.expect(text, "OpenVINO (openvino_genai) is not installed for")

    modules = folder / "modules"
    modules.mkdir()
    (modules / "faster_whisper.py").write_text(FAKE)
    more = {"env": {"PYTHONPATH": str(modules)}}
    text = wer("--limit", "1", "--beam", "5", "--faster-whisper", "a-folder",
               "--batched", top, **more)
    cells = line(text, "faster-whisper (8 at once)")
    assert cells[2] == str(N_WORDS - 4), text
    cells = line(text, "faster-whisper (int8)")
    deleted = N_WORDS - 7
    assert cells[:4] == [f"{100 * deleted / N_WORDS:.2f}", "0", str(deleted),
                         "0"], text
    programs = folder / "programs"
    programs.mkdir()
    (programs / "whisper-cli").write_text(FAKE_CLI)
    (programs / "whisper-cli").chmod(0o755)
    text = wer("--limit", "1", "--whisper-cpp", "a-file", top,
               env={"PATH": f"{programs}:{os.environ['PATH']}"})
    cells = line(text, "whisper.cpp (whisper-cli)")
    assert cells[1:4] == ["0", str(N_WORDS - 5), "0"], text

    wer("--limit", "1", "--beam", "5", "--language", "auto", "--faster-whisper",
        "a-folder", top, **more)
    wer("--limit", "1", "--beam", "5", "--faster-whisper", "another", top,
        status=1, **more)


def decoding(folder):
    """tests/bench/decoding.py prints a line for each way of decoding."""
    if not (MODEL and JFK):
        raise tap.Skip("there is no whole model or no speech")
    script = FOLDER.parent / "decoding.py"
    text = tap.command("/usr/bin/python3", script, "--rounds", "1", "--model",
                       MODEL, JFK)
    assert line(text, "greedy")[1] == "1.00", text
    for name in ("beam-size=5", "timestamps=words", "batch=8"):
        assert len(line(text, name)) == 2, text
    tap.expect(tap.command("/usr/bin/python3", script, "--model", MODEL,
                           folder / "none.wav", status=1), "none.wav")


def mistakes(folder):
    top = corpus(folder)
    (folder / "empty").mkdir()
    for args, answer in (([folder / "empty"], "no corpus that is known"),
                         (["--layout", "fleurs", top], "no corpus"),
                         (["--language", "de", top], "none of 0 clips")):
        tap.expect(wer(*args, status=1), answer)


tap.run([
    ("errors are counted by the least edits", counts),
    ("words are made equal", normalizes),
    ("layouts of LibriSpeech, Common Voice, FLEURS and lists",
     tap.in_folder(layouts)),
    ("it counts what the plugin writes", tap.in_folder(ours)),
    ("it counts what others write", tap.in_folder(peers)),
    ("decoding.py prints what decoding costs", tap.in_folder(decoding)),
    ("it says what is wrong", tap.in_folder(mistakes)),
])
