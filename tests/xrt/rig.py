"""What the tests of npuencoder on the simulated NPU share: pipelines, the
simulator's report, states.

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

NPUSIM = None  # the library, set by the test
MODEL = "models/whisper-tiny.en-encoder-f16.safetensors"
CLIP = "audio/jfk.wav"
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


def launch(scratch, pipeline, contexts=0, on_npu=True, seed=0):
    """Runs a pipeline over the simulated NPU; returns its messages and the
    simulator's report."""
    path = scratch / "report"
    path.unlink(missing_ok=True)
    env = {"NPUSIM_REPORT": str(path), "NPUSIM_CONTEXTS": str(contexts),
           "NPUSIM_SEED": str(seed), "LD_PRELOAD": NPUSIM}
    text = tap.command("gst-launch-1.0", "-m", *shlex.split(pipeline), env=env)
    return text, check_report(path, contexts) if on_npu else None


def source(wav, window=0):
    """Mel of a file, in windows of so many seconds (0: the default of 30)."""
    size = f" window={window * 10 ** 9}" if window else ""
    return (f"filesrc location={wav} ! wavparse ! audioconvert ! "
            f"audioresample ! whispermel{size}")


def encoder(model, precision, out, **properties):
    """An encoder and the file that it writes to."""
    if properties.get("device") != "xrt":
        properties.pop("overlays", None)
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


def compare(what, actual, expected, least, least_row, width=384):
    """Fails unless the cosine over all, and of the worst row, are so much."""
    assert len(actual) == len(expected) > 0, (len(actual), len(expected))
    rows = [cosine(actual[i:i + width], expected[i:i + width])
            for i in range(0, len(actual), width)]
    worst = min(range(len(rows)), key=rows.__getitem__)
    whole = cosine(actual, expected)
    tap.say(f"{what}: cosine {whole:.7f}, worst row {worst} {rows[worst]:.7f}")
    assert whole >= least and rows[worst] >= least_row


def on_cpu(scratch, wav, model, window, precision):
    out = scratch / f"cpu-{precision}"
    launch(scratch, f"{source(wav, window)} ! " + encoder(
        model, precision, out, device="cpu"), on_npu=False)
    return read(out)


def speech():
    """The real clip and the real model."""
    wav, model = tap.test_data(CLIP), tap.test_data(MODEL)
    if not wav or not model:
        raise tap.Skip(f"the test data have no {CLIP} or no {MODEL}")
    return wav, model
