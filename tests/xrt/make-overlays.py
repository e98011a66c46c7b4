#!/usr/bin/env python3
"""Makes overlays for the simulated NPU: xclbin files, instruction files and
overlays.ini for one model size, and the four packed programs.

Needs xclbinutil (Debian: libxrt-utils). Where a real xclbin has a PDI, these
have a text that names the operation; see sim/README.md.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import argparse
import concurrent.futures
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import uuid

SIZES = {  # d, heads, mel bands
    "tiny": (384, 6, 80),
    "base": (512, 8, 80),
    "small": (768, 12, 80),
    "medium": (1024, 16, 80),
    "large-v3": (1280, 20, 128),
}
TILE = 64
KERNEL = "MLIR_AIE"
KERNEL_ID = "0x901"
GENERATIONS = {"npu1": 3, "npu2": 4}  # and the devgen of instruction streams
FIRST_BUFFER = 0x14  # offset in the register map
PROGRAM_MEMORY = 2 << 20 | 0x20000  # of core (0,2)
COMBINE = pathlib.Path(__file__).resolve().parents[2] / "kernels/aie2/combine.py"

PACKED = {
    "attention_64x64": {"op": "attention", "rows": 64, "kv-tiles": 1},
    "layernorm_256": {"op": "layernorm", "rows": 1, "n": 256},
    "gelu_512": {"op": "gelu", "rows": 1, "n": 512},
    "matmul_16x16": {"op": "linear", "rows": 16, "k": 16, "n": 16},
}
# The configuration of a design, in the order of a device's boot.
CONFIGURATION = ("main_aie_cdo_elfs.bin", "main_aie_cdo_init.bin",
                 "main_aie_cdo_enable.bin")
ONE = "programs"  # the file of --one-context
ALL_OPS = ("linear", "attention", "layernorm", "gelu", "packed")


# --- what there is to make

def linear(rows, k, n, dtype, epilogue):
    keys = {
        "op": "linear", "layout": "rows", "rows": rows, "k": k, "n": n,
        "a-type": dtype, "b-type": dtype,
        "c-type": "f32" if dtype == "bf16" else "int32",
        "args": ["a", "b", "c"],
    }
    if epilogue and dtype == "bf16":
        keys["epilogue"] = epilogue
        roles = {"bias": "bias", "residual": "r"}
        keys["args"] = ["a", "b"] + [
            roles[word] for word in epilogue if word in roles] + ["c"]
    return keys


def linears(options, d, n_mels):
    """The products of an encoder: k and n of each, once."""
    shapes = [(d, 3 * d), (d, d), (d, 4 * d), (4 * d, d), (3 * n_mels, d),
              (3 * d, d)]
    if options.width:
        shapes = [(k, min(options.width, n)) for k, n in shapes]
    for dtype in options.types:
        for k, n in dict.fromkeys(shapes):
            yield f"linear-{dtype}-{k}x{n}", linear(
                options.rows, k, n, dtype, options.epilogue)


def overlays(options):
    d, n_heads, n_mels = SIZES[options.size]
    rows = options.rows
    if "linear" in options.ops:
        yield from linears(options, d, n_mels)
    if "bf16" in options.types:
        if "attention" in options.ops:
            heads = options.heads or n_heads
            yield f"attention-{heads}", {
                "op": "attention", "layout": "tiles", "rows": rows, "n": d,
                "kv-tiles": options.kv_tiles or rows // TILE, "heads": heads, "a-type": "bf16",
                "b-type": "bf16", "c-type": "bf16",
                "args": ["q", "k", "v", "o"]}
        if "layernorm" in options.ops:
            yield f"layernorm-{d}", {
                "op": "layernorm", "layout": "rows", "rows": rows, "n": d,
                "a-type": "f32", "c-type": "bf16", "args": ["x", "g", "y"]}
        if "gelu" in options.ops:
            yield f"gelu-{4 * d}", {
                "op": "gelu", "layout": "rows", "rows": rows, "n": 4 * d,
                "a-type": "bf16", "c-type": "bf16", "args": ["x", "y"]}
    if "packed" in options.ops:
        for name, keys in PACKED.items():
            yield name, {
                **keys, "layout": "packed", "a-type": "int8",
                "b-type": "int8", "c-type": "int8", "args": ["in", "out"]}


# --- files

def text_of(keys):
    """Lines of a key file."""
    return "".join(
        f"{key}={';'.join(value) if isinstance(value, list) else value}\n"
        for key, value in keys.items())


def instructions(generation, number=0):
    """A stream with the header that mlir-aie's tools write and one operation:
    in the place of a core's code the number of the program."""
    operation = struct.pack("<6I", 0, 0, PROGRAM_MEMORY, 0, number, 24)
    size = 16 + len(operation)
    header = struct.pack(
        "<4B3I", 0, 1, GENERATIONS[generation], 6, 4 | 1 << 8, 1, size)
    return header + operation


def design_name(keys):
    """Of the design in kernels/aie2 for these keys; None: it has none."""
    names = {"attention": f"attention_h{keys.get('heads')}",
             "layernorm": f"layernorm_n{keys.get('n')}",
             "gelu": f"gelu_n{keys.get('n')}"}
    return names.get(keys["op"]) if keys["layout"] != "packed" else None


def design_of(keys, options):
    """The folder of the design that the overlay is to be; None: the simulator
    computes it by its name."""
    name = options.designs and design_name(keys)
    if not name:
        return None
    folder = options.designs / name
    if not folder.is_dir():
        raise SystemExit(f"there is no design {folder}")
    return folder


def cores_of(keys, design):
    """What the design's cores run, for the array's model; attention's buffers
    are where the tools put them, on all cores alike."""
    if keys["op"] == "gelu":
        return "gelu"
    if keys["op"] == "layernorm":
        return f"layernorm n={keys['n']} objects={keys['rows'] // TILE}"
    places = json.loads((design / "core-buffers.json").read_text())
    acc, state = ({place for name, place in places.items()
                   if name.startswith(kind)} for kind in ("acc_", "state_"))
    if len(acc) != 1 or len(state) != 1:
        raise SystemExit(f"{design}: the cores have their buffers at different "
                         "addresses")
    return (f"attention kv-tiles={keys['kv-tiles']} acc={acc.pop()} "
            f"state={state.pop()}")


def pdi_of(programs, options):
    """What the simulator takes for a PDI: text, for each program, and behind a
    zero what a real one has, in words of four bytes: the first's."""
    text = ""
    for keys in programs:
        design = design_of(keys, options)
        text += "npusim 1\n" + text_of(keys)
        if design:
            text += f"cores={cores_of(keys, design)}\n"
    text, design = text.encode(), design_of(programs[0], options)
    if not design:
        return text
    return text + bytes(4 - len(text) % 4) + b"".join(
        (design / part).read_bytes() for part in CONFIGURATION)


def streams_of(wanted, options):
    """The instructions of each: its own, or those that bring their design and
    its number."""
    found = {name: instructions(options.generation,
                                number if options.one_context else 0)
             for number, name in enumerate(wanted)}
    designs = {name: design for name, keys in wanted.items()
               if (design := design_of(keys, options))}
    if not options.one_context:
        return found | {name: (design / "instructions.bin").read_bytes()
                        for name, design in designs.items()}
    if designs:
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run(
                [sys.executable, COMBINE, "--numbers", "--out", scratch,
                 *designs.values()], check=True, stdout=subprocess.DEVNULL)
            found |= {name: (pathlib.Path(scratch) / f"{design.name}.bin")
                      .read_bytes() for name, design in designs.items()}
    return found


def write_instructions(folder, name, stream, options):
    if not options.text:
        path = folder / f"{name}.bin"
        path.write_bytes(stream)
        return path.name
    path = folder / f"{name}.txt"
    words = struct.unpack(f"<{len(stream) // 4}I", stream)
    path.write_text("".join(f"{word:08x}\n" for word in words))
    return path.name


def memory_topology():
    def bank(tag, kilobytes):
        return {"m_type": "MEM_DRAM", "m_used": "1", "m_sizeKB": kilobytes,
                "m_tag": tag, "m_base_address": "0x4000000"}
    banks = [bank("HOST", "0x10000"), bank("SRAM", "0xc000")]
    return {"mem_topology": {"m_count": str(len(banks)), "m_mem_data": banks}}


def kernel_of(n_buffers):
    def scalar(name, kind, offset):
        return {"name": name, "address-qualifier": "SCALAR", "type": kind,
                "offset": hex(offset)}

    def memory(name, bank, kind, offset):
        return {"name": name, "memory-connection": bank,
                "address-qualifier": "GLOBAL", "type": kind,
                "offset": hex(offset)}
    arguments = [scalar("opcode", "uint64_t", 0x00),
                 memory("instr", "SRAM", "char *", 0x08),
                 scalar("ninstr", "uint32_t", 0x10)]
    arguments += [memory(f"bo{i}", "HOST", "void*", FIRST_BUFFER + 8 * i)
                  for i in range(n_buffers)]
    return {"ps-kernels": {"kernels": [{
        "name": KERNEL, "type": "dpu",
        "extended-data": {"subtype": "DPU", "functional": "0",
                          "dpu_kernel_id": KERNEL_ID},
        "arguments": arguments,
        "instances": [{"name": KERNEL.replace("_", "")}]}]}}


def partition(name, pdi, columns):
    return {"aie_partition": {
        "name": "QoS", "operations_per_cycle": "2048",
        "inference_fingerprint": "23423", "pre_post_fingerprint": "12345",
        "partition": {"column_width": columns, "start_columns": [1]},
        "PDIs": [{
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
            "file_name": str(pdi),
            "cdo_groups": [{
                "name": "DPU", "type": "PRIMARY", "pdi_id": "0x01",
                "dpu_kernel_ids": [KERNEL_ID],
                "pre_cdo_groups": ["0xC1"]}]}]}}


def write_xclbin(path, programs, options):
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        pdi = scratch / "program.pdi"
        pdi.write_bytes(pdi_of(programs, options))
        sections = {"memory": memory_topology(),
                    "kernel": kernel_of(max(len(keys["args"])
                                            for keys in programs)),
                    "partition": partition(path.stem, pdi, options.columns)}
        for name, content in sections.items():
            (scratch / f"{name}.json").write_text(json.dumps(content))
        command = [
            options.xclbinutil, "--quiet",
            "--add-replace-section",
            f"MEM_TOPOLOGY:JSON:{scratch}/memory.json",
            "--add-kernel", f"{scratch}/kernel.json",
            "--add-replace-section",
            f"AIE_PARTITION:JSON:{scratch}/partition.json",
            "--force", "--output", str(path)]
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode or not path.exists():
            raise SystemExit(f"xclbinutil made no {path}:\n{done.stdout}")


def make(folder, name, keys, stream, options):
    xclbin = f"{ONE if options.one_context else name}.xclbin"
    if not options.one_context:
        write_xclbin(folder / xclbin, [keys], options)
    keys = {**keys, "xclbin": xclbin,
            "instructions": write_instructions(folder, name, stream, options),
            "kernel": KERNEL}
    if options.mark_generation:
        keys["generation"] = options.generation
    return f"[{name}]\n{text_of(keys)}"


def words(allowed):
    def parse(text):
        chosen = [word for word in text.split(",") if word]
        for word in chosen:
            if word not in allowed:
                raise argparse.ArgumentTypeError(
                    f"'{word}' is none of {', '.join(allowed)}")
        return chosen
    return parse


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--types", type=words(("bf16", "int8")),
                        default=["bf16", "int8"],
                        help="of the overlays: bf16,int8 (the default: both)")
    parser.add_argument("--ops", type=words(ALL_OPS), default=list(ALL_OPS),
                        help=f"which of {','.join(ALL_OPS)} (default: all)")
    parser.add_argument("--rows", type=int, default=1536,
                        help="of an overlay, a multiple of 64; default 1536")
    parser.add_argument("--width", type=int, default=0, metavar="N",
                        help="widest n of a product; default: the model's")
    parser.add_argument("--kv-tiles", type=int, default=0,
                        help="of keys and values; default: as many as rows")
    parser.add_argument("--heads", type=int, default=0,
                        help="of an attention launch; default: all")
    parser.add_argument("--epilogue",
                        type=words(("bias", "gelu", "residual")), default=[],
                        help="fused into bf16 products: bias,gelu,residual")
    parser.add_argument("--columns", type=int, default=4,
                        help="of the array that an overlay takes; default 4")
    parser.add_argument("--generation", choices=GENERATIONS, default="npu1")
    parser.add_argument("--mark-generation", action="store_true",
                        help="write `generation` into overlays.ini")
    parser.add_argument("--text", action="store_true",
                        help="instructions as text, one hex word a line")
    parser.add_argument("--designs", type=pathlib.Path, metavar="DIR",
                        help="attention, layernorm and gelu are designs, each "
                        "a folder of that: its configuration (CDO) and "
                        "instructions, executed by the array's model")
    parser.add_argument("--one-context", action="store_true",
                        help="all in one xclbin; each program's instructions "
                        "bring it, by kernels/aie2/combine.py")
    parser.add_argument("--xclbinutil", default="xclbinutil")
    options = parser.parse_args()
    if options.rows % TILE:
        parser.error("--rows wants a multiple of 64")
    return options


def main():
    options = parse_options()
    options.folder.mkdir(parents=True, exist_ok=True)
    wanted = dict(overlays(options))
    if options.one_context:  # designs have the first numbers
        wanted = dict(sorted(wanted.items(), key=lambda one: design_of(
            one[1], options) is None))
        write_xclbin(options.folder / f"{ONE}.xclbin", list(wanted.values()),
                     options)
    streams = streams_of(wanted, options)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        groups = list(pool.map(
            lambda one: make(options.folder, *one, streams[one[0]], options),
            wanted.items()))
    (options.folder / "overlays.ini").write_text("\n".join(groups))
    print(f"{len(groups)} overlays in {options.folder}")


if __name__ == "__main__":
    sys.exit(main())
