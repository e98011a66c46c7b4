#!/usr/bin/env python3
"""Runs every design through mlir-aie's pipeline down to its instruction
stream, and prints what that takes as a table in Markdown.

usage: pipeline.py [--keep DIR] [SIZE...]

Wants aie-opt and aie-translate on the PATH; the passes are those that aiecc
runs. Cores are not compiled: that wants Peano (build.sh). An error or a
warning of theirs is the end.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import argparse
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile

import overlays

HERE = pathlib.Path(__file__).resolve().parent
CORE_MEMORY = 65536
TILE_MEMORY = 524288

# Locks, object FIFOs, buffer descriptors, addresses and banks.
RESOURCES = """builtin.module(lower-affine, aie-canonicalize-device,
aie.device(aie-assign-lock-ids, aie-register-objectFifos,
aie-objectFifo-stateful-transform{dynamic-objFifos=false
packet-sw-objFifos=false}, aie-assign-bd-ids, aie-lower-cascade-flows,
aie-lower-broadcast-packet, aie-lower-multicast,
aie-assign-tile-controller-ids,
aie-generate-column-control-overlay{route-shim-to-tile-ctrl=false},
aie-assign-buffer-addresses{alloc-scheme=bank-aware},
aie-assign-core-link-files, aie-vector-transfer-lowering),
convert-scf-to-cf)"""
ROUTES = 'builtin.module(aie.device(aie-create-pathfinder-flows))'
STREAM = """builtin.module(aie-materialize-runtime-sequences,
aie.device(aie-materialize-bd-chains, aie-substitute-shim-dma-allocations,
aie-assign-runtime-sequence-bd-ids, aie-dma-tasks-to-npu, aie-dma-to-npu,
aie-lower-set-lock))"""


def run(*command):
    """A command of the pipeline, which must not say a word."""
    done = subprocess.run([str(word) for word in command], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode or done.stdout:
        sys.exit(f'pipeline.py: {command[0]} exited with {done.returncode} '
                 f'and said:\n{done.stdout}')


def lower(design, folder):
    """design.mlir to design.bin; returns the MLIR with addresses."""
    stages = [folder / f'{design}.{stage}' for stage in (
        'mlir', 'resources.mlir', 'routes.mlir', 'stream.mlir', 'bin')]
    for passes, source, target in zip((RESOURCES, ROUTES, STREAM), stages,
                                      stages[1:]):
        run('aie-opt', '--pass-pipeline=' + ' '.join(passes.split()), source,
            '-o', target)
    run('aie-translate', '--aie-npu-to-binary', stages[3], '-o', stages[4])
    return stages[1].read_text()


def memory(text):
    """The largest use of a core's and of a memory tile's memory, in bytes."""
    used = {}
    kinds = {'f32': 4, 'bf16': 2}
    pattern = r'aie\.buffer\(%(\w+)\).* : memref<(\d+)x(\w+)>'
    for tile, count, kind in re.findall(pattern, text):
        used[tile] = used.get(tile, 0) + int(count) * kinds[kind]
    for size in re.findall(r'stack_size = (\d+)', text)[:1]:
        for tile in used:
            used[tile] += int(size) * (not tile.startswith('mem_'))
    return (max(size for tile, size in used.items()
                if not tile.startswith('mem_')),
            max(size for tile, size in used.items()
                if tile.startswith('mem_')))


def check_header(name, stream):
    """A stream begins with its version, columns, operations and size."""
    if len(stream) % 4 or len(stream) < 16:
        sys.exit(f'pipeline.py: {name}: no instruction stream.')
    size = struct.unpack_from('<I', stream, 12)[0]
    if size != len(stream):
        sys.exit(f'pipeline.py: {name}: the stream says that it has {size} '
                 f'bytes, but has {len(stream)}.')
    return struct.unpack_from('<I', stream, 8)[0]


def main():
    parser = argparse.ArgumentParser(
        description="Runs the designs through mlir-aie's pipeline.")
    parser.add_argument('--keep', type=pathlib.Path,
                        help='a folder for the files of all stages')
    parser.add_argument('sizes', nargs='*', metavar='SIZE',
                        help=', '.join(overlays.SIZES) + '; all by default')
    args = parser.parse_args()
    for size in args.sizes:
        if size not in overlays.SIZES:
            parser.error(f"there is no size '{size}'")
    for tool in ('aie-opt', 'aie-translate'):
        if not shutil.which(tool):
            sys.exit(f'pipeline.py: there is no {tool} on the PATH; it comes '
                     'with mlir-aie.')
    print('| size | overlay | operations | stream, bytes | words '
          '| core memory of 65536 | memory tile of 524288 |')
    print('|---|---|---|---|---|---|---|')
    with tempfile.TemporaryDirectory(prefix='npu-pipeline-') as temporary:
        folder = args.keep or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for size in args.sizes or overlays.SIZES:
            for name, arguments in overlays.designs(size):
                text = subprocess.run(
                    [sys.executable, HERE / 'design.py',
                     *[str(argument) for argument in arguments]],
                    check=True, text=True, stdout=subprocess.PIPE).stdout
                (folder / f'{name}.mlir').write_text(text)
                core, tile = memory(lower(name, folder))
                stream = (folder / f'{name}.bin').read_bytes()
                operations = check_header(name, stream)
                if core > CORE_MEMORY or tile > TILE_MEMORY:
                    sys.exit(f'pipeline.py: {name} does not fit.')
                print(f'| {size} | {name} | {operations} | {len(stream)} '
                      f'| {len(stream) // 4} | {core} | {tile} |')


if __name__ == '__main__':
    main()
