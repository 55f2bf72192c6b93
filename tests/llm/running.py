"""A text engine on the test's own event loop, on the fake model, and the states that tests wait for."""

import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from engines.fake import Gate
from engines.llm.engine import TextEngine, TextLimits
from engines.llm.fake import FakeText
from engines.llm.session import TextSession
from engines.llm.types import ChunkEnd, Message, Pause, Sampling, Token
from tests.running import until

GREEDY = Sampling(temperature=0)
SENTENCE = Pause(at_sentence=True)
ALL = Pause()


def user(text: str) -> Message:
    return Message("user", text)


@asynccontextmanager
async def running(
    make_model: Callable[..., FakeText] = FakeText,
    *,
    gate: Gate | None = None,
    limits: TextLimits | None = None,
    clock: Callable[[], float] = time.monotonic,
    on_failure: Callable[[Exception], None] | None = None,
    **model: Any,
) -> AsyncIterator[tuple[TextEngine, FakeText]]:
    """An engine that is ready, and its model. Leaving the block opens the gate and closes the engine."""
    made = make_model(gate=gate, **model)
    engine = TextEngine(lambda: made, limits=limits, clock=clock, on_failure=on_failure)
    engine.start()
    try:
        await engine.wait_ready()
        yield engine, made
    finally:
        if gate is not None:
            gate.allow(math.inf)
        await engine.close()
        assert made.num_samplers == 0, "a sampler was not closed"


async def opened(engine: TextEngine, text: str = "a fox", **terms: Any) -> TextSession:
    """A session that is asked about this, greedy unless said otherwise."""
    return await engine.open_session([user(text)], **({"sampling": GREEDY} | terms))


async def chunk(session: TextSession, pause: Pause = ALL) -> tuple[list[Token], ChunkEnd]:
    """One chunk: its tokens and its end, which are held to each other."""
    *tokens, end = [event async for event in session.write(pause)]
    assert isinstance(end, ChunkEnd)
    seen = [token for token in tokens if isinstance(token, Token)]
    assert seen == tokens, "the end is last"
    assert end.text == "".join(token.text for token in seen)
    assert sum(token.num_tokens for token in seen) <= end.num_tokens
    return seen, end


async def chunks(session: TextSession, pauses: Sequence[Pause] = (ALL,)) -> list[ChunkEnd]:
    """Chunk by chunk to the end, the last pause again and again."""
    ends: list[ChunkEnd] = []
    while not session.is_done:
        ends.append((await chunk(session, pauses[min(len(ends), len(pauses) - 1)]))[1])
    return ends


async def written(engine: TextEngine, text: str = "a fox", pauses: Sequence[Pause] = (ALL,), **terms: Any) -> str:
    """All that a session of its own writes."""
    async with await opened(engine, text, **terms) as session:
        await chunks(session, pauses)
        return session.text


async def until_idle(engine: TextEngine, model: FakeText) -> None:
    """Nothing is left of any session: not in the engine, not in the scheduler, not on the device."""
    await until(lambda: engine.num_sessions == 0, "no session is left")
    await until(lambda: engine.num_busy_slots == engine.num_running == 0, "no slot is busy")
    await until(lambda: engine.num_used_cells == 0, "no cell is used")
    await until(lambda: model.num_samplers == 0, "no sampler is left")
    loaded = engine._device.require()
    assert loaded.cache.num_aside_bytes == 0, "what was saved of a session outlives it"
    assert model.num_used_cells == 0


def batches(model: FakeText) -> list[dict[int, int]]:
    """How many tokens of which slot each step had."""
    return [{run.slot: len(run.tokens) for run in batch} for batch in tuple(model.batches)]


def num_evaluated(model: FakeText) -> int:
    """Tokens of all steps so far."""
    return sum(sum(batch.values()) for batch in batches(model))


def shut(gate: Gate) -> None:
    """Hold the device before its next step."""
    with gate._condition:
        gate._num_allowed = 0


async def allow_steps(gate: Gate, model: FakeText, count: int = 1) -> None:
    """Let the device take exactly so many steps, and wait until it has."""
    before = len(model.batches)
    gate.allow(count)
    await until(lambda: len(model.batches) == before + count, f"{count} steps")
