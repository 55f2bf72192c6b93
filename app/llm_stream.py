"""One stream of a socket: an answer that is written chunk by chunk, as its client asks for them."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from app.llm_messages import (
    Cancelled,
    ContinueStream,
    Ended,
    Failed,
    NotFollowed,
    PauseAt,
    ServerMessage,
    StartStream,
    TokenWritten,
    token_chunk,
    whole_chunk,
)
from app.turns import messages_of
from engines.errors import CapacityError, EngineFailure, RequestError, SessionClosed, SpeechError
from engines.llm.engine import TextEngine
from engines.llm.session import TextSession
from engines.llm.types import ChunkEnd, Message, Pause, Token

MAX_GOODBYES: Final = 2
"""That wait to be sent: who ends a stream again and again, and reads nothing, must not fill the memory with them."""

Send: TypeAlias = Callable[[ServerMessage], Awaitable[None]]


class Stream:
    """From its start to its end. Event loop only: `run` is a task, which alone sends; the other methods are called by
    the reader of the socket meanwhile, and do not wait.
    """

    def __init__(self, engine: TextEngine, start: StartStream, send: Send) -> None:
        self.stream_id = start.stream_id
        self.has_ended = False
        self._engine = engine
        self._start = start
        self._send = send
        self._session: TextSession | None = None
        self._wishes: asyncio.Queue[ContinueStream | None] = asyncio.Queue()
        self._is_asked = True  # for a chunk that has not been answered
        self._is_held = False  # paused before that chunk was begun
        self._is_first = True
        self._sent = _Sent()
        self._full_text = ""
        self._goodbyes: deque[type[Cancelled | Ended]] = deque()

    # -- the reader asks -----------------------------------------------------------------------------------------------

    def go_on(self, wish: ContinueStream) -> None:
        """Write another chunk.

        Raises:
            NotFollowed: one is being written.
        """
        if self._is_asked:
            raise NotFollowed("a chunk of this stream is being written", "wrong_state", self.stream_id)
        self._is_asked, self._is_held, self._sent = True, False, _Sent()
        self._wishes.put_nowait(wish)

    def pause(self) -> None:
        """End the chunk at its next token.

        Raises:
            NotFollowed: none is being written.
        """
        if not self._is_asked:
            raise NotFollowed("no chunk of this stream is being written", "wrong_state", self.stream_id)
        self._is_held = self._session is None or not self._session.pause()

    def leave(self, goodbye: type[Cancelled | Ended]) -> bool:
        """End the stream, and say so when nothing more of it can come. False: it has said goodbye often enough."""
        if len(self._goodbyes) == MAX_GOODBYES:
            return False
        self._goodbyes.append(goodbye)
        self.drop()
        return True

    def drop(self) -> None:
        """End the stream: its device work is over within one step."""
        self.has_ended = True
        if self._session is not None:
            self._session.close()
        self._wishes.put_nowait(None)

    # -- its task ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write what is asked for, until the stream is ended or breaks."""
        try:
            if not self.has_ended:
                await self._live()
        except SpeechError as error:
            await self._break(error)
        while self._goodbyes:
            await self._say(self._goodbyes.popleft())

    async def _live(self) -> None:
        async with await self._open() as session:
            await self._write(session, self._start.pause)
            while (wish := await self._wishes.get()) is not None:
                try:
                    await self._follow(session, wish)
                except (RequestError, CapacityError) as error:  # the stream stays as it was
                    await self._refuse(error)

    async def _open(self) -> TextSession:
        start = self._start
        self._session = await self._engine.open_session(
            messages_of(start.messages),
            sampling=start.sampling,
            stop=start.stop_words,
            max_total_tokens=start.max_total_tokens,
        )
        if self.has_ended:
            self._session.close()
        return self._session

    async def _follow(self, session: TextSession, wish: ContinueStream) -> None:
        if wish.append:
            said = wish.append
            await session.append([Message("user", said)] if isinstance(said, str) else messages_of(said))
        await self._write(session, wish.pause)

    async def _write(self, session: TextSession, pause: PauseAt | None) -> None:
        """One chunk: its tokens as they come, or all of it at once, and how it ended."""
        if self._is_held:
            await self._report(self._sent.end())
            return
        async for event in session.write(pause.wanted if pause else Pause()):
            if isinstance(event, ChunkEnd):
                await self._report(event)
                continue
            self._sent.add(event)
            if self._start.stream_tokens:
                await self._send(TokenWritten(self.stream_id, event.text))

    async def _report(self, end: ChunkEnd) -> None:
        self._full_text += end.text
        is_first, self._is_first, self._is_asked, self._sent = self._is_first, False, False, _Sent()
        if self._start.stream_tokens:
            await self._send(token_chunk(self.stream_id, end))
        else:
            await self._send(whole_chunk(self.stream_id, end, self._full_text, is_first=is_first))

    async def _say(self, goodbye: type[Cancelled | Ended]) -> None:
        if goodbye is Cancelled:
            self._is_asked = False
            await self._send(Cancelled(self.stream_id, self._full_text + self._sent.text))
            return
        if self._is_asked:  # who asked for a chunk is told how it ended
            await self._report(self._sent.end())
        await self._send(Ended(self.stream_id))

    async def _break(self, error: SpeechError) -> None:
        if not (self.has_ended and isinstance(error, SessionClosed)):
            self.has_ended = True
            await self._refuse(error)

    async def _refuse(self, error: SpeechError) -> None:
        self._is_asked = False
        if self._session is None:
            self._engine.refusals.note(error.code, str(error))
        elif not isinstance(error, EngineFailure):  # that is said of the session
            self._engine.refusals.count(error.code)
        await self._send(Failed(self.stream_id, str(error), error.code))


class _Sent:
    """What has come of a chunk, for the case that its end does not."""

    def __init__(self) -> None:
        self.text = ""
        self._num_tokens = 0
        self._started_s = time.monotonic()
        self._ttft_ms: float | None = None

    def add(self, token: Token) -> None:
        if self._ttft_ms is None:
            self._ttft_ms = self._elapsed_ms()
        self.text += token.text
        self._num_tokens += token.num_tokens

    def end(self) -> ChunkEnd:
        """As if the client had paused it here."""
        return ChunkEnd("client", self.text, self._num_tokens, self._ttft_ms, self._elapsed_ms(), is_done=False)

    def _elapsed_ms(self) -> float:
        return 1000 * (time.monotonic() - self._started_s)
