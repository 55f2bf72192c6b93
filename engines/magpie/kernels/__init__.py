"""The operations of a decoder step as Triton kernels: the same functions as in `plain`, fused, for a GPU.

A row's result never depends on how many rows there are: tiles split a batch by rows and outputs only, every sum over a
row runs in the same order, and each product uses the same tensor-core instruction. So a request draws the same codes
alone and among hundreds.
"""

from engines.magpie.kernels.attention import attend, attend_text
from engines.magpie.kernels.drawing import advance, embed, find_ends, follow, pick
from engines.magpie.kernels.products import Products, norm


class Kernels(Products):
    """`Operations` for a step, or with `is_tall` for a prefill."""

    norm = staticmethod(norm)
    attend = staticmethod(attend)
    attend_text = staticmethod(attend_text)
    embed = staticmethod(embed)
    follow = staticmethod(follow)
    find_ends = staticmethod(find_ends)
    pick = staticmethod(pick)
    advance = staticmethod(advance)


STEP_KERNELS = Kernels(is_tall=False)
PREFILL_KERNELS = Kernels(is_tall=True)
