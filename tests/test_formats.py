"""Formats of audio: what is decoded is what was encoded, whole or as it came."""

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.audio import to_int16
from engines.containers import CONTAINERS
from engines.encoders import SAMPLE_RATES_HZ
from engines.errors import RequestError
from engines.formats import FORMATS, Encoder, audio_form
from engines.types import Pcm
from tests.decoding import decoded, similarity

SOURCE_HZ = 24_000
COMPRESSED = tuple(CONTAINERS)
MIN_LIKENESS = {"mp3": 0.98, "opus": 0.97, "aac": 0.98, "flac": 0.9999}
few = settings(max_examples=10)


def voiced(duration_s: float = 1.5) -> Pcm:
    """Something like a voice: a gliding pitch with overtones, in syllables."""
    time_s = np.arange(round(duration_s * SOURCE_HZ)) / SOURCE_HZ
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 1.3 * time_s)) / SOURCE_HZ
    overtones = sum(np.sin(number * phase) / number for number in range(1, 12))
    return (0.2 * overtones * np.abs(np.sin(2 * np.pi * 2 * time_s))).astype(np.float32)


def encoded(encoder: Encoder, pieces: list[Pcm]) -> bytes:
    return b"".join([*map(encoder.encode, pieces), encoder.end_segment(), encoder.finish()])


@pytest.mark.slow
@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "streamed"])
@pytest.mark.parametrize("rate_hz", SAMPLE_RATES_HZ)
@pytest.mark.parametrize("name", COMPRESSED)
def test_what_a_player_decodes_is_what_was_encoded(name: str, rate_hz: int, is_whole: bool) -> None:
    pcm = voiced()
    data = encoded(audio_form(name, rate_hz, "pcm_s16le").encoder(SOURCE_HZ, is_whole=is_whole), [pcm])
    heard, heard_hz = decoded(data)
    if name != "opus":  # whose files are always played at 48 000
        assert heard_hz == rate_hz
    narrow_hz = min(rate_hz, SOURCE_HZ)
    reference = soxr.resample(soxr.resample(pcm, SOURCE_HZ, narrow_hz), narrow_hz, heard_hz)
    likeness, late = similarity(heard, reference)
    assert likeness > MIN_LIKENESS[name]
    assert 0 <= late <= 0.15 * heard_hz, "a player begins with the encoder's delay at most"
    if is_whole and name != "aac":  # whose frames say nothing of the delay in front of them
        assert abs(len(heard) - len(reference)) <= 0.01 * heard_hz
        assert abs(late) <= 2


def test_flac_has_the_very_samples() -> None:
    pcm = voiced()
    for is_whole in (True, False):
        heard, _ = decoded(
            encoded(audio_form("flac", SOURCE_HZ, "pcm_s16le").encoder(SOURCE_HZ, is_whole=is_whole), [pcm])
        )
        assert np.array_equal(np.rint(heard * 32768), to_int16(pcm))


@pytest.mark.parametrize("name", FORMATS)
@few
@given(cuts=st.lists(st.integers(0, 12_000), max_size=20))
def test_encoded_in_pieces_equals_encoded_whole(name: str, cuts: list[int]) -> None:
    pcm = voiced(0.5)
    form = audio_form(name, 22_050, "pcm_s16le")
    whole = encoded(form.encoder(SOURCE_HZ), [pcm])
    pieces = encoded(form.encoder(SOURCE_HZ), np.split(pcm, sorted(cuts)))
    if name == "opus":  # an ogg stream has a number that is drawn
        assert np.array_equal(decoded(pieces)[0], decoded(whole)[0])
    else:
        assert pieces == whole


@pytest.mark.parametrize("name", FORMATS)
def test_a_streamed_format_gives_its_first_sound_early_and_holds_little_back(name: str) -> None:
    encoder = audio_form(name, SOURCE_HZ, "pcm_s16le").encoder(SOURCE_HZ)
    pcm = voiced(2.0)
    block = SOURCE_HZ // 50
    sizes = [len(encoder.encode(pcm[start : start + block])) for start in range(0, len(pcm), block)]
    ready = np.flatnonzero(sizes)
    assert ready[0] <= 0.12 * 50, "of 20 ms blocks"
    assert np.diff(ready).max() <= 0.25 * 50
    tail = encoder.end_segment() + encoder.finish()
    assert len(tail) < 0.2 * (sum(sizes) + len(tail))


@pytest.mark.parametrize("name", FORMATS)
def test_a_whole_format_gives_everything_at_the_end_and_knows_how_long_it_is(name: str) -> None:
    encoder = audio_form(name, SOURCE_HZ, "pcm_s16le").encoder(SOURCE_HZ, is_whole=True)
    pcm = voiced(0.5)
    assert encoder.encode(pcm) + encoder.end_segment() == b""
    assert encoder.finish()
    assert encoder.duration_ms == pytest.approx(500, abs=1)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("is_whole", [True, False])
def test_nothing_can_be_encoded_too(name: str, is_whole: bool) -> None:
    encoder = audio_form(name, 8000, "pcm_s16le").encoder(SOURCE_HZ, is_whole=is_whole)
    data = encoder.end_segment() + encoder.finish()
    assert encoder.duration_ms == 0
    assert len(data) < 200


def test_every_format_has_a_content_type_of_its_own() -> None:
    forms = [audio_form(name, 8000, "pcm_s16le") for name in FORMATS]
    assert [form.media_type for form in forms] == [
        "audio/mpeg", "audio/ogg", "audio/aac", "audio/flac", "audio/wav", "audio/pcm"
    ]  # fmt: skip
    assert [form.is_raw for form in forms] == [False] * 4 + [True] * 2


@pytest.mark.parametrize(
    ("name", "rate_hz", "encoding", "param"),
    [
        ("midi", 24_000, "pcm_s16le", "response_format"),
        ("MP3", 24_000, "pcm_s16le", "response_format"),
        ("mp3", 12_345, "pcm_s16le", "sample_rate"),
        ("wav", 24_000, "pcm_u8", "encoding"),
        ("mp3", 24_000, "mulaw", "encoding"),
    ],
)
def test_what_is_not_offered_is_refused_by_name(name: str, rate_hz: int, encoding, param: str) -> None:
    with pytest.raises(RequestError) as refused:
        audio_form(name, rate_hz, encoding)
    assert refused.value.param == param
