"""A session on the fake model: text in, frames out, in order and complete."""

import asyncio
import threading
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.engine import Engine
from engines.errors import SessionClosed, TextTooLong
from engines.fake import FakeModel
from engines.model import Made, Wake
from engines.types import Boundary, Frame, Limits, Segment
from tests.running import audio_of, frames_of, running, shaped, until

TEXT = "One is here. Two is here."
SEGMENTS = (Segment("One is here.", 0), Segment("Two is here.", 13, pause_before_ms=250))


class LateModel(FakeModel):
    """Says "not yet" of each row once, and wakes the engine from another thread."""

    def __init__(self, wake: Wake, **options: Any) -> None:
        super().__init__(wake, **options)
        self._wake = wake
        self._looked_at: set[int] = set()

    def step(self, slots: Sequence[int]) -> Made:
        late = [slot for slot in slots if slot not in self._looked_at]
        if late:
            self._looked_at.update(late)
            threading.Thread(target=self._wake).start()
        made = super().step([slot for slot in slots if slot not in late])
        return Made(made.results, late)

    def release(self, slot: int) -> None:
        super().release(slot)
        self._looked_at.discard(slot)


async def speak(engine: Engine, *texts: str, **options: Any) -> list[Frame]:
    session = engine.open_session(**options)
    for text in texts:
        session.push(text)
    session.finish()
    return await frames_of(session)


async def test_streamed_audio_equals_the_whole() -> None:
    async with running() as (engine, model):
        session = engine.open_session(cutting="sentence")
        session.push(TEXT)
        session.finish()
        frames = await frames_of(session)
        whole = np.concatenate([shaped(model, segment, session) for segment in SEGMENTS])
        assert len(frames) > 10
        assert np.array_equal(audio_of(frames), whole)


@settings(max_examples=15)
@given(st.lists(st.integers(0, len(TEXT)), max_size=6))
def test_audio_does_not_depend_on_how_text_was_pushed(cuts: list[int]) -> None:
    async def scenario() -> None:
        edges = [0, *sorted(cuts), len(TEXT)]
        async with running() as (engine, _):
            whole = await speak(engine, TEXT, cutting="sentence")
            pieces = [TEXT[start:end] for start, end in pairwise(edges)]
            streamed = await speak(engine, *pieces, cutting="sentence")
        assert np.array_equal(audio_of(streamed), audio_of(whole))
        assert [w for f in streamed for w in f.words] == [w for f in whole for w in f.words]

    asyncio.run(scenario())


async def test_frames_count_segments_and_end_each_once() -> None:
    async with running() as (engine, model):
        frames = await speak(engine, TEXT)
    assert [frame.segment for frame in frames] == sorted(frame.segment for frame in frames)
    assert [frame.segment for frame in frames if frame.is_segment_end] == [1, 2]
    assert all(len(frame.pcm) <= model.format.frame_samples + 0.3 * model.format.sample_rate_hz for frame in frames)


async def test_text_end_grows_with_the_words_that_were_spoken() -> None:
    async with running() as (engine, _):
        frames = await speak(engine, TEXT)
    ends = [frame.text_end for frame in frames]
    assert ends == sorted(ends)
    assert {3, 6, 12, 16, 19, 25} <= set(ends)
    assert ends[-1] == len(TEXT)


async def test_words_are_the_clients_own_where_they_stand_in_its_text() -> None:
    text = "Hello 😀 there, 日 you.  And you."
    async with running() as (engine, _):
        frames = await speak(engine, text)
    words = [word for frame in frames for word in frame.words]
    assert [word.text for word in words] == ["Hello", "there,", "you.", "And", "you."]
    assert all(text[word.char_start : word.char_end] == word.text for word in words)


async def test_word_times_count_from_the_first_sample_of_the_session() -> None:
    async with running() as (engine, _):
        frames = await speak(engine, TEXT, cutting="sentence")
    words = [word for frame in frames for word in frame.words]
    first_ms = 10 + 12 * 50 + 50  # lead, characters, tail
    assert [(word.start_ms, word.end_ms) for word in words] == [
        (10, 160), (210, 310), (360, 610),
        (first_ms + 260, first_ms + 410), (first_ms + 460, first_ms + 560), (first_ms + 610, first_ms + 860),
    ]  # fmt: skip
    assert words[-1].end_ms <= len(audio_of(frames)) / 24


async def test_a_message_is_one_segment_whatever_is_in_it() -> None:
    async with running() as (engine, model):
        session = engine.open_session()
        session.push_segment(TEXT, label="first")
        session.push_segment("Three.", label="second")
        session.finish()
        frames = await frames_of(session)
        assert [(f.segment, f.label) for f in frames if f.is_segment_end] == [(1, "first"), (2, "second")]
        assert {f.label for f in frames if f.segment == 1} == {"first"}
        last = Segment("Three.", len(TEXT), Boundary.SENTENCE)
        assert np.array_equal(audio_of([f for f in frames if f.segment == 2]), shaped(model, last, session))


async def test_a_message_with_nothing_to_speak_is_answered_with_an_empty_frame() -> None:
    async with running() as (engine, _):
        session = engine.open_session()
        session.push_segment("...", label="dots")
        session.push_segment("One.")
        session.finish()
        first, *rest = await frames_of(session)
    assert (first.segment, len(first.pcm), first.is_segment_end, first.label) == (1, 0, True, "dots")
    assert {frame.segment for frame in rest} == {2}


@pytest.mark.parametrize("text", ["", "   ", "...", "😀😀", "日本"])
async def test_text_with_nothing_to_speak_ends_without_audio(text: str) -> None:
    async with running() as (engine, model):
        session = engine.open_session()
        session.push(text)
        session.finish()
        session.finish()
        assert not session.has_speech
        assert await frames_of(session) == []
        assert engine.num_sessions == 0
        assert model.steps == []


async def test_characters_that_the_voice_cannot_speak_come_back_once_each() -> None:
    async with running() as (engine, _):
        session = engine.open_session()
        assert session.push("日本 and 日 twice") == "日本"
        assert session.push(" more") == ""
        assert session.has_speech
        session.cancel()


async def test_text_that_waits_for_its_end_is_spoken_by_a_flush() -> None:
    async with running() as (engine, _):
        session = engine.open_session()
        session.push("Well")
        session.flush()
        frame = await anext(session)
        while not frame.is_segment_end:
            frame = await anext(session)
        assert frame.text_end == 4
        session.push(" now")
        session.finish()
        assert (await frames_of(session))[-1].text_end == 8


async def test_without_news_what_is_there_is_spoken() -> None:
    async with running() as (engine, model):
        session = engine.open_session(idle_flush_s=0.001)
        session.push("Well")
        await until(lambda: bool(model.steps), "the word is spoken")
        session.push(" and now")  # while it is spoken, and waits as long
        session.finish()
        frames = await frames_of(session)
    assert [frame.text_end for frame in frames if frame.is_segment_end] == [4, 12]


async def test_without_an_idle_time_unfinished_text_waits() -> None:
    async with running() as (engine, model):
        waiting, other = engine.open_session(), engine.open_session()
        waiting.push("Well")
        other.push("Other.")
        other.finish()
        await frames_of(other)
        await until(lambda: engine.num_busy_slots == 0, "nothing is left to speak")
        assert all(len(slots) <= 1 for slots in model.steps)
        assert engine.num_sessions == 1


async def test_no_text_can_be_added_after_finish() -> None:
    async with running() as (engine, _):
        session = engine.open_session()
        session.push("One.")
        session.finish()
        with pytest.raises(SessionClosed):
            session.push("Two.")
        assert (await frames_of(session))[-1].text_end == 4


async def test_more_text_than_may_wait_is_refused_and_nothing_of_it_is_taken() -> None:
    async with running(limits=Limits(max_waiting_chars=20)) as (engine, _):
        session = engine.open_session()
        for push in (session.push, session.push_segment):
            with pytest.raises(TextTooLong, match="21 characters, at most 20"):
                push("x" * 21)
        session.push("Short")
        with pytest.raises(TextTooLong, match="21 characters, at most 20"):
            session.push("x" * 16)
        session.push(" enough.")
        session.finish()
        assert session.text == "Short enough."
        assert (await frames_of(session))[-1].text_end == 13


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
async def test_the_same_seed_gives_the_same_audio(seed: int) -> None:
    async with running() as (engine, _):
        first, second, other = [
            audio_of(await speak(engine, TEXT, seed=which)) for which in (seed, seed, (seed + 7) % 2**63)
        ]
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


async def test_voices_sound_different() -> None:
    async with running() as (engine, _):
        sine, square = [audio_of(await speak(engine, TEXT, voice=name)) for name in ("sine", "square")]
    assert not np.array_equal(sine, square)


async def test_a_model_whose_rows_become_ready_late_gives_the_same_audio() -> None:
    async with running(LateModel) as (engine, _):
        late = await speak(engine, TEXT)
    async with running() as (engine, _):
        assert np.array_equal(audio_of(late), audio_of(await speak(engine, TEXT)))


@pytest.mark.parametrize(("max_chars", "limit"), [(30, 160), (1000, 20)])
async def test_segments_are_no_longer_than_the_engine_and_the_model_allow(max_chars: int, limit: int) -> None:
    text = "this has neither an end nor a pause and so it has to be cut between two words, and well before it is over"
    async with running(max_chars=max_chars, limits=Limits(max_segment_chars=limit)) as (engine, model):
        frames = await speak(engine, text, cutting="sentence")
        lengths = [len(job.segment.text) for job in model.prefills]
    assert max(lengths) <= min(max_chars, limit)
    assert max(lengths) > min(max_chars, limit) - 12
    assert frames[-1].text_end == len(text)


async def test_all_segments_of_a_session_carry_its_number_and_it_is_forgotten_when_it_is_over() -> None:
    async with running() as (engine, model):
        for session in (engine.open_session(cutting="sentence"), engine.open_session(cutting="sentence")):
            session.push(TEXT)
            session.finish()
            await frames_of(session)
        await until(lambda: model.num_known_sessions == 0, "both are forgotten")
        assert [job.session for job in model.prefills] == [1, 1, 2, 2]
        assert len({job.slot for job in model.prefills[:2]}) == 1, "it comes back to its slot"
