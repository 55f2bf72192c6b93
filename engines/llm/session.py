"""One client's conversation: chunks out, turns in.

A session lives on the event loop, its answer on the device thread while a chunk is written: `write` begins a chunk and
submits it, `on_result` brings its tokens and its end. A chunk is bounded, so what a slow reader leaves waiting is too.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final, Self

import msgspec

from engines.errors import CapacityError, EngineFailure, SessionClosed, WrongState
from engines.llm.accounts import Outcome, TextBooks, TextLedger
from engines.llm.answer import Answer
from engines.llm.model import TextModel
from engines.llm.scheduler import Scheduler
from engines.llm.turns import Prompt, next_prompt
from engines.llm.types import ChunkEnd, Event, Messages, Pause, Sampling, Token, Usage
from engines.patience import Patience

_ALREADY_DONE: Final = ChunkEnd("already_done", "", 0, None, 0.0, is_done=True)


class Host(msgspec.Struct, frozen=True):
    """What a session needs of the engine that opened it."""

    scheduler: "Scheduler[TextSession]"
    model: TextModel
    clock: Callable[[], float]
    books: TextBooks
    on_begun: Callable[[], None]
    on_closed: "Callable[[TextSession], None]"
    max_wait_s: float | None


class Terms(msgspec.Struct, frozen=True):
    """What holds for all of a session's answers. `max_total_tokens` is the most that all of them may have together."""

    sampling: Sampling
    stop: Sequence[str]
    max_total_tokens: int | None


class TextSession:
    """Event loop only. Use it as a context manager: leaving the block closes it.

        async with await engine.open_session(messages) as session:
            async for event in session.write(Pause(at_sentence=True)):
                ...

    `answer` is the device thread's while a chunk is written.
    """

    def __init__(self, host: Host, prompt: Prompt, terms: Terms, *, is_remembered: bool) -> None:
        self.sampling = terms.sampling
        self.text = ""  # all that readers have got
        self._host = host
        self._terms = terms
        self._job = host.scheduler.open_job(self, prompt.tokens, is_remembered=is_remembered)
        self._ledger = TextLedger(host.books)
        self._num_prompt = 0
        self._num_written: int = 0  # of the answers before this one
        self._ask(prompt)
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._is_writing = False  # the device is, or is asked to
        self._has_begun = False
        self._patience = Patience(
            host.max_wait_s,
            lambda: host.scheduler.is_waiting(self._job),
            lambda: self.fail(CapacityError("no slot has become free in time")),
        )
        self._is_read = False
        self._is_appending = False
        self._error: Exception | None = None

    # -- chunks --------------------------------------------------------------------------------------------------------

    def write(self, pause: Pause) -> AsyncGenerator[Event, None]:
        """One chunk: its tokens as they are written, then its end. It begins now. Who leaves the iterator pauses the
        chunk, within a step; what was not read comes first in the next one.

        Raises:
            WrongState: a chunk is being written, or turns are being added.
            SessionClosed: the session is closed; also from the iterator, when that happens meanwhile.
            EngineFailure: the device has failed; likewise, behind the tokens that were written before.
        """
        self._check_idle()
        self._take_back_unread()
        self._ledger.asked()
        self._is_writing = True
        self.on_result([_ALREADY_DONE] if self.answer.is_done else self.answer.begin(pause, self._host.clock()))
        if self._is_writing:
            self._host.scheduler.submit(self._job)
            if not self._has_begun:
                self._patience.start()
        self._begin()
        return self._read()

    def pause(self) -> bool:
        """End the chunk with the token that is being made. False: no chunk is being written."""
        if self._is_writing:
            self._host.scheduler.stop(self._job)
        return self._is_writing

    async def append(self, messages: Messages) -> None:
        """Add turns before going on; an answer that is done gives way to a new one. What was held of an answer has not
        been read: it is taken back.

        Raises:
            WrongState, SessionClosed, EngineFailure: as `write`.
            RequestError: the model's chat template refuses the turns. The session is as it was.
            ContextTooLong: they leave no room for an answer. Likewise.
        """
        self._check_idle()
        self._take_back_unread()
        self._is_appending = True
        try:
            answer, drawn = self.text[self._answer_start :], self._job.sequence.tokens[len(self._prompt.tokens) :]
            prompt = await asyncio.to_thread(next_prompt, self._host.model, self._prompt, drawn, answer, messages)
        except Exception:
            if self._error is not None:  # the model was closed meanwhile, because it has failed
                raise self._error from None
            raise
        finally:
            self._is_appending = False
        self._check_idle()
        self._host.scheduler.rewrite(self._job, prompt.tokens)
        self._num_written += self.answer.num_given
        self._ask(prompt)

    @property
    def is_done(self) -> bool:
        """Whether the answer has ended, and was read to its end."""
        return not self._is_writing and not self._events and self.answer.is_done

    @property
    def is_writing(self) -> bool:
        """Whether a chunk is under way, or its end has not been read."""
        return self._is_writing or self._is_read

    @property
    def is_aside(self) -> bool:
        """Whether what it has in the cache was put aside for others."""
        return self._job.is_aside

    @property
    def usage(self) -> Usage:
        return Usage(self._num_prompt, self._job.num_cached, self._num_written + self.answer.num_given)

    # -- the end -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """The client wants no more. The device stops within a step; by then the slot and the cells are free."""
        outcome = "cancelled" if self.is_writing else "done"
        self._events.clear()
        self._close(SessionClosed("the session was closed"), outcome)

    def fail(self, error: Exception) -> None:
        """End with an error, behind the tokens that are already here."""
        self._close(error, "failed")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    # -- from the engine -----------------------------------------------------------------------------------------------

    def on_result(self, result: Sequence[Event] | EngineFailure) -> None:
        """What a step has made of the chunk. Called on the session's loop."""
        if self._error is not None:
            return
        if isinstance(result, EngineFailure):
            self.fail(result)
            return
        self._note_read()
        self._events.extend(result)
        self._is_writing = not (result and isinstance(result[-1], ChunkEnd))
        self._news.set()

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _read(self) -> AsyncGenerator[Event, None]:
        self._is_read = True
        is_over = False
        try:
            while not is_over:
                event = await self._next_event()
                is_over = isinstance(event, ChunkEnd)
                self._is_read = not is_over
                yield event
        finally:
            if not is_over:
                self._is_read = False
                await self._settle()

    async def _next_event(self) -> Event:
        await self._wait(lambda: bool(self._events) or self._error is not None)
        if not self._events:
            assert self._error is not None, "else there are events"
            raise self._error
        event = self._events.popleft()
        self._ledger.read(event)
        self.text += event.text if isinstance(event, Token) else ""
        return event

    async def _settle(self) -> None:
        """Pause, and wait until the device has."""
        self.pause()
        await self._wait(lambda: not self._is_writing)

    async def _wait(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._news.clear()
            await self._news.wait()

    def _check_idle(self) -> None:
        if self._error is not None:
            raise self._error
        if self.is_writing:
            raise WrongState("a chunk of this session is being written: wait for its end, or pause it")
        if self._is_appending:
            raise WrongState("turns are being added to this session")

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._host.on_begun()

    def _take_back_unread(self) -> None:
        """What the reader of the last chunk has left."""
        self.answer.take_back([event for event in self._events if isinstance(event, Token)])
        self._events.clear()

    def _ask(self, prompt: Prompt) -> None:
        """A new answer, to this prompt."""
        self._prompt = prompt
        self._num_prompt += prompt.num_new
        self._answer_start = len(self.text)
        most = self._host.model.context_length - len(prompt.tokens)
        if self._terms.max_total_tokens is not None:
            most = min(most, self._terms.max_total_tokens - self._num_written)
        self.answer = Answer(self._terms.stop, most)

    def _note_read(self) -> None:
        """How much of its prompts the model has read by now."""
        if self._job.has_begun:
            num_missing = max(0, len(self._prompt.tokens) - self._job.sequence.num_evaluated)
            self._ledger.evaluated(self._num_prompt - num_missing, self._job.num_cached)

    def _close(self, error: Exception, outcome: Outcome) -> None:
        if self._error is not None:
            return
        self._error = error
        self._note_read()
        self._ledger.close(outcome, self.usage)
        self._is_writing = False
        self._patience.stop()
        self._begin()
        self._host.scheduler.close_job(self._job)
        self._host.on_closed(self)
        self._news.set()
