"""What a text session came to: one line in the log for each, and its part of the engine's counts."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from engines.llm.types import ChunkEnd, Event, Reason, Token, Usage
from engines.measures import TextMeasures
from engines.requests import ORIGIN, Witness, Witnesses, close_account

Outcome: TypeAlias = Literal["done", "cancelled", "failed"]
"""All that was asked for was written, given up by its client in the middle of a chunk, or broken off by the model."""


class Account(msgspec.Struct, frozen=True):
    """A session that is over. Lengths in tokens; `cached_tokens` of the prompt's were not evaluated.

    `first_token_ms` is from the first chunk's asking to its first token, None where there was none; `reason` is why the
    last chunk that was read to its end ended.
    """

    request_id: str
    mode: str
    prompt_tokens: int
    cached_tokens: int
    tokens: int
    chunks: int
    first_token_ms: float | None
    elapsed_ms: float
    reason: Reason | None
    outcome: Outcome

    def __str__(self) -> str:
        first = "-" if self.first_token_ms is None else f"{self.first_token_ms:.0f} ms"
        return (
            f"{self.outcome}: {self.mode or '-'}, prompt of {self.prompt_tokens} tokens, {self.cached_tokens} cached, "
            f"{self.tokens} written in {self.chunks} chunks, first token {first}, {self.elapsed_ms / 1000:.1f} s "
            f"[{self.request_id or '-'}]"
        )


class TextBooks(msgspec.Struct, frozen=True):
    """Where what happens to text sessions is written down. Event loop only."""

    measures: TextMeasures
    clock: Callable[[], float]
    witnesses: Witnesses | None


class TextLedger:
    """What happens to a text session, until it is over. Event loop only."""

    def __init__(self, books: TextBooks) -> None:
        self._origin = ORIGIN.get()
        self._labels = (self._origin.mode,)
        self._books = books
        self._measures = books.measures
        self._clock = books.clock
        self._witness: Witness | None = None
        self._begun_s: float | None = None
        self._asked_s: float | None = None  # for a chunk whose first token has not come
        self._first_token_ms: float | None = None
        self._num_chunks = 0
        self._num_prompt = 0
        self._num_cached = 0
        self._reason: Reason | None = None
        self._is_closed = False

    def asked(self) -> None:
        """Another chunk is wanted."""
        self._asked_s = self._clock()
        self._num_chunks += 1
        if self._begun_s is None:
            self._begun_s = self._asked_s
            self._witness = self._books.witnesses(self._origin) if self._books.witnesses else None

    def read(self, event: Event) -> None:
        """The reader has got this."""
        if isinstance(event, ChunkEnd):
            self._reason = event.reason
            self._tell("chunk", number=self._num_chunks, tokens=event.num_tokens, reason=event.reason)
        elif self._asked_s is not None:
            self._first_token(event, self._clock() - self._asked_s)

    def evaluated(self, num_prompt: int, num_cached: int) -> None:
        """So many tokens of prompts have been read by now, and so many of them were in the cache."""
        if (num_prompt, num_cached) == (self._num_prompt, self._num_cached):
            return
        self._measures.evaluated[self._labels] += num_prompt - num_cached - (self._num_prompt - self._num_cached)
        self._measures.cached[self._labels] += num_cached - self._num_cached
        self._num_prompt, self._num_cached = num_prompt, num_cached

    def close(self, outcome: Outcome, usage: Usage) -> None:
        """Say what it came to, once. A session that was never asked for anything says nothing."""
        if not self._is_closed and self._begun_s is not None:
            account = self._account(outcome, usage, self._begun_s)
            self._measures.streams[*self._labels, outcome] += 1
            close_account(str(account), msgspec.structs.asdict(account), self._witness)
        self._is_closed = True

    def _first_token(self, _: Token, after_s: float) -> None:
        self._asked_s = None
        chunk = "first" if self._num_chunks == 1 else "later"
        self._measures.first_token_s[*self._labels, chunk].observe(after_s)
        if self._num_chunks == 1:
            self._first_token_ms = round(1000 * after_s, 1)
            self._tell("first_token", after_ms=self._first_token_ms)

    def _tell(self, event: str, **attributes: str | float) -> None:
        if self._witness is not None:
            self._witness.event(event, **attributes)

    def _account(self, outcome: Outcome, usage: Usage, begun_s: float) -> Account:
        return Account(
            request_id=self._origin.request_id,
            mode=self._origin.mode,
            prompt_tokens=usage.num_prompt,
            cached_tokens=usage.num_cached,
            tokens=usage.num_written,
            chunks=self._num_chunks,
            first_token_ms=self._first_token_ms,
            elapsed_ms=round(1000 * (self._clock() - begun_s), 1),
            reason=self._reason,
            outcome=outcome,
        )
