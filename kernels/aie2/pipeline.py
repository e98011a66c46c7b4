#!/usr/bin/env python3
"""Runs every design through mlir-aie's pipeline down to its configuration and
instruction stream, and prints what that takes as a table in Markdown.

usage: pipeline.py [--keep DIR] [--designs DIR] [SIZE...]

Wants aie-opt and aie-translate on the PATH; the passes are those that aiecc
runs, of mlir-aie before June 2026 or since: which is seen from what aie-opt
knows. Cores are not compiled: that wants Peano (build.sh). An error or a
warning of theirs is the end. --designs makes a folder for each design with
what the model of the array (tests/xrt/array) takes.

Run with the tools of March 2026 but for --designs; the passes since June 2026
are read off aiecc's sources of September and were not run.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import argparse
import json
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

# Locks, object FIFOs, buffer descriptors, addresses and banks; before June
# 2026 and since.
OLD_RESOURCES = """builtin.module(lower-affine, aie-canonicalize-device,
aie.device(aie-assign-lock-ids, aie-register-objectFifos,
aie-objectFifo-stateful-transform{dynamic-objFifos=false
packet-sw-objFifos=false}, aie-assign-bd-ids, aie-lower-cascade-flows,
aie-lower-broadcast-packet, aie-lower-multicast,
aie-assign-tile-controller-ids,
aie-generate-column-control-overlay{route-shim-to-tile-ctrl=false},
aie-assign-buffer-addresses{alloc-scheme=bank-aware},
aie-assign-core-link-files, aie-vector-transfer-lowering),
convert-scf-to-cf)"""
RESOURCES = """builtin.module(lower-affine, aie-canonicalize-device,
aie.device(aie-objectFifo-stateful-transform{packet-sw-objFifos=false},
aie-objectFifo-unroll{default-dynamic=false}, aie-assign-lock-ids,
aie-assign-bd-ids, aie-lower-cascade-flows, aie-lower-broadcast-packet,
aie-lower-multicast, aie-assign-tile-controller-ids),
aie-generate-column-control-overlay{route-shim-to-tile-ctrl=false},
aie.device(aie-assign-buffer-addresses{alloc-scheme=bank-aware},
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


def resources():
    """The passes that this aie-opt has."""
    done = subprocess.run(['aie-opt', '--help'], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return RESOURCES if 'aie-objectFifo-unroll' in done.stdout \
        else OLD_RESOURCES


def lower(design, folder):
    """design.mlir to design.bin; returns the MLIR with addresses."""
    stages = [folder / f'{design}.{stage}' for stage in (
        'mlir', 'resources.mlir', 'routes.mlir', 'stream.mlir', 'bin')]
    for passes, source, target in zip((resources(), ROUTES, STREAM), stages,
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


def write_design(name, folder, target, text):
    """The configuration, the instructions, and where the cores' own buffers
    are, of a design that was lowered in the folder."""
    target.mkdir(parents=True, exist_ok=True)
    run('aie-translate', '--aie-generate-cdo',
        f'--work-dir-path={target}', folder / f'{name}.routes.mlir')
    shutil.copy(folder / f'{name}.bin', target / 'instructions.bin')
    pattern = r'aie\.buffer\(%core_\w+\) \{([^}]*)\}'
    places = {}
    for attributes in re.findall(pattern, text):
        buffer = re.search(r'sym_name = "((?:acc|state)_\d+_\d+)"', attributes)
        address = re.search(r'address = (\d+)', attributes)
        if buffer and address:
            places[buffer[1]] = int(address[1])
    if places:
        (target / 'core-buffers.json').write_text(
            json.dumps(places, indent=0, sort_keys=True) + '\n')


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
    parser.add_argument('--designs', type=pathlib.Path,
                        help='a folder for what the model of the array takes')
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
                lowered = lower(name, folder)
                if args.designs:
                    write_design(name, folder, args.designs / name, lowered)
                core, tile = memory(lowered)
                stream = (folder / f'{name}.bin').read_bytes()
                operations = check_header(name, stream)
                if core > CORE_MEMORY or tile > TILE_MEMORY:
                    sys.exit(f'pipeline.py: {name} does not fit.')
                print(f'| {size} | {name} | {operations} | {len(stream)} '
                      f'| {len(stream) // 4} | {core} | {tile} |')


if __name__ == '__main__':
    main()
