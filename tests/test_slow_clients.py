"""A client that does not read: it holds up itself alone, and is let go like any other when it leaves."""

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import httpx
import pytest
from litestar import Litestar
from websockets.asyncio.client import ClientConnection, connect

from app.settings import TtsSettings
from app.tts import create_app
from engines.fake import FakeModel
from engines.model import Wake
from tests.running import num_steps, until, until_idle
from tests.serving import Embedded, Served, serve_here

pytestmark = pytest.mark.alone

LONG = "This sentence goes on for quite a while, and there are many more behind it. " * 250  # a quarter of an hour
SHORT = "This one is short. And so is this one."
NUM_STILL = 50  # looks, a millisecond and more apart, in which a server that is blocked makes nothing


def stubborn_socket(served: Served) -> socket.socket:
    """Connected, with room for little that is not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", served.port))
    return sock


@asynccontextmanager
async def http_client_that_does_not_read(served: Served) -> AsyncIterator[None]:
    body = json.dumps({"input": LONG}).encode()
    head = f"POST /v1/audio/speech/stream HTTP/1.1\r\nHost: tiding\r\nContent-Length: {len(body)}\r\n\r\n"
    with stubborn_socket(served) as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(sock, head.encode() + body)
        yield


@asynccontextmanager
async def adaptive_client_that_does_not_read(served: Served) -> AsyncIterator[None]:
    async with httpx.AsyncClient(base_url=served.url) as client:
        url = (await client.post("/v1/tts/stream", json={})).json()["audio_url"]
        await client.post(url.replace("/audio", "/append"), json={"text": LONG})
    with stubborn_socket(served) as sock:
        sock.setblocking(False)
        head = f"GET {url} HTTP/1.1\r\nHost: tiding\r\n\r\n"
        await asyncio.get_running_loop().sock_sendall(sock, head.encode())
        yield


@asynccontextmanager
async def websocket_that_does_not_read(served: Served, **init: object) -> AsyncIterator[ClientConnection]:
    sock = stubborn_socket(served)
    client = await connect(served.socket_url, sock=sock, max_queue=1, close_timeout=1, compression=None)
    await client.send(json.dumps({"type": "init", "send_rate": 0, "default_mode": "stream"} | init))
    await client.send(json.dumps({"type": "text", "text": LONG, "mode": "stream"}))
    try:
        yield client
    finally:
        client.transport.abort()


Client: TypeAlias = Callable[[Served], AbstractAsyncContextManager[object]]

CLIENTS = [
    pytest.param(http_client_that_does_not_read, id="stream"),
    pytest.param(adaptive_client_that_does_not_read, id="adaptive"),
    pytest.param(websocket_that_does_not_read, id="websocket"),
]


async def until_blocked(here: Embedded, num_sessions: int = 1) -> None:
    """All buffers on the way are full: sessions are there, and nothing is made for them any more."""
    await until(lambda: here.engine.num_sessions == num_sessions and num_steps(here.model) > 20, "audio is made")
    num_still, last = 0, -1
    while num_still < NUM_STILL:
        now = num_steps(here.model)
        num_still, last = (num_still + 1 if now == last else 0), now
        await asyncio.sleep(0.002)
    assert here.engine.num_sessions == num_sessions


def make_model(wake: Wake) -> FakeModel:
    return FakeModel(wake, frame_ms=200, num_slots=4)


@pytest.mark.slow
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_that_does_not_read_is_made_for_no_further_than_its_credit(client: Client) -> None:
    async with serve_here(make_model) as here:
        async with client(here.served):
            await until_blocked(here)
            num_made_s = num_steps(here.model) * 0.2
            assert num_made_s < 300, "a third of the text at most: what the kernel's buffers and a second's credit hold"
        await until_idle(here.engine, here.model)


@pytest.mark.slow
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_that_leaves_while_the_server_is_blocked_in_sending_frees_its_slot(client: Client) -> None:
    async with serve_here(make_model) as here:
        async with client(here.served):
            await until_blocked(here)
            before = num_steps(here.model)
        await until_idle(here.engine, here.model)
        assert num_steps(here.model) < before + 100, "until the server knows, frames go nowhere, and not all of them"


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    """What is freed here is freed by somebody's care."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize("path", ["/v1/audio/speech/stream", "/v1/tts/stream/{id}/audio"])
async def test_a_response_that_ends_within_a_send_leaves_no_session_behind(path: str) -> None:
    """The same without sockets, so that the moment is certain: the client is gone while a chunk is being sent."""
    app = create_app(TtsSettings(), load=FakeModel, on_failure=lambda _: None)
    is_sending = asyncio.Event()
    async with app.lifespan():
        engine = app.state["engine"]
        await engine.wait_ready()
        method, body = "POST", json.dumps({"input": LONG}).encode()
        if "{id}" in path:
            answer = await call(app, "POST", "/v1/tts/stream", b"{}")
            path, method, body = json.loads(answer)["audio_url"], "GET", b""
            await call(app, "POST", path.replace("/audio", "/append"), json.dumps({"text": LONG}).encode())
        assert engine.num_sessions == ("/tts/" in path)
        await call(app, method, path, body, is_sending)
        assert is_sending.is_set()
        await until(lambda: engine.num_sessions == 0, "the session is over")


async def call(app: Litestar, method: str, path: str, body: bytes, is_sending: asyncio.Event | None = None) -> bytes:
    """One request; its answer. With `is_sending` the client takes no chunk, and leaves when one is sent."""
    answer, is_read = bytearray(), False

    async def receive() -> Any:
        nonlocal is_read
        if not is_read:
            is_read = True
            return {"type": "http.request", "body": body, "more_body": False}
        await (is_sending or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            answer.extend(message["body"])
            if is_sending is not None and message["body"]:
                is_sending.set()
                await asyncio.Event().wait()

    headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
    scope: Any = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
                  "root_path": "", "headers": headers, "client": None, "server": None, "http_version": "1.1",
                  "scheme": "http", "asgi": {"version": "3.0"}, "state": {}}  # fmt: skip
    await asyncio.create_task(app(scope, receive, send))
    return bytes(answer)


@pytest.mark.slow
async def test_a_cancel_frees_the_slot_though_the_client_does_not_read() -> None:
    async with serve_here(make_model) as here, websocket_that_does_not_read(here.served) as client:
        await until_blocked(here)
        before = num_steps(here.model)
        await client.send(json.dumps({"type": "cancel"}))
        await until_idle(here.engine, here.model)
        assert num_steps(here.model) <= before + 1


@pytest.mark.slow
async def test_clients_that_do_not_read_slow_nobody_else() -> None:
    """More of them than there are slots. Others get all of their audio from every mode, and little is made for them."""
    async with (
        serve_here(make_model, settings=TtsSettings(max_line=6)) as here,
        http_client_that_does_not_read(here.served),
        http_client_that_does_not_read(here.served),
        adaptive_client_that_does_not_read(here.served),
        websocket_that_does_not_read(here.served),
        websocket_that_does_not_read(here.served),
        httpx.AsyncClient(base_url=here.served.url, timeout=5) as client,
    ):
        await until_blocked(here, 5)
        whole = await client.post("/v1/audio/speech", json={"input": SHORT, "sample_rate": 22_050})
        assert whole.status_code == 200
        bodies = await asyncio.gather(*(stream_of(client) for _ in range(4)), socket_of(here.served))
        assert {len(body) for body in bodies} == {len(bodies[0])}
        assert len(bodies[0]) > 22_050 * 2
        assert here.engine.num_sessions == 5


async def stream_of(client: httpx.AsyncClient) -> bytes:
    return (await client.post("/v1/audio/speech/stream", json={"input": SHORT})).content


async def socket_of(served: Served) -> bytes:
    async with connect(served.socket_url) as client:
        await client.send(json.dumps({"type": "init", "send_rate": 0, "default_mode": "stream"}))
        await client.send(json.dumps({"type": "text", "text": SHORT}))
        await client.send(json.dumps({"type": "close"}))
        audio = b""
        async for message in client:
            if isinstance(message, bytes):
                audio += message
            elif json.loads(message)["type"] == "done":
                break
        return audio
