"""The forms that audio leaves in: which there are, what they are called, and an encoder for each.

Shapes: N samples, mono, (N,) float32 in -1..1.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from engines.containers import CONTAINERS, ContainerEncoder
from engines.encoders import PcmEncoder, PcmEncoding, wav_header
from engines.errors import RequestError
from engines.types import Pcm

_RAW: Final = {"wav": "audio/wav", "pcm": "audio/pcm"}

FORMATS: Final = (*CONTAINERS, *_RAW)
"""What a client may ask for. Source: OpenAI, API reference, "Create speech", `response_format`."""


class Encoder(Protocol):
    """One stream as bytes. One thread at a time.

    `duration_ms` is how long what has been encoded sounds. `bytes_per_second` is None where that depends on what is
    encoded; else samples of `bytes_per_sample` are never parted.
    """

    @property
    def duration_ms(self) -> float: ...
    @property
    def bytes_per_second(self) -> int | None: ...
    @property
    def bytes_per_sample(self) -> int: ...
    def encode(self, pcm: Pcm) -> bytes:
        """What is ready of the stream so far; at times nothing."""
        ...

    def end_segment(self) -> bytes:
        """What is ready behind a segment: it ends in silence, and the next begins in it."""
        ...

    def finish(self) -> bytes:
        """The rest. Nothing is encoded afterwards."""
        ...


class AudioForm(msgspec.Struct, frozen=True):
    """How audio is sent: made by `audio_form`, which checks it. `encoding` is of wav and pcm."""

    name: str
    sample_rate: int
    encoding: PcmEncoding

    @property
    def media_type(self) -> str:
        return _RAW[self.name] if self.is_raw else CONTAINERS[self.name].media_type

    @property
    def is_raw(self) -> bool:
        return self.name in _RAW

    def encoder(self, source_hz: int, *, is_whole: bool = False) -> Encoder:
        """An encoder of audio at `source_hz`. `is_whole`: it gives everything at the end, with exact lengths."""
        if not self.is_raw:
            return ContainerEncoder(source_hz, CONTAINERS[self.name], self.sample_rate, is_whole=is_whole)
        return _WholeRaw(source_hz, self) if is_whole else _StreamedRaw(source_hz, self)

    def head(self, num_data_bytes: int | None) -> bytes:
        """What stands in front of raw samples; None: nobody knows yet how many there will be."""
        return wav_header(self.sample_rate, num_data_bytes, self.encoding) if self.name == "wav" else b""


def audio_form(name: str, sample_rate: int, encoding: PcmEncoding) -> AudioForm:
    """What a client has asked for.

    Raises:
        RequestError: a format, rate or encoding that is not offered; the choices are listed.
    """
    if name not in FORMATS:
        raise _refusal("response_format", name, FORMATS)
    if name not in _RAW and encoding != "pcm_s16le":
        raise RequestError(f"encoding {encoding!r} is for wav and pcm, not for {name}", param="encoding")
    PcmEncoder(sample_rate, sample_rate, encoding)  # refuses what it cannot write
    return AudioForm(name, sample_rate, encoding)


class _StreamedRaw:
    """Samples as they come, behind a WAV header of unknown length where there is one."""

    def __init__(self, source_hz: int, form: AudioForm) -> None:
        self._samples = PcmEncoder(source_hz, form.sample_rate, form.encoding)
        self.bytes_per_second = self._samples.bytes_per_second
        self.bytes_per_sample = self._samples.bytes_per_sample
        self._head = form.head(None)
        self._num_bytes = 0

    @property
    def duration_ms(self) -> float:
        return self._samples.duration_ms(self._num_bytes)

    def encode(self, pcm: Pcm) -> bytes:
        return self._with_head(self._samples.encode(pcm))

    def end_segment(self) -> bytes:
        return self._with_head(self._samples.end_segment())

    def finish(self) -> bytes:
        return self._with_head(b"")

    def _with_head(self, data: bytes) -> bytes:
        self._num_bytes += len(data)
        head, self._head = self._head, b""
        return head + data


class _WholeRaw:
    """All samples at once, behind a WAV header that is exact. A WAV chunk of odd length is followed by a zero byte."""

    def __init__(self, source_hz: int, form: AudioForm) -> None:
        self._samples = PcmEncoder(source_hz, form.sample_rate, form.encoding)
        self.bytes_per_second = self._samples.bytes_per_second
        self.bytes_per_sample = self._samples.bytes_per_sample
        self._form = form
        self._data = bytearray()

    @property
    def duration_ms(self) -> float:
        return self._samples.duration_ms(len(self._data))

    def encode(self, pcm: Pcm) -> bytes:
        self._data += self._samples.encode(pcm)
        return b""

    def end_segment(self) -> bytes:
        self._data += self._samples.end_segment()
        return b""

    def finish(self) -> bytes:
        pad = b"\0" if self._form.name == "wav" and len(self._data) % 2 else b""
        return self._form.head(len(self._data)) + bytes(self._data) + pad


def _refusal(param: str, actual: object, choices: Sequence[object]) -> RequestError:
    listed = ", ".join(map(str, choices))
    return RequestError(f"unsupported {param} {actual!r}; choose one of: {listed}", param=param)
