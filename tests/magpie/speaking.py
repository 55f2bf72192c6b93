"""Decoders and models of tiny checkpoints on the CPU, and what they say: for tests that look at codes and samples.

Legend: S slots, F frames, K codebooks.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from engines.magpie import plain
from engines.magpie.checkpoint import Checkpoint
from engines.magpie.decoder import Decoder, Newcomers
from engines.magpie.model import Magpie
from engines.magpie.options import MagpieOptions
from engines.magpie.prefills import Request
from engines.magpie.shape import Recipe
from engines.magpie.state import State, allocate
from engines.magpie.weights import convert
from engines.model import Prefill
from engines.types import Params, Pcm, Segment, Word

CPU = torch.device("cpu")

Checkpoints = Callable[[str], Checkpoint]


class Bare:
    """A decoder without a host around it: prefills and steps, and the state in reach."""

    def __init__(self, checkpoint: Checkpoint, recipe: Recipe | None = None, num_slots: int = 4, max_tokens: int = 128):
        self.shape, self.recipe = checkpoint.shape, recipe or checkpoint.recipe
        with torch.inference_mode():
            weights = convert(checkpoint.weights, checkpoint.prefix, self.shape, device=CPU, dtype=torch.float32)
            self.state: State = allocate(
                self.shape, self.recipe, num_slots, max_tokens, device=CPU, dtype=torch.float32
            )
            self._decoder = Decoder(weights, self.shape, self.recipe, self.state, plain)

    @torch.inference_mode()
    def prefill(self, *requests: Request) -> None:
        self._decoder.prefill(newcomers(requests))

    @torch.inference_mode()
    def step(self, *slots: int) -> list[tuple[int, int]]:
        """For each slot the token attended to, and the end frame or -1."""
        return [(token, end) for token, end in self._decoder.step(torch.tensor(slots)).tolist()]

    @property
    def max_steps(self) -> int:
        return self.recipe.max_frames // self.shape.stacking


def newcomers(requests: Sequence[Request], device: torch.device = CPU) -> Newcomers:
    """What a prefill takes, padded to the longest text and a little more."""
    width = max(len(request.ids) for request in requests) + 3

    def column(name: str, dtype: torch.dtype = torch.int64) -> Tensor:
        return torch.tensor([getattr(request, name) for request in requests], dtype=dtype, device=device)

    return Newcomers(
        slots=column("slot"),
        ids=torch.tensor([[*request.ids, *[1] * (width - len(request.ids))] for request in requests], device=device),
        text_len=torch.tensor([len(request.ids) for request in requests], device=device),
        voice=column("voice"),
        seed=column("seed"),
        top_k=column("top_k"),
        temperature=column("temperature", torch.float32),
        cfg_scale=column("cfg_scale", torch.float32),
    )


def greedy(ids: Sequence[int], *, slot: int = 0, voice: int = 0, cfg_scale: float = 2.5) -> Request:
    return Request(slot, tuple(ids), voice, seed=0, top_k=1, temperature=1.0, cfg_scale=cfg_scale)


def lively(checkpoint: Checkpoint, **recipe: Any) -> Checkpoint:
    """The same checkpoint with weights that make it listen, and these values in its recipe.

    As NeMo draws weights at the start of a training, a decoder hardly hears voice and text: greedy codes would be the
    same for all of them.
    """
    return msgspec.structs.replace(
        checkpoint,
        weights={name: value * liveliness(name, value) for name, value in checkpoint.weights.items()},
        prefix=checkpoint.prefix * VOICE_LIVELINESS,
        recipe=msgspec.structs.replace(checkpoint.recipe, **recipe),
    )


VOICE_LIVELINESS = 50.0


def liveliness(name: str, value: Tensor) -> float:
    """What to multiply the parameter `name` of NeMo's model by."""
    is_matrix = value.dim() > 1
    is_layers = ".layers." in name and is_matrix
    is_output = name.startswith(("final_proj", "local_transformer_out_projections")) and is_matrix
    return 6.0 if is_layers or is_output else 1.0


# -- models ------------------------------------------------------------------------------------------------------------


def make_model(
    checkpoint: Checkpoint, slots: int = 4, *, has_guards: bool = False, kind: type[Magpie] = Magpie
) -> Magpie:
    """A warm model on the CPU. Without guards, for random weights attend at random."""
    model = kind(checkpoint, MagpieOptions(device="cpu", slots=slots), has_guards=has_guards)
    model.warm_up()
    return model


def job(
    model: Magpie, text: str, *, slot: int = 0, voice: int = 0, session: int = 1, start: int = 0, **params: Any
) -> Prefill:
    return Prefill(slot, Segment(text, start), model.voices[voice], Params(**params), session)


class Spoken(msgspec.Struct):
    """What has come of one segment so far. `codes` is (F, K), what was drawn and heard."""

    pcm: Pcm
    words: tuple[Word, ...] = ()
    chunks: tuple[int, ...] = ()  # samples
    codes: Tensor | None = None
    is_over: bool = False
    cut_short: str = ""
    error: Exception | None = None


class Floor:
    """Steps a model as the engine does, and keeps what each slot's segment says."""

    def __init__(self, model: Magpie) -> None:
        self.model = model
        self.running: dict[int, Spoken] = {}

    def join(self, *jobs: Prefill) -> list[Spoken]:
        self.model.prefill(jobs)
        self.running |= {job.slot: Spoken(np.zeros(0, np.float32)) for job in jobs}
        return [self.running[job.slot] for job in jobs]

    def leave(self, slot: int) -> None:
        """Before its end."""
        self._note_codes(slot)
        del self.running[slot]
        self.model.release(slot)

    def step(self) -> None:
        """One step of all that run; those whose segment ends leave."""
        made = self.model.step(sorted(self.running))
        assert not made.not_ready, "on a CPU every prefill is done when it returns"
        for result in made.results:
            spoken = self.running[result.slot]
            spoken.pcm = np.concatenate((spoken.pcm, result.pcm))
            spoken.words += tuple(result.words)
            spoken.chunks += (len(result.pcm),) if len(result.pcm) else ()
            if result.is_segment_end:
                spoken.is_over, spoken.cut_short, spoken.error = True, result.cut_short, result.error
                self.leave(result.slot)

    def finish(self) -> None:
        while self.running:
            self.step()

    def _note_codes(self, slot: int) -> None:
        spoken = self.running[slot]
        num_frames = len(spoken.pcm) // 1024 if spoken.is_over else int(self.model._steps[slot]) * self._stacking
        spoken.codes = self.model._state.frames[slot, :num_frames].clone()

    @property
    def _stacking(self) -> int:
        return self.model._shape.stacking


def speak(model: Magpie, *jobs: Prefill) -> list[Spoken]:
    """These segments beside each other, to their ends."""
    floor = Floor(model)
    spoken = floor.join(*jobs)
    floor.finish()
    return spoken


def error_of(actual: Any, expected: Any) -> float:
    """The RMS of the difference, relative to the RMS of what is expected."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, f"{actual.shape} instead of {expected.shape}"
    return float(np.sqrt(np.square(actual - expected).mean() / np.square(expected).mean()))


def state_of(state: State, slot: int) -> Mapping[str, Tensor]:
    """A copy of everything that a slot holds, by name."""
    found: dict[str, Tensor] = {}
    for name in state.__struct_fields__:
        value: Tensor = getattr(state, name)
        if name in ("keys", "values"):
            found[name] = value[:, 2 * slot : 2 * slot + 2].clone()
        else:
            found[name] = (value[:, slot] if name.startswith("text_") and value.dim() > 1 else value[slot]).clone()
    return found
