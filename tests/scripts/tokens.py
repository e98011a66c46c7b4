"""Tokens of whisperdecoder, in f32, against those of OpenAI's code.

usage: tokens.py DECODE_CLIPS [MODEL]    MODEL: tiny.en or base; both

Every clip of the test data, for both ways in which a mel ends, with timestamps
and without, and translated. A choice whose two best logits were less than
MARGIN apart may differ, and what follows it with it; such places are counted and
printed.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import collections
import json
import os
import pathlib
import subprocess
import sys

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


def decode(program, model, tail, language, names):
    lines = subprocess.run(
        [program, DATA / "models" / model, "f32", tail, language]
        + [clip_path(name) for name in names],
        stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    found = collections.defaultdict(list)
    for line in lines:
        number, how, segment = line.split("\t", 2)
        found[how, names[int(number)]] += json.loads(segment)["tokens"]
    return found


def compare(what, got, reference, first_timestamp, gaps):
    """Raises, or returns whether a choice within the margin differs."""
    expected = emitted(reference, first_timestamp)
    if got == expected:
        return False
    at = next((i for i, (a, b) in enumerate(zip(got, expected)) if a != b),
              min(len(got), len(expected)))
    assert at < len(gaps) and gaps[at] < MARGIN, (
        f"{what}, token {at}: {got[at:at + 5]}, expected "
        f"{expected[at:at + 5]}, gap {gaps[at] if at < len(gaps) else None}")
    print(f"# {what}, token {at}: a gap of {gaps[at]}")
    return True


def tokens_test(program, name, tail):
    def run():
        model, reference, first_timestamp = MODELS[name]
        if not (DATA / "models" / model).exists():
            raise tap.Skip(f"there is no {model} in {DATA}")
        end = "-zero-tail" if tail == "zero" else ""
        wanted = json.loads(
            (DATA / "reference" / f"{reference}{end}.json").read_text())
        groups = collections.defaultdict(list)
        for clip, answer in sorted(wanted["greedy"].items()):
            groups[answer["language"]].append(clip)
        n = n_close = 0
        for language, names in groups.items():
            found = decode(program, model, tail, language, names)
            for how in ("greedy", "greedy-without-timestamps", "translate"):
                for clip in names:
                    answer = wanted.get(how, {}).get(clip)
                    if answer:
                        n += 1
                        n_close += compare(
                            f"{clip}, {how}", found[how, clip],
                            answer["tokens"], first_timestamp, answer["gaps"])
        print(f"# {n} windows, {n_close} with another choice within the margin")
    return run


def main():
    names = sys.argv[2:] or list(MODELS)
    tap.run([(f"tokens of {name}, tail={tail}",
              tokens_test(sys.argv[1], name, tail))
             for name in names for tail in ("silence", "zero")])


main()
