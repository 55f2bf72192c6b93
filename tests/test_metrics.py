"""`/metrics` adds up: what the speech server says it has done is what its clients have seen."""

import asyncio
import json
import threading
import time
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from websockets.asyncio.client import connect

from app.settings import TtsSettings
from engines.catalog import MODELS, ModelOptions
from engines.fake import FakeModel, Gate
from engines.model import Made, Model, Wake
from tests.listening import Heard, browsing, calling, speak_adaptive, speak_batch, speak_stream, tokens_of, underrun_s
from tests.running import until
from tests.scraping import Growth, scrape
from tests.serving import Served, serve_here

pytestmark = pytest.mark.alone

TEXT = "The metrics must add up. Whatever was heard was counted, and nothing else was!"
MODES = ("batch", "stream", "adaptive", "websocket")


async def grown(served: Served, name: str, least: float, **labels: str) -> None:
    """Return when a counter says so: what ends a stream for its client is a moment before it is over here."""
    for _ in range(500):
        if (await scrape(served.url)).total(name, **labels) >= least:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{name}{labels} does not come to {least}")


async def speak_all(served: Served) -> dict[str, list[Heard]]:
    """Known work in every mode."""
    async with browsing(served) as client, calling(served) as caller:
        return {
            "batch": [await speak_batch(client, TEXT)],
            "stream": [await speak_stream(client, TEXT, sample_rate=48_000), await speak_stream(client, TEXT)],
            "adaptive": [await speak_adaptive(client, tokens_of(TEXT))],
            "websocket": [
                await caller.say_sentences([TEXT], "batch"),
                await caller.say_sentences([TEXT], "stream", sample_rate=8000),
                await caller.say_tokens(tokens_of(TEXT)),
            ],
        }


@pytest.mark.slow
async def test_characters_audio_and_streams_are_those_of_the_clients(server: Served) -> None:
    before = await scrape(server.url)
    heard = await speak_all(server)
    for mode, streams in heard.items():
        await grown(
            server, "tiding_streams_total", before.total("tiding_streams_total", mode=mode) + len(streams), mode=mode
        )
    growth = Growth(before, await scrape(server.url))
    for mode, streams in heard.items():
        audio_s = sum(stream.duration_s for stream in streams)
        assert growth.of("tiding_audio_seconds_total", mode=mode) == pytest.approx(audio_s, abs=1e-6), mode
        assert growth.of("tiding_audio_made_seconds_total", mode=mode) == pytest.approx(audio_s, rel=0.001), mode
        assert growth.of("tiding_characters_total", mode=mode) == len(TEXT) * len(streams), mode
        assert growth.of("tiding_streams_total", mode=mode, outcome="done") == len(streams), mode
        assert growth.of("tiding_streams_total", mode=mode) == len(streams), mode
        assert growth.of("tiding_first_audio_seconds_count", mode=mode) == len(streams), mode
        assert growth.of("tiding_real_time_ratio_count", mode=mode) == len(streams), mode
        assert growth.of("tiding_segments_total", mode=mode) >= 2 * len(streams), mode
    assert growth.of("tiding_step_rows_total") >= growth.of("tiding_step_duration_seconds_count") > 0
    assert growth.of("tiding_queue_wait_seconds_count") >= growth.of("tiding_segments_total")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["mp3", "opus", "wav", "flac"])
async def test_audio_in_another_format_is_counted_by_what_it_sounds(fake_server: Served, form: str) -> None:
    async with browsing(fake_server) as client:
        before = await scrape(fake_server.url)
        plain = await speak_stream(client, TEXT)
        middle = await scrape(fake_server.url)
        body = {"input": TEXT, "response_format": form}
        assert (await client.post("/v1/audio/speech/stream", json=body)).status_code == 200
        whole = await client.post("/v1/audio/speech", json=body)
        after = await scrape(fake_server.url)
    assert Growth(before, middle).of("tiding_audio_seconds_total") == pytest.approx(plain.duration_s, abs=1e-6)
    streamed = Growth(middle, after).of("tiding_audio_seconds_total", mode="stream")
    assert streamed == pytest.approx(plain.duration_s, abs=0.1)
    batch_ms = 1000 * Growth(middle, after).of("tiding_audio_seconds_total", mode="batch")
    assert round(batch_ms) == int(whole.headers["X-Duration-Ms"])


async def test_what_is_cancelled_is_counted_as_far_as_it_was_sent(server: Served) -> None:
    before = await scrape(server.url)
    num_bytes = 0
    async with connect(server.socket_url, compression=None) as socket:
        await socket.send(json.dumps({"type": "text", "text": TEXT * 3, "mode": "stream"}))
        while not isinstance(message := await socket.recv(), str) or json.loads(message)["type"] != "cancelled":
            if isinstance(message, bytes):
                num_bytes += len(message)
                await socket.send(json.dumps({"type": "cancel"}))
    growth = Growth(before, await scrape(server.url))
    assert num_bytes > 0
    assert growth.of("tiding_audio_seconds_total", mode="websocket") == pytest.approx(num_bytes / 2 / 22_050, abs=1e-6)
    assert growth.of("tiding_streams_total", mode="websocket", outcome="cancelled") == 1
    assert growth.of("tiding_streams_total") == 1


async def test_a_client_that_hangs_up_has_cancelled(server: Served) -> None:
    before = await scrape(server.url)
    async with connect(server.socket_url, compression=None) as socket:
        await socket.send(json.dumps({"type": "text", "text": TEXT * 3, "mode": "stream"}))
        while not isinstance(await socket.recv(), bytes):
            pass
        socket.transport.abort()
    cancelled = {"mode": "websocket", "outcome": "cancelled"}
    await grown(server, "tiding_streams_total", before.value("tiding_streams_total", **cancelled) + 1, **cancelled)


# -- underruns ---------------------------------------------------------------------------------------------------------


class Slow:
    """A model that takes longer for its audio than that sounds."""

    def __init__(self, model: Model, factor: float) -> None:
        self._model = model
        self._factor = factor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def step(self, slots: Sequence[int]) -> Made:
        made = self._model.step(slots)
        num_samples = sum(len(result.pcm) for result in made.results)
        time.sleep(self._factor * num_samples / self._model.format.sample_rate_hz)
        return made


def slow_hibari(wake: Wake) -> Any:
    return Slow(MODELS["hibari"](ModelOptions())(wake), 1.5)


@pytest.mark.slow
async def test_underruns_under_a_slow_voice_are_what_a_listener_waits() -> None:
    async with (
        serve_here(slow_hibari) as embedded,
        calling(embedded.served) as caller,
        browsing(embedded.served) as client,
    ):
        before = await scrape(embedded.served.url)
        socket = await caller.say_sentences([TEXT], "stream")
        http = await speak_stream(client, TEXT)
        growth = Growth(before, await scrape(embedded.served.url))
    for mode, heard in (("websocket", socket), ("stream", http)):
        waited_s = underrun_s(heard)
        assert waited_s > 0.5, mode
        assert growth.of("tiding_underrun_seconds_total", mode=mode) == pytest.approx(waited_s, rel=0.15), mode
        assert growth.of("tiding_underruns_total", mode=mode) > 3, mode


@pytest.mark.slow
async def test_text_that_comes_late_is_no_underrun(fake_server: Served) -> None:
    before = await scrape(fake_server.url)
    async with calling(fake_server) as caller:
        heard = await caller.say_sentences(["Ah.", "Oh."], "stream", send_rate=0)
        assert underrun_s(heard) < 0.2
    async with browsing(fake_server) as client:
        await speak_adaptive(client, ["Ah. ", "Oh. ", "Eh."], gap_s=0.6)
    assert Growth(before, await scrape(fake_server.url)).of("tiding_underrun_seconds_total") == 0


# -- gauges and refusals -----------------------------------------------------------------------------------------------


async def test_gauges_show_what_is_in_use_and_what_waits() -> None:
    gate = Gate()
    async with serve_here(lambda wake: FakeModel(wake, num_slots=2, gate=gate)) as embedded:
        url = embedded.served.url
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            asking = [
                asyncio.create_task(client.post("/v1/audio/speech/stream", json={"input": TEXT})) for _ in range(5)
            ]
            await until(lambda: embedded.engine.num_sessions == 5, "all have asked")
            gate.allow()  # who came while a step was held is admitted before the next
            await until(lambda: embedded.engine.num_waiting == 3, "three wait")
            seen = await scrape(url)
            gate.allow(10_000)
            await asyncio.gather(*asking)
            await until(lambda: embedded.engine.num_busy_slots == 0, "all is over")
            after = await scrape(url)
    assert [seen.value(f"tiding_slots_{name}") for name in ("in_use", "capacity")] == [2, 2]
    assert [seen.value(f"tiding_sessions_{name}") for name in ("open", "capacity")] == [5, 1024]
    assert seen.value("tiding_queue_length") == 3
    assert seen.value("tiding_model_info", model="fake") == seen.value("tiding_engine_ready") == 1
    assert [after.value(f"tiding_{name}") for name in ("slots_in_use", "sessions_open", "queue_length")] == [0, 0, 0]
    assert after.value("tiding_queue_wait_seconds_count") >= 10


async def test_refusals_are_counted_by_their_code_wherever_they_happen() -> None:
    async with serve_here(settings=TtsSettings(max_sessions=1)) as embedded:
        served = embedded.served
        async with httpx.AsyncClient(base_url=served.url) as client, connect(served.socket_url) as socket:
            await client.post("/v1/audio/speech", json={"input": "Hi.", "voice": "nobody"})
            await client.post("/v1/audio/speech", content=b"{")
            await client.get("/nowhere")
            for message in ('{"type": "init", "voice": "nobody"}', "{", '{"type": "dance"}', '{"type": "init"}'):
                await socket.send(message)
                await socket.recv()
            assert (await client.post("/v1/audio/speech", json={"input": "Hi."})).status_code == 503
            with pytest.raises(Exception, match="403"):
                await connect(f"{served.socket_url}/nowhere")
            seen = await scrape(served.url)
    found = {
        (sample.labels["mode"], sample.labels["reason"]): sample.value
        for sample in seen.families["tiding_refusals"].samples
    }
    assert found.pop(("websocket", "malformed_json")) == 1
    assert found == {
        ("batch", "unknown_voice"): 1, ("batch", "invalid_field"): 1, ("batch", "at_capacity"): 1,
        ("none", "not_found"): 1, ("none", "handshake_refused"): 1,
        ("websocket", "unknown_voice"): 1, ("websocket", "unknown_type"): 1,
    }  # fmt: skip


async def test_segments_that_a_guard_cut_short_or_the_model_failed_on_are_counted() -> None:
    def make(wake: Wake) -> FakeModel:
        return FakeModel(wake, babble="gibberish", poison="poison")

    async with serve_here(make) as embedded, httpx.AsyncClient(base_url=embedded.served.url, timeout=30) as client:
        for word in ("gibberish", "poison"):
            await client.post("/v1/audio/speech", json={"input": f"This is {word} and goes on and on."})
        seen = await scrape(embedded.served.url)
    assert seen.value("tiding_segments_cut_short_total", reason="babble") == 1
    assert seen.value("tiding_segments_failed_total") == 1
    assert seen.value("tiding_streams_total", mode="batch", outcome="failed") == 1


# -- the page ----------------------------------------------------------------------------------------------------------


async def test_labels_hold_nothing_that_a_client_made_up(fake_server: Served) -> None:
    async with httpx.AsyncClient(base_url=fake_server.url) as client:
        opened = (await client.post("/v1/tts/stream")).json()["stream_id"]
        await client.delete(f"/v1/tts/stream/{opened}")
        await client.get("/v1/tts/stream/mischief/audio")
        await client.post("/mischief", headers={"X-Request-Id": "mischief"})
        text = (await client.get("/metrics")).text
    assert opened not in text
    assert "mischief" not in text
    assert 'path="/v1/tts/stream/{stream_id}"' in text


async def test_http_requests_are_counted_by_route_and_status_and_sockets_are_not(fake_server: Served) -> None:
    before = await scrape(fake_server.url)
    async with httpx.AsyncClient(base_url=fake_server.url) as client, connect(fake_server.socket_url) as socket:
        await client.get("/v1/audio/voices")
        await socket.send('{"type": "ping"}')
        await socket.recv()
    growth = Growth(before, await scrape(fake_server.url))
    voices = {"path": "/v1/audio/voices", "method": "GET", "status_code": "200", "app_name": "speech"}
    assert growth.of("tiding_http_requests_total", **voices) == 1
    assert growth.of("tiding_http_requests_total", path="/ws/tts/stream") == 0


async def test_who_goes_away_unanswered_was_not_answered() -> None:
    gate = Gate()
    async with serve_here(lambda wake: FakeModel(wake, gate=gate)) as embedded:
        before = await scrape(embedded.served.url)
        with pytest.raises(httpx.ReadTimeout):
            async with httpx.AsyncClient(base_url=embedded.served.url) as client:
                await client.post("/v1/audio/speech", json={"input": TEXT}, timeout=0.3)
        await until(lambda: embedded.engine.num_sessions == 0, "the request was given up")
        growth = Growth(before, await scrape(embedded.served.url))
        gate.allow(10_000)
    assert growth.of("tiding_http_requests_total", path="/v1/audio/speech", status_code="499") == 1
    assert growth.of("tiding_http_requests_total", path="/v1/audio/speech") == 1


async def test_before_the_model_is_there_it_says_so_and_shows_no_slots() -> None:
    loading = threading.Event()

    def load(wake: Wake) -> FakeModel:
        loading.wait()
        return FakeModel(wake)

    from litestar.testing import AsyncTestClient

    from app.tts import create_app

    async with AsyncTestClient(create_app(TtsSettings(), load=load, on_failure=lambda _: None)) as client:
        text = (await client.get("/metrics")).text
        loading.set()
    assert "tiding_engine_ready 0.0" in text
    assert "\ntiding_slots_in_use " not in text
    for mode in MODES:
        assert f'tiding_streams_total{{mode="{mode}",outcome="done"}} 0.0' in text, (
            "it can be seen to grow from nothing"
        )


async def test_it_is_openmetrics_for_who_asks_for_that(fake_server: Served) -> None:
    headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with httpx.AsyncClient(base_url=fake_server.url) as client:
        response = await client.get("/metrics", headers=headers)
    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in openmetrics_families(response.text)}
    assert {"tiding_first_audio_seconds", "process_resident_memory_bytes", "tiding_http_requests"} <= names
