"""Look-alikes as the plain characters that the rules know: full-width forms, ligatures, digits of other scripts.

Source: Unicode compatibility decompositions (NFKC, UAX #15) of the blocks named here, and no others: "…", "½", "²" and
spaces stay what they are.
"""

import unicodedata
from functools import lru_cache
from typing import Final

import msgspec

_BLOCKS: Final = (
    (0x2080, 0x2089),  # subscript digits
    (0x2100, 0x214F),  # letter-like symbols
    (0x2160, 0x217F),  # Roman numerals
    (0x2460, 0x24FF),  # enclosed letters and digits
    (0x3371, 0x33DF),  # units as one character
    (0xFB00, 0xFB06),  # Latin ligatures
    (0xFF01, 0xFF5E),  # full-width forms
    (0x1D400, 0x1D7FF),  # letters and digits of mathematics
)
_KEPT: Final = "™℠№"  # read as words, or not at all


class Folded(msgspec.Struct, frozen=True):
    """A text with its look-alikes replaced, and for each of its places the place in the original."""

    text: str
    origins: list[int] | range


def fold(text: str) -> Folded:
    """The text in plain characters; its own where there is nothing to replace."""
    if text.isascii() or all(map(_is_plain, text)):
        return Folded(text, range(len(text) + 1))
    parts = [_folded(char) for char in text]
    origins = [at for at, part in enumerate(parts) for _ in part]
    return Folded("".join(parts), [*origins, len(text)])


def _is_plain(char: str) -> bool:
    return _folded(char) == char


@lru_cache(maxsize=4096)
def _folded(char: str) -> str:
    code = ord(char)
    if char in _KEPT or code < 0x80:
        return char
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    is_in_block = any(first <= code <= last for first, last in _BLOCKS)
    return unicodedata.normalize("NFKC", char) if is_in_block else char
