"""Clients of every mode, over real sockets, that keep what they hear and when: for benches and for listening tests.

Times are seconds since the first text was sent, on `time.perf_counter`. Shapes: N samples, mono.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, TypeAlias

import httpx
import msgspec
import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect

from tests.serving import Served

Int16s: TypeAlias = NDArray[np.int16]
Delivery: TypeAlias = Literal["batch", "stream", "adaptive"]

AUDIBLE_DB: Final = -50.0
DEFAULT_HZ: Final = 22_050
TIMEOUT_S: Final = 60.0


class Chunk(msgspec.Struct, frozen=True):
    """Audio that came at once, `arrived_s` after the text was sent."""

    arrived_s: float
    pcm: Int16s


class Message(msgspec.Struct, frozen=True):
    """A JSON message of the server, and how many samples had come before it."""

    arrived_s: float
    num_samples: int
    body: dict[str, Any]


class Heard:
    """What one client heard of one utterance, as (N,) int16 at `rate_hz`."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.chunks: list[Chunk] = []
        self.messages: list[Message] = []
        self.num_samples = 0
        self._odd = b""

    def add(self, arrived_s: float, data: bytes) -> None:
        """Bytes as they came; half a sample waits for its other half."""
        data = self._odd + data
        whole = len(data) // 2 * 2
        self._odd = data[whole:]
        self.chunks.append(Chunk(arrived_s, np.frombuffer(data[:whole], "<i2")))
        self.num_samples += whole // 2

    @property
    def pcm(self) -> Int16s:
        return np.concatenate([np.zeros(0, np.int16), *(chunk.pcm for chunk in self.chunks)])

    @property
    def duration_s(self) -> float:
        return self.num_samples / self.rate_hz

    @property
    def segments(self) -> list[Int16s]:
        """The audio in front of each `segment_complete`, behind the one before."""
        ends = [message.num_samples for message in self.of_type("segment_complete")]
        return [part.copy() for part in np.split(self.pcm, ends)[: len(ends)]]

    def of_type(self, kind: str) -> list[Message]:
        return [message for message in self.messages if message.body["type"] == kind]


def first_audible_s(heard: Heard, *, threshold_db: float = AUDIBLE_DB) -> float:
    """When the first chunk came that holds a sample above `threshold_db` of full scale.

    Raises:
        ValueError: all is silence.
    """
    least = 32767 * 10 ** (threshold_db / 20)
    for chunk in heard.chunks:
        if chunk.pcm.size and np.abs(chunk.pcm.astype(np.int32)).max() > least:
            return chunk.arrived_s
    raise ValueError("nothing audible has come")


def underrun_s(heard: Heard) -> float:
    """Seconds that a listener waits in silence who plays from the first audio on."""
    waited_s, ends_s = 0.0, None
    for chunk in heard.chunks:
        if chunk.pcm.size:
            start_s = chunk.arrived_s if ends_s is None else max(ends_s, chunk.arrived_s)
            waited_s += 0.0 if ends_s is None else start_s - ends_s
            ends_s = start_s + chunk.pcm.size / heard.rate_hz
    return waited_s


def tokens_of(text: str, *, num_chars: int = 5) -> list[str]:
    """Text in pieces of about a token, spaces in front as an LLM emits them: words, long ones in parts."""
    words = text.replace(" ", "\0 ").split("\0")
    return [word[at : at + num_chars] for word in words for at in range(0, len(word), num_chars)]


# -- WebSocket ---------------------------------------------------------------------------------------------------------


class Caller:
    """One socket, on which utterances follow each other."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def say_sentences(self, sentences: Sequence[str], mode: Delivery, **init: Any) -> Heard:
        """Each sentence is one message with this mode, all sent at once. `init`: fields of that message."""
        return await self._say([{"text": sentence, "mode": mode} for sentence in sentences], 0.0, init)

    async def say_tokens(self, tokens: Sequence[str], *, gap_s: float = 0.0, **init: Any) -> Heard:
        """Tokens as an LLM emits them, one every `gap_s`, without a mode."""
        return await self._say([{"text": token} for token in tokens], gap_s, init)

    async def _say(self, texts: Sequence[dict[str, Any]], gap_s: float, init: dict[str, Any]) -> Heard:
        """A new stream; returns at its `done`. The clock starts at the first text."""
        await self._send("init", init)
        while json.loads(await self._connection.recv())["type"] != "stream_created":
            pass
        heard = Heard(init.get("sample_rate", DEFAULT_HZ))
        started_s = time.perf_counter()
        sending = asyncio.create_task(self._send_texts(texts, gap_s))
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while not heard.of_type("done"):
                    await self._hear(heard, started_s)
        finally:
            sending.cancel()
        return heard

    async def _send_texts(self, texts: Sequence[dict[str, Any]], gap_s: float) -> None:
        for text in texts:
            await self._send("text", text)
            if gap_s:
                await asyncio.sleep(gap_s)
        await self._send("close", {})

    async def _send(self, kind: str, fields: dict[str, Any]) -> None:
        await self._connection.send(json.dumps({"type": kind} | fields))

    async def _hear(self, heard: Heard, started_s: float) -> None:
        data = await self._connection.recv()
        arrived_s = time.perf_counter() - started_s
        if isinstance(data, bytes):
            heard.add(arrived_s, data)
            return
        message = Message(arrived_s, heard.num_samples, json.loads(data))
        assert message.body["type"] != "error", message.body
        heard.messages.append(message)


@asynccontextmanager
async def calling(served: Served) -> AsyncIterator[Caller]:
    """A socket to the server."""
    async with connect(served.socket_url, max_size=None, compression=None) as connection:
        yield Caller(connection)


# -- HTTP --------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def browsing(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """A client with connections that stay open between requests."""
    async with httpx.AsyncClient(base_url=served.url, timeout=TIMEOUT_S) as client:
        await client.get("/health")
        yield client


async def speak_batch(client: httpx.AsyncClient, text: str, **fields: Any) -> Heard:
    """`POST /v1/audio/speech`, as PCM: 24 000 Hz unless `sample_rate` says otherwise."""
    body = {"input": text, "response_format": "pcm"} | fields
    return await _hear_response(client, "POST", "/v1/audio/speech", body)


async def speak_stream(client: httpx.AsyncClient, text: str, **fields: Any) -> Heard:
    """`POST /v1/audio/speech/stream`."""
    return await _hear_response(client, "POST", "/v1/audio/speech/stream", {"input": text} | fields)


async def speak_adaptive(
    client: httpx.AsyncClient, tokens: Sequence[str], *, gap_s: float = 0.0, **fields: Any
) -> Heard:
    """An adaptive stream, listened to while its text is appended token by token, one every `gap_s`."""
    opened = (await client.post("/v1/tts/stream", json=fields)).raise_for_status().json()
    path = f"/v1/tts/stream/{opened['stream_id']}"
    listening = asyncio.create_task(_hear_response(client, "GET", f"{path}/audio"))
    for token in tokens:
        (await client.post(f"{path}/append", json={"text": token})).raise_for_status()
        await asyncio.sleep(gap_s)
    (await client.post(f"{path}/close")).raise_for_status()
    return await listening


async def _hear_response(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None = None
) -> Heard:
    started_s = time.perf_counter()
    async with client.stream(method, path, json=body) as response:
        response.raise_for_status()
        heard = Heard(int(response.headers["X-Sample-Rate"]))
        async for data in response.aiter_raw():
            heard.add(time.perf_counter() - started_s, data)
    return heard
