"""What npuenc-bench says that windows would take on an NPU, over the simulated
one: window by window, and what each lever would save.

usage: bench.py NPUSIM NPUENC-BENCH OVERLAYS

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scripts"))

import benchjson  # noqa: E402
import tap  # noqa: E402

NPUSIM, BENCH, OVERLAYS = sys.argv[1:]
LAYERS = 4  # of tiny


def bench(folder, *args):
    path = folder / "out.json"
    text = tap.command(BENCH, "--encoder", "--model", "synthetic:tiny",
                       "--precision", "bf16", "--depths", "1", "--repeat", "1",
                       "--json", path, *args, env={"LD_PRELOAD": NPUSIM})
    return text, benchjson.read(path)


def near(a, b):
    return abs(a - b) <= 1e-6 * max(abs(a), abs(b))


def check_window(window, constants, gflop):
    """Its time is the sum of what it is made of."""
    for end, rate in (("least", "most"), ("most", "least")):
        parts = (window["launches"] * constants["launch"][end] / 1e3,
                 window["switches"] * constants["switch"][end],
                 window["wakes"] * constants["wake"][end],
                 gflop / constants["product"][rate])
        assert near(window[f"{end}_ms"], sum(parts)), (window, parts)


def check_levers(estimate, constants):
    first, last = estimate["windows"][0], estimate["windows"][-1]
    saves = {lever["name"]: lever for lever in estimate["levers"]}
    spared = last["launches"] - estimate["stages"]
    assert spared > 0, "every stage is one launch already"
    for end in ("least", "most"):
        for name, milliseconds in (
                ("one-context", last["switches"] * constants["switch"][end]),
                ("keep-awake", first["wakes"] * constants["wake"][end]),
                ("one-launch-a-stage",
                 spared * constants["launch"][end] / 1e3)):
            found = saves[name][f"saves_{end}_ms"]
            assert near(found, milliseconds), (name, found, milliseconds)


def test_simulated():
    with tap.folder() as folder:
        text, found = bench(pathlib.Path(folder), "--device", "xrt",
                            "--overlays", OVERLAYS)
    estimate = found["npu_estimate"]
    constants = {one["name"]: one for one in estimate["constants"]}
    tap.expect(text, "Windows on Phoenix, by published figures",
               "none of it was measured here", "what would save how much",
               *(one["source"] for one in estimate["constants"]))
    windows = estimate["windows"]
    assert len(windows) == 3 and [w["wakes"] for w in windows] == [1, 0, 0]
    for window in windows:
        # Each block goes round several programs, each in a context of its own.
        assert window["switches"] > 4 * LAYERS, window
        assert window["launches"] >= window["submissions"] > 0, window
        assert window["launches"] == windows[0]["launches"], windows
        assert window["synced_bytes"] > 1 << 20, window
        check_window(window, constants, estimate["gflop"])
    check_levers(estimate, constants)


def test_cpu():
    """Without an NPU nothing is said of one."""
    with tap.folder() as folder:
        text, found = bench(pathlib.Path(folder), "--device", "cpu")
    assert "npu_estimate" not in found and "Phoenix" not in text


tap.run([
    ("the estimate of windows on an NPU", test_simulated),
    ("none on the CPU", test_cpu),
])
