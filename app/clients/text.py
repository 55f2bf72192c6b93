"""Answers of the LLM, chunk by chunk: each is written when it is asked for, and may be stopped at any token.

async with TextClient("http://localhost:8002") as client:
    async with client.answer([{"role": "user", "content": "Why is the sky blue?"}], Pause(at_sentence=True)) as answer:
        while not answer.is_done:
            async for token in answer.chunk():
                print(token, end="", flush=True)
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, Final, Self, TypedDict, Unpack

import msgspec

from app.clients.connection import PATIENCE_S, Connection
from app.clients.errors import ClientError, Refused
from app.clients.text_events import ChunkEnd, Heard, decode

PATH: Final = "/ws"
_TOO_LATE: Final = "wrong_state"


class Turn(TypedDict):
    """A message of a conversation."""

    role: str
    content: Any


class Drawing(TypedDict, total=False):
    """How tokens are drawn: fields of `start_stream`, which the reference of the LLM server describes. What is left out
    is as the server says.
    """

    temperature: float
    top_p: float
    top_k: int
    seed: int
    stop: str | Sequence[str]
    max_total_tokens: int


class Pause(msgspec.Struct, frozen=True):
    """Where a chunk ends: after so many tokens, with a sentence, or whichever comes first. Neither: with the answer."""

    max_tokens: int | None = None
    at_sentence: bool = False


TO_THE_END: Final = Pause()


class TextClient:
    """A connection to an LLM server, and the answers that are written on it. Connects when it is first used, and again
    after it was lost. Event loop only.
    """

    def __init__(self, url: str, *, api_key: str | None = None, patience_s: float = PATIENCE_S) -> None:
        self._answers: dict[str, Answer] = {}
        self._names = itertools.count(1)
        self._connection = Connection(
            url, PATH, api_key=api_key, patience_s=patience_s, receive=self._receive, lose=self._lose
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def is_open(self) -> bool:
        return self._connection.is_open

    async def open(self) -> None:
        """Connect now rather than with the first answer.

        Raises:
            Disconnected: the server cannot be reached.
            Refused: it does not let us in.
        """
        await self._connection.open()

    async def aclose(self) -> None:
        """Leave. Answers that are not over end with `Disconnected`."""
        await self._connection.close()

    def answer(self, messages: Sequence[Turn], pause: Pause = TO_THE_END, **drawing: Unpack[Drawing]) -> "Answer":
        """The answer to a conversation, which begins with its first chunk; `pause` says where its chunks end."""
        return Answer(self, self._connection, f"answer-{next(self._names)}", messages, pause, drawing)

    # -- for its answers -----------------------------------------------------------------------------------------------

    def add(self, answer: "Answer") -> None:
        self._answers[answer.stream_id] = answer

    def remove(self, answer: "Answer") -> None:
        self._answers.pop(answer.stream_id, None)

    # -- the connection's reader ---------------------------------------------------------------------------------------

    def _receive(self, data: str | bytes) -> None:
        message = decode(data)
        answer = self._answers.get(message.stream_id or "")
        if answer is not None:
            answer.hear(message)

    def _lose(self, error: ClientError) -> None:
        for answer in list(self._answers.values()):
            answer.fail(error)


class Answer:
    """One answer. Between two chunks the model holds it, and goes on from there. Leaving its block ends it. Event loop
    only; one task takes chunks, and any may pause or cancel.
    """

    def __init__(
        self,
        client: TextClient,
        connection: Connection,
        stream_id: str,
        messages: Sequence[Turn],
        pause: Pause,
        drawing: Drawing,
    ) -> None:
        self.stream_id = stream_id
        self.text = ""
        """What has come of it."""
        self.last: ChunkEnd | None = None
        """How the last chunk ended."""
        self.is_over = False
        """Cancelled, ended or broken: no further chunk can be asked for."""
        self._client = client
        self._connection = connection
        self._messages = messages
        self._pause = pause
        self._drawing = drawing
        self._has_begun = False
        self._is_writing = False
        self._failure: ClientError | None = None
        self._written: asyncio.Future[str] | None = None  # the answer to a cancel
        self._heard: asyncio.Queue[Heard | ClientError | None] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._has_begun and not self.is_over:
            with suppress(ClientError):
                await self._cut_off()
            self._client.remove(self)

    @property
    def is_done(self) -> bool:
        """Whether the model has nothing more to say."""
        return self.last is not None and self.last.is_done

    async def chunk(
        self, pause: Pause | None = None, *, append: str | Sequence[Turn] | None = None
    ) -> AsyncIterator[str]:
        """Have the next chunk written, and take its tokens as they come; of one that was left before its end, the rest.
        `pause` says where it ends, if not where all do; `append` is what a user says before it, which is answered.

        Raises:
            Disconnected: the server cannot be reached, or was lost. The answer is over.
            Refused: the server does not let us in, or does not follow.
        """
        if not self._is_writing:
            await self._ask(pause or self._pause, append)
        while not self.is_over or not self._heard.empty():
            message = await self._heard.get()
            if message is None:
                return
            if isinstance(message, ClientError):
                raise message
            if message.type != "token":
                self.last = message.end
                return
            self.text += message.content
            yield message.content

    async def pause(self) -> None:
        """Let the chunk that is being written end at its next token. Without one nothing happens."""
        if self._is_writing and not self.is_over:
            await self._send("pause_stream")

    async def cancel(self) -> str:
        """Drop it, in the middle of a chunk too. Nothing more comes of it, not even what was not yet taken. Returns all
        that was written.

        Raises:
            Disconnected: the connection is lost. The answer is over all the same.
        """
        if not self._has_begun:
            self.is_over = True
            return ""
        if self._failure is not None:
            raise self._failure
        if self._written is None:
            self._written = asyncio.get_running_loop().create_future()
            await self._cut_off()
        return await asyncio.shield(self._written)

    async def _cut_off(self) -> None:
        self.is_over = True
        self._is_writing = False
        while not self._heard.empty():
            self._heard.get_nowait()
        self._heard.put_nowait(None)
        await self._send("cancel_stream")

    async def _ask(self, pause: Pause, append: str | Sequence[Turn] | None) -> None:
        if self._failure is not None:
            raise self._failure
        if self.is_over:
            return
        where = {"pause": {"max_tokens": pause.max_tokens, "sentence_boundary": pause.at_sentence}}
        if self._has_begun:
            self._is_writing = True
            await self._send("continue_stream", append=append, **where)
            return
        await self._connection.open()
        self._client.add(self)
        self._has_begun = self._is_writing = True
        await self._send("start_stream", messages=self._messages, stream_tokens=True, **where, **self._drawing)

    async def _send(self, action: str, **fields: Any) -> None:
        await self._connection.send({"action": action, "stream_id": self.stream_id, **fields})

    # -- what comes ----------------------------------------------------------------------------------------------------

    def hear(self, message: Heard) -> None:
        """The server says this of the answer."""
        if message.code == _TOO_LATE:
            return  # a pause has crossed the end of its chunk
        if self.is_over:
            if (
                self._written is not None
                and not self._written.done()
                and (message.error or message.type == "cancelled")
            ):
                self._client.remove(self)
                self._written.set_result(message.full_text)
        elif message.error:
            self._is_writing = False
            self._heard.put_nowait(Refused(message.error, message.code))
        elif message.type in ("token", "paused", "done"):
            self._is_writing = message.type == "token"
            self._heard.put_nowait(message)

    def fail(self, error: ClientError) -> None:
        """The answer has ended by this."""
        if self._written is not None and not self._written.done():
            self._written.set_exception(error)
            self._written.exception()  # it may be that nobody asks any more
        self._failure = error
        if self._is_writing:
            self._heard.put_nowait(error)
        self.is_over = True
        self._is_writing = False
        self._client.remove(self)
