"""Clients of a speech server that is about to end, or to die: each keeps all it hears, and how that ended."""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

TEXT: Final = (
    "The ferry leaves the harbour at a quarter past seven. It takes forty minutes to the first island, where most "
    "people get off. The others stay on board, and drink their coffee. Nobody is in a hurry here."
)

READ_BYTES: Final = 65536
SLOW_READER: Final = "HTTP stream, slow reader"
SLOW_READER_PAUSE_S: Final = 0.3


class Ending(msgspec.Struct):
    """What a client got: all its bytes, its messages, and when and how that was over. `code` is of a socket's close,
    or what stands in its place over HTTP: the status, 0 where the answer broke off.
    """

    audio: bytes
    messages: list[dict[str, Any]]
    code: int | None
    at_s: float

    @property
    def kinds(self) -> list[str]:
        return [message["type"] for message in self.messages]


Listen: TypeAlias = Callable[[str], Awaitable[Ending]]


async def hear(socket: ClientConnection, begun: asyncio.Event | None = None) -> Ending:
    """All that comes until the socket is closed. Sets `begun` when sound comes."""
    ending = Ending(b"", [], None, 0.0)
    try:
        while True:
            message = await socket.recv()
            if isinstance(message, bytes):
                ending.audio += message
                if begun is not None:
                    begun.set()
            else:
                ending.messages.append(json.loads(message))
    except ConnectionClosed as error:
        ending.code = error.rcvd.code if error.rcvd else None
    ending.at_s = time.monotonic()
    return ending


def by_socket(mode: str, *, send_rate: float = 4.0, begun: asyncio.Event | None = None) -> Listen:
    """Says the text on a socket of its own, and stays on it. Sets `begun` when it is heard."""

    async def listen(url: str) -> Ending:
        async with connect(f"{url.replace('http', 'ws')}/ws/tts/stream", max_size=None, max_queue=None) as socket:
            for message in (
                {"type": "init", "send_rate": send_rate},
                {"type": "text", "text": TEXT, "mode": mode},
                {"type": "close"},
            ):
                await socket.send(json.dumps(message))
            return await hear(socket, begun)

    return _unbroken(listen)


async def begin_to_speak(url: str, *, send_rate: float) -> asyncio.Future[Ending]:
    """Somebody on a socket, who is heard already."""
    begun = asyncio.Event()
    speaking = asyncio.ensure_future(by_socket("stream", send_rate=send_rate, begun=begun)(url))
    async with asyncio.timeout(20):
        await begun.wait()
    return speaking


async def holding(url: str) -> Ending:
    """Opens a socket and says nothing."""
    async with connect(f"{url.replace('http', 'ws')}/ws/tts/stream") as socket:
        return await hear(socket)


def by_post(path: str, *, pause_s: float = 0.0, **fields: Any) -> Listen:
    """Asks for the text over HTTP; rests between two reads."""

    async def listen(url: str) -> Ending:
        async with _client(url) as client, client.stream("POST", path, json={"input": TEXT} | fields) as response:
            return await _read(response, pause_s)

    return _unbroken(listen)


async def _append_and_listen(url: str) -> Ending:
    """A stream that text is appended to: half of it when somebody listens already, and the server is ending perhaps."""
    async with _client(url) as client:
        path = (await client.post("/v1/tts/stream")).json()["audio_url"].removesuffix("/audio")
        first, rest = TEXT[: len(TEXT) // 2], TEXT[len(TEXT) // 2 :]
        await client.post(f"{path}/append", json={"text": first})
        async with client.stream("GET", f"{path}/audio") as response:
            reading = asyncio.create_task(_read(response, 0.0))
            await asyncio.wait([reading], timeout=2)
            if not reading.done():  # else its server has gone
                assert (await client.post(f"{path}/append", json={"text": rest})).status_code == 202
                assert (await client.post(f"{path}/close")).status_code == 200
            return await reading


def _client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=60)


async def _read(response: httpx.Response, pause_s: float) -> Ending:
    ending = Ending(b"", [], response.status_code, 0.0)
    try:
        async for data in response.aiter_raw(READ_BYTES):
            ending.audio += data
            await asyncio.sleep(pause_s)
    except httpx.TransportError:
        ending.code = 0
    ending.at_s = time.monotonic()
    return ending


def _unbroken(listen: Listen) -> Listen:
    """Who is cut off before the first byte."""

    async def wrapped(url: str) -> Ending:
        try:
            return await listen(url)
        except (httpx.TransportError, InvalidHandshake, ConnectionClosed, OSError):
            return Ending(b"", [], 0, time.monotonic())

    return wrapped


LISTENERS: Final[dict[str, Listen]] = {
    "socket, stream": by_socket("stream"),
    "socket, batch, slowly": by_socket("batch", send_rate=2.0),
    "HTTP stream": by_post("/v1/audio/speech/stream"),
    SLOW_READER: by_post("/v1/audio/speech/stream", pause_s=SLOW_READER_PAUSE_S, sample_rate=48000),
    "HTTP batch": by_post("/v1/audio/speech", response_format="wav"),
    "HTTP adaptive": _unbroken(_append_and_listen),
}


def rests_s(name: str, ending: Ending) -> float:
    """For how long one of them rested between its reads at most: what lay with its own system is read before it sees an
    end.
    """
    return SLOW_READER_PAUSE_S * math.ceil(len(ending.audio) / READ_BYTES) if name == SLOW_READER else 0.0
