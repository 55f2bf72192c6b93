"""One query a row against a cache: what was said so far, and the text.

Keys are read block by block with a running maximum and sum, so that a row costs what its own length costs, and blocks
begin at the same positions whatever the batch.

Source: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engines.magpie.prior import FREE_TOKENS
from engines.magpie.shape import Recipe
from engines.magpie.state import State

_LOG2_E = tl.constexpr(1.4426950408889634)
_FREE_TOKENS = tl.constexpr(FREE_TOKENS)


def attend(q: Tensor, keys: Tensor, values: Tensor, cache_rows: Tensor, positions: Tensor) -> Tensor:
    _, heads, max_positions, width = keys.shape
    y = torch.empty_like(q)
    block = max(16, 8192 // width)
    _attend[(len(q), heads)](
        q, keys, values, cache_rows, positions, y, heads, max_positions, width**-0.5, width, block, num_warps=4
    )
    return y


def attend_text(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    rows: Tensor,
    state: State,
    recipe: Recipe,
    *,
    has_prior: bool,
    reach: Tensor | None,
) -> Tensor:
    width = q.shape[1]
    y = torch.empty_like(q)
    _attend_text[(len(rows),)](
        q, keys, values, rows, y, reach if reach is not None else q,
        state.text_len, state.attended, state.window, state.sunk, state.step,
        state.max_tokens, recipe.prior_lookahead, recipe.prior_start_step, recipe.prior_epsilon, width**-0.5,
        has_prior, reach is not None, triton.next_power_of_2(recipe.prior_lookahead + 1), width, 64, num_warps=2,
    )  # fmt: skip
    return y


@triton.jit
def _attend(
    q, keys, values, cache_rows, positions, y, heads, max_positions, scale, WIDTH: tl.constexpr, BLOCK: tl.constexpr
):
    row, head = tl.program_id(0), tl.program_id(1)
    start = (tl.load(cache_rows + row).to(tl.int64) * heads + head) * max_positions * WIDTH
    last = tl.load(positions + row)
    e = tl.arange(0, WIDTH)
    place = (row * heads + head) * WIDTH + e
    query = tl.load(q + place).to(tl.float32) * (scale * _LOG2_E)
    top = -float("inf")
    total = 0.0
    acc = tl.zeros((WIDTH,), tl.float32)
    for first in range(0, last + 1, BLOCK):
        t = first + tl.arange(0, BLOCK)
        is_past = t <= last
        at = start + t[:, None] * WIDTH + e[None, :]
        k = tl.load(keys + at, mask=is_past[:, None], other=0.0).to(tl.float32)
        v = tl.load(values + at, mask=is_past[:, None], other=0.0).to(tl.float32)
        score = tl.where(is_past, tl.sum(k * query[None, :], 1), -float("inf"))
        new_top = tl.maximum(top, tl.max(score, 0))
        weight = tl.exp2(score - new_top)
        shrink = tl.exp2(top - new_top)
        acc = acc * shrink + tl.sum(weight[:, None] * v, 0)
        total = total * shrink + tl.sum(weight, 0)
        top = new_top
    tl.store(y + place, (acc / total).to(y.dtype.element_ty))


@triton.jit
def _attend_text(
    q, keys, values, rows, y, reach, text_len, attended, window, sunk, step,
    max_tokens, lookahead, start_step, epsilon, scale,
    HAS_PRIOR: tl.constexpr, HAS_REACH: tl.constexpr, REACH: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    slot = tl.load(rows + row)
    start = slot.to(tl.int64) * max_tokens * WIDTH
    length = tl.load(text_len + slot)
    here = tl.load(attended + slot)
    closed = tl.load(sunk + slot)
    is_free = length <= _FREE_TOKENS
    is_early = tl.load(step + slot) <= start_step
    lowest = tl.maximum(here - 1, 1)
    highest = tl.minimum(here + lookahead, length - 1)
    e = tl.arange(0, WIDTH)
    query = tl.load(q + row * WIDTH + e).to(tl.float32) * (scale * _LOG2_E)
    top = -float("inf")
    total = 0.0
    acc = tl.zeros((WIDTH,), tl.float32)
    for first in range(0, length, BLOCK):
        t = first + tl.arange(0, BLOCK)
        is_text = t < length
        at = start + t[:, None] * WIDTH + e[None, :]
        k = tl.load(keys + at, mask=is_text[:, None], other=0.0).to(tl.float32)
        v = tl.load(values + at, mask=is_text[:, None], other=0.0).to(tl.float32)
        score = tl.where(is_text, tl.sum(k * query[None, :], 1), -float("inf"))
        new_top = tl.maximum(top, tl.max(score, 0))
        weight = tl.exp2(score - new_top)
        if HAS_PRIOR:
            is_open = (((t >= lowest) & (t <= highest)) | is_free) & (t > closed) | is_early
            weight *= tl.where(is_open, 1.0, epsilon)
        shrink = tl.exp2(top - new_top)
        acc = acc * shrink + tl.sum(weight[:, None] * v, 0)
        total = total * shrink + tl.sum(weight, 0)
        top = new_top
    tl.store(y + row * WIDTH + e, (acc / total).to(y.dtype.element_ty))
    if HAS_REACH:
        o = tl.arange(0, REACH)
        t = tl.load(window + slot) + o
        is_text = (t < length) & (o <= lookahead)
        k = tl.load(keys + start + t[:, None] * WIDTH + e[None, :], mask=is_text[:, None], other=0.0).to(tl.float32)
        weight = tl.exp2(tl.sum(k * query[None, :], 1) - top)
        if HAS_PRIOR:
            is_open = (((t >= lowest) & (t <= highest)) | is_free) & (t > closed) | is_early
            weight *= tl.where(is_open, 1.0, epsilon)
        place = reach + row * (lookahead + 1) + o
        tl.store(place, tl.load(place, mask=is_text, other=0.0) + weight / total, mask=is_text)
