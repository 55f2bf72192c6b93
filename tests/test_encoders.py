"""Bytes for the wire, and WAV headers."""

import io
import struct
import wave
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.audio import alaw_to_int16, mulaw_to_int16, to_int16
from engines.encoders import SAMPLE_RATES_HZ, PcmEncoder, PcmEncoding, wav_header
from engines.errors import RequestError
from engines.types import Pcm

ENCODINGS: tuple[PcmEncoding, ...] = get_args(PcmEncoding)
SIZES = {"pcm_s16le": 2, "pcm_f32le": 4, "mulaw": 1, "alaw": 1}
few = settings(max_examples=10)


def noise(num_samples: int) -> Pcm:
    return (np.random.default_rng(num_samples).standard_normal(num_samples) * 0.1).astype(np.float32)


def encoded(encoder: PcmEncoder, pieces: list[Pcm]) -> bytes:
    return b"".join([*map(encoder.encode, pieces), encoder.end_segment()])


# ---- encoder


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("rate_hz", SAMPLE_RATES_HZ)
@few
@given(source_hz=st.sampled_from([24000, 22050]), num=st.integers(0, 6000), cuts=st.lists(st.integers(0, 6000)))
def test_encoded_in_pieces_equals_encoded_whole(encoding, rate_hz: int, source_hz: int, num: int, cuts) -> None:
    pcm, encoder = noise(num), PcmEncoder(source_hz, rate_hz, encoding)
    whole = encoded(encoder, [pcm])
    pieces = np.split(pcm, sorted(min(cut, num) for cut in cuts))
    assert encoded(encoder, pieces) == whole  # and the second segment knows nothing of the first
    assert abs(len(whole) / SIZES[encoding] - num * rate_hz / source_hz) <= 0.5


def test_samples_at_the_source_rate_come_through_exactly() -> None:
    pcm = noise(1000)
    s16, f32, mu, a = (encoded(PcmEncoder(24000, 24000, encoding), [pcm]) for encoding in ENCODINGS)
    pcm16 = to_int16(pcm)
    assert s16 == pcm16.astype("<i2").tobytes()
    assert np.array_equal(np.frombuffer(f32, "<f4"), pcm)
    assert np.abs(mulaw_to_int16(np.frombuffer(mu, np.uint8)) - pcm16.astype(int)).max() < 600
    assert np.abs(alaw_to_int16(np.frombuffer(a, np.uint8)) - pcm16.astype(int)).max() < 600


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("rate_hz", SAMPLE_RATES_HZ)
def test_a_second_of_bytes_lasts_a_second(rate_hz: int, encoding: PcmEncoding) -> None:
    encoder = PcmEncoder(24000, rate_hz, encoding)
    assert encoder.bytes_per_sample == SIZES[encoding]
    assert encoder.bytes_per_second == rate_hz * SIZES[encoding]
    assert len(encoded(encoder, [noise(24000)])) == encoder.bytes_per_second
    assert encoder.duration_ms(encoder.bytes_per_second) == 1000.0
    assert encoder.duration_ms(0) == 0.0


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_bytes_hold_no_nan_and_no_infinity(encoding: PcmEncoding) -> None:
    pcm = np.array([np.nan, np.inf, -np.inf, 0.0], np.float32)
    raw = encoded(PcmEncoder(24000, 24000, encoding), [pcm])
    expected = encoded(PcmEncoder(24000, 24000, encoding), [np.array([0, 1, -1, 0], np.float32)])
    assert raw == expected


def test_nan_ends_with_its_segment() -> None:
    encoder = PcmEncoder(24000, 16000, "pcm_f32le")
    encoded(encoder, [np.full(2000, np.nan, np.float32)])
    assert encoded(encoder, [noise(2000)]) == encoded(PcmEncoder(24000, 16000, "pcm_f32le"), [noise(2000)])


def test_a_rate_that_is_not_offered_is_refused_with_the_choices() -> None:
    with pytest.raises(RequestError, match="12345; choose one of: 8000, 16000, 22050") as refusal:
        PcmEncoder(24000, 12345)
    assert refusal.value.param == "sample_rate"


def test_an_encoding_that_is_not_offered_is_refused_with_the_choices() -> None:
    with pytest.raises(RequestError, match="'mp4'; choose one of: pcm_s16le, pcm_f32le") as refusal:
        PcmEncoder(24000, 24000, "mp4")
    assert refusal.value.param == "encoding"


def test_a_source_rate_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="above zero"):
        PcmEncoder(0, 24000)


# ---- WAV


def chunks(header: bytes) -> dict[bytes, bytes]:
    """Chunk bodies by name; for `data`, whose body is not part of the header, its size field."""
    found, at = {}, 12
    while at < len(header) - 8:
        (size,) = struct.unpack_from("<I", header, at + 4)
        found[header[at : at + 4]] = header[at + 8 : at + 8 + size]
        at += 8 + size
    return found | {header[at : at + 4]: header[at + 4 :]}


@pytest.mark.parametrize("rate_hz", SAMPLE_RATES_HZ)
def test_the_standard_library_reads_our_wav(rate_hz: int) -> None:
    data = encoded(PcmEncoder(24000, rate_hz), [noise(2400)])
    header = wav_header(rate_hz, len(data))
    assert len(header) == 44
    with wave.open(io.BytesIO(header + data)) as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, rate_hz)
        assert reader.getnframes() == len(data) // 2
        assert reader.readframes(1 << 20) == data


@pytest.mark.parametrize(("encoding", "tag"), [("pcm_f32le", 3), ("alaw", 6), ("mulaw", 7)])
def test_formats_that_are_not_pcm_have_cbsize_and_a_fact_chunk(encoding: PcmEncoding, tag: int) -> None:
    header = wav_header(8000, 400, encoding)
    size = SIZES[encoding]
    found = chunks(header)
    assert list(found) == [b"fmt ", b"fact", b"data"]
    assert struct.unpack("<HHIIHHH", found[b"fmt "]) == (tag, 1, 8000, 8000 * size, size, size * 8, 0)
    assert struct.unpack("<I", found[b"fact"]) == (400 // size,)
    assert struct.unpack("<I", found[b"data"]) == (400,)
    assert struct.unpack_from("<4sI4s", header) == (b"RIFF", 58 - 8 + 400, b"WAVE")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_stream_of_unknown_length_says_so_in_both_sizes(encoding: PcmEncoding) -> None:
    header = wav_header(22050, None, encoding)
    assert header[4:8] == header[-4:] == b"\xff" * 4
    assert len(header) == (44 if encoding == "pcm_s16le" else 58)


def test_the_padding_of_odd_data_counts_in_the_riff_size_only() -> None:
    header = wav_header(8000, 401, "mulaw")
    assert struct.unpack_from("<I", header, 4) == (58 - 8 + 402,)
    assert struct.unpack("<I", header[-4:]) == (401,)


@pytest.mark.parametrize("num_data_bytes", [-1, 0xFFFFFFFF, 1 << 40])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_data_that_a_wav_cannot_hold_is_refused(encoding: PcmEncoding, num_data_bytes: int) -> None:
    with pytest.raises(ValueError, match="a WAV file holds"):
        wav_header(8000, num_data_bytes, encoding)
