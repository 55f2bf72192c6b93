"""The text engine's life: loading, readiness, refusals, failure and the end."""

import asyncio
import math
import threading

import pytest

from engines.errors import (
    CapacityError,
    ContextTooLong,
    EngineFailure,
    EngineLoading,
    RequestError,
    SessionClosed,
)
from engines.fake import Gate
from engines.llm.engine import TextEngine, TextLimits
from engines.llm.fake import FakeText
from engines.llm.model import Sampler
from engines.llm.types import Messages
from tests.llm.running import ALL, chunk, chunks, opened, running, until_idle, user, written
from tests.running import until


def device_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "device"]


class SlowLoad:
    """A loader that is held until it is released."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.thread: threading.Thread | None = None

    def __call__(self) -> FakeText:
        self.thread = threading.current_thread()
        self.release.wait(10)
        return FakeText()


# -- loading -----------------------------------------------------------------------------------------------------------


async def test_starting_returns_at_once_and_loads_on_the_device_thread() -> None:
    load = SlowLoad()
    engine = TextEngine(load)
    assert engine.state == "new"
    engine.start()
    assert engine.state == "loading"
    await until(lambda: load.thread is not None, "loading begins")
    assert load.thread is not threading.current_thread()
    load.release.set()
    await engine.wait_ready()
    assert engine.state == "ready"
    await engine.close()


async def test_nothing_that_needs_the_model_is_answered_before_it_is_loaded() -> None:
    load = SlowLoad()
    engine = TextEngine(load)
    for _ in range(2):  # new, and loading
        for name in ("model_name", "context_length", "num_slots", "num_busy_slots", "num_running", "num_cells"):
            with pytest.raises(EngineLoading):
                getattr(engine, name)
        with pytest.raises(EngineLoading):
            await engine.open_session([user("Hello")])
        assert engine.num_sessions == 0
        assert engine.limits == TextLimits()
        if engine.state == "new":
            engine.start()
    load.release.set()
    await engine.wait_ready()
    assert (engine.model_name, engine.num_slots, engine.num_cells) == ("fake", 4, 4096)
    await engine.close()


async def test_a_model_that_cannot_be_loaded_fails_the_engine() -> None:
    errors: list[Exception] = []

    def load() -> FakeText:
        raise OSError("no such file: weights")

    engine = TextEngine(load, on_failure=errors.append)
    engine.start()
    with pytest.raises(EngineFailure):
        await engine.wait_ready()
    with pytest.raises(EngineFailure):
        await engine.open_session([user("Hello")])
    await until(lambda: bool(errors), "the failure is told")
    assert [str(error) for error in errors] == ["no such file: weights"]
    await engine.close()
    assert device_threads() == []


# -- refusals ----------------------------------------------------------------------------------------------------------


async def test_sessions_are_refused_when_all_are_in_use_and_accepted_when_one_ends() -> None:
    async with running(limits=TextLimits(max_sessions=2)) as (engine, _):
        first = await opened(engine)
        await opened(engine)
        with pytest.raises(CapacityError, match="2 sessions") as caught:
            await opened(engine)
        assert caught.value.retry_after_s > 0
        first.close()
        await opened(engine)


async def test_sessions_that_are_being_opened_count() -> None:
    async with running(limits=TextLimits(max_sessions=2)) as (engine, _):
        results = await asyncio.gather(*(opened(engine) for _ in range(5)), return_exceptions=True)
        assert sum(isinstance(result, CapacityError) for result in results) == 3
        assert engine.num_sessions == 2


async def test_a_prompt_that_leaves_no_room_for_an_answer_is_refused_with_both_numbers() -> None:
    async with running(context_length=20) as (engine, model):
        num_tokens = len(model.tokenise(model.render([user("word " * 40)])))
        with pytest.raises(ContextTooLong, match=rf"{num_tokens} tokens .* 20 ") as caught:
            await opened(engine, "word " * 40)
        assert caught.value.param == "messages"
        assert engine.num_sessions == 0
        fits = "word " * (20 - 1 - (num_tokens - 40))
        async with await opened(engine, fits) as session:
            assert (await chunk(session))[1].num_tokens == 1


class Picky(FakeText):
    def render(self, messages: Messages, *, asks: bool = True) -> str:
        if any(message.role == "pirate" for message in messages):
            raise RequestError("the model knows no pirate", param="messages")
        return super().render(messages, asks=asks)


async def test_what_the_template_refuses_is_refused_and_leaves_nothing() -> None:
    async with running(Picky, limits=TextLimits(max_sessions=1)) as (engine, _):
        for _ in range(2):
            with pytest.raises(RequestError, match="pirate"):
                await engine.open_session([user("Hello"), user("Hello"), type(user(""))("pirate", "Arr")])
        assert engine.num_sessions == 0
        (await opened(engine)).close()


async def test_more_sessions_than_slots_are_all_served() -> None:
    async with running(num_slots=2) as (engine, model):
        texts = await asyncio.gather(*(written(engine, f"number {num}") for num in range(9)))
        assert texts == [model.answer(user(f"number {num}")) for num in range(9)]
        await until_idle(engine, model)


# -- failure -----------------------------------------------------------------------------------------------------------


async def test_a_step_that_fails_tells_every_session() -> None:
    errors: list[Exception] = []
    async with running(fails_at=3, on_failure=errors.append) as (engine, model):
        sessions = [await opened(engine, f"number {num}") for num in range(3)]
        paused = await opened(engine)
        failures = await asyncio.gather(*map(chunks, sessions), return_exceptions=True)
        assert [type(failure) for failure in failures] == [EngineFailure] * 3
        with pytest.raises(EngineFailure):
            paused.write(ALL)
        await until(lambda: bool(errors), "the failure is told")
        assert (engine.state, engine.num_sessions, len(errors)) == ("failed", 0, 1)
        with pytest.raises(EngineFailure):
            await opened(engine)
    assert device_threads() == []
    assert model.is_closed


async def test_what_was_written_before_a_failure_is_read_first() -> None:
    async with running(fails_at=3) as (engine, model):
        session = await opened(engine)
        with pytest.raises(EngineFailure):
            await chunks(session)
        answer = model.answer(user("a fox"))
        assert session.text
        assert answer.startswith(session.text)


class Stumbles(FakeText):
    """Cannot say one of its own words, or draw where it has said another."""

    def piece(self, token: int) -> bytes:
        piece = super().piece(token)
        if piece.strip() == b"unspeakable":
            raise ValueError("no such piece")
        return piece

    def draw(self, slot: int, sampler: Sampler) -> int:
        token = super().draw(slot, sampler)
        if self._pieces[token].strip() == b"undrawable":
            raise ValueError("no such token")
        return token


@pytest.mark.parametrize("word", ["unspeakable", "undrawable"])
async def test_a_token_that_fails_costs_its_session_alone(word: str, caplog: pytest.LogCaptureFixture) -> None:
    async with running(Stumbles) as (engine, model):
        good, bad = await opened(engine), await opened(engine, word)
        results = await asyncio.gather(chunks(good), chunks(bad), return_exceptions=True)
        assert isinstance(results[1], EngineFailure)
        assert good.text == model.answer(user("a fox"))
        assert "a token could not be written" in caplog.text
        good.close()
        await until_idle(engine, model)
        assert engine.state == "ready"


# -- the end -----------------------------------------------------------------------------------------------------------


async def test_closing_ends_running_sessions_and_leaves_no_thread() -> None:
    gate = Gate()
    async with running(gate=gate) as (engine, model):
        sessions = [await opened(engine, f"number {num}") for num in range(3)]
        reading = [asyncio.ensure_future(chunks(session)) for session in sessions]
        await asyncio.to_thread(gate.wait_held)
        closing = asyncio.ensure_future(engine.close())
        for read in reading:
            with pytest.raises(SessionClosed):
                await read
        gate.allow(math.inf)
        await closing
        assert (engine.state, engine.num_sessions, device_threads()) == ("closed", 0, [])
        assert model.is_closed
        with pytest.raises(SessionClosed):
            sessions[0].write(ALL)
        with pytest.raises(EngineFailure):
            await opened(engine)


class SlowToRead(FakeText):
    """Takes until it is released to render a conversation."""

    release = threading.Event()

    def render(self, messages: Messages, *, asks: bool = True) -> str:
        self.release.wait(10)
        return super().render(messages, asks=asks)


async def test_a_session_that_is_being_opened_when_the_engine_closes_is_refused() -> None:
    SlowToRead.release.clear()
    async with running(SlowToRead) as (engine, _):
        opening = asyncio.ensure_future(opened(engine))
        await asyncio.sleep(0)
        await engine.close()
        SlowToRead.release.set()
        with pytest.raises(EngineFailure):
            await opening
        assert engine.num_sessions == 0


async def test_a_session_that_is_opened_while_the_engine_closes_is_closed_too() -> None:
    gate = Gate()
    async with running(gate=gate) as (engine, _):
        first = await opened(engine)
        first.write(ALL)
        await asyncio.to_thread(gate.wait_held)
        closing = asyncio.ensure_future(engine.close())
        await asyncio.sleep(0)
        late = await opened(engine)
        gate.allow(math.inf)
        await closing
        with pytest.raises(SessionClosed):
            late.write(ALL)
        assert engine.num_sessions == 0


async def test_closing_does_not_wait_for_ever_for_a_step(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("engines.llm.engine.CLOSE_TIMEOUT_S", 0.01)
    gate = Gate()
    async with running(gate=gate) as (engine, _):
        session = await opened(engine)
        session.write(ALL)
        await asyncio.to_thread(gate.wait_held)
        await engine.close()
        assert engine.state == "closed"
        assert "the device thread is still in the model" in caplog.text
        gate.allow(math.inf)
        await until(lambda: device_threads() == [], "the thread ends when the step does")
