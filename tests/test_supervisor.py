"""The end of a server that is busy, and what comes back by itself: real processes, real sockets, the real voice."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import httpx
import pytest
from websockets.asyncio.client import connect

from app.end_requests import SAME_S, EndRequests
from app.status import GAVE_UP
from app.supervisor import DEATHS_WITHIN_S, MAX_DEATHS, Deaths
from app.worker import TELLS_OF_DRAIN
from tests.draining import LISTENERS, SLOW_READER, begin_to_speak, by_post, hear, holding, rests_s
from tests.launching import Launch, Launched, processes_of, worker_of
from tests.serving import Served
from tests.test_watchdog import Clock

pytestmark = pytest.mark.alone

BREAKABLE_MODEL = '''
    """Imported at start-up (sitecustomize): `fake` is a model that breaks on one word and hangs on another."""
    import threading
    from engines import catalog, fake

    class Breakable(fake.FakeModel):
        def step(self, slots):
            if any("hang" in self._rows[slot].job.segment.text for slot in slots):
                threading.Event().wait()
            return super().step(slots)

    catalog.MODELS["fake"] = lambda _: lambda wake: Breakable(wake, broken="break")
'''


OTHER_LOOP = """
    def new_event_loop():
        raise RuntimeError("this one was not asked for")
"""
"""Of a name that Granian takes before any other, where it may choose."""


def is_ready(launched: Launched, query: str = "") -> bool:
    return httpx.get(f"{launched.url}/ready{query}").status_code == 200


def until_ready(launched: Launched) -> None:
    launched.until(lambda: is_ready(launched), "it is ready")


def why_not_ready(launched: Launched, query: str = "") -> str:
    return httpx.get(f"{launched.url}/ready{query}").json().get("reason", "")


def refusal(launched: Launched) -> tuple[int, str, bool]:
    refused = httpx.post(f"{launched.url}/v1/audio/speech/stream", json={"input": "Hello."})
    return refused.status_code, refused.json()["error"]["code"], "Retry-After" in refused.headers


# -- it drains ---------------------------------------------------------------------------------------------------------


def ask_main(launched: Launched) -> None:
    launched.process.send_signal(signal.SIGTERM)


def ask_group(launched: Launched) -> None:
    """A terminal's ^C."""
    os.killpg(launched.process.pid, signal.SIGINT)


def ask_everybody(launched: Launched) -> None:
    """As service managers do."""
    os.killpg(launched.process.pid, signal.SIGTERM)


def ask_worker(launched: Launched) -> None:
    os.kill(worker_of(launched), signal.SIGTERM)


def hang_up(launched: Launched) -> None:
    os.killpg(launched.process.pid, signal.SIGHUP)


def ask_over_http(launched: Launched) -> None:
    begun = httpx.post(f"{launched.url}/admin/drain")
    assert (begun.status_code, begun.json()) == (202, {"status": "draining"})


def ask_over_http_and_then_main(launched: Launched) -> None:
    """As an orchestrator does whose hook asks for a drain before it sends its signal."""
    ask_over_http(launched)
    time.sleep(1.2 * SAME_S)
    ask_main(launched)


def ask_everybody_twice(launched: Launched) -> None:
    """As a service manager does that hangs up as well. Two of the same number might become one on their way."""
    ask_everybody(launched)
    hang_up(launched)


def tell_and_ask_main(launched: Launched) -> None:
    """As it is for the main process where a group is asked and its worker is quicker."""
    launched.process.send_signal(TELLS_OF_DRAIN)
    ask_main(launched)


ASKS = [
    ask_group,
    ask_everybody,
    ask_everybody_twice,
    ask_worker,
    hang_up,
    ask_over_http,
    ask_over_http_and_then_main,
    tell_and_ask_main,
]


def kill_supervisor(launched: Launched) -> None:
    launched.process.kill()


@pytest.mark.slow
async def test_sigterm_costs_nobody_a_sample_on_the_real_voice(launch: Launch) -> None:
    launched = launch(TIDING_MODEL="hibari")
    await asyncio.to_thread(until_ready, launched)
    wanted = [await LISTENERS[name](launched.url) for name in ("HTTP stream", "HTTP batch")]
    running = [asyncio.create_task(listen(launched.url)) for listen in (*LISTENERS.values(), holding)]
    await asyncio.sleep(1)
    ask_main(launched)
    await asyncio.to_thread(launched.until, lambda: why_not_ready(launched) == "draining", "it is draining")
    assert await asyncio.to_thread(is_ready, launched, "?for=existing")
    assert await asyncio.to_thread(refusal, launched) == (503, "draining", True)
    got = dict(zip((*LISTENERS, "holding"), await asyncio.gather(*running), strict=True))
    assert await asyncio.to_thread(launched.wait) == 0
    assert processes_of(launched) == []
    for name in LISTENERS:
        assert got[name].code in (200, 1001), name
    assert [got[name].kinds[-1] for name in LISTENERS if name.startswith("socket")] == ["done", "done"]
    assert got["holding"].code == 1001
    stream, batch = wanted
    assert got["HTTP stream"].audio == stream.audio
    assert got["HTTP batch"].audio == batch.audio
    assert len(got["socket, stream"].audio) == len(got["socket, batch, slowly"].audio)
    assert len(got[SLOW_READER].audio) == pytest.approx(len(stream.audio) * 48000 / 22050, rel=0.001)
    assert len(got["HTTP adaptive"].audio) > 0.9 * len(stream.audio)
    assert "Traceback" not in launched.text


@pytest.mark.slow
@pytest.mark.parametrize("ask", ASKS)
async def test_whoever_asks_it_to_end_what_runs_is_finished_first(
    launch: Launch, ask: Callable[[Launched], None]
) -> None:
    launched = launch()
    await asyncio.to_thread(until_ready, launched)
    speaking = await begin_to_speak(launched.url, send_rate=8.0)
    await asyncio.to_thread(ask, launched)
    ending = await speaking
    assert (ending.kinds[-1], ending.code) == ("done", 1001)
    assert ending.messages[-1]["total_audio_ms"] == pytest.approx(len(ending.audio) / 44.1, abs=1)
    assert await asyncio.to_thread(launched.wait) == 0
    assert processes_of(launched) == []
    assert "Traceback" not in launched.text


@pytest.mark.slow
async def test_a_worker_whose_supervisor_is_killed_finishes_and_ends(launch: Launch) -> None:
    launched = launch()
    await asyncio.to_thread(until_ready, launched)
    speaking = await begin_to_speak(launched.url, send_rate=8.0)
    kill_supervisor(launched)
    assert (await speaking).kinds[-1] == "done"
    await asyncio.to_thread(_until_gone, launched)


def _until_gone(launched: Launched) -> None:
    deadline_s = time.monotonic() + 10
    while processes_of(launched):
        assert time.monotonic() < deadline_s, launched.text
        time.sleep(0.05)


@pytest.mark.slow
async def test_what_is_not_over_in_time_is_broken_off(launch: Launch) -> None:
    launched = launch(TIDING_DRAIN_S="0.5")
    await asyncio.to_thread(until_ready, launched)
    read_slowly = by_post("/v1/audio/speech/stream", pause_s=1.0, sample_rate=48000)
    reading = asyncio.ensure_future(read_slowly(launched.url))
    running = [await begin_to_speak(launched.url, send_rate=0.5), reading]
    began_s = time.monotonic()
    ask_main(launched)
    assert await asyncio.to_thread(launched.wait) == 0
    assert time.monotonic() - began_s < 10
    socket, _ = await asyncio.gather(*running)  # the slow one still reads what lies with its own system
    assert socket.code == 1001
    assert socket.kinds[-1] != "done"
    assert "broken off" in launched.text


@pytest.mark.slow
async def test_another_signal_ends_it_at_once(launch: Launch) -> None:
    launched = launch()
    await asyncio.to_thread(until_ready, launched)
    speaking = await begin_to_speak(launched.url, send_rate=0.5)
    ask_group(launched)
    await asyncio.to_thread(launched.until_said, "draining: 1 under way")
    await asyncio.sleep(1.2 * SAME_S)
    began_s = time.monotonic()
    ask_group(launched)
    await asyncio.to_thread(launched.wait)
    assert time.monotonic() - began_s < 2
    assert (await speaking).kinds[-1] != "done"
    assert processes_of(launched) == []


def test_what_comes_at_once_is_one_request_and_what_comes_later_another() -> None:
    clock = Clock()
    requests = EndRequests(clock)
    assert not requests.take()
    clock.now_s += SAME_S
    assert not requests.take()
    clock.now_s += 0.01
    assert requests.take()


@pytest.mark.slow
async def test_a_stream_that_is_running_takes_more_text_while_others_are_refused(launch: Launch) -> None:
    launched = launch()
    await asyncio.to_thread(until_ready, launched)
    async with connect(f"{launched.url.replace('http', 'ws')}/ws/tts/stream") as socket:
        await socket.send('{"type": "text", "text": "Hello there, ", "mode": "stream"}')
        await socket.recv()
        ask_main(launched)
        await asyncio.to_thread(launched.until, lambda: why_not_ready(launched) == "draining", "it is draining")
        for message in ('{"type": "text", "text": "and goodbye.", "mode": "stream"}', '{"type": "close"}'):
            await socket.send(message)
        await socket.send('{"type": "text", "text": "Me too.", "mode": "stream"}')
        ending = await hear(socket)
    assert ending.kinds.count("segment_complete") == 2
    assert ending.kinds[-1] == "done"
    assert [message["code"] for message in ending.messages if message["type"] == "error"] == ["draining"]
    assert await asyncio.to_thread(launched.wait) == 0


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://example.com"}, {"X-Forwarded-For": "203.0.113.5"}, {"Forwarded": "for=203.0.113.5"}]
)
def test_a_page_or_a_proxys_client_may_not_end_it(fake_server: Served, headers: dict[str, str]) -> None:
    refused = httpx.post(f"{fake_server.url}/admin/drain", headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert httpx.get(f"{fake_server.url}/ready").status_code == 200


# -- it dies, and comes back -------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_worker_that_is_killed_under_load_is_told_of_at_once_and_replaced(launch: Launch) -> None:
    launched = launch(TIDING_MODEL="hibari")
    await asyncio.to_thread(until_ready, launched)
    for _ in range(2):  # the second one soon after the first
        running = [asyncio.create_task(listen(launched.url)) for listen in LISTENERS.values()]
        await asyncio.sleep(0.5)
        killed, at_s = worker_of(launched), time.monotonic()
        os.kill(killed, signal.SIGKILL)
        for name, ending in zip(LISTENERS, await asyncio.gather(*running), strict=True):
            assert ending.code in (None, 0, 200), "over before, or cut off without a close"
            assert ending.at_s - at_s < 1 + rests_s(name, ending), name
        await asyncio.to_thread(until_ready, launched)
        assert worker_of(launched) != killed
        assert "ended by signal 9 (Killed)" in launched.text
        assert (await by_post("/v1/audio/speech")(launched.url)).code == 200
    ask_main(launched)
    assert await asyncio.to_thread(launched.wait) == 0


@pytest.mark.slow
async def test_a_model_that_fails_is_loaded_again_once_and_then_its_process_is_replaced(
    launch: Launch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(dedent(BREAKABLE_MODEL))
    launched = launch()
    await asyncio.to_thread(until_ready, launched)
    first = worker_of(launched)
    assert await breaks(launched, "break") == ["engine_failure"]
    await asyncio.to_thread(until_ready, launched)
    assert worker_of(launched) == first
    assert await breaks(launched, "break") == ["engine_failure"]
    await asyncio.to_thread(launched.until, lambda: worker_of(launched) not in (0, first), "another worker is there")
    await asyncio.to_thread(until_ready, launched)
    assert (await by_post("/v1/audio/speech")(launched.url)).code == 200


@pytest.mark.slow
async def test_a_model_that_hangs_is_seen_and_its_process_is_replaced(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(dedent(BREAKABLE_MODEL))
    launched = launch(TIDING_STALL_S="1")
    await asyncio.to_thread(until_ready, launched)
    first = worker_of(launched)
    hanging = asyncio.create_task(breaks(launched, "hang"))
    await asyncio.to_thread(launched.until, lambda: why_not_ready(launched) == "stalled", "it is stalled")
    assert why_not_ready(launched, "?for=existing") == "stalled"
    assert await hanging == ["engine_failure"]
    await asyncio.to_thread(launched.until, lambda: worker_of(launched) not in (0, first), "another worker is there")
    await asyncio.to_thread(until_ready, launched)


async def breaks(launched: Launched, word: str) -> list[str]:
    """The codes of the errors that a socket gets when the model is given this word."""
    async with connect(f"{launched.url.replace('http', 'ws')}/ws/tts/stream") as socket:
        await socket.send(f'{{"type": "text", "text": "{word}", "mode": "stream"}}')
        async with asyncio.timeout(20):
            while '"error"' not in (message := str(await socket.recv())):
                pass
        return [message.partition('"code":"')[2].partition('"')[0]]


# -- how often ---------------------------------------------------------------------------------------------------------


def test_a_worker_that_dies_now_and_then_is_always_replaced() -> None:
    clock = Clock()
    deaths = Deaths(clock)
    for _ in range(100):
        assert deaths.may_respawn(-9)
        clock.now_s += DEATHS_WITHIN_S / (MAX_DEATHS - 1)


def test_a_worker_that_dies_again_and_again_is_not() -> None:
    deaths = Deaths(Clock())
    assert [deaths.may_respawn(1) for _ in range(MAX_DEATHS + 1)] == [True] * MAX_DEATHS + [False]


@pytest.mark.parametrize("status", [0, GAVE_UP])
def test_a_worker_that_was_to_end_or_gave_up_is_not_replaced(status: int) -> None:
    assert not Deaths(Clock()).may_respawn(status)


# -- how it runs -------------------------------------------------------------------------------------------------------


def test_an_event_loop_that_is_installed_beside_is_not_used(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "rloop.py").write_text(dedent(OTHER_LOOP))
    until_ready(launch())
