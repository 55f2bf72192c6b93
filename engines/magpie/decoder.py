"""One decoder step for many slots at once, and the prefill that a slot needs before its first.

A step, in words: embed the codes drawn last; through each layer attend to what was said so far and to the text; see
which token of the text is being spoken; draw this step's codes one after the other; note an end; move on.

Both halves of classifier-free guidance run in one batch. The unconditional half has no text (its cross-attention would
see zeros, and adds zeros) and no voice, so what it keeps of the prefix is the same for every request: it is computed
once and never overwritten.

Legend: B rows of the batch, n newcomers, P prefix positions, X tokens, D model width, C draws a step.
"""

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor

from engines.magpie.encoder import encode
from engines.magpie.local_transformer import LocalTransformer
from engines.magpie.operations import Operations
from engines.magpie.shape import Recipe, Shape
from engines.magpie.state import State
from engines.magpie.weights import Layer, Weights


class Newcomers(msgspec.Struct, frozen=True):
    """What a prefill conditions slots on. Device tensors."""

    slots: Tensor  # (n,) int64
    ids: Tensor  # (n, X) int64, padded with anything
    text_len: Tensor  # (n,) int64
    voice: Tensor  # (n,) int64
    seed: Tensor  # (n,) int64
    top_k: Tensor  # (n,) int64
    temperature: Tensor  # (n,) float32
    cfg_scale: Tensor  # (n,) float32


class Decoder:
    """Device thread only. Works on `state` in place; nothing in here waits for the device."""

    def __init__(
        self,
        weights: Weights,
        shape: Shape,
        recipe: Recipe,
        state: State,
        ops: Operations,
        prefill_ops: Operations | None = None,
    ) -> None:
        self._weights = weights
        self._shape = shape
        self._recipe = recipe
        self._state = state
        self._ops = ops
        self._prefill_ops = prefill_ops or ops
        self._local = LocalTransformer(weights, shape, recipe, state, ops)
        self._cache_unconditional_prefix()

    # -- step ------------------------------------------------------------------------------------------------------

    def step(self, rows: Tensor) -> Tensor:
        """Advance these slots (B,) int64. Returns (B, 2) int32: the token attended to, and the end frame or -1."""
        ops, state, stack = self._ops, self._state, self._weights.decoder
        cache_rows, positions = torch.cat((2 * rows, 2 * rows + 1)), state.position[rows].repeat(2)
        reach = torch.zeros(len(rows), self._recipe.prior_lookahead + 1, device=rows.device)
        x = ops.embed(state, rows, self._weights.code_embedding, stack.positions)
        for index, layer in enumerate(stack.layers):
            keys, values = state.keys[index], state.values[index]
            q = ops.project(x, layer.qkv, keys, values, cache_rows, positions)
            ops.add_linear(x, ops.attend(q, keys, values, cache_rows, positions), layer.out)
            self._attend_text(index, layer, x[: len(rows)], rows, reach)
            ops.add_linear(x, ops.linear(x, layer.ff_in, has_gelu=True), layer.ff_out)
        hidden = x if stack.norm_out is None else ops.norm(x, stack.norm_out)
        ops.follow(state, rows, reach, self._recipe)
        codes = self._local.draw(hidden, rows)
        logits = ops.linear(hidden, self._weights.final, is_exact=True)
        ends = ops.find_ends(logits, state, rows, self._shape, self._recipe)
        return ops.advance(state, rows, codes, ends, self._shape, self._recipe)

    def _attend_text(self, index: int, layer: Layer, x: Tensor, rows: Tensor, reach: Tensor) -> None:
        assert layer.cross_query is not None, "a decoder layer attends to the text"
        assert layer.cross_out is not None, "a decoder layer attends to the text"
        state, recipe = self._state, self._recipe
        attention = self._ops.attend_text(
            self._ops.linear(x, layer.cross_query),
            state.text_keys[index],
            state.text_values[index],
            rows,
            state,
            recipe,
            has_prior=recipe.has_prior and index in recipe.prior_layers,
            reach=reach if index in recipe.alignment_layers else None,
        )
        self._ops.add_linear(x, attention, layer.cross_out)

    # -- prefill ---------------------------------------------------------------------------------------------------

    def prefill(self, newcomers: Newcomers) -> None:
        """Make these slots ready for their first step."""
        self._reset(newcomers)
        text = encode(newcomers.ids, self._weights, self._shape, self._prefill_ops)
        memory = self._cache_text(text, newcomers.slots)
        is_text = torch.arange(text.shape[1], device=text.device)[None] < newcomers.text_len[:, None]
        prefix = self._weights.prefix[newcomers.voice] + self._weights.decoder.positions[: self._shape.prefix_len]
        self._run_prefix(prefix, 2 * newcomers.slots, memory, is_text[:, None, None])

    def _reset(self, newcomers: Newcomers) -> None:
        state, slots = self._state, newcomers.slots
        for tensor, value in (
            (state.position, self._shape.prefix_len),
            (state.step, 0),
            (state.codes, self._shape.audio_bos),
            (state.end_frame, -1),
            (state.attended, 1),
            (state.window, 1),
            (state.counts, 0),
            (state.sunk, -1),
            (state.near_end, 0),
        ):
            tensor.index_fill_(0, slots, value)
        for tensor, values in (
            (state.text_len, newcomers.text_len.int()),
            (state.seed, newcomers.seed),
            (state.top_k, newcomers.top_k.int()),
            (state.temperature, newcomers.temperature),
            (state.cfg_scale, newcomers.cfg_scale),
        ):
            tensor.index_copy_(0, slots, values)

    def _cache_text(self, text: Tensor, slots: Tensor) -> Tensor:
        """What each layer's cross-attention sees of the text, for all steps to come: all layers in one product. Keys
        and values (2, L, n, X, A).
        """
        num_rows, num_tokens, width = text.shape
        memory = self._prefill_ops.linear(text.view(-1, width), self._weights.text_memory)
        memory = memory.view(num_rows, num_tokens, self._shape.decoder_layers, 2, -1).permute(3, 2, 0, 1, 4)
        self._state.text_keys[:, :, :num_tokens].index_copy_(1, slots, memory[0])
        self._state.text_values[:, :, :num_tokens].index_copy_(1, slots, memory[1])
        return memory

    def _run_prefix(self, x: Tensor, cache_rows: Tensor, memory: Tensor | None, is_text: Tensor | None) -> None:
        """Fill the first P cache positions of these rows from the prefix (n, P, D). Without `memory`: without text."""
        ops, state = self._prefill_ops, self._state
        num_rows, length, width = x.shape
        rows = x.reshape(-1, width).clone()
        every_row = cache_rows.repeat_interleave(length)
        positions = torch.arange(length, device=x.device, dtype=torch.int32).repeat(num_rows)
        for index, layer in enumerate(self._weights.decoder.layers):
            qkv = ops.project_all(rows, layer.qkv, state.keys[index], state.values[index], every_row, positions)
            q, k, v = qkv.view(num_rows, length, 3, self._shape.decoder_heads, -1).permute(2, 0, 3, 1, 4)
            attention = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            ops.add_linear(rows, attention.transpose(1, 2).reshape(rows.shape), layer.out)
            if memory is not None and is_text is not None:
                self._attend_text_from_prefix(layer, rows, memory[:, index], is_text)
            ops.add_linear(rows, ops.linear(rows, layer.ff_in, has_gelu=True), layer.ff_out)

    def _attend_text_from_prefix(self, layer: Layer, rows: Tensor, memory: Tensor, is_text: Tensor) -> None:
        assert layer.cross_query is not None, "a decoder layer attends to the text"
        assert layer.cross_out is not None, "a decoder layer attends to the text"
        keys, values = memory[:, :, None].unbind(0)
        q = self._prefill_ops.linear(rows, layer.cross_query).view(len(keys), 1, -1, self._shape.cross_dim)
        attention = F.scaled_dot_product_attention(q, keys, values, attn_mask=is_text)
        self._prefill_ops.add_linear(rows, attention.reshape(len(rows), -1), layer.cross_out)

    def _cache_unconditional_prefix(self) -> None:
        positions, length = self._weights.decoder.positions, self._shape.prefix_len
        first = torch.ones(1, dtype=torch.int64, device=positions.device)  # the unconditional row of slot 0
        self._run_prefix(positions[None, :length], first, None, None)
        for cache in (self._state.keys, self._state.values):
            cache[:, 1::2, :, :length] = cache[:, 1:2, :, :length].clone()
