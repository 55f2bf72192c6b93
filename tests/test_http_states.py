"""What HTTP answers while the server loads, is full, or waits for somebody who has left."""

import asyncio
import gc
import math
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import EntryPoint
from typing import Any

import httpx
import msgspec
import pytest
from granian.constants import Interfaces
from granian.server.embed import Server as EmbeddedServer
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app.settings import TtsSettings
from app.tts import create_app
from engines.engine import Engine
from engines.fake import FakeModel, Gate
from engines.model import Wake
from engines.session import Session
from modes import adaptive
from tests.contract import check_refusal
from tests.hearing import listen
from tests.running import until
from tests.serving import Served, free_port, serve_here
from tests.test_http_adaptive import append, close, open_stream, talk_to

pytestmark = pytest.mark.slow

IDLE_S = 0.3
SHORT = "Good morning."
LONG = "A rather long sentence that goes on and on for a while and does not come to its end."


def impatient_adaptive(engine: Engine) -> Any:
    return adaptive.mode(engine, idle_s=IDLE_S)


IMPATIENT = EntryPoint("adaptive", f"{__name__}:impatient_adaptive", "tiding.modes")


@asynccontextmanager
async def serve_loading() -> AsyncIterator[tuple[Served, Callable[[], None]]]:
    """A server that loads until the function that comes with it is called."""
    may_load = threading.Event()

    def load(wake: Wake) -> FakeModel:
        may_load.wait(20)
        return FakeModel(wake)

    app, port = create_app(TtsSettings(), load=load, on_failure=lambda _: None), free_port()
    server = EmbeddedServer(app, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False)
    serving = asyncio.create_task(server.serve())
    try:
        yield Served(port, os.getpid()), may_load.set
    finally:
        may_load.set()
        server.stop()
        await serving


async def answering(served: Served, path: str = "/health") -> None:
    """Return when the server answers this path with 200."""
    async with httpx.AsyncClient(base_url=served.url, verify=False) as client:
        for _ in range(1000):
            try:
                if (await client.get(path)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.01)
    raise TimeoutError(f"{path} is not 200")


async def test_while_loading_health_says_so_and_everything_else_is_503() -> None:
    async with serve_loading() as (served, finish), httpx.AsyncClient(base_url=served.url, verify=False) as client:
        await answering(served)
        health = await client.get("/health")
        assert health.status_code == 200
        assert health.json().items() >= {"status": "loading", "model_loaded": False}.items()
        refused = [
            await client.get("/v1/audio/config"),
            await client.get("/v1/audio/voices"),
            await client.get("/v1/models"),
            await client.post("/v1/audio/speech", json={"input": SHORT}),
            await client.post("/v1/audio/speech/stream", json={"input": SHORT}),
            await client.post("/v1/tts/stream"),
        ]
        for response in refused:
            assert response.status_code == 503, response.url
            assert response.json()["error"]["code"] == "loading"
            check_refusal(response)
        finish()
        await answering(served, "/ready")
        assert (await client.post("/v1/audio/speech", json={"input": SHORT})).status_code == 200


async def test_ready_says_why_not_in_the_body_that_every_refusal_has() -> None:
    async with serve_loading() as (served, _), httpx.AsyncClient(base_url=served.url, verify=False) as client:
        await answering(served)
        response = await client.get("/ready")
        assert response.status_code == 503
        assert "loading" in response.text
        check_refusal(response)


async def test_a_socket_that_comes_while_loading_is_told_to_come_later() -> None:
    async with serve_loading() as (served, finish):
        await answering(served)
        await check_told_to_come_later(served, "loading")
        finish()
        await answering(served, "/ready")
        async with listen(served) as listener:
            await listener.speak([SHORT])
            assert listener.audio


async def check_told_to_come_later(served: Served, code: str) -> None:
    """A handshake is answered with 503, when to come back, and why."""
    with pytest.raises(InvalidStatus) as raised:
        await connect(served.socket_url)
    response = raised.value.response
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert msgspec.json.decode(response.body or b"")["error"]["code"] == code


async def test_a_full_server_is_not_ready_and_refuses_with_a_time_to_come_back() -> None:
    async with serve_here(settings=TtsSettings(max_sessions=1)) as here, talk_to(here.served) as client:
        path = await open_stream(client)
        ready = await asyncio.to_thread(httpx.get, f"{here.served.url}/ready")
        assert ready.status_code == 503
        assert "full" in ready.text
        for url, body in (("/v1/audio/speech", {"input": SHORT}), ("/v1/audio/speech/stream", {"input": SHORT}),
                          ("/v1/tts/stream", {})):  # fmt: skip
            refused = await client.post(url, json=body)
            assert refused.status_code in (429, 503)
            check_refusal(refused)
        await check_told_to_come_later(here.served, "at_capacity")
        await client.delete(path)
        async with listen(here.served) as listener:
            await listener.speak([SHORT])
        assert (await client.post("/v1/audio/speech", json={"input": SHORT})).status_code == 200


# -- an adaptive stream lives while it is used -------------------------------------------------------------------------


async def test_a_stream_that_nobody_uses_is_closed_and_its_id_still_answers() -> None:
    async with serve_here(mode_points=[IMPATIENT]) as here, talk_to(here.served) as client:
        path = await open_stream(client)
        await until(lambda: here.engine.num_sessions == 0, "no session is left")
        assert (await client.post(f"{path}/append", json={"text": SHORT})).status_code == 409
        assert (await client.get(f"{path}/audio")).status_code in (200, 409)
        await close(client, path)


async def test_a_stream_whose_text_was_never_fetched_is_given_up_too() -> None:
    async with serve_here(mode_points=[IMPATIENT]) as here, talk_to(here.served) as client:
        await append(client, await open_stream(client), LONG)
        await until(lambda: here.engine.num_sessions == 0, "no session is left")
        await until(lambda: here.engine.num_busy_slots == 0, "0 busy slots")


async def test_text_keeps_a_stream_alive() -> None:
    async with serve_here(mode_points=[IMPATIENT]) as here, talk_to(here.served) as client:
        path = await open_stream(client)
        for word in ("one", " two", " three", " four", " five"):
            await asyncio.sleep(IDLE_S / 2)
            await append(client, path, word)


async def test_a_reader_of_a_stream_that_goes_idle_gets_its_audio_and_an_end() -> None:
    async with serve_here(mode_points=[IMPATIENT]) as here, talk_to(here.served) as client:
        path = await open_stream(client)
        await append(client, path, SHORT)
        assert len((await client.get(f"{path}/audio")).content) > 10_000  # nobody closes it


# -- first audio, and clients that leave -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/audio/speech/stream", "adaptive"])
async def test_first_audio_leaves_before_the_segment_is_finished(path: str) -> None:
    gate = Gate(10)
    async with serve_here(partial(FakeModel, gate=gate)) as here, talk_to(here.served) as client:
        method, url, body = "POST", path, {"input": LONG, "first_chunk_frames": 2}
        if path == "adaptive":
            opened = await open_stream(client)
            await append(client, opened, LONG)
            method, url, body = "GET", f"{opened}/audio", None
        async with client.stream(method, url, json=body) as response:
            assert await anext(response.aiter_raw())
            assert here.engine.num_busy_slots == 1, "the model is still at it"
        gate.allow(math.inf)
        await until(lambda: here.engine.num_sessions == 0, "no session is left")


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/audio/speech/stream"])
async def test_a_client_that_leaves_frees_its_slot_within_one_step(path: str) -> None:
    gate = Gate(3)
    async with serve_here(partial(FakeModel, gate=gate)) as here:
        asked = httpx.AsyncClient(base_url=here.served.url, timeout=30, verify=False)
        request = asyncio.create_task(asked.post(path, json={"input": LONG}))
        await until(lambda: here.engine.num_busy_slots == 1, "1 busy slots")
        await asyncio.to_thread(gate.wait_held)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        await asked.aclose()
        await until(lambda: here.engine.num_sessions == 0, "no session is left")
        gate.allow(1)
        await until(lambda: here.engine.num_busy_slots == 0, "0 busy slots")


async def test_nothing_is_kept_of_a_stream_that_is_over_but_how_it_ended() -> None:
    async with serve_here() as here, httpx.AsyncClient(base_url=here.served.url) as client:
        paths = [(await client.post("/v1/tts/stream")).json()["audio_url"].removesuffix("/audio") for _ in range(3)]
        for path in paths:
            await client.post(f"{path}/append", json={"text": "Hello there."})
        await client.delete(paths[0])
        for path in paths[1:]:
            await client.post(f"{path}/close")
            assert (await client.get(f"{path}/audio")).content
        gc.collect()
        assert not [one for one in gc.get_objects() if type(one) is Session]
        assert [(await client.post(f"{path}/append", json={"text": "More."})).status_code for path in paths] == [
            409
        ] * 3
