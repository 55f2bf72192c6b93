"""Speech as it is made: text goes in as it is written, sound and its words come out, and it may be cut off at any time.

async with SpeechClient("http://localhost:8001") as client, client.stream(word_timestamps=True) as stream:
    await stream.say("Good morning. ")
    await stream.close()
    async for event in stream:
        ...  # Audio, Words, SegmentEnd, ... and at last Done
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Final, Literal, Self, TypeAlias, TypedDict, Unpack

from app.clients.connection import PATIENCE_S, Connection
from app.clients.errors import ClientError, Disconnected, Refused
from app.clients.speech_events import Audio, Cancelled, Chunk, Done, Event, Failed, Heard, decode

Delivery: TypeAlias = Literal["batch", "stream", "adaptive"]
Preset: TypeAlias = Literal["aggressive", "balanced", "conservative"]

PATH: Final = "/ws/tts/stream"


class Manner(TypedDict, total=False):
    """How a stream is spoken: the fields of `init`, which the reference of the WebSocket describes. What is left out is
    as the server says, but for `default_mode`: here it is `stream`, so that sound comes as it is made.
    """

    voice: str
    language: str
    default_mode: Delivery
    sample_rate: int
    encoding: Literal["pcm_s16le", "pcm_f32le", "mulaw", "alaw"]
    aggregate: Literal["auto", "none", "sentence", "clause", "word"]
    send_rate: float
    word_timestamps: bool
    speed: float
    markdown: bool
    lexicon: Mapping[str, str]
    seed: int
    temperature: float
    top_k: int
    cfg_scale: float


class SpeechClient:
    """A connection to a speech server, and the streams on it. Connects when it is first used, and again after it was
    lost. Event loop only.
    """

    def __init__(self, url: str, *, api_key: str | None = None, patience_s: float = PATIENCE_S) -> None:
        self._streams: dict[str, SpeechStream] = {}
        self._names = itertools.count(1)
        self._next_audio_of = ""
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
        """Connect now rather than with the first stream. Raises as `SpeechStream.open`."""
        await self._connection.open()

    async def aclose(self) -> None:
        """Leave. Streams that are not over end with `Disconnected`."""
        await self._connection.close()

    def stream(self, context_id: str | None = None, **manner: Unpack[Manner]) -> "SpeechStream":
        """A stream that begins with what is first done with it. `context_id` is its name on the connection: no other
        that is not over may have it.
        """
        name = f"stream-{next(self._names)}" if context_id is None else context_id
        return SpeechStream(self, self._connection, name, manner)

    # -- for its streams -----------------------------------------------------------------------------------------------

    def add(self, stream: "SpeechStream") -> None:
        """A stream is to hear what concerns it.

        Raises:
            ValueError: another one has its name.
        """
        if self._streams.setdefault(stream.context_id, stream) is not stream:
            raise ValueError(f"a stream named {stream.context_id!r} is still open")

    def remove(self, stream: "SpeechStream") -> None:
        self._streams.pop(stream.context_id, None)

    # -- the connection's reader ---------------------------------------------------------------------------------------

    def _receive(self, data: str | bytes) -> None:
        if isinstance(data, bytes):
            self._tell(self._next_audio_of, Audio(data))
        elif isinstance(message := decode(data), Chunk):
            self._next_audio_of = message.context_id
        elif message is not None:
            self._tell(message.context_id, message)

    def _tell(self, context_id: str, message: Audio | Heard) -> None:
        """What is said of a stream that nobody listens to any more is passed over."""
        if (stream := self._streams.get(context_id)) is not None:
            stream.hear(message)

    def _lose(self, error: ClientError) -> None:
        for stream in list(self._streams.values()):
            stream.fail(error)


class SpeechStream:
    """One stream of text, and its sound. Iterate over it for what comes; another task may say more meanwhile. Leaving
    its block cancels what is not over. Event loop only.
    """

    def __init__(self, client: SpeechClient, connection: Connection, context_id: str, manner: Manner) -> None:
        self.context_id = context_id
        self.manner: Manner = {"default_mode": "stream", **manner}
        self.text = ""
        """All that was said."""
        self.is_over = False
        """No more comes: it is done, cancelled or broken."""
        self._client = client
        self._connection = connection
        self._beginning = asyncio.Lock()
        self._has_begun = False
        self._is_closed = False
        self._failure: ClientError | None = None
        self._events: asyncio.Queue[Event | ClientError | None] = asyncio.Queue()
        self._answer: asyncio.Future[Cancelled] | None = None  # to a cancel

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._has_begun and not self.is_over:
            with suppress(ClientError):
                await self._cut_off(None)
            self._client.remove(self)

    # -- what is asked -------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Begin it, unless it has begun. If it cannot, it is over, and whoever iterates over it is told as well.

        Raises:
            Disconnected: the server cannot be reached.
            Refused: it does not let us in.
        """
        async with self._beginning:
            if self._failure is not None:
                raise self._failure
            if not self._has_begun:
                try:
                    await self._connection.open()
                except ClientError as error:
                    self.fail(error)
                    raise
                self._client.add(self)
                self._has_begun = True
                await self._send("init", **self.manner)

    async def say(self, text: str, mode: Delivery | None = None, preset: Preset = "balanced") -> None:
        """Add text, in pieces of any size. With a `mode` it is a segment as it stands. Nothing is said in a stream that
        was cancelled.

        Raises:
            ClientError: as `open`; or the stream has ended by this.
            RuntimeError: the stream was closed.
        """
        if self._is_closed:
            raise RuntimeError(f"stream {self.context_id!r} is closed")
        await self.open()
        self.text += text
        await self._send("text", text=text, mode=mode, preset=preset)

    async def flush(self) -> None:
        """Speak what waits for the end of its sentence, now. Raises as `say`."""
        await self.open()
        await self._send("flush")

    async def close(self) -> None:
        """No more text: what was said is spoken, then comes `Done`. Raises as `say`."""
        await self.open()
        if not self._is_closed:
            self._is_closed = True
            await self._send("close")

    async def cancel(self, played_ms: float | None = None) -> Cancelled:
        """Cut it off. Nothing more comes of it, not even what is here and was not yet taken. Returns what the listener
        can have heard: by `played_ms`, the milliseconds that were played, or else as if all is played as it comes.

        Raises:
            Disconnected: the connection is lost. The stream is over all the same.
        """
        if not self._has_begun:
            self._drop()
            return Cancelled()
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
            await self._cut_off(played_ms)
        return await asyncio.shield(self._answer)

    async def _cut_off(self, played_ms: float | None) -> None:
        if self.is_over:  # and sounds still
            self._client.add(self)
        self._drop()
        told = {} if played_ms is None else {"played_ms": played_ms}
        await self._connection.send({"type": "cancel", "context_id": self.context_id, **told})

    async def _send(self, kind: str, **fields: Any) -> None:
        if self._failure is not None:
            raise self._failure
        if not self.is_over:
            await self._connection.send({"type": kind, "context_id": self.context_id, **fields})

    # -- what comes ----------------------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Raises, beside the end:

        Refused: a message was not followed, or the voice has failed. The stream is over.
        Disconnected: the connection was lost. The stream is over.
        """
        if self.is_over and self._events.empty():
            raise StopAsyncIteration
        event = await self._events.get()
        if event is None:
            raise StopAsyncIteration
        if isinstance(event, ClientError):
            with suppress(ClientError):  # of what was refused the rest may still be spoken
                await self._connection.send({"type": "cancel", "context_id": self.context_id})
            raise event
        return event

    async def audio(self) -> AsyncIterator[bytes]:
        """The sound alone. Raises as iteration."""
        async for event in self:
            if isinstance(event, Audio):
                yield event.data

    def hear(self, message: Audio | Heard) -> None:
        """The server says this of the stream."""
        if isinstance(message, Cancelled):
            if self._answer is not None and not self._answer.done():
                self._client.remove(self)
                self._answer.set_result(message)
        elif isinstance(message, Failed):
            self.fail(Refused(message.message, message.code))
        elif not self.is_over:
            self._events.put_nowait(message)
            if isinstance(message, Done):
                self._end()

    def fail(self, error: ClientError) -> None:
        """The stream has ended by this."""
        if self._answer is not None and not self._answer.done() and isinstance(error, Disconnected):
            self._answer.set_exception(error)
            self._answer.exception()  # it may be that nobody asks any more
        if not self.is_over:
            self._failure = error
            self._events.put_nowait(error)
            self._end()

    def _drop(self) -> None:
        """Over, whatever has come."""
        self.is_over = True
        while not self._events.empty():
            self._events.get_nowait()
        self._events.put_nowait(None)

    def _end(self) -> None:
        self.is_over = True
        self._client.remove(self)
