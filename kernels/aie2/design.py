#!/usr/bin/env python3
"""Prints the design of an NPU program as MLIR for mlir-aie.

usage: design.py attention --heads H --pitch N [--rows R] [--kv-tiles T]
       design.py layernorm --n N [--rows R]
       design.py gelu --n N [--rows R]

NOT YET RUN ON HARDWARE. Each design passes mlir-aie's pipeline down to the
instruction stream (see README.md), with the tools of March 2026.

For the NPU of Phoenix and Hawk Point (npu1): four columns of a shim tile (its
DMA reads and writes the host's buffers), a memory tile of 512 KiB and four
cores. Each column has two DMA channels into the array and two out of it.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import argparse
import sys

COLUMNS = 4
CORES = 4  # in a column
HEAD = 64  # columns of a head, rows of a tile
TILE = HEAD * HEAD
TILE_PITCH = TILE + HEAD  # of q and k on the host: a tile and its bias
STATE = 1280  # NPU_AIE_STATE
STACK = 2048


class Module:
    """Lines of MLIR, indented by blocks."""

    def __init__(self):
        self.lines = []
        self.depth = 0

    def add(self, text=''):
        self.lines.append('  ' * self.depth + text if text else '')

    def open(self, text):
        self.add(text)
        self.depth += 1

    def close(self, text='}'):
        self.depth -= 1
        self.add(text)

    def text(self):
        return '\n'.join(self.lines) + '\n'


def memref(elements, kind):
    return f'memref<{elements}x{kind}>'


def dims(*pairs):
    """Sizes and strides in elements, outermost first."""
    return ', '.join(f'<size = {size}, stride = {stride}>'
                     for size, stride in pairs)


def core(column, row):
    return f'%core_{column}_{row}'


def declare_tiles(m):
    for column in range(COLUMNS):
        m.add(f'%shim_{column} = aie.tile({column}, 0)')
        m.add(f'%mem_{column} = aie.tile({column}, 1)')
        for row in range(CORES):
            m.add(f'{core(column, row)} = aie.tile({column}, {row + 2})')
    m.add()


def fifo(m, name, source, targets, depths, elements, kind, to_stream=''):
    """An object FIFO: depths are the source's and each target's buffers."""
    stream = f' dimensionsToStream [{to_stream}]' if to_stream else ''
    if len(set(depths)) == 1:
        depth = f'{depths[0]} : i32'
    else:
        depth = '[' + ', '.join(f'{depth} : i32' for depth in depths) + ']'
    m.add(f'aie.objectfifo @{name}({source}{stream}, '
          f'{{{", ".join(targets)}}}, {depth}) '
          f': !aie.objectfifo<{memref(elements, kind)}>')


def link(m, sources, targets, source_offsets=(), target_offsets=()):
    names = (', '.join('@' + name for name in group)
             for group in (sources, targets))
    offsets = (', '.join(str(offset) for offset in group)
               for group in (source_offsets, target_offsets))
    m.add('aie.objectfifo.link [{}] -> [{}] ([{}][{}])'.format(
        *names, *offsets))


def spread(m, name, column, elements, kind, depth=2, core_depth=2):
    """From the host by the memory tile, a share of each object to each core
    of the column: @name_in_COLUMN and @name_COLUMN_ROW."""
    shares = [f'{name}_{column}_{row}' for row in range(CORES)]
    fifo(m, f'{name}_in_{column}', f'%shim_{column}', [f'%mem_{column}'],
         [depth, depth], CORES * elements, kind)
    for row, share in enumerate(shares):
        fifo(m, share, f'%mem_{column}', [core(column, row)],
             [depth, core_depth], elements, kind)
    link(m, [f'{name}_in_{column}'], shares,
         target_offsets=[row * elements for row in range(CORES)])


def gather(m, name, column, elements, kind, depth=2, core_depth=2):
    """The way back: @name_COLUMN_ROW and @name_out_COLUMN."""
    shares = [f'{name}_{column}_{row}' for row in range(CORES)]
    for row, share in enumerate(shares):
        fifo(m, share, core(column, row), [f'%mem_{column}'],
             [core_depth, depth], elements, kind)
    fifo(m, f'{name}_out_{column}', f'%mem_{column}', [f'%shim_{column}'],
         [depth, depth], CORES * elements, kind)
    link(m, shares, [f'{name}_out_{column}'],
         source_offsets=[row * elements for row in range(CORES)])


def acquire(m, value, name, port, elements, kind):
    view = f'!aie.objectfifosubview<{memref(elements, kind)}>'
    m.add(f'%{value}_view = aie.objectfifo.acquire @{name}({port}, 1) : {view}')
    m.add(f'%{value} = aie.objectfifo.subview.access %{value}_view[0] '
          f': {view} -> {memref(elements, kind)}')


def release(m, name, port):
    m.add(f'aie.objectfifo.release @{name}({port}, 1)')


def declare(m, function, kinds, link_with):
    m.add(f'func.func private @{function}({", ".join(kinds)}) '
          f'attributes {{link_with = "{link_with}"}}')


def call(m, function, arguments, kinds):
    m.add(f'func.call @{function}({", ".join(arguments)}) '
          f': ({", ".join(kinds)}) -> ()')


def open_core(m, column, row):
    """A core's program, and its loop without end: a launch of the host's is
    noticed by the data that it sends."""
    m.open(f'aie.core({core(column, row)}) {{')
    m.add('%zero = arith.constant 0 : index')
    m.add('%one = arith.constant 1 : index')
    m.add('%forever = arith.constant 9223372036854775807 : index')
    m.open('scf.for %again = %zero to %forever step %one {')


def close_core(m):
    m.close()
    m.add('aie.end')
    m.close(f'}} {{stack_size = {STACK} : i32}}')
    m.add()


class Sequence:
    """The instruction stream: transfers of the shim tiles."""

    def __init__(self, m, arguments):
        self.m = m
        self.count = 0
        self.kinds = {name: memref(*kind) for name, kind in arguments}
        signature = ', '.join(f'%{name}: {kind}'
                              for name, kind in self.kinds.items())
        m.open(f'aie.runtime_sequence({signature}) {{')

    def start(self, fifo_name, transfers, repeat=1, token=False):
        """Starts transfers (argument, offset, elements, dims), one after the
        other, all of them repeated; the outermost of four dims moves on with
        each repetition. Returns the task."""
        m, task = self.m, f'%task_{self.count}'
        self.count += 1
        m.open(f'{task} = aiex.dma_configure_task_for @{fifo_name} {{')
        for i, (argument, offset, elements, layout) in enumerate(transfers):
            if i:
                m.close(f'^next_{i}:')
                m.depth += 1
            m.add(f'aie.dma_bd(%{argument} : {self.kinds[argument]}, '
                  f'{offset}, {elements}, [{layout}])')
            m.add(f'aie.next_bd ^next_{i + 1}' if i + 1 < len(transfers)
                  else 'aie.end')
        options = ['issue_token = true'] if token else []
        if repeat > 1:
            options.append(f'repeat_count = {repeat - 1} : i32')
        m.close('}' + (f' {{{", ".join(options)}}}' if options else ''))
        m.add(f'aiex.dma_start_task({task})')
        return task

    def wait(self, task):
        self.m.add(f'aiex.dma_await_task({task})')

    def free(self, task):
        """For a task that is known to be done by another's end."""
        self.m.add(f'aiex.dma_free_task({task})')

    def close(self):
        self.m.close()


def linear(elements):
    return dims((1, 0), (1, 0), (1, 0), (elements, 1))


# --- attention ------------------------------------------------------------


def attention_core(m, column, row, kv_tiles):
    query = TILE + HEAD * kv_tiles
    names = (f'q_{column}_{row}', f'kv_{column}', f'o_{column}_{row}')
    kinds = {
        'q': memref(query, 'bf16'), 'kv': memref(TILE, 'bf16'),
        'o': memref(TILE, 'bf16'), 'acc': memref(TILE, 'f32'),
        'state': memref(STATE, 'f32'), 'index': 'i32'}
    acc, state = f'%acc_{column}_{row}', f'%state_{column}_{row}'

    open_core(m, column, row)
    m.add(f'%tiles = arith.constant {kv_tiles} : index')
    acquire(m, 'q', names[0], 'Consume', query, 'bf16')
    acquire(m, 'o', names[2], 'Produce', TILE, 'bf16')
    call(m, 'npu_attention_begin', ['%q', acc, state],
         [kinds['q'], kinds['acc'], kinds['state']])
    m.open('scf.for %tile = %zero to %tiles step %one {')
    m.add('%index = arith.index_cast %tile : index to i32')
    acquire(m, 'k', names[1], 'Consume', TILE, 'bf16')
    call(m, 'npu_attention_scores', ['%q', '%k', '%o', state, '%index'],
         [kinds['q'], kinds['kv'], kinds['o'], kinds['state'], 'i32'])
    release(m, names[1], 'Consume')
    acquire(m, 'v', names[1], 'Consume', TILE, 'bf16')
    call(m, 'npu_attention_values', ['%o', '%v', acc, state],
         [kinds['o'], kinds['kv'], kinds['acc'], kinds['state']])
    release(m, names[1], 'Consume')
    m.close()
    call(m, 'npu_attention_end', ['%o', acc, state],
         [kinds['o'], kinds['acc'], kinds['state']])
    release(m, names[0], 'Consume')
    release(m, names[2], 'Produce')
    close_core(m)


def attention_sequence(m, heads, pitch, rows, kv_tiles):
    """Two heads at a time: an even one on columns 0 and 1, an odd one on 2
    and 3; each column takes half of the head's query tiles, four at a time,
    and reads the head's k and v once for every four. The next pair of heads
    is started before the one at work is waited for."""
    q_tiles = rows // HEAD
    half = q_tiles // 2
    passes = half // CORES
    s = Sequence(m, [
        ('q', (heads * q_tiles * TILE_PITCH, 'bf16')),
        ('k', (heads * kv_tiles * TILE_PITCH, 'bf16')),
        ('v', (heads * kv_tiles * TILE, 'bf16')),
        ('o', (rows * pitch, 'bf16'))])
    before = []
    for pair in range(heads // 2):
        now = []
        for column in range(COLUMNS):
            head = 2 * pair + column // 2
            tile = column % 2 * half
            o = s.start(f'o_out_{column}', [
                ('o', tile * HEAD * pitch + head * HEAD, half * TILE,
                 dims((passes, CORES * HEAD * pitch), (CORES * HEAD, pitch),
                      (HEAD, 1)))], token=True)
            q = s.start(f'q_in_{column}', [
                ('q', (head * q_tiles + tile) * TILE_PITCH, TILE,
                 dims((half, TILE_PITCH), (1, 0), (1, 0), (TILE, 1))),
                ('k', head * kv_tiles * TILE_PITCH + TILE, kv_tiles * HEAD,
                 dims((kv_tiles, TILE_PITCH), (HEAD, 1)))], repeat=half)
            kv = s.start(f'kv_in_{column}', [
                ('k', head * kv_tiles * TILE_PITCH, TILE,
                 dims((kv_tiles, TILE_PITCH), (1, 0), (1, 0), (TILE, 1))),
                ('v', head * kv_tiles * TILE, TILE,
                 dims((kv_tiles, TILE), (1, 0), (1, 0), (TILE, 1)))],
                repeat=passes * kv_tiles)
            now.append((o, q, kv))
        attention_finish(s, before)
        before = now
    attention_finish(s, before)
    s.close()


def attention_finish(s, tasks):
    for o, q, kv in tasks:
        s.wait(o)
        s.free(q)
        s.free(kv)


def attention(args):
    heads, rows, kv_tiles = args.heads, args.rows, args.kv_tiles
    half = rows // HEAD // 2
    check(heads % 2 == 0, 'heads must be even: two are computed at a time')
    check(rows % (2 * CORES * HEAD) == 0, 'rows must be a multiple of 512')
    check(1 <= kv_tiles <= 24, 'kv-tiles must be 1 to 24: the core holds '
          'the bias of 24')
    check(half // CORES * kv_tiles <= 256, 'rows times kv-tiles is too large: '
          'a transfer repeats 256 times at most')
    check(args.pitch >= heads * HEAD, 'pitch must be at least 64 * heads')
    query = TILE + HEAD * kv_tiles
    m = Module()
    m.open('module {')
    m.open('aie.device(npu1) {')
    object_file = 'attention.o'
    bf16, f32 = memref(TILE, 'bf16'), memref(TILE, 'f32')
    q_kind, state = memref(query, 'bf16'), memref(STATE, 'f32')
    declare(m, 'npu_attention_begin', [q_kind, f32, state], object_file)
    declare(m, 'npu_attention_scores', [q_kind, bf16, bf16, state, 'i32'],
            object_file)
    declare(m, 'npu_attention_values', [bf16, bf16, f32, state], object_file)
    declare(m, 'npu_attention_end', [bf16, f32, state], object_file)
    m.add()
    declare_tiles(m)
    for column in range(COLUMNS):
        cores = [core(column, row) for row in range(CORES)]
        spread(m, 'q', column, query, 'bf16', core_depth=1)
        fifo(m, f'kv_in_{column}', f'%shim_{column}', [f'%mem_{column}'],
             [4, 4], TILE, 'bf16')
        # By rows to eight panels of eight columns.
        fifo(m, f'kv_{column}', f'%mem_{column}', cores, [4] + [2] * CORES,
             TILE, 'bf16', to_stream=dims((8, 8), (HEAD, HEAD), (8, 1)))
        link(m, [f'kv_in_{column}'], [f'kv_{column}'])
        gather(m, 'o', column, TILE, 'bf16', core_depth=1)
        m.add()
    for column in range(COLUMNS):
        for row in range(CORES):
            for name, elements in (('acc', TILE), ('state', STATE)):
                name = f'{name}_{column}_{row}'
                m.add(f'%{name} = aie.buffer({core(column, row)}) '
                      f'{{sym_name = "{name}"}} : {memref(elements, "f32")}')
            attention_core(m, column, row, kv_tiles)
    attention_sequence(m, heads, args.pitch, rows, kv_tiles)
    m.close()
    m.close()
    return m.text()


# --- rows -----------------------------------------------------------------


def rows_sequence(m, inputs, outputs):
    """Each column's share of each argument, one transfer each. Inputs and
    outputs: (name, elements in all, kind, 1 if every column reads all)."""
    s = Sequence(m, [(name, (elements, kind))
                     for name, elements, kind, _ in inputs + outputs])
    tokens = []
    for column in range(COLUMNS):
        for name, elements, _, shared in outputs + inputs:
            output = name in [output[0] for output in outputs]
            share = elements if shared else elements // COLUMNS
            offset = 0 if shared else column * share
            task = s.start(f'{name}_{"out" if output else "in"}_{column}',
                           [(name, offset, share, linear(share))],
                           token=output)
            if output:
                tokens.append(task)
    for task in tokens:
        s.wait(task)
    s.close()


def layernorm_core(m, column, row, n, block, objects):
    names = [f'{name}_{column}_{row}' for name in 'xy']
    x, y = memref(block * n, 'f32'), memref(block * n, 'bf16')
    g = memref(2 * n, 'f32')

    open_core(m, column, row)
    m.add(f'%objects = arith.constant {objects} : index')
    m.add(f'%rows = arith.constant {block} : i32')
    m.add(f'%n = arith.constant {n} : i32')
    acquire(m, 'g', f'g_in_{column}', 'Consume', 2 * n, 'f32')
    m.open('scf.for %object = %zero to %objects step %one {')
    acquire(m, 'x', names[0], 'Consume', block * n, 'f32')
    acquire(m, 'y', names[1], 'Produce', block * n, 'bf16')
    call(m, 'npu_layernorm_rows', ['%x', '%g', '%y', '%rows', '%n'],
         [x, g, y, 'i32', 'i32'])
    release(m, names[0], 'Consume')
    release(m, names[1], 'Produce')
    m.close()
    release(m, f'g_in_{column}', 'Consume')
    close_core(m)


def layernorm(args):
    n, rows = args.n, args.rows
    block = 4  # rows of an object
    check(n % 16 == 0 and 16 <= n <= 768, 'n must be a multiple of 16, 768 at '
          'most: the core has no room for more')
    check(rows % (COLUMNS * CORES * block) == 0,
          'rows must be a multiple of 64')
    m = Module()
    m.open('module {')
    m.open('aie.device(npu1) {')
    declare(m, 'npu_layernorm_rows',
            [memref(block * n, 'f32'), memref(2 * n, 'f32'),
             memref(block * n, 'bf16'), 'i32', 'i32'], 'layernorm.o')
    m.add()
    declare_tiles(m)
    for column in range(COLUMNS):
        cores = [core(column, row) for row in range(CORES)]
        spread(m, 'x', column, block * n, 'f32')
        fifo(m, f'g_in_{column}', f'%shim_{column}', cores,
             [1] * (CORES + 1), 2 * n, 'f32')
        gather(m, 'y', column, block * n, 'bf16')
        m.add()
    objects = rows // (COLUMNS * CORES * block)
    for column in range(COLUMNS):
        for row in range(CORES):
            layernorm_core(m, column, row, n, block, objects)
    rows_sequence(m, [('x', rows * n, 'f32', 0), ('g', 2 * n, 'f32', 1)],
                  [('y', rows * n, 'bf16', 0)])
    m.close()
    m.close()
    return m.text()


def gelu_core(m, column, row, block):
    names = [f'{name}_{column}_{row}' for name in 'xy']
    kind = memref(block, 'bf16')

    open_core(m, column, row)
    m.add(f'%elements = arith.constant {block} : i32')
    acquire(m, 'x', names[0], 'Consume', block, 'bf16')
    acquire(m, 'y', names[1], 'Produce', block, 'bf16')
    call(m, 'npu_gelu_row', ['%x', '%y', '%elements'], [kind, kind, 'i32'])
    release(m, names[0], 'Consume')
    release(m, names[1], 'Produce')
    close_core(m)


def gelu(args):
    block = TILE  # elements of an object
    elements = args.rows * args.n
    check(elements % (COLUMNS * CORES * block) == 0,
          'rows times n must be a multiple of 65536')
    m = Module()
    m.open('module {')
    m.open('aie.device(npu1) {')
    kind = memref(block, 'bf16')
    declare(m, 'npu_gelu_row', [kind, kind, 'i32'], 'gelu.o')
    m.add()
    declare_tiles(m)
    for column in range(COLUMNS):
        spread(m, 'x', column, block, 'bf16')
        gather(m, 'y', column, block, 'bf16')
        m.add()
    for column in range(COLUMNS):
        for row in range(CORES):
            gelu_core(m, column, row, block)
    rows_sequence(m, [('x', elements, 'bf16', 0)],
                  [('y', elements, 'bf16', 0)])
    m.close()
    m.close()
    return m.text()


def check(holds, message):
    if not holds:
        sys.exit(f'design.py: {message}.')


def main():
    parser = argparse.ArgumentParser(
        description='Prints the design of an NPU program as MLIR.')
    designs = parser.add_subparsers(required=True)
    for name, function in (('attention', attention), ('layernorm', layernorm),
                           ('gelu', gelu)):
        design = designs.add_parser(name)
        design.add_argument('--rows', type=int, default=1536)
        design.set_defaults(function=function)
        if name == 'attention':
            design.add_argument('--heads', type=int, required=True)
            design.add_argument('--pitch', type=int, required=True)
            design.add_argument('--kv-tiles', type=int, default=24)
        else:
            design.add_argument('--n', type=int, required=True)
    args = parser.parse_args()
    sys.stdout.write(args.function(args))


if __name__ == '__main__':
    main()
