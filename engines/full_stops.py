"""What a full stop means behind a word, an initial or a number.

Source: Kiss and Strunk (Punkt, 2006): abbreviation, initial, ordinal, and whether the next
word often begins sentences.
"""

import re
from enum import Enum
from typing import NamedTuple

from engines.abbreviations import (
    ORDINAL_ARTICLES,
    ORDINAL_NOUNS,
    ORDINAL_PREFIXES,
    STARTER_PREFIXES,
    STARTERS,
    Abbreviation,
    abbreviation,
)

QUOTES = frozenset('"”“»«」』｣')
OPENERS = "\"'“‘„‚«»‹›([{*_¿¡「『（【《"

_LETTERS = re.compile(r"[^\W\d_]*")
_LAST_WORD = re.compile(r"[^\W_]+(?:(?:\.-?|['’])[^\W_]+)*$")
_DOTTED = re.compile(r"(?:[^\W\d_]{1,2}\.-?)+[^\W\d_]{1,2}")  # U.S, p.m, Ph.D, J.-C


class Verdict(Enum):
    """Does a sentence end here?"""

    END = "end"
    NOT_END = "not end"
    NEED_MORE = "need more"


class Stop(NamedTuple):
    """A run of terminators, what stands in front of it, and its closing quotes and brackets."""

    before: str
    run: str
    closers: str

    @property
    def word(self) -> str:
        match = _LAST_WORD.search(self.before)
        return match[0] if match else ""


class Ahead(NamedTuple):
    """What follows: white space, then what can be seen. Closed: more text would not be looked at."""

    gap: str
    visible: str
    is_closed: bool


def full_stop_end(stop: Stop, ahead: Ahead) -> Verdict:
    """Whether a single full stop ends a sentence; `ahead` shows at least one character."""
    first, second = ahead.visible[0], ahead.visible[1:2]
    if first.islower():
        if not second and not ahead.is_closed:
            return Verdict.NEED_MORE
        if not second.isupper():  # iPhone
            return Verdict.NOT_END
    if not QUOTES.isdisjoint(stop.closers):
        return Verdict.END
    word = stop.word
    if word.isdecimal():
        return _number_end(stop, word, ahead)
    if len(word) == 1 and (word.isupper() or word.islower()):
        return _initial_end(stop, word, ahead)
    return _word_end(word, ahead)


def _word_end(word: str, ahead: Ahead) -> Verdict:
    kind = abbreviation(word)
    if kind is Abbreviation.OPENS:
        return Verdict.NOT_END
    if kind is Abbreviation.COUNTS:
        return Verdict.NOT_END if ahead.visible[0].isdecimal() else Verdict.END
    if kind is Abbreviation.MAY_END or _DOTTED.fullmatch(word):
        return _verdict(_begins_with(STARTERS, STARTER_PREFIXES, ahead))
    return Verdict.END


def _initial_end(stop: Stop, word: str, ahead: Ahead) -> Verdict:
    """J. K. Rowling, z. B., but also "vitamin C. It"."""
    if not _stands_alone(stop, word):
        return Verdict.END  # Ctrl+C, A/B
    if abbreviation(word) is Abbreviation.OPENS or _item_context(stop, word) in ("", "\n"):
        return Verdict.NOT_END
    return _verdict(_begins_with(STARTERS, STARTER_PREFIXES, ahead))


def _number_end(stop: Stop, word: str, ahead: Ahead) -> Verdict:
    """The number of a list item, a German ordinal or date, or just a number at the end of a sentence."""
    if len(word) > 3 or not _stands_alone(stop, word):
        return Verdict.END  # 1999, $5, 5:30
    previous = stop.before[: -len(word)].rstrip().rpartition(" ")[2]
    if abbreviation(previous.removesuffix(".")) is not None:
        return Verdict.END  # No. 5, Dec. 24
    if _item_context(stop, word) in ("", "\n", ".", ":", ";"):
        return Verdict.NOT_END
    if len(word) > 2:
        return Verdict.END
    if not ahead.gap or previous.lower() in ORDINAL_ARTICLES:
        return Verdict.NOT_END
    if ahead.visible[0].isdecimal():
        return _second_number(ahead)
    is_noun = _begins_with(ORDINAL_NOUNS, ORDINAL_PREFIXES, ahead)
    return _verdict(None if is_noun is None else not is_noun)


def _second_number(ahead: Ahead) -> Verdict:
    """3. 10. 2024"""
    digits = re.match(r"\d+", ahead.visible)
    num_digits = len(digits[0]) if digits else 0
    if num_digits == len(ahead.visible) and num_digits <= 2 and not ahead.is_closed:
        return Verdict.NEED_MORE
    is_date = num_digits <= 2 and ahead.visible[num_digits : num_digits + 1] == "."
    return Verdict.NOT_END if is_date else Verdict.END


def _stands_alone(stop: Stop, word: str) -> bool:
    previous = stop.before[: -len(word)][-1:]
    return not previous.strip() or previous in f"{OPENERS}#-"


def _item_context(stop: Stop, word: str) -> str:
    """The character that a list number or letter stands behind; "" or newline when it begins its line."""
    return stop.before[: -len(word)].rstrip(" \t\u00a0*_(#")[-1:]


def _begins_with(words: frozenset[str], beginnings: frozenset[str], ahead: Ahead) -> bool | None:
    """Whether the next word is one of `words`; None while it may become one."""
    rest = ahead.visible.lstrip(OPENERS)
    match = _LETTERS.match(rest)
    word = match[0] if match else ""
    if ahead.is_closed or len(word) < len(rest):
        return word in words and rest[len(word) : len(word) + 1] != "."
    return None if word in beginnings else False


def _verdict(is_end: bool | None) -> Verdict:
    if is_end is None:
        return Verdict.NEED_MORE
    return Verdict.END if is_end else Verdict.NOT_END
