"""Matrix products with what stands behind them: bias, GELU, residual or cache; and the layer norm in front.

A step of one slot reads every weight once and is bound by that and by launches; a step of hundreds is bound by the
products. A tile is at most 32 rows high so that both use the same instruction (m16n8k16): a taller one would take
Hopper's wgmma, which rounds differently, and a request's codes would depend on the size of its batch.
"""

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from engines.magpie.weights import NORM_EPSILON, Linear

_STORE: Final = tl.constexpr(0)
_ADD: Final = tl.constexpr(1)
_PROJECT: Final = tl.constexpr(2)
_PROJECT_ALL: Final = tl.constexpr(3)
_EPSILON: Final = tl.constexpr(NORM_EPSILON)


class Products:
    """The products of a step, or with `is_tall` those of a prefill.

    A prefill has at least a hundred rows, so it takes tall tiles, again all of one instruction.
    """

    def __init__(self, *, is_tall: bool) -> None:
        self._is_tall = is_tall

    def linear(self, x: Tensor, by: Linear, *, has_gelu: bool = False, is_exact: bool = False) -> Tensor:
        dtype = torch.float32 if is_exact else by.weight.dtype
        y = torch.empty(len(x), len(by.weight), dtype=dtype, device=x.device)
        _launch(x, by, y, mode=0, has_gelu=has_gelu, is_tall=self._is_tall)
        return y

    def add_linear(self, residual: Tensor, x: Tensor, by: Linear) -> None:
        _launch(x, by, residual, mode=1, is_tall=self._is_tall)

    def project(
        self, x: Tensor, by: Linear, keys: Tensor, values: Tensor, cache_rows: Tensor, positions: Tensor
    ) -> Tensor:
        q = torch.empty(len(x), len(by.weight) // 3, dtype=by.weight.dtype, device=x.device)
        _launch(x, by, q, mode=2, is_tall=self._is_tall, caches=(keys, values), places=(cache_rows, positions))
        return q

    def project_all(
        self, x: Tensor, by: Linear, keys: Tensor, values: Tensor, cache_rows: Tensor, positions: Tensor
    ) -> Tensor:
        y = torch.empty(len(x), len(by.weight), dtype=by.weight.dtype, device=x.device)
        _launch(x, by, y, mode=3, is_tall=self._is_tall, caches=(keys, values), places=(cache_rows, positions))
        return y


def norm(x: Tensor, gain: Tensor | None = None) -> Tensor:
    y = torch.empty(x.shape, dtype=torch.float32, device=x.device)
    width = x.shape[-1]
    block = triton.next_power_of_2(width)
    has_gain = gain is not None
    _norm[(x.numel() // width,)](x, gain if has_gain else x, y, width, width, has_gain, block, num_warps=4)
    return y


def _normed(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Layer norm without gain, in the type that is multiplied."""
    y = torch.empty(x.shape, dtype=dtype, device=x.device)
    width = x.shape[1]
    _norm[(len(x),)](x, x, y, width, x.stride(0), False, triton.next_power_of_2(width), num_warps=4)
    return y


def _launch(
    x: Tensor,
    by: Linear,
    out: Tensor,
    *,
    mode: int,
    has_gelu: bool = False,
    is_tall: bool = False,
    caches: tuple[Tensor, Tensor] | None = None,
    places: tuple[Tensor, Tensor] | None = None,
) -> None:
    if by.is_normed:
        x = _normed(x, by.weight.dtype)
    num_rows, width = x.shape
    num_out = len(by.weight)
    keys, values = caches or (out, out)
    cache_rows, positions = places or (out, out)
    heads, max_positions, head_dim = keys.shape[1:] if caches else (1, 1, num_out)
    choose = tall_tiles if is_tall else tiles
    tile_rows, tile_out, tile_width, num_warps, num_stages = choose(
        num_rows, num_out, width, num_out // 3 if caches else 0
    )
    _product[(triton.cdiv(num_out, tile_out), triton.cdiv(num_rows, tile_rows))](
        x, by.weight, by.bias if by.bias is not None else x, out, keys, values, cache_rows, positions,
        num_rows, num_out, width, x.stride(0), out.stride(0), heads, max_positions, head_dim,
        by.bias is not None, has_gelu, mode, num_out % tile_out == 0, width % tile_width == 0,
        "ieee" if by.weight.dtype == torch.float32 and not torch.backends.cuda.matmul.allow_tf32 else "tf32",
        tile_rows, tile_out, tile_width, num_warps=num_warps, num_stages=num_stages,
    )  # fmt: skip


def tiles(num_rows: int, num_out: int, width: int, same: int) -> tuple[int, int, int, int, int]:
    """Rows, outputs and width of a tile, warps, stages: the best of those measured on an H200.

    `same` outputs must not share a tile with others (0: no matter).
    """
    if num_rows <= 16:
        choice = (16, 32, 256, 4, 3)
    elif num_rows <= 96:
        choice = (
            (16, 32, 128, 4, 4) if num_out <= 1024 else (32, 32, 128, 4, 4) if num_out <= 4096 else (32, 64, 64, 4, 4)
        )
    elif num_rows <= 256:
        choice = (
            (32, 64, 64, 4, 4) if width <= 256 else (16, 128, 128, 4, 3) if num_out <= 1024 else (32, 128, 128, 4, 3)
        )
    else:
        choice = (32, 128, 128, 4, 3) if num_out <= 1024 and width > 256 else (32, 128, 64, 4, 4)
    return _fitted(choice, width, same)


def tall_tiles(num_rows: int, num_out: int, width: int, same: int) -> tuple[int, int, int, int, int]:
    """As `tiles`, for a prefill: all of them wgmma's, which add up a row's sum in the same order."""
    if num_rows > 512 and num_out >= 512:
        return _fitted((128, 128, 64, 8, 3), width, same)
    return _fitted((64, 128, 64, 4, 4) if num_out >= 2304 else (64, 64, 128, 4, 3), width, same)


def _fitted(choice: tuple[int, int, int, int, int], width: int, same: int) -> tuple[int, int, int, int, int]:
    tile_rows, tile_out, tile_width, num_warps, num_stages = choice
    while same and same % tile_out:
        tile_out //= 2
    return tile_rows, tile_out, min(tile_width, max(16, triton.next_power_of_2(width))), num_warps, num_stages


@triton.jit
def _product(
    x, w, bias, out, keys, values, cache_rows, positions,
    num_rows, num_out, width, x_stride, out_stride, heads, max_positions, head_dim,
    HAS_BIAS: tl.constexpr, HAS_GELU: tl.constexpr, MODE: tl.constexpr,
    IS_EVEN_OUT: tl.constexpr, IS_EVEN_WIDTH: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, OUT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    col = tl.program_id(0) * OUT + tl.arange(0, OUT)
    is_row, is_col = row < num_rows, col < num_out
    safe_row, safe_col = tl.where(is_row, row, 0), tl.where(is_col, col, 0)
    acc = tl.zeros((ROWS, OUT), tl.float32)
    for start in range(0, width, WIDTH):
        k = start + tl.arange(0, WIDTH)
        if IS_EVEN_WIDTH:
            a = tl.load(x + safe_row[:, None] * x_stride + k[None, :])
            b = tl.load(w + safe_col[:, None] * width + k[None, :])
        else:
            a = tl.load(x + safe_row[:, None] * x_stride + k[None, :], mask=(k < width)[None, :], other=0.0)
            b = tl.load(w + safe_col[:, None] * width + k[None, :], mask=(k < width)[None, :], other=0.0)
        acc = tl.dot(a.to(b.dtype), tl.trans(b), acc, input_precision=PRECISION)
    if HAS_BIAS:
        acc += tl.load(bias + safe_col)[None, :]
    if HAS_GELU:  # the tanh form; tanh(z) = 1 - 2 / (exp(2 z) + 1)
        z = 0.7978845608028654 * (acc + 0.044715 * acc * acc * acc)
        acc = 0.5 * acc * (2.0 - 2.0 / (tl.exp(2.0 * z) + 1.0))
    is_inside = is_row[:, None] & is_col[None, :]
    if (MODE == _PROJECT) | (MODE == _PROJECT_ALL):
        share = num_out // 3
        which = tl.program_id(0) * OUT // share
        inner = col - which * share
        if (which == 0) | (MODE == _PROJECT_ALL):
            tl.store(out + row[:, None] * out_stride + col[None, :], acc.to(out.dtype.element_ty), mask=is_inside)
        if which > 0:
            cache_row = tl.load(cache_rows + safe_row).to(tl.int64)
            position = tl.load(positions + safe_row)
            head = inner // head_dim
            at_row = (cache_row * heads * max_positions + position) * head_dim
            at_col = head * max_positions * head_dim + inner % head_dim
            place = at_row[:, None] + at_col[None, :]
            if which == 1:
                tl.store(keys + place, acc.to(keys.dtype.element_ty), mask=is_inside)
            else:
                tl.store(values + place, acc.to(values.dtype.element_ty), mask=is_inside)
    else:
        place = out + row[:, None] * out_stride + col[None, :]
        if MODE == _ADD:
            acc += tl.load(place, mask=is_inside, other=0.0)
        tl.store(place, acc.to(out.dtype.element_ty), mask=is_inside)


@triton.jit
def _norm(x, gain, y, width, x_stride, HAS_GAIN: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, BLOCK)
    is_inside = k < width
    value = tl.load(x + row * x_stride + k, mask=is_inside, other=0.0).to(tl.float32)
    mean = tl.sum(value, 0) / width
    centred = tl.where(is_inside, value - mean, 0.0)
    result = centred * tl.rsqrt(tl.sum(centred * centred, 0) / width + _EPSILON)
    if HAS_GAIN:
        result *= tl.load(gain + k, mask=is_inside, other=0.0)
    tl.store(y + row * width + k, result.to(y.dtype.element_ty), mask=is_inside)
