"""When words are heard, from scripted attention, and from a model's own."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.magpie.checkpoint import Checkpoint
from engines.magpie.tokens import WordSpan
from engines.magpie.words import WordClock
from engines.types import Segment, Word
from tests.magpie.speaking import job, lively, make_model, speak

STEP_MS = 50.0
SEGMENT = Segment("Hello, big world.", start=100)
SPANS = (WordSpan(0, 6, 0, 6), WordSpan(7, 10, 7, 10), WordSpan(11, 17, 11, 17))


def clock_of(segment: Segment = SEGMENT, spans: tuple[WordSpan, ...] = SPANS) -> WordClock:
    return WordClock(segment, spans, STEP_MS)


def furthest_of(*tokens: int) -> np.ndarray:
    return np.maximum.accumulate(np.array(tokens, np.int16))


def test_a_word_lasts_from_its_first_token_to_the_next_words() -> None:
    attended = furthest_of(1, 2, 4, 5, 7, 8, 8, 9, 11, 12, 13, 18, 18)
    assert clock_of().take(attended, is_last=True) == (
        Word("Hello,", 0, 200, 100, 106),
        Word("big", 200, 400, 107, 110),
        Word("world.", 400, 650, 111, 117),
    )


def test_words_are_told_when_they_have_ended() -> None:
    clock = clock_of()
    assert clock.take(furthest_of(1, 5), is_last=False) == ()
    assert [word.text for word in clock.take(furthest_of(1, 5, 7), is_last=False)] == ["Hello,"]
    assert clock.take(furthest_of(1, 5, 7, 8), is_last=False) == ()
    assert [word.text for word in clock.take(furthest_of(1, 5, 7, 8, 13), is_last=False)] == ["big"]
    assert clock.take(furthest_of(1, 5, 7, 8, 13, 18), is_last=False) == (), "the last one lasts to the end"
    (last,) = clock.take(furthest_of(1, 5, 7, 8, 13, 18, 18), is_last=True)
    assert (last.text, last.start_ms, last.end_ms) == ("world.", 200, 350)
    assert clock.take(furthest_of(1, 5, 7, 8, 13, 18, 18), is_last=True) == ()


def test_a_word_that_was_leapt_over_is_told_all_the_same() -> None:
    told = clock_of().take(furthest_of(1, 1, 13, 18), is_last=True)
    assert [(word.text, word.start_ms, word.end_ms) for word in told] == [
        ("Hello,", 0, 100),
        ("big", 100, 100),
        ("world.", 100, 200),
    ]


def test_words_that_were_never_reached_are_told_at_the_end() -> None:
    told = clock_of().take(furthest_of(1, 2, 2), is_last=True)
    assert [(word.text, word.start_ms, word.end_ms) for word in told] == [
        ("Hello,", 0, 150),
        ("big", 150, 150),
        ("world.", 150, 150),
    ]


def test_a_text_without_words_has_none() -> None:
    assert clock_of(Segment("", 3), ()).take(furthest_of(0, 0), is_last=True) == ()


@settings(max_examples=150)
@given(
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=8),
    moves=st.lists(st.integers(0, 7), min_size=1, max_size=60),
    cuts=st.sets(st.integers(1, 59)),
)
def test_words_are_in_order_and_inside_the_audio_whenever_they_are_asked_for(
    lengths: list[int], moves: list[int], cuts: set[int]
) -> None:
    """Words without any token among them. In pieces or at once: the same words."""
    text = " ".join("x" * 3 for _ in lengths)
    spans, place = [], 0
    for number, length in enumerate(lengths):
        spans.append(WordSpan(4 * number, 4 * number + 3, place, place + length))
        place += length + (length > 0)
    segment, attended = Segment(text, 7), 1 + np.cumsum(np.array(moves)).astype(np.int16)
    whole = clock_of(segment, tuple(spans)).take(attended, is_last=True)
    in_pieces, clock = list[Word](), clock_of(segment, tuple(spans))
    for steps in sorted(cut for cut in cuts if cut < len(moves)):
        told = clock.take(attended[:steps], is_last=False)
        assert all(word.end_ms <= steps * STEP_MS for word in told)
        in_pieces += told
    in_pieces += clock.take(attended, is_last=True)
    assert tuple(in_pieces) == whole
    assert [(word.char_start, word.char_end) for word in whole] == [
        (7 + 4 * i, 10 + 4 * i) for i in range(len(lengths))
    ]
    assert all(word.text == "xxx" for word in whole)
    times = [time for word in whole for time in (word.start_ms, word.end_ms)]
    assert all(word.start_ms <= word.end_ms for word in whole)
    assert [word.start_ms for word in whole] == sorted(word.start_ms for word in whole)
    assert min(times) >= 0
    assert max(times) == whole[-1].end_ms == len(moves) * STEP_MS


@pytest.mark.parametrize("size", ["tiny", "tiny2"])
def test_a_models_words_are_those_of_its_text(checkpoint: Callable[[str], Checkpoint], size: str) -> None:
    """Every one, in order, at its place in the session's text, within the audio."""
    model = make_model(lively(checkpoint(size), max_frames=60))
    texts = ("Go!", 'One, two; three... (four) "five".', "Hello there. How are you - today?")
    jobs = [job(model, text, slot=slot, session=slot + 1, start=50 * slot) for slot, text in enumerate(texts)]
    for spoken, asked in zip(speak(model, *jobs), jobs, strict=True):
        text, start = asked.segment.text, asked.segment.start
        assert [word.text for word in spoken.words] == text.split()
        assert all(text[word.char_start - start : word.char_end - start] == word.text for word in spoken.words)
        times = [(word.start_ms, word.end_ms) for word in spoken.words]
        assert times == sorted(times)
        assert all(start_ms <= end_ms for start_ms, end_ms in times)
        audio_ms = len(spoken.pcm) / 22.05
        assert audio_ms <= times[-1][1] <= audio_ms + model._step_ms, "the step that ended it is not heard"
