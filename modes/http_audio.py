"""What the three HTTP modes share: the fields of a request, the headers of an answer, and a session's frames as
chunks.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Annotated, Final, TypeAlias

import msgspec
from litestar.response import Stream
from msgspec import Meta

from engines.encoders import PcmEncoder, PcmEncoding, wav_header
from engines.engine import Engine
from engines.errors import RequestError, SessionClosed
from engines.session import Session
from engines.types import SMALL_CHUNKS, ChunkSizes, Cutting, Frame
from engines.voices import DEFAULT_VOICE

WIRE_FRAME_S: Final = 1024 / 22_050
"""What clients count chunks in: 46.44 ms of audio, whichever model is loaded. Source: Magpie's codec."""

FORMATS: Final = ("pcm", "wav")

WHOLE: Final = ChunkSizes(32, 32)
"""What is sent when it is whole is best made in large chunks."""

Seed: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Temperature: TypeAlias = Annotated[float, Meta(ge=0, le=2)]
TopK: TypeAlias = Annotated[int, Meta(ge=1, le=2048)]
CfgScale: TypeAlias = Annotated[float, Meta(ge=1, le=10)]
NumFrames: TypeAlias = Annotated[int, Meta(ge=1, le=4096)]


class VoiceRef(msgspec.Struct, frozen=True):
    """A voice as OpenAI's newer clients name it."""

    id: str


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """What every request that speaks may say. A sampler's field that is null, or that the model does not have, is the
    model's own."""

    voice: str | VoiceRef = DEFAULT_VOICE
    language: str = "en"
    encoding: PcmEncoding = "pcm_s16le"
    seed: Seed = 0
    temperature: Temperature | None = None
    top_k: TopK | None = None
    cfg_scale: CfgScale | None = None


class Output(msgspec.Struct, frozen=True):
    """The audio that a request asked for."""

    sample_rate: int
    encoding: PcmEncoding
    is_wav: bool

    @property
    def media_type(self) -> str:
        return "audio/wav" if self.is_wav else "audio/pcm"

    def encoder(self, source_hz: int) -> PcmEncoder:
        return PcmEncoder(source_hz, self.sample_rate, self.encoding)

    def header(self, num_data_bytes: int | None) -> bytes:
        """What stands in front of the samples; None for a stream whose length is not known."""
        return wav_header(self.sample_rate, num_data_bytes, self.encoding) if self.is_wav else b""

    def whole(self, data: bytes) -> bytes:
        """All of an answer whose samples are `data`. A WAV chunk of odd length is followed by a zero byte."""
        return self.header(len(data)) + data + (b"\0" if self.is_wav and len(data) % 2 else b"")

    @property
    def headers(self) -> dict[str, str]:
        return {"X-Sample-Rate": str(self.sample_rate), "X-Channels": "1", "X-Encoding": self.encoding}


def open_session(
    engine: Engine,
    wanted: Manner,
    *,
    chunk_sizes: ChunkSizes = SMALL_CHUNKS,
    cutting: Cutting = "early",
    is_paced: bool = True,
    idle_flush_s: float | None = None,
) -> Session:
    """A session that speaks as a request asks. Raises what `Engine.open_session` does."""
    return engine.open_session(
        voice=wanted.voice if isinstance(wanted.voice, str) else wanted.voice.id,
        language=wanted.language,
        seed=wanted.seed,
        temperature=wanted.temperature,
        top_k=wanted.top_k,
        cfg_scale=wanted.cfg_scale,
        chunk_sizes=chunk_sizes,
        cutting=cutting,
        is_paced=is_paced,
        idle_flush_s=idle_flush_s,
    )


def output(response_format: str, sample_rate: int, encoding: PcmEncoding) -> Output:
    """The audio asked for.

    Raises:
        RequestError: a format, rate or encoding that is not offered; the choices are listed.
    """
    if response_format not in FORMATS:
        choices = ", ".join(FORMATS)
        message = f"unsupported response_format {response_format!r}; choose one of: {choices}"
        raise RequestError(message, param="response_format")
    PcmEncoder(sample_rate, sample_rate, encoding)  # refuses what it cannot write
    return Output(sample_rate, encoding, response_format == "wav")


async def chunks(session: Session, encoder: PcmEncoder, sizes: ChunkSizes) -> AsyncGenerator[bytes]:
    """The session's audio in chunks, each as soon as it is full; what a segment leaves over is not held back for the
    next.

    Closing the generator cancels the session.
    """
    async with session:
        waiting = bytearray()
        size = _num_bytes(sizes.first, encoder)
        with suppress(SessionClosed):  # cancelled by another request: this one ends where it is
            async for frame in session:
                waiting += encode(frame, encoder)
                while len(waiting) >= size:
                    yield bytes(waiting[:size])
                    del waiting[:size]
                    size = _num_bytes(sizes.later, encoder)
                if frame.is_segment_end and waiting:
                    yield bytes(waiting)
                    waiting.clear()


def encode(frame: Frame, encoder: PcmEncoder) -> bytes:
    """A frame's bytes, with the resampler's tail where a segment ends."""
    return encoder.encode(frame.pcm) + (encoder.end_segment() if frame.is_segment_end else b"")


async def streamed(audio: AsyncGenerator[bytes], wanted: Output) -> Stream:
    """A response whose headers are sent when its first chunk is there: what goes wrong before is an error, not a broken
    stream."""
    first = await anext(audio, b"")
    return Stream(_from_first(wanted.header(None) + first, audio), media_type=wanted.media_type, headers=wanted.headers)


async def _from_first(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk


def _num_bytes(num_frames: int, encoder: PcmEncoder) -> int:
    num_samples = round(num_frames * WIRE_FRAME_S * encoder.bytes_per_second / encoder.bytes_per_sample)
    return num_samples * encoder.bytes_per_sample
