"""What the LLM server says of itself, while it loads and when it is ready, full or broken."""

import asyncio
import threading

import httpx
import pytest

from app.settings import LlmSettings
from engines.llm.fake import FakeText
from tests.contract import check_refusal
from tests.llm.served import tell
from tests.llm.talking import ASKING, Embedded, Message, Served, serve_here, talk
from tests.running import until


async def get(served: Served, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=served.url) as client:
        return await client.get(path)


async def test_health_counts_what_is_there(served: Served) -> None:
    async with talk(served) as talker:
        idle = await served.until_idle()
        assert (idle["status"], idle["max_streams"]) == ("ok", 64)
        assert idle["model"]
        assert idle["slots"] > 0
        assert idle["cells"] >= idle["context"] > 0
        await talker.start(pause={"max_tokens": 3})
        paused = await served.health()
        assert [paused[name] for name in ("active_streams", "busy_slots", "running")] == [1, 1, 0]
        assert 3 < paused["used_cells"] < 100
        await talker.end()


async def test_what_is_served_is_listed(served: Served) -> None:
    document = (await get(served, "/schema/openapi.json")).json()
    listed = (await get(served, "/")).json()
    assert listed["websocket"] == "/ws"
    assert {"start_stream", "continue_stream", "pause_stream", "cancel_stream", "end_stream", "ping"} == set(
        listed["actions"]
    )
    paths = [f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods]
    assert set(listed["http"]) | {"GET /"} == set(paths)
    assert listed["model"] == (await served.health())["model"]


async def test_the_model_is_listed_in_openais_shape(served: Served) -> None:
    models = (await get(served, "/v1/models")).json()
    assert models["object"] == "list"
    (model,) = models["data"]
    assert model == {"id": (await served.health())["model"], "object": "model", "created": 0, "owned_by": "tiding"}


async def test_every_answer_has_the_id_of_its_request(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url) as client:
        assert (await client.get("/health", headers={"X-Request-Id": "mine"})).headers["X-Request-Id"] == "mine"
        ids = {(await client.get(path)).headers["X-Request-Id"] for path in ("/health", "/ready", "/nowhere")}
        assert len(ids) == 3


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("POST", "/health", 405)])
async def test_what_is_not_served_is_refused(served: Served, method: str, path: str, status: int) -> None:
    async with httpx.AsyncClient(base_url=served.url) as client:
        response = await client.request(method, path)
        assert response.status_code == status
        check_refusal(response)


async def test_the_process_is_alive_and_says_so_while_the_model_loads() -> None:
    may_load = threading.Event()

    def load() -> FakeText:
        may_load.wait(10)
        return FakeText()

    async with serve_here(load, wait_ready=False) as here:
        health = await here.served.health()
        assert (health["status"], health["model"], health["active_streams"]) == ("loading", None, 0)
        assert (await get(here.served, "/")).json()["model"] is None
        await assert_not_ready(here, "loading")
        models = await get(here.served, "/v1/models")
        assert (models.status_code, models.json()["error"]["code"]) == (503, "loading")
        check_refusal(models)
        may_load.set()
        await until(lambda: here.engine.state == "ready", "it is loaded")
        assert (await get(here.served, "/ready")).json() == {"ready": True}


async def test_a_full_server_says_so() -> None:
    async with serve_here(FakeText, settings=LlmSettings(max_sessions=1)) as here, talk(here.served) as talker:
        await talker.start(pause={"max_tokens": 1})
        await assert_not_ready(here, "full")
        await talker.end()
        assert (await get(here.served, "/ready")).status_code == 200


async def test_a_failed_engine_is_not_ready() -> None:
    failures: list[Exception] = []
    async with serve_here(lambda: FakeText(tell, fails_at=0), on_failure=failures.append) as here:
        async with talk(here.served) as talker:
            assert (await talker.start())["code"] == "engine_failure"
        await until(lambda: bool(failures), "it is reported")
        assert (await here.served.health())["status"] == "failed"
        await assert_not_ready(here, "stalled")


async def assert_not_ready(here: Embedded, reason: str) -> None:
    response = await get(here.served, "/ready")
    body: Message = response.json()
    assert (response.status_code, body["ready"], body["reason"]) == (503, False, reason)
    check_refusal(response)


@pytest.mark.slow
async def test_streams_that_are_open_when_the_server_ends_are_ended_with_it() -> None:
    async with serve_here(lambda: FakeText(tell)) as here:
        talking = talk(here.served)
        talker = await talking.__aenter__()
        await talker.start(messages=ASKING, pause={"max_tokens": 1})
        engine = here.engine
    assert engine.state == "closed"
    assert engine.num_sessions == 0
    await asyncio.wait_for(talking.__aexit__(None, None, None), 5)
