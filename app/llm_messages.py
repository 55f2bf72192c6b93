"""The messages of `/ws`: what a client may send, told apart by `action`, and what it gets. JSON.

JSON sent in a binary message is understood as well.
"""

from typing import Annotated, Any, Final, Literal, TypeAlias, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.turns import Drawing, MoreTurns, NumTokens, Turns
from engines.llm.types import ChunkEnd, Pause, Reason
from engines.requests import num_bytes

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""Where a server does not say otherwise: far more than any context holds."""

MAX_ID_CHARS: Final = 256

StreamId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS)]


class PauseAt(msgspec.Struct, frozen=True):
    """Where the chunk ends: after so many tokens, at the end of a sentence, or whichever comes first. Neither: at the
    end of the answer."""

    max_tokens: NumTokens | None = None
    sentence_boundary: bool = False

    @property
    def wanted(self) -> Pause:
        return Pause(self.max_tokens, at_sentence=self.sentence_boundary)


class StartStream(Drawing, frozen=True, kw_only=True, tag_field="action", tag="start_stream"):
    """Begin a stream and write its first chunk. `stream_tokens`: each token is sent; otherwise whole chunks are."""

    stream_id: StreamId
    messages: Turns
    pause: PauseAt | None = None
    stream_tokens: bool = False
    max_total_tokens: NumTokens | None = None


class ContinueStream(msgspec.Struct, frozen=True, tag_field="action", tag="continue_stream"):
    """Write the next chunk. `append`: what a user has said meanwhile, or whole turns, to be read first."""

    stream_id: StreamId
    pause: PauseAt | None = None
    append: str | MoreTurns | None = None


class PauseStream(msgspec.Struct, frozen=True, tag_field="action", tag="pause_stream"):
    """End the chunk that is being written, at its next token."""

    stream_id: StreamId


class CancelStream(msgspec.Struct, frozen=True, tag_field="action", tag="cancel_stream"):
    """Drop the stream, in the middle of a chunk if need be."""

    stream_id: StreamId


class EndStream(msgspec.Struct, frozen=True, tag_field="action", tag="end_stream"):
    """The stream is no longer wanted. A chunk that is being written ends as by `pause_stream` first."""

    stream_id: StreamId


class Ping(msgspec.Struct, frozen=True, tag_field="action", tag="ping"):
    """Answered with `pong`."""


ClientMessage: TypeAlias = StartStream | ContinueStream | PauseStream | CancelStream | EndStream | Ping

ACTIONS: Final = tuple(str(kind.__struct_config__.tag) for kind in get_args(ClientMessage))


class TokenWritten(msgspec.Struct, frozen=True, tag_field="type", tag="token"):
    """A token, as soon as it is written."""

    stream_id: str
    content: str


class _ChunkOver(msgspec.Struct, frozen=True, tag_field="type"):
    stream_id: str
    reason: Reason
    text: str
    tokens: int
    ttft_ms: float
    elapsed_ms: float


class Paused(_ChunkOver, frozen=True, tag="paused"):
    """The chunk whose tokens were sent is over, and the answer is not."""


class Done(_ChunkOver, frozen=True, tag="done"):
    """The chunk whose tokens were sent is over, and the answer with it."""


class Chunk(msgspec.Struct, frozen=True):
    """A whole chunk. `status` only of a stream's first; `full_text` is that of all chunks so far."""

    stream_id: str
    text: str
    tokens: int
    paused: bool
    reason: Reason
    done: bool
    ttft_ms: float
    full_text: str
    status: Literal["started"] | UnsetType = UNSET


class Cancelled(msgspec.Struct, frozen=True, tag_field="type", tag="cancelled"):
    """Nothing more comes of this stream, and its place is free. `full_text` is what it had written."""

    stream_id: str
    full_text: str
    status: Literal["cancelled"] = "cancelled"


class Ended(msgspec.Struct, frozen=True):
    """There is no such stream any more."""

    stream_id: str
    status: Literal["ended"] = "ended"


class Pong(msgspec.Struct, frozen=True):
    """The answer to `ping`."""

    status: Literal["pong"] = "pong"


class Failed(msgspec.Struct, frozen=True):
    """A message was not followed, or a stream broke. The socket lives on."""

    stream_id: str | None
    error: str
    code: str


ServerMessage: TypeAlias = TokenWritten | Paused | Done | Chunk | Cancelled | Ended | Pong | Failed


def token_chunk(stream_id: str, end: ChunkEnd) -> Paused | Done:
    """The end of a chunk whose tokens were sent. A chunk without tokens has waited 0 ms for the first."""
    kind = Done if end.is_done else Paused
    return kind(stream_id, end.reason, end.text, end.num_tokens, end.ttft_ms or 0.0, end.elapsed_ms)


def whole_chunk(stream_id: str, end: ChunkEnd, full_text: str, *, is_first: bool) -> Chunk:
    """A chunk that was not sent token by token."""
    return Chunk(
        stream_id,
        end.text,
        end.num_tokens,
        paused=not end.is_done,
        reason=end.reason,
        done=end.is_done,
        ttft_ms=end.ttft_ms or 0.0,
        full_text=full_text,
        status="started" if is_first else UNSET,
    )


class NotFollowed(Exception):
    """A message that is not followed, with the code that its sender is told, and the stream that it names."""

    def __init__(self, message: str, code: str, stream_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.stream_id = stream_id


class _Envelope(msgspec.Struct):
    """What can be said of a message that is otherwise wrong."""

    action: Any = None
    stream_id: Any = None


_decoder = msgspec.json.Decoder(ClientMessage)


def decode(data: str | bytes, max_bytes: int = MAX_MESSAGE_BYTES) -> ClientMessage:
    """The message in `data`.

    Raises:
        NotFollowed: too long, malformed JSON, an unknown `action`, or a field that is missing or has the wrong type.
    """
    if (length := num_bytes(data, max_bytes)) > max_bytes:
        raise NotFollowed(f"a message may have {max_bytes} bytes; this has {length}", "too_large")
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise _explained(data, str(error)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise NotFollowed(f"malformed JSON: {error}", "malformed_json") from None


def _explained(data: str | bytes, problem: str) -> NotFollowed:
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return NotFollowed(problem, "invalid_field")
    named = envelope.stream_id
    stream_id = named if isinstance(named, str) and len(named) <= MAX_ID_CHARS else None
    if envelope.action not in ACTIONS:
        return NotFollowed(f"Unknown action: {str(envelope.action)[:100]}", "unknown_action", stream_id)
    if named in (None, ""):
        return NotFollowed("stream_id required", "stream_id_required")
    return NotFollowed(problem, "invalid_field", stream_id)
