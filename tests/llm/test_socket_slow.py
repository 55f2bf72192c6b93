"""A client that does not read: it holds up itself alone, and is let go like any other when it leaves."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect

from app.settings import LlmSettings
from engines.llm.fake import FakeText
from tests.llm.running import until_idle
from tests.llm.served import tell
from tests.llm.talking import ASKING, Embedded, Served, serve_here, talk
from tests.running import until

pytestmark = pytest.mark.alone

NUM_STREAMS = 40
LONG = "long " * 300  # characters of a token: what is sent soon fills the buffers on the way
NUM_STILL = 50  # looks, a millisecond and more apart, in which a server that is blocked does nothing


@asynccontextmanager
async def stubborn(served: Served) -> AsyncIterator[ClientConnection]:
    """Connected, with room for little that is not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", served.port))
    client = await connect(served.socket_url, sock=sock, max_queue=1, close_timeout=1, compression=None, max_size=None)
    try:
        yield client
    finally:
        client.transport.abort()


@asynccontextmanager
async def verbose_server() -> AsyncIterator[tuple[Embedded, FakeText]]:
    """Its tokens are long, and there are many."""
    model = FakeText(lambda asked: [LONG] * 100 if "long" in asked else tell(asked), num_cells=100_000)
    async with serve_here(lambda: model, settings=LlmSettings(max_line=100)) as here:
        yield here, model


async def until_blocked(model: FakeText) -> None:
    """All buffers on the way are full: nothing is written any more."""
    num_still, last = 0, -1
    while num_still < NUM_STILL:
        now = len(model.batches)
        num_still, last = (num_still + 1 if now == last else 0), now
        await asyncio.sleep(0.002)


async def start_long_ones(client: ClientConnection) -> None:
    messages = [{"role": "user", "content": "Be long."}]
    for number in range(NUM_STREAMS):
        start = {"action": "start_stream", "stream_id": f"s{number}", "messages": messages, "stream_tokens": True}
        await client.send(json.dumps(start))


@pytest.mark.slow
async def test_a_client_that_does_not_read_holds_up_nobody_else_and_frees_all_when_it_leaves() -> None:
    async with verbose_server() as (here, model):
        before = len(asyncio.all_tasks())
        async with stubborn(here.served) as client:
            await start_long_ones(client)
            await until(lambda: here.engine.num_sessions == NUM_STREAMS, "all are there")
            await until_blocked(model)
            assert here.engine.num_sessions == NUM_STREAMS, "each has written its chunk, and waits to be read"
            async with talk(here.served) as talker:
                assert (await talker.start(messages=ASKING))["done"]
                await talker.ping()
        await until_idle(here.engine, model)
        await until(lambda: len(asyncio.all_tasks()) <= before, "no task is left")


@pytest.mark.slow
async def test_a_client_that_does_not_read_can_still_cancel() -> None:
    async with verbose_server() as (here, model), stubborn(here.served) as client:
        await start_long_ones(client)
        await until(lambda: here.engine.num_sessions == NUM_STREAMS, "all are there")
        await until_blocked(model)
        for number in range(NUM_STREAMS):
            await client.send(json.dumps({"action": "cancel_stream", "stream_id": f"s{number}"}))
        await until_idle(here.engine, model)


@pytest.mark.slow
async def test_a_client_that_asks_and_never_reads_is_let_go() -> None:
    async with verbose_server() as (here, model):
        before = len(asyncio.all_tasks())
        async with stubborn(here.served) as client:
            await client.send(json.dumps({"action": "start_stream", "stream_id": "a", "messages": ASKING}))
            await until(lambda: here.engine.num_sessions == 1, "it is there")
            asking = asyncio.create_task(ask_for_ever(client))
            await until_idle(here.engine, model)
            asking.cancel()
        await until(lambda: len(asyncio.all_tasks()) <= before, "no task is left")


async def ask_for_ever(client: ClientConnection) -> None:
    while True:
        await client.send(json.dumps({"action": "pause_stream", "stream_id": "x" * 256}))
