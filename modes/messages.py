"""The messages of `/ws/tts/stream`: what a client may send, and what it gets. JSON, told apart by `type`.

Binary messages from the server are audio; JSON sent in a binary message is understood as well.
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engines.encoders import DEFAULT_RATE_HZ, PcmEncoding
from engines.requests import num_bytes
from modes.http_audio import Manner
from modes.word_times import SpokenWord

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""Where a server does not say otherwise."""

Delivery: TypeAlias = Literal["batch", "stream", "adaptive"]
"""Whether a segment is sent when it is whole, as it is made, or in pieces chosen by the listener's buffer."""

Preset: TypeAlias = Literal["aggressive", "balanced", "conservative"]
Aggregate: TypeAlias = Literal["auto", "none", "sentence", "clause", "word"]


ContextId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]


class _Asked(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """From a client. Without a `context_id` it is about the one context that has no name."""

    context_id: ContextId | None = None


class _Said(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """To a client. The field is left out where there is no name."""

    context_id: str | UnsetType = UNSET


class Init(Manner, frozen=True, kw_only=True, tag_field="type", tag="init"):
    """Settings for what follows in its context. Drops the running stream and begins a new one. No `send_rate`: the
    server's.
    """

    default_mode: Delivery = "batch"
    sample_rate: int = DEFAULT_RATE_HZ
    aggregate: Aggregate = "auto"
    send_rate: Annotated[float, Meta(ge=0, le=1000)] | None = None
    word_timestamps: bool = False
    context_id: ContextId | None = None


class Text(_Asked, frozen=True, tag="text"):
    """Text to speak. With a `mode` it is a segment as it stands, unless `aggregate` says otherwise."""

    text: str
    mode: Delivery | None = None
    preset: Preset = "balanced"


class Close(_Asked, frozen=True, tag="close"):
    """No more text for this stream: speak what is queued, then `done`."""


class Cancel(_Asked, frozen=True, tag="cancel"):
    """Barge-in. `played_ms` is how much the client has played, where it knows."""

    played_ms: Annotated[float, Meta(ge=0)] | None = None


class Flush(_Asked, frozen=True, tag="flush"):
    """Speak what the aggregator holds, now."""


class Ping(_Asked, frozen=True, tag="ping"):
    """Answered with `pong`."""


ClientMessage: TypeAlias = Init | Text | Close | Cancel | Flush | Ping


class StreamCreated(_Said, frozen=True, tag="stream_created"):
    """A stream begins; all audio of its context until its end is its own."""

    stream_id: str
    sample_rate: int
    encoding: PcmEncoding
    channels: int = 1
    request_id: str = ""


class Chunk(_Said, frozen=True, tag="chunk"):
    """The next message is audio of this context's stream, so many bytes of it. Audio without one has no context."""

    stream_id: str
    bytes: int


class SegmentComplete(_Said, frozen=True, tag="segment_complete"):
    """The last audio of segment `segment` (from 1) has been written."""

    segment: int
    audio_ms: float


class Done(_Said, frozen=True, tag="done"):
    """A closed stream has been spoken to its end."""

    stream_id: str
    total_audio_ms: float
    segments_generated: int


class Cancelled(_Said, frozen=True, tag="cancelled"):
    """No further audio of this stream comes. `text_spoken` is what the listener can have heard."""

    stream_id: str | None
    audio_ms_sent: float
    text_spoken: str


class Words(_Said, frozen=True, tag="words"):
    """Words of the audio that follows."""

    segment: int
    words: list[SpokenWord]


class Warn(_Said, frozen=True, tag="warning"):
    """Something was left out, and the rest is spoken."""

    message: str
    code: str


class Failed(_Said, frozen=True, tag="error"):
    """A message was not followed, or a stream broke. The socket lives on unless `fatal`."""

    message: str
    code: str
    fatal: bool = False


class Pong(_Said, frozen=True, tag="pong"):
    """The answer to `ping`."""


ServerMessage: TypeAlias = StreamCreated | Chunk | SegmentComplete | Done | Cancelled | Words | Warn | Failed | Pong


_decoder = msgspec.json.Decoder(ClientMessage)


class _Named(msgspec.Struct):
    context_id: ContextId | None = None


_name_decoder = msgspec.json.Decoder(_Named)


class NotUnderstood(Exception):
    """A message that is not of this protocol, with the code that its sender is told, and the context that it names."""

    def __init__(self, message: str, code: str, context_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.context_id = context_id


def decode(data: str | bytes, max_bytes: int = MAX_MESSAGE_BYTES) -> ClientMessage:
    """The message in `data`.

    Raises:
        NotUnderstood: it is longer than `max_bytes`, malformed JSON, an unknown `type`, or a field that is missing or
            has the wrong type.
    """
    if (length := num_bytes(data, max_bytes)) > max_bytes:
        raise NotUnderstood(f"a message may have {max_bytes} bytes; this has {length}", "too_large")
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError as error:
        is_type = str(error).endswith("`$.type`") or "field `type`" in str(error)
        code = "unknown_type" if is_type else "invalid_field"
        raise NotUnderstood(str(error), code, _context_of(data)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise NotUnderstood(f"malformed JSON: {error}", "malformed_json") from None


def in_context(message: ServerMessage, name: str | None) -> ServerMessage:
    """The message with the name of its context."""
    return message if name is None else msgspec.structs.replace(message, context_id=name)


def _context_of(data: str | bytes) -> str | None:
    """What a message that is wrong otherwise names."""
    try:
        return _name_decoder.decode(data).context_id
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
