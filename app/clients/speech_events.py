"""What a speech socket says, as its client hears it."""

from typing import TypeAlias

import msgspec


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """`context_id`: the stream that is meant."""

    context_id: str = ""


class Created(_Event, frozen=True, tag="stream_created"):
    """The stream is there, and its audio will be like this."""

    stream_id: str
    sample_rate: int
    encoding: str = "pcm_s16le"
    channels: int = 1


class Audio(msgspec.Struct, frozen=True):
    """More sound, in the encoding that `Created` has named."""

    data: bytes


class Word(msgspec.Struct, frozen=True):
    """A word as sent. Times count from the first sample, `char_start` and `char_end` in all text of the stream."""

    text: str
    start_ms: float
    end_ms: float
    char_start: int
    char_end: int


class Words(_Event, frozen=True, tag="words"):
    """Words of the audio that follows."""

    segment: int
    words: tuple[Word, ...]


class SegmentEnd(_Event, frozen=True, tag="segment_complete"):
    """The audio of a segment has come to its end. `segment` counts from 1."""

    segment: int
    audio_ms: float


class Warned(_Event, frozen=True, tag="warning"):
    """Something of the text was left out, and the rest is spoken."""

    message: str
    code: str


class Done(_Event, frozen=True, tag="done"):
    """All of it has been spoken. The last event."""

    total_audio_ms: float
    segments_generated: int


class Cancelled(_Event, frozen=True, tag="cancelled"):
    """How much was sent, and which text of it the listener can have heard, to the last whole word."""

    audio_ms_sent: float = 0.0
    text_spoken: str = ""


class Chunk(_Event, frozen=True, tag="chunk"):
    """Whose the next binary message is."""


class Failed(_Event, frozen=True, tag="error"):
    """A message was not followed, or a stream broke."""

    message: str
    code: str


Event: TypeAlias = Created | Audio | Words | SegmentEnd | Warned | Done
"""What a stream gives to whoever listens."""

Heard: TypeAlias = Created | Words | SegmentEnd | Warned | Done | Cancelled | Failed

_Message: TypeAlias = Heard | Chunk

_decoder: msgspec.json.Decoder[_Message] = msgspec.json.Decoder(_Message)


class _Kind(msgspec.Struct):
    type: str


_KINDS = frozenset(str(kind.__struct_config__.tag) for kind in _Message.__args__)


def decode(data: str) -> Heard | Chunk | None:
    """The message in `data`; None where it is of a kind that is still to come.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError:
        if msgspec.json.decode(data, type=_Kind).type in _KINDS:
            raise
        return None
