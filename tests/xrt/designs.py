"""The designs of kernels/aie2 through npuencoder and the real XRT: what they do
is executed by the model of the array, from the configuration and instructions
that a device would be given. Products are computed by their names.

usage: designs.py NPUSIM

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import pathlib
import shlex
import shutil
import struct
import subprocess
import sys

import rig
from rig import tap

HERE = pathlib.Path(__file__).resolve().parent
rig.NPUSIM = sys.argv[1]
DESIGNS = "npu-designs"
WIDTHS = {"tiny": 384, "base": 512, "small": 768}


def make_overlays(folder, size, designs, *options):
    subprocess.run([sys.executable, HERE / "make-overlays.py", "--size", size,
                    "--types", "bf16", "--ops",
                    "linear,attention,layernorm,gelu", "--designs", designs,
                    *options, folder], check=True, stdout=subprocess.DEVNULL)
    return folder


def designs():
    path = tap.test_data(f"{DESIGNS}/gelu_n1536/instructions.bin")
    if not path:
        raise tap.Skip(f"the test data have no {DESIGNS}")
    return path.parents[1]


def encode(scratch, wav, model, name, overlays, seed):
    """States of the clip on the simulated NPU, where all stages run; and the
    simulator's report."""
    out = scratch / name
    text, report = rig.launch(
        scratch, f"{rig.source(wav)} ! " + rig.encoder(
            model, "bf16", out, device="xrt", overlays=overlays), seed=seed)
    rig.check_messages(text, 1)
    tap.say(f"{name}: {report['commands']} commands, {report['array_bds']} "
            f"descriptors and {report['array_words']} words in the array")
    assert int(report["array_bds"]) > 0, "the array was not used"
    return out.read_bytes(), report


def check_size(size, model, seeds):
    """Another order of tiles, the same bytes; and those are the CPU's within
    the bounds that element.py has for programs computed by name."""
    wav, _ = rig.speech()
    with tap.folder() as scratch:
        scratch = pathlib.Path(scratch)
        overlays = make_overlays(scratch / "overlays", size, designs())
        states = [encode(scratch, wav, model, f"{size}-{seed}", overlays,
                         seed)[0] for seed in seeds]
        assert all(other == states[0] for other in states), \
            "the states depend on the order of tiles"
        expected = rig.on_cpu(scratch, wav, model, 0, "bf16")
        rig.compare(f"{size}, the array, bf16 on the CPU",
                    rig.read(scratch / f"{size}-{seeds[0]}"), expected,
                    0.9999, 0.999, WIDTHS[size])


def test_tiny():
    """Another order of tiles, and one context for all programs, whose streams
    bring their designs: the same bytes."""
    wav, model = rig.speech()
    with tap.folder() as scratch:
        scratch = pathlib.Path(scratch)
        several = make_overlays(scratch / "in-several", "tiny", designs())
        one = make_overlays(scratch / "in-one", "tiny", designs(),
                            "--one-context")
        expected, report = encode(scratch, wav, model, "several", several, 1)
        states, report_of_one = encode(scratch, wav, model, "one", one, 2)
        rig.compare("tiny.en, the array, bf16 on the CPU",
                    rig.read(scratch / "several"),
                    rig.on_cpu(scratch, wav, model, 0, "bf16"), 0.9999, 0.999)
    assert states == expected, "one context gives other states than several"
    assert report_of_one["commands"] == report["commands"]
    assert int(report["most_contexts"]) > 1 and int(report["switches"]) > 10
    assert report_of_one["most_contexts"] == "1"
    assert report_of_one["switches"] == "0"


def spoil(design, address, value):
    """Writes another value to one address of the design's configuration."""
    path = design / "main_aie_cdo_init.bin"
    data = path.read_bytes()
    before = struct.pack("<4I", 3 << 16 | 0x108, 0, address, 2)
    after = before[:12] + struct.pack("<I", value)
    assert data.count(before) == 1
    path.chmod(0o644)
    path.write_bytes(data.replace(before, after))


def test_broken():
    """A lock that begins with another value, in one memory tile."""
    wav, model = rig.speech()
    with tap.folder() as scratch:
        scratch = pathlib.Path(scratch)
        broken = scratch / "designs"
        shutil.copytree(designs(), broken)
        for path in broken.rglob("*"):
            path.chmod(0o755)
        spoil(broken / "gelu_n1536", 1 << 25 | 1 << 20 | 0xc0080, 0)
        overlays = make_overlays(scratch / "overlays", "tiny", broken)
        said = tap.command(
            "gst-launch-1.0", *shlex.split(
                f"{rig.source(wav)} ! " + rig.encoder(
                    model, "bf16", scratch / "out", device="xrt",
                    overlays=overlays)),
            env={"LD_PRELOAD": rig.NPUSIM}, status=None)
        tap.expect(said, "npusim: array: deadlock", "memory tile (1,1)",
                   "lock 8", "ended with an error", "gelu")


tap.run([
    ("tiny.en", test_tiny),
    ("base", lambda: check_size("base", "synthetic:base", (1,))),
    ("small", lambda: check_size("small", "synthetic:small", (1,))),
    ("a broken design", test_broken),
])
