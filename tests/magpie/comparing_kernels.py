"""The Triton kernels beside `plain`, step by step on the same state: on a GPU, or with TRITON_INTERPRET=1 on a CPU.

Knows nothing of NeMo, so that it runs where only torch and Triton are: `python -m tests.magpie.comparing_kernels`
compares under the interpreter, and prints what it found.
"""

import os
import sys
from collections.abc import Sequence
from typing import Final

import msgspec
import torch

from engines.magpie import plain
from engines.magpie.decoder import Decoder, Newcomers
from engines.magpie.operations import Operations
from engines.magpie.shape import Recipe, Shape
from engines.magpie.state import State, allocate
from engines.magpie.weights import convert
from tests.bench import magpie_random

_SMALL: Final = {
    "d_model": 64,
    "num_text_ids": 90,
    "encoder_layers": 1,
    "encoder_heads": 2,
    "encoder_kernel": 3,
    "encoder_positions": 128,
    "decoder_layers": 2,
    "decoder_heads": 2,
    "cross_heads": 1,
    "cross_head_dim": 32,
    "decoder_positions": 128,
    "num_voices": 2,
    "num_codebooks": 8,
    "codebook_size": 2016,
    "num_code_ids": 2024,
    "audio_bos": 2016,
    "audio_eos": 2017,
    "text_eos": 89,
}
SMALL: Final = {
    "tiny": Shape(**_SMALL, prefix_len=12, stacking=1, local_layers=1, local_heads=1, local_dim=32),
    "tiny2": Shape(**_SMALL, prefix_len=12, stacking=2, local_layers=2, local_heads=2, local_dim=64),
}
RECIPES: Final = {
    "sampled": Recipe(max_frames=100, alignment_layers=(0, 1), prior_layers=(0, 1), tracks_text_end=True),
    "subsets": Recipe(
        max_frames=100,
        min_frames=0,
        prior_start_step=2,
        prior_lookahead=4,
        alignment_layers=(1,),
        prior_layers=(0,),
        eos_from="argmax",
        eos_in="first",
    ),
    "without": Recipe(max_frames=100, has_prior=False, alignment_layers=(0, 1), prior_layers=(0, 1), eos_in="all"),
}

EXACT: Final = ("codes", "frames", "end_frame", "attended", "window", "counts", "sunk", "near_end", "position", "step")
"""Of the state: what must be the same number, not nearly."""

CACHES: Final = ("keys", "values", "text_keys", "text_values")
SLOTS: Final = (3, 0, 2)
NUM_SLOTS: Final = 4
LIVELINESS: Final = 6.0


class Found(msgspec.Struct):
    """Steps compared, draws and other numbers that differed, and the largest relative difference in a cache."""

    steps: int = 0
    codes: int = 0
    num_wrong: int = 0
    wrong: str = ""
    error: float = 0.0


def make_decoder(
    shape: Shape, recipe: Recipe, ops: Operations, prefill_ops: Operations, device: torch.device
) -> tuple[Decoder, State]:
    """In float32, with weights that make voice and text matter."""
    state = allocate(shape, recipe, NUM_SLOTS, 128, device=device, dtype=torch.float32)
    drawn = magpie_random.state_dict(shape)
    weights = {name: value * (LIVELINESS if value.dim() > 1 else 1) for name, value in drawn.items()}
    converted = convert(weights, magpie_random.prefix(shape) * 50, shape, device=device, dtype=torch.float32)
    return Decoder(converted, shape, recipe, state, ops, prefill_ops), state


def newcomers(shape: Shape, slots: Sequence[int], device: torch.device, length: int = 64) -> Newcomers:
    """One of a word, one of a few, one of many; one greedy, one unguided."""
    lengths, generator = (5, 20, 57), torch.Generator().manual_seed(3)

    def numbers(values: Sequence[float], dtype: torch.dtype = torch.int64) -> torch.Tensor:
        return torch.tensor(values[: len(slots)], dtype=dtype, device=device)

    return Newcomers(
        slots=torch.tensor(slots, device=device),
        ids=torch.randint(0, shape.num_text_ids - 1, (len(slots), length), generator=generator).to(device),
        text_len=numbers(lengths),
        voice=numbers((1, 0, 1)),
        seed=numbers((7, 2**40 + 5, 9)),
        top_k=numbers((80, 1, 2048)),
        temperature=numbers((0.7, 1.0, 1.3), torch.float32),
        cfg_scale=numbers((2.5, 1.0, 2.0), torch.float32),
    )


@torch.inference_mode()
def compare(size: str, recipe: str, num_steps: int, device: torch.device) -> Found:
    """Both take every step from the same state: the plain one's."""
    from engines.magpie.kernels import PREFILL_KERNELS, STEP_KERNELS

    shape, found = SMALL[size], Found()
    decoder, state = make_decoder(shape, RECIPES[recipe], plain, plain, device)
    kernels, other = make_decoder(shape, RECIPES[recipe], STEP_KERNELS, PREFILL_KERNELS, device)
    for one in (decoder, kernels):
        one.prefill(newcomers(shape, SLOTS, device))
    _note(state, other, found, "prefill")
    for step in range(num_steps):
        rows = torch.tensor(SLOTS if step % 2 == 0 else SLOTS[:0:-1], device=device)
        reports = decoder.step(rows), kernels.step(rows)
        found.codes += len(rows) * shape.num_draws
        found.steps += 1
        _note(state, other, found, f"step {step}")
        if not torch.equal(*reports) and not found.wrong:
            found.num_wrong, found.wrong = found.num_wrong + 1, f"report of step {step}"
        for name in (*EXACT, *CACHES):
            getattr(other, name).copy_(getattr(state, name))
    return found


def _note(state: State, other: State, found: Found, when: str) -> None:
    """The spare row, which batches are filled up with, is nobody's."""
    for name in EXACT:
        differs = getattr(state, name)[:NUM_SLOTS] != getattr(other, name)[:NUM_SLOTS]
        if differs.any():
            found.num_wrong += int(differs.sum())
            found.wrong = found.wrong or f"{name}, {when}"
    for name in CACHES:
        expected, made = getattr(state, name), getattr(other, name)
        if name.startswith("text_"):
            expected, made = expected[:, :NUM_SLOTS], made[:, :NUM_SLOTS]
        else:
            expected, made = expected[:, : 2 * NUM_SLOTS], made[:, : 2 * NUM_SLOTS]
        scale = expected.square().mean().sqrt()
        found.error = max(found.error, float((made - expected).abs().max() / scale))


def main() -> None:
    """Size, recipe and steps by turns. Fails where anything differs."""
    cases = [argument.split(":") for argument in sys.argv[1:]]
    is_right = True
    for size, recipe, steps in cases:
        found = compare(size, recipe, int(steps), torch.device("cpu"))
        print(size, recipe, found)
        is_right &= not found.wrong and found.error < 1e-4 and found.steps == int(steps)
    sys.exit(0 if is_right else 1)


if __name__ == "__main__":
    assert os.environ.get("TRITON_INTERPRET") == "1", "without a GPU kernels run under Triton's interpreter only"
    torch.set_num_threads(1)
    main()
