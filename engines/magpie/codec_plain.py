"""The codec decoder in plain PyTorch: the whole utterance at once, or the next frames of many slots."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.nn import functional

from engines.magpie.codec_weights import Activation, CodecWeights, Conv, Upsampling

Remember = Callable[[Tensor, int], Tensor]
"""(x, n) -> x with the n inputs before it in front. Called once a layer, in the order of the layers; x is (B, C, T)."""


def decode_whole(weights: CodecWeights, codes: Tensor) -> Tensor:
    """Samples (B, F * samples a frame), float32, of whole utterances of codes (B, F, K), where `weights` are."""
    with torch.no_grad():
        return decode(weights, codes, lambda x, history: functional.pad(x, (history, 0)))


class PlainPath:
    """The state of slots and how to advance it: every layer keeps its own last inputs, (num_slots + 1, C, n)."""

    def __init__(self, weights: CodecWeights, num_rows: int, device: torch.device, dtype: torch.dtype) -> None:
        self._weights = weights.to(device, dtype)
        self._states = [torch.zeros(num_rows, *shape, device=device, dtype=dtype) for shape in state_shapes(weights)]

    def decode(self, codes: Tensor, slots: Tensor, out: Tensor) -> None:
        """Write the samples of codes (B, F, K) into `out`, (B, F * samples a frame), and advance these slots."""
        states = iter(self._states)

        def remember(x: Tensor, history: int) -> Tensor:
            state = next(states)
            extended = torch.cat([state.index_select(0, slots), x], dim=2)
            state.index_copy_(0, slots, extended[:, :, extended.shape[2] - history :])
            return extended

        out.copy_(decode(self._weights, codes, remember))

    def reset(self, slots: Tensor) -> None:
        for state in self._states:
            state.index_fill_(0, slots, 0)

    def save(self, slot: int) -> Sequence[Tensor]:
        return [state[slot].clone() for state in self._states]

    def load(self, slot: int, saved: Sequence[Tensor]) -> None:
        for state, kept in zip(self._states, saved, strict=True):
            state[slot].copy_(kept)

    @property
    def state_bytes_per_slot(self) -> int:
        return sum(state[0].numel() * state.element_size() for state in self._states)


def state_shapes(weights: CodecWeights) -> list[tuple[int, int]]:
    """(C, n) of each layer's last inputs, in the order in which `decode` asks for them."""
    shapes = [(weights.entry.num_inputs, weights.entry.history)]
    for stage in weights.stages:
        shapes.append((stage.upsampling.num_inputs, 1))
        convs = [conv for block in stage.blocks for unit in block for conv in (unit.first, unit.second)]
        shapes += [(conv.num_inputs, conv.history) for conv in convs]
    return [*shapes, (weights.exit.num_inputs, weights.exit.history)]


def decode(weights: CodecWeights, codes: Tensor, remember: Remember) -> Tensor:
    """Samples (B, F * samples a frame) of codes (B, F, K), with what lies before them as `remember` gives it."""
    x = _convolve(weights.entry, dequantise(weights.table, codes).to(weights.entry.weight.dtype), remember)
    for stage in weights.stages:
        x = _upsample(stage.upsampling, activate(stage.activation, x), remember)
        total: Tensor | None = None
        for block in stage.blocks:
            y = x
            for unit in block:
                inner = _convolve(unit.first, activate(unit.first_activation, y), remember)
                y = y + _convolve(unit.second, activate(unit.second_activation, inner), remember)
            total = y if total is None else total + y
        assert total is not None, "a stage has blocks"
        x = total / len(stage.blocks)
    y = _convolve(weights.exit, activate(weights.exit_activation, x), remember)[:, 0].float()
    return torch.tanh(y) if weights.limits is None else y.clamp(*weights.limits)


def dequantise(table: Tensor, codes: Tensor) -> Tensor:
    """(B, K * dim, F) float32 of codes (B, F, K): lookups in `table`, (K, size, dim)."""
    num_codebooks, size, dim = table.shape
    offsets = torch.arange(num_codebooks, device=codes.device) * size
    values = functional.embedding(codes.long().remainder(size) + offsets, table.reshape(-1, dim))
    return values.flatten(2).transpose(1, 2)


def activate(activation: Activation, x: Tensor) -> Tensor:
    """An activation of (B, C, T)."""
    if activation.is_elu:
        return functional.elu(x)
    alpha, inverse, slope = (part[:, None] for part in (activation.alpha, activation.inverse, activation.slope))
    return torch.maximum(x, x * slope) + inverse * torch.sin(alpha * x).square()


def _convolve(conv: Conv, x: Tensor, remember: Remember) -> Tensor:
    return functional.conv1d(remember(x, conv.history), conv.weight, conv.bias, dilation=conv.dilation)


def _upsample(up: Upsampling, x: Tensor, remember: Remember) -> Tensor:
    extended = remember(x, 1)
    y = functional.conv_transpose1d(extended, up.weight, up.bias, stride=up.rate, groups=up.groups)
    return y[:, :, up.rate : -up.rate]


def exact_products(tf32: bool) -> AbstractContextManager[None]:
    """Within it cuDNN multiplies float32 as float32, or as TF32. Graphs keep what they were captured with."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=tf32)  # pyright: ignore
