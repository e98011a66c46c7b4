"""npuenc-bench: every mode runs on a small case, every figure is there, the
JSON is as its schema says, and the pictures show the lanes. No absolute times.

usage: bench.py NPUENC-BENCH

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import json
import os
import re
import sys
import xml.etree.ElementTree

import benchjson
import tap

BENCH = sys.argv[1]
SVG = "{http://www.w3.org/2000/svg}"


def bench(folder, *args):
    """What it prints, and the results it writes."""
    path = folder / "out.json"
    text = tap.command(BENCH, "--repeat", "1", "--json", path, *args)
    found = benchjson.read(path)
    assert {"executor_us_per_launch", "host_us_per_launch",
            "empty_launch_us"} <= set(found["machine"]), found["machine"]
    return text, found


def pipelined(folder):
    text, found = bench(folder, "--tiles", "7", "--depths", "2,3")
    tap.expect(text, "executor's own cost per launch", "medians of 1",
               "best for attention of loose tiles: depth ",
               "best for block of loose tiles: depth ", "why: ")
    results = found["results"]
    assert [(r["workload"], r["depth"]) for r in results] == [
        (w, d) for w in ("attention", "block") for d in (1, 2, 3)], results
    for r in results:
        assert r["mode"] == "pipelined" and r["device"] == "cpu", r
        assert r["correlation"] == 1, r
        assert r["tiles"] == (7 if r["workload"] == "attention" else 28), r
        assert r["speedup"] == 1 or r["depth"] > 1, r
    sizes = [r["memory_bytes"] for r in results[:3]]
    assert sizes[1] == 2 * sizes[0] and sizes[2] == 3 * sizes[0], sizes


def batches(folder):
    text, found = bench(folder, "--tiles", "30", "--depths", "1,4",
                        "--batch-analysis", "--precision", "f32",
                        "--threads", "1")
    attention = [r for r in found["results"] if r["workload"] == "attention"]
    assert [(r["batch_size"], r["depth"]) for r in attention] == [
        (b, d) for b in (1, 2, 4, 8, 24) for d in (1, 4)], attention
    for r in attention:
        assert r["mode"] == "batch" and r["precision"] == "f32", r
        assert r["launches"] == -(-30 // r["batch_size"]), r
        assert r["correlation"] == 1 and r["threads"] == 1, r
        if r["depth"] == 1:  # every launch but the first
            assert r["stalls"] == r["launches"] - 1, r
    tap.expect(text, "1 workers", "f32")


def windows(folder):
    text, found = bench(folder, "--encoder", "--roofline", "--depths", "1,3",
                        "--model", "synthetic:tiny")
    tap.expect(text, "peak of this machine", "conv1", "fc2", "of peak",
               "best for windows", "the model was loaded in ",
               "the mel of a window takes whispermel ",
               "peak memory of this process")
    # Two encoders have at least an int8 copy of the 7 million weights each.
    assert found["machine"]["peak_memory_bytes"] > 14e6, found["machine"]
    peak = found["machine"]["peak"]
    assert min(peak["f32_gflops_one"], peak["int8_gops_one"]) > 0.1, peak
    assert [r["mode"] for r in found["results"]] == [
        "encoder", "encoder", "roofline"]
    for r in found["results"]:
        assert r["model"] == "synthetic:tiny" and r["correlation"] == 1, r
        assert abs(r["realtime_factor"] - 30e3 / r["window_ms"]) < 0.1, r
        # conv1's 47 tiles, conv2's 24, six stages of 24 rows and one of 144
        # heads' in four blocks, the last norm
        assert r["tiles"] == 47 + 24 + 4 * (6 * 24 + 6 * 24) + 24, r
        total = sum(s["ms"] for s in r["stages"])
        assert abs(total / r["window_ms"] - 1) < 0.05, (total, r)
        gflop = sum(s.get("gflop", 0) for s in r["stages"])
        assert abs(gflop - 36.9) < 0.1, gflop
        assert r["peak_share"] > 0, r
        assert abs(sum(s["processor_ms"] for s in r["stages"]) /
                   r["processor_ms"] - 1) < 1e-6, r
        # What multiplies is counted, so it cannot be much above the peak.
        assert 0 < r["processor_share"] < 1.5, r
        assert r["processor_share"] <= r["best_share"] * (1 + 1e-9) < 1.5, r
        assert r["load_ms"] > 0 and r["mel_ms"] > 0, r


def decoder(folder):
    text, found = bench(folder, "--decoder", "--model", "synthetic:tiny",
                        "--repeat", "2", "--precision", "f32")
    tap.expect(text, "keys and values", "8 rows a step",
               "8 windows a step", "tokens a second")
    results = found["results"]
    assert [r["rows"] for r in results] == [1, 5, 8, 8], results
    assert [r["windows"] for r in results] == [1, 1, 1, 8], results
    for result in results:
        assert result["mode"] == "decoder" and result["precision"] == "f32"
        assert result["token_ms"] > 0 and result["window_ms"] > 0, result
        assert result["prompt_tokens_per_second"] > 0, result
        assert result["processor_ms"] > 0, result
        assert "depth" not in result and "tiles" not in result, result
    for result in bench(folder, "--pipelined", "--tiles", "4", "--repeat",
                        "1")[1]["results"]:
        assert {"depth", "batch_size", "tiles", "launches", "stalls",
                "tile_ms", "dma_overhead_percent",
                "correlation"} <= set(result), result


def pictures(folder):
    trace, svg = folder / "t.json", folder / "t.svg"
    bench(folder, "--tiles", "9", "--depths", "1,3", "--threads", "2",
          "--trace", trace, "--svg", svg)
    events = json.loads(trace.read_text())
    lanes = {e["args"]["name"] for e in events
             if e.get("name") == "thread_name"}
    wanted = {"host", "slot 0", "slot 1", "slot 2", "worker 0", "worker 1"}
    assert lanes == wanted, lanes
    numbers = {e["tid"]: e["args"]["name"] for e in events
               if e.get("name") == "thread_name"}
    tiles = [e for e in events if e.get("ph") == "X"
             and numbers[e["tid"]].startswith("worker")]
    assert len(tiles) == 4 * 9, len(tiles)
    assert {e["args"]["stage"] for e in tiles} == {
        "attention", "layernorm", "matmul", "gelu"}, tiles

    root = xml.etree.ElementTree.parse(svg).getroot()
    texts = {t.text for t in root.iter(SVG + "text")}
    assert wanted <= texts and "dma-write" in texts, texts
    titles = [t.text for t in root.iter(SVG + "title")]
    spans = [e for e in events if e.get("ph") == "X"]
    marks = [e for e in events if e.get("ph") == "i"]
    assert len(titles) == len(spans) + len(marks), len(titles)
    assert sum("dma-write: attention" in t for t in titles) > 0
    assert sum("compute: gelu, tiles 8 to 8" in t for t in titles) > 0
    assert len(marks) == sum(t.startswith("stall: ") for t in titles)


def window_picture(folder):
    svg = folder / "w.svg"
    bench(folder, "--encoder", "--depths", "2", "--svg", svg)
    tap.expect(svg.read_text(), "block 3 fc2", "synthetic:tiny, depth 2")


def verbose(folder):
    text, _ = bench(folder, "--tiles", "4", "--depths", "1,2", "--verbose",
                    "--latency-us", "200")
    tap.expect(text, "[fill]   attention, slot 0: ", "launched (no wait)",
               "[drain]  gelu, slot ", "latency 200 us")


def errors(folder):
    for args, answer in (
            (["--depths", "0"], "--depths is '0'"),
            (["--depths", "1,x"], "--depths is '1,x'"),
            (["--tiles", "0"], "--tiles is 0"),
            (["--repeat", "0"], "--repeat is 0"),
            (["--precision", "int4"], "--precision is 'int4'"),
            (["--device", "npu"], "device 'npu'"),
            (["--encoder", "--model", "/no/such"], "/no/such"),
            (["--json", "/no/such/file"], "/no/such/file"),
            (["--trace", "/no/such/file"], "/no/such/file"),
            (["extra"], "'extra'"),
            (["--bogus"], "--bogus")):
        text = tap.command(BENCH, "--tiles", "1", "--repeat", "1", *args,
                           status=1)
        tap.expect(text, "npuenc-bench: ", answer)


def outputs(folder):
    fifo, path = folder / "fifo", folder / "out"
    os.mkfifo(fifo)
    for option in ("--json", "--trace", "--svg"):
        text = tap.command(BENCH, "--tiles", "1", "--repeat", "1", option,
                           fifo, status=1)
        tap.expect(text, "npuenc-bench: ", "nobody reads it")
    assert fifo.is_fifo(), "the FIFO was replaced"
    text = tap.command(BENCH, "--json", path, "--svg", path, status=1)
    tap.expect(text, "asked for twice")
    path.write_text("a model")
    (folder / "link").hardlink_to(path)
    text = tap.command(BENCH, "--model", folder / "link", "--json", path,
                       status=1)
    tap.expect(text, str(path), "itself")
    assert path.read_text() == "a model"

    # A limit that is reached is an error, no signal, and leaves nothing.
    text = tap.command("sh", "-c", 'ulimit -f 1; exec "$@"', "sh", BENCH,
                       "--tiles", "9", "--repeat", "1", "--depths", "1,2,3,4",
                       "--json", folder / "large", status=1)
    tap.expect(text, "npuenc-bench: ", "File too large")
    found = sorted(p.name for p in folder.iterdir())
    assert found == ["fifo", "link", "out"], found


def small(folder):
    text, found = bench(folder, "--small", "--threads", "2",
                        "--precision", "f32")
    tap.expect(text, "a list of 50 launches of one row", "one thread ",
               "a window of a second of synthetic:tiny in f32")
    assert found["results"] == [], found["results"]
    assert min(found["small"].values()) > 0, found["small"]


def scaling(folder):
    text, found = bench(folder, "--scaling", "--threads", "2",
                        "--precision", "f32")
    tap.expect(text, "windows of 5 to 30 s of synthetic:tiny in f32",
               "medians", "best rounds", "a second of 30 costs ")
    assert found["results"] == [], found["results"]
    assert [r["seconds"] for r in found["scaling"]] == [
        5, 10, 15, 20, 25, 30], found["scaling"]
    for r in found["scaling"]:
        assert min(r.values()) > 0, r
        # One round: its ratio is that of its times, and it is the best.
        assert abs(r["ms_one_thread"] / r["ms"] / r["ratio"] - 1) < 1e-6, r
        assert r["best_ms_one_thread"] == r["ms_one_thread"], r
        assert r["best_ms"] == r["ms"], r
    tap.expect(text, "2 encoders with one thread each")
    independent = found["independent"]
    assert independent["encoders"] == 2, independent
    # What two do in a time is no less than one does, nor more than twice.
    assert independent["ratio"] > 0, independent
    assert independent["best_ratio"] == independent["ratio"], independent


def workers(folder):
    """The workers that the device has, be they one a core or fewer."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    try:
        _, found = bench(folder, "--tiles", "2", "--depths", "1")
    finally:
        os.sched_setaffinity(0, cpus)
    for r in found["results"]:
        assert r["threads"] == 1, r


def documented(folder):
    """--help names each option, and so does the page."""
    page = (tap.ROOT / "docs/npuenc-bench.md").read_text()
    for option in re.findall(r"^ +(--[a-z-]+)", tap.command(BENCH, "--help"),
                             re.M):
        assert f"`{option}" in page, f"no {option} in npuenc-bench.md"


tap.run([
    ("pipelined: each depth beside depth 1", tap.in_folder(pipelined)),
    ("batch analysis: five batches at each depth", tap.in_folder(batches)),
    ("windows: by operation, with shares of the peak", tap.in_folder(windows)),
    ("decoder: a window, a token, a prompt", tap.in_folder(decoder)),
    ("pictures: a lane per slot and worker", tap.in_folder(pictures)),
    ("a window can be drawn", tap.in_folder(window_picture)),
    ("verbose: lines for each launch", tap.in_folder(verbose)),
    ("wrong options are refused by name", tap.in_folder(errors)),
    ("outputs are whole or not at all", tap.in_folder(outputs)),
    ("small work on one thread and on two", tap.in_folder(small)),
    ("windows by their length and threads", tap.in_folder(scaling)),
    ("threads are the device's workers", tap.in_folder(workers)),
    ("its page names every option", tap.in_folder(documented)),
])
