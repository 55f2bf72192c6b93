"""When more may be sent, and what has been heard: the two clocks of a stream."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.types import Frame, Word
from modes.playback import MAX_MESSAGE_BYTES, MAX_MESSAGE_S, Pace, PlayClock

BYTES_PER_S = 44_100  # 22 050 Hz of 16 bits
NO_PCM = np.zeros(0, np.float32)


def test_the_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    pace = Pace(BYTES_PER_S, 2, send_rate=1.0)
    assert pace.take(4096, 50.0) == 0
    assert pace.take(4410, 50.0) == pytest.approx(0.1)


def test_rest_refills_the_burst_and_no_more() -> None:
    pace = Pace(BYTES_PER_S, 2, send_rate=1.0)
    pace.take(4096, 0.0)
    assert pace.take(4096, 1000.0) == 0
    assert pace.take(441, 1000.0) == pytest.approx(0.01)


def test_a_rate_of_zero_never_waits() -> None:
    pace = Pace(BYTES_PER_S, 2, send_rate=0.0)
    assert [pace.take(4096, 0.0) for _ in range(100)] == [0.0] * 100
    assert pace.message_bytes == MAX_MESSAGE_BYTES


@pytest.mark.parametrize("sample_rate", [8000, 16_000, 22_050, 48_000])
@pytest.mark.parametrize("bytes_per_sample", [1, 2, 4])
@pytest.mark.parametrize("send_rate", [0.25, 1.0, 4.0, 1000.0])
def test_messages_are_whole_samples_short_enough_to_come_in_time(
    sample_rate: int, bytes_per_sample: int, send_rate: float
) -> None:
    pace = Pace(sample_rate * bytes_per_sample, bytes_per_sample, send_rate)
    assert 0 < pace.message_bytes <= MAX_MESSAGE_BYTES
    assert pace.message_bytes % bytes_per_sample == 0
    assert pace.message_bytes / (sample_rate * bytes_per_sample * send_rate) <= MAX_MESSAGE_S + 1e-9
    assert pace.message_bytes / (sample_rate * bytes_per_sample) <= MAX_MESSAGE_S, (
        "a cancel must be able to take it back"
    )


@given(st.lists(st.tuples(st.integers(1, MAX_MESSAGE_BYTES), st.floats(0, 0.5)), min_size=1, max_size=50))
def test_no_more_than_the_burst_is_ever_sent_ahead_of_the_rate(messages: list[tuple[int, float]]) -> None:
    pace, now_s, num_sent = Pace(BYTES_PER_S, 2, send_rate=4.0), 0.0, 0
    for num_bytes, rest_s in messages:
        now_s += rest_s
        now_s += pace.take(num_bytes, now_s)
        num_sent += num_bytes
        assert num_sent <= MAX_MESSAGE_BYTES + now_s * 4 * BYTES_PER_S + 1e-3


def test_what_was_sent_is_heard_as_time_goes() -> None:
    clock = PlayClock()
    assert (clock.heard_ms(5.0), clock.is_playing(5.0)) == (0, False)
    clock.sent(1000, 10.0)
    assert [clock.heard_ms(at_s) for at_s in (10.0, 10.25, 11.0, 60.0)] == pytest.approx([0, 250, 1000, 1000])
    assert clock.is_playing(10.9)
    assert not clock.is_playing(11.0)


def test_audio_that_comes_in_time_is_played_behind_what_is_there() -> None:
    clock = PlayClock()
    clock.sent(500, 0.0)
    clock.sent(500, 0.1)
    assert clock.heard_ms(0.75) == pytest.approx(750)


def test_a_listener_who_ran_dry_waits_for_the_next_audio() -> None:
    clock = PlayClock()
    clock.sent(500, 0.0)
    clock.sent(500, 10.0)
    assert clock.heard_ms(10.0) == pytest.approx(500)
    assert clock.heard_ms(10.25) == pytest.approx(750)


def frame(text_end: int, *words: Word) -> Frame:
    return Frame(NO_PCM, 1, words=words, text_end=text_end)


def test_text_is_heard_word_by_word() -> None:
    clock = PlayClock()
    clock.spoke(frame(7, Word("One", 0, 400, 0, 3), Word("two", 400, 900, 4, 7)), 1000)
    heard = [clock.text_end(ms) for ms in (0, 399, 400, 899, 900, 5000)]
    assert heard == [0, 0, 3, 3, 7, 7]


def test_without_words_text_is_heard_frame_by_frame() -> None:
    clock = PlayClock()
    clock.spoke(frame(0), 200)
    clock.spoke(frame(12), 400)
    clock.spoke(frame(30), 900)
    assert [clock.text_end(ms) for ms in (0, 300, 400, 899, 900)] == [0, 0, 12, 12, 30]


def test_nothing_heard_is_no_text() -> None:
    assert PlayClock().text_end(0.0) == 0


@given(st.lists(st.tuples(st.floats(0, 2000), st.floats(0, 2000), st.integers(0, 100)), max_size=20))
def test_who_hears_more_has_heard_no_less_text(notes: list[tuple[float, float, int]]) -> None:
    clock = PlayClock()
    for made_ms, word_end_ms, text_end in notes:
        clock.spoke(frame(text_end, Word("x", 0, word_end_ms, 0, text_end)), made_ms)
    ends = [clock.text_end(ms) for ms in range(0, 2500, 50)]
    assert ends == sorted(ends)


def test_a_word_that_is_known_late_counts_from_when_it_sounded() -> None:
    clock = PlayClock()
    clock.spoke(frame(0), 400)
    clock.spoke(frame(3), 500)
    clock.spoke(frame(7, Word("One", 0, 250, 0, 3), Word("two", 250, 450, 4, 7)), 900)
    assert [clock.text_end(ms) for ms in (0, 249, 250, 449, 450, 500, 900)] == [0, 0, 3, 3, 7, 7, 7]
