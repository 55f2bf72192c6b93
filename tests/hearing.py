"""A WebSocket client that keeps all it hears, in order and with the time."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.serving import Served

Message: TypeAlias = dict[str, Any]

PATIENCE_S = 20.0


class Listener:
    """One client. `heard` holds its messages, `times_s` when each came."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.heard: list[bytes | Message] = []
        self.times_s: list[float] = []

    async def send(self, kind: str, **fields: object) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def begin(self, **options: object) -> Message:
        """`init`, unpaced unless asked otherwise, and its answer."""
        await self.send("init", **({"send_rate": 0} | options))
        return await self.until("stream_created")

    async def say(self, texts: Iterable[str], **fields: object) -> None:
        for text in texts:
            await self.send("text", text=text, **fields)

    async def next(self) -> bytes | Message:
        async with asyncio.timeout(PATIENCE_S):
            data = await self.socket.recv()
        message: bytes | Message = data if isinstance(data, bytes) else json.loads(data)
        self.times_s.append(time.monotonic())
        self.heard.append(message)
        return message

    async def until(self, kind: str) -> Message:
        """Listen until a message of this type comes."""
        while True:
            message = await self.next()
            if isinstance(message, dict) and message["type"] == kind:
                return message

    async def until_in(self, name: str | None, kind: str) -> Message:
        """Listen until a message of this type comes in a context."""
        while (message := await self.until(kind)).get("context_id") != name:
            pass
        return message

    async def until_so(self, is_so: Callable[[], bool]) -> None:
        """Listen until what was heard is enough."""
        while not is_so():
            await self.next()

    async def until_audio(self, num_messages: int = 1) -> None:
        """Listen until so many binary messages have come."""
        while num_messages:
            num_messages -= isinstance(await self.next(), bytes)

    async def rest(self, duration_s: float) -> list[bytes | Message]:
        """Listen for so long; what comes in that time."""
        start = len(self.heard)
        try:
            async with asyncio.timeout(duration_s):
                while True:
                    await self.next()
        except TimeoutError:
            return self.heard[start:]

    async def finish(self) -> Message:
        """`close`, and listen to the end."""
        await self.send("close")
        return await self.until("done")

    async def speak(self, texts: Iterable[str], *, fields: Message | None = None, **options: object) -> "Listener":
        """A whole stream, from `init` to `done`."""
        await self.begin(**options)
        await self.say(texts, **(fields or {}))
        await self.finish()
        return self

    # -- what was heard ------------------------------------------------------------------------------------------------

    def heard_in(self, name: str | None) -> list[bytes | Message]:
        """What was said in one context."""
        return heard_in(self.heard, name)

    @property
    def audio(self) -> bytes:
        return audio_of(self.heard)

    @property
    def samples(self) -> np.ndarray:
        return np.frombuffer(self.audio, "<i2")

    def of(self, kind: str) -> list[Message]:
        """All messages of this type."""
        return [message for message in self.heard if isinstance(message, dict) and message["type"] == kind]

    @property
    def kinds(self) -> list[str]:
        """The types in order; audio in several messages is one "audio"."""
        return kinds_of(self.heard)

    @property
    def segments(self) -> list[bytes]:
        """The audio in front of each `segment_complete`."""
        return segments_of(self.heard)

    @property
    def words(self) -> list[Message]:
        """The words of all `words` messages."""
        return [word for message in self.of("words") for word in message["words"]]


def audio_of(heard: Iterable[bytes | Message]) -> bytes:
    return b"".join(message for message in heard if isinstance(message, bytes))


def segments_of(heard: Iterable[bytes | Message]) -> list[bytes]:
    pieces = [b""]
    for message in heard:
        if isinstance(message, bytes):
            pieces[-1] += message
        elif message["type"] == "segment_complete":
            pieces.append(b"")
    return pieces[:-1]


def kinds_of(heard: Iterable[bytes | Message]) -> list[str]:
    kinds = (message["type"] if isinstance(message, dict) else "audio" for message in heard)
    return [kind for name, run in groupby(kinds) for kind in (["audio"] if name == "audio" else run)]


def heard_in(heard: Iterable[bytes | Message], name: str | None) -> list[bytes | Message]:
    """What was said in one context, as a socket of its own would have heard it."""
    return [message for owner, message in _by_owner(heard) if owner == name]


def _by_owner(heard: Iterable[bytes | Message]) -> Iterator[tuple[str | None, bytes | Message]]:
    head: Message | None = None
    for message in heard:
        if isinstance(message, bytes):
            assert head is None or head["bytes"] == len(message), "a chunk states its bytes"
            yield (head and head["context_id"]), message
            head = None
        else:
            assert head is None, "nothing comes between a chunk and its audio"
            if message["type"] == "chunk":
                head = message
            else:
                yield (
                    message.get("context_id"),
                    {field: value for field, value in message.items() if field != "context_id"},
                )


async def until_closed(socket: ClientConnection) -> AsyncIterator[str | bytes]:
    """All that comes until the server closes the socket, whatever it says then."""
    with suppress(ConnectionClosed):
        async for message in socket:
            yield message


@asynccontextmanager
async def listen(served: Served, *, max_queue: int | None = None) -> AsyncIterator[Listener]:
    """`max_queue`: messages that wait unheard until the client stops reading; None is all."""
    async with connect(served.socket_url, compression=None, max_queue=max_queue, close_timeout=2) as socket:
        yield Listener(socket)


async def spoken(served: Served, texts: Iterable[str], **given: Any) -> Listener:
    """What a client hears that says these texts on a socket of its own, to the end."""
    async with listen(served) as listener:
        return await listener.speak(texts, **given)
