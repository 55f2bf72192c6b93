"""What is asked of a voice, and what comes of it, whoever speaks: an engine in this process, or a server."""

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from app.cli.forms import Encoding


class Speech(msgspec.Struct, frozen=True, kw_only=True):
    """What to say, and how. `is_whole`: nobody listens yet, so that a compressed file may state its exact length."""

    text: str
    voice: str
    language: str
    speed: float
    seed: int
    format: str
    sample_rate: int
    encoding: Encoding
    is_whole: bool


class TimedWord(msgspec.Struct, frozen=True):
    """A word as it was written. Times count from the first sample, `char_start` and `char_end` in the whole text."""

    text: str
    start_ms: float
    end_ms: float
    char_start: int
    char_end: int


class Piece(msgspec.Struct, frozen=True):
    """More bytes of the file, the words that were spoken in them or before, and how far that is: so many characters of
    the text, so many milliseconds of audio.
    """

    data: bytes
    words: tuple[TimedWord, ...] = ()
    text_end: int = 0
    audio_ms: float = 0.0


Take: TypeAlias = Callable[[Piece], None]
"""Takes each piece as it is made."""
