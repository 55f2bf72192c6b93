"""The LLM service in real pipecat pipelines, against real servers: held while speech is unplayed, and interrupted."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    LLMUpdateSettingsFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.utils.errors import ErrorCategory

from app.clients.pipecat import TidingLLMService, TidingLLMSettings
from app.clients.pipecat.unplayed import CHAR_S, Unplayed
from tests.clients.pipecat_running import Running, running
from tests.llm.talking import Served, serve_process, talk
from tests.serving import free_port

STORY = "Tell me a story about a fox and a river, in five sentences."
GREEDY = TidingLLMSettings(temperature=0.0)


@pytest.fixture(scope="session")
def fake_text_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Remembers nothing: what is used when no stream is open has leaked."""
    with serve_process("tests.llm.served", log=tmp_path_factory.mktemp("text") / "log", remembered="0") as served:
        yield served


@pytest.fixture(scope="session")
def llama_server(llama: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve_process("app.serve", "llm", log=tmp_path_factory.mktemp("llama") / "log", remembered="0") as served:
        yield served


@pytest.fixture(params=["fake_text", "llama"])
def server(request: pytest.FixtureRequest) -> Served:
    return request.getfixturevalue(f"{request.param}_server")


def asked(question: str = STORY) -> LLMContextFrame:
    return LLMContextFrame(LLMContext([{"role": "user", "content": question}]))


def text_of(frames: list[LLMTextFrame]) -> str:
    return "".join(frame.text for frame in frames)


async def test_an_answer_is_the_whole_of_what_the_server_writes(server: Served) -> None:
    async with running(TidingLLMService(server.url, ahead_s=None, settings=GREEDY)) as pipe:
        await pipe.push(asked())
        await pipe.until_down(LLMFullResponseEndFrame)
    async with talk(server) as talker:
        over = await talker.start(
            messages=[{"role": "user", "content": STORY}], pause={"max_tokens": 2000}, temperature=0
        )
    kinds: list[type[Frame]] = [LLMFullResponseStartFrame, LLMTextFrame, LLMFullResponseEndFrame]
    assert list(dict.fromkeys(type(frame) for frame in pipe.down if type(frame) in kinds)) == kinds
    assert text_of(pipe.of(LLMTextFrame)) == over["full_text"]
    assert len(pipe.ttfb_s) == 1
    assert pipe.errors == []
    await server.until_idle()


async def test_the_model_is_held_while_speech_is_unplayed(server: Served) -> None:
    """Nobody plays here: the time that the text takes to speak is what holds it."""
    async with running(TidingLLMService(server.url, ahead_s=0.5, settings=GREEDY)) as pipe:
        await pipe.push(asked())
        await pipe.until_down(LLMTextFrame)
        await until_held(server)
        held = text_of(pipe.of(LLMTextFrame))
        await asyncio.sleep(0.3)
        assert text_of(pipe.of(LLMTextFrame)) == held
        await pipe.push(BotStartedSpeakingFrame(), BotStoppedSpeakingFrame())
        await pipe.until(lambda: len(text_of(pipe.of(LLMTextFrame))) > len(held), "it goes on")
        await pipe.interrupt()
    await server.until_idle()


async def until_held(server: Served) -> None:
    for _ in range(1000):
        health = await server.health()
        if health["active_streams"] and not health["running"]:
            return
    raise AssertionError(f"it is not held: {health}")


async def test_an_interruption_frees_the_server_and_the_next_question_is_answered(server: Served) -> None:
    async with running(TidingLLMService(server.url, ahead_s=0.5, settings=GREEDY)) as pipe:
        await pipe.push(asked())
        await pipe.until_down(LLMTextFrame)
        place = await pipe.interrupt()
        await server.until_idle()
        await pipe.push(asked("Say hello."))
        await pipe.until_down(LLMTextFrame, start=place)


async def test_the_system_instruction_and_settings_reach_the_server(fake_text_server: Served) -> None:
    settings = TidingLLMSettings(system_instruction="You are a fox.", temperature=0.0, max_tokens=3)
    async with running(TidingLLMService(fake_text_server.url, ahead_s=None, settings=settings)) as pipe:
        await pipe.push(asked("story"))
        await pipe.until_down(LLMFullResponseEndFrame)
        assert len(pipe.of(LLMTextFrame)) == 3
        await pipe.push(LLMUpdateSettingsFrame(delta=TidingLLMSettings(max_tokens=5)))
        place = len(pipe.down)
        await pipe.push(asked("story"))
        await pipe.until_down(LLMFullResponseEndFrame, start=place)
        assert len(pipe.of(LLMTextFrame, place)) == 5


async def test_an_inference_of_the_application_comes_whole(server: Served) -> None:
    llm = TidingLLMService(server.url, settings=GREEDY)
    async with running(llm):
        text = await llm.run_inference(LLMContext([{"role": "user", "content": STORY}]), max_tokens=8)
    assert text
    await server.until_idle()


async def test_a_request_that_is_refused_is_an_error(fake_text_server: Served) -> None:
    async with running(TidingLLMService(fake_text_server.url, settings=TidingLLMSettings(temperature=9.0))) as pipe:
        await pipe.push(asked())
        await pipe.until(lambda: pipe.errors, "an error")
        await pipe.until_down(LLMFullResponseEndFrame)
    assert pipe.errors[0].category is ErrorCategory.INVALID_REQUEST


async def test_a_server_that_was_lost_is_found_again(tmp_path: Path) -> None:
    port = str(free_port())
    async with running(TidingLLMService(f"http://127.0.0.1:{port}", ahead_s=0.1)) as pipe:
        async for place in lives(pipe, tmp_path / "log", port):
            await pipe.push(asked())
            await pipe.until_down(LLMTextFrame, start=place)
    assert all(error.category is ErrorCategory.CONNECTIVITY for error in pipe.errors)


async def lives(pipe: Running, log: Path, port: str) -> AsyncIterator[int]:
    """Twice a server, and the place at which the pipeline is when it lives."""
    for _ in range(2):
        server = serve_process("tests.llm.served", log=log, port=port)
        await asyncio.to_thread(server.__enter__)
        try:
            yield len(pipe.down)
        finally:
            await asyncio.to_thread(server.__exit__, None, None, None)
        await pipe.interrupt()


# -- the reckoning -----------------------------------------------------------------------------------------------------


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_text_is_played_from_when_it_is_written_where_no_bot_is_heard() -> None:
    clock = Clock()
    unplayed = Unplayed(clock)
    unplayed.add("x" * 100)
    assert unplayed.seconds == pytest.approx(100 * CHAR_S)
    clock.now_s += 2
    assert unplayed.seconds == pytest.approx(100 * CHAR_S - 2)


def test_nothing_was_played_before_the_bot_was_heard_and_nothing_is_left_when_it_stops() -> None:
    clock = Clock()
    unplayed = Unplayed(clock)
    unplayed.add("x" * 100)
    clock.now_s += 3
    unplayed.begin()
    assert unplayed.seconds == pytest.approx(100 * CHAR_S)
    unplayed.add("x" * 10)
    assert unplayed.seconds == pytest.approx(110 * CHAR_S)
    unplayed.end()
    assert unplayed.seconds == 0
