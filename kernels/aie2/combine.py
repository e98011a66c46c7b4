#!/usr/bin/env python3
"""Makes instruction streams that bring their own configuration, so that several
designs run in one hardware context: each stream first stops the array and
configures it for its design, by writes, and goes on as the design's own does.

usage: combine.py --out DIR [--numbers] DESIGN...

A DESIGN is a folder with its configuration (main_aie_cdo_elfs.bin, _init.bin and
_enable.bin, as mlir-aie writes them) and its instructions.bin; pipeline.py
makes such. DIR gets a DESIGN.bin for each. They go into overlays.ini with one
xclbin, that of any of the designs; switching from one to another is then no
switch of context. Needs nothing but these files: no mlir-aie.

All designs of a context must be named together: what one of them sets in a
stream switch is taken back before another begins. Their launches must leave the
array at rest, as designs do whose streams wait for what they send.

With --numbers the cores' code, which must not be there, is its design's number:
what the model of the array (tests/xrt/array) takes.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import argparse
import pathlib
import struct
import sys

PARTS = ("main_aie_cdo_elfs.bin", "main_aie_cdo_init.bin",
         "main_aie_cdo_enable.bin")

# Commands of a CDO (bootgen's), and operations of a stream (aie-rt's).
NO_OPERATION, MASK_POLL, BLOCK, MASK_WRITE, WRITE = 0x111, 0x106, 0x105, 0x107, \
    0x108
LONG = 0xff  # the length of a command is in a word of its own
CDO_HEADER, STREAM_HEADER = 5, 4
STREAM_WRITE, STREAM_BLOCK, STREAM_MASK_WRITE = 0, 1, 3

# Registers (AMD's AM025), by the row of a tile: shim, memory tile, cores.
RESET = 2
CORE_CONTROL = 0x32000
PROGRAM = 0x20000
CHANNELS = {1: (0xa0600, 12), 2: (0x1de00, 4)}  # a shim's have no reset
SWITCHES = {0: ((0x3f000, 0x400), (0x1f000, 8)), 1: ((0xb0000, 0x400),),
            2: ((0x3f000, 0x400),)}


def fail(text):
    sys.exit(f"combine.py: {text}")


def words_of(path):
    data = path.read_bytes()
    if len(data) % 4:
        fail(f"{path}: {len(data)} bytes are no whole words")
    return struct.unpack(f"<{len(data) // 4}I", data)


# --- the array

def kind_of(address):
    return min(address >> 20 & 31, 2)


def tile_of(address):
    return address & ~0xfffff


def is_in_switch(address):
    return any(start <= (address & 0xfffff) < start + size
               for start, size in SWITCHES[kind_of(address)])


# --- configurations: (address, mask, words); a mask goes with one word

def read_command(path, command, words):
    if command in (NO_OPERATION, MASK_POLL):
        return None
    if command not in (BLOCK, MASK_WRITE, WRITE) or len(words) < 3:
        fail(f"{path}: command 0x{command:x} of {len(words)} words is not known")
    if words[0]:
        fail(f"{path}: an address above 4 GiB")
    if command == MASK_WRITE:
        return (words[1], words[2], words[3:4]) if words[2] else None
    return words[1], None, words[2:]


def read_configuration(path):
    words, at = words_of(path), CDO_HEADER
    while at < len(words):
        header = words[at]
        length, at = header >> 16 & 0xff, at + 1
        if length == LONG:
            length, at = words[at], at + 1
        if at + length > len(words):
            fail(f"{path} is cut off")
        found = read_command(path, header & 0xffff, words[at:at + length])
        if found:
            yield found
        at += length


class Design:
    def __init__(self, folder):
        self.name = folder.name
        self.parts = [list(read_configuration(folder / part)) for part in PARTS]
        self.stream = words_of(folder / "instructions.bin")
        if len(self.stream) < STREAM_HEADER or \
                self.stream[3] != 4 * len(self.stream):
            fail(f"{folder}/instructions.bin is not a whole stream")

    def addresses(self):
        for part in self.parts:
            for address, _, words in part:
                yield from range(address, address + 4 * len(words), 4)


# --- operations of a stream

def operation(address, mask, words):
    if mask is not None:
        return STREAM_MASK_WRITE, 0, address, 0, words[0], mask, 28
    if len(words) == 1:
        return STREAM_WRITE, 0, address, 0, words[0], 24
    return STREAM_BLOCK, 0, address, 16 + 4 * len(words), *words


def stop(designs):
    """Everything that one of the designs may have left: cores at work, channels
    with their tasks, routes."""
    addresses = {address for design in designs for address in design.addresses()}
    tiles = sorted({tile_of(address) for address in addresses})
    for tile in tiles:
        if kind_of(tile) == 2:
            yield tile | CORE_CONTROL, None, (RESET,)
    for tile in tiles:
        start, n = CHANNELS.get(kind_of(tile), (0, 0))
        for channel in range(n):
            yield tile | start + 8 * channel, None, (RESET,)
            yield tile | start + 8 * channel, None, (0,)
    for address in sorted(filter(is_in_switch, addresses)):
        yield address, None, (0,)


def numbers(design, number):
    """In the place of the cores' code its design's number."""
    if design.parts[0]:
        fail(f"{design.name}: --numbers is for designs whose cores have no code")
    cores = sorted({tile_of(address) for address, _, _ in design.parts[2]})
    return [(tile | PROGRAM, None, (number,)) for tile in cores]


def combined(designs, number, with_numbers):
    design = designs[number]
    elfs, init, enable = design.parts
    if with_numbers:
        elfs = numbers(design, number)
    operations = [operation(*write)
                  for part in (list(stop(designs)), elfs, init, enable)
                  for write in part]
    words = [word for one in operations for word in one]
    first, second, n, size = design.stream[:STREAM_HEADER]
    return [first, second, n + len(operations), size + 4 * len(words),
            *words, *design.stream[STREAM_HEADER:]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=pathlib.Path, required=True,
                        metavar="DIR")
    parser.add_argument("--numbers", action="store_true",
                        help="the cores' code is a number, for the model of "
                        "the array")
    parser.add_argument("designs", type=pathlib.Path, nargs="+",
                        metavar="DESIGN")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    designs = [Design(folder) for folder in options.designs]
    for number, design in enumerate(designs):
        words = combined(designs, number, options.numbers)
        path = options.out / f"{design.name}.bin"
        path.write_bytes(struct.pack(f"<{len(words)}I", *words))
        print(f"{path}: {4 * len(words)} bytes, of which "
              f"{4 * len(design.stream)} are the design's own")


if __name__ == "__main__":
    main()
