"""npuencoder in whole pipelines, on the simulated NPU: speech at every depth
gives what the CPU does, two elements share an NPU, programs take turns.

usage: element.py NPUSIM OVERLAYS INT8_OVERLAYS

The overlays are of fewer rows than a window has, so that a stage is several
launches.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import pathlib
import sys

import rig
from rig import check_messages, compare, on_cpu, read, source, speech, tap

rig.NPUSIM, OVERLAYS, INT8_OVERLAYS = sys.argv[1:4]
OVERLAYS_OF = {"bf16": OVERLAYS, "int8": INT8_OVERLAYS}
DEPTHS = (1, 2, 3, 4, 8)


def launch(scratch, pipeline, contexts=0):
    return rig.launch(scratch, pipeline, contexts=contexts)


def encoder(model, precision, out, **properties):
    return rig.encoder(model, precision, out,
                       overlays=OVERLAYS_OF[precision], **properties)


# --- tests

def check_depths(scratch, wav, model, window, n_windows, precision, check):
    """At every depth the same bytes, on which check is then called."""
    states = scratch / "states"
    first = None
    for depth in DEPTHS:
        text, report = launch(scratch, f"{source(wav, window)} ! " + encoder(
            model, precision, states, device="xrt", depth=depth))
        check_messages(text, n_windows, depth=f"(uint){depth}",
                       precision=f"(string){precision}")
        tap.say(f"{precision}, depth {depth}: {report['submissions']} "
                f"submissions, {report['most_in_flight']} in flight")
        data = states.read_bytes()
        assert data, "there are no states"
        assert first in (None, data), f"depth {depth} gives other states"
        first = data
    check(read(states))


def check_bf16(scratch, wav, model, window, n_windows):
    def check(states):
        for precision, least, least_row in (("bf16", 0.9999, 0.999),
                                            ("f32", 0.999, 0.98)):
            expected = on_cpu(scratch, wav, model, window, precision)
            compare(f"bf16 on the NPU, {precision} on the CPU", states,
                    expected, least, least_row)
    check_depths(scratch, wav, model, window, n_windows, "bf16", check)


def has_vnni():
    flags = pathlib.Path("/proc/cpuinfo").read_text().split()
    return "avx512_vnni" in flags or "avx_vnni" in flags


def check_int8(scratch, wav, model, window, n_windows):
    def check(states):
        expected = on_cpu(scratch, wav, model, window, "int8")
        compare("int8 on the NPU, on the CPU", states, expected, 0.999, 0.98)
        # Without VNNI the CPU alone has 16-bit integers.
        assert not has_vnni() or states == expected, \
            "int8 states are not the CPU's"
    check_depths(scratch, wav, model, window, n_windows, "int8", check)


def on_speech(check):
    def test():
        wav, model = speech()
        with tap.folder() as scratch:
            check(pathlib.Path(scratch), wav, model, 0, 1)
    return test


def on_noise(check):
    """Three windows, the last one cut short, with random weights."""
    def test():
        with tap.folder() as scratch:
            scratch = pathlib.Path(scratch)
            tap.write_wav(scratch / "noise.wav", 4.5)
            check(scratch, scratch / "noise.wav", "synthetic:tiny", 2, 3)
    return test


def check_tee(contexts):
    """Two encoders in one pipeline, of two precisions or of one."""
    with tap.folder() as scratch:
        scratch = pathlib.Path(scratch)
        tap.write_wav(scratch / "noise.wav", 8)
        mel = source(scratch / "noise.wav", 2)
        alone = {}
        for precision in ("bf16", "int8"):
            out = scratch / f"alone-{precision}"
            launch(scratch, f"{mel} ! " + encoder(
                "synthetic:tiny", precision, out, device="xrt"))
            alone[precision] = out.read_bytes()
            assert alone[precision]
        for pair in (("bf16", "int8"), ("bf16", "bf16")):
            outs = [scratch / "out-0", scratch / "out-1"]
            text, report = launch(
                scratch, f"{mel} ! tee name=mel " + " ".join(
                    "mel. ! queue ! " + encoder(
                        "synthetic:tiny", precision, out, device="xrt")
                    for precision, out in zip(pair, outs)),
                contexts=contexts)
            check_messages(text, 8)
            tap.say(f"{' and '.join(pair)}: {report['most_contexts']} contexts "
                    f"at most, {report['switches']} switches")
            for precision, out in zip(pair, outs):
                assert out.read_bytes() == alone[precision], \
                    f"{precision}, of {pair}: other states than alone"


def test_few_contexts():
    """One encoder of more programs than there may be contexts."""
    with tap.folder() as scratch:
        scratch = pathlib.Path(scratch)
        tap.write_wav(scratch / "noise.wav", 4)
        mel = source(scratch / "noise.wav", 2)
        states = {}
        for contexts in (0, 3, 2, 1):
            out = scratch / "out"
            text, report = launch(scratch, f"{mel} ! " + encoder(
                "synthetic:tiny", "bf16", out, device="xrt"),
                contexts=contexts)
            check_messages(text, 2)
            states[contexts] = out.read_bytes()
            assert states[contexts] == states[0] != b""
            if contexts:
                assert report["most_contexts"] == str(contexts)


tap.run([
    ("speech, int8", on_speech(check_int8)),
    ("speech, bf16", on_speech(check_bf16)),
    ("made-up sound, int8", on_noise(check_int8)),
    ("made-up sound, bf16", on_noise(check_bf16)),
    ("two elements", lambda: check_tee(0)),
    ("two elements and few contexts", lambda: check_tee(2)),
    ("one element and few contexts", test_few_contexts),
])
