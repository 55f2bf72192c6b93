"""Clients that take nothing, say nothing or have gone: what a real server's system does about them."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from app.listener import ASK_AFTER_S
from tests.launching import Launch, Launched, worker_of
from tests.scraping import scrape

pytestmark = pytest.mark.slow

TEXT: Final = "The ferry leaves the harbour at a quarter past seven, and nobody on the pier is in a hurry at all. " * 15
BODY: Final = {"input": TEXT, "response_format": "pcm", "sample_rate": 48_000}
"""Longer than what two systems and a server hold between them."""

SMALL_BUFFER: Final = 65_536


def ready(launched: Launched, *urls: str) -> Launched:
    for url in urls:
        launched.until(lambda url=url: httpx.get(f"{url}/ready").status_code == 200, f"{url} is ready")
    return launched


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    while not await is_so():  # noqa: ASYNC110 (of another process)
        await asyncio.sleep(0.05)


class Asking(msgspec.Struct):
    """A client that holds its end and reads nothing, at this port, until it is told to read on to the end."""

    port: int
    read_on: Callable[[], Awaitable[None]]


@asynccontextmanager
async def requesting(url: str, path: str) -> AsyncGenerator[Asking]:
    """A request has been sent; nothing of the answer has been read."""
    with await request(url, path) as connection:

        async def read_on() -> None:
            while await asyncio.get_running_loop().sock_recv(connection, SMALL_BUFFER):
                pass

        yield Asking(connection.getsockname()[1], read_on)


async def request(url: str, path: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    data = json.dumps(BODY).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, (host, int(port)))
    await loop.sock_sendall(connection, head + data)
    return connection


@asynccontextmanager
async def asking_on_a_socket(url: str, _: str) -> AsyncGenerator[Asking]:
    """A text has been sent; nothing more is read than a library does by itself."""
    async with connect(f"{url.replace('http', 'ws')}/ws/tts/stream", max_queue=1, close_timeout=0.1) as connection:
        for message in ({"type": "init", "send_rate": 0, "sample_rate": 48_000}, {"type": "text", "text": TEXT}):
            await connection.send(json.dumps(message))

        async def read_on() -> None:
            while True:
                await connection.recv()

        yield Asking(connection.local_address[1], read_on)


@pytest.mark.parametrize("model", ["fake", "hibari"])
@pytest.mark.parametrize(
    ("ask", "path"),
    [
        (requesting, "/v1/audio/speech"),
        (requesting, "/v1/audio/speech/stream"),
        (asking_on_a_socket, "/ws/tts/stream"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
async def test_who_takes_nothing_loses_the_connection_and_what_it_held(
    launch: Launch, model: str, ask: Any, path: str
) -> None:
    launched = launch(TIDING_MODEL=model, TIDING_SEND_TIMEOUT_S="1.5")
    url = ready(launched, launched.url).url
    worker = psutil.Process(worker_of(launched))

    async def has_begun() -> bool:  # and not: is under way, which a whole answer of the fake may be too shortly
        return (await scrape(url)).total("tiding_segments_total") > 0

    async def is_given_back() -> bool:
        clients = {one.raddr.port for one in worker.net_connections("tcp4") if one.raddr}
        return (await scrape(url)).total("tiding_sessions_open") == 0 and asking.port not in clients

    async with ask(url, path) as asking:
        await until(has_begun)
        await until(is_given_back)  # while the client still holds its end
        with pytest.raises((ConnectionResetError, ConnectionClosedError)):  # what lies in its system, and no more
            await asking.read_on()


@pytest.mark.parametrize("model", ["fake", "hibari"])
async def test_who_takes_little_at_a_time_gets_all_of_it(launch: Launch, model: str) -> None:
    launched = launch(TIDING_MODEL=model, TIDING_SEND_TIMEOUT_S="4")
    url = ready(launched, launched.url).url
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        whole = (await client.post("/v1/audio/speech/stream", json=BODY)).content
    loop, got = asyncio.get_running_loop(), b""
    with await request(url, "/v1/audio/speech/stream") as connection:
        for _ in range(12):  # each time after an eighth of what it may do without; in all, after more
            await asyncio.sleep(0.5)
            got += await loop.sock_recv(connection, SMALL_BUFFER)
        while not got.endswith(b"\r\n0\r\n\r\n"):
            got += await loop.sock_recv(connection, SMALL_BUFFER)
    assert unchunked(got.partition(b"\r\n\r\n")[2]) == whole


def unchunked(body: bytes) -> bytes:
    """What is in chunks of HTTP/1.1."""
    found = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        found, body = found + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return found


async def test_who_says_nothing_is_not_waited_for(launch: Launch) -> None:
    """From the first byte on, or half a request later."""
    launched = launch()
    port = int(ready(launched, launched.url).url.rpartition(":")[2])

    async def heard(said: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        answer = await reader.read()
        writer.close()
        return answer

    async with asyncio.timeout(45):
        assert await asyncio.gather(heard(b""), heard(b"GET /health HT")) == [b"", b""]


async def test_who_has_gone_without_a_word_is_noticed(launch: Launch) -> None:
    """Of both servers. That the system will ask is to be seen in what it says of its connections."""
    launched = launch(("all",))
    ready(launched, launched.url, launched.llm_url)
    for url, path in ((launched.url, "/ws/tts/stream"), (launched.llm_url, "/ws")):
        async with connect(url.replace("http", "ws") + path) as connection:
            here, there = connection.local_address[1], connection.remote_address[1]
            assert 0 < next_probe_s(there, here) <= ASK_AFTER_S


def next_probe_s(port: int, of_client: int) -> float:
    """When the system will ask a client of this port whether it is there; 0: never.

    Source: Linux, Documentation/networking/proc_net_tcp.rst: timer 2 is a keepalive's, its end in hundredths of a
    second.
    """
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, _, timer, *_ = line.split()
        if [int(end.rpartition(":")[2], 16) for end in (local, remote)] == [port, of_client]:
            kind, _, when = timer.partition(":")
            return int(when, 16) / 100 if kind == "02" else 0.0
    raise LookupError(f"{port}, {of_client}")
