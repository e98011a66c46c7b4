"""build.sh and pipeline.py ask mlir-aie's tools for what these know, before
June 2026 and since. The tools are stand-ins that know the options of either
age, refuse any other, and write the files that they are asked for.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import os
import pathlib

import tap

AIE2 = tap.ROOT / "kernels/aie2"

OLD, NEW = "before June 2026", "since June 2026"
COMMON = ("--alloc-scheme", "--peano", "--xclbin-name", "--npu-insts-name")
AIECC = {
    OLD: COMMON + ("--no-compile-host", "--no-xchesscc", "--no-xbridge",
                   "--aie-generate-xclbin", "--aie-generate-npu-insts"),
    NEW: COMMON + ("--get-xclbin", "--get-npu-insts"),
}
PASSES = {
    OLD: ("aie-register-objectFifos", "aie-objectFifo-stateful-transform"),
    NEW: ("aie-objectFifo-stateful-transform", "aie-objectFifo-unroll"),
}

# Options with a value after them or after an equals sign.
TOOL = """#!/usr/bin/env python3
import pathlib, sys
known = {known!r}
words = sys.argv[1:]
if "--help" in words:
    sys.exit("\\n".join(known))
for word in words:
    if word.startswith("--") and word.split("=")[0] not in known:
        sys.exit("unknown argument " + word)
for word in words:
    if "-name=" in word:
        pathlib.Path(word.split("=")[1]).write_text("made")
"""
COMPILER = """#!/bin/sh
while [ $# -gt 0 ]; do [ "$1" != -o ] || echo object > "$2"; shift; done
"""
OPT = """#!/usr/bin/env python3
import pathlib, sys
words = sys.argv[1:]
known, unknown = {known!r}, {unknown!r}
if "--help" in words:
    sys.exit("\\n".join(known))
pipeline = [word for word in words if word.startswith("--pass-pipeline=")][0]
for name in unknown:
    if name in pipeline:
        sys.exit("unknown pass " + name)
pathlib.Path(words[words.index("-o") + 1]).write_text(
    'aie.buffer(%core_0_0) {{address = 16384 : i32, sym_name = "acc_0_0"}} '
    ': memref<16xf32>\\n'
    'aie.buffer(%mem_0) {{address = 0 : i32, sym_name = "x"}} : memref<16xf32>\\n')
"""
TRANSLATE = """#!/usr/bin/env python3
import pathlib, struct, sys
words = sys.argv[1:]
if words[0] == "--aie-generate-cdo":
    folder = pathlib.Path(words[1].split("=")[1])
    for part in ("elfs", "init", "enable"):
        (folder / ("main_aie_cdo_" + part + ".bin")).write_text(part)
else:
    pathlib.Path(words[words.index("-o") + 1]).write_bytes(
        struct.pack("<4I", 0x06030100, 0x104, 0, 16))
"""
WHOLE_ARRAY = """import argparse, pathlib
parser = argparse.ArgumentParser()
for name in ("--dev", "-M", "-K", "-N", "-m", "-k", "-n", "--n-aie-cols",
             "--dtype_in", "--dtype_out"{more}):
    parser.add_argument(name)
args = parser.parse_args()
if {new}:
    assert args.xclbin_path and args.insts_path, "it would run on an NPU"
    for path in (args.xclbin_path, args.insts_path):
        pathlib.Path(path).write_text("made")
else:
    print("module")
"""


def write(path, text, mode=0o755):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def install(folder, age):
    """Stand-ins of that age in the folder; the environment to use them."""
    others = {name for names in PASSES.values() for name in names}
    new = age == NEW
    write(folder / "bin/aiecc", TOOL.format(known=AIECC[age]))
    write(folder / "bin/aie-opt", OPT.format(
        known=PASSES[age], unknown=sorted(others - set(PASSES[age]))))
    write(folder / "bin/aie-translate", TRANSLATE)
    write(folder / "peano/bin/clang++", COMPILER)
    write(folder / "python/aie/__init__.py", "")
    write(folder / "python/aie/utils/__init__.py", "")
    write(folder / "python/aie/utils/config.py",
          "def root_path():\n    return '/nowhere'\n")
    write(folder / "mlir-aie/programming_examples/basic/matrix_multiplication/"
          "whole_array/whole_array.py", WHOLE_ARRAY.format(
              new=new, more=', "--xclbin-path", "--insts-path"' * new))
    return {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(folder / "python"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PEANO_INSTALL_DIR": str(folder / "peano")}


def check_build(age):
    with tap.folder() as folder:
        folder = pathlib.Path(folder)
        env = install(folder, age)
        out = folder / "overlays"
        tap.command(AIE2 / "build.sh", "--size", "tiny", "--out", out,
                    "--mlir-aie", folder / "mlir-aie", env=env)
        names = [line[1:-1] for line in
                 (out / "overlays.ini").read_text().splitlines()
                 if line.startswith("[")]
        assert len(names) == 7, names
        for name in names:
            for suffix in (".xclbin", ".bin"):
                assert (out / (name + suffix)).exists(), name + suffix


def check_pipeline(age):
    with tap.folder() as folder:
        folder = pathlib.Path(folder)
        env = install(folder, age)
        designs = folder / "designs"
        tap.command(AIE2 / "pipeline.py", "--designs", designs, "tiny",
                    env=env)
        for name in ("attention_h6", "layernorm_n384", "gelu_n1536"):
            files = {path.name for path in (designs / name).iterdir()}
            assert files == {"instructions.bin", "core-buffers.json",
                             "main_aie_cdo_elfs.bin", "main_aie_cdo_init.bin",
                             "main_aie_cdo_enable.bin"}, files


tap.run([
    (f"{what}, tools {age}", lambda check=check, age=age: check(age))
    for what, check in (("build.sh", check_build),
                        ("pipeline.py", check_pipeline))
    for age in (OLD, NEW)
])
