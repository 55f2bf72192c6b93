"""The end of an LLM server that is busy, and its return: real processes, real sockets, the real model."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.launching import Launch, Launched, processes_of
from tests.llm.talking import ASKING, Served, Talker, is_end, talk

pytestmark = [
    pytest.mark.alone,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama.cpp is not installed"),
]

GREEDY: dict[str, Any] = {"messages": ASKING, "temperature": 0}


async def started(launch: Launch, **settings: str) -> tuple[Launched, Served]:
    launched = launch(("llm",), **settings)
    await asyncio.to_thread(until_ready, launched)
    return launched, Served(httpx.URL(launched.llm_url).port or 0)


def until_ready(launched: Launched) -> None:
    launched.until(lambda: httpx.get(f"{launched.llm_url}/ready").status_code == 200, "it is ready")


def why_not_ready(launched: Launched) -> str:
    return httpx.get(f"{launched.llm_url}/ready").json().get("reason", "")


def num_streams(launched: Launched) -> int:
    return httpx.get(f"{launched.llm_url}/health").json()["active_streams"]


async def until_closed(talker: Talker) -> int | None:
    with pytest.raises(ConnectionClosed) as closed:
        await talker.until(lambda _: False)
    return closed.value.rcvd.code if closed.value.rcvd else None


async def whole_chat(served: Served) -> str:
    body = GREEDY | {"max_tokens": 60}
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(f"{served.url}/v1/chat/completions", json=body)
        assert answer.status_code == 200
        return answer.json()["choices"][0]["message"]["content"]


async def streamed_chat(served: Served) -> str:
    return "".join([text async for text in _pieces(served)])


async def _pieces(served: Served) -> AsyncIterator[str]:
    body = GREEDY | {"max_tokens": 60, "stream": True}
    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream("POST", f"{served.url}/v1/chat/completions", json=body) as response,
    ):
        lines = [line.removeprefix("data: ") async for line in response.aiter_lines() if line]
    assert lines[-1] == "[DONE]"
    for line in lines[:-1]:
        yield json.loads(line)["choices"][0]["delta"].get("content", "")


async def test_what_is_being_written_or_is_paused_is_finished_first(launch: Launch) -> None:
    launched, served = await started(launch)
    alone = await whole_chat(served)
    async with talk(served) as talker, talk(served) as holding:
        await talker.start("paused", **GREEDY, pause={"max_tokens": 5})
        await talker.send("start_stream", "written", **GREEDY, stream_tokens=True, pause={"max_tokens": 60})
        chats = [asyncio.create_task(chat(served)) for chat in (whole_chat, streamed_chat)]
        await asyncio.to_thread(launched.until, lambda: num_streams(launched) == 4, "all are there")
        launched.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(launched.until, lambda: why_not_ready(launched) == "draining", "it is draining")
        await talker.send("start_stream", "new", **GREEDY)
        refused = await talker.until(lambda message: message.get("stream_id") == "new")
        assert refused["code"] == "draining"
        if not any(is_end(message) for message in talker.of("written")):
            await talker.until_over("written")
        assert await asyncio.gather(*chats) == [alone, alone]
        gone_on = await talker.go_on("paused", pause={"max_tokens": 500})
        assert gone_on["done"]
        await talker.end("written")
        assert await until_closed(talker) == 1001
        assert await until_closed(holding) == 1001
    written = talker.of("written")
    assert "".join(talker.tokens("written")) == next(m["text"] for m in written if is_end(m))
    assert await asyncio.to_thread(launched.wait) == 0
    assert processes_of(launched) == []
    assert "Traceback" not in launched.text


async def test_who_pauses_for_too_long_is_not_waited_for(launch: Launch) -> None:
    launched, served = await started(launch, TIDING_LLM_DRAIN_S="0.5")
    async with talk(served) as talker:
        await talker.start("paused", **GREEDY, pause={"max_tokens": 5})
        launched.process.send_signal(signal.SIGTERM)
        assert await until_closed(talker) == 1001
    assert await asyncio.to_thread(launched.wait) == 0


async def test_a_worker_that_is_killed_under_load_is_told_of_at_once_and_replaced(launch: Launch) -> None:
    launched, served = await started(launch)
    worker = next(process for process in processes_of(launched) if process != launched.process.pid)
    async with talk(served) as talker:
        await talker.send("start_stream", "a", **GREEDY, stream_tokens=True, pause={"max_tokens": 400})
        chat = asyncio.create_task(whole_chat(served))
        await talker.until(lambda message: message.get("type") == "token")
        killed_s = time.monotonic()
        os.kill(worker, signal.SIGKILL)
        await until_closed(talker)
        with pytest.raises(httpx.TransportError):
            await chat
        assert time.monotonic() - killed_s < 1
    await asyncio.to_thread(until_ready, launched)
    assert await whole_chat(served)
