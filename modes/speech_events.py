"""Speech as server-sent events, in OpenAI's shape: chunks of audio, words where they are wanted, what it came to.

Source: OpenAI, API reference, "Create speech", `stream_format: sse`; WHATWG HTML, "Server-sent events".
"""

import base64
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec

from engines.errors import SpeechError
from modes.http_audio import WIRE_FRAME_S, Chunk
from modes.word_times import SpokenWord, spoken

MEDIA_TYPE = "text/event-stream"


class Delta(msgspec.Struct, frozen=True, tag_field="type", tag="speech.audio.delta"):
    """More audio: bytes of the format that was asked for, in base64."""

    audio: str


class Words(msgspec.Struct, frozen=True, tag_field="type", tag="speech.words"):
    """Words of the audio that has been sent."""

    words: list[SpokenWord]


class Usage(msgspec.Struct, frozen=True):
    """Characters of the text, and frames of 46.44 ms of the audio."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class Done(msgspec.Struct, frozen=True, tag_field="type", tag="speech.audio.done"):
    """All of it has been sent."""

    usage: Usage


class Problem(msgspec.Struct, frozen=True):
    """What went wrong after the first byte, where it is too late for a status."""

    message: str
    code: str
    type: str = "server_error"


class Failed(msgspec.Struct, frozen=True, tag_field="type", tag="error"):
    """Nothing more comes."""

    error: Problem


async def events(
    audio: AsyncGenerator[Chunk], duration_ms: Callable[[], float], num_chars: int, *, has_words: bool
) -> AsyncGenerator[bytes]:
    """The events of a stream. Closing it closes `audio`.

    Raises:
        SpeechError: of `audio`, before its first chunk; a later one is an event.
    """
    has_begun = False
    async with aclosing(audio):
        try:
            async for chunk in audio:
                if chunk.words and has_words:
                    yield _event(Words(list(map(spoken, chunk.words))))
                if chunk.data:
                    yield _event(Delta(base64.b64encode(chunk.data).decode()))
                has_begun = True
        except SpeechError as error:
            if not has_begun:
                raise
            yield _event(Failed(Problem(str(error), error.code)))
            return
    num_frames = round(duration_ms() / (WIRE_FRAME_S * 1000))
    yield _event(Done(Usage(num_chars, num_frames, num_chars + num_frames)))


def _event(content: msgspec.Struct) -> bytes:
    return b"data: " + msgspec.json.encode(content) + b"\n\n"
