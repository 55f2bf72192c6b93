"""What a session knows of its listener, by an injected clock: the buffer, being idle, and how text is cut by it."""

import logging
from itertools import pairwise

import pytest

from engines.session import Session
from engines.types import Limits
from tests.running import frames_of, running


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


async def take(session: Session, duration_s: float) -> None:
    """Read so much audio."""
    num_samples = 0
    while num_samples < duration_s * 24_000:
        num_samples += len((await anext(session)).pcm)


async def segments(session: Session) -> list[str]:
    frames = await frames_of(session)
    ends = [0, *(frame.text_end for frame in frames if frame.is_segment_end)]
    return [session.text[start:end].strip() for start, end in pairwise(ends)]


async def test_the_buffer_is_what_was_taken_minus_the_time_since() -> None:
    clock = Clock()
    async with running(clock=clock, frame_ms=50, silence_ms=(0, 0)) as (engine, _):
        session = engine.open_session()
        session.push("This is a sentence of some length.")
        session.finish()
        assert session.buffer_ms == 0
        clock.now_s += 60
        assert session.buffer_ms == 0, "nothing was heard yet"
        await take(session, 1.0)
        taken_ms = session.buffer_ms
        assert taken_ms >= 1000
        clock.now_s += 0.25
        assert session.buffer_ms == pytest.approx(taken_ms - 250)
        clock.now_s += 60
        assert session.buffer_ms == 0, "never below nothing"
        session.cancel()


async def test_text_reading_and_finishing_keep_a_session_from_being_idle() -> None:
    clock = Clock()
    async with running(clock=clock) as (engine, _):
        session = engine.open_session()
        clock.now_s += 5
        assert session.idle_s == 5
        session.push("One is here.")
        assert session.idle_s == 0
        clock.now_s += 5
        session.finish()
        assert session.idle_s == 0
        await anext(session)
        clock.now_s += 5
        await anext(session)
        assert session.idle_s == 0
        session.cancel()


SENTENCES = (
    "On the other side of the hill, there is a small house. Right in front of the house, there is quite a large tree."
)


async def test_early_cutting_cuts_the_first_clause_and_then_sentences() -> None:
    async with running() as (engine, _):
        session = engine.open_session(cutting="early")
        session.push(SENTENCES)
        session.finish()
        assert await segments(session) == [
            "On the other side of the hill,",
            "there is a small house.",
            "Right in front of the house, there is quite a large tree.",
        ]


async def test_sentence_cutting_cuts_sentences_only() -> None:
    async with running() as (engine, _):
        session = engine.open_session(cutting="sentence")
        session.push(SENTENCES)
        session.finish()
        assert len(await segments(session)) == 2


async def test_adaptive_cutting_takes_clauses_until_the_buffer_is_full(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()  # stands still: what was taken stays in the buffer
    limits = Limits(max_queued_s=1.0, small_buffer_s=0.2)  # of 1.5 s at least 0.5 are taken before it is all made
    with caplog.at_level(logging.INFO, "tiding.session"):
        async with running(clock=clock, limits=limits) as (engine, _):
            session = engine.open_session(cutting="adaptive")
            session.push(SENTENCES)
            session.finish()
            assert await segments(session) == [
                "On the other side of the hill,",
                "there is a small house.",
                "Right in front of the house, there is quite a large tree.",
            ]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3, "the choice is logged for each segment"
    assert lines[0].startswith("adaptive: segment 1 takes a clause of 30 characters (short buffer: 0 ms")
    assert lines[1].startswith("adaptive: segment 2 takes a sentence")
    assert lines[2].startswith("adaptive: segment 3 takes a sentence of 57 characters (full buffer: ")


async def test_adaptive_cutting_goes_on_with_clauses_while_the_buffer_is_short() -> None:
    async with running(limits=Limits(small_buffer_s=1e6)) as (engine, _):
        session = engine.open_session(cutting="adaptive")
        session.push(SENTENCES)
        session.finish()
        assert len(await segments(session)) == 4
