"""A rule turns what its pattern finds into words; a text is walked once, and the first rule at a place wins."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Final, TypeAlias

import msgspec

from engines.abbreviations import STARTERS

Words: TypeAlias = Callable[[re.Match[str]], str | None]
"""What a match is read as; None where it is no such thing after all."""

INNER_DOT: Final = "._"
"""Among the marks of a text: it has a full stop right in front of a letter or a digit."""

_CONTEXT_CHARS: Final = 48
_INNER_DOT = re.compile(r"\.\w")
_CLOSED = re.compile(r"[\s\"'”’»)\]]*$")
_NEXT_WORD = re.compile(r"[\"'”’)\]]*\s+[\"'“‘(\[]*([^\W\d_]+)")


class Rule(msgspec.Struct, frozen=True):
    """A pattern and what it reads. The pattern never matches white space at its ends, and its repeats are bounded.

    One that is numeric matches nothing without a digit, or another numeral, and one that `needs` marks nothing without
    any of them: prose is spared the search.
    """

    pattern: re.Pattern[str]
    words: Words
    is_numeric: bool = False
    needs: frozenset[str] = frozenset()


class Piece(msgspec.Struct, frozen=True):
    """`start` to `end` of a text, and its words; with `ipa`, these are to sound so."""

    start: int
    end: int
    words: str
    ipa: str = ""


class Reader(msgspec.Struct, frozen=True):
    """How one language is read: rules, the most special first, and a last touch to the words of each piece."""

    rules: tuple[Rule, ...]
    finish: Callable[[str], str] = str


def rule(pattern: str, words: Words | str, flags: int = 0) -> Rule:
    """A rule of a pattern, and of a function or fixed words."""
    return Rule(re.compile(pattern, flags), (lambda _: words) if isinstance(words, str) else words)


def numeric(*rules: Rule) -> tuple[Rule, ...]:
    """The rules as numeric ones."""
    return tuple(msgspec.structs.replace(one, is_numeric=True) for one in rules)


def needing(marks: Iterable[str], *rules: Rule) -> tuple[Rule, ...]:
    """The rules as such that need one of these marks."""
    return tuple(msgspec.structs.replace(one, needs=frozenset(marks)) for one in rules)


def marks_of(text: str) -> set[str]:
    """What a rule may need: the characters of a text, and `INNER_DOT`."""
    marks = set(text)
    if "." in marks and _INNER_DOT.search(text):
        marks.add(INNER_DOT)
    return marks


def find_pieces(text: str, reader: Reader, fixed: Sequence[Piece] = ()) -> Iterator[Piece]:
    """The pieces of a text that are read otherwise than written, from left to right, around the fixed ones."""
    end = 0
    for piece in fixed:
        yield from _between(text, reader, end, piece.start)
        yield piece
        end = piece.end
    yield from _between(text, reader, end, len(text))


def before(match: re.Match[str]) -> str:
    """The text in front of a match, as much of it as a rule may look at."""
    return match.string[max(0, match.start() - _CONTEXT_CHARS) : match.start()]


def after(match: re.Match[str]) -> str:
    """The text behind a match, as much of it as a rule may look at."""
    return match.string[match.end() : match.end() + _CONTEXT_CHARS]


def stopped(match: re.Match[str], words: str) -> str:
    """The words, with the full stop that ended the sentence as well as the abbreviation."""
    return words + "." if match[0].endswith(".") and ends_sentence(match) else words


def ends_sentence(match: re.Match[str]) -> bool:
    """Whether nothing, or the beginning of a sentence, follows a match."""
    rest = after(match)
    if _CLOSED.match(rest):
        return True
    word = _NEXT_WORD.match(rest)
    return word is not None and word[1] in STARTERS


def _between(text: str, reader: Reader, start: int, end: int) -> Iterator[Piece]:
    """Rules look beyond the ends, and do not reach there. Each knows its next match: prose costs one search a rule."""
    waiting = list(_searched(reader.rules, text, start))
    heapify(waiting)
    while waiting:
        at, order, match = heappop(waiting)
        if at >= end:
            return
        words = reader.rules[order].words(match) if at >= start and match.end() <= end else None
        if words is not None:
            start = match.end()
            yield Piece(at, start, reader.finish(words))
        if (found := reader.rules[order].pattern.search(text, max(start, at + 1))) is not None:
            heappush(waiting, (found.start(), order, found))


def _searched(rules: Iterable[Rule], text: str, start: int) -> Iterator[tuple[int, int, re.Match[str]]]:
    marks = marks_of(text)
    has_number = any(map(str.isnumeric, marks))
    for order, one in enumerate(rules):
        if (one.is_numeric and not has_number) or (one.needs and one.needs.isdisjoint(marks)):
            continue
        if (match := one.pattern.search(text, start)) is not None:
            yield match.start(), order, match
