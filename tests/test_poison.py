"""One segment that a model cannot make fails alone: on the real voice, wherever it fails, and whoever is beside it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from engines.engine import Engine
from engines.errors import EngineFailure
from engines.fake import FakeModel
from engines.hibari.model import Hibari
from engines.model import StepResult
from engines.session import Session
from engines.types import Segment
from tests.running import audio_of, frames_of, running, until

TEXTS = ("The first of them is well.", "The last of them is well, too.")


class Picky(Hibari):
    """Cannot read one word, and cannot make the sound of another."""

    def _read_and_render(self, segment: Segment, seed: int, speed: float):
        if "unreadable" in segment.text:
            raise ValueError("no such word")
        return super()._read_and_render(segment, seed, speed)

    def _next_window(self, row, rendered):
        if "inaudible" in row.segment.text and row.num_frames_done:
            raise ValueError("no such sound")
        return super()._next_window(row, rendered)


@asynccontextmanager
async def on_the_real_voice() -> AsyncIterator[Engine]:
    engine = Engine(Picky)
    engine.start()
    try:
        await engine.wait_ready()
        yield engine
    finally:
        await engine.close()


def asked(engine: Engine, text: str) -> Session:
    session = engine.open_session()
    session.push(text)
    session.finish()
    return session


@pytest.mark.slow
async def test_a_poisonous_segment_fails_alone_on_the_real_voice() -> None:
    async with on_the_real_voice() as engine:
        alone = [audio_of(await frames_of(asked(engine, text))) for text in TEXTS]
        poison = ("This one is unreadable.", "This one is long and inaudible.")
        sessions = [asked(engine, text) for text in (TEXTS[0], *poison, TEXTS[1])]
        first, *poisoned, last = await asyncio.gather(*map(frames_of, sessions), return_exceptions=True)
        assert [type(error) for error in poisoned] == [EngineFailure] * len(poison)
        for frames, wanted in ((first, alone[0]), (last, alone[1])):
            assert isinstance(frames, list)
            np.testing.assert_array_equal(audio_of(frames), wanted)
        assert engine.state == "ready"
        await until(lambda: engine.num_busy_slots == engine.num_sessions == 0, "nothing of them is left")


class Shapeless(FakeModel):
    """Makes something that is no sound of one word's."""

    def _advance(self, row):
        result = super()._advance(row)
        is_odd = result is not None and "shapeless" in row.job.segment.text
        return StepResult(result.slot, np.array(["odd"] * 2400)) if is_odd else result  # type: ignore[arg-type, union-attr]


async def test_a_sound_that_cannot_be_shaped_costs_its_session_alone() -> None:
    async with running(Shapeless) as (engine, model):
        odd, other = asked(engine, "shapeless"), asked(engine, "The other is well.")
        with pytest.raises(EngineFailure):
            await frames_of(odd)
        assert await frames_of(other)
        await until(lambda: engine.num_busy_slots == model.num_held_rows == 0, "nothing is left")
        assert engine.state == "ready"
