"""One real model, driven as the engine drives it, for tests of what llama.cpp does."""

from collections.abc import Sequence
from typing import Any

from engines.llm.model import Run, Sampler
from engines.llm.types import Message, Sampling

GREEDY = Sampling(temperature=0)


def empty(model: Any) -> None:
    for slot in range(model.num_slots):
        model.truncate(slot, 0)


def asking(text: str) -> list[Message]:
    return [Message("user", text)]


def prompt(model: Any, text: str = "Tell me about the sea.") -> list[int]:
    return model.tokenise(model.render(asking(text)))


def words(model: Any, num_tokens: int) -> list[int]:
    """A text of so many tokens."""
    return (model.tokenise(" one two three four five six seven eight nine ten") * (num_tokens // 10 + 1))[:num_tokens]


class Writer:
    """One sequence, written on and on. `tokens` is all of it; the last has not been decoded yet."""

    def __init__(self, model: Any, tokens: Sequence[int], *, slot: int = 0, sampling: Sampling = GREEDY) -> None:
        self.model = model
        self.slot = slot
        self.tokens = list(tokens)
        self.num_held = 0
        self.sampler: Sampler = model.make_sampler(sampling)

    @property
    def run(self) -> Run:
        return Run(self.slot, self.num_held, self.tokens[self.num_held :], draws=True)

    def draw(self) -> int:
        self.num_held = len(self.tokens)
        self.tokens.append(self.model.draw(self.slot, self.sampler))
        return self.tokens[-1]

    def write(self, num_tokens: int) -> list[int]:
        drawn: list[int] = []
        while len(drawn) < num_tokens:
            assert self.model.decode([self.run])
            drawn.append(self.draw())
            if self.model.is_end(drawn[-1]):
                break
        return drawn


def greedy(model: Any, tokens: Sequence[int], num_tokens: int, slot: int = 0) -> list[int]:
    """What follows, in a slot that is empty before and afterwards."""
    drawn = Writer(model, tokens, slot=slot).write(num_tokens)
    model.truncate(slot, 0)
    return drawn


def spelt(model: Any, tokens: Sequence[int]) -> bytes:
    return b"".join(map(model.piece, tokens))
