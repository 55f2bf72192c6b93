"""The engine's life: loading, readiness, refusals, failure and the end."""

import asyncio
import math
import threading
from collections.abc import Sequence

import msgspec
import pytest

from engines.engine import Engine
from engines.errors import (
    CapacityError,
    EngineFailure,
    EngineLoading,
    SessionClosed,
    UnknownVoice,
    UnsupportedLocale,
)
from engines.fake import FakeModel, Gate
from engines.model import Wake
from engines.reading import reader
from engines.session import Session
from engines.types import Limits, Segment, Word
from tests.running import frames_of, running, until, until_idle

TEXT = "One is here. Two is here."


def device_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "device"]


class SlowLoad:
    """A loader that is held until it is released."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.thread: threading.Thread | None = None

    def __call__(self, wake: Wake) -> FakeModel:
        self.thread = threading.current_thread()
        self.release.wait(10)
        return FakeModel(wake)


# -- loading -----------------------------------------------------------------------------------------------------------


async def test_starting_returns_at_once_and_loads_on_the_device_thread() -> None:
    load = SlowLoad()
    engine = Engine(load)
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
    engine = Engine(load)
    for _ in range(2):  # new, and loading
        for name in ("voices", "format", "languages", "model_name", "num_slots", "num_busy_slots"):
            with pytest.raises(EngineLoading):
                getattr(engine, name)
        with pytest.raises(EngineLoading):
            engine.open_session()
        assert engine.num_sessions == 0
        assert engine.limits == Limits()
        if engine.state == "new":
            engine.start()
    load.release.set()
    await engine.wait_ready()
    assert engine.model_name == "fake"
    await engine.close()


async def test_a_model_that_cannot_be_loaded_fails_the_engine() -> None:
    errors: list[Exception] = []

    def load(_: Wake) -> FakeModel:
        raise OSError("no such file: weights")

    engine = Engine(load, on_failure=errors.append)
    engine.start()
    with pytest.raises(EngineFailure):
        await engine.wait_ready()
    assert engine.state == "failed"
    with pytest.raises(EngineFailure):
        engine.open_session()
    await until(lambda: bool(errors), "the failure is told")
    assert [str(error) for error in errors] == ["no such file: weights"]
    await engine.close()
    assert device_threads() == []


async def test_closing_while_loading_waits_for_the_thread() -> None:
    load = SlowLoad()
    engine = Engine(load)
    engine.start()
    closing = asyncio.ensure_future(engine.close())
    load.release.set()
    await closing
    assert (engine.state, device_threads()) == ("closed", [])


async def test_closing_an_engine_that_was_never_started_does_nothing() -> None:
    await Engine(FakeModel).close()
    assert device_threads() == []


# -- refusals ----------------------------------------------------------------------------------------------------------


async def test_an_unknown_voice_is_refused_with_the_choices() -> None:
    async with running() as (engine, _):
        with pytest.raises(UnknownVoice, match=r"'nobody'.*sine, square, .*alloy"):
            engine.open_session(voice="nobody")
        assert engine.num_sessions == 0


@pytest.mark.parametrize("language", ["en", "EN", "en-US", "en_GB", " en ", "de", "de-AT"])
async def test_a_locale_is_accepted_for_its_language(language: str) -> None:
    async with running() as (engine, _):
        engine.open_session(language=language).cancel()


@pytest.mark.parametrize("language", ["fr", "", "english", "e", "xx-US"])
async def test_a_language_that_the_model_does_not_speak_is_refused_with_the_choices(language: str) -> None:
    async with running() as (engine, _):
        with pytest.raises(UnsupportedLocale, match=r"choose one of: en, de"):
            engine.open_session(language=language)
        assert engine.num_sessions == 0


async def test_sessions_are_refused_when_all_are_in_use_and_accepted_when_one_ends() -> None:
    async with running(limits=Limits(max_sessions=2)) as (engine, _):
        first, second = engine.open_session(), engine.open_session()
        with pytest.raises(CapacityError, match="2 sessions") as caught:
            engine.open_session()
        assert caught.value.retry_after_s > 0
        first.cancel()
        third = engine.open_session()
        second.push(TEXT)
        second.finish()
        await frames_of(second)
        assert engine.num_sessions == 1
        third.cancel()


async def test_more_sessions_than_slots_are_all_served() -> None:
    async with running(num_slots=2) as (engine, model):
        sessions = [engine.open_session() for _ in range(9)]
        for session in sessions:
            session.push(TEXT)
            session.finish()
        for frames in await asyncio.gather(*map(frames_of, sessions)):
            assert frames[-1].text_end == len(TEXT)
        await until_idle(engine, model)


# -- the end -----------------------------------------------------------------------------------------------------------


async def test_closing_cancels_sessions_and_leaves_no_thread() -> None:
    async with running() as (engine, model):
        session = engine.open_session()
        session.push(TEXT * 20)
        await anext(session)
        waiting = asyncio.ensure_future(drain(engine.open_session()))
        await asyncio.sleep(0)
        await engine.close()
        assert (engine.state, device_threads(), engine.num_sessions) == ("closed", [], 0)
        assert model.num_held_rows == 0
        for reader in (anext(session), waiting):
            with pytest.raises(SessionClosed):
                await reader
        with pytest.raises(EngineFailure):
            engine.open_session()
        await engine.close()


async def drain(session: Session) -> None:
    async for _ in session:
        pass


async def test_a_step_that_breaks_fails_all_sessions() -> None:
    errors: list[Exception] = []
    async with running(broken="broken", on_failure=errors.append) as (engine, _):
        sessions = [engine.open_session() for _ in range(3)]
        sessions[0].push("This is broken.")
        sessions[0].finish()
        for session in sessions:
            with pytest.raises(EngineFailure):
                await drain(session)
        await until(lambda: bool(errors), "the failure is told")
        assert (engine.state, engine.num_sessions, len(errors)) == ("failed", 0, 1)
        with pytest.raises(EngineFailure):
            engine.open_session()
    assert device_threads() == []


async def test_a_prefill_that_breaks_fails_all_sessions() -> None:
    async with running(BreaksInPrefill) as (engine, _):
        session = engine.open_session()
        session.push(TEXT)
        with pytest.raises(EngineFailure):
            await drain(session)
        assert engine.state == "failed"


class BreaksInPrefill(FakeModel):
    def prefill(self, jobs: Sequence[object]) -> None:
        raise RuntimeError("out of memory")


async def test_sessions_have_been_told_when_on_failure_is_called() -> None:
    """By default it ends the process: who has not been told by then never is."""
    told: list[int] = []
    has_failed = threading.Event()

    def on_failure(_: Exception) -> None:
        told.append(engine.num_sessions)
        has_failed.set()

    async with running(broken="broken", on_failure=on_failure) as (engine, _):
        session = engine.open_session()
        session.push("This is broken.")
        session.finish()
        has_failed.wait(0.3)  # a loop that is busy for a while
        with pytest.raises(EngineFailure):
            await drain(session)
        await until(lambda: bool(told), "the failure is told")
    assert told == [0]


async def test_closing_does_not_wait_for_ever_for_a_step(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("engines.engine.CLOSE_TIMEOUT_S", 0.01)
    gate = Gate()
    async with running(gate=gate) as (engine, _):
        engine.open_session().push(TEXT)
        await asyncio.to_thread(gate.wait_held)
        await engine.close()
        assert engine.state == "closed"
        assert "the device thread is still in the model" in caplog.text
        gate.allow(math.inf)
        await until(lambda: device_threads() == [], "the thread ends when the step does")


class SpeaksNonsense(FakeModel):
    """Its words stand nowhere."""

    def words(self, segment: Segment) -> tuple[Word, ...]:
        words = super().words(segment)
        if "nonsense" not in segment.text:
            return words
        return tuple(msgspec.structs.replace(word, char_start="?") for word in words)


async def test_a_result_that_breaks_a_session_costs_the_others_nothing() -> None:
    async with running(SpeaksNonsense) as (engine, model):
        good, bad = engine.open_session(), engine.open_session()
        for session, text in ((good, TEXT), (bad, "This is nonsense.")):
            session.push(text)
            session.finish()
        with pytest.raises(EngineFailure):
            await drain(bad)
        assert (await frames_of(good))[-1].text_end == len(TEXT)
        assert engine.state == "ready"
        await until_idle(engine, model)


async def test_a_model_that_broke_is_closed_too() -> None:
    async with running(broken="broken") as (engine, model):
        session = engine.open_session()
        session.push("This is broken.")
        session.finish()
        with pytest.raises(EngineFailure):
            await drain(session)
    assert model.num_held_rows == 0, "its memory, and in other models its threads, are still held"


async def test_the_rules_of_every_language_are_there_before_the_first_request() -> None:
    reader._reader.cache_clear()
    async with running() as (_, model):
        num_made = reader._reader.cache_info().misses
        assert num_made >= len(model.languages)
        for language in model.languages:
            reader.read("", language)
        assert reader._reader.cache_info().misses == num_made
