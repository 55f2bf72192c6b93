"""Clients that ask for what they are entitled to, and look whether they get it, bit for bit and in time."""

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

import httpx
import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.listening import Heard, calling, speak_adaptive, speak_batch, speak_stream
from tests.serving import Served
from tests.soak.watching import Servers

TEXT: Final = "The harbour was quiet when the first boats came in. Nobody on the pier said a word."
BRIEF: Final = "Good evening."
"""One segment, however a stream is cut."""

ASKED: Final = [{"role": "user", "content": "Name three birds."}]
NUM_TOKENS: Final = 12
"""So many have to come. Which ones depends on who writes beside: llama.cpp adds in another order then, and the most
likely token is another one where two are as good as equal.
"""

LATER_S: Final = 0.3


class Got(msgspec.Struct, frozen=True):
    """What came, as a digest, and how soon the first of it was there."""

    digest: str
    first_s: float


class Busy(Exception):
    """There was no room: come back later."""


Ask: TypeAlias = Callable[[Servers], Awaitable[Got]]


def _heard(heard: Heard) -> Got:
    return Got(hashlib.sha256(heard.pcm.tobytes()).hexdigest(), heard.chunks[0].arrived_s)


def _served(url: str) -> Served:
    return Served(int(url.rpartition(":")[2]), 0)


def _over_http(speak: Callable[[httpx.AsyncClient], Awaitable[Heard]]) -> Ask:
    async def ask(servers: Servers) -> Got:
        async with httpx.AsyncClient(base_url=servers.speech, timeout=60) as client:
            return _heard(await speak(client))

    return ask


async def _by_socket(servers: Servers) -> Got:
    async with calling(_served(servers.speech)) as caller:
        return _heard(await caller.say_sentences([TEXT], "stream", send_rate=0))


async def _chat(servers: Servers) -> Got:
    body = {"messages": ASKED, "max_tokens": NUM_TOKENS, "temperature": 0, "stream": True}
    began_s, first_s, num_tokens = time.perf_counter(), 0.0, 0
    async with (
        httpx.AsyncClient(base_url=servers.text, timeout=60) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as response,
    ):
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            if json.loads(line.removeprefix("data: "))["choices"][0]["delta"].get("content"):
                first_s = first_s or time.perf_counter() - began_s
                num_tokens += 1
    return Got(f"{num_tokens} tokens", first_s)


async def _write(servers: Servers) -> Got:
    asked = {"messages": ASKED, "pause": {"max_tokens": NUM_TOKENS}, "temperature": 0, "stream_tokens": True}
    began_s, first_s, num_tokens = time.perf_counter(), 0.0, 0
    async with connect(servers.text.replace("http", "ws") + "/ws") as socket:
        await socket.send(json.dumps({"action": "start_stream", "stream_id": "a", **asked}))
        async for data in socket:
            message = json.loads(data)
            if message.get("code") == "at_capacity":
                raise Busy
            if message.get("type") == "token":
                first_s = first_s or time.perf_counter() - began_s
                num_tokens += 1
            elif message.get("type") in ("paused", "done"):
                return Got(f"{num_tokens} tokens", first_s)
            elif "error" in message:
                raise ValueError(message["error"])
    raise ValueError("the socket was closed")


WAYS: Final[Mapping[str, Ask]] = {
    "batch": _over_http(lambda client: speak_batch(client, TEXT)),
    "stream": _over_http(lambda client: speak_stream(client, TEXT)),
    "adaptive": _over_http(lambda client: speak_adaptive(client, [BRIEF])),
    "websocket": _by_socket,
    "chat": _chat,
    "LLM socket": _write,
}


async def ask(way: str, servers: Servers) -> Got:
    """What one request brings. Raises `Busy` where it was refused for want of room."""
    try:
        return await WAYS[way](servers)
    except httpx.HTTPStatusError as error:
        if error.response.status_code == 503:
            raise Busy from None
        raise
    except InvalidStatus as error:
        if error.response.status_code == 503:
            raise Busy from None
        raise
    except AssertionError as error:  # of a socket's listener
        if "at_capacity" in str(error):
            raise Busy from None
        raise


class Client:
    """One of them: asks in one way, again and again."""

    def __init__(self, way: str, wanted: str) -> None:
        self.way = way
        self.num_busy = 0
        self.first_s: list[float] = []
        self.faults: list[str] = []
        self._wanted = wanted

    async def run(self, servers: Servers, until_s: float, chance: random.Random) -> None:
        while time.monotonic() < until_s:
            try:
                got = await ask(self.way, servers)
            except Busy:
                self.num_busy += 1
                await asyncio.sleep(LATER_S)
                continue
            except Exception as error:  # whatever it is, it should not have happened
                self.faults.append(f"{type(error).__name__}: {error}"[:300])
                await asyncio.sleep(LATER_S)
                continue
            self.first_s.append(got.first_s)
            if got.digest != self._wanted:
                self.faults.append("not what it gets when it is alone")
            await asyncio.sleep(chance.uniform(0.05, 0.4))
