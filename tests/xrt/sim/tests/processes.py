"""Whole programs on the simulated NPU: tools of XRT, settings from the
environment, the report.

usage: processes.py SIMULATOR EXAMPLE OVERLAYS

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import os
import pathlib
import resource
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "scripts"))

import tap  # noqa: E402

SIMULATOR, EXAMPLE, OVERLAYS = sys.argv[1:]
NOBODY = 65534


def on_npu(*argv, status=0, **settings):
    env = {"LD_PRELOAD": SIMULATOR}
    env.update({f"NPUSIM_{name.upper()}": str(value)
                for name, value in settings.items()})
    return tap.command(*argv, status=status, env=env)


def example(*args, **more):
    return on_npu(EXAMPLE, OVERLAYS, *args, **more)


def read_report(path):
    lines = pathlib.Path(path).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def examine():
    tap.expect(on_npu("xrt-smi", "examine"), "|RyzenAI-npu1 ", "|6x5 ")
    for generation, number in (("strix", 4), ("strix-halo", 5), ("krackan", 6)):
        tap.expect(on_npu("xrt-smi", "examine", generation=generation),
                   f"|RyzenAI-npu{number} ", "|6x8 ")
    tap.expect(on_npu("xrt-smi", "examine", name="NPU Phoenix"),
               "|NPU Phoenix ", "|6x5 ")


def runs():
    tap.expect(example(), "= 8\n")


def no_node():
    tap.expect(example(status=1, fail="node"), "No such device")


def report():
    with tap.folder() as folder:
        example(report=f"{folder}/report-%p")
        (path,) = pathlib.Path(folder).iterdir()
        assert path.name.removeprefix("report-").isdigit(), path
        got = read_report(path)
        for name in ("opens", "all_bos", "contexts", "in_flight",
                     "leaked_bos", "leaked_contexts", "violations"):
            assert got[name] == "0", (name, got[name])
        assert got["commands"] == got["most_contexts"] == "1"


def leak():
    with tap.folder() as folder:
        example("leak", report=f"{folder}/report")
        got = read_report(f"{folder}/report")
        assert got["bos"] == "2" and got["contexts"] == "0", got


def nothing_is_left():
    with tap.folder() as folder:
        tap.command(EXAMPLE, OVERLAYS, env={
            "LD_PRELOAD": SIMULATOR, "TMPDIR": folder})
        assert not os.listdir(folder), os.listdir(folder)


def bad_setting():
    tap.expect(example(fail="everything"), "'fail'", "'everything' is no value")
    tap.expect(example(lattency="1"), "no setting 'lattency'")


def seen_from_outside():
    """A file that another process writes changes settings."""
    with tap.folder() as folder:
        control = pathlib.Path(folder) / "control"
        control.write_text("fail=error\n")
        tap.expect(example(status=1, control=control), "ERT_CMD_STATE_ERROR")


def memlock():
    """The kernel's own limit, which binds all but root."""
    if os.geteuid() != 0:
        raise tap.Skip("only root can be somebody else")

    def limit():
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    try:
        done = subprocess.run(
            [EXAMPLE, OVERLAYS], preexec_fn=limit, text=True,
            env={**os.environ, "LD_PRELOAD": SIMULATOR, "TMPDIR": "/tmp"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except PermissionError:
        raise tap.Skip("the build folder is not for others to read")
    if "No such file" in done.stdout:
        raise tap.Skip("the build folder is not for others to read")
    assert done.returncode == 1, done.stdout
    tap.expect(done.stdout, "Resource temporarily unavailable")


tap.run([
    ("xrt-smi examine shows the device", examine),
    ("a program runs", runs),
    ("no device node", no_node),
    ("the report of a clean program", report),
    ("the report of a program that leaks", leak),
    ("no files are left", nothing_is_left),
    ("settings that are none are told", bad_setting),
    ("settings come from a file", seen_from_outside),
    ("the limit of locked memory", memlock),
])
