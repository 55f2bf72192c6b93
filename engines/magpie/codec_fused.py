"""The codec decoder as a short chain of Triton kernels: about seven launches a stage, whatever the number of rows.

What bounds a plain decoder on a GPU is not arithmetic: each of some 90 convolutions of narrow signals is several
launches and a dozen passes over memory. Here the three residual blocks of a stage share each launch, channels come
last (padded to a multiple of 32), and what surrounds a convolution (bias, half-snake, residual, mean, state) is
computed where its operands already are.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import torch
from torch import Tensor

from engines.magpie import codec_kernels
from engines.magpie.codec_tiles import Tiling, default_tiling, next_power, padded
from engines.magpie.codec_weights import Activation, CodecWeights, Conv, Stage

PRODUCTS: Final = {"float32": "ieee", "tf32": "tf32", "float16": "ieee", "bfloat16": "ieee"}
kernels: Any = codec_kernels  # decorated functions, of types that their own checker cannot tell


class _Curves(msgspec.Struct, frozen=True):
    """Activations, one a group: (G, C padded) float32 each. Frequencies are in half turns."""

    frequency: Tensor
    inverse: Tensor
    slope: Tensor
    is_elu: bool


class _Convs(msgspec.Struct, frozen=True):
    """The convolutions of one launch: all weights in a row, (taps, C out, C in) each; biases (G, C out)."""

    weight: Tensor
    bias: Tensor
    spec: Tensor
    num_in: int
    num_out: int
    dilation: int
    groups: int


class _Step(msgspec.Struct, frozen=True):
    """One unit of every block of a stage. `following` is the first activation of the next one."""

    first: _Convs
    middle: _Curves
    second: _Convs
    following: _Curves | None


class _Stage(msgspec.Struct, frozen=True):
    num_in: int
    num_out: int
    rate: int
    state: int
    entry: _Curves
    weight: Tensor
    bias: Tensor
    blocks: _Curves
    steps: tuple[_Step, ...]


def why_not(weights: CodecWeights) -> str | None:
    """What of this decoder the kernels cannot do, or None."""
    for stage in weights.stages:
        up = stage.upsampling
        if up.weight.shape[1] != 1 or up.groups * 2 != up.num_inputs:
            return "an upsampling that does not make each channel of two"
        if len({len(block) for block in stage.blocks}) != 1:
            return "residual blocks of different lengths"
        for units in zip(*stage.blocks, strict=True):
            if len({(unit.first.dilation, unit.second.dilation) for unit in units}) != 1:
                return "residual blocks of different dilations"
    if weights.exit.weight.shape[0] != 1 or weights.exit.dilation != 1:
        return "more than one channel of audio"
    if weights.exit.history > weights.samples_per_frame:
        return "a last convolution longer than a frame"
    return None


class FusedPath:
    """The state of slots, flat, (2 copies, num_slots + 1, S), and the kernels that advance it."""

    def __init__(
        self,
        weights: CodecWeights,
        num_rows: int,
        device: torch.device,
        precision: str,
        most: tuple[int, int],
        tiling: Tiling = default_tiling,
    ) -> None:
        """`most`: rows and frames of the largest call."""
        half = {"float16": torch.float16, "bfloat16": torch.bfloat16}
        self._dtype = half.get(precision, torch.float32)
        self._products = PRODUCTS[precision]
        self._device, self.tiling = device, tiling
        self._limits = weights.limits
        self._state_size = 0
        self._table = weights.table.to(device)
        self._entry = self._convs([weights.entry])
        self._stages = [
            self._stage(stage, self._entry.num_out if i == 0 else padded(weights.stages[i - 1].upsampling.groups))
            for i, stage in enumerate(weights.stages)
        ]
        self._exit_curves = self._curves([weights.exit_activation])
        self._exit_weight = _pad(weights.exit.weight[0].T, 1).to(device)
        self._exit_bias = weights.exit.bias.to(device)
        self._exit_state = self._reserve(weights.exit.history * self._exit_weight.shape[1])
        self._num_rows = num_rows
        self._state = torch.zeros(2, num_rows, self._state_size, device=device, dtype=self._dtype)
        self._turns = torch.zeros(num_rows, device=device, dtype=torch.int32)
        self._make_workspace(*most)

    def decode(self, codes: Tensor, slots: Tensor, out: Tensor) -> None:
        """Write the samples of codes (B, F, K) int64 into `out`, (B, F * samples a frame), and advance these slots."""
        rows, length, num_codebooks = codes.shape
        assert all(tensor.is_contiguous() for tensor in (codes, slots, out)), "the kernels know no strides"
        assert rows * length <= self._most, "more than there is room for"
        _, size, dim = self._table.shape
        kernels.begin[(rows,)](
            codes, slots, self._turns, self._bases, self._table, self._codes, self._num_rows, length,
            STATE=self._state_size, K=num_codebooks, SIZE=size, DIM=dim, STRIDE=self._entry.num_in,
            WIDTH=next_power(self._entry.num_in), num_warps=1,
        )  # fmt: skip
        self._convolve(self._entry, self._codes, rows, length, raw=self._raw)
        in_groups = 1
        for stage in self._stages:
            self._upsample(stage, rows, length, in_groups)
            length *= stage.rate
            in_groups = stage.blocks.frequency.shape[0]
            group = rows * length * stage.num_out
            residual, residual_group = self._trunk, 0
            for step in stage.steps:
                self._convolve(step.first, self._wide, rows, length, curves=step.middle, out=self._inner, group=group)
                self._convolve(
                    step.second, self._inner, rows, length, curves=step.following, out=self._wide, group=group,
                    residual=residual, residual_group=residual_group, raw=self._raw,
                )  # fmt: skip
                residual, residual_group = self._raw, group
        self._finish(out, rows, length, in_groups)

    def reset(self, slots: Tensor) -> None:
        self._state.index_fill_(1, slots, 0)

    def save(self, slot: int) -> Sequence[Tensor]:
        return [self._state[:, slot].index_select(0, self._turns[slot : slot + 1])]

    def load(self, slot: int, saved: Sequence[Tensor]) -> None:
        self._state[:, slot].copy_(saved[0])  # into both copies: whose turn it is does not matter

    @property
    def state_bytes_per_slot(self) -> int:
        return 2 * self._state_size * self._state.element_size()

    def _convolve(
        self, convs: _Convs, x: Tensor, rows: int, length: int, *, curves: _Curves | None = None,
        out: Tensor | None = None, group: int = 0, residual: Tensor | None = None, residual_group: int = 0,
        raw: Tensor | None = None,
    ) -> None:  # fmt: skip
        tile = self.tiling(rows * length, convs.num_in, convs.num_out, convs.groups, self._state.element_size())
        grid = (math.ceil(convs.num_out / tile.channels), math.ceil(rows * length / tile.positions), convs.groups)
        c = curves if curves is not None else self._no_curves
        x_group = rows * length * convs.num_in
        kernels.convolve[grid](
            x, x if residual is None else residual, x if raw is None else raw, x if out is None else out,
            convs.weight, convs.bias, c.frequency, c.inverse, c.slope, convs.spec, self._state, self._bases,
            x_group, residual_group, group, rows, length, convs.dilation,
            int(residual is not None), int(raw is not None), int(curves is not None),
            CIN=convs.num_in, COUT=convs.num_out, IS_ELU=c.is_elu, PRECISION=self._products,
            BM=tile.positions, BN=tile.channels, BK=tile.step, num_warps=tile.warps, num_stages=tile.stages,
        )  # fmt: skip

    def _upsample(self, stage: _Stage, rows: int, length: int, in_groups: int) -> None:
        into = rows * length
        width = min(64, next_power(stage.num_out))
        height = 8 if into <= 2048 else 16
        groups = stage.blocks.frequency.shape[0]
        kernels.upsample[(math.ceil(stage.num_out / width), math.ceil(into / height))](
            self._raw, self._trunk, self._wide, stage.weight, stage.bias,
            stage.entry.frequency, stage.entry.inverse, stage.entry.slope,
            stage.blocks.frequency, stage.blocks.inverse, stage.blocks.slope, self._state, self._bases,
            into * stage.num_in, into * stage.rate * stage.num_out, rows, length, stage.state,
            CIN=stage.num_in, COUT=stage.num_out, RATE=stage.rate, IN_GROUPS=in_groups, GROUPS=groups,
            IS_ELU=stage.entry.is_elu, BM=height, BN=width, num_warps=4,
        )  # fmt: skip

    def _finish(self, out: Tensor, rows: int, length: int, in_groups: int) -> None:
        taps, num_in = self._exit_weight.shape
        low, high = self._limits or (0.0, 0.0)
        c, height = self._exit_curves, 64
        kernels.finish[(math.ceil(rows * length / height),)](
            self._raw, out, self._exit_weight, self._exit_bias, c.frequency, c.inverse, c.slope,
            self._state, self._bases, rows * length * num_in, rows, length, self._exit_state, low, high,
            CIN=num_in, TAPS=taps, IN_GROUPS=in_groups, IS_TANH=self._limits is None, IS_ELU=c.is_elu,
            BM=height, BN=next_power(num_in), num_warps=4,
        )  # fmt: skip

    def _stage(self, stage: Stage, num_in: int) -> _Stage:
        up, units = stage.upsampling, list(zip(*stage.blocks, strict=True))
        weight = up.weight[:, 0].reshape(up.groups, 2, 2 * up.rate).permute(1, 2, 0)  # (2 inputs, 2 rate, C out)
        first = [self._curves([unit.first_activation for unit in step]) for step in units]
        state = self._reserve(num_in)
        steps = tuple(
            _Step(
                self._convs([unit.first for unit in step]),
                self._curves([unit.second_activation for unit in step]),
                self._convs([unit.second for unit in step]),
                following,
            )
            for step, following in zip(units, [*first[1:], None], strict=True)
        )
        return _Stage(
            num_in=num_in, num_out=padded(up.groups), rate=up.rate, state=state,
            entry=self._curves([stage.activation]), weight=_pad(weight, 2).to(self._device),
            bias=_pad(up.bias, 0).to(self._device), blocks=first[0], steps=steps,
        )  # fmt: skip

    def _convs(self, convs: Sequence[Conv]) -> _Convs:
        spec: list[list[int]] = []
        packed: list[Tensor] = []
        start = 0
        for conv in convs:
            weight = _pad(_pad(conv.weight.permute(2, 0, 1), 1), 2)  # (taps, C out, C in)
            spec.append([start, conv.taps, self._reserve(conv.history * weight.shape[2]), 0])
            packed.append(weight.reshape(-1))
            start += weight.numel()
        num_out, num_in = (padded(n) for n in convs[0].weight.shape[:2])
        assert num_out >= num_in, "a program keeps the state of as many channels as it makes"
        return _Convs(
            torch.cat(packed).to(self._device, self._dtype),
            torch.stack([_pad(conv.bias, 0) for conv in convs]).to(self._device),
            torch.tensor(spec, dtype=torch.int32, device=self._device),
            num_in, num_out, convs[0].dilation, len(convs),
        )  # fmt: skip

    def _curves(self, activations: Sequence[Activation]) -> _Curves:
        def stacked(parts: Sequence[Tensor]) -> Tensor:
            return torch.stack([_pad(part, 0) for part in parts]).to(self._device)

        return _Curves(
            stacked([a.alpha / math.pi for a in activations]),
            stacked([a.inverse for a in activations]),
            stacked([a.slope for a in activations]),
            activations[0].is_elu,
        )

    def _reserve(self, size: int) -> int:
        """Room in a slot's state: where it begins."""
        start = self._state_size
        self._state_size += size
        return start

    def _make_workspace(self, rows: int, frames: int) -> None:
        widest, samples = self._entry.num_out, 1
        for stage in self._stages:
            samples *= stage.rate
            widest = max(widest, samples * stage.num_out)
        groups = max(stage.blocks.frequency.shape[0] for stage in self._stages)
        self._most = rows * frames

        def room(size: int, dtype: torch.dtype) -> Tensor:
            return torch.zeros(size, device=self._device, dtype=dtype)

        self._bases = room(2 * rows * frames, torch.int64)
        self._codes = room(rows * frames * self._entry.num_in, self._dtype)
        self._trunk = room(rows * frames * widest, self._dtype)
        self._raw, self._wide, self._inner = (room(groups * rows * frames * widest, self._dtype) for _ in range(3))
        self._no_curves = self._exit_curves


def _pad(tensor: Tensor, dim: int) -> Tensor:
    """With zeros at the end of a dimension, up to a multiple of 32."""
    missing = padded(tensor.shape[dim]) - tensor.shape[dim]
    shape: list[Any] = list(tensor.shape)
    shape[dim] = missing
    return torch.cat([tensor, tensor.new_zeros(shape)], dim=dim).contiguous()
