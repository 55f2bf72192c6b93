"""WebSocket: text in as an LLM writes it, paced audio out, and a barge-in at any time."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.types import ControllerRouterHandler

from engines.engine import Engine
from engines.errors import EngineFailure, SpeechError
from engines.segmenter import Verdict, sentence_end
from modes.http_audio import open_session
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
)
from modes.speaking import SpokenStream, cutting_of

Socket: TypeAlias = WebSocket[Any, Any, Any]

INTERNAL_ERROR = 1011
"""Source: RFC 6455, section 7.4.1, as registered with IANA."""


def mode(engine: Engine) -> Sequence[ControllerRouterHandler]:
    """`/ws/tts/stream`."""

    @websocket("/ws/tts/stream")
    async def speech_socket(socket: Socket) -> None:
        await socket.accept()
        await Connection(engine, socket).serve()

    return [speech_socket]


class Connection:
    """One socket. Its reader takes messages as they come; its speaker sends the streams one after the other."""

    def __init__(self, engine: Engine, socket: Socket) -> None:
        self._engine = engine
        self._socket = socket
        self._options = Init()
        self._streams: deque[SpokenStream] = deque()  # the first is being spoken, the last may still take text
        self._last: SpokenStream | None = None
        self._has_streams = asyncio.Event()
        self._failure: SpeechError | None = None  # of the engine: nothing more can be spoken

    async def serve(self) -> None:
        """Run until the client leaves, and leave nothing behind."""
        speaker = asyncio.create_task(self._speak())
        reader = asyncio.create_task(self._read())
        try:
            await asyncio.wait((speaker, reader), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for stream in self._streams:
                stream.drop()
            for task in (speaker, reader):
                task.cancel()
            results = await asyncio.gather(speaker, reader, return_exceptions=True)
            if self._failure is not None:  # now that nobody receives: Granian would not send it
                await self._socket.close(INTERNAL_ERROR, str(self._failure))
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
                raise result

    # -- reader --------------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while (event := await self._socket.receive())["type"] == "websocket.receive":
            try:
                await self._follow(decode(event.get("bytes") or event.get("text") or ""))
            except NotUnderstood as error:
                self._engine.refusals.count(error.code)
                await self._send(Failed(str(error), error.code))
            except SpeechError as error:
                self._engine.refusals.note(error.code, str(error))
                await self._send(Failed(str(error), error.code))

    async def _follow(self, message: ClientMessage) -> None:
        match message:
            case Init():
                self._start_over(message)
            case Text():
                await self._add(message)
            case Close():
                await self._close()
            case Cancel():
                await self._cancel(message)
            case Flush():
                if (stream := self._open_stream()) is not None:
                    stream.session.flush()
            case Ping():
                await self._send(Pong())

    def _start_over(self, options: Init) -> None:
        stream = self._create(options, is_asked_for=True)
        self._drop_all()
        self._options = options
        self._enqueue(stream)

    async def _add(self, message: Text) -> None:
        open_stream = self._open_stream()
        if not message.text.strip() and (open_stream is None or open_stream.stands_alone(message)):
            return  # blank; between tokens of an LLM it is a word's end, or a paragraph's
        stream = open_stream or self._create(self._options, is_asked_for=False)
        try:
            left_out = stream.push(message)
        except SpeechError:
            if stream not in self._streams:
                stream.drop()
            raise
        if stream not in self._streams:
            self._enqueue(stream)
        if left_out:
            await self._send(Warn(f"characters that the voice cannot speak were left out: {left_out}", "unspeakable"))
        if is_whole_sentence(message):
            stream.session.flush()

    async def _close(self) -> None:
        stream = self._open_stream()
        if stream is None:
            await self._send(Failed("no stream is open", "no_stream"))
        else:
            stream.close()

    async def _cancel(self, message: Cancel) -> None:
        """The speaker answers for the stream that it is sending. Without one, the last may still sound at the
        listener's.
        """
        first = next((stream for stream in self._streams if not stream.is_dropped), None)
        if first is not None:
            first.cancel(message.played_ms)
            self._drop_all()
        elif self._last is not None and self._last.is_audible(time.monotonic()):
            await self._send(self._last.cancel(message.played_ms))
        else:
            await self._send(Cancelled(None, 0.0, ""))

    def _open_stream(self) -> SpokenStream | None:
        """The stream that takes text, if there is one."""
        stream = self._streams[-1] if self._streams else None
        return None if stream is None or stream.is_closed or stream.is_dropped else stream

    def _create(self, options: Init, *, is_asked_for: bool) -> SpokenStream:
        engine = self._engine
        session = open_session(engine, options, cutting=cutting_of(options), idle_flush_s=engine.limits.idle_flush_s)
        send_rate = engine.limits.send_rate if options.send_rate is None else options.send_rate
        try:
            return SpokenStream(
                session, options, engine.format.sample_rate_hz, send_rate=send_rate, is_asked_for=is_asked_for
            )
        except Exception:
            session.cancel()
            raise

    def _enqueue(self, stream: SpokenStream) -> None:
        self._streams.append(stream)
        self._has_streams.set()

    def _drop_all(self) -> None:
        for stream in self._streams:
            stream.drop()

    # -- speaker -------------------------------------------------------------------------------------------------------

    async def _speak(self) -> None:
        while self._failure is None:
            await self._has_streams.wait()
            stream = self._streams[0]
            try:
                if stream.must_speak:
                    await stream.speak(self._send)
            except SpeechError as error:
                await self._break(stream, error)
            self._last = self._streams.popleft()
            if not self._streams:
                self._has_streams.clear()

    async def _break(self, stream: SpokenStream, error: SpeechError) -> None:
        """A stream that cannot go on ends with an error; the socket goes too when the engine has."""
        stream.drop()
        is_fatal = isinstance(error, EngineFailure) and self._engine.state != "ready"
        self._failure = error if is_fatal else None
        await self._send(Failed(str(error), error.code, fatal=is_fatal))

    async def _send(self, message: ServerMessage | bytes) -> None:
        if isinstance(message, bytes):
            await self._socket.send({"type": "websocket.send", "bytes": message, "text": None})
        else:
            text = msgspec.json.encode(message).decode()
            await self._socket.send({"type": "websocket.send", "bytes": None, "text": text})


def is_whole_sentence(message: Text) -> bool:
    """Whether a message without a `mode` is a sentence by itself, rather than an LLM's next token: several words, and
    an end that no next word could take back.
    """
    text = message.text.rstrip()
    if message.mode is not None or not any(char.isspace() for char in text.lstrip()):
        return False
    is_open_number = text.endswith(".") and text[-2:-1].isdigit()
    return not is_open_number and sentence_end(text + " The", len(text)) is Verdict.END
