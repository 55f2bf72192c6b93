"""Adaptive: text appended piecewise over HTTP, one audio stream out, cut by what its listener still has to hear."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, Literal

import msgspec
from litestar import delete, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, JSONBody
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from engines.encoders import DEFAULT_RATE_HZ
from engines.engine import Engine
from engines.errors import SessionClosed
from engines.formats import AudioForm, audio_form
from engines.session import Session
from engines.types import SMALL_CHUNKS
from modes.described import OPENS_SESSION, AudioOperation, OptionalBody
from modes.http_audio import Manner, chunks, data_of, headers_of, open_session

IDLE_S: Final = 30.0
"""A stream that nobody uses for so long is closed."""

REMEMBERED_S: Final = 300.0
"""A stream that is over keeps its id for so long, so that a late request gets a better answer than 404."""


class OpenRequest(Manner, frozen=True, kw_only=True):
    """How the stream will sound. Its text comes later."""

    sample_rate: int = DEFAULT_RATE_HZ
    response_format: str = "pcm"


class AppendRequest(msgspec.Struct, frozen=True):
    """More text, as an LLM writes it."""

    text: str


class Opened(msgspec.Struct, frozen=True):
    """Where to send text and where to listen."""

    stream_id: str
    audio_url: str


class Status(msgspec.Struct, frozen=True):
    """What became of a request on a stream."""

    status: str


class AdaptiveStream:
    """One stream between its requests. Event loop only.

    It is open while text may come, closed while the rest is spoken, and then over: `done` when its audio was read to
    the end, `cancelled`, or `expired` when nobody came for it. It lets go of its session then: what is remembered of it
    takes no memory to speak of.
    """

    def __init__(self, session: Session, form: AudioForm, source_hz: int, idle_s: float) -> None:
        self.form = form
        self.state: Literal["open", "closed", "done", "cancelled", "expired"] = "open"
        self.has_reader = False
        self.ended_at_s: float | None = None
        self._session: Session | None = session
        self._source_hz = source_hz
        self._idle_s = idle_s
        self._timer = asyncio.get_running_loop().call_later(idle_s, self._on_timer)

    @property
    def session(self) -> Session:
        """Raises SessionClosed: the stream is over."""
        if self._session is None:
            raise SessionClosed(f"the stream is {self.state}")
        return self._session

    def close(self) -> None:
        """No more text; what is there will be spoken."""
        if self.state == "open":
            self.state = "closed"
            self.session.finish()

    def end(self, state: Literal["done", "cancelled", "expired"]) -> None:
        """Nothing more will be heard of it."""
        if self.state in ("open", "closed"):
            self.state = state
            self.ended_at_s = asyncio.get_running_loop().time()
            self._timer.cancel()
            self.session.cancel()
            self._session = None

    async def audio(self) -> AsyncGenerator[bytes]:
        """The stream's chunks. A reader that leaves before the end takes the stream with it."""
        try:
            yield b""  # the answer begins now, however late the text comes
            encoder = self.form.encoder(self._source_hz)
            async with aclosing(data_of(chunks(self.session, encoder, SMALL_CHUNKS))) as audio:
                async for chunk in audio:
                    yield chunk
            self.end("done")
        finally:
            self.end("cancelled")

    def _on_timer(self) -> None:
        """Text, reading and generation all keep a stream alive: close it when all have rested, and then forget it."""
        left_s = self._idle_s - self.session.idle_s
        if left_s <= 0 and self.state == "closed":
            self.end("expired")
            return
        if left_s <= 0:
            self.close()
            left_s = self._idle_s
        self._timer = asyncio.get_running_loop().call_later(left_s, self._on_timer)


class Streams:
    """The streams by id, and for a while those that are over. Event loop only."""

    def __init__(self, remembered_s: float) -> None:
        self._streams: dict[str, AdaptiveStream] = {}
        self._remembered_s = remembered_s

    def add(self, stream: AdaptiveStream) -> str:
        """The new stream's id. Ids of streams that have been over for long enough are forgotten on the way."""
        self._forget()
        stream_id = str(uuid.uuid4())
        self._streams[stream_id] = stream
        return stream_id

    def get(self, stream_id: str) -> AdaptiveStream:
        """The stream of this id.

        Raises:
            NotFoundException: there is none, or it has been over for too long.
        """
        stream = self._streams.get(stream_id)
        if stream is None:
            raise NotFoundException(f"no stream {stream_id!r}")
        return stream

    def _forget(self) -> None:
        oldest_s = asyncio.get_running_loop().time() - self._remembered_s
        self._streams = {
            stream_id: stream
            for stream_id, stream in self._streams.items()
            if stream.ended_at_s is None or stream.ended_at_s >= oldest_s
        }


def mode(
    engine: Engine, *, idle_s: float = IDLE_S, remembered_s: float = REMEMBERED_S
) -> Sequence[ControllerRouterHandler]:
    """`/v1/tts/stream` and what is below it."""
    streams = Streams(remembered_s)

    @post("/v1/tts/stream", status_code=200, summary="Open a stream", operation_class=OptionalBody, opt=OPENS_SESSION)
    async def open_stream(data: JSONBody[OpenRequest | None] = None) -> Opened:
        request = data or OpenRequest()
        form = audio_form(request.response_format, request.sample_rate, request.encoding)
        session = open_session(engine, request, cutting="adaptive", idle_flush_s=engine.limits.idle_flush_s)
        stream_id = streams.add(AdaptiveStream(session, form, engine.format.sample_rate_hz, idle_s))
        return Opened(stream_id, f"/v1/tts/stream/{stream_id}/audio")

    @post("/v1/tts/stream/{stream_id:str}/append", status_code=202, summary="Add text")
    async def append(stream_id: FromPath[str], data: JSONBody[AppendRequest]) -> Status:
        stream = streams.get(stream_id)
        _expect(stream.state == "open", stream)
        stream.session.push(data.text)
        return Status("accepted")

    @post("/v1/tts/stream/{stream_id:str}/close", status_code=200, summary="No more text")
    async def close(stream_id: FromPath[str]) -> Status:
        stream = streams.get(stream_id)
        _expect(stream.state != "cancelled", stream)
        stream.close()
        return Status("closed")

    @delete("/v1/tts/stream/{stream_id:str}", status_code=200, summary="Drop what is not spoken")
    async def cancel(stream_id: FromPath[str]) -> Status:
        streams.get(stream_id).end("cancelled")
        return Status("cancelled")

    @get("/v1/tts/stream/{stream_id:str}/audio", summary="Listen", operation_class=AudioOperation)
    async def audio(stream_id: FromPath[str]) -> Stream:
        stream = streams.get(stream_id)
        _expect(stream.state in ("open", "closed"), stream)
        if stream.has_reader:
            raise ClientException("this stream has a reader already", status_code=409)
        stream.has_reader = True
        return Stream(stream.audio(), media_type=stream.form.media_type, headers=headers_of(stream.form))

    return [open_stream, append, close, cancel, audio]


def _expect(is_expected: bool, stream: AdaptiveStream) -> None:
    if not is_expected:
        raise ClientException(f"the stream is {stream.state}", status_code=409)
