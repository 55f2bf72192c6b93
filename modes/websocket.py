"""WebSocket: text in as an LLM writes it, paced audio out, and a barge-in at any time."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from litestar import websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.types import ControllerRouterHandler

from engines.engine import Engine
from engines.errors import CapacityError, EngineFailure, ShareUsedUp, SpeechError
from modes.contexts import Context
from modes.described import OPENS_SESSION
from modes.messages import (
    Cancel,
    Cancelled,
    ClientMessage,
    Close,
    Failed,
    Flush,
    Init,
    NotUnderstood,
    Ping,
    Pong,
    ServerMessage,
    Text,
    Warn,
    decode,
    in_context,
)
from modes.outbox import Outbox, Socket

INTERNAL_ERROR: Final = 1011
TRY_AGAIN_LATER: Final = 1013
"""Source: RFC 6455, section 7.4.1, as registered with IANA."""

EXPECTED_ENDS: Final = (WebSocketDisconnect, EngineFailure, CapacityError)
"""That the client knows of."""


def mode(engine: Engine) -> Sequence[ControllerRouterHandler]:
    """`/ws/tts/stream`."""

    @websocket("/ws/tts/stream", opt=OPENS_SESSION)
    async def speech_socket(socket: Socket) -> None:
        await socket.accept()
        await Connection(engine, socket).serve()

    return [speech_socket]


class Connection:
    """One socket. Its reader takes messages as they come and hands each to its context; every context that has
    something to speak sends it in a task of its own.
    """

    def __init__(self, engine: Engine, socket: Socket) -> None:
        self._engine = engine
        self._socket = socket
        self._outbox = Outbox(socket)
        self._unnamed = Context(None, engine, self._outbox, self._spawn, Init())
        self._named: dict[str, Context] = {}  # the last is the one that a message was for last
        self._speakers: set[asyncio.Task[None]] = set()
        self._broken = asyncio.Event()
        self._problem: BaseException | None = None  # of the first speaker that broke

    async def serve(self) -> None:
        """Run until the client leaves, and leave nothing behind."""
        tasks = [asyncio.create_task(work) for work in (self._read(), self._until_broken())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for context in (self._unnamed, *self._named.values()):
                context.drop()
            tasks += self._speakers
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            if isinstance(self._problem, SpeechError):  # now that nobody receives: Granian would not send it
                code = TRY_AGAIN_LATER if isinstance(self._problem, CapacityError) else INTERNAL_ERROR
                await self._socket.close(code, str(self._problem))
        for result in (self._problem, *results):
            if isinstance(result, Exception) and not isinstance(result, EXPECTED_ENDS):
                raise result

    def _spawn(self, speaking: Coroutine[Any, Any, None]) -> None:
        speaker = asyncio.create_task(speaking)
        self._speakers.add(speaker)
        speaker.add_done_callback(self._end)

    def _end(self, speaker: asyncio.Task[None]) -> None:
        self._speakers.discard(speaker)
        problem = None if speaker.cancelled() else speaker.exception()
        if problem is not None:
            self._problem = self._problem or problem
            self._broken.set()

    async def _until_broken(self) -> None:
        await self._broken.wait()

    # -- reader --------------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while (event := await self._socket.receive())["type"] == "websocket.receive":
            try:
                data = event.get("bytes") or event.get("text") or ""
                message = decode(data, self._engine.limits.max_message_bytes)
            except NotUnderstood as error:
                self._engine.refusals.count(error.code)
                await self._say(Failed(str(error), error.code), error.context_id)
                continue
            try:
                answer = self._follow(message)
            except SpeechError as error:
                self._engine.refusals.note(error.code, str(error))
                if self._sends_away(error):
                    self._problem = error
                answer = Failed(str(error), error.code, fatal=self._problem is error)
            if answer is not None:
                await self._say(answer, message.context_id)
            if self._problem is not None:
                return

    def _sends_away(self, error: SpeechError) -> bool:
        """Whether a client should come back later: there is no room, and nothing of it is being spoken. One that has
        named contexts goes on with those.
        """
        is_full = isinstance(error, CapacityError) and not isinstance(error, ShareUsedUp)
        return is_full and not self._named and not self._unnamed.has_text

    def _follow(self, message: ClientMessage) -> ServerMessage | None:
        """What the reader has to answer, if anything. Contexts are not made for messages that begin nothing."""
        match message:
            case Init():
                context = self._find_or_make(message.context_id)
                context.start_over(message)
                self._keep(context)
            case Text():
                context = self._find_or_make(message.context_id)
                left_out = context.add(message)
                self._keep(context)
                return _left_out(left_out) if left_out else None
            case Close():
                context = self._find(message.context_id)
                is_closed = context is not None and context.close()
                return None if is_closed else Failed("no stream is open", "no_stream")
            case Cancel():
                context = self._find(message.context_id)
                return Cancelled(None, 0.0, "") if context is None else context.cancel(message)
            case Flush():
                if context := self._find(message.context_id):
                    context.flush()
            case Ping():
                return Pong()
        return None

    async def _say(self, message: ServerMessage, context_id: str | None) -> None:
        await self._outbox.send(in_context(message, context_id))

    # -- contexts ------------------------------------------------------------------------------------------------------

    def _find(self, name: str | None) -> Context | None:
        return self._unnamed if name is None else self._named.get(name)

    def _find_or_make(self, name: str | None) -> Context:
        """The context of this name; a new one has the settings of the one without a name.

        Raises:
            CapacityError: all contexts that a socket may have are speaking.
        """
        context = self._find(name)
        if context is not None:
            return context
        max_contexts = self._engine.limits.max_contexts
        if len(self._named) >= max_contexts and not any(context.is_idle for context in self._named.values()):
            raise CapacityError(f"all {max_contexts} contexts that this socket may have are speaking")
        return Context(name, self._engine, self._outbox, self._spawn, self._unnamed.options)

    def _keep(self, context: Context) -> None:
        """Remember a context that speaks, in place of the idle one that was spoken to least recently if need be."""
        if context.name is None or context.is_idle:
            return
        self._named.pop(context.name, None)
        if len(self._named) >= self._engine.limits.max_contexts:
            del self._named[next(name for name, other in self._named.items() if other.is_idle)]
        self._named[context.name] = context


def _left_out(chars: str) -> Warn:
    return Warn(f"characters that the voice cannot speak were left out: {chars}", "unspeakable")
