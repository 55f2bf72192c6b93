"""The contract between the text engine and whatever writes.

A model has a cache of `num_cells` cells which all its slots share, one for each token that a slot holds. A slot holds a
sequence: `decode` adds tokens to it, `truncate` takes them back from its end, `copy` lets another slot begin with the
same ones without room of its own for them, `save` and `load` put it aside and bring it back, exactly. What is not
decoded does not move: a paused sequence is one that is left out.

Legend: one *run* is a piece of one sequence in a batch; its first token stands at `start`.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import msgspec

from engines.llm.types import Messages, Sampling


class Run(msgspec.Struct, frozen=True):
    """Tokens to be added to `slot`, which holds `start` already. A run that `draws` is to be followed by a token: the
    model keeps what it thinks of that one for `draw`.
    """

    slot: int
    start: int
    tokens: Sequence[int]
    draws: bool


class Sampler(Protocol):
    """How one session draws its tokens, and what it remembers for that. Device thread only."""

    def close(self) -> None: ...


class Reader(Protocol):
    """Reads a long prompt apart from the cells, while others write. Device thread only.

    It holds one sequence. Where that is wanted in a slot, it goes there as what was saved of a slot does.
    """

    def begin(self, data: bytes | None) -> None:
        """Hold what was saved of a slot instead, or nothing."""
        ...

    def read(self, start: int, tokens: Sequence[int], breathe: Callable[[], None]) -> None:
        """Add these, at most a batch of them, behind the first `start` tokens. `breathe` is called again and again
        meanwhile, and may use the model, but not this reader.

        Raises:
            RuntimeError: the device has failed. What `breathe` raises ends the reading, and is raised.
        """
        ...

    def save(self, length: int) -> bytes:
        """The first `length` tokens, for `TextModel.load` or for `begin`. It still holds them, and nothing more."""
        ...


class TextModel(Protocol):
    """What the text engine steps. Device thread only, except the attributes, which never change, and what says
    otherwise.
    """

    @property
    def name(self) -> str: ...
    @property
    def num_slots(self) -> int: ...
    @property
    def num_cells(self) -> int: ...
    @property
    def context_length(self) -> int:
        """The most tokens that one sequence may have: what the model was trained for, at most `num_cells`."""
        ...

    @property
    def batch_size(self) -> int:
        """The most tokens of one `decode`."""
        ...

    @property
    def reader(self) -> Reader | None:
        """None: prompts are read in the batches of those who write."""
        ...

    # -- text: any thread ----------------------------------------------------------------------------------------------

    def render(self, messages: Messages, *, asks: bool = True) -> str:
        """A conversation as the model's chat template writes it; `asks`: with the beginning of the answer behind it.

        Raises:
            RequestError: the template refuses it (a role that it does not know, say).
        """
        ...

    def tokenise(self, text: str) -> list[int]:
        """Tokens of a rendered text; the marks of the template are tokens of their own."""
        ...

    def piece(self, token: int) -> bytes:
        """What a token writes: UTF-8, perhaps not whole characters; nothing for a mark."""
        ...

    def is_end(self, token: int) -> bool:
        """Whether this token ends an answer."""
        ...

    # -- the cache and the step ----------------------------------------------------------------------------------------

    def decode(self, runs: Sequence[Run]) -> bool:
        """Add these to their sequences, all in one batch. False: there is no room in the cells, and nothing was added.

        Raises:
            RuntimeError: the device has failed.
        """
        ...

    def draw(self, slot: int, sampler: Sampler) -> int:
        """The next token of a slot whose run in the last batch `draws`; the sampler knows of it from here on."""
        ...

    def make_sampler(self, sampling: Sampling) -> Sampler: ...

    def truncate(self, slot: int, length: int) -> None:
        """Let a slot hold only its first `length` tokens; 0 empties it."""
        ...

    def copy(self, source: int, target: int, length: int) -> None:
        """Let an empty slot hold the first `length` tokens of another."""
        ...

    def save(self, slot: int) -> bytes:
        """What a slot holds, for `load`. It still holds it."""
        ...

    def load(self, slot: int, saved: bytes) -> bool:
        """Let an empty slot hold what was saved. False: there is no room in the cells."""
        ...

    def close(self) -> None:
        """Give memory and threads back. The model is not used afterwards."""
        ...


TextLoader: TypeAlias = Callable[[], TextModel]
"""Loads and warms a model. Called once, on the device thread."""
