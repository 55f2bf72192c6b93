"""The text encoder: tokens in, what the decoder attends to out. Causal, so padding behind a text changes nothing in it.

Legend: n texts, X tokens (padded), D model width, H heads.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.magpie.operations import Operations
from engines.magpie.shape import Shape
from engines.magpie.weights import Layer, Weights


def encode(ids: Tensor, weights: Weights, shape: Shape, ops: Operations) -> Tensor:
    """Encoded text (n, X, D) of token ids (n, X)."""
    x = weights.text_embedding[ids] + weights.encoder.positions[: ids.shape[1]]
    for layer in weights.encoder.layers:
        _apply(layer, x, shape, ops)
    return ops.norm(x, weights.encoder.norm_out) if weights.encoder.norm_out is not None else x


def _apply(layer: Layer, x: Tensor, shape: Shape, ops: Operations) -> None:
    """x += attention, x += feed-forward: in place."""
    rows = x.view(-1, x.shape[-1])
    q, k, v = ops.linear(rows, layer.qkv).view(*x.shape[:2], 3, shape.encoder_heads, -1).permute(2, 0, 3, 1, 4)
    attention = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    ops.add_linear(rows, attention.transpose(1, 2).reshape(rows.shape), layer.out)
    hidden = ops.linear(_with_past(ops.norm(x), shape.encoder_kernel), layer.ff_in, has_gelu=True)
    ops.add_linear(rows, _with_past(hidden.view(*x.shape[:2], -1), shape.encoder_kernel), layer.ff_out)


def _with_past(x: Tensor, kernel: int) -> Tensor:
    """Each row behind the `kernel - 1` before it: a causal convolution as rows for a matrix, (n * X, kernel * D)."""
    length = x.shape[1]
    padded = F.pad(x, (0, 0, kernel - 1, 0))
    return torch.cat([padded[:, offset : offset + length] for offset in range(kernel)], 2).view(-1, kernel * x.shape[2])
