"""One segment as a listener should hear it: trimmed, with the pause in front, and words that move with it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.fake import FakeModel
from engines.model import StepResult
from engines.shaping import SegmentShaper
from engines.types import Params, Pcm, Segment, Word

RATE_HZ = 24_000
PER_MS = 24
LEAD_MS, TAIL_MS = 10, 50  # of silence that stay

model = FakeModel()


def results(segment: Segment, cuts: list[int] | None = None) -> list[StepResult]:
    """The model's audio of a segment, 100 ms of silence in front and 200 behind, in pieces; words with the first."""
    pcm = model.render(segment.text, model.voices[0], Params())
    pieces = np.split(pcm, sorted(cuts or []))
    return [
        StepResult(0, piece, is_segment_end=index == len(pieces) - 1, words=model.words(segment) if index == 0 else ())
        for index, piece in enumerate(pieces)
    ]


def shape(segment: Segment, cuts: list[int] | None = None) -> tuple[Pcm, list[Word]]:
    shaper = SegmentShaper(segment, RATE_HZ)
    shaped = [shaper.shape(result) for result in results(segment, cuts)]
    return np.concatenate([result.pcm for result in shaped]), [word for result in shaped for word in result.words]


def test_silence_is_trimmed_in_front_and_behind() -> None:
    pcm, _ = shape(Segment("Hello", 0))
    assert len(pcm) == (LEAD_MS + 5 * 50 + TAIL_MS) * PER_MS


def test_the_pause_stands_in_front() -> None:
    bare, _ = shape(Segment("Hello", 0))
    paused, _ = shape(Segment("Hello", 0, pause_before_ms=250))
    assert np.array_equal(paused[: 250 * PER_MS], np.zeros(250 * PER_MS))
    assert np.array_equal(paused[250 * PER_MS :], bare)


def test_the_pause_comes_with_the_first_audio_and_once() -> None:
    shaper = SegmentShaper(Segment("Hello", 0, pause_before_ms=250), RATE_HZ)
    silence, *rest = results(Segment("Hello", 0), [50 * PER_MS, 150 * PER_MS, 250 * PER_MS])
    assert len(shaper.shape(silence).pcm) == 0, "nothing leaves before there is something to hear"
    sizes = [len(shaper.shape(result).pcm) for result in rest]
    assert sizes[0] > 250 * PER_MS
    assert sum(sizes) == (250 + LEAD_MS + 250 + TAIL_MS) * PER_MS


def test_words_move_with_the_silence_that_was_trimmed() -> None:
    _, words = shape(Segment("One two", 0))
    assert [(word.text, word.start_ms, word.end_ms) for word in words] == [("One", 10, 160), ("two", 210, 360)]


def test_words_move_with_the_pause() -> None:
    _, words = shape(Segment("One two", 0, pause_before_ms=120))
    assert [word.start_ms for word in words] == [130, 330]


def test_a_word_comes_with_the_audio_that_ends_it() -> None:
    segment = Segment("One two three", 0)
    shaper = SegmentShaper(segment, RATE_HZ)
    num_out, num_words = 0, 0
    for result in results(segment, [ms * PER_MS for ms in range(50, 900, 50)]):
        shaped = shaper.shape(result)
        num_out += len(shaped.pcm)
        for word in shaped.words:
            assert word.end_ms <= num_out / PER_MS
            assert word.end_ms > (num_out - len(shaped.pcm)) / PER_MS, "not later than that either"
            num_words += 1
    assert num_words == 3


def test_all_silence_gives_no_audio_and_still_ends() -> None:
    shaper = SegmentShaper(Segment("x", 0, pause_before_ms=250), RATE_HZ)
    word = Word("x", 9, 99, 0, 1)
    shaped = shaper.shape(StepResult(3, np.zeros(5000, np.float32), is_segment_end=True, words=(word,)))
    assert (len(shaped.pcm), shaped.is_segment_end, shaped.slot) == (0, True, 3)
    assert [(word.start_ms, word.end_ms) for word in shaped.words] == [(0, 0)], "told, and within the audio"


@given(
    st.text("ab c", min_size=1, max_size=12).filter(str.strip),
    st.lists(st.integers(0, 20_000), max_size=8),
    st.sampled_from([0.0, 120.0, 250.0]),
)
def test_streamed_equals_whole_under_any_split(text: str, cuts: list[int], pause_ms: float) -> None:
    segment = Segment(text, 7, pause_before_ms=pause_ms)
    whole, words = shape(segment)
    streamed, streamed_words = shape(segment, cuts)
    assert np.array_equal(streamed, whole)
    assert [(w.text, w.char_start, w.char_end) for w in streamed_words] == [
        (w.text, w.char_start, w.char_end) for w in words
    ]
    for word, expected in zip(streamed_words, words, strict=True):
        assert (word.start_ms, word.end_ms) == pytest.approx((expected.start_ms, expected.end_ms))


def test_a_segment_that_is_cut_short_fades_over_what_came_last() -> None:
    tone = np.full(100 * PER_MS, 0.5, np.float32)
    shaper = SegmentShaper(Segment("x", 0), RATE_HZ)
    first = shaper.shape(StepResult(0, tone))
    last = shaper.shape(StepResult(0, tone, is_segment_end=True, cut_short="babble"))
    pcm = np.concatenate((first.pcm, last.pcm))
    assert len(pcm) == 200 * PER_MS, "nothing is lost"
    assert np.all(pcm[5 * PER_MS : -30 * PER_MS] == 0.5)
    assert np.all(np.diff(pcm[-30 * PER_MS :]) <= 0)
    assert pcm[-15 * PER_MS] == pytest.approx(0.25, abs=0.01)
    assert pcm[-1] == 0


@pytest.mark.parametrize("num_samples", [0, 1, 100])
def test_a_segment_may_be_cut_short_with_less_audio_than_a_fade_takes(num_samples: int) -> None:
    tone = np.full(num_samples, 0.5, np.float32)
    shaper = SegmentShaper(Segment("x", 0), RATE_HZ)
    shaped = shaper.shape(StepResult(0, tone, is_segment_end=True, cut_short="stuck"))
    assert (len(shaped.pcm), shaped.is_segment_end, shaped.cut_short) == (num_samples, True, "stuck")
    assert np.all(np.abs(shaped.pcm) < 0.5)
