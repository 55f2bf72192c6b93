"""Random numbers that belong to a request: a function of its seed, its step and what is drawn, and of nothing else.

So a request draws the same codes whatever runs beside it, in whatever order, in a graph or not. Gumbel noise added to
the logits makes the largest of them a sample of the softmax.

Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011 (Philox 4x32, 10 rounds); Gumbel-max:
Maddison et al., "A* Sampling", 2014.
"""

from typing import Final

import torch
from torch import Tensor

_ROUNDS: Final = 10
_MULTIPLIERS: Final = (0xD2511F53, 0xCD9E8D57)
_WEYL: Final = (0x9E3779B9, 0xBB67AE85)
_MASK: Final = 0xFFFFFFFF


def gumbel(seed: Tensor, step: Tensor, draw: int, num_codes: int) -> Tensor:
    """Gumbel noise (B, N) float32 for one draw of each row. `seed` (B,) int64, `step` (B,) int32."""
    bits = philox(seed[:, None], torch.arange(num_codes, device=seed.device)[None], draw, step[:, None].long())
    uniform = ((bits >> 9).float() + 0.5) * 2.0**-23  # inside (0, 1): neither logarithm meets zero
    return -torch.log(-torch.log(uniform))


def philox(seed: Tensor, c0: Tensor, c1: int, c2: Tensor) -> Tensor:
    """The first of Philox's four words for the counter (c0, c1, c2, 0): 32 bits in an int64 tensor."""
    k0, k1 = seed & _MASK, (seed >> 32) & _MASK
    zeros = torch.zeros_like(seed + c0 + c2)
    x0, x2 = c0 + zeros, c2 + zeros
    x1, x3 = zeros + c1, zeros
    for _ in range(_ROUNDS):
        high0, low0 = _multiply(_MULTIPLIERS[0], x0)
        high1, low1 = _multiply(_MULTIPLIERS[1], x2)
        x0, x1, x2, x3 = high1 ^ x1 ^ k0, low1, high0 ^ x3 ^ k1, low0
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return x0


def _multiply(factor: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """High and low word of a product of two 32-bit words, without ever leaving 63 bits."""
    low_part, high_part = factor * (x & 0xFFFF), factor * (x >> 16)
    high = (high_part + (low_part >> 16)) >> 16
    low = ((high_part << 16) + low_part) & _MASK
    return high, low
