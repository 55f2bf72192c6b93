"""How much to say at once: a pure function of the listener's buffer and the text that waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.adaptive import choose


@pytest.mark.parametrize("buffer_ms", [0.0, 1.0, 999.9])
def test_below_a_second_segments_are_small_and_go_first(buffer_ms: float) -> None:
    choice = choose(buffer_ms, 100)
    assert (choice.granularity, choice.is_urgent) == ("clause", True)


@pytest.mark.parametrize("buffer_ms", [1000.0, 1000.1, 60_000.0])
def test_from_a_second_on_whole_sentences_are_taken(buffer_ms: float) -> None:
    choice = choose(buffer_ms, 100)
    assert (choice.granularity, choice.is_urgent) == ("sentence", False)


def test_the_reason_is_fit_to_be_logged() -> None:
    assert choose(0.0, 0).reason == "starved"
    assert choose(0.0, 10).reason == "short buffer"
    assert choose(2000.0, 10).reason == "full buffer"


def test_the_threshold_is_a_limit_of_the_engine() -> None:
    assert choose(300.0, 10, small_buffer_ms=200.0).granularity == "sentence"


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 10**6))
def test_more_buffer_never_makes_smaller_segments(a_ms: float, b_ms: float, num_chars: int) -> None:
    size = {"word": 0, "clause": 1, "sentence": 2}
    less, more = (choose(ms, num_chars) for ms in sorted((a_ms, b_ms)))
    assert size[less.granularity] <= size[more.granularity]
    assert less.is_urgent >= more.is_urgent
    assert choose(a_ms, num_chars) == choose(a_ms, num_chars)
