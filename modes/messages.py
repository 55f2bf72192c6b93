"""The messages of `/ws/tts/stream`: what a client may send, and what it gets. JSON, told apart by `type`.

Binary messages from the server are audio; JSON sent in a binary message is understood as well.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from engines.encoders import DEFAULT_RATE_HZ, PcmEncoding
from modes.http_audio import Manner
from modes.word_times import SpokenWord

Delivery: TypeAlias = Literal["batch", "stream", "adaptive"]
"""Whether a segment is sent when it is whole, as it is made, or in pieces chosen by the listener's buffer."""

Preset: TypeAlias = Literal["aggressive", "balanced", "conservative"]
Aggregate: TypeAlias = Literal["auto", "none", "sentence", "clause", "word"]


class _Message(msgspec.Struct, frozen=True, tag_field="type"):
    pass


class Init(Manner, frozen=True, kw_only=True, tag_field="type", tag="init"):
    """Settings for what follows. Drops the running stream and begins a new one. No `send_rate`: the server's."""

    default_mode: Delivery = "batch"
    sample_rate: int = DEFAULT_RATE_HZ
    aggregate: Aggregate = "auto"
    send_rate: Annotated[float, Meta(ge=0, le=1000)] | None = None
    word_timestamps: bool = False


class Text(_Message, frozen=True, tag="text"):
    """Text to speak. With a `mode` it is a segment as it stands, unless `aggregate` says otherwise."""

    text: str
    mode: Delivery | None = None
    preset: Preset = "balanced"


class Close(_Message, frozen=True, tag="close"):
    """No more text for this stream: speak what is queued, then `done`."""


class Cancel(_Message, frozen=True, tag="cancel"):
    """Barge-in. `played_ms` is how much the client has played, where it knows."""

    played_ms: Annotated[float, Meta(ge=0)] | None = None


class Flush(_Message, frozen=True, tag="flush"):
    """Speak what the aggregator holds, now."""


class Ping(_Message, frozen=True, tag="ping"):
    """Answered with `pong`."""


ClientMessage: TypeAlias = Init | Text | Close | Cancel | Flush | Ping


class StreamCreated(_Message, frozen=True, tag="stream_created"):
    """A stream begins; all audio until its end is its own."""

    stream_id: str
    sample_rate: int
    encoding: PcmEncoding
    channels: int = 1
    request_id: str = ""


class SegmentComplete(_Message, frozen=True, tag="segment_complete"):
    """The last audio of segment `segment` (from 1) has been written."""

    segment: int
    audio_ms: float


class Done(_Message, frozen=True, tag="done"):
    """A closed stream has been spoken to its end."""

    stream_id: str
    total_audio_ms: float
    segments_generated: int


class Cancelled(_Message, frozen=True, tag="cancelled"):
    """No further audio of this stream comes. `text_spoken` is what the listener can have heard."""

    stream_id: str | None
    audio_ms_sent: float
    text_spoken: str


class Words(_Message, frozen=True, tag="words"):
    """Words of the audio that follows."""

    segment: int
    words: list[SpokenWord]


class Warn(_Message, frozen=True, tag="warning"):
    """Something was left out, and the rest is spoken."""

    message: str
    code: str


class Failed(_Message, frozen=True, tag="error"):
    """A message was not followed, or a stream broke. The socket lives on unless `fatal`."""

    message: str
    code: str
    fatal: bool = False


class Pong(_Message, frozen=True, tag="pong"):
    """The answer to `ping`."""


ServerMessage: TypeAlias = StreamCreated | SegmentComplete | Done | Cancelled | Words | Warn | Failed | Pong

_decoder = msgspec.json.Decoder(ClientMessage)


class NotUnderstood(Exception):
    """A message that is not of this protocol, with the code that its sender is told."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def decode(data: str | bytes) -> ClientMessage:
    """The message in `data`.

    Raises:
        NotUnderstood: malformed JSON, an unknown `type`, or a field that is missing or has the wrong type.
    """
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError as error:
        is_type = str(error).endswith("`$.type`") or "field `type`" in str(error)
        raise NotUnderstood(str(error), "unknown_type" if is_type else "invalid_field") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise NotUnderstood(f"malformed JSON: {error}", "malformed_json") from None
