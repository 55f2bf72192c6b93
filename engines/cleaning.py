"""Text without what has no sound, at the same length, so that every offset stays true.

Source: Unicode general categories (UAX #44); which emoji are not in a symbol category is from UTS #51.
"""

import unicodedata
from collections.abc import Callable

_KEPT_CONTROLS = "\n\t"
_READ_SYMBOLS = "°"  # of category So, and yet read aloud
_READ_MATHS = "+<=>±×÷−~≈≠≤≥|¬∞√"
_KEPT_MODIFIERS = "^`´¨¯¸゛゜"
_EMOJI_ELSEWHERE = "‼⁉ℹ〰〽"  # punctuation and letters to Unicode, pictures to everybody
_SELECTORS = "\u180b\u180c\u180d\u180f"

_SILENT_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "So", "Sm", "Sk", "Me"})
_KEPT = frozenset(_KEPT_CONTROLS + _READ_SYMBOLS + _READ_MATHS + _KEPT_MODIFIERS)
_LINE_ENDS = "\u2028\u2029"


class _Table(dict[int, str]):
    """Character code -> what stands in its place; filled as characters turn up. Any thread."""

    def __missing__(self, code: int) -> str:
        self[code] = kept = _clean_char(chr(code))
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


_TABLE = _Table()


def clean(text: str) -> str:
    """The text with a space in place of each character that has no reading: emoji and other pictures, control
    and format characters, lone surrogates. Same length; each character is judged by itself, so that pieces of
    a text clean alike to the whole. Line and paragraph separators become newlines."""
    return text.translate(_TABLE)


def has_speech(text: str) -> bool:
    """Whether there is at least one letter or digit to speak."""
    return any(map(str.isalnum, text))


class SpeechFilter:
    """What of a session's text its voice can speak. Event loop only.

    `has_speech` is whether there was anything so far.
    """

    def __init__(self, is_speakable: Callable[[str], bool]) -> None:
        self.has_speech = False
        self._is_speakable = is_speakable
        self._left_out: dict[str, None] = {}

    def prepare(self, text: str) -> str:
        """The cleaned text, as long as before, with a space for each letter and digit that the voice cannot speak."""
        return "".join(map(self._spoken, clean(text)))

    def take_left_out(self) -> str:
        """Letters and digits that were replaced since the last call, each once."""
        left_out = "".join(self._left_out)
        self._left_out.clear()
        return left_out

    def _spoken(self, char: str) -> str:
        if not char.isalnum():
            return char
        if self._is_speakable(char):
            self.has_speech = True
            return char
        self._left_out[char] = None
        return " "
