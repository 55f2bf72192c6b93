"""Compressed audio: one stream as mp3, ogg/opus, aac or flac, written by ffmpeg's libraries as its samples come."""

import io
from fractions import Fraction
from typing import Final

import av
import msgspec

from engines.audio import Resampler, to_int16
from engines.types import Pcm


class Container(msgspec.Struct, frozen=True):
    """A codec and the file format around it, by ffmpeg's names.

    `bit_rates` by sample rate: of the first that is not below it. None: as many bits as it takes. `rates_hz` are those
    that it has, of what is offered; any other is resampled to the last. None: it has all of them.
    """

    codec: str
    muxer: str
    media_type: str
    bit_rates: tuple[tuple[int, int], ...] | None
    codec_options: dict[str, str]
    stream_options: dict[str, str]
    whole_options: dict[str, str]
    rates_hz: tuple[int, ...] | None = None


CONTAINERS: Final[dict[str, Container]] = {
    # Frames that lean on no frame before them can be played as they come. What says how long all of it is, and how
    # much of it is the encoder's delay, can only be written into a file that is whole.
    "mp3": Container(
        "libmp3lame", "mp3", "audio/mpeg", ((8000, 32_000), (16000, 64_000), (48000, 96_000)),
        {"reservoir": "0"}, {"write_xing": "0", "id3v2_version": "0"}, {},
    ),
    "opus": Container(
        "libopus", "ogg", "audio/ogg", ((8000, 24_000), (16000, 32_000), (48000, 48_000)),
        {"frame_duration": "20"}, {"page_duration": "60000"}, {}, rates_hz=(8000, 16000, 24000, 48000),
    ),
    "aac": Container("aac", "adts", "audio/aac", ((8000, 32_000), (16000, 48_000), (48000, 96_000)), {}, {}, {}),
    "flac": Container(
        "flac", "flac", "audio/flac", None, {},
        {"metadata_header_padding": "0"}, {"metadata_header_padding": "0"},
    ),
}  # fmt: skip
"""Source: OpenAI, text-to-speech guide, the formats; RFC 7845 (Ogg Opus) for `audio/ogg`, RFC 6716,
section 2, for its rates; ffmpeg's documentation of the
codecs' and muxers' options."""


class ContainerEncoder:
    """The bytes of one stream in a container. One thread at a time.

    `is_whole`: nothing is given out before `finish`, and then a file that knows its length. Else every method gives
    what is ready, so that a listener can begin.
    """

    bytes_per_second = None
    bytes_per_sample = 1

    def __init__(self, source_hz: int, kind: Container, sample_rate_hz: int, *, is_whole: bool) -> None:
        if kind.rates_hz is not None and sample_rate_hz not in kind.rates_hz:
            sample_rate_hz = kind.rates_hz[-1]
        self.sample_rate_hz = sample_rate_hz
        self._resampler = Resampler(source_hz, sample_rate_hz)
        self._num_samples = 0
        self._file = io.BytesIO() if is_whole else _Pipe()
        options = kind.whole_options if is_whole else kind.stream_options
        self._container = av.open(self._file, "w", format=kind.muxer, options=options)
        self._stream = self._container.add_stream(
            kind.codec, rate=sample_rate_hz, layout="mono", options=kind.codec_options
        )
        if kind.bit_rates is not None:
            self._stream.bit_rate = next(rate for up_to_hz, rate in kind.bit_rates if sample_rate_hz <= up_to_hz)

    @property
    def duration_ms(self) -> float:
        """How long what has been encoded sounds, in milliseconds."""
        return self._num_samples * 1000 / self.sample_rate_hz

    def encode(self, pcm: Pcm) -> bytes:
        """What is ready of the stream so far."""
        return self._write(self._resampler.process(pcm))

    def end_segment(self) -> bytes:
        """What is ready with the resampler's tail. A segment begins and ends in silence, so each is resampled alone."""
        return self._write(self._resampler.flush())

    def finish(self) -> bytes:
        """The rest, or the whole file. Nothing is encoded afterwards."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._file.getvalue() if isinstance(self._file, io.BytesIO) else self._file.take()

    def _write(self, pcm: Pcm) -> bytes:
        if len(pcm):
            frame = av.AudioFrame.from_ndarray(to_int16(pcm)[None], format="s16", layout="mono")
            frame.sample_rate = self.sample_rate_hz
            frame.pts, frame.time_base = self._num_samples, Fraction(1, self.sample_rate_hz)
            self._num_samples += len(pcm)
            self._container.mux(self._stream.encode(frame))
        return self._file.take() if isinstance(self._file, _Pipe) else b""


class _Pipe:
    """A file that can only be written, and is read by whoever writes."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data
