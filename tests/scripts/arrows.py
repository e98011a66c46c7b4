#!/usr/bin/env python3
"""Who includes whom in src, kernels and gst: only what is on a lower floor, by
the headers that are for callers, and without a circle; and no file is long.

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import re
from graphlib import CycleError, TopologicalSorter

import tap

# What each folder of src may include, besides itself. kernels includes nobody.
BELOW = {
    "base": set(),
    "mel": set(),
    "tensors": {"base"},
    "model": {"tensors", "base"},
    "tokenizer": {"model", "tensors", "base"},
    "vad": {"tensors", "base"},
    "device": {"kernels", "base"},
    "executor": {"device", "base"},
    "tiles": {"executor", "device", "kernels", "base"},
    "plan": {"executor", "device", "kernels", "base"},
    "encoder": {"plan", "executor", "device", "model", "tensors", "kernels",
                "base"},
    "decoder": {"plan", "executor", "device", "model", "tensors", "kernels",
                "base"},
    "decoding": {"decoder", "tokenizer", "plan", "model", "kernels", "base"},
    "transcript": {"decoding", "decoder", "tokenizer", "model", "base"},
}
MAX_LINES = 600
SRC, KERNELS, GST = (tap.ROOT / name for name in ("src", "kernels", "gst"))


def files(folder, *endings):
    return sorted(path for path in folder.rglob("*")
                  if path.suffix in endings and path.is_file())


def folder_of(path):
    if KERNELS in path.parents:
        return "kernels"
    parts = path.relative_to(SRC).parts
    return parts[0] if len(parts) > 1 else "base"


def included(path, *roots):
    """The files of the project that @path includes."""
    found = set()
    for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(),
                           re.MULTILINE):
        for root in (path.parent, *roots):
            if (root / name).exists():
                found.add((root / name).resolve())
                break
    return found


def sources():
    """(file, what it includes) of src, but for the header of all."""
    for path in files(SRC, ".c", ".h", ".cc"):
        if path.name != "npuenc.h":
            yield path, included(path, SRC, KERNELS)


def test_arrows_go_down():
    n = 0
    for path, targets in sources():
        room = folder_of(path)
        assert room in BELOW, f"{path}: a folder that has no floor"
        for target in targets:
            where = folder_of(target)
            n += 1
            assert where == room or where in BELOW[room], (
                f"{path.relative_to(tap.ROOT)} of {room} includes "
                f"{target.relative_to(tap.ROOT)} of {where}")
    assert n > 300, n


def test_no_circle():
    rooms = {room: set(below) for room, below in BELOW.items()}
    tuple(TopologicalSorter(rooms).static_order())
    headers = {path: {target for target in targets if target.suffix == ".h"}
               for path, targets in sources() if path.suffix == ".h"}
    try:
        tuple(TopologicalSorter(headers).static_order())
    except CycleError as circle:
        names = [str(path.relative_to(tap.ROOT)) for path in circle.args[1]]
        raise AssertionError(" includes ".join(names)) from circle


def test_callers_headers():
    """What implements a device, and what the files of a folder share, is
    nobody else's; but models are made of tables of tensors."""
    for path, targets in sources():
        for target in targets:
            if (folder_of(target) == folder_of(path) or
                    target.name == "tensors-private.h"):
                continue
            inner = target.relative_to(tap.ROOT).parts
            assert not re.search("(-private|-impl|-internal)\\.h$",
                                 target.name) and inner[1:3] not in (
                ("device", "cpu"), ("device", "xrt")), (
                f"{path.relative_to(tap.ROOT)} includes {'/'.join(inner)}")


def test_languages():
    """kernels knows no GLib, src no GObject, and gst is nobody's."""
    for folder, pattern in ((KERNELS, r"<(glib|gst)|\"gst"),
                            (SRC, r"<(glib-object|gio|gst)|\"gst")):
        for path in files(folder, ".c", ".h", ".cc"):
            found = re.search(rf"^\s*#\s*include\s+({pattern}).*",
                              path.read_text(), re.MULTILINE)
            assert not found, f"{path.relative_to(tap.ROOT)}: {found.group(0)}"


def test_short_files():
    n = 0
    for folder in (SRC, KERNELS, GST, tap.ROOT / "pipelines"):
        for path in files(folder, ".c", ".h", ".cc", ".py", ".sh"):
            lines = path.read_text().count("\n")
            n += 1
            assert lines <= MAX_LINES, (
                f"{path.relative_to(tap.ROOT)} has {lines} lines")
    assert n > 200, n


if __name__ == "__main__":
    tap.run([
        ("every arrow goes down", test_arrows_go_down),
        ("no circle", test_no_circle),
        ("only callers' headers", test_callers_headers),
        ("languages", test_languages),
        ("no long file", test_short_files),
    ])
