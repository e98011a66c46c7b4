#!/usr/bin/env python3
"""Builds two commits and compares the states that their npuencoder makes, byte
for byte, over models, precisions, instruction sets and window lengths.

usage: same_states.py [--builds A B] [--quick] [--properties P] [BASE [HEAD]]

BASE (default: HEAD~1) and HEAD are commits; they are built in a scratch folder.
--builds takes two build folders instead. --properties of npuencoder ('device=xrt
overlays=DIR') are given to both. Prints a line a combination and `same N,
different N, failed N`; exit status 1 where any state differs or only one side
fails. By hand, after a change that must keep the bytes: a full run takes half an
hour.

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import argparse
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("NPUENC_TEST_DATA", ROOT / ".." / "shared"))
PRECISIONS = ["f32", "int8", "int16", "bf16"]
LEVELS = ["c", "avx2", "avxvnni", "avx512", "avx512vnni", None]
FRAMES = [2, 126, 258, 1102, 3000]


def tensors_of(d, layers, mels, positions):
    """Names and shapes of an encoder, as OpenAI's checkpoints have them."""
    yield "encoder.conv1.weight", (d, mels, 3)
    yield "encoder.conv1.bias", (d,)
    yield "encoder.conv2.weight", (d, d, 3)
    yield "encoder.conv2.bias", (d,)
    yield "encoder.positional_embedding", (positions, d)
    yield "encoder.ln_post.weight", (d,)
    yield "encoder.ln_post.bias", (d,)
    for i in range(layers):
        block = f"encoder.blocks.{i}."
        for ln in ("attn_ln", "mlp_ln"):
            yield block + ln + ".weight", (d,)
            yield block + ln + ".bias", (d,)
        for part in ("query", "key", "value", "out"):
            yield block + f"attn.{part}.weight", (d, d)
            if part != "key":
                yield block + f"attn.{part}.bias", (d,)
        yield block + "mlp.0.weight", (4 * d, d)
        yield block + "mlp.0.bias", (4 * d,)
        yield block + "mlp.2.weight", (d, 4 * d)
        yield block + "mlp.2.bias", (d,)


def write_model(path, d, layers, mels=80, positions=1500):
    """A safetensors file of random weights."""
    random = numpy.random.default_rng(d)
    header, parts, at = {}, [], 0
    for name, shape in tensors_of(d, layers, mels, positions):
        values = random.standard_normal(shape).astype("<f4")
        if len(shape) > 1:
            values *= 1.0 / numpy.sqrt(numpy.prod(shape[1:]))
        elif "ln" in name and name.endswith("weight"):
            values = 1 + values / 8
        header[name] = {"dtype": "F32", "shape": list(shape),
                        "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
        parts.append(values.tobytes())
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def build(commit, scratch):
    tree = scratch / commit.replace("/", "_")
    tree.mkdir()
    archive = subprocess.run(["git", "-C", ROOT, "archive", commit],
                             check=True, stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", tree], check=True,
                   input=archive.stdout)
    subprocess.run(["meson", "setup", tree / "build", tree,
                    "-Dtests=false"], check=True, stdout=sys.stderr)
    subprocess.run(["ninja", "-C", tree / "build"], check=True,
                   stdout=sys.stderr)
    return tree / "build"


def states(folder, scratch, model, mels, frames, level, properties):
    """The digest of the states, or the message of the failure."""
    mel = scratch / f"mel-{mels}-{frames}.f32"
    if not mel.exists():
        noise = numpy.random.default_rng(frames)
        mel.write_bytes((noise.random((mels, frames)) * 2 - 1)
                        .astype("<f4").tobytes())
    out = scratch / "states.f32"
    out.unlink(missing_ok=True)
    env = dict(os.environ, GST_PLUGIN_PATH=str(folder / "gst"),
               GST_REGISTRY=str(scratch / f"{hash(folder)}.registry"))
    env.pop("NPUENC_CPU", None)
    if level:
        env["NPUENC_CPU"] = level
    caps = ("other/tensors,format=(string)static,num_tensors=(int)1,"
            "types=(string)float32,"
            f"dimensions=(string){frames}:{mels}:1,framerate=(fraction)0/1")
    done = subprocess.run(
        ["gst-launch-1.0", "-q", "filesrc", f"location={mel}",
         f"blocksize={4 * mels * frames}", "!", caps, "!", "npuencoder",
         f"model={model}", *properties, "!", "filesink", f"location={out}"],
        env=env, capture_output=True, text=True, check=False)
    if done.returncode or not out.exists() or out.stat().st_size == 0:
        lines = [line for line in done.stderr.splitlines() if "rror" in line]
        return "failed: " + (lines or ["?"])[0][:120]
    return hashlib.sha256(out.read_bytes()).hexdigest()[:16]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--builds", nargs=2, type=Path, metavar=("A", "B"))
    parser.add_argument("--quick", action="store_true",
                        help="short windows of small models only")
    parser.add_argument("--properties", default="device=cpu",
                        help="of npuencoder, on both sides")
    parser.add_argument("commits", nargs="*", default=[])
    options = parser.parse_args()

    flags = Path("/proc/cpuinfo").read_text()
    has = {"avxvnni": "avx_vnni", "avx512": "avx512bw",
           "avx512vnni": "avx512_vnni", "avx2": "avx2"}
    levels = [level for level in LEVELS
              if level in (None, "c") or has[level] in flags.split()]

    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if options.builds:
            sides = [side.resolve() for side in options.builds]
        else:
            commits = ((options.commits or ["HEAD~1"]) + ["HEAD"])[:2]
            sides = [build(commit, scratch) for commit in commits]

        models = [("synthetic:tiny", 80, False)]
        for d, layers in ((64, 1), (192, 2), (320, 2)):
            path = scratch / f"random-{d}.safetensors"
            write_model(path, d, layers)
            models.append((str(path), 80, True))
        for name in ("whisper-tiny.en-encoder-f16.safetensors",
                     "ggml-base-q8_0.bin"):
            if (DATA / "models" / name).exists():
                models.append((str(DATA / "models" / name), 80, False))
        if not options.quick:
            models.append(("synthetic:base", 80, False))
            models.append(("synthetic:large-v3", 128, False))

        counts = {"same": 0, "different": 0, "failed": 0}
        for model, mels, small in models:
            for precision in PRECISIONS:
                for level in levels:
                    for frames in FRAMES:
                        slow = level == "c" and not small
                        if frames > (258 if slow or options.quick else 3000):
                            continue
                        if "large" in model and (slow or frames > 126):
                            continue
                        a, b = (states(side, scratch, model, mels, frames,
                                       level, [f"precision={precision}",
                                               *options.properties.split()])
                                for side in sides)
                        what = "same" if a == b else "different"
                        if a == b and a.startswith("failed"):
                            what = "failed"
                        counts[what] += 1
                        print(what, Path(model).name, precision,
                              level or "best", frames, a,
                              "" if a == b else b, flush=True)
    print(", ".join(f"{name} {n}" for name, n in counts.items()))
    return counts["different"] > 0 or counts["same"] == 0


if __name__ == "__main__":
    sys.exit(main())
