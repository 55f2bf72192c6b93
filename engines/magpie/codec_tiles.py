"""How the codec's convolutions are cut into programs of the GPU."""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

CHANNEL_STEP: Final = 32
_FILL: Final = 132  # programs that busy a large GPU; a smaller one only does more waves


class Tile(NamedTuple):
    """Of a convolution: positions, channels out and channels in of one product, and Triton's warps and stages."""

    positions: int
    channels: int
    step: int
    warps: int
    stages: int


Tiling = Callable[[int, int, int, int, int], Tile]
"""(positions, channels in, channels out, groups, bytes a value) -> the tile to use."""


def default_tiling(positions: int, num_in: int, num_out: int, groups: int, num_bytes: int) -> Tile:
    """The largest tile of which there are enough to busy the device; else the smallest."""
    widest = min(128, max(16, next_power(num_out)))
    step = 64 if num_in % 64 == 0 and num_bytes == 2 else 32
    tile = Tile(16, 16, step, 2, 4)
    for height, width in ((128, 128), (128, 64), (64, 64), (64, 32), (32, 32), (16, 32), (16, 16)):
        width = min(width, widest)
        tile = Tile(height, width, step, warps_of(height, width), 4)
        if math.ceil(positions / height) * math.ceil(num_out / width) * groups >= _FILL:
            return tile
    return tile


def warps_of(height: int, width: int) -> int:
    """Warps for a tile of products: an accumulator of at most 64 values a thread."""
    return 2 if height * width < 2048 else 4 if height * width <= 8192 else 8


def next_power(n: int) -> int:
    """The next power of two."""
    return 1 << (n - 1).bit_length()


def padded(channels: int) -> int:
    return -(-channels // CHANNEL_STEP) * CHANNEL_STEP
