"""Random weights in the shapes of the released checkpoints, without NeMo: for measuring, where only shapes matter."""

import re
from collections.abc import Sequence
from typing import Any, Final, cast

import torch
from torch import Tensor

from engines.magpie.checkpoint import Checkpoint
from engines.magpie.codec_weights import CodecWeights
from engines.magpie.shape import Recipe, Shape
from engines.magpie.tokens import Tokens, WordSpan
from engines.reading import Sound
from engines.types import Voice

_RELEASED: Final = {
    "d_model": 768,
    "encoder_layers": 6,
    "encoder_heads": 12,
    "encoder_kernel": 3,
    "encoder_positions": 2048,
    "decoder_layers": 12,
    "decoder_heads": 12,
    "cross_heads": 1,
    "cross_head_dim": 128,
    "decoder_positions": 2048,
    "num_voices": 5,
    "num_codebooks": 8,
    "codebook_size": 2016,
    "num_code_ids": 2024,
    "audio_bos": 2016,
    "audio_eos": 2017,
}

SHAPES: Final = {
    "full": Shape(
        **_RELEASED,
        num_text_ids=2362,
        text_eos=2361,
        prefix_len=110,
        stacking=1,
        local_layers=1,
        local_heads=1,
        local_dim=256,
    ),
    "full2607": Shape(
        **_RELEASED,
        num_text_ids=3359,
        text_eos=3358,
        prefix_len=217,
        stacking=2,
        local_layers=2,
        local_heads=12,
        local_dim=768,
    ),
}
"""As `random_checkpoint` builds them with NeMo's classes: v2602 and v2607."""


def recipe(shape: Shape, *, max_frames: int = 500, min_frames: int = 10**6) -> Recipe:
    """The released sampling defaults. By default no end is found: random weights would end at random."""
    layers = tuple(range(shape.decoder_layers))
    return Recipe(max_frames=max_frames, min_frames=min_frames, alignment_layers=layers, prior_layers=layers)


def state_dict(shape: Shape, seed: int = 0) -> dict[str, Tensor]:
    """Weights under NeMo's names, drawn as NeMo draws them at the start of a training."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}

    def draw(name: str, *dims: int) -> None:
        state[name] = torch.randn(dims, generator=generator) * 0.02

    def stack(name: str, layers: int, width: int, hidden: int, positions: int, kernel: int, cross: int) -> None:
        draw(f"{name}.position_embeddings.weight", positions, width)
        for index in range(layers):
            layer = f"{name}.layers.{index}"
            for norm in ("norm_self", "norm_pos_ff") + (("norm_xattn_query", "norm_xattn_memory") if cross else ()):
                state[f"{layer}.{norm}.weight"] = torch.ones(width)
            draw(f"{layer}.self_attention.qkv_net.weight", 3 * width, width)
            draw(f"{layer}.self_attention.o_net.weight", width, width)
            draw(f"{layer}.pos_ff.proj.conv.weight", hidden, width, kernel)
            draw(f"{layer}.pos_ff.o_net.conv.weight", width, hidden, kernel)
            if cross:
                draw(f"{layer}.cross_attention.q_net.weight", cross, width)
                draw(f"{layer}.cross_attention.kv_net.weight", 2 * cross, width)
                draw(f"{layer}.cross_attention.o_net.weight", width, cross)

    width, local = shape.d_model, shape.local_dim
    draw("text_embedding.weight", shape.num_text_ids, width)
    stack("encoder", shape.encoder_layers, width, 4 * width, shape.encoder_positions, shape.encoder_kernel, 0)
    stack("decoder", shape.decoder_layers, width, 4 * width, shape.decoder_positions, 1, shape.cross_dim)
    for name in ("encoder", "decoder"):
        state[f"{name}.norm_out.weight"] = torch.ones(width)
    draw("final_proj.weight", shape.num_draws * shape.num_code_ids, width)
    state["final_proj.bias"] = torch.zeros(shape.num_draws * shape.num_code_ids)
    stack("local_transformer", shape.local_layers, local, 4 * local, shape.num_draws + 2, 1, 0)
    if local != width:
        draw("local_transformer_in_projection.weight", local, width)
        state["local_transformer_in_projection.bias"] = torch.zeros(local)
    for index in range(shape.num_draws):
        draw(f"audio_embeddings.{index}.weight", shape.num_code_ids, width)
        draw(f"local_transformer_out_projections.{index}.weight", shape.num_code_ids, local)
        state[f"local_transformer_out_projections.{index}.bias"] = torch.zeros(shape.num_code_ids)
    return state


def prefix(shape: Shape, seed: int = 1) -> Tensor:
    """Baked voices (V, P, D)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape.num_voices, shape.prefix_len, shape.d_model, generator=generator) * 0.02


class CharTokenizer:
    """A token for each character, as the released tokenizers have about one for each: all that timing needs."""

    languages = ("en",)

    def __init__(self, shape: Shape) -> None:
        self._shape = shape

    def is_speakable(self, char: str, language: str) -> bool:
        return char.isalnum()

    def encode(self, text: str, language: str, sounds: Sequence[Sound] = ()) -> Tokens:
        ids = tuple(ord(char) % (self._shape.num_text_ids - 2) for char in text)
        words = tuple(WordSpan(*match.span(), *match.span()) for match in re.finditer(r"\S+", text))
        return Tokens((*ids, self._shape.text_eos), words, True)


def checkpoint(name: str, *, num_frames: int = 500, ends: bool = False) -> Checkpoint:
    """A checkpoint of the shape `name`; every segment is `num_frames` long unless `ends` are found at random."""
    shape = SHAPES[name]
    return Checkpoint(
        name=name,
        shape=shape,
        recipe=recipe(shape, max_frames=num_frames, min_frames=4 if ends else 10**6),
        weights=state_dict(shape),
        prefix=prefix(shape),
        codec=CodecWeights.random(base_channels=864),
        tokenizer=cast(Any, CharTokenizer(shape)),
        voices=tuple(Voice(name, "en-US") for name in ("aria", "jason", "john", "leo", "sofia")),
        sample_rate_hz=22050,
        samples_per_frame=1024,
    )
