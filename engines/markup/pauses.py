"""Pauses that a writer asks for in the text: `[pause:300ms]`, `<break time="1s"/>`.

Source: SSML 1.1, section 3.2.3 (break), for the element; a pause without a duration is of medium strength.
"""

import re
from typing import Final

import msgspec

from engines.clauses import WAIT, Undecided

MAX_PAUSE_MS: Final = 10_000.0
DEFAULT_PAUSE_MS: Final = 500.0

_MAX_TAG_CHARS = 40
_TIME = r"(?P<{0}>\d{{1,9}}(?:\.\d{{1,9}})?|\.\d{{1,9}}) *(?P<{0}_unit>ms|s)"
_TAG = re.compile(
    rf"\[pause(?: *: *{_TIME.format('pause')} *)?\]"
    rf"|<break(?: +time *= *(?P<quote>[\"']) *{_TIME.format('time')} *(?P=quote))? */?>",
    re.IGNORECASE | re.ASCII,
)
_BEGINNINGS = ("[pause", "<break")


class Rest(msgspec.Struct, frozen=True):
    """Silence asked for inside a text: where, in characters from the very first on, and for how many ms (0-10,000)."""

    position: int
    duration_ms: float


class Tag(msgspec.Struct, frozen=True):
    """How a pause is written, in characters, and how long it is."""

    num_chars: int
    duration_ms: float


def pause_tag(text: str, *, is_closed: bool) -> Tag | Undecided | None:
    """The pause that a text begins with, if it does; WAIT while more text would tell, never when `is_closed`."""
    match = _TAG.match(text)
    if match is not None:
        return Tag(match.end(), _duration_ms(match))
    return WAIT if not is_closed and _may_become_a_tag(text[:_MAX_TAG_CHARS]) else None


def silence(num_chars: int) -> str:
    """What stands in the place of a pause: white space that ends a segment."""
    return "\n\n" + " " * (num_chars - 2)


def _may_become_a_tag(text: str) -> bool:
    if len(text) == _MAX_TAG_CHARS or "]" in text or ">" in text:
        return False
    return any(begin.startswith(text[: len(begin)].lower()) for begin in _BEGINNINGS)


def _duration_ms(match: re.Match[str]) -> float:
    for name in ("pause", "time"):
        if match[name] is not None:
            factor = 1.0 if match[f"{name}_unit"].lower() == "ms" else 1000.0
            return min(float(match[name]) * factor, MAX_PAUSE_MS)
    return DEFAULT_PAUSE_MS
