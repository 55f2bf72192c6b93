"""What a client of the text engine asks for and gets. Frozen; times in milliseconds, lengths in tokens."""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec

MAX_SENTENCE_TOKENS: Final = 200
"""Of a chunk that ends with a sentence and has no `max_tokens`."""

MAX_CHUNK_TOKENS: Final = 500
"""Of a chunk that runs to the end of the answer."""

Reason: TypeAlias = Literal[
    "max_tokens",  # the chunk, or the stream, has as many tokens as it may have
    "sentence_boundary",  # a sentence has ended, and another one follows
    "sentence_boundary_eos",  # a sentence has ended, and with it the answer
    "eos",  # the answer has ended
    "stop_word",
    "empty_response",  # the answer ended before it began
    "already_done",  # asked to go on behind the end
    "client",  # `pause` was called
]


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation."""

    role: str
    content: str


class Sampling(msgspec.Struct, frozen=True):
    """How a token is drawn. Temperature 0 takes the likeliest; `seed` None is another one each time."""

    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 40
    repeat_penalty: float = 1.1
    seed: int | None = None


class Pause(msgspec.Struct, frozen=True):
    """Where a chunk ends: after so many tokens, or at the end of a sentence, whichever comes first."""

    max_tokens: int | None = None
    at_sentence: bool = False

    @property
    def limit(self) -> int:
        """The most tokens that the chunk may have."""
        if self.max_tokens is not None:
            return self.max_tokens
        return MAX_SENTENCE_TOKENS if self.at_sentence else MAX_CHUNK_TOKENS


class Token(msgspec.Struct, frozen=True):
    """What has been written since the last one: whole characters. `num_tokens` of the model's are in it: one, or more
    where a character took several; 0 where a stop word has cut one."""

    text: str
    num_tokens: int = 1


class ChunkEnd(msgspec.Struct, frozen=True):
    """A chunk is over. `text` is what its tokens say; `ttft_ms` counts from the asking to the first of them, None
    where there is none; `is_done`: nothing follows.
    """

    reason: Reason
    text: str
    num_tokens: int
    ttft_ms: float | None
    elapsed_ms: float
    is_done: bool


Event: TypeAlias = Token | ChunkEnd


class Usage(msgspec.Struct, frozen=True):
    """Tokens of a session so far. `num_cached` of the prompt's were found in the cache and not evaluated again."""

    num_prompt: int
    num_cached: int
    num_written: int


Messages: TypeAlias = Sequence[Message]
