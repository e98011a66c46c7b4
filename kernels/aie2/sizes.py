"""The NPU programs that each model size wants.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

ROWS = 1536  # 1500 positions in tiles of 64
KV_TILES = 24

# d, heads
SIZES = {'tiny': (384, 6), 'base': (512, 8), 'small': (768, 12)}


def designs(size):
    """(name of the overlay, arguments of design.py) of a size."""
    d, heads = SIZES[size]
    return [
        (f'attention_h{heads}',
         ['attention', '--heads', heads, '--pitch', d, '--rows', ROWS,
          '--kv-tiles', KV_TILES]),
        (f'layernorm_n{d}', ['layernorm', '--n', d, '--rows', ROWS]),
        (f'gelu_n{4 * d}', ['gelu', '--n', 4 * d, '--rows', ROWS]),
    ]
