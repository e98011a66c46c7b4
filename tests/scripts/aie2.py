"""The designs of the NPU programs: what each core is sent, in which order, and
where its results go, followed through the text of the designs.

Where mlir-aie's tools are on the PATH, its pipeline runs over every design as
well, and what it says must be what kernels/aie2/README.md says.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import configparser
import itertools
import pathlib
import re
import shutil
import struct
import sys

import aie2stream
import tap

AIE2 = tap.ROOT / "kernels/aie2"
TILE = 64 * 64
PITCH = TILE + 64  # of q and k on the host
CORES = [(column, row) for column in range(4) for row in range(4)]


def script(name, *args, **options):
    return tap.command(sys.executable, AIE2 / name, *args, **options)


# --- the design as it is written ------------------------------------------


def numbers(text):
    return [int(number) for number in re.findall(r"\d+", text)]


def layout(text):
    """<size = 2, stride = 3>, … to pairs."""
    return [tuple(numbers(part)) for part in re.findall(r"<([^>]*)>", text)]


def walk(dims):
    """Offsets in the order in which a transfer visits them."""
    steps = [range(0, size * stride, stride) if stride else [0] * size
             for size, stride in dims]
    return [sum(step) for step in itertools.product(*steps)]


class Design:
    """A design's object FIFOs, their links, and its transfers."""

    def __init__(self, *args):
        self.text = script("design.py", *args)
        self.fifos = {}    # name: (elements of an object, order to the stream)
        self.targets = {}  # name: [(name, offset)], of links that spread
        self.sources = {}  # name: [(name, offset)], of links that gather
        self.streams = {}  # name: [(argument, element)], of transfers
        for line in self.text.splitlines():
            self.read_fifo(line)
            self.read_link(line)
        self.read_sequence()

    def read_fifo(self, line):
        match = re.search(r"aie\.objectfifo @(\w+)\((.*)\) : "
                          r"!aie\.objectfifo<memref<(\d+)x", line)
        if match:
            name, arguments, elements = match.groups()
            self.fifos[name] = int(elements), layout(arguments)

    def read_link(self, line):
        match = re.search(r"objectfifo\.link \[(.*)\] -> \[(.*)\] "
                          r"\(\[(.*)\]\[(.*)\]\)", line)
        if not match:
            return
        sources, targets = (re.findall(r"\w+", group)
                            for group in match.groups()[:2])
        before, after = (numbers(group) for group in match.groups()[2:])
        if len(sources) > 1:
            self.sources[targets[0]] = list(zip(sources, before))
        else:
            self.targets[sources[0]] = list(zip(targets, after or [0]))

    def read_sequence(self):
        for name, body, options in re.findall(
                r"dma_configure_task_for @(\w+) \{(.*?)\n *\}( \{.*?\})?\n",
                self.text, re.DOTALL):
            repeat = re.search(r"repeat_count = (\d+)", options)
            transfers = re.findall(
                r"dma_bd\(%(\w+) : memref<(\d+)x\w+>, (\d+), (\d+), \[(.*)\]\)",
                body)
            stream = self.streams.setdefault(name, [])
            for turn in range(1 + int(repeat[1]) if repeat else 1):
                for transfer in transfers:
                    self.transfer(stream, turn, *transfer)

    def transfer(self, stream, turn, argument, size, offset, elements, dims):
        dims, start = layout(dims), int(offset)
        if len(dims) == 4:  # the outermost moves on with each turn
            start += turn % dims[0][0] * dims[0][1]
            dims = dims[1:]
        visited = [start + step for step in walk(dims)]
        assert len(visited) == int(elements), "a transfer of another length"
        assert max(visited) < int(size), "a transfer beyond its buffer"
        stream += [(argument, element) for element in visited]

    # --- what its cores see ---

    def received(self, name):
        """The objects that arrive at the end of a FIFO."""
        for source, targets in self.targets.items():
            for target, offset in targets:
                if target == name:
                    size, order = self.fifos[name]
                    shares = [whole[offset:offset + size]
                              for whole in self.received(source)]
                    order = walk(order) if order else range(size)
                    return [[share[i] for i in order] for share in shares]
        size, stream = self.fifos[name][0], self.streams[name]
        assert len(stream) % size == 0, f"{name}: an object is incomplete"
        return [stream[i:i + size] for i in range(0, len(stream), size)]

    def sent(self, name):
        """Where on the host a core's objects end."""
        for target, sources in self.sources.items():
            for source, offset in sources:
                if source == name:
                    size = self.fifos[name][0]
                    return [whole[offset:offset + size]
                            for whole in self.received(target)]
        raise AssertionError(f"{name} leads nowhere")


# --- the tests ------------------------------------------------------------


def run_of(argument, first, count):
    return [(argument, first + i) for i in range(count)]


def panels(argument, first):
    """A tile of 64 rows in panels of eight columns."""
    return [(argument, first + 64 * row + 8 * panel + column)
            for panel in range(8) for row in range(64) for column in range(8)]


def check_attention(heads, rows, kv_tiles, pitch):
    design = Design("attention", "--heads", heads, "--rows", rows,
                    "--kv-tiles", kv_tiles, "--pitch", pitch)
    q_tiles = rows // 64
    written = []
    for column, row in CORES:
        queries = design.received(f"q_{column}_{row}")
        keys = iter(design.received(f"kv_{column}"))
        results = design.sent(f"o_{column}_{row}")
        assert len(queries) == len(results)
        for query, result in zip(queries, results):
            head, tile = divmod(query[0][1] // PITCH, q_tiles)
            first_key = head * kv_tiles
            bias = [run_of("k", (first_key + i) * PITCH + TILE, 64)
                    for i in range(kv_tiles)]
            assert query == run_of(
                "q", (head * q_tiles + tile) * PITCH, TILE) + sum(bias, [])
            for i in range(first_key, first_key + kv_tiles):
                assert next(keys) == panels("k", i * PITCH)
                assert next(keys) == panels("v", i * TILE)
            assert result == [
                ("o", (64 * tile + i) * pitch + 64 * head + j)
                for i in range(64) for j in range(64)]
            written += result
        assert next(keys, None) is None, "keys that no core wants"
    # Every result once: each tile of each head has one core.
    assert len(written) == len(set(written)) == heads * rows * 64


def attention():
    check_attention(heads=4, rows=1024, kv_tiles=3, pitch=320)


def attention_one_tile():
    check_attention(heads=2, rows=512, kv_tiles=1, pitch=128)


def check_rows(design, elements, shared=()):
    """Every core's results go where its inputs came from; all is covered."""
    written = []
    for column, row in CORES:
        inputs = design.received(f"x_{column}_{row}")
        results = design.sent(f"y_{column}_{row}")
        assert len(inputs) == len(results)
        for x, y in zip(inputs, results):
            assert x == run_of("x", x[0][1], len(x))
            assert y == run_of("y", x[0][1], len(x))
            written += y
        for name, size in shared:
            assert design.received(f"{name}_in_{column}") == [
                run_of(name, 0, size)]
    assert len(written) == len(set(written)) == elements


def layernorm():
    design = Design("layernorm", "--n", 48, "--rows", 192)
    check_rows(design, 192 * 48, [("g", 96)])
    # A core takes gamma and beta once a launch: it must know how many objects.
    tap.expect(design.text, "%objects = arith.constant 3 : index")


def gelu():
    check_rows(Design("gelu", "--n", 1024, "--rows", 192), 192 * 1024)


def refused():
    """Shapes that the programs have no room or no partition for."""
    for words, message in [
            ("attention --heads 5 --pitch 320", "heads must be even"),
            ("attention --heads 6 --pitch 320", "pitch must be at least"),
            ("attention --heads 6 --pitch 384 --rows 1500", "multiple of 512"),
            ("attention --heads 6 --pitch 384 --kv-tiles 25", "1 to 24"),
            ("layernorm --n 1024", "768"),
            ("layernorm --n 384 --rows 100", "multiple of 64"),
            ("gelu --n 100 --rows 64", "multiple of 65536")]:
        tap.expect(script("design.py", *words.split(), status=None),
                   "design.py: ", message)


def overlays():
    """Each size has its programs described, of the shapes of its design."""
    for size, d in [("tiny", 384), ("base", 512), ("small", 768)]:
        for precision, count in [("bf16", 5), ("int8", 2), ("all", 7)]:
            keys = configparser.ConfigParser()
            keys.read_string(script(
                "overlays.py", "--size", size, "--precision", precision))
            listed = script("overlays.py", "--size", size, "--precision",
                            precision, "--list").splitlines()
            assert keys.sections() == [line.split()[0] for line in listed]
            assert len(listed) == count
            for name in keys.sections():
                group = keys[name]
                assert group["xclbin"] == f"{name}.xclbin"
                assert group["instructions"] == f"{name}.bin"
                wide = 4 if group["op"] == "gelu" else 1
                assert int(group["n"]) == wide * d


def words_of(design):
    """A design's transfers in 32-bit words of its arguments by number."""
    signature = re.search(r"runtime_sequence\((.*)\) \{", design.text)[1]
    arguments = {name: (number, 2 if kind == "bf16" else 1)
                 for number, (name, kind) in enumerate(
                     re.findall(r"%(\w+): memref<\d+x(\w+)>", signature))}
    for fifo, stream in design.streams.items():
        words = []
        for name, element in stream:
            number, share = arguments[name]
            if element % share == 0:
                words.append((number, element // share))
        yield int(fifo[-1]), "_out_" in fifo, words


def pipeline():
    for tool in ("aie-opt", "aie-translate"):
        if not shutil.which(tool):
            raise tap.Skip(f"there is no {tool}: it comes with mlir-aie")
    with tap.folder() as folder:
        said = script("pipeline.py", "--keep", folder, timeout=1500)
        tap.expect((AIE2 / "README.md").read_text(), said)
        for line in script("overlays.py", "--size", "tiny", "--precision",
                           "bf16", "--list").splitlines():
            name, program, *words = line.split()
            if program == "design.py":
                check_stream(Design(*words),
                             pathlib.Path(folder, f"{name}.bin").read_bytes())


def check_stream(design, data):
    """The stream asks for the transfers that the design describes."""
    stream = aie2stream.Stream(data)
    actual = sorted((column, *transfers) for (column, _), transfers
                    in stream.transfers.items())
    assert actual == sorted(words_of(design)), "other transfers"


# --- designs that follow one another in one context -----------------------

WRITE, BLOCK, MASK_WRITE = 0x108, 0x105, 0x107
CORE, MEMORY_TILE = 2 << 20, 1 << 20


def cdo(*commands):
    body = [word for command, *words in commands
            for word in (len(words) << 16 | command, *words)]
    words = [4, 0x4f4443, 0x200, len(body), 0, *body]
    return struct.pack(f"<{len(words)}I", *words)


def write_design(folder, init):
    folder.mkdir()
    (folder / "main_aie_cdo_elfs.bin").write_bytes(cdo())
    (folder / "main_aie_cdo_init.bin").write_bytes(init)
    (folder / "main_aie_cdo_enable.bin").write_bytes(
        cdo((MASK_WRITE, 0, CORE | 0x32000, 1, 1)))
    (folder / "instructions.bin").write_bytes(
        struct.pack("<10I", 0x6030100, 0x104, 1, 40, 0, 0, 0x1d204, 0, 7, 24))
    return folder


def operations(data):
    """(address, word, mask) of a stream's writes; only those."""
    words = struct.unpack(f"<{len(data) // 4}I", data)
    assert words[3] == len(data), "the header has another length"
    at = 4
    for _ in range(words[2]):
        kind, address = words[at] & 0xff, words[at + 2]
        if kind == 1:
            size = words[at + 3] // 4
            yield from ((address + 4 * i, word, None)
                        for i, word in enumerate(words[at + 4:at + size]))
        else:
            size = {0: 6, 3: 7}[kind]
            yield address, words[at + 4], words[at + 5] if kind == 3 else None
        at += size
    assert at == len(words), "the header has another number of operations"


def combined():
    """Each stream takes back what any design sets, configures its own, brings
    its number, and ends as the design's own does."""
    one = cdo((WRITE, 0, CORE | 0x3f004, 0x80000006),
              (BLOCK, 0, CORE | 0x1d000, 5, 6),
              (MASK_WRITE, 0, CORE | 0x1d008, 0xf0, 0x30))
    two = cdo((WRITE, 0, MEMORY_TILE | 0xb0008, 0x80000001))
    with tap.folder() as folder:
        folder = pathlib.Path(folder)
        designs = [write_design(folder / "one", one),
                   write_design(folder / "two", two)]
        script("combine.py", "--numbers", "--out", folder / "out", *designs)
        found = [list(operations((folder / "out" / f"{name}.bin").read_bytes()))
                 for name in ("one", "two")]
    for number, writes in enumerate(found):
        assert writes[0] == (CORE | 0x32000, 2, None), "cores are not stopped"
        for place in (CORE | 0x3f004, MEMORY_TILE | 0xb0008):
            assert (place, 0, None) in writes, f"0x{place:x} is left"
        for place in (CORE | 0x1de00, MEMORY_TILE | 0xa0658):
            assert writes.index((place, 2, None)) < writes.index(
                (place, 0, None)), "a channel is not reset"
        assert (CORE | 0x20000, number, None) in writes
        assert writes[-2:] == [(CORE | 0x32000, 1, 1), (0x1d204, 7, None)]
    own = [(CORE | 0x3f004, 0x80000006, None), (CORE | 0x1d000, 5, None),
           (CORE | 0x1d004, 6, None), (CORE | 0x1d008, 0x30, 0xf0)]
    assert found[0][-6:-2] == own and own[0] not in found[1]


def combined_refused():
    with tap.folder() as folder:
        folder = pathlib.Path(folder)
        for name, init, said in (
                ("cut", cdo((WRITE, 0, CORE, 1))[:-4], "is cut off"),
                ("other", cdo((0x123, 0, 0, 0)), "command 0x123"),
                ("odd", cdo() + b"x", "no whole words")):
            design = write_design(folder / name, init)
            text = script("combine.py", "--out", folder / "out", design,
                          status=None)
            tap.expect(text, "combine.py: ", name, said)


tap.run([
    ("several designs in one context", combined),
    ("configurations that are none", combined_refused),
    ("attention sends each core its tiles", attention),
    ("attention with one tile of keys", attention_one_tile),
    ("layernorm sends each core its rows", layernorm),
    ("gelu sends each core its elements", gelu),
    ("shapes that do not fit are refused", refused),
    ("overlays.ini describes the programs", overlays),
    ("mlir-aie's pipeline takes every design", pipeline),
])
