"""What the three HTTP modes share: the fields of a request, and a session's frames as chunks."""

import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Annotated, Final, TypeAlias

import msgspec
from litestar.response import Stream
from msgspec import Meta

from engines.encoders import PcmEncoder, PcmEncoding
from engines.engine import Engine
from engines.errors import SessionClosed, UnspeakableText
from engines.formats import AudioForm, Encoder
from engines.session import Session
from engines.stretching import MAX_SPEED, MIN_SPEED
from engines.types import SMALL_CHUNKS, ChunkSizes, Cutting, Frame, Word
from engines.voices import DEFAULT_VOICE

WIRE_FRAME_S: Final = 1024 / 22_050
"""What clients count chunks in: 46.44 ms of audio, whichever model is loaded. Source: Magpie's codec."""

WHOLE: Final = ChunkSizes(32, 32)
"""What is sent when it is whole is best made in large chunks."""

Seed: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Temperature: TypeAlias = Annotated[float, Meta(ge=0, le=2)]
TopK: TypeAlias = Annotated[int, Meta(ge=1, le=2048)]
CfgScale: TypeAlias = Annotated[float, Meta(ge=1, le=10)]
Speed: TypeAlias = Annotated[float, Meta(ge=MIN_SPEED, le=MAX_SPEED)]
Lexicon: TypeAlias = Annotated[dict[str, str], Meta(max_length=1000)]
NumFrames: TypeAlias = Annotated[int, Meta(ge=1, le=4096)]


class VoiceRef(msgspec.Struct, frozen=True):
    """A voice as OpenAI's newer clients name it."""

    id: str


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """What every request that speaks may say. A sampler's field that is null, or that the model does not have, is the
    model's own. `encoding` is of pcm and wav; `speed` is in times the voice's own pace, at its own pitch. `markdown`
    null is the server's setting; `lexicon` has words and phrases with a respelling, or with IPA between slashes.
    """

    voice: str | VoiceRef = DEFAULT_VOICE
    language: str = "en"
    encoding: PcmEncoding = "pcm_s16le"
    speed: Speed = 1.0
    markdown: bool | None = None
    lexicon: Lexicon = {}
    seed: Seed = 0
    temperature: Temperature | None = None
    top_k: TopK | None = None
    cfg_scale: CfgScale | None = None


class Chunk(msgspec.Struct, frozen=True):
    """Bytes that are sent at once, how long they sound, and the words that ended in them, or before."""

    data: bytes
    duration_ms: float
    words: tuple[Word, ...] = ()


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
        speed=wanted.speed,
        lexicon=wanted.lexicon,
        is_markdown=wanted.markdown,
        chunk_sizes=chunk_sizes,
        cutting=cutting,
        is_paced=is_paced,
        idle_flush_s=idle_flush_s,
    )


def given(session: Session, text: str) -> Session:
    """The session with all of its text.

    Raises:
        UnspeakableText: there is nothing in it to speak. That, or another error, ends the session.
    """
    try:
        session.push(text)
        session.finish()
        if not session.has_speech:
            raise UnspeakableText
    except Exception:
        session.cancel()
        raise
    return session


def headers_of(form: AudioForm) -> dict[str, str]:
    """What a client has to know of samples that do not say it themselves."""
    if not form.is_raw:
        return {}
    return {"X-Sample-Rate": str(form.sample_rate), "X-Channels": "1", "X-Encoding": form.encoding}


async def chunks(session: Session, encoder: Encoder, sizes: ChunkSizes) -> AsyncGenerator[Chunk]:
    """The session's audio in chunks, each as soon as it is full; what a segment leaves over is not held back for the
    next.

    Closing the generator cancels the session.
    """
    async with session:
        waiting = _Waiting(encoder, sizes)
        with suppress(SessionClosed):  # cancelled by another request: this one ends where it is
            async for frame in session:
                waiting.add(frame)
                while waiting.is_full or (frame.is_segment_end and waiting.data):
                    chunk = waiting.take()
                    with session.sending(chunk.duration_ms):
                        yield chunk
            waiting.finish()
            if waiting.data or waiting.words:
                chunk = waiting.take_all()
                with session.sending(chunk.duration_ms):
                    yield chunk


class _Waiting:
    """What will be the next chunk."""

    def __init__(self, encoder: Encoder, sizes: ChunkSizes) -> None:
        self.data = bytearray()
        self.words: list[Word] = []
        self._encoder = encoder
        self._num_frames = sizes.first
        self._later = sizes.later
        self._taken_ms = 0.0

    def add(self, frame: Frame) -> None:
        self.data += encode(frame, self._encoder)
        self.words += frame.words

    def finish(self) -> None:
        self.data += self._encoder.finish()

    @property
    def is_full(self) -> bool:
        if self._encoder.bytes_per_second is None:  # as much as has been encoded of so much sound
            sounds_ms = self._encoder.duration_ms - self._taken_ms
            return bool(self.data) and sounds_ms >= self._num_frames * WIRE_FRAME_S * 1000
        return len(self.data) >= self._num_bytes

    def take(self) -> Chunk:
        return self._take(len(self.data) if self._encoder.bytes_per_second is None else self._num_bytes)

    def take_all(self) -> Chunk:
        return self._take(len(self.data))

    def _take(self, num_bytes: int) -> Chunk:
        data = bytes(self.data[:num_bytes])
        del self.data[:num_bytes]
        taken_ms = self._encoder.duration_ms - 1000 * len(self.data) / (self._encoder.bytes_per_second or math.inf)
        chunk = Chunk(data, taken_ms - self._taken_ms, tuple(self.words))
        self.words.clear()
        self._num_frames = self._later
        self._taken_ms = taken_ms
        return chunk

    @property
    def _num_bytes(self) -> int:
        """Of a chunk of raw samples."""
        assert self._encoder.bytes_per_second is not None, "a second of samples has its bytes"
        num_samples = self._num_frames * WIRE_FRAME_S * self._encoder.bytes_per_second / self._encoder.bytes_per_sample
        return round(num_samples) * self._encoder.bytes_per_sample


def encode(frame: Frame, encoder: Encoder | PcmEncoder) -> bytes:
    """A frame's bytes, with the resampler's tail where a segment ends."""
    return encoder.encode(frame.pcm) + (encoder.end_segment() if frame.is_segment_end else b"")


async def data_of(audio: AsyncGenerator[Chunk]) -> AsyncGenerator[bytes]:
    """The bytes of chunks. Closing it closes them."""
    async with aclosing(audio):
        async for chunk in audio:
            yield chunk.data


async def streamed(audio: AsyncGenerator[bytes], media_type: str, headers: dict[str, str]) -> Stream:
    """A response whose headers are sent when its first bytes are there: what goes wrong before is an error, not a
    broken stream."""
    first = await anext(audio, b"")
    return Stream(_from_first(first, audio), media_type=media_type, headers=headers)


async def _from_first(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk
