"""Text without what has no sound, at the same length, so that every offset stays true.

Source: Unicode general categories (UAX #44); which emoji are not in a symbol category is from UTS #51.
"""

import unicodedata
from collections.abc import Callable, Mapping
from typing import Final

_KEPT_CONTROLS = "\n\t"
_READ_SYMBOLS = "°"  # of category So, and yet read aloud
_READ_MATHS = "+<=>±×÷−~≈≠≤≥|¬∞√"
_KEPT_MODIFIERS = "^`´¨¯¸゛゜"
_EMOJI_ELSEWHERE = "‼⁉ℹ〰〽"  # punctuation and letters to Unicode, pictures to everybody
_SELECTORS = "\u180b\u180c\u180d\u180f"

_SILENT_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "So", "Sm", "Sk", "Me"})
_KEPT = frozenset(_KEPT_CONTROLS + _READ_SYMBOLS + _READ_MATHS + _KEPT_MODIFIERS)
_LINE_ENDS = "\u2028\u2029"

_MOST_KEPT: Final = 4096
"""Characters in a table: more than any text in earnest has, and no more memory than that for one that is none."""


class _Table(dict[int, str]):
    """Character code -> what stands in its place; filled as characters turn up. Any thread."""

    def __init__(self, kept: Callable[[str], str]) -> None:
        self._kept = kept

    def __missing__(self, code: int) -> str:
        if len(self) >= _MOST_KEPT:
            self.clear()
        self[code] = kept = self._kept(chr(code))
        return kept


def _clean_char(char: str) -> str:
    if char in _KEPT:
        return char
    if char in _LINE_ENDS:
        return "\n"
    code = ord(char)
    is_selector = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF or char in _SELECTORS
    if is_selector or char in _EMOJI_ELSEWHERE or unicodedata.category(char) in _SILENT_CATEGORIES:
        return " "
    return char


_TABLE = _Table(_clean_char)


def clean(text: str) -> str:
    """The text with a space in place of each character that has no reading: emoji and other pictures, control
    and format characters, lone surrogates. Same length; each character is judged by itself, so that pieces of
    a text clean alike to the whole. Line and paragraph separators become newlines."""
    return text.translate(_TABLE)


def has_speech(text: str) -> bool:
    """Whether there is at least one letter or digit to speak."""
    return any(map(str.isalnum, text))


def speakable(is_speakable: Callable[[str], bool]) -> Mapping[int, str]:
    """For `str.translate`: a space in place of each letter and digit that a voice cannot speak. Any thread."""
    return _Table(lambda char: " " if char.isalnum() and not is_speakable(char) else char)


class SpeechFilter:
    """What of a session's text its voice can speak, by a table that `speakable` makes. Event loop only.

    `has_speech` is whether there was anything so far.
    """

    def __init__(self, table: Mapping[int, str]) -> None:
        self.has_speech = False
        self._table = table
        self._left_out: dict[str, None] = {}

    def prepare(self, text: str) -> str:
        """The cleaned text, as long as before, with a space for each letter and digit that the voice cannot speak."""
        cleaned = clean(text)
        spoken = cleaned.translate(self._table)
        if spoken != cleaned:
            self._left_out.update(
                dict.fromkeys(char for char, kept in zip(cleaned, spoken, strict=True) if char != kept)
            )
        self.has_speech = self.has_speech or has_speech(spoken)
        return spoken

    def take_left_out(self) -> str:
        """Letters and digits that were replaced since the last call, each once."""
        left_out = "".join(self._left_out)
        self._left_out.clear()
        return left_out
