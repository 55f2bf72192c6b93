"""`speed`: the audio is shorter or longer, words keep their places in it, and the voice its pitch."""

import asyncio
from itertools import pairwise

import httpx
import numpy as np
import pytest

from engines.engine import Engine
from engines.errors import RequestError
from engines.hibari import load
from engines.types import Frame
from tests.contract import int16_samples
from tests.recognising import transcribe, word_error_rate
from tests.running import running
from tests.serving import Served

TEXT = "The first one is here, and it is long enough. Then comes another."
SPEEDS = (0.25, 0.5, 0.8, 1.25, 2.0, 3.0, 4.0)
PATHS = ("/v1/audio/speech", "/v1/audio/speech/stream")


async def spoken(engine: Engine, speed: float) -> list[Frame]:
    async with engine.open_session(speed=speed, is_paced=False) as session:
        session.push(TEXT)
        session.finish()
        return [frame async for frame in session]


def duration_ms(frames: list[Frame], rate_hz: int) -> float:
    return sum(len(frame.pcm) for frame in frames) * 1000 / rate_hz


@pytest.mark.parametrize("speed", SPEEDS)
async def test_a_model_that_cannot_is_stretched_and_words_stay_in_their_places(speed: float) -> None:
    async with running(silence_ms=(300, 500)) as (engine, _):
        usual, other = await spoken(engine, 1.0), await spoken(engine, speed)
        rate_hz = engine.format.sample_rate_hz
    usual_ms, other_ms = duration_ms(usual, rate_hz), duration_ms(other, rate_hz)
    assert other_ms == pytest.approx(usual_ms / speed, abs=100)
    words = [[word for frame in frames for word in frame.words] for frames in (usual, other)]
    assert [word.text for word in words[0]] == [word.text for word in words[1]]
    for one, two in zip(*words, strict=True):
        assert two.start_ms * speed == pytest.approx(one.start_ms, abs=max(60, 60 * speed))
        assert two.end_ms <= other_ms + 1


@pytest.mark.slow
@pytest.mark.parametrize("speed", SPEEDS)
async def test_the_real_voice_is_as_fast_as_asked(speed: float) -> None:
    engine = Engine(load)
    engine.start()
    await engine.wait_ready()
    usual, other = await spoken(engine, 1.0), await spoken(engine, speed)
    await engine.close()
    rate_hz = 24_000
    assert duration_ms(other, rate_hz) * speed == pytest.approx(duration_ms(usual, rate_hz), rel=0.1)
    words = [word for frame in other for word in frame.words]
    assert len(words) == len(TEXT.split())
    assert all(one.end_ms <= two.start_ms + 1 for one, two in pairwise(words))


@pytest.mark.parametrize("speed", [0.0, 0.2, 4.1, float("nan"), float("inf"), -1.0])
async def test_a_speed_out_of_range_is_refused(speed: float) -> None:
    async with running() as (engine, _):
        with pytest.raises(RequestError, match="speed"):
            engine.open_session(speed=speed)


@pytest.mark.parametrize("path", PATHS)
def test_speed_is_served_on_every_path(client: httpx.Client, path: str) -> None:
    def length(speed: float) -> int:
        body = {"input": TEXT, "speed": speed, "response_format": "pcm", "sample_rate": 24_000}
        return len(client.post(path, json=body).raise_for_status().content)

    assert length(2.0) * 2 == pytest.approx(length(1.0), rel=0.1)
    assert length(0.5) / 2 == pytest.approx(length(1.0), rel=0.1)


@pytest.mark.slow
@pytest.mark.recogniser
@pytest.mark.parametrize("speed", [0.5, 0.75, 1.5, 2.0])
def test_a_listener_understands_it(hibari_server: Served, speed: float) -> None:
    text = "The next train to the coast leaves in twenty minutes from platform four."
    body = {"input": text, "speed": speed, "response_format": "pcm"}
    audio = httpx.post(f"{hibari_server.url}/v1/audio/speech", json=body, timeout=60).raise_for_status().content
    assert word_error_rate([text], [transcribe(int16_samples(audio), 24_000)]) <= 0.1


async def test_a_client_that_slows_down_is_paced_by_what_it_hears() -> None:
    """A stretched second is a second of credit."""
    async with running() as (engine, _):
        session = engine.open_session(speed=0.25, is_paced=True)
        session.push(TEXT * 3)
        session.finish()
        await asyncio.sleep(0)
        frames = [await anext(session) for _ in range(4)]
        heard_s = sum(len(frame.pcm) for frame in frames) / engine.format.sample_rate_hz
        assert session.buffer_ms == pytest.approx(heard_s * 1000, abs=200)
        session.cancel()
    assert np.isfinite(heard_s)
