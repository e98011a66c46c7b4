#!/usr/bin/env python3
"""The NPU programs that each model size wants: prints their overlays.ini, or
what build.sh needs to make them.

usage: overlays.py --size SIZE [--precision bf16|int8|all] [--list]

--list prints a line for each overlay: its name, its design, and the design's
arguments, either of design.py or of mlir-aie's whole_array.py.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import argparse

ROWS = 1536  # 1500 positions in tiles of 64
KV_TILES = 24

# d, heads
SIZES = {'tiny': (384, 6), 'base': (512, 8), 'small': (768, 12)}

# Of mlir-aie's whole_array.py: the block of a core. 4 * 64 divides the rows,
# 64 every k, 4 * 32 every n.
BLOCK = {'m': 64, 'k': 64, 'n': 32}
# The types of a, b and c as overlays.ini and as whole_array.py name them.
TYPES = {'bf16': (('bf16', 'bf16', 'f32'), ('bf16', 'f32')),
         'int8': (('int8', 'int8', 'int32'), ('i8', 'i32'))}


def designs(size):
    """(overlay, arguments of design.py) of a size."""
    d, heads = SIZES[size]
    return [
        (f'attention_h{heads}',
         ['attention', '--heads', heads, '--pitch', d, '--rows', ROWS,
          '--kv-tiles', KV_TILES]),
        (f'layernorm_n{d}', ['layernorm', '--n', d, '--rows', ROWS]),
        (f'gelu_n{4 * d}', ['gelu', '--n', 4 * d, '--rows', ROWS]),
    ]


def products(size, precision):
    """(overlay, k, n, types) of a size's linear layers: those with d inputs,
    d columns of the result at a time, and fc2."""
    d = SIZES[size][0]
    for kind in TYPES if precision == 'all' else [precision]:
        for k in (d, 4 * d):
            yield f'linear_{kind}_k{k}_n{d}', k, d, kind


def product_arguments(k, n, kind):
    """Of whole_array.py."""
    a, c = TYPES[kind][1]
    arguments = ['-M', ROWS, '-K', k, '-N', n]
    for name, value in BLOCK.items():
        arguments += [f'-{name}', value]
    return arguments + ['--n-aie-cols', 4, '--dtype_in', a, '--dtype_out', c]


def keys(size, precision):
    """(overlay, its keys in overlays.ini)."""
    d, heads = SIZES[size]
    names = [name for name, _ in designs(size)]
    if precision != 'int8':
        yield names[0], {
            'op': 'attention', 'layout': 'tiles', 'rows': ROWS, 'n': d,
            'kv-tiles': KV_TILES, 'heads': heads, 'a-type': 'bf16',
            'b-type': 'bf16', 'c-type': 'bf16', 'args': 'q;k;v;o'}
        yield names[1], {
            'op': 'layernorm', 'layout': 'rows', 'rows': ROWS, 'n': d,
            'a-type': 'f32', 'c-type': 'bf16', 'args': 'x;g;y'}
        yield names[2], {
            'op': 'gelu', 'layout': 'rows', 'rows': ROWS, 'n': 4 * d,
            'a-type': 'bf16', 'c-type': 'bf16', 'args': 'x;y'}
    for name, k, n, kind in products(size, precision):
        a, b, c = TYPES[kind][0]
        yield name, {
            'op': 'linear', 'layout': 'rows', 'rows': ROWS, 'k': k, 'n': n,
            'a-type': a, 'b-type': b, 'c-type': c, 'args': 'a;b;c'}


def print_list(size, precision):
    wanted = dict(keys(size, precision))
    for name, arguments in designs(size):
        if name in wanted:
            print(name, 'design.py', *arguments)
    for name, k, n, kind in products(size, precision):
        print(name, 'whole_array.py', *product_arguments(k, n, kind))


def print_ini(size, precision):
    print(f'# The programs of a {size} model for the NPU of Phoenix and Hawk '
          'Point.')
    for name, values in keys(size, precision):
        print(f'\n[{name}]')
        for key, value in values.items():
            print(f'{key}={value}')
        print(f'xclbin={name}.xclbin')
        print(f'instructions={name}.bin')
        print('kernel=MLIR_AIE')
        print('generation=npu1')


def main():
    parser = argparse.ArgumentParser(
        description='Prints overlays.ini for a model size.')
    parser.add_argument('--size', required=True, choices=SIZES)
    parser.add_argument('--precision', default='all',
                        choices=['bf16', 'int8', 'all'])
    parser.add_argument('--list', action='store_true',
                        help='print what makes the overlays instead')
    args = parser.parse_args()
    (print_list if args.list else print_ini)(args.size, args.precision)


if __name__ == '__main__':
    main()
