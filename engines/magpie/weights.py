"""Weights as the networks here want them: fused, in the right type, on the device.

Legend: D model width, F feed-forward width, N code ids, C draws a step, P prefix positions, V voices, L layers,
A cross-attention width.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
import torch
from torch import Tensor

from engines.magpie.shape import Shape

NORM_EPSILON: Final = 1e-5  # torch.nn.LayerNorm's default, which NeMo leaves as it is


class Linear(msgspec.Struct, frozen=True):
    """y = x @ weight.T + bias, of the layer norm of x where `is_normed`: the norm's gain is folded into `weight`.

    `weight` is (out, in), `bias` (out,) float32.
    """

    weight: Tensor
    bias: Tensor | None = None
    is_normed: bool = False


class Layer(msgspec.Struct, frozen=True):
    """One transformer layer. The cross-attention parts are None where there is no text to attend to."""

    qkv: Linear  # (3D, D): queries, keys, values, each head by head
    out: Linear
    cross_query: Linear | None
    cross_out: Linear | None
    ff_in: Linear  # (F, kernel * D), the oldest position first
    ff_out: Linear


class Stack(msgspec.Struct, frozen=True):
    """Layers with their learned positions and, perhaps, a normalisation at the end."""

    layers: tuple[Layer, ...]
    positions: Tensor  # (T, D) float32
    norm_out: Tensor | None  # (D,) float32


class Weights(msgspec.Struct, frozen=True):
    """All of a checkpoint but the codec. Matrices are of the working type; tables that are added up are float32."""

    text_embedding: Tensor  # (vocabulary, D) float32
    encoder: Stack
    decoder: Stack
    text_memory: Linear  # (L * 2 * A, D): each layer's keys and values of the text
    prefix: Tensor  # (V, P, D) float32
    code_embedding: Tensor  # (C, N, D) float32, already divided by C: a step's input is the sum over its codes
    final: Linear  # (C * N, D)
    local_in: Linear | None  # None: the local transformer is as wide as the decoder
    local: Stack
    local_table: Tensor  # (C, N, local D) float32: what a drawn code feeds to the next draw, its position included
    local_heads: tuple[Linear, ...]  # a draw's own output


def convert(
    state: Mapping[str, Tensor], prefix: Tensor, shape: Shape, *, device: torch.device, dtype: torch.dtype
) -> Weights:
    """The weights of a NeMo state dict, moved to `device`."""
    reader = _Reader(state, device, dtype)
    code_embedding = torch.stack([state[f"audio_embeddings.{draw}.weight"] for draw in range(shape.num_draws)])
    local = reader.stack("local_transformer", shape.local_layers)
    local_in = reader.linear("local_transformer_in_projection") if shape.local_dim != shape.d_model else None
    return Weights(
        text_embedding=reader.table("text_embedding.weight"),
        encoder=reader.stack("encoder", shape.encoder_layers),
        decoder=reader.stack("decoder", shape.decoder_layers),
        text_memory=reader.text_memory("decoder", shape.decoder_layers),
        prefix=prefix.to(device, torch.float32),
        code_embedding=(code_embedding / shape.num_draws).to(device, torch.float32),
        final=reader.linear("final_proj"),
        local_in=local_in,
        local=local,
        local_table=_local_table(state, code_embedding, local.positions, device),
        local_heads=tuple(
            reader.linear(f"local_transformer_out_projections.{draw}") for draw in range(shape.num_draws)
        ),
    )


def _local_table(state: Mapping[str, Tensor], codes: Tensor, positions: Tensor, device: torch.device) -> Tensor:
    """What the local transformer reads after a draw is a function of the drawn code alone: tabled once."""
    table = codes.to(device, torch.float32)
    if "local_transformer_in_projection.weight" in state:
        weight, bias = (state[f"local_transformer_in_projection.{name}"].to(device) for name in ("weight", "bias"))
        table = table @ weight.T.float() + bias.float()
    return table + positions[1 : len(table) + 1, None]


class _Reader:
    def __init__(self, state: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype) -> None:
        self._state = state
        self._device = device
        self._dtype = dtype

    def table(self, name: str) -> Tensor:
        return self._state[name].to(self._device, torch.float32)

    def optional(self, name: str) -> Tensor | None:
        return self.table(name) if name in self._state else None

    def linear(self, name: str, norm: str | None = None) -> Linear:
        """A matrix, or a convolution laid out as one, with the gain of the layer norm in front of it folded in."""
        weight = self.table(f"{name}.weight")
        kernel = weight.shape[2] if weight.dim() == 3 else 1
        if weight.dim() == 3:  # (out, in, kernel) -> (out, kernel * in)
            weight = weight.permute(0, 2, 1).reshape(len(weight), -1)
        gain = self.optional(norm) if norm else None
        if gain is not None:
            weight = weight * gain.repeat(kernel)
        is_normed = gain is not None and kernel == 1  # a wider kernel reads several rows, each with a mean of its own
        return Linear(weight.to(self._dtype).contiguous(), self.optional(f"{name}.bias"), is_normed)

    def stack(self, name: str, num_layers: int) -> Stack:
        return Stack(
            layers=tuple(self.layer(f"{name}.layers.{index}") for index in range(num_layers)),
            positions=self.table(f"{name}.position_embeddings.weight"),
            norm_out=self.optional(f"{name}.norm_out.weight"),
        )

    def text_memory(self, name: str, num_layers: int) -> Linear:
        """All layers' keys and values of the text as one matrix: they differ in the norm's gain, which is folded in."""
        layers = [f"{name}.layers.{index}" for index in range(num_layers)]
        parts = [self.linear(f"{at}.cross_attention.kv_net", f"{at}.norm_xattn_memory.weight") for at in layers]
        return Linear(torch.cat([part.weight for part in parts]), None, parts[0].is_normed)

    def layer(self, name: str) -> Layer:
        has_cross = f"{name}.cross_attention.q_net.weight" in self._state
        cross = f"{name}.cross_attention"
        return Layer(
            qkv=self.linear(f"{name}.self_attention.qkv_net", f"{name}.norm_self.weight"),
            out=self.linear(f"{name}.self_attention.o_net"),
            cross_query=self.linear(f"{cross}.q_net", f"{name}.norm_xattn_query.weight") if has_cross else None,
            cross_out=self.linear(f"{cross}.o_net") if has_cross else None,
            ff_in=self.linear(f"{name}.pos_ff.proj.conv", f"{name}.norm_pos_ff.weight"),
            ff_out=self.linear(f"{name}.pos_ff.o_net.conv"),
        )
