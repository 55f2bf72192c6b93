"""A WebSocket client that keeps all it hears, in order and with the time."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

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
        pieces = [b""]
        for message in self.heard:
            if isinstance(message, bytes):
                pieces[-1] += message
            elif message["type"] == "segment_complete":
                pieces.append(b"")
        return pieces[:-1]

    @property
    def words(self) -> list[Message]:
        """The words of all `words` messages."""
        return [word for message in self.of("words") for word in message["words"]]


def audio_of(heard: Iterable[bytes | Message]) -> bytes:
    return b"".join(message for message in heard if isinstance(message, bytes))


def kinds_of(heard: Iterable[bytes | Message]) -> list[str]:
    kinds = (message["type"] if isinstance(message, dict) else "audio" for message in heard)
    return [kind for name, run in groupby(kinds) for kind in (["audio"] if name == "audio" else run)]


@asynccontextmanager
async def listen(served: Served, *, max_queue: int | None = None) -> AsyncIterator[Listener]:
    """`max_queue`: messages that wait unheard until the client stops reading; None is all."""
    async with connect(served.socket_url, compression=None, max_queue=max_queue, close_timeout=2) as socket:
        yield Listener(socket)


async def spoken(served: Served, texts: Iterable[str], **given: Any) -> Listener:
    """What a client hears that says these texts on a socket of its own, to the end."""
    async with listen(served) as listener:
        return await listener.speak(texts, **given)
