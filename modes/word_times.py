"""Words with their times, as they are sent."""

import msgspec

from engines.types import Word


class SpokenWord(msgspec.Struct, frozen=True):
    """A word as the client wrote it. Times count from the stream's first sample, `char_start` and `char_end` in all its
    text."""

    text: str
    start_ms: float
    end_ms: float
    char_start: int
    char_end: int


def spoken(word: Word) -> SpokenWord:
    """A word for the wire, its times to a tenth of a millisecond."""
    return SpokenWord(word.text, round(word.start_ms, 1), round(word.end_ms, 1), word.char_start, word.char_end)
