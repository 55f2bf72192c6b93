"""The end of a session: cancelled by its client, failed by itself, or failed with the engine."""

import asyncio

import numpy as np
import pytest

from engines.errors import EngineFailure, SessionClosed
from engines.fake import Gate
from engines.session import Session
from engines.types import Frame
from tests.running import allow_steps, audio_of, frames_of, num_steps, running, until, until_idle

TEXT = "One is here. Two is here."


async def collect(session: Session, frames: list[Frame]) -> None:
    async for frame in session:
        frames.append(frame)  # noqa: PERF401


async def test_cancel_returns_the_text_that_was_taken() -> None:
    async with running() as (engine, _):
        session = engine.open_session()
        session.push(TEXT)
        assert session.cancel() == ""
        session = engine.open_session()
        session.push(TEXT)
        while (await anext(session)).text_end < 6:
            pass
        assert session.cancel() == "One is"
        assert session.cancel() == "One is"


async def test_a_cancelled_session_is_closed_for_text_and_for_readers() -> None:
    async with running() as (engine, _):
        session = engine.open_session()
        session.push(TEXT)
        await anext(session)
        session.cancel()
        with pytest.raises(SessionClosed):
            await anext(session)
        with pytest.raises(SessionClosed):
            session.push("more")
        with pytest.raises(SessionClosed):
            session.push_segment("more")
        session.flush()
        session.finish()
        assert engine.num_sessions == 0


async def test_a_reader_that_waits_is_told_of_a_cancel() -> None:
    gate = Gate()
    async with running(gate=gate) as (engine, _):
        session = engine.open_session()
        session.push(TEXT)
        reader = asyncio.ensure_future(anext(session))
        await asyncio.to_thread(gate.wait_held)
        session.cancel()
        with pytest.raises(SessionClosed):
            await reader


async def test_no_frame_comes_after_a_cancel_though_it_was_under_way() -> None:
    gate = Gate()
    async with running(gate=gate) as (engine, model):
        session = engine.open_session()
        session.push(TEXT)
        await allow_steps(gate, model, 6)
        await asyncio.to_thread(gate.wait_held)
        session.cancel()
        await allow_steps(gate, model)
        with pytest.raises(SessionClosed):
            await anext(session)


async def test_leaving_the_block_cancels() -> None:
    async with running() as (engine, _):
        async with engine.open_session() as session:
            session.push(TEXT)
        with pytest.raises(SessionClosed):
            await anext(session)
        assert engine.num_sessions == 0


async def test_cancel_frees_the_slot_within_one_step() -> None:
    gate = Gate()
    async with running(gate=gate) as (engine, model):
        session = engine.open_session()
        session.push(TEXT)
        await allow_steps(gate, model, 4)
        await asyncio.to_thread(gate.wait_held)
        session.cancel()
        assert (engine.num_sessions, engine.num_busy_slots, model.num_held_rows) == (0, 1, 1)
        gate.allow(1)
        await until_idle(engine, model)
        assert num_steps(model) == 5


async def test_a_cancelled_session_leaves_the_queue_of_those_that_wait() -> None:
    gate = Gate()
    async with running(gate=gate, num_slots=1) as (engine, model):
        first, second, third = (engine.open_session() for _ in range(3))
        for session in (first, second, third):
            session.push(TEXT)
            session.finish()
        await allow_steps(gate, model, 1)
        second.cancel()
        first.cancel()
        gate.allow(10**6)
        assert (await frames_of(third))[-1].text_end == len(TEXT)
        await until_idle(engine, model)


async def test_a_segment_that_fails_ends_its_own_session_alone() -> None:
    async with running() as (engine, _):
        alone = engine.open_session(seed=3)
        alone.push(TEXT)
        alone.finish()
        expected = audio_of(await frames_of(alone))
    async with running(poison="poison") as (engine, model):
        neighbour, bad = engine.open_session(seed=3), engine.open_session()
        neighbour.push(TEXT)
        neighbour.finish()
        bad.push("This is poison.")
        bad.finish()
        with pytest.raises(EngineFailure):
            await anext(bad)
        assert np.array_equal(audio_of(await frames_of(neighbour)), expected)
        assert engine.state == "ready"
        await until_idle(engine, model)


async def test_what_was_made_before_a_failure_is_delivered_first() -> None:
    async with running(poison="poison") as (engine, model):
        session = engine.open_session(cutting="sentence")
        session.push("Good. This is poison.")
        session.finish()
        frames = []
        with pytest.raises(EngineFailure):
            frames += [frame async for frame in session]
        with pytest.raises(EngineFailure):
            await anext(session)
        with pytest.raises(SessionClosed):
            session.push("more")
        await until_idle(engine, model)


async def test_what_was_made_before_a_failure_is_dropped_by_a_cancel() -> None:
    async with running(poison="poison") as (engine, _):
        session = engine.open_session(cutting="sentence")
        session.push("Good. This is poison.")
        session.finish()
        await until(lambda: engine.num_sessions == 0, "the session has failed")
        session.cancel()
        with pytest.raises((EngineFailure, SessionClosed)):
            await anext(session)
