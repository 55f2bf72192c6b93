"""The speech services in real pipecat pipelines, against real servers: frames in order, and silence when asked for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest
from pipecat.frames.frames import (
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.services.tts_service import TextAggregationMode, TTSService
from pipecat.transcriptions.language import Language
from pipecat.utils.errors import ErrorCategory

from app.clients.pipecat import (
    TidingAdaptiveTTSService,
    TidingHttpTTSService,
    TidingTTSService,
    TidingTTSSettings,
)
from engines.fake import FakeModel
from tests.clients.pipecat_running import RATE_HZ, running
from tests.hearing import spoken
from tests.running import until_idle
from tests.serving import Served, free_port, serve_here, serve_process

TOKENS = ["Good", " morn", "ing, every", "body. ", "It", " is", " half", " past", " seven."]
TEXT = "".join(TOKENS)
LONG = "This sentence goes on and on, and it does not end before it has said all that it has to say about itself."
LONGER = [f"{LONG} "] * 8

Service = Callable[..., TTSService]
SERVICES: dict[str, Service] = {
    "websocket": TidingTTSService,
    "websocket by sentence": partial(TidingTTSService, text_aggregation_mode=TextAggregationMode.SENTENCE),
    "adaptive": TidingAdaptiveTTSService,
    "stream": TidingHttpTTSService,
    "batch": partial(TidingHttpTTSService, delivery="batch"),
}
every = pytest.mark.parametrize("make", SERVICES.values(), ids=SERVICES)
streaming = pytest.mark.parametrize("make", list(SERVICES.values())[:3], ids=list(SERVICES)[:3])


def text_of(frames: list[TTSTextFrame]) -> str:
    return " ".join(frame.text.strip() for frame in frames)


def kinds(frames: list[Frame]) -> list[type[Frame]]:
    """In order, each once for as often as it follows itself."""
    wanted = (
        LLMFullResponseStartFrame, TTSStartedFrame, TTSAudioRawFrame, TTSStoppedFrame, LLMFullResponseEndFrame,
    )  # fmt: skip
    found: list[type[Frame]] = []
    for frame in frames:
        if isinstance(frame, wanted) and (not found or found[-1] is not type(frame)):
            found.append(type(frame))
    return found


# -- an answer ---------------------------------------------------------------------------------------------------------


@every
async def test_frames_of_an_answer_come_in_order(server: Served, make: Service) -> None:
    async with running(make(server.url)) as pipe:
        await pipe.speak(*TOKENS)
        await pipe.until_down(LLMFullResponseEndFrame)
        await pipe.until_spoken()
    assert kinds(pipe.down) == [
        LLMFullResponseStartFrame, TTSStartedFrame, TTSAudioRawFrame, TTSStoppedFrame, LLMFullResponseEndFrame,
    ]  # fmt: skip
    started = pipe.of(TTSStartedFrame)[0]
    assert {frame.context_id for frame in pipe.of(TTSAudioRawFrame)} == {started.context_id}
    assert {frame.sample_rate for frame in pipe.of(TTSAudioRawFrame)} == {RATE_HZ}
    assert text_of(pipe.of(TTSTextFrame)) == TEXT
    assert pipe.errors == []


@every
async def test_the_time_to_the_first_byte_is_reported_for_each_answer(server: Served, make: Service) -> None:
    async with running(make(server.url)) as pipe:
        for count in (1, 2):
            await pipe.speak(*TOKENS)
            await pipe.until_spoken(count)
            await pipe.until_down(LLMFullResponseEndFrame, count)
    assert len(pipe.ttfb_s) == 2
    assert all(0 < seconds < 5 for seconds in pipe.ttfb_s)


async def test_what_comes_over_the_websocket_is_what_a_socket_hears(server: Served) -> None:
    settings = TidingTTSSettings(voice="john", language=Language.EN, speed=1.2, seed=3)
    async with running(TidingTTSService(server.url, settings=settings)) as pipe:
        await pipe.speak(*TOKENS)
        await pipe.until_spoken()
    socket = await spoken(server, TOKENS, default_mode="stream", voice="john", speed=1.2, seed=3, sample_rate=RATE_HZ)
    assert pipe.audio() == socket.audio


async def test_words_come_with_the_times_at_which_they_sound(hibari_server: Served) -> None:
    async with running(TidingTTSService(hibari_server.url)) as pipe:
        await pipe.speak(*TOKENS)
        await pipe.until_spoken()
    words = pipe.of(TTSTextFrame)
    assert [word.text for word in words] == TEXT.split()
    times = [word.pts for word in words if word.pts is not None]
    assert len(times) == len(words)
    assert times == sorted(times)
    audio_s = len(pipe.audio()) / 2 / RATE_HZ
    assert 0.3 * audio_s < (times[-1] - times[0]) / 1e9 < audio_s


@every
async def test_a_greeting_is_spoken_outside_of_an_answer(fake_server: Served, make: Service) -> None:
    async with running(make(fake_server.url)) as pipe:
        await pipe.push(TTSSpeakFrame("Hello there."))
        await pipe.until_spoken()
    assert text_of(pipe.of(TTSTextFrame)) == "Hello there."


async def test_sound_comes_while_the_answer_is_still_being_written(hibari_server: Served) -> None:
    async with running(TidingTTSService(hibari_server.url)) as pipe:
        await pipe.push(LLMFullResponseStartFrame(), LLMTextFrame("Good morning, everybody. "))
        await pipe.until_down(TTSAudioRawFrame)
        await pipe.push(LLMTextFrame("It is late."), LLMFullResponseEndFrame())
        await pipe.until_spoken()
    assert text_of(pipe.of(TTSTextFrame)) == "Good morning, everybody. It is late."


# -- interruptions -----------------------------------------------------------------------------------------------------


@every
async def test_an_interruption_stops_the_sound_and_nothing_stale_comes_after_it(server: Served, make: Service) -> None:
    async with running(make(server.url)) as pipe:
        await pipe.speak(*LONGER)
        await pipe.until_down(TTSAudioRawFrame)
        place = await pipe.interrupt()
        await pipe.speak(*TOKENS)
        await pipe.until_down(LLMFullResponseEndFrame, start=place)
        await pipe.until_spoken(start=place)
        started = pipe.of(TTSStartedFrame, place)
        assert len(started) == 1
        assert {frame.context_id for frame in pipe.of(TTSAudioRawFrame, place)} == {started[0].context_id}
        interrupted = pipe.audio(place)
    async with running(make(server.url)) as pipe:
        await pipe.speak(*TOKENS)
        await pipe.until_spoken()
    assert interrupted == pipe.audio()


@every
async def test_an_interruption_frees_the_device(make: Service) -> None:
    async with serve_here() as here, running(make(here.served.url)) as pipe:
        await pipe.speak(*LONGER)
        await pipe.until_down(TTSAudioRawFrame)
        await pipe.interrupt()
        await until_idle(here.engine, here.model)


async def test_an_interruption_says_what_was_heard(fake_server: Served) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def note(_: object, context_id: str, text: str) -> None:
        await heard.put(text)

    tts = TidingTTSService(fake_server.url)
    tts.add_event_handler("on_speech_cancelled", note)
    async with running(tts) as pipe:
        await pipe.speak(*LONGER)
        await pipe.until_down(TTSAudioRawFrame, 4)
        await asyncio.sleep(1)  # of sound
        await pipe.interrupt()
        async with asyncio.timeout(5):
            text = await heard.get()
    assert "".join(LONGER).startswith(text)
    assert 0 < len(text) < len(LONG)


@streaming
async def test_a_pipeline_that_is_cancelled_frees_the_device(make: Service) -> None:
    async with serve_here() as here:
        async with running(make(here.served.url)) as pipe:
            await pipe.speak(*LONGER)
            await pipe.until_down(TTSAudioRawFrame)
            await pipe.worker.cancel()
        await until_idle(here.engine, here.model)


# -- settings ----------------------------------------------------------------------------------------------------------


@every
async def test_settings_that_are_updated_hold_for_what_is_said_next(fake_server: Served, make: Service) -> None:
    async with running(make(fake_server.url)) as pipe:
        await pipe.speak(*TOKENS)
        await pipe.until_spoken()
        place = len(pipe.down)
        await pipe.push(TTSUpdateSettingsFrame(delta=TidingTTSSettings(voice="john")))
        await pipe.speak(*TOKENS)
        await pipe.until_spoken(start=place)
        changed = pipe.audio(place)
    async with running(make(fake_server.url, settings=TidingTTSSettings(voice="john"))) as pipe:
        await pipe.speak(*TOKENS)
        await pipe.until_spoken()
    assert changed == pipe.audio()


@pytest.mark.parametrize("make", [TidingTTSService, TidingAdaptiveTTSService])
async def test_settings_that_are_updated_in_the_middle_of_an_answer_hold_for_its_rest(
    fake_server: Served, make: Service
) -> None:
    async with running(make(fake_server.url)) as pipe:
        await pipe.push(LLMFullResponseStartFrame(), LLMTextFrame("This is one. "))
        await pipe.push(TTSUpdateSettingsFrame(delta=TidingTTSSettings(voice="john")))
        await pipe.push(LLMTextFrame("This is the other."), LLMFullResponseEndFrame())
        await pipe.until_spoken(2)
        contexts = [frame.context_id for frame in pipe.of(TTSStartedFrame)]
        second = b"".join(f.audio for f in pipe.of(TTSAudioRawFrame) if f.context_id == contexts[1])
    async with running(make(fake_server.url, settings=TidingTTSSettings(voice="john"))) as alone:
        await alone.speak("This is the other.")
        await alone.until_spoken()
    assert second == alone.audio()
    assert text_of(pipe.of(TTSTextFrame)) == "This is one. This is the other."


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@every
async def test_a_voice_that_there_is_not_is_an_error_until_there_is_another(fake_server: Served, make: Service) -> None:
    async with running(make(fake_server.url, settings=TidingTTSSettings(voice="bob"))) as pipe:
        await pipe.speak(*TOKENS)
        await pipe.until(lambda: pipe.errors, "an error")
        assert "unknown voice 'bob'" in pipe.errors[0].error
        assert pipe.errors[0].category is ErrorCategory.INVALID_REQUEST
        await pipe.until_down(LLMFullResponseEndFrame)
        await pipe.push(TTSUpdateSettingsFrame(delta=TidingTTSSettings(voice="john")))
        place = len(pipe.down)
        await pipe.speak(*TOKENS)
        await pipe.until_spoken(start=place)
        assert pipe.audio(place)


@every
async def test_a_text_that_the_voice_fails_on_is_an_error_and_the_next_is_spoken(make: Service) -> None:
    async with serve_here(partial(FakeModel, poison="bane")) as here, running(make(here.served.url)) as pipe:
        await pipe.speak("This is the bane of it.")
        await pipe.until(lambda: pipe.errors, "an error")
        await pipe.until_down(LLMFullResponseEndFrame)
        place = len(pipe.down)
        await pipe.speak(*TOKENS)
        await pipe.until_spoken(start=place)
        assert pipe.audio(place)


@every
async def test_a_server_that_was_lost_is_found_again(tmp_path: Path, make: Service) -> None:
    port = str(free_port())
    tts = make(f"http://127.0.0.1:{port}")
    async with running(tts) as pipe:
        async with serving(tmp_path / "log", port) as served:
            await pipe.speak(*LONGER)
            await pipe.until_down(TTSAudioRawFrame)
            kill(served.pid)
        await pipe.until(lambda: pipe.errors, "an error")
        assert tts.is_usable
        async with serving(tmp_path / "log", port):
            place = await pipe.interrupt()
            await pipe.speak(*TOKENS)
            await pipe.until_spoken(start=place)
        assert pipe.audio(place)


@every
async def test_a_server_that_is_away_for_many_turns_is_found_again(tmp_path: Path, make: Service) -> None:
    port = str(free_port())
    impatient = {"patience_s": 0.1} if make in list(SERVICES.values())[:2] else {}
    tts = make(f"http://127.0.0.1:{port}", **impatient)
    async with running(tts) as pipe:
        for _ in range(4):
            place, num_errors = await pipe.interrupt(), len(pipe.errors)
            await pipe.speak(*TOKENS)
            await pipe.until(lambda num=num_errors: len(pipe.errors) > num, "an error")
            await pipe.until_down(LLMFullResponseEndFrame, start=place)
        assert tts.is_usable
        async with serving(tmp_path / "log", port):
            place = await pipe.interrupt()
            await pipe.speak(*TOKENS)
            await pipe.until_spoken(start=place)
        assert pipe.audio(place)


def kill(pid: int) -> None:
    """A server and its workers, in the middle of what they do."""
    server = psutil.Process(pid)
    for process in (server, *server.children(recursive=True)):
        process.kill()


@asynccontextmanager
async def serving(log: Path, port: str) -> AsyncIterator[Served]:
    """A server, which is started and ended beside this event loop."""
    with ExitStack() as stack:
        served = await asyncio.to_thread(stack.enter_context, serve_process(log=log, model="fake", port=port))
        try:
            yield served
        finally:
            await asyncio.to_thread(stack.close)
