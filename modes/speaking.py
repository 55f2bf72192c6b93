"""One stream on a socket, from its first text to its `done`: a session's frames as paced messages."""

import asyncio
import math
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeAlias

import msgspec

from engines.encoders import PcmEncoder
from engines.errors import SessionClosed
from engines.requests import ORIGIN
from engines.session import Session
from engines.types import ChunkSizes, Cutting, Frame, Word
from modes.http_audio import WHOLE, WIRE_FRAME_S, encode
from modes.messages import (
    Cancelled,
    Delivery,
    Done,
    Init,
    Preset,
    SegmentComplete,
    ServerMessage,
    StreamCreated,
    Text,
    Words,
)
from modes.playback import Pace, PlayClock
from modes.word_times import spoken

PRESETS: Final[dict[Preset, ChunkSizes]] = {
    "aggressive": ChunkSizes(4, 8),
    "balanced": ChunkSizes(6, 10),
    "conservative": ChunkSizes(8, 12),
}
"""Chunks in wire frames. Source: protocol, "TTS, WebSocket"."""

LONG_MESSAGE_CHARS: Final = 100
"""A message longer than this that begins a stream begins with its first clause, so that it is heard early; 100
characters are about six seconds of speech, and on two cores 40 ms until the first of it.
"""

Send: TypeAlias = Callable[[ServerMessage | bytes], Awaitable[None]]


class Style(msgspec.Struct, frozen=True):
    """How a segment is delivered: the label that its text is pushed with."""

    delivery: Delivery
    sizes: ChunkSizes


class SpokenStream:
    """A stream. Event loop only: the reader of the socket adds text and cancels, one speaker task runs `speak`."""

    def __init__(
        self, session: Session, options: Init, source_hz: int, *, send_rate: float, is_asked_for: bool
    ) -> None:
        self.id = str(uuid.uuid4())
        self.session = session
        self.clock = PlayClock()
        self.is_closed = False
        self.is_dropped = False
        self.cancelled: Cancelled | None = None
        self._is_asked_for = is_asked_for
        self._options = options
        self._encoder = PcmEncoder(source_hz, options.sample_rate, options.encoding)
        self._pace = Pace(self._encoder.bytes_per_second, self._encoder.bytes_per_sample, send_rate)
        self._stopped = asyncio.Event()
        self._num_encoded = 0
        self._num_segments = 0

    @property
    def must_speak(self) -> bool:
        """Whether the client waits for anything of it: an `init` is answered even if another message has dropped it
        since.
        """
        return not self.is_dropped or self._is_asked_for or self.cancelled is not None

    def is_audible(self, now_s: float) -> bool:
        """Whether the listener may still hear it, though all of it was sent."""
        return not self.is_dropped and self.clock.is_playing(now_s)

    # -- the socket's reader -----------------------------------------------------------------------------------------

    def push(self, message: Text) -> str:
        """Add text; the characters that cannot be spoken come back."""
        delivery = message.mode or self._options.default_mode
        sizes = WHOLE if delivery == "batch" else PRESETS[message.preset]
        style = Style(delivery, sizes)
        if self.stands_alone(message):
            cutting = _message_cutting(message, delivery)
            return self.session.push_segment(message.text, cutting=cutting, label=style, chunk_sizes=sizes)
        return self.session.push(message.text, label=style, chunk_sizes=sizes)

    def close(self) -> None:
        self.is_closed = True
        self.session.finish()

    def drop(self) -> None:
        """No further audio of this stream leaves; the device stops within a step."""
        self.is_dropped = True
        self.session.cancel()
        self._stopped.set()

    def cancel(self, played_ms: float | None) -> Cancelled:
        """Drop the stream, and what the listener has heard of it."""
        heard_ms = self.clock.heard_ms(time.monotonic())
        if played_ms is not None:
            heard_ms = min(played_ms, self.clock.sent_ms)
        text = self.session.text[: self.clock.text_end(heard_ms)]
        self.drop()
        self.cancelled = Cancelled(self.id, round(self.clock.sent_ms, 2), text)
        return self.cancelled

    # -- the speaker ---------------------------------------------------------------------------------------------------

    async def speak(self, send: Send) -> None:
        """Send all of it: `stream_created`, audio with its `segment_complete`s, and `done` or what a cancel answers."""
        request_id = ORIGIN.get().request_id
        await send(StreamCreated(self.id, self._options.sample_rate, self._options.encoding, request_id=request_id))
        try:
            await self._speak_segments(send)
            await send(Done(self.id, self._ms(self._num_encoded), self._num_segments))
        except SessionClosed:
            pass  # dropped: another stream follows, or the answer to a cancel
        if self.cancelled is not None:  # what was on its way when that was asked for has been sent as well
            await send(msgspec.structs.replace(self.cancelled, audio_ms_sent=round(self.clock.sent_ms, 2)))

    async def _speak_segments(self, send: Send) -> None:
        audio, words, num_before, is_first_chunk = bytearray(), list[Word](), 0, True
        async for frame in self.session:
            audio += self._encode(frame)
            words += frame.words
            if frame.is_segment_end or _is_chunk(frame, self._ms(len(audio)), is_first=is_first_chunk):
                await self._send_words(frame, words, send)
                await self._send_audio(audio, send)
                audio, words, is_first_chunk = bytearray(), [], False
            if frame.is_segment_end:
                self._num_segments = frame.segment
                await send(SegmentComplete(frame.segment, self._ms(self._num_encoded - num_before)))
                num_before, is_first_chunk = self._num_encoded, True

    def _encode(self, frame: Frame) -> bytes:
        encoded = encode(frame, self._encoder)
        self._num_encoded += len(encoded)
        self.clock.spoke(frame, self._ms(self._num_encoded))
        return encoded

    async def _send_audio(self, audio: bytearray, send: Send) -> None:
        for start in range(0, len(audio), self._pace.message_bytes):
            message = bytes(audio[start : start + self._pace.message_bytes])
            duration_ms = self._encoder.duration_ms(len(message))
            with self.session.sending(duration_ms):
                await self._rest(self._pace.take(len(message), time.monotonic()))
                await send(message)
            self.clock.sent(duration_ms, time.monotonic())

    async def _send_words(self, frame: Frame, words: list[Word], send: Send) -> None:
        if words and self._options.word_timestamps:
            audio_ms = self._ms(self._num_encoded) if frame.is_segment_end else math.inf
            await send(Words(frame.segment, [spoken(word, audio_ms) for word in words]))

    async def _rest(self, duration_s: float) -> None:
        """Wait, but not longer than the stream is wanted."""
        if duration_s > 0:
            # Not wait_for: that of Python 3.11 swallows a cancel of the task that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(duration_s):
                    await self._stopped.wait()
        if self.is_dropped:
            raise SessionClosed("the stream was dropped")

    def stands_alone(self, message: Text) -> bool:
        """Whether a message is a segment as it stands, rather than a piece of what the aggregator cuts."""
        aggregate = self._options.aggregate
        return aggregate == "none" or (aggregate == "auto" and message.mode is not None)

    def _ms(self, num_bytes: int) -> float:
        return round(self._encoder.duration_ms(num_bytes), 2)


def _message_cutting(message: Text, delivery: Delivery) -> Cutting:
    """How a message that is one segment for its client is cut for the model. `batch` and `stream` are cut alike: their
    samples are the same.
    """
    if delivery == "adaptive":
        return "adaptive"
    return "early" if len(message.text) > LONG_MESSAGE_CHARS else "sentence"


def cutting_of(options: Init) -> Cutting:
    """How a stream's aggregated text is cut."""
    if options.aggregate in ("clause", "word"):
        return options.aggregate
    return "adaptive" if options.default_mode == "adaptive" else "early"


def _is_chunk(frame: Frame, waiting_ms: float, *, is_first: bool) -> bool:
    """Whether what waits is enough to send before its segment ends."""
    style = frame.label
    assert isinstance(style, Style), "all text is pushed with its style"
    if style.delivery == "batch":
        return False
    num_frames = style.sizes.first if is_first else style.sizes.later
    return waiting_ms >= num_frames * WIRE_FRAME_S * 1000
