"""PCM as bytes for the wire, and the header that makes a WAV file of them.

Shapes: N samples, mono, (N,) float32 in -1..1. Bytes are little-endian.
"""

import struct
from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import numpy as np

from engines.audio import Resampler, alaw, mulaw, to_int16
from engines.errors import RequestError
from engines.types import Pcm

PcmEncoding: TypeAlias = Literal["pcm_s16le", "pcm_f32le", "mulaw", "alaw"]
"""How one sample is written."""

SAMPLE_RATES_HZ = (8000, 16000, 22050, 24000, 44100, 48000)
"""What a client may ask for."""

DEFAULT_RATE_HZ = 22_050
"""What a client gets that does not ask, whichever model is loaded."""

_UNKNOWN_SIZE = 0xFFFFFFFF


def _s16_bytes(pcm: Pcm) -> bytes:
    return to_int16(pcm).astype("<i2", copy=False).tobytes()


def _f32_bytes(pcm: Pcm) -> bytes:
    if not np.isfinite(pcm).all():
        pcm = np.nan_to_num(pcm, nan=0.0, posinf=1.0, neginf=-1.0)
    return pcm.astype("<f4", copy=False).tobytes()


def _mulaw_bytes(pcm: Pcm) -> bytes:
    return mulaw(to_int16(pcm)).tobytes()


def _alaw_bytes(pcm: Pcm) -> bytes:
    return alaw(to_int16(pcm)).tobytes()


_WRITERS: dict[PcmEncoding, Callable[[Pcm], bytes]] = {
    "pcm_s16le": _s16_bytes,
    "pcm_f32le": _f32_bytes,
    "mulaw": _mulaw_bytes,
    "alaw": _alaw_bytes,
}
_BYTES_PER_SAMPLE: dict[PcmEncoding, int] = {"pcm_s16le": 2, "pcm_f32le": 4, "mulaw": 1, "alaw": 1}
_WAVE_FORMATS: dict[PcmEncoding, int] = {"pcm_s16le": 1, "pcm_f32le": 3, "mulaw": 7, "alaw": 6}


class PcmEncoder:
    """The bytes of one stream, resampled and encoded as its frames come. Event loop only.

    Raises:
        RequestError: a sample rate or an encoding that is not offered.
        ValueError: `source_hz` is not above zero.
    """

    bytes_per_second: int
    bytes_per_sample: int

    def __init__(self, source_hz: int, sample_rate_hz: int, encoding: PcmEncoding = "pcm_s16le") -> None:
        if sample_rate_hz not in SAMPLE_RATES_HZ:
            _refuse("sample_rate", sample_rate_hz, SAMPLE_RATES_HZ)
        if encoding not in _WRITERS:
            _refuse("encoding", encoding, get_args(PcmEncoding))
        self.bytes_per_sample = _BYTES_PER_SAMPLE[encoding]
        self.bytes_per_second = sample_rate_hz * self.bytes_per_sample
        self._resampler = Resampler(source_hz, sample_rate_hz)
        self._write = _WRITERS[encoding]

    def encode(self, pcm: Pcm) -> bytes:
        """What is ready of the stream so far, in whole samples; at times nothing (the resampler fills)."""
        return self._write(self._resampler.process(pcm))

    def end_segment(self) -> bytes:
        """The resampler's tail. A segment begins and ends in silence, so each is resampled alone."""
        return self._write(self._resampler.flush())

    def duration_ms(self, num_bytes: int) -> float:
        """How long so many encoded bytes sound, in milliseconds."""
        return num_bytes * 1000 / self.bytes_per_second


def _refuse(param: str, actual: object, choices: tuple[object, ...]) -> None:
    listed = ", ".join(str(choice) for choice in choices)
    raise RequestError(f"unsupported {param} {actual!r}; choose one of: {listed}", param=param)


def wav_header(sample_rate_hz: int, num_data_bytes: int | None, encoding: PcmEncoding = "pcm_s16le") -> bytes:
    """The first bytes of a mono WAV file: 44 for `pcm_s16le`, 58 for the others (with `cbSize` and `fact`).

    `num_data_bytes` is the length of the samples; None is a stream of unknown length, its sizes all ones.
    After an odd number of bytes (mu-law, A-law) the writer owes one zero byte, which the RIFF size counts and
    the data size does not.

    Raises:
        ValueError: the data is negative in length, or too long for the format (4 GiB).

    Source: Microsoft/IBM, Multimedia Programming Interface and Data Specifications 1.0 (RIFF, WAVE);
    Microsoft, New Multimedia Data Types and Data Techniques 3.0 (formats 3, 6, 7; `fact` in all but PCM).
    """
    size = _BYTES_PER_SAMPLE[encoding]
    tag = _WAVE_FORMATS[encoding]
    fmt = struct.pack("<HHIIHH", tag, 1, sample_rate_hz, sample_rate_hz * size, size, size * 8)
    num_samples = _UNKNOWN_SIZE if num_data_bytes is None else num_data_bytes // size
    is_plain = tag == 1
    head = _chunk(b"fmt ", fmt if is_plain else fmt + b"\0\0")
    head += b"" if is_plain else _chunk(b"fact", struct.pack("<I", num_samples & _UNKNOWN_SIZE))
    riff_size, data_size = _sizes(len(head), num_data_bytes)
    return struct.pack("<4sI4s", b"RIFF", riff_size, b"WAVE") + head + struct.pack("<4sI", b"data", data_size)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body


def _sizes(num_head_bytes: int, num_data_bytes: int | None) -> tuple[int, int]:
    """The RIFF size and the data size. `head` is what stands between "WAVE" and "data"."""
    if num_data_bytes is None:
        return _UNKNOWN_SIZE, _UNKNOWN_SIZE
    riff_size = 4 + num_head_bytes + 8 + num_data_bytes + num_data_bytes % 2
    if num_data_bytes < 0 or riff_size >= _UNKNOWN_SIZE:
        raise ValueError(f"a WAV file holds 0 to {_UNKNOWN_SIZE} bytes: {num_data_bytes} bytes of samples asked")
    return riff_size, num_data_bytes
