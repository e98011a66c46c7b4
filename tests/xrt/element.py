"""npuencoder in whole pipelines, on the simulated NPU: speech at every depth
gives what the CPU does, two elements share an NPU, programs take turns.

usage: element.py NPUSIM OVERLAYS INT8_OVERLAYS

The overlays are of fewer rows than a window has, so that a stage is several
launches.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import array
import math
import pathlib
import re
import shlex
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scripts"))

import tap  # noqa: E402

NPUSIM, OVERLAYS, INT8_OVERLAYS = sys.argv[1:4]
OVERLAYS_OF = {"bf16": OVERLAYS, "int8": INT8_OVERLAYS}
MODEL = "models/whisper-tiny.en-encoder-f16.safetensors"
CLIP = "audio/jfk.wav"
WIDTH = 384
DEPTHS = (1, 2, 3, 4, 8)
CLEAN = ("opens", "all_bos", "contexts", "in_flight", "leaked_bos",
         "leaked_contexts", "violations")


# --- pipelines

def check_report(path, contexts):
    """The simulator's account of what was done to the device."""
    report = dict(line.split("=", 1) for line in path.read_text().splitlines())
    for key in CLEAN:
        assert report[key] == "0", f"{key}={report[key]} in the report"
    assert int(report["submissions"]) > 10, "the NPU was hardly used"
    assert int(report["most_in_flight"]) <= 4
    if contexts:
        assert int(report["most_contexts"]) <= contexts
    return report


def launch(scratch, pipeline, contexts=0, on_npu=True):
    """Runs a pipeline over the simulated NPU; returns its messages and the
    simulator's report."""
    path = scratch / "report"
    path.unlink(missing_ok=True)
    env = {"NPUSIM_REPORT": str(path), "NPUSIM_CONTEXTS": str(contexts),
           "LD_PRELOAD": NPUSIM}
    text = tap.command("gst-launch-1.0", "-m", *shlex.split(pipeline), env=env)
    return text, check_report(path, contexts) if on_npu else None


def source(wav, window=0):
    """Mel of a file, in windows of so many seconds (0: the default of 30)."""
    size = f" window={window * 10 ** 9}" if window else ""
    return (f"filesrc location={wav} ! wavparse ! audioconvert ! "
            f"audioresample ! whispermel{size}")


def encoder(model, precision, out, **properties):
    """An encoder and the file that it writes to."""
    if properties.get("device") == "xrt":
        properties.setdefault("overlays", OVERLAYS_OF[precision])
    words = " ".join(f"{key}={value}" for key, value in properties.items())
    return (f"npuencoder model={model} precision={precision} timeout=600000 "
            f"{words} ! filesink location={out}")


def check_messages(text, n_windows, **fields):
    """Every window was encoded on the NPU, and says so."""
    stats = [line for line in text.splitlines() if "npuencoder-stats" in line]
    assert len(stats) == n_windows, f"{len(stats)} windows of {n_windows}"
    for line in stats:
        assert "device=(string)xrt:0" in line, line
        assert re.search(r"placement=\(string\)\".*stages:\\ xrt:0", line), line
        for key, value in fields.items():
            assert f"{key}={value}" in line, f"no {key}={value} in {line}"


# --- states

def read(path):
    states = array.array("f")
    states.frombytes(path.read_bytes())
    return states


def cosine(a, b):
    ab = math.fsum(map(float.__mul__, a, b))
    return ab / math.sqrt(math.fsum(map(float.__mul__, a, a)) *
                          math.fsum(map(float.__mul__, b, b)))


def compare(what, actual, expected, least, least_row):
    """Fails unless the cosine over all, and of the worst row, are so much."""
    assert len(actual) == len(expected) > 0, (len(actual), len(expected))
    rows = [cosine(actual[i:i + WIDTH], expected[i:i + WIDTH])
            for i in range(0, len(actual), WIDTH)]
    worst = min(range(len(rows)), key=rows.__getitem__)
    whole = cosine(actual, expected)
    tap.say(f"{what}: cosine {whole:.7f}, worst row {worst} {rows[worst]:.7f}")
    assert whole >= least and rows[worst] >= least_row


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


def on_cpu(scratch, wav, model, window, precision):
    out = scratch / f"cpu-{precision}"
    launch(scratch, f"{source(wav, window)} ! " + encoder(
        model, precision, out, device="cpu"), on_npu=False)
    return read(out)


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


def speech():
    """The real clip and the real model."""
    wav, model = tap.test_data(CLIP), tap.test_data(MODEL)
    if not wav or not model:
        raise tap.Skip(f"the test data have no {CLIP} or no {MODEL}")
    return wav, model


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
