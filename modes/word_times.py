"""Words with their times, as they are sent."""

import math
from typing import Final

import msgspec

from engines.types import Word

_DUST: Final = 1e-6
"""What a sum of floats may lack of a whole number."""


class SpokenWord(msgspec.Struct, frozen=True):
    """A word as the client wrote it. Times count from the stream's first sample, `char_start` and `char_end` in all its
    text."""

    text: str
    start_ms: float
    end_ms: float
    char_start: int
    char_end: int


def spoken(word: Word, audio_ms: float = math.inf) -> SpokenWord:
    """A word for the wire, its times to a tenth of a millisecond. It ends with its audio at the latest, which at the
    wire's rate may be a part of a sample shorter than the model's: a listener who waited for more would wait for ever.
    """
    start_ms, end_ms = min(word.start_ms, audio_ms), min(word.end_ms, audio_ms)
    return SpokenWord(word.text, _tenth(start_ms), _tenth(end_ms), word.char_start, word.char_end)


def _tenth(time_ms: float) -> float:
    """Rounded down."""
    return math.floor(time_ms * 10 + _DUST) / 10
