"""The benchmark's arithmetic, on streams whose figures are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.speech_figures import percent, shares, throughput, told_of
from tests.listening import Heard

RATE_HZ = 1000
LOUD, SOFT = 20_000, 50  # -4 and -56 dB of full scale


def stream(*chunks: tuple[float, int, int]) -> Heard:
    """Chunks of (when it came in s, how many ms it lasts, the level of its samples)."""
    heard = Heard(RATE_HZ)
    for arrived_s, duration_ms, level in chunks:
        heard.add(arrived_s, np.full(duration_ms, level, "<i2").tobytes())
    return heard


def test_the_first_audible_chunk_is_the_first_that_is_loud_enough() -> None:
    told = told_of(stream((0.1, 500, 0), (0.3, 500, SOFT), (0.4, 500, -LOUD), (0.5, 500, LOUD)))
    assert told.first_ms == pytest.approx(400)


def test_one_loud_sample_among_silence_is_heard() -> None:
    heard = stream((0.1, 500, 0))
    heard.add(0.2, np.array([0, 0, LOUD, 0], "<i2").tobytes())
    assert told_of(heard).first_ms == pytest.approx(200)


def test_a_stream_of_silence_has_no_figures() -> None:
    with pytest.raises(ValueError, match="nothing audible"):
        told_of(stream((0.1, 500, SOFT)))


def test_the_rtf_counts_up_to_the_last_sample() -> None:
    heard = stream((0.5, 1000, LOUD), (1.0, 3000, LOUD))
    heard.add(9.0, b"")
    told = told_of(heard)
    assert (told.took_s, told.audio_s, told.rtf) == pytest.approx((1.0, 4.0, 0.25))


def test_audio_that_comes_in_time_leaves_no_silence() -> None:
    assert told_of(stream((5.0, 1000, LOUD), (6.0, 1000, LOUD), (6.5, 1000, LOUD))).underrun_s == 0


def test_a_listener_waits_for_what_comes_late_and_plays_on_from_there() -> None:
    told = told_of(stream((1.0, 1000, LOUD), (2.3, 1000, LOUD), (3.4, 1000, LOUD)))
    assert told.underrun_s == pytest.approx(0.3 + 0.1), "the second is played until 3.3 s, not until 3.0"


def test_silence_that_is_sent_is_played_like_any_audio() -> None:
    assert told_of(stream((1.0, 1000, 0), (2.5, 1000, LOUD))).underrun_s == pytest.approx(0.5)


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 2000)), min_size=1, max_size=20))
def test_playing_takes_as_long_as_the_audio_and_the_underruns(pieces: list[tuple[float, int]]) -> None:
    arrived_s = np.cumsum([gap_s for gap_s, _ in pieces])
    told = told_of(stream(*((float(at_s), ms, LOUD) for at_s, (_, ms) in zip(arrived_s, pieces, strict=True))))
    ends_s = arrived_s[0] + told.audio_s + told.underrun_s
    assert ends_s >= arrived_s[-1] + pieces[-1][1] / RATE_HZ - 1e-9
    assert 0 <= told.underrun_s <= arrived_s[-1] - arrived_s[0] + 1e-9


def test_percentiles_are_those_of_the_values() -> None:
    found = shares(range(101))
    assert (found.p50, found.p95, found.p99, found.max) == (50, 95, 99, 100)


def test_percentiles_lie_between_two_values_and_do_not_depend_on_their_order() -> None:
    assert shares([30.0, 10.0]) == shares([10.0, 30.0])
    assert shares([30.0, 10.0]).p50 == 20


def test_one_value_is_every_percentile() -> None:
    found = shares([7.125], digits=1)
    assert {found.p50, found.p95, found.p99, found.max} == {7.1}


def test_no_values_have_no_percentiles() -> None:
    with pytest.raises(ValueError, match="no values"):
        shares([])


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_percentiles_rise(values: list[float]) -> None:
    found = shares(values)
    assert found.p50 <= found.p95 <= found.p99 <= found.max


def test_throughput_is_over_all_listeners() -> None:
    told = [told_of(stream((0.5, 3000, LOUD))), told_of(stream((1.0, 5000, LOUD)))]
    assert throughput(told, 2.0) == pytest.approx(4.0)


def test_two_busy_cores_are_two_hundred_percent() -> None:
    assert percent(cpu_s=6.0, took_s=3.0) == 200
