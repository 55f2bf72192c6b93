"""Fades, G.711, resampling and trimming."""

import warnings
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.audio import (
    Resampler,
    SilenceTrimmer,
    alaw,
    alaw_to_int16,
    fade_in,
    fade_out,
    mulaw,
    mulaw_to_int16,
    silence,
    to_int16,
)
from engines.types import Pcm

HZ = 24000
RATES = [(source, out) for source in (24000, 22050) for out in (8000, 16000, 22050, 24000, 44100, 48000)]
ALL_INT16 = np.arange(-32768, 32768).astype(np.int16)
ALL_CODES = np.arange(256).astype(np.uint8)
few = settings(max_examples=20)
many = settings(max_examples=150)


def noise(num_samples: int, level_db: float, seed: int = 0) -> Pcm:
    pcm = np.random.default_rng(seed).uniform(-1, 1, num_samples) * np.sqrt(3) * 10 ** (level_db / 20)
    return pcm.astype(np.float32)


def tone(frequency_hz: float, num_samples: int, rate_hz: int) -> Pcm:
    return np.sin(2 * np.pi * frequency_hz * np.arange(num_samples) / rate_hz).astype(np.float32)


def split(pcm: Pcm, cuts: list[int]) -> list[Pcm]:
    return np.split(pcm, sorted(min(cut, pcm.size) for cut in cuts))


def run(stage: Resampler | SilenceTrimmer, pieces: list[Pcm]) -> Pcm:
    return np.concatenate([*[stage.process(piece) for piece in pieces], stage.flush()])


def level_db(pcm: Pcm) -> float:
    return 10 * float(np.log10(np.mean(np.square(pcm, dtype=np.float64)) + 1e-30))


# ---- fades and integers


def test_silence_is_zeros_of_the_asked_length() -> None:
    assert silence(12.5, HZ).tolist() == [0.0] * 300
    assert silence(0, HZ).dtype == np.float32


def test_fades_reach_zero_at_the_edge_and_leave_the_rest_and_their_input_alone() -> None:
    pcm = np.ones(100, np.float32)
    faded = fade_out(fade_in(pcm, 10), 20)
    assert faded[0] == faded[-1] == 0.0
    assert (faded[9:81] == 1.0).all()
    assert (pcm == 1.0).all()
    assert (np.diff(faded[:10]) > 0).all()
    assert (np.diff(faded[80:]) < 0).all()


@pytest.mark.parametrize("fade", [fade_in, fade_out])
@pytest.mark.parametrize(("num_pcm", "num_faded"), [(0, 0), (0, 5), (5, 0), (1, 1), (3, 7)])
def test_a_fade_longer_than_the_signal_covers_all_of_it(fade, num_pcm: int, num_faded: int) -> None:
    faded = fade(np.ones(num_pcm, np.float32), num_faded)
    assert faded.size == num_pcm
    assert faded.dtype == np.float32
    assert num_faded == 0 or (faded <= 1).all()


def test_int16_clips_rounds_half_to_even_and_knows_no_nan() -> None:
    pcm = np.array([0, 1, -1, 2, -np.inf, np.nan, 0.5 / 32767, 1.5 / 32767], np.float32)
    assert to_int16(pcm).tolist() == [0, 32767, -32767, 32767, -32767, 0, 0, 2]
    assert to_int16(np.zeros(0, np.float32)).dtype == np.int16


# ---- G.711


@pytest.fixture(scope="module")
def audioop() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return import_module("audioop")
        except ImportError:
            pytest.skip("audioop is gone from Python 3.13")


def test_g711_gives_the_codes_of_the_recommendation() -> None:
    pcm16 = np.array([0, 32767, -32768], np.int16)
    assert mulaw(pcm16).tolist() == [0xFF, 0x80, 0x00]
    assert alaw(pcm16).tolist() == [0xD5, 0xAA, 0x2A]
    assert mulaw_to_int16(np.array([0xFF, 0x80, 0x00], np.uint8)).tolist() == [0, 32124, -32124]
    assert alaw_to_int16(np.array([0xD5, 0x55, 0xAA, 0x2A], np.uint8)).tolist() == [8, -8, 32256, -32256]


def test_g711_agrees_with_audioop_on_every_sample_and_code(audioop: ModuleType) -> None:
    samples, codes = ALL_INT16.astype("<i2").tobytes(), ALL_CODES.tobytes()
    assert mulaw(ALL_INT16).tobytes() == audioop.lin2ulaw(samples, 2)
    assert alaw(ALL_INT16).tobytes() == audioop.lin2alaw(samples, 2)
    assert mulaw_to_int16(ALL_CODES).astype("<i2").tobytes() == audioop.ulaw2lin(codes, 2)
    assert alaw_to_int16(ALL_CODES).astype("<i2").tobytes() == audioop.alaw2lin(codes, 2)


def test_g711_is_never_off_by_more_than_half_a_step() -> None:
    # Half a step is 1/32 of the chord's lower end; 3 and 1 are what cutting to 14 and 13 bits may add.
    size = np.abs(ALL_INT16.astype(np.int32))
    mulaw_error = np.abs(mulaw_to_int16(mulaw(ALL_INT16)) - ALL_INT16.astype(np.int32))
    alaw_error = np.abs(alaw_to_int16(alaw(ALL_INT16)) - ALL_INT16.astype(np.int32))
    assert (mulaw_error <= (size + 3 + 132) / 32 + 3).all()
    assert (alaw_error <= np.maximum(8, (size + 1) / 32) + 1).all()


def test_g711_codes_survive_a_round_trip() -> None:
    assert np.array_equal(alaw(alaw_to_int16(ALL_CODES)), ALL_CODES)
    both_zeros = np.where(ALL_CODES == 0x7F, 0xFF, ALL_CODES)  # mu-law has a negative zero
    assert np.array_equal(mulaw(mulaw_to_int16(ALL_CODES)), both_zeros)


# ---- resampler


@pytest.mark.parametrize(("source_hz", "out_hz"), RATES)
@few
@given(num=st.integers(0, 6000), cuts=st.lists(st.integers(0, 6000), max_size=12))
def test_resampled_in_pieces_equals_resampled_whole(source_hz: int, out_hz: int, num: int, cuts) -> None:
    pcm, resampler = noise(num, -20), Resampler(source_hz, out_hz)
    whole = run(resampler, [pcm])
    assert np.array_equal(run(resampler, split(pcm, cuts)), whole)  # and a flushed resampler is a fresh one
    assert abs(whole.size - num * out_hz / source_hz) <= 0.5
    assert whole.dtype == np.float32
    assert np.isfinite(whole).all()


@pytest.mark.parametrize("num", [1, 479, 24001, 100_003])
@pytest.mark.parametrize(("source_hz", "out_hz"), RATES)
def test_resampled_length_is_exact(source_hz: int, out_hz: int, num: int) -> None:
    whole = run(Resampler(source_hz, out_hz), [np.zeros(num, np.float32)])
    assert whole.size == pytest.approx(num * out_hz / source_hz, abs=0.5)


def test_resampler_does_not_alias() -> None:
    aliased = run(Resampler(24000, 16000), [tone(10_000, 24000, 24000)])
    assert level_db(aliased[500:-500]) < -100


@pytest.mark.parametrize(("source_hz", "out_hz"), RATES)
def test_resampler_neither_delays_nor_changes_a_tone(source_hz: int, out_hz: int) -> None:
    ours = run(Resampler(source_hz, out_hz), [tone(1000, source_hz, source_hz)])
    error = ours - tone(1000, out_hz, out_hz)
    assert level_db(error[1000:-1000]) < -90


def test_resampler_takes_a_strided_view() -> None:
    pcm = noise(4000, -20)
    whole = run(Resampler(24000, 16000), [pcm[::2].copy()])
    assert np.array_equal(run(Resampler(24000, 16000), [pcm[::2]]), whole)


@pytest.mark.parametrize("rates", [(0, 24000), (24000, -1), (0, 0)])
def test_resampler_refuses_rates_that_are_not_above_zero(rates: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="above zero"):
        Resampler(*rates)


# ---- trimmer


def trimmed_plainly(pcm: Pcm, hz: int, lead_ms: float, tail_ms: float, fade_ms: float) -> tuple[Pcm, int]:
    """What `SilenceTrimmer` promises, said of the whole segment at once."""
    block, lead, tail, fade = (round(ms * hz / 1000) for ms in (5, lead_ms, tail_ms, fade_ms))
    starts = range(0, pcm.size, block)
    loud = [start for start in starts if np.mean(np.square(pcm[start : start + block], dtype=float)) >= 1e-6]
    if not loud:
        return pcm[:0], pcm.size
    begin = max(0, loud[0] - lead)
    onset_end = min(loud[0] + block, pcm.size)
    end = min(loud[-1] + block + tail, pcm.size)
    return fade_out(fade_in(pcm[begin:end], min(fade, onset_end - begin)), fade), begin


pieces = st.lists(st.tuples(st.integers(0, 900), st.sampled_from([-20, -57, -63, -140])), max_size=8)


@many
@given(
    pieces,
    st.lists(st.integers(0, 5000), max_size=12),
    st.sampled_from([8000, 22050]),
    st.tuples(st.sampled_from([0, 3, 10]), st.sampled_from([0, 2, 50]), st.sampled_from([0, 5, 12])),
)
def test_trimmed_in_pieces_equals_trimmed_whole(parts, cuts, hz: int, lengths_ms) -> None:
    lead_ms, tail_ms, fade_ms = lengths_ms
    parts = [noise(num, level, seed) for seed, (num, level) in enumerate(parts)]
    pcm = np.concatenate([silence(0, hz), *parts])
    trimmer = SilenceTrimmer(hz, threshold_db=-60, lead_ms=lead_ms, tail_ms=tail_ms, fade_ms=fade_ms)
    expected, num_lead = trimmed_plainly(pcm, hz, lead_ms, tail_ms, fade_ms)
    assert np.array_equal(run(trimmer, split(pcm, cuts)), expected)
    assert trimmer.num_trimmed_lead == num_lead


def test_silence_alone_gives_nothing() -> None:
    trimmer = SilenceTrimmer(HZ)
    assert run(trimmer, [noise(5000, -80), silence(33, HZ)]).size == 0
    assert trimmer.num_trimmed_lead == 5792
    assert run(SilenceTrimmer(HZ), []).size == 0


def test_a_flushed_trimmer_gives_nothing_more() -> None:
    trimmer = SilenceTrimmer(HZ)
    assert run(trimmer, [noise(5000, -20)]).size == 5000
    assert trimmer.flush().size == 0


@given(st.lists(st.tuples(st.integers(0, 700), st.sampled_from([-90, -20])), max_size=12))
def test_the_memory_of_a_piece_is_its_owners_again(parts: list[tuple[int, float]]) -> None:
    parts_pcm = [noise(num, level, seed) for seed, (num, level) in enumerate(parts)]
    trimmer, memory, kept = SilenceTrimmer(HZ), np.zeros(700, np.float32), []
    for pcm in parts_pcm:
        piece = memory[: pcm.size]
        piece[:] = pcm
        kept.append(trimmer.process(piece))
        memory[:] = 9.0
    assert np.array_equal(np.concatenate([*kept, trimmer.flush()]), run(SilenceTrimmer(HZ), parts_pcm))


def test_silence_inside_is_kept_exactly() -> None:
    pcm = np.concatenate([silence(300, HZ), noise(HZ, -20), noise(2 * HZ, -90), noise(HZ, -20), silence(400, HZ)])
    trimmer = SilenceTrimmer(HZ)
    kept = run(trimmer, [pcm])
    lead = trimmer.num_trimmed_lead
    assert lead == 290 * 24
    assert kept.size == 10 * 24 + 4 * HZ + 50 * 24
    assert np.array_equal(kept[120:-120], pcm[lead + 120 : lead + kept.size - 120])


def test_a_soft_onset_and_a_soft_ending_are_kept() -> None:
    soft = [noise(960, -58, seed=2), noise(HZ, -20), noise(960, -58, seed=3)]
    pcm = np.concatenate([silence(300, HZ), *soft, silence(300, HZ)])
    kept = run(SilenceTrimmer(HZ), [pcm])
    assert np.array_equal(kept[240 : 240 + 960 + HZ + 960], np.concatenate(soft))


def test_silence_that_may_end_the_segment_is_held_until_sound_follows() -> None:
    trimmer = SilenceTrimmer(HZ)
    assert trimmer.process(noise(2400, -20)).size == 2400 - 120
    assert trimmer.process(silence(500, HZ)).size == 0
    assert trimmer.process(noise(2400, -20)).size == 120 + 12000 + 2400 - 120


@pytest.mark.parametrize("around_ms", [0, 3, 300])
def test_the_edges_step_no_further_than_the_signal_does(around_ms: float) -> None:
    loud = tone(200, HZ, HZ) + np.float32(0.3)
    pcm = np.concatenate([silence(around_ms, HZ), fade_out(fade_in(loud, 9), 9), silence(around_ms, HZ)])
    kept = run(SilenceTrimmer(HZ), [pcm])
    own = np.abs(np.diff(pcm)).max()
    assert np.abs(np.diff(np.concatenate([[0], kept, [0]]))).max() <= own
    assert kept[0] == kept[-1] == 0


def test_nan_from_a_model_neither_warns_nor_spreads() -> None:
    pcm = noise(4800, -20)
    pcm[1000] = np.nan
    kept = run(SilenceTrimmer(HZ), [pcm])
    assert np.isnan(kept).sum() == 1


SOFT = [
    "Freshly fallen leaves drift off.",
    "Six soft sheets of silk hiss.",
    "He has half a loaf.",
    "She should push this fish through.",
    "Hush, hear his cough.",
    "Thin things with cloth and a moth.",
    "Forth from the south, a puff.",
    "How high is his house?",
    "Fifty-five chefs laugh.",
    "Ssh, the staff sniff.",
]


def test_the_voice_keeps_its_soft_beginnings_and_endings() -> None:
    voice = pytest.importorskip("hibari").Hibari()
    for text in SOFT:
        pcm = np.asarray(voice(text, seed=1), np.float32)
        trimmer = SilenceTrimmer(HZ)
        kept = run(trimmer, [pcm])
        lead = trimmer.num_trimmed_lead
        dropped = np.concatenate([pcm[:lead], pcm[lead + kept.size :]])
        num_blocks = dropped.size // 120
        assert dropped.size > 0.5 * HZ, text
        assert max(level_db(block) for block in np.split(dropped[: num_blocks * 120], num_blocks)) < -60, text
