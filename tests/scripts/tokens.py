"""Tokens of whisperdecoder, in f32, against those of OpenAI's code.

usage: tokens.py DECODE_CLIPS [MODEL...]    every clip, of tiny.en, base

Without MODEL a few clips of both. Clips of the test data, for both ways in which a mel ends, with timestamps
and without, and translated. A choice whose two best logits were less than
MARGIN apart may differ, and what follows it with it; such places are counted and
printed. The reference's audio was decoded and resampled by ffmpeg, and so is
ours: another resampler makes another mel.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import tap

MARGIN = 1e-3
DATA = pathlib.Path(os.environ.get("NPUENC_TEST_DATA",
                                   tap.ROOT.parent / "shared"))
MODELS = {
    "tiny.en": ("whisper-tiny.en-f16.safetensors", "tokens-tiny.en", 50363),
    "base": ("ggml-base-q8_0.bin", "tokens-base-q8_0", 50364),
}


def clip_path(name):
    for folder, end in (("fleurs", "ogg"), ("lj", "flac"), ("", "wav"),
                        ("", "flac")):
        path = DATA / "audio" / folder / f"{name}.{end}"
        if path.exists():
            return path
    raise AssertionError(f"there is no clip {name}")


def emitted(tokens, first_timestamp):
    """Of a window's tokens those that are in segments: what follows the last
    pair of timestamps is decoded again in the next window."""
    times = [token >= first_timestamp for token in tokens]
    pairs = [i for i in range(1, len(tokens)) if times[i - 1] and times[i]]
    single = len(times) > 1 and times[-1] and not times[-2]
    if pairs and not single:
        return tokens[:pairs[-1]]
    return tokens


def as_wav(name, folder):
    wav = pathlib.Path(folder) / f"{name}.wav"
    subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-nostdin", "-i", clip_path(name),
         "-ar", "16000", "-ac", "1", "-c:a", "pcm_s16le", wav], check=True)
    return wav


def decode(program, model, tail, language, names):
    with tempfile.TemporaryDirectory() as folder:
        lines = subprocess.run(
            [program, DATA / "models" / model, "f32", tail, language]
            + [as_wav(name, folder) for name in names],
            stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    found = collections.defaultdict(list)
    for line in lines:
        number, how, segment = line.split("\t", 2)
        found[how, names[int(number)]] += json.loads(segment)["tokens"]
    return found


def compare(what, got, reference, first_timestamp, gaps):
    """None where they are the same; else where they part, and whether that
    choice was within the margin."""
    expected = emitted(reference, first_timestamp)
    if got == expected:
        return None
    at = next((i for i, (a, b) in enumerate(zip(got, expected)) if a != b),
              min(len(got), len(expected)))
    gap = gaps[at] if at < len(gaps) else None
    return (f"{what}, token {at}, gap {gap}: {got[at:at + 4]}, expected "
            f"{expected[at:at + 4]}", gap is not None and gap < MARGIN)


# LJ001-0012 ends with a pair of timestamps before its last words.
FEW = ("LJ001-0004", "LJ001-0012", "fleurs-de-001", "fleurs-en-004", "jfk")


def tokens_test(program, name, tail, chosen):
    def run():
        model, reference, first_timestamp = MODELS[name]
        if not (DATA / "models" / model).exists():
            raise tap.Skip(f"there is no {model} in {DATA}")
        if not shutil.which("ffmpeg"):
            raise tap.Skip("there is no ffmpeg to decode the clips with")
        end = "-zero-tail" if tail == "zero" else ""
        wanted = json.loads(
            (DATA / "reference" / f"{reference}{end}.json").read_text())
        groups = collections.defaultdict(list)
        for clip, answer in sorted(wanted["greedy"].items()):
            if chosen is None or clip in chosen:
                groups[answer["language"]].append(clip)
        n, parted = 0, []
        for language, names in groups.items():
            found = decode(program, model, tail, language, names)
            for how in ("greedy", "greedy-without-timestamps", "translate"):
                for clip in names:
                    answer = wanted.get(how, {}).get(clip)
                    if not answer:
                        continue
                    n += 1
                    difference = compare(
                        f"{clip}, {how}", found[how, clip], answer["tokens"],
                        first_timestamp, answer["gaps"])
                    if difference:
                        parted.append(difference)
        for text, _ in parted:
            print(f"# {text}")
        print(f"# {n} windows, {len(parted)} with another choice")
        assert all(is_close for _, is_close in parted)
    return run


def main():
    names = sys.argv[2:]
    tap.run([(f"tokens of {name}, tail={tail}",
              tokens_test(sys.argv[1], name, tail, None if names else FEW))
             for name in names or MODELS for tail in ("silence", "zero")])


main()
