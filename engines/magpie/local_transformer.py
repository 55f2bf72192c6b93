"""The local transformer: a step's codes, drawn one after the other, each knowing those before it.

Legend: B rows, 2B with both halves, D model width, C draws a step, N code ids.
"""

import torch
from torch import Tensor

from engines.magpie.operations import Operations
from engines.magpie.shape import Recipe, Shape
from engines.magpie.state import State
from engines.magpie.weights import Weights


class LocalTransformer:
    """Device thread only. Its caches live for one step, so a row of the batch owns one, not a slot."""

    def __init__(self, weights: Weights, shape: Shape, recipe: Recipe, state: State, ops: Operations) -> None:
        self._weights = weights
        self._shape = shape
        self._recipe = recipe
        self._state = state
        self._ops = ops
        num_rows = 2 * (state.num_slots + 1)
        caches = (shape.local_layers, num_rows, shape.local_heads, shape.num_draws, shape.local_head_dim)
        self._keys = torch.zeros(caches, dtype=state.keys.dtype, device=state.keys.device)
        self._values = torch.zeros_like(self._keys)
        self._cache_rows = torch.arange(num_rows, device=state.keys.device)
        self._positions = torch.arange(shape.num_draws, dtype=torch.int32, device=state.keys.device)[:, None].repeat(
            1, num_rows
        )

    def draw(self, hidden: Tensor, rows: Tensor) -> Tensor:
        """Codes (B, C) int32, from the decoder's output (2B, D) of both halves."""
        ops, weights, shape = self._ops, self._weights, self._shape
        codes = torch.empty(len(rows), shape.num_draws, dtype=torch.int32, device=rows.device)
        start = hidden if weights.local_in is None else ops.linear(hidden, weights.local_in, is_exact=True)
        x: Tensor | None = start + weights.local.positions[0]
        for draw in range(shape.num_draws):
            assert x is not None, "every draw but the last feeds the next"
            self._apply_layers(x, draw)
            logits = ops.linear(x, weights.local_heads[draw], is_exact=True)
            table = weights.local_table if draw + 1 < shape.num_draws else None
            x = ops.pick(draw, logits, self._state, rows, shape, self._recipe, codes, table)
        return codes

    def _apply_layers(self, x: Tensor, draw: int) -> None:
        """x += attention, x += feed-forward, in place, at position `draw`."""
        cache_rows, positions = self._cache_rows[: len(x)], self._positions[draw, : len(x)]
        for index, layer in enumerate(self._weights.local.layers):
            keys, values = self._keys[index], self._values[index]
            q = self._ops.project(x, layer.qkv, keys, values, cache_rows, positions)
            self._ops.add_linear(x, self._ops.attend(q, keys, values, cache_rows, positions), layer.out)
            self._ops.add_linear(x, self._ops.linear(x, layer.ff_in, has_gelu=True), layer.ff_out)
