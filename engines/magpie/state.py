"""What every slot holds on the device: caches, position in its text, sampler. Plain tensors, indexed by slot.

A step reads and writes them in place, so that it can be captured in a CUDA graph and needs nothing from the host but
the list of slots. The last row is spare: batches are filled up with it.

Legend: S slots, R = 2 (S + 1) cache rows (conditional and unconditional half of each slot), L layers, H heads, T
positions, E head width, X text tokens, A cross-attention width, C draws a step, K codebooks, M frames.
"""

import msgspec
import torch
from torch import Tensor

from engines.magpie.shape import Recipe, Shape


class State(msgspec.Struct, frozen=True):
    """Device thread only. Row `2 * slot` of the caches is the conditional half, the next one the unconditional."""

    keys: Tensor  # (L, R, H, T, E)
    values: Tensor  # (L, R, H, T, E)
    text_keys: Tensor  # (L, S + 1, X, A)
    text_values: Tensor  # (L, S + 1, X, A)
    position: Tensor  # (S + 1,) int32: where in the caches the next step writes
    step: Tensor  # (S + 1,) int32: steps done
    codes: Tensor  # (S + 1, C) int32: what the next step reads
    frames: Tensor  # (S + 1, M, K) int32: what was drawn, in order; the last step's are spare
    end_frame: Tensor  # (S + 1,) int32: the frame that the end was found in; -1: none yet
    # where in the text the voice is
    text_len: Tensor  # (S + 1,) int32, in tokens, with the end token
    attended: Tensor  # (S + 1,) int32: the token that the newest frame attends to
    window: Tensor  # (S + 1,) int32: the first token that the next frame may attend to
    counts: Tensor  # (S + 1, X) int32: frames that attended to each token
    sunk: Tensor  # (S + 1,) int32: up to this token the prior is closed for good; -1: none
    near_end: Tensor  # (S + 1,) int32: steps since the text's end came near
    # sampler
    seed: Tensor  # (S + 1,) int64
    temperature: Tensor  # (S + 1,) float32
    top_k: Tensor  # (S + 1,) int32
    cfg_scale: Tensor  # (S + 1,) float32

    @property
    def num_slots(self) -> int:
        return len(self.step) - 1

    @property
    def max_tokens(self) -> int:
        return self.counts.shape[1]

    @property
    def max_positions(self) -> int:
        return self.keys.shape[3]


def allocate(
    shape: Shape, recipe: Recipe, num_slots: int, max_tokens: int, *, device: torch.device, dtype: torch.dtype
) -> State:
    """State for `num_slots` slots, all of them empty.

    The frames have room for one step more than the longest segment: one that has ended may be stepped once for nothing,
    while its last frames are being read.
    """
    rows, max_frames = num_slots + 1, max_frames_of(shape, recipe) + shape.stacking
    caches = (shape.decoder_layers, 2 * rows, shape.decoder_heads, max_positions_of(shape, recipe))

    def zeros(*dims: int, dtype: torch.dtype = torch.int32) -> Tensor:
        return torch.zeros(dims, dtype=dtype, device=device)

    return State(
        keys=zeros(*caches, shape.decoder_head_dim, dtype=dtype),
        values=zeros(*caches, shape.decoder_head_dim, dtype=dtype),
        text_keys=zeros(shape.decoder_layers, rows, max_tokens, shape.cross_dim, dtype=dtype),
        text_values=zeros(shape.decoder_layers, rows, max_tokens, shape.cross_dim, dtype=dtype),
        position=zeros(rows) + shape.prefix_len,
        step=zeros(rows),
        codes=zeros(rows, shape.num_draws),
        frames=zeros(rows, max_frames, shape.num_codebooks),
        end_frame=zeros(rows) - 1,
        text_len=zeros(rows) + 1,
        attended=zeros(rows),
        window=zeros(rows),
        counts=zeros(rows, max_tokens),
        sunk=zeros(rows) - 1,
        near_end=zeros(rows),
        seed=zeros(rows, dtype=torch.int64),
        temperature=zeros(rows, dtype=torch.float32) + 1,
        top_k=zeros(rows) + 1,
        cfg_scale=zeros(rows, dtype=torch.float32) + 1,
    )


def max_frames_of(shape: Shape, recipe: Recipe) -> int:
    """Frames of the longest segment: whole steps."""
    return recipe.max_frames // shape.stacking * shape.stacking


def max_positions_of(shape: Shape, recipe: Recipe) -> int:
    """Cache positions of the longest segment: the voice, then a step each."""
    needed = shape.prefix_len + recipe.max_frames // shape.stacking
    return min(shape.decoder_positions, needed)


def bytes_per_slot(shape: Shape, recipe: Recipe, max_tokens: int, dtype: torch.dtype) -> int:
    """Device memory that one slot takes, but for the codec's."""
    size = dtype.itemsize
    caches = 2 * 2 * shape.decoder_layers * max_positions_of(shape, recipe) * shape.d_model * size
    text = 2 * shape.decoder_layers * max_tokens * shape.cross_dim * size
    num_frames = max_frames_of(shape, recipe) + shape.stacking
    return caches + text + 4 * (max_tokens + num_frames * shape.num_codebooks + 2 * shape.num_draws + 16)
