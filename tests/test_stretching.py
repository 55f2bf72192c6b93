"""Speech at another speed keeps its pitch, its length is what was asked for, and it does not matter how it comes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.stretching import MAX_SPEED, MIN_SPEED, Stretcher
from engines.types import Pcm

HZ = 24_000
TEMPOS = (MIN_SPEED, 0.5, 0.8, 1.1, 1.5, 2.0, 3.0, MAX_SPEED)


def tone(frequency_hz: float, duration_s: float = 2.0) -> Pcm:
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(round(duration_s * HZ)) / HZ)).astype(np.float32)


def stretched(tempo: float, pieces: list[Pcm]) -> Pcm:
    stretcher = Stretcher(tempo, HZ)
    return np.concatenate([*map(stretcher.process, pieces), stretcher.flush()])


def pitch_hz(pcm: Pcm) -> float:
    middle = pcm[len(pcm) // 4 : len(pcm) // 4 + 8192]
    return float(np.argmax(np.abs(np.fft.rfft(middle * np.hanning(len(middle)))))) * HZ / len(middle)


@pytest.mark.parametrize("tempo", TEMPOS)
def test_length_changes_and_pitch_does_not(tempo: float) -> None:
    out = stretched(tempo, [tone(220)])
    assert len(out) == pytest.approx(2 * HZ / tempo, abs=1)
    assert pitch_hz(out) == pytest.approx(220, abs=4)
    assert np.abs(out).max() < 0.7


@pytest.mark.parametrize("tempo", TEMPOS)
@settings(max_examples=10)
@given(cuts=st.lists(st.integers(0, 24_000), max_size=30))
def test_samples_do_not_depend_on_how_the_signal_came(tempo: float, cuts: list[int]) -> None:
    pcm = tone(150, 1.0) + 0.1 * np.random.default_rng(1).standard_normal(HZ).astype(np.float32)
    assert np.array_equal(stretched(tempo, np.split(pcm, sorted(cuts))), stretched(tempo, [pcm]))


@pytest.mark.parametrize("tempo", TEMPOS)
def test_it_comes_as_it_is_made(tempo: float) -> None:
    stretcher = Stretcher(tempo, HZ)
    num_out = [len(stretcher.process(block)) for block in np.split(tone(200), 100)]
    assert np.cumsum(num_out)[24] > 0, "half a second in, and something is out"
    assert sum(num_out) > 0.8 * 2 * HZ / tempo


def test_too_little_to_stretch_is_no_error() -> None:
    assert len(stretched(1.5, [])) == 0
    assert len(stretched(1.5, [tone(200, 0.003)])) == 48
