"""How fast a decoder step could be on the card: the fewest bytes and operations, at the rates that the card reaches."""

from typing import Any, Final

from engines.magpie.model import Magpie
from engines.magpie.weights import Layer, Stack

COPY_TB_S: Final = 4.3
BF16_TFLOP_S: Final = 790.0
"""The card's ceilings as measured on an H200 of this workplace: a large copy (read and written), a large product."""


def floor_of(model: Magpie, num_slots: int, context: int, num_tokens: int) -> dict[str, Any]:
    """The fewest bytes and operations of a step, and the time that they take at the card's measured ceilings.

    Counted are: weights once; of each slot both halves' keys and values of all positions so far, and its text's; two
    operations for each weight and row. Not counted: what stays in registers and L2, embeddings, norms, logits.
    """
    weights, shape = model._decoder._weights, model._shape
    size = model._state.keys.element_size()
    decoder = sum(_layer_numel(layer) for layer in weights.decoder.layers)
    cross = sum(_layer_numel(layer, is_cross=True) for layer in weights.decoder.layers)
    final = weights.final.weight.numel()
    local_in = weights.local_in.weight.numel() if weights.local_in is not None else 0
    local, heads = _stack_numel(weights.local), sum(head.weight.numel() for head in weights.local_heads)
    rows, draws, layers = 2 * num_slots, shape.num_draws, shape.decoder_layers
    bytes_weights = size * (decoder + cross + final + local_in + local + heads)
    bytes_cache = size * rows * layers * 2 * shape.d_model * context
    bytes_text = size * num_slots * layers * 2 * shape.cross_dim * num_tokens
    flop = 2 * (rows * (decoder + final + local_in + draws * local + heads) + num_slots * cross)
    flop += 4 * rows * layers * shape.d_model * context + 4 * num_slots * layers * shape.cross_dim * num_tokens
    memory_ms = (bytes_weights + bytes_cache + bytes_text) / COPY_TB_S / 1e9
    arithmetic_ms = flop / BF16_TFLOP_S / 1e9
    return {
        "weights_mb": round(bytes_weights / 1e6, 1),
        "cache_mb": round(bytes_cache / 1e6, 2),
        "text_mb": round(bytes_text / 1e6, 2),
        "gflop": round(flop / 1e9, 2),
        "floor_ms": round(max(memory_ms, arithmetic_ms), 4),
        "bound": "memory" if memory_ms > arithmetic_ms else "arithmetic",
    }


def _stack_numel(stack: Stack) -> int:
    return sum(_layer_numel(layer) for layer in stack.layers)


def _layer_numel(layer: Layer, *, is_cross: bool = False) -> int:
    own = (layer.cross_query, layer.cross_out) if is_cross else (layer.qkv, layer.out, layer.ff_in, layer.ff_out)
    return sum(linear.weight.numel() for linear in own if linear is not None)
