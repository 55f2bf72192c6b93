"""What every request for text says, on the WebSocket and over HTTP: a conversation, how to draw its answer and where
to stop.
"""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from engines.llm.types import Message, Sampling

StopWord: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
Temperature: TypeAlias = Annotated[float, Meta(ge=0, le=2)]
TopP: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
TopK: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Seed: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
NumTokens: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class TextPart(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """A piece of a turn, as OpenAI's clients may send it. Text is all that is read here."""

    text: str


class Turn(msgspec.Struct, frozen=True):
    """One turn of a conversation."""

    role: Annotated[str, Meta(min_length=1, max_length=64)]
    content: str | list[TextPart]

    @property
    def message(self) -> Message:
        """`developer` is OpenAI's newer name for `system`."""
        role = "system" if self.role == "developer" else self.role
        content = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Message(role, content)


Turns: TypeAlias = Annotated[list[Turn], Meta(min_length=1, max_length=10_000)]
MoreTurns: TypeAlias = Annotated[list[Turn], Meta(max_length=10_000)]


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer is drawn, and the words that end it. What is null is as if it were left out."""

    temperature: Temperature | None = 0.7
    top_p: TopP | None = 0.95
    top_k: TopK | None = 40
    seed: Seed | None = None
    stop: StopWord | Annotated[list[StopWord], Meta(max_length=16)] | None = None

    @property
    def sampling(self) -> Sampling:
        given = {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k, "seed": self.seed}
        return msgspec.structs.replace(
            Sampling(), **{name: value for name, value in given.items() if value is not None}
        )

    @property
    def stop_words(self) -> Sequence[str]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


def messages_of(turns: Sequence[Turn]) -> list[Message]:
    """The conversation, as the engine takes it."""
    return [turn.message for turn in turns]
