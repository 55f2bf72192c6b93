"""Sessions beside each other: none changes another's audio, none slows another, and the device has one master."""

import asyncio
import math
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.engine import Engine
from engines.fake import FakeModel, Gate
from engines.model import Made, Prefill, Wake
from engines.session import Session
from engines.types import Limits
from tests.running import allow_steps, audio_of, frames_of, num_steps, running, until, until_idle

TEXT = "One is here. Two is here."


def say(engine: Engine, text: str, **options: Any) -> Session:
    session = engine.open_session(**options)
    session.push(text)
    session.finish()
    return session


async def test_first_audio_leaves_before_the_model_has_finished_the_segment() -> None:
    gate = Gate()
    async with running(gate=gate) as (engine, model):
        session = say(engine, "A long sentence that is one segment.", cutting="sentence")
        await allow_steps(gate, model, 4)  # 100 ms of silence, and 100 ms of sound
        frame = await anext(session)
        assert len(frame.pcm) > 0
        assert not frame.is_segment_end
        assert num_steps(model) == 4
        session.cancel()


async def test_each_frame_leaves_with_its_step() -> None:
    gate = Gate()
    async with running(gate=gate) as (engine, model):
        session = say(engine, "A long sentence that is one segment.", cutting="sentence")
        await allow_steps(gate, model, 4)
        await anext(session)
        for _ in range(10):
            await allow_steps(gate, model)
            assert len((await anext(session)).pcm) == model.format.frame_samples
        session.cancel()


async def test_results_of_a_step_cross_to_the_loop_in_one_call() -> None:
    gate = Gate()
    async with running(gate=gate) as (engine, model):
        sessions = [say(engine, TEXT) for _ in range(4)]
        await asyncio.to_thread(gate.wait_held)
        await allow_steps(gate, model, 6)
        for session in sessions:
            await anext(session)
        await asyncio.to_thread(gate.wait_held)  # the sixth is delivered
        loop = asyncio.get_running_loop()
        calls: list[Callable[..., object]] = []
        call_soon = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda call, *args, **kw: (calls.append(call), call_soon(call, *args, **kw))[1]
        await allow_steps(gate, model)
        await until(lambda: bool(calls), "the step is delivered")
        assert len(model.steps[-1]) == 4
        assert len(calls) == 1
        for session in sessions:
            session.cancel()


async def test_a_reader_that_stops_is_left_out_of_steps_and_others_go_on() -> None:
    limits = Limits(max_queued_s=0.5)
    async with running(limits=limits, frame_ms=50, silence_ms=(0, 0)) as (engine, model):
        stopped = say(engine, "A long sentence that is one segment.", cutting="sentence")
        await until(lambda: num_steps(model) >= 11 and model.num_held_rows == 1, "its credit is used up")
        for _ in range(5):
            assert (await frames_of(say(engine, TEXT)))[-1].text_end == len(TEXT)
        await until(lambda: engine.num_busy_slots == 1, "the others are over")
        (slot,) = {slots[0] for slots in model.steps[:3]}
        num_made = sum(slot in slots for slots in model.steps)
        assert num_made == 11, "half a second, and the frame that went over it"
        assert audio_of(await frames_of(stopped)).size == 36 * 1200, "and nothing is lost when it reads again"


async def test_a_reader_that_comes_back_gets_the_same_audio() -> None:
    async with running(limits=Limits(max_queued_s=0.2)) as (engine, _):
        expected = audio_of(await frames_of(say(engine, TEXT)))
        slow = say(engine, TEXT)
        frames = []
        async for frame in slow:
            frames.append(frame)
            await asyncio.sleep(0)
        assert np.array_equal(audio_of(frames), expected)


async def test_stopped_readers_that_hold_all_slots_keep_nobody_waiting_and_pile_up_little() -> None:
    """A segment over its credit may be made to its end, for its slot's sake. The next one may not begin."""
    limits = Limits(max_queued_s=0.2, max_sessions=99)
    async with running(limits=limits, num_slots=2) as (engine, model):
        stopped = [say(engine, "Nobody reads this. " * 20, cutting="sentence") for _ in range(2)]
        await until(lambda: model.num_held_rows == 2, "all slots are held")
        for _ in range(6):
            session = say(engine, "A listener. " * 4, cutting="sentence")
            assert (await frames_of(session))[-1].text_end == 47
        num_begun = sum(job.segment.text.startswith("Nobody") for job in model.prefills)
        for session in stopped:
            session.cancel()
        await until_idle(engine, model)
    assert num_begun <= 4, f"{num_begun} segments were begun for two readers who do not read"


async def test_unpaced_work_is_made_to_its_end_without_a_reader() -> None:
    async with running() as (engine, model):
        session = say(engine, TEXT * 10, is_paced=False)
        await until(lambda: engine.num_busy_slots == 0 and num_steps(model) > 300, "all of it is made")
        assert (await frames_of(session))[-1].text_end == len(TEXT) * 10


async def test_a_listener_starts_beside_a_crowd_of_unpaced_work() -> None:
    gate = Gate()
    async with running(gate=gate, num_slots=2) as (engine, model):
        files = [say(engine, TEXT * 10, is_paced=False) for _ in range(20)]
        await asyncio.to_thread(gate.wait_held)
        listener = say(engine, "Now.")
        before = num_steps(model)
        await allow_steps(gate, model, 5)  # the one under way, and 200 ms
        assert len((await anext(listener)).pcm) > 0
        assert num_steps(model) == before + 5
        for session in (*files, listener):
            session.cancel()


@settings(max_examples=12)
@given(st.randoms(use_true_random=False))
def test_a_sessions_audio_does_not_depend_on_its_neighbours(rng: random.Random) -> None:
    """Neighbours join, stop reading, leave and are cancelled at random steps."""

    async def disturb(engine: Engine, gate: Gate, model: FakeModel) -> None:
        others: list[Session] = []
        for _ in range(30):
            match rng.randrange(4):
                case 0 | 1:
                    text = rng.choice(["Well.", TEXT, "Something else altogether, and longer."])
                    others.append(say(engine, text, seed=rng.randrange(9), is_paced=rng.random() < 0.7))
                case 2 if others:
                    others.pop(rng.randrange(len(others))).cancel()
                case _:
                    pass
            gate.allow(rng.randrange(1, 4))
            await asyncio.sleep(0)
        gate.allow(math.inf)
        for session in others:
            session.cancel()

    async def scenario() -> None:
        async with running() as (engine, _):
            alone = audio_of(await frames_of(say(engine, TEXT, seed=5)))
        gate = Gate()
        async with running(gate=gate, num_slots=3) as (engine, model):
            session = say(engine, TEXT, seed=5)
            frames, _ = await asyncio.gather(frames_of(session), disturb(engine, gate, model))
            await until_idle(engine, model)
        assert np.array_equal(audio_of(frames), alone)

    asyncio.run(scenario())


class WatchesThreads(FakeModel):
    """Notes who calls it, and whether another thread can use the scheduler meanwhile."""

    engine: Engine

    def __init__(self, wake: Wake, **options: Any) -> None:
        super().__init__(wake, **options)
        self._wake = wake
        self.callers: dict[str, set[int]] = {}
        self.has_locked_out = False

    def prefill(self, jobs: Sequence[Prefill]) -> None:
        self._note("prefill")
        super().prefill(jobs)

    def step(self, slots: Sequence[int]) -> Made:
        self._note("step")
        return super().step(slots)

    def release(self, slot: int) -> None:
        self._note("release")
        super().release(slot)

    def forget(self, session: int) -> None:
        self._note("forget")
        super().forget(session)

    def _note(self, name: str) -> None:
        self.callers.setdefault(name, set()).add(threading.get_ident())
        other = threading.Thread(target=lambda: (self._wake(), self.engine.num_busy_slots), daemon=True)
        other.start()
        other.join(2)
        self.has_locked_out |= other.is_alive()


async def test_one_thread_calls_the_model_and_holds_no_lock_meanwhile() -> None:
    async with running(WatchesThreads) as (engine, model):
        assert isinstance(model, WatchesThreads)
        model.engine = engine
        await frames_of(say(engine, TEXT))
        await until_idle(engine, model)
        assert set(model.callers) == {"prefill", "step", "release", "forget"}
        assert len(set.union(*model.callers.values())) == 1
        assert threading.get_ident() not in model.callers["step"]
        assert not model.has_locked_out


@pytest.mark.parametrize("num_slots", [1, 2, 5])
async def test_all_slots_are_used_and_no_more(num_slots: int) -> None:
    gate = Gate()
    async with running(gate=gate, num_slots=num_slots) as (engine, model):
        sessions = [say(engine, TEXT) for _ in range(num_slots + 3)]
        await allow_steps(gate, model, 3)
        assert len(model.steps[-1]) == model.num_held_rows == engine.num_busy_slots == num_slots
        for session in sessions:
            session.cancel()
