"""A client of a completion that goes away: its writing ends within a step, whatever the server was doing."""

import asyncio
import json
import socket

import httpx
import pytest

from engines.llm.fake import FakeText
from tests.llm.holding import FORGETFUL, held
from tests.llm.running import allow_steps, until_idle
from tests.llm.talking import serve_here
from tests.running import until

PATH = "/v1/chat/completions"
STORY = [{"role": "user", "content": "Tell me a story."}]


@pytest.mark.parametrize("num_steps", [0, 1, 6])
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_client_that_leaves_ends_the_writing_within_one_step(is_streamed: bool, num_steps: int) -> None:
    async with held() as here:
        before = len(asyncio.all_tasks())
        async with httpx.AsyncClient(base_url=here.served.url) as client:
            request = asyncio.create_task(client.post(PATH, json={"messages": STORY, "stream": is_streamed}))
            await here.until_writing(num_steps)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
        await here.assert_free_within_one_step()
        await until(lambda: len(asyncio.all_tasks()) <= before, "no task is left")


async def test_a_client_that_leaves_between_two_events_ends_the_writing() -> None:
    async with held() as here, httpx.AsyncClient(base_url=here.served.url) as client:
        body = {"messages": STORY, "stream": True}
        asking = asyncio.create_task(first_events(client, body, 4))
        await here.until_writing(0)
        await allow_steps(here.gate, here.model, 3)
        assert len(await asking) == 4
        await here.assert_free_within_one_step()


async def first_events(client: httpx.AsyncClient, body: object, count: int) -> list[str]:
    """The first events of an answer, whose client then leaves."""
    async with client.stream("POST", PATH, json=body) as response:
        events: list[str] = []
        async for line in response.aiter_lines():
            events += [line] if line else []
            if len(events) == count:
                return events
    raise AssertionError("the answer was shorter than that")


@pytest.mark.slow
async def test_a_client_that_does_not_read_is_written_for_no_further_than_what_is_on_the_way() -> None:
    """One that reads nothing: its answer stops behind a chunk or two, and is dropped when it leaves."""
    model = FakeText(lambda _: ["x" * 5000] * 100_000, num_cells=100_000)
    async with serve_here(lambda: model, settings=FORGETFUL) as here:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", here.served.port))
        body = json.dumps({"messages": STORY, "stream": True}).encode()
        head = f"POST {PATH} HTTP/1.1\r\nHost: tiding\r\nContent-Length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        num_still, last = 0, -1
        while num_still < 50:
            now = len(model.batches)
            num_still, last = (num_still + 1 if now == last and now else 0), now
            await asyncio.sleep(0.002)
        assert len(model.batches) < 5000
        assert here.engine.num_sessions == 1
        sock.close()
        await until_idle(here.engine, model)
