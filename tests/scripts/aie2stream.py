"""The transfers that an instruction stream asks of the NPU's shim tiles.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import struct

HEADER_SIZE = 16
WRITE, BLOCK_WRITE, MASK_WRITE, WAIT, PATCH = 0, 1, 3, 128, 129

# Of a shim tile: 16 buffer descriptors of 8 words, and the channels' queues.
DESCRIPTORS = 0x1D000
DESCRIPTOR_SIZE = 0x20
QUEUES = {0x1D204: True, 0x1D20C: True, 0x1D214: False, 0x1D21C: False}


def bits(word, low, count):
    return word >> low & (1 << count) - 1


class Stream:
    """transfers: {(column, queue): (True if to the host, [(argument's number,
    32-bit word), …])}."""

    def __init__(self, data):
        self.data = data
        self.descriptors = {}
        self.transfers = {}
        count, at = 0, HEADER_SIZE
        while at < len(data):
            at += self.operation(at)
            count += 1
        assert count == self.word(8), "another number of operations"

    def word(self, at):
        return struct.unpack_from("<I", self.data, at)[0]

    def operation(self, at):
        """Returns its size."""
        code = self.data[at]
        if code == WRITE:
            self.push(self.word(at + 8), self.word(at + 16))
            return self.word(at + 20)
        if code == BLOCK_WRITE:
            size = self.word(at + 12)
            assert size == 16 + DESCRIPTOR_SIZE, "no descriptor"
            self.descriptor(self.word(at + 8))["words"] = struct.unpack_from(
                "<8I", self.data, at + 16)
            return size
        if code == PATCH:
            self.descriptor(self.word(at + 24) - 4).update(
                argument=self.word(at + 32), offset=self.word(at + 40) // 4)
            return self.word(at + 4)
        if code == MASK_WRITE:
            return self.word(at + 24)
        assert code == WAIT, f"operation {code}"
        return self.word(at + 4)

    def descriptor(self, address):
        number, rest = divmod(bits(address, 0, 20) - DESCRIPTORS,
                              DESCRIPTOR_SIZE)
        assert 0 <= number < 16 and rest == 0, "no descriptor's address"
        return self.descriptors.setdefault((address >> 25, number), {})

    def push(self, address, value):
        """A task for a channel: a chain of descriptors, repeated."""
        column, queue = address >> 25, bits(address, 0, 20)
        _, words = self.transfers.setdefault(
            (column, queue), (QUEUES[queue], []))
        for turn in range(bits(value, 16, 8) + 1):
            number = bits(value, 0, 4)
            while number is not None:
                descriptor = self.descriptors[column, number]
                words += self.visited(turn=turn, **descriptor)
                last = descriptor["words"][7]
                number = bits(last, 27, 4) if bits(last, 26, 1) else None

    @staticmethod
    def visited(turn, words, argument, offset):
        sizes = [bits(words[3], 20, 10), bits(words[4], 20, 10)]
        strides = [bits(words[i], 0, 20) + 1 for i in (3, 4, 5)]
        turns, step = bits(words[6], 20, 6) + 1, bits(words[6], 0, 20) + 1
        if words[6]:
            offset += turn % turns * step
        for i in range(words[0]):
            inner, outer = i, 0
            if sizes[0]:
                inner, middle = i % sizes[0], i // sizes[0]
                outer, middle = (divmod(middle, sizes[1]) if sizes[1]
                                 else (0, middle))
                outer = middle * strides[1] + outer * strides[2]
            yield argument, offset + inner * strides[0] + outer
