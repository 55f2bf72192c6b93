"""What a request asks of the voice, on its way to the model: the same fields on every path, and sizes of chunks."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from engines.types import Params
from tests.hearing import listen
from tests.running import until
from tests.serving import Served, serve_here

TEXT = "Good morning."
ASKED = {"seed": 7, "temperature": 0.4, "top_k": 20, "cfg_scale": 1.5, "language": "de-AT"}
SAMPLED = ("language", "seed", "temperature", "top_k", "cfg_scale")


async def batch(served: Served, **fields: Any) -> None:
    await _post(served, "/v1/audio/speech", input=TEXT, **fields)


async def stream(served: Served, **fields: Any) -> None:
    await _post(served, "/v1/audio/speech/stream", input=TEXT, **fields)


async def adaptive(served: Served, **fields: Any) -> None:
    opened = await _post(served, "/v1/tts/stream", **fields)
    path = f"/v1/tts/stream/{opened.json()['stream_id']}"
    await _post(served, f"{path}/append", text=TEXT)
    await _post(served, f"{path}/close")


async def websocket(served: Served, **fields: Any) -> None:
    async with listen(served) as listener:
        await listener.begin(**fields)
        await listener.say([TEXT], mode="stream")
        await listener.finish()


async def _post(served: Served, path: str, **fields: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=served.url) as client:
        response = await client.post(path, json=fields)
    assert response.is_success, response.text
    return response


Ask = Callable[..., Awaitable[None]]


async def params_of(ask: Ask, **fields: Any) -> Params:
    async with serve_here() as here:
        await ask(here.served, **fields)
        await until(lambda: bool(here.model.prefills), "the segment reaches the model")
        return here.model.prefills[0].params


@pytest.mark.parametrize("ask", [batch, stream, adaptive, websocket])
async def test_every_path_hands_the_samplers_fields_to_the_model(ask: Ask) -> None:
    params = await params_of(ask, **ASKED)
    assert {name: getattr(params, name) for name in SAMPLED} == ASKED | {"language": "de"}


@pytest.mark.parametrize("ask", [batch, stream, adaptive, websocket])
async def test_what_is_not_asked_for_is_the_models_own(ask: Ask) -> None:
    params = await params_of(ask)
    assert [getattr(params, name) for name in SAMPLED] == ["en", 0, None, None, None]
    nulls = await params_of(ask, temperature=None, top_k=None, cfg_scale=None)
    assert nulls == params


@pytest.mark.parametrize("field", ["seed", "temperature", "top_k", "cfg_scale"])
@pytest.mark.parametrize("edge", [0, 1])
async def test_the_ends_of_the_ranges_are_served(field: str, edge: int) -> None:
    ends = {"seed": (0, 2**63 - 1), "temperature": (0, 2), "top_k": (1, 2048), "cfg_scale": (1, 10)}
    assert getattr(await params_of(batch, **{field: ends[field][edge]}), field) == ends[field][edge]


def sizes(params: Params) -> tuple[int, int]:
    return params.first_chunk_frames, params.chunk_frames


async def test_an_http_stream_asks_the_model_for_chunks_of_its_own_sizes() -> None:
    assert sizes(await params_of(stream, first_chunk_frames=3, chunk_size_frames=5)) == (3, 5)


async def test_an_adaptive_stream_asks_for_small_chunks_and_batch_for_large_ones() -> None:
    assert sizes(await params_of(adaptive)) == (4, 8)
    assert sizes(await params_of(batch)) == (32, 32)


async def test_the_preset_of_each_message_decides_its_chunks() -> None:
    async with serve_here() as here, listen(here.served) as listener:
        for preset in ("aggressive", "balanced", "conservative"):
            await listener.say([TEXT], mode="stream", preset=preset)
        await listener.say([TEXT], mode="batch", preset="aggressive")
        await listener.finish()
        assert [sizes(job.params) for job in here.model.prefills] == [(4, 8), (6, 10), (8, 12), (32, 32)]


@pytest.mark.parametrize("preset", ["aggressive", "conservative"])
async def test_joined_text_has_the_preset_that_it_began_with(preset: str) -> None:
    async with serve_here() as here, listen(here.served) as listener:
        await listener.begin(default_mode="stream")
        await listener.say(["Good", " morning", " to you."], preset=preset)
        await listener.finish()
        assert [sizes(job.params) for job in here.model.prefills] == [(4, 8) if preset == "aggressive" else (8, 12)]
