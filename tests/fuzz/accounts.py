"""What a socket must send: an account of what was heard, one of what was asked, and whether the one explains the other.

Which stream of a context a message belongs to is not said on the wire, and how far a stream got before it was dropped
is a matter of time. So the two are matched: a conversation is right if each stream that was heard can be one that was
asked for, in order, and each that had to be heard is.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Final

import msgspec

from modes.messages import (
    Cancelled,
    Chunk,
    Done,
    Failed,
    Init,
    SegmentComplete,
    ServerMessage,
    StreamCreated,
    Words,
)
from modes.playback import MAX_MESSAGE_BYTES
from tests.contract import BYTES_PER_SAMPLE

TOLERANCE_MS: Final = 0.05
"""Stated times are rounded."""


class Asked:
    """One stream as its client asked for it. `is_announced`: it must be, whatever comes afterwards."""

    def __init__(self, options: Init, *, is_announced: bool) -> None:
        self.options = options
        self.is_announced = is_announced
        self.text = ""
        self.num_alone = 0  # texts that are a segment each
        self.is_aggregated = False  # there are texts that the server cuts
        self.is_closed = False
        self.is_dropped = False

    def add(self, text: str, *, is_alone: bool) -> None:
        self.text += text
        self.num_alone += is_alone
        self.is_aggregated |= not is_alone

    @property
    def is_open(self) -> bool:
        return not self.is_closed and not self.is_dropped

    @property
    def is_endless(self) -> bool:
        """It is sent so slowly that nobody can wait for its end."""
        rate = self.options.send_rate
        return not self.is_dropped and rate is not None and 0 < rate < 1

    def may_sound_like(self, heard: "HeardStream") -> bool:
        """Whether what was heard, all of it, can have been this stream."""
        if (heard.created.sample_rate, heard.created.encoding) != (self.options.sample_rate, self.options.encoding):
            return False
        if heard.done is not None and not self.is_closed:
            return False
        if heard.done is None and self.is_closed and not self.is_dropped:
            return False
        if heard.cancelled is not None and not (self.is_dropped or self.is_closed):
            return False
        return self._has_said(heard.spoken_text) and self._fits(heard.num_segments, is_whole=heard.done is not None)

    def _has_said(self, text: str) -> bool:
        return self.text.startswith(text)

    def _fits(self, num_segments: int, *, is_whole: bool) -> bool:
        if is_whole and num_segments < self.num_alone:
            return False
        return self.is_aggregated or num_segments <= self.num_alone


class HeardStream:
    """What was heard from one `stream_created` to the next."""

    def __init__(self, created: StreamCreated) -> None:
        self.created = created
        self.num_segments = 0
        self.done: Done | None = None
        self.cancelled: Cancelled | None = None
        self.spoken_text = ""
        self._num_bytes = 0
        self._stated_ms = 0.0

    @property
    def is_live(self) -> bool:
        return self.done is None and self.cancelled is None

    def hear_audio(self, data: bytes) -> None:
        assert self.is_live, "no audio comes behind a stream's end"
        assert 0 < len(data) <= MAX_MESSAGE_BYTES
        assert len(data) % BYTES_PER_SAMPLE[self.created.encoding] == 0, "samples are not parted"
        self._num_bytes += len(data)

    def hear_segment(self, complete: SegmentComplete) -> None:
        assert self.is_live
        self.num_segments += 1
        assert complete.segment == self.num_segments, "segments count from 1"
        self._stated_ms += complete.audio_ms
        self._check_duration(self._stated_ms, self.num_segments)

    def hear_words(self, words: Words) -> None:
        assert self.is_live
        assert words.segment == self.num_segments + 1, "words come with their segment's audio"

    def hear_done(self, done: Done) -> None:
        assert self.is_live, "there is one end"
        assert done.stream_id == self.created.stream_id
        assert done.segments_generated == self.num_segments
        self._check_duration(done.total_audio_ms, 1)
        self.done = done

    def hear_cancelled(self, cancelled: Cancelled) -> None:
        assert self.cancelled is None, "a stream is cancelled once"
        on_the_way_ms = self._audio_ms - cancelled.audio_ms_sent
        assert -TOLERANCE_MS <= on_the_way_ms <= self._duration_ms(MAX_MESSAGE_BYTES) + TOLERANCE_MS
        self.cancelled = cancelled
        self.spoken_text = cancelled.text_spoken

    @property
    def _audio_ms(self) -> float:
        return self._duration_ms(self._num_bytes)

    def _duration_ms(self, num_bytes: int) -> float:
        return num_bytes / BYTES_PER_SAMPLE[self.created.encoding] * 1000 / self.created.sample_rate

    def _check_duration(self, stated_ms: float, num_roundings: int) -> None:
        assert abs(stated_ms - self._audio_ms) <= TOLERANCE_MS * num_roundings, (stated_ms, self._audio_ms)


_decoder = msgspec.json.Decoder(ServerMessage)


class Account:
    """All that one socket sent, by context, held to what is true of any conversation."""

    def __init__(self) -> None:
        self.streams: defaultdict[str | None, list[HeardStream]] = defaultdict(list)
        self.answers: Counter[tuple[str | None, type[ServerMessage]]] = Counter()
        self.num_messages = 0
        self._stream_ids: set[str] = set()
        self._head: Chunk | None = None  # the audio of which comes next

    def hear(self, data: str | bytes) -> None:
        self.num_messages += 1
        if isinstance(data, bytes):
            self._hear_audio(data)
            return
        assert self._head is None, "nothing comes between a chunk and its audio"
        message = _decoder.decode(data)
        name = message.context_id or None
        self.answers[name, type(message)] += 1
        match message:
            case Chunk():
                assert name, "a chunk is of a context that has a name"
                self._head = message
            case StreamCreated():
                assert message.stream_id not in self._stream_ids
                self._stream_ids.add(message.stream_id)
                self.streams[name].append(HeardStream(message))
            case SegmentComplete():
                self._last(name).hear_segment(message)
            case Words():
                self._last(name).hear_words(message)
            case Done():
                self._last(name).hear_done(message)
            case Cancelled(stream_id=str() as stream_id):
                cancelled = (stream for stream in self.streams[name] if stream.created.stream_id == stream_id)
                next(cancelled).hear_cancelled(message)
            case Failed():
                assert not message.fatal, message.message
            case _:
                pass

    def _last(self, name: str | None) -> HeardStream:
        assert self.streams[name], "a stream is announced before anything of it"
        return self.streams[name][-1]

    def _hear_audio(self, data: bytes) -> None:
        head, self._head = self._head, None
        stream = self._last(head and (head.context_id or None))
        if head is not None:
            assert (head.bytes, head.stream_id) == (len(data), stream.created.stream_id)
        stream.hear_audio(data)


def is_explained(heard: Sequence[HeardStream], asked: Sequence[Asked]) -> bool:
    """Whether what was heard is all that had to be, and nothing else."""

    @cache
    def rest_is(num_heard: int, num_asked: int) -> bool:
        if num_asked == len(asked):
            return num_heard == len(heard)
        stream = asked[num_asked]
        can_be_silent = stream.is_dropped and not stream.is_announced
        if can_be_silent and rest_is(num_heard, num_asked + 1):
            return True
        is_next = num_heard < len(heard) and stream.may_sound_like(heard[num_heard])
        return is_next and rest_is(num_heard + 1, num_asked + 1)

    return rest_is(0, 0)
