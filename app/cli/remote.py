"""Speech by a server, asked through its speech endpoint. Nothing of the engine is imported."""

import base64
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import TypeVar

import msgspec

from app.cli.asking import Server, asked, reading
from app.cli.failure import Failure
from app.cli.forms import RAW_FORMATS
from app.cli.pieces import Piece, Speech, Take, TimedWord
from app.cli.speakers import ListedVoice

__all__ = ["Server", "speak", "voices"]

_READ_BYTES = 65_536
_EVENTS = "text/event-stream"

_FRAME_MS = 1024 / 22.05
"""What the speech endpoint counts audio in: 46.44 ms."""

_Kind = TypeVar("_Kind", bound=msgspec.Struct)


class _Problem(msgspec.Struct, frozen=True):
    message: str = "the server gave no reason"


class _Usage(msgspec.Struct, frozen=True):
    output_tokens: int = 0


class _Event(msgspec.Struct, frozen=True):
    """Any of the endpoint's events: the fields that its type does not have are empty."""

    type: str
    audio: str = ""
    words: tuple[TimedWord, ...] = ()
    error: _Problem = _Problem()
    usage: _Usage = _Usage()


class _ServedVoice(msgspec.Struct, frozen=True):
    name: str
    language: str = ""
    gender: str = ""
    aliases: tuple[str, ...] = ()


class _ServedVoices(msgspec.Struct, frozen=True):
    voices: tuple[_ServedVoice, ...]


def speak(server: Server, speech: Speech, take: Take, *, has_words: bool, is_quiet: bool) -> None:
    """Speak a text, piece by piece as it arrives. A compressed file comes whole, and so with its exact length, unless
    `has_words`: words come with the audio that they are spoken in.

    Raises:
        Failure: the server cannot be reached, has refused, or has broken off.
    """
    is_file = speech.is_whole and not has_words and speech.format not in RAW_FORMATS
    body = {
        "input": speech.text,
        "voice": speech.voice,
        "language": speech.language,
        "speed": speech.speed,
        "seed": speech.seed,
        "response_format": speech.format,
        "sample_rate": speech.sample_rate,
        "encoding": speech.encoding,
        "stream_format": "audio" if is_file else "sse",
        "word_timestamps": not is_file,
    }
    with asked(server, "POST", "/v1/audio/speech", body, is_quiet=is_quiet) as answer:
        for piece in _file(server, answer) if is_file else _pieces(server, answer):
            take(piece)


def voices(server: Server, *, is_quiet: bool) -> list[ListedVoice]:
    """The voices of a server. Raises as `speak`."""
    with asked(server, "GET", "/v1/audio/voices", is_quiet=is_quiet) as answer:
        with reading(server):
            data = answer.read()
        served = _decoded(server, data, _ServedVoices)
    return [ListedVoice(voice.name, voice.language, voice.gender, voice.aliases) for voice in served.voices]


def _file(server: Server, answer: HTTPResponse) -> Iterator[Piece]:
    num_missing = int(answer.headers.get("Content-Length", 0))
    while data := _read(server, answer):
        num_missing -= len(data)
        yield Piece(data)
    if num_missing > 0:
        raise Failure(f"{server.url} has broken off: {num_missing} bytes are missing")


def _read(server: Server, answer: HTTPResponse) -> bytes:
    with reading(server):
        return answer.read(_READ_BYTES)


def _pieces(server: Server, answer: HTTPResponse) -> Iterator[Piece]:
    if not answer.headers.get("Content-Type", "").startswith(_EVENTS):
        raise Failure(f"{server.url} does not answer as a Tiding server does")
    text_end, audio_ms = 0, 0.0
    for event in _events(server, answer):
        match event.type:
            case "speech.audio.delta":
                yield Piece(base64.b64decode(event.audio), (), text_end, audio_ms)
            case "speech.words" if event.words:
                text_end, audio_ms = event.words[-1].char_end, event.words[-1].end_ms
                yield Piece(b"", event.words, text_end, audio_ms)
            case "speech.audio.done":
                yield Piece(b"", (), text_end, event.usage.output_tokens * _FRAME_MS)
                return
            case "error":
                raise Failure(event.error.message)
            case _:
                pass
    raise Failure(f"{server.url} has broken off: the end of the speech is missing")


def _events(server: Server, answer: HTTPResponse) -> Iterator[_Event]:
    """Source: WHATWG HTML, "Server-sent events"; each of this endpoint's is one line."""
    while line := _line(server, answer):
        if line.startswith(b"data:"):
            yield _decoded(server, line.removeprefix(b"data:"), _Event)


def _line(server: Server, answer: HTTPResponse) -> bytes:
    with reading(server):
        return answer.readline()


def _decoded(server: Server, data: bytes, kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError:
        raise Failure(f"{server.url} does not answer as a Tiding server does") from None
