"""A device that fails or hangs: who is told, what begins again, and what does not."""

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engines.device import DeviceHangs
from engines.engine import Engine
from engines.errors import EngineFailure, EngineLoading
from engines.fake import FakeModel, Gate
from engines.llm.engine import TextEngine
from engines.llm.fake import FakeText
from engines.model import Made, Wake
from engines.session import Session
from tests.llm.running import chunks, opened
from tests.running import frames_of, until
from tests.test_watchdog import Clock

BROKEN = "broken"
STALL_S = 10.0


class Loads:
    """A loader that keeps what it has made. `fails_at` are loads that raise."""

    def __init__(self, make: Callable[..., Any] = FakeModel, *, fails_at: Sequence[int] = (), **options: Any) -> None:
        self.models: list[Any] = []
        self.threads: list[threading.Thread] = []
        self._make, self._fails_at, self._options = make, fails_at, options

    def __call__(self, wake: Wake) -> Any:
        self.threads.append(threading.current_thread())
        if len(self.threads) - 1 in self._fails_at:
            raise OSError("the card is gone")
        self.models.append(self._make(wake, **self._options))
        return self.models[-1]


@asynccontextmanager
async def restarting(
    load: Loads, *, num_restarts: int = 1, gate: Gate | None = None, clock: Callable[[], float] | None = None
) -> AsyncIterator[tuple[Engine, list[Exception]]]:
    errors: list[Exception] = []
    timing: dict[str, Any] = {} if clock is None else {"clock": clock}
    engine = Engine(load, num_restarts=num_restarts, on_failure=errors.append, stall_s=STALL_S, **timing)
    engine.start()
    try:
        await engine.wait_ready()
        yield engine, errors
    finally:
        if gate is not None:
            gate.allow(float("inf"))
        await engine.close()


def asked(engine: Engine, text: str) -> Session:
    session = engine.open_session()
    session.push(text)
    session.finish()
    return session


async def fails(session: Session) -> bool:
    with pytest.raises(EngineFailure):
        await frames_of(session)
    return True


async def speaks(engine: Engine) -> bool:
    return any(len(frame.pcm) for frame in await frames_of(asked(engine, "All is well.")))


# -- begun again -------------------------------------------------------------------------------------------------------


async def test_a_step_that_fails_costs_every_session_and_the_engine_begins_again_on_a_new_thread() -> None:
    load = Loads(broken=BROKEN)
    async with restarting(load) as (engine, errors):
        sessions = [asked(engine, "One is here."), asked(engine, BROKEN), asked(engine, "Three is here.")]
        assert all([await fails(session) for session in sessions])
        await engine.wait_ready()
        assert await speaks(engine)
        assert (len(load.models), errors, engine.state) == (2, [], "ready")
        assert load.threads[0] is not load.threads[1]
        assert not load.threads[0].is_alive()


async def test_while_it_begins_again_it_is_loading_and_takes_nobody() -> None:
    held = threading.Event()
    load = Loads(broken=BROKEN)

    def second_waits(wake: Wake) -> FakeModel:
        if load.models:
            held.wait(10)
        return load(wake)

    errors: list[Exception] = []
    engine = Engine(second_waits, num_restarts=1, on_failure=errors.append)
    engine.start()
    await engine.wait_ready()
    assert await fails(asked(engine, BROKEN))
    assert engine.state == "loading"
    with pytest.raises(EngineLoading):
        engine.open_session()
    held.set()
    await engine.wait_ready()
    assert await speaks(engine)
    await engine.close()


class Tells(FakeModel):
    """Says when it is made and when it is closed."""

    said: list[str]

    def __init__(self, wake: Wake, said: list[str], **options: Any) -> None:
        super().__init__(wake, **options)
        self.said = said
        said.append("made")

    def close(self) -> None:
        super().close()
        self.said.append("closed")


async def test_what_failed_is_closed_before_another_is_loaded_and_nobody_holds_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """There is no room for two on a card."""
    caplog.set_level(logging.CRITICAL, "tiding.engine")  # what is captured would hold it
    said: list[str] = []
    load = Loads(Tells, said=said, broken=BROKEN)
    async with restarting(load) as (engine, _):
        failed = weakref.ref(load.models.pop())
        assert await fails(asked(engine, BROKEN))
        await engine.wait_ready()
        assert await speaks(engine)
        gc.collect()
        assert (said, failed()) == (["made", "closed", "made"], None)


async def test_it_begins_again_once() -> None:
    load = Loads(broken=BROKEN)
    async with restarting(load) as (engine, errors):
        for _ in range(2):
            await engine.wait_ready()
            assert await fails(asked(engine, BROKEN))
        await until(lambda: bool(errors), "the failure is told")
        assert (len(load.models), len(errors), engine.state) == (2, 1, "failed")
        with pytest.raises(EngineFailure):
            engine.open_session()


async def test_a_model_that_cannot_be_loaded_the_first_time_is_not_tried_again() -> None:
    load = Loads(fails_at=[0])
    errors: list[Exception] = []
    engine = Engine(load, num_restarts=1, on_failure=errors.append)
    engine.start()
    with pytest.raises(EngineFailure):
        await engine.wait_ready()
    await until(lambda: bool(errors), "the failure is told")
    assert (len(load.threads), engine.was_ready) == (1, False)
    await engine.close()


async def test_a_model_that_cannot_be_loaded_again_is_the_end() -> None:
    load = Loads(broken=BROKEN, fails_at=[1])
    async with restarting(load) as (engine, errors):
        assert await fails(asked(engine, BROKEN))
        await until(lambda: bool(errors), "the failure is told")
        assert (str(errors[0]), engine.state, engine.was_ready) == ("the card is gone", "failed", True)


class Clings(FakeModel):
    """Does not give back what it has."""

    def close(self) -> None:
        raise OSError("the card does not answer")


async def test_a_model_that_cannot_be_closed_is_the_end() -> None:
    load = Loads(Clings, broken=BROKEN)
    async with restarting(load) as (engine, errors):
        assert await fails(asked(engine, BROKEN))
        await until(lambda: bool(errors), "the failure is told")
        assert (len(load.models), engine.state) == (1, "failed")


class Leaves(FakeModel):
    """Ends its thread, rather than fail."""

    def step(self, slots: Sequence[int]) -> Made:
        raise SystemExit


async def test_a_thread_that_just_ends_is_a_failure() -> None:
    load = Loads(Leaves)
    async with restarting(load, num_restarts=0) as (engine, errors):
        assert await fails(asked(engine, "Hello."))
        await until(lambda: bool(errors), "the failure is told")
        assert (str(errors[0]), engine.state) == ("SystemExit()", "failed")


async def test_an_engine_that_is_closed_while_it_begins_again_ends() -> None:
    load = Loads(broken=BROKEN)
    async with restarting(load) as (engine, errors):
        assert await fails(asked(engine, BROKEN))
        await engine.close()
        assert (engine.state, errors) == ("closed", [])
    assert not [thread for thread in load.threads if thread.is_alive()]


async def test_a_text_engine_begins_again_too() -> None:
    models: list[FakeText] = []

    def load() -> FakeText:
        models.append(FakeText(fails_at=None if models else 2))
        return models[-1]

    engine = TextEngine(load, num_restarts=1)
    engine.start()
    await engine.wait_ready()
    sessions = [await opened(engine, f"number {num}") for num in range(3)]
    failures = await asyncio.gather(*map(chunks, sessions), return_exceptions=True)
    assert [type(failure) for failure in failures] == [EngineFailure] * 3
    await engine.wait_ready()
    session = await opened(engine)
    await chunks(session)
    assert session.text
    session.close()
    await engine.close()


# -- it hangs ----------------------------------------------------------------------------------------------------------


def look(engine: Engine | TextEngine, clock: Clock, for_s: float) -> None:
    """So much time passes, under the eyes of the watchdog."""
    for _ in range(round(for_s)):
        clock.now_s += 1.0
        engine._device.look()


async def test_a_step_that_does_not_end_is_seen_while_work_waits_and_is_well_again_when_it_ends() -> None:
    clock, gate = Clock(), Gate()
    async with restarting(Loads(gate=gate), gate=gate, clock=clock) as (engine, errors):
        session = asked(engine, "Hello.")
        await asyncio.to_thread(gate.wait_held)
        look(engine, clock, STALL_S)
        assert not engine.is_stalled
        look(engine, clock, STALL_S / 2)
        assert engine.is_stalled
        gate.allow(float("inf"))
        assert await frames_of(session)
        look(engine, clock, 1)
        assert (engine.is_stalled, engine.state, errors) == (False, "ready", [])


async def test_a_thread_that_hangs_is_never_replaced() -> None:
    clock, gate = Clock(), Gate()
    load = Loads(gate=gate)
    async with restarting(load, gate=gate, clock=clock) as (engine, errors):
        session = asked(engine, "Hello.")
        await asyncio.to_thread(gate.wait_held)
        look(engine, clock, 2 * STALL_S + 1)
        assert engine.state == "failed"
        assert await fails(session)
        await until(lambda: bool(errors), "the failure is told")
        assert isinstance(errors[0], DeviceHangs)
        assert (len(load.models), len(errors)) == (1, 1)


async def test_rest_is_no_stall() -> None:
    clock, gate = Clock(), Gate()
    async with restarting(Loads(gate=gate), gate=gate, clock=clock) as (engine, _):
        look(engine, clock, 100)
        assert not engine.is_stalled


async def test_loading_may_take_as_long_as_it_does() -> None:
    clock, release = Clock(), threading.Event()

    def load(wake: Wake) -> FakeModel:
        release.wait(10)
        return FakeModel(wake)

    engine = Engine(load, stall_s=STALL_S, clock=clock)
    engine.start()
    look(engine, clock, 1000)
    assert (engine.is_stalled, engine.state) == (False, "loading")
    release.set()
    await engine.wait_ready()
    await engine.close()


async def test_a_reader_who_has_stopped_is_no_stall() -> None:
    clock = Clock()
    async with restarting(Loads(), clock=clock) as (engine, _):
        session = asked(engine, "This goes on for much longer than a second of audio, which nobody reads.")
        made = engine._device.require().scheduler
        await until(lambda: made.progress is None, "as much is made as the reader has credit for")
        look(engine, clock, 100)
        assert (engine.is_stalled, engine.num_busy_slots) == (False, 1)
        session.cancel()


class NeverReady(FakeModel):
    """Its prefill does not come to an end."""

    def step(self, slots: Sequence[int]) -> Made:
        return Made(not_ready=slots)


async def test_a_prefill_that_never_ends_is_a_stall_although_the_thread_rests() -> None:
    clock = Clock()
    async with restarting(Loads(NeverReady), clock=clock) as (engine, errors):
        session = asked(engine, "Hello.")
        scheduler = engine._device.require().scheduler
        await until(lambda: not scheduler._is_in_step and scheduler.progress == 1, "the thread waits to be woken")
        look(engine, clock, 15)
        assert engine.is_stalled
        look(engine, clock, 10)
        assert await fails(session)
        await until(lambda: bool(errors), "the failure is told")


async def test_a_text_model_that_hangs_is_seen() -> None:
    clock, gate = Clock(), Gate()
    errors: list[Exception] = []
    engine = TextEngine(lambda: FakeText(gate=gate), stall_s=STALL_S, clock=clock, on_failure=errors.append)
    engine.start()
    await engine.wait_ready()
    paused = await opened(engine)
    look(engine, clock, 100)
    assert not engine.is_stalled, "who is paused waits for nothing"
    writing = asyncio.create_task(chunks(await opened(engine)))
    await asyncio.to_thread(gate.wait_held)
    look(engine, clock, 15)
    assert engine.is_stalled
    look(engine, clock, 10)
    with pytest.raises(EngineFailure):
        await writing
    await until(lambda: bool(errors), "the failure is told")
    paused.close()
    gate.allow(float("inf"))
    await engine.close()
