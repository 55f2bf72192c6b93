"""A model that makes audio in chunks and learns of words late or early: the same audio, the same words, in order."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from engines.engine import Engine
from engines.fake import FakeModel, Gate
from engines.model import Made, StepResult, Wake
from engines.types import ChunkSizes, Frame, Word
from modes.playback import PlayClock
from tests.hearing import Listener, listen
from tests.running import allow_steps, audio_of, frames_of, running
from tests.serving import serve_here

TEXT = "One is here, and it goes on for quite a while."
FRAME_SAMPLES = 1200  # of the fake: 50 ms


class LateWords(FakeModel):
    """Knows a word only in the chunk behind the one in which it ends, or with the end of its segment."""

    def __init__(self, wake: Wake, **options: Any) -> None:
        super().__init__(wake, is_chunked=True, **options)
        self._late: dict[int, tuple[Word, ...]] = {}

    def step(self, slots: Sequence[int]) -> Made:
        return Made([self._delay(result) for result in super().step(slots).results])

    def _delay(self, result: StepResult) -> StepResult:
        late = self._late.pop(result.slot, ())
        if result.is_segment_end:
            return StepResult(result.slot, result.pcm, True, late + result.words)
        self._late[result.slot] = result.words
        return StepResult(result.slot, result.pcm, False, late)


async def speak(engine: Engine, sizes: ChunkSizes, text: str = TEXT) -> list[Frame]:
    session = engine.open_session(cutting="sentence", chunk_sizes=sizes)
    session.push(text)
    session.finish()
    return await frames_of(session)


def words_of(frames: list[Frame]) -> list[Word]:
    return [word for frame in frames for word in frame.words]


async def test_rows_that_hand_out_nothing_yet_go_on_and_chunks_have_the_sizes_that_were_asked_for() -> None:
    async with running(is_chunked=True, silence_ms=(0, 0)) as (engine, _):
        frames = await speak(engine, ChunkSizes(2, 5))
    held_back = 120  # the last 5 ms wait for what follows
    assert [len(frame.pcm) for frame in frames[:3]] == [2 * FRAME_SAMPLES - held_back, *[5 * FRAME_SAMPLES] * 2]


@pytest.mark.parametrize("make_model", [FakeModel, LateWords])
@pytest.mark.parametrize("sizes", [ChunkSizes(1, 1), ChunkSizes(4, 8), ChunkSizes(32, 32)])
async def test_chunks_change_neither_audio_nor_words(make_model: type[FakeModel], sizes: ChunkSizes) -> None:
    async with running() as (engine, _):
        whole = await speak(engine, sizes)
    options = {} if make_model is LateWords else {"is_chunked": True}
    async with running(make_model, **options) as (engine, _):
        chunked = await speak(engine, sizes)
    assert np.array_equal(audio_of(chunked), audio_of(whole))
    assert words_of(chunked) == words_of(whole)
    assert chunked[-1].text_end == len(TEXT)


async def test_a_word_that_ends_beyond_the_audio_so_far_waits_for_it() -> None:
    async with running(is_chunked=True) as (engine, _):
        frames = await speak(engine, ChunkSizes(4, 8))
    ends_ms = np.cumsum([len(frame.pcm) for frame in frames]) / 24
    for frame, end_ms in zip(frames, ends_ms, strict=True):
        assert all(word.end_ms <= end_ms for word in frame.words)
    ends = [frame.text_end for frame in frames]
    assert ends == sorted(ends)


@pytest.mark.parametrize("make_model", [FakeModel, LateWords])
async def test_text_is_heard_when_it_sounds_however_late_its_words_are_known(make_model: type[FakeModel]) -> None:
    """By the play clock: what a cancel at any time answers. All that was made has been sent."""
    async with running() as (engine, _):
        words = words_of(await speak(engine, ChunkSizes()))
    async with running(make_model) as (engine, _):
        frames = await speak(engine, ChunkSizes())
    clock, num_samples = PlayClock(), 0
    for frame in frames:
        num_samples += len(frame.pcm)
        clock.spoke(frame, num_samples / 24)
    for word, following in pairwise(words):
        assert clock.text_end(word.end_ms) == word.char_end
        assert clock.text_end((word.end_ms + following.end_ms) / 2) == word.char_end


@pytest.mark.parametrize("make_model", [FakeModel, LateWords])
async def test_cancelling_in_the_middle_returns_the_words_that_were_taken(make_model: type[FakeModel]) -> None:
    gate = Gate()
    options = {} if make_model is LateWords else {"is_chunked": True}
    async with running(make_model, gate=gate, **options) as (engine, model):
        session = engine.open_session(cutting="sentence")
        session.push_segment(TEXT)
        await allow_steps(gate, model, 12)  # chunks of 4 and 8 frames: 600 ms, of which 100 are silence
        for _ in range(2):
            await anext(session)
        assert session.cancel() == ("One" if make_model is LateWords else "One is")


async def test_a_listener_who_interrupts_is_told_what_was_heard_by_then() -> None:
    async with serve_here(LateWords) as here, listen(here.served) as listener:
        words = await _say(listener)
        for word in (words[0], words[3], words[-1]):
            await _say(listener)
            await listener.send("cancel", played_ms=word["end_ms"] + 1)
            assert (await listener.until("cancelled"))["text_spoken"] == TEXT[: word["char_end"]]


async def _say(listener: Listener) -> list[dict[str, Any]]:
    """Have the text spoken to its end, and its words."""
    start = len(listener.heard)
    await listener.begin(word_timestamps=True)
    await listener.say([TEXT], mode="stream")
    await listener.until("segment_complete")
    return [w for m in listener.heard[start:] if isinstance(m, dict) and m["type"] == "words" for w in m["words"]]


async def test_the_modes_speak_alike_with_chunks_and_without() -> None:
    heard: list[bytes] = []
    for is_chunked in (False, True):
        async with serve_here(lambda wake, is_chunked=is_chunked: FakeModel(wake, is_chunked=is_chunked)) as here:
            for mode in ("stream", "batch", "adaptive"):
                async with listen(here.served) as listener:
                    await listener.speak([TEXT], fields={"mode": mode})
                    heard.append(listener.audio)
    assert len(heard[0]) > 44_100
    assert len(set(heard[:2] + heard[3:5])) == 1
    assert heard[2] == heard[5]


# -- segments that a guard cuts short ----------------------------------------------------------------------------------


async def test_a_segment_that_is_cut_short_fades_is_counted_and_the_next_is_spoken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    text = "This babble would go on for a very long time indeed. One is here."
    async with running(babble="babble") as (engine, _):
        assert engine.num_cut_short == {}
        frames = await speak(engine, ChunkSizes(), text)
        assert engine.num_cut_short == {"babble": 1}
    first = audio_of([frame for frame in frames if frame.segment == 1])
    assert 0.8 * 24_000 < first.size < 1.1 * 24_000
    loudest = np.abs(first[-960:]).reshape(-1, 120).max(axis=1)  # the last 40 ms, by 5 ms
    assert loudest[0] > 0.25
    assert np.all(np.diff(loudest[2:]) < 0), "it fades"
    assert abs(first[-1]) < 0.001
    assert [frame.text_end for frame in frames if frame.is_segment_end] == [len("This babble would"), len(text)]
    assert [word.text for frame in frames for word in frame.words if frame.segment == 1] == ["This", "babble", "would"]
    assert [record.getMessage() for record in caplog.records] == ["a segment was cut short: babble"]


async def test_a_segment_that_ends_by_itself_is_not_counted() -> None:
    async with running() as (engine, _):
        await asyncio.gather(*(speak(engine, ChunkSizes()) for _ in range(3)))
        assert engine.num_cut_short == {}
