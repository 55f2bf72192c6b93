"""WebSocket `/ws`: streams that are written chunk by chunk, several of them at once, and stopped at any token."""

import asyncio
import logging
from typing import Any, Final, TypeAlias

import msgspec
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.handlers import WebsocketRouteHandler

from app.gate import OPENS_SESSION
from app.llm_messages import (
    Cancelled,
    CancelStream,
    ClientMessage,
    ContinueStream,
    Ended,
    EndStream,
    Failed,
    NotFollowed,
    PauseStream,
    Ping,
    Pong,
    ServerMessage,
    StartStream,
    decode,
)
from app.llm_stream import Stream
from engines.llm.engine import TextEngine

Socket: TypeAlias = WebSocket[Any, Any, Any]

MAX_ANSWERS: Final = 1000
"""So many wait for a client that asks and does not read; then it is let go."""

INTERNAL_ERROR: Final = 1011
"""Source: RFC 6455, section 7.4.1, as registered with IANA."""

logger = logging.getLogger("tiding.app")


def socket_of(engine: TextEngine, max_message_bytes: int) -> WebsocketRouteHandler:
    """The route."""

    @websocket("/ws", opt=OPENS_SESSION)
    async def text_socket(socket: Socket) -> None:
        await socket.accept()
        await Connection(engine, socket, max_message_bytes).serve()

    return text_socket


class Connection:
    """One socket. Its reader takes messages as they come and never waits for anything else, so that it sees a pause, a
    cancel and the client's leaving at once; each stream writes in a task of its own; what the reader has to say is sent
    by one more.
    """

    def __init__(self, engine: TextEngine, socket: Socket, max_message_bytes: int) -> None:
        self._engine = engine
        self._socket = socket
        self._max_message_bytes = max_message_bytes
        self._streams: dict[str, Stream] = {}
        self._writers: dict[Stream, asyncio.Task[None]] = {}
        self._answers: asyncio.Queue[ServerMessage] = asyncio.Queue(MAX_ANSWERS)
        self._has_failed = asyncio.Event()

    async def serve(self) -> None:
        """Run until the client leaves or the engine has failed, and leave nothing behind."""
        own = [asyncio.create_task(work) for work in (self._read(), self._answer(), self._has_failed.wait())]
        try:
            await asyncio.wait(own, return_when=asyncio.FIRST_COMPLETED)
        finally:
            tasks = (*own, *self._writers.values())
            for stream in self._writers:
                stream.drop()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
                logger.error("a socket broke", exc_info=result)
        if self._has_failed.is_set():  # not before: Granian sends no close while somebody waits for a message
            await self._socket.close(INTERNAL_ERROR, "the engine has failed")

    # -- reader --------------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while (event := await self._socket.receive())["type"] == "websocket.receive":
            try:
                self._follow(decode(event.get("bytes") or event.get("text") or "", self._max_message_bytes))
            except NotFollowed as error:
                self._engine.refusals.count(error.code)
                self._say(Failed(error.stream_id, str(error), error.code))
            if self._answers.full():
                logger.info("a client that does not read its answers is let go")
                return

    def _follow(self, message: ClientMessage) -> None:
        match message:
            case StartStream():
                self._start(message)
            case ContinueStream():
                self._find(message.stream_id).go_on(message)
            case PauseStream():
                self._find(message.stream_id).pause()
            case CancelStream():
                self._find(message.stream_id).leave(Cancelled)
            case EndStream():
                self._end(message.stream_id)
            case Ping():
                self._say(Pong())

    def _start(self, message: StartStream) -> None:
        stream_id, max_sessions = message.stream_id, self._engine.limits.max_sessions
        last = self._streams.get(stream_id)
        if last is not None and not last.has_ended:
            raise NotFollowed(f"Stream {stream_id} already exists", "stream_exists", stream_id)
        if len(self._writers) >= 2 * max_sessions:  # some of them are over, and wait for their client to read that
            raise NotFollowed(f"No slot: all {max_sessions} sessions are in use", "at_capacity", stream_id)
        stream = Stream(self._engine, message, self._send)
        self._streams[stream_id] = stream
        self._writers[stream] = asyncio.create_task(self._write(stream, self._writers.get(last) if last else None))

    def _end(self, stream_id: str) -> None:
        stream = self._streams.get(stream_id)
        if stream is None or not stream.leave(Ended):
            self._say(Ended(stream_id))

    def _find(self, stream_id: str) -> Stream:
        stream = self._streams.get(stream_id)
        if stream is None or stream.has_ended:
            raise NotFollowed("Stream not found", "stream_not_found", stream_id)
        return stream

    def _say(self, message: ServerMessage) -> None:
        self._answers.put_nowait(message)

    # -- writers -------------------------------------------------------------------------------------------------------

    async def _write(self, stream: Stream, last: asyncio.Task[None] | None) -> None:
        """All of a stream, behind all of the `last` one with this id."""
        if last is not None:
            await asyncio.wait([last])
        try:
            await stream.run()
        except WebSocketDisconnect:
            return  # the reader sees it too
        except Exception:
            logger.exception("a stream broke")
            await self._send(Failed(stream.stream_id, "internal server error", "internal_error"))
        finally:
            self._forget(stream)
        if self._engine.state == "failed":
            self._give_up()

    def _forget(self, stream: Stream) -> None:
        stream.drop()
        del self._writers[stream]
        if self._streams.get(stream.stream_id) is stream:
            del self._streams[stream.stream_id]

    def _give_up(self) -> None:
        """Every stream says what it has to, then the socket is closed."""
        for stream in self._writers:
            stream.drop()
        if not self._writers:
            self._has_failed.set()

    async def _answer(self) -> None:
        while True:
            await self._send(await self._answers.get())

    async def _send(self, message: ServerMessage) -> None:
        text = msgspec.json.encode(message).decode()
        await self._socket.send({"type": "websocket.send", "bytes": None, "text": text})
