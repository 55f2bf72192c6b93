"""An engine on the test's own event loop, on the fake model, and the states that tests wait for."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from engines.engine import Engine
from engines.fake import FakeModel, Gate
from engines.model import StepResult, Wake
from engines.session import Session
from engines.shaping import SegmentShaper
from engines.types import Frame, Limits, Params, Pcm, Segment

DEADLINE_S = 10.0
"""Far more than anything here takes: who waits longer has hung."""


async def until(is_so: Callable[[], bool], what: str) -> None:
    """Return when a state is reached, however long that takes within reason."""
    deadline_s = time.monotonic() + DEADLINE_S
    for _ in iter(is_so, True):
        assert time.monotonic() < deadline_s, f"this did not come about: {what}"
        await asyncio.sleep(0.001)


@asynccontextmanager
async def running(
    make_model: Callable[..., FakeModel] = FakeModel,
    *,
    gate: Gate | None = None,
    limits: Limits | None = None,
    clock: Callable[[], float] = time.monotonic,
    on_failure: Callable[[Exception], None] | None = None,
    **model: Any,
) -> AsyncIterator[tuple[Engine, FakeModel]]:
    """An engine that is ready, and its model. Leaving the block opens the gate and closes the engine."""
    made: list[FakeModel] = []

    def load(wake: Wake) -> FakeModel:
        made.append(make_model(wake, gate=gate, **model))
        return made[0]

    engine = Engine(load, limits=limits, clock=clock, on_failure=on_failure)
    engine.start()
    try:
        await engine.wait_ready()
        yield engine, made[0]
    finally:
        if gate is not None:
            gate.allow(math.inf)
        await engine.close()


def num_steps(model: FakeModel) -> int:
    """Steps in which anything was stepped."""
    return sum(bool(slots) for slots in tuple(model.steps))


async def allow_steps(gate: Gate, model: FakeModel, count: int = 1) -> None:
    """Let the device take exactly so many steps, and wait until it has."""
    before = num_steps(model)
    gate.allow(count)
    await until(lambda: num_steps(model) == before + count, f"{count} steps")


async def until_idle(engine: Engine, model: FakeModel) -> None:
    """Nothing is left of any session: not in the engine, not in the scheduler, not on the device."""
    await until(lambda: engine.num_sessions == 0, "no session is left")
    await until(lambda: engine.num_busy_slots == 0, "no slot is busy")
    await until(lambda: model.num_held_rows == 0, "the model holds no row")
    await until(lambda: model.num_known_sessions == 0, "the model knows no session")


async def frames_of(session: Session) -> list[Frame]:
    return [frame async for frame in session]


def audio_of(frames: list[Frame]) -> Pcm:
    return np.concatenate([np.zeros(0, np.float32), *(frame.pcm for frame in frames)])


def shaped(model: FakeModel, segment: Segment, session: Session, seed: int = 0) -> Pcm:
    """A segment's audio as one piece: the model's own rendering, shaped in a single call."""
    pcm = model.render(segment.text, session.voice, Params(seed=seed))
    whole = StepResult(0, pcm, is_segment_end=True)
    return SegmentShaper(segment, model.format.sample_rate_hz).shape(whole).pcm
