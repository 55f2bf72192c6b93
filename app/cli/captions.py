"""Captions: a spoken text in pieces that are read at a glance, each with the time in which it is spoken.

Of all the ways to part a text into captions the best is taken: few of them, each a sentence or a clause, no long
silence inside.

Source of the figures: Netflix, English Timed Text Style Guide (42 characters a line, two lines, at most 7 s); BBC,
Subtitle Guidelines (breaks at sentences and clauses).
"""

from collections.abc import Sequence
from math import inf
from typing import Final

import msgspec

from app.cli.pieces import TimedWord
from app.cli.tokens import End, Token, tokens

MAX_LINE_CHARS: Final = 42
MAX_LINES: Final = 2
MAX_MS: Final = 7_000.0

_LINGER_MS: Final = 300.0  # a caption stays so long behind its last word
_MIN_MS: Final = 1_000.0
_LONG_SILENCE_MS: Final = 1_000.0

# What a parting costs, in captions more.
_COST_OF_END: Final = {End.LINE: 0.0, End.SENTENCE: 0.0, End.CLAUSE: 1.0, End.NOTHING: 4.0}
_COST_OF_GOING_ON: Final = {End.LINE: 4.0, End.SENTENCE: 1.5, End.CLAUSE: 0.0, End.NOTHING: 0.0}
"""Behind an end, in the same caption: only sentences that are short share one."""

_COST_OF_A_BEGINNING: Final = 2.0  # of a sentence that goes on in the next caption
_COST_OF_SILENCE: Final = 6.0
_COST_OF_HASTE: Final = 1.0
_COST_OF_BREAK_CHARS: Final = 8  # in characters by which two lines differ


class Caption(msgspec.Struct, frozen=True):
    """What is shown from `start_ms` to `end_ms`, in one line or two."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


def captions(text: str, words: Sequence[TimedWord], audio_ms: float) -> list[Caption]:
    """All that was spoken of a text as captions, in order; it sounds `audio_ms`. None is empty, and none begins before
    the one in front of it has ended.
    """
    made: list[Caption] = []
    parts = _parted(tokens(text, words, audio_ms, MAX_LINE_CHARS))
    for index, part in enumerate(parts):
        start_ms = max(round(part[0].start_ms), made[-1].end_ms if made else 0)
        end_ms = min(max(part[-1].end_ms + _LINGER_MS, start_ms + _MIN_MS), start_ms + MAX_MS)
        if index + 1 < len(parts):
            end_ms = min(end_ms, parts[index + 1][0].start_ms)
        made.append(Caption(start_ms, max(round(end_ms), start_ms + 1), _lines(part)))
    return made


def _parted(pieces: Sequence[Token]) -> list[Sequence[Token]]:
    """The cheapest way to part all of the tokens into captions, found from the front."""
    costs = [0.0] + [inf] * len(pieces)
    begins = [0] * (len(pieces) + 1)
    for start in range(len(pieces)):
        for end, cost in _captions_from(pieces, start):
            if costs[start] + cost < costs[end]:
                costs[end], begins[end] = costs[start] + cost, start
    parts: list[Sequence[Token]] = []
    end = len(pieces)
    while end:
        parts.append(pieces[begins[end] : end])
        end = begins[end]
    return parts[::-1]


def _captions_from(pieces: Sequence[Token], start: int) -> list[tuple[int, float]]:
    """Where a caption that begins here may end, and what it costs."""
    found: list[tuple[int, float]] = []
    num_lines, num_chars, num_ended, inner = 1, 0, 0, 0.0
    for index in range(start, len(pieces)):
        token = pieces[index]
        lasts_ms = token.end_ms - pieces[start].start_ms
        needed = num_chars + _width(token, is_first=num_chars == 0)
        if needed > MAX_LINE_CHARS:
            num_lines, needed = num_lines + 1, len(token.text)
        if num_lines > MAX_LINES or (lasts_ms > MAX_MS and index > start):
            break
        if index > start:
            inner += _cost_between(pieces[index - 1], token)
            num_ended += pieces[index - 1].end >= End.SENTENCE
        num_chars = needed
        is_begun = num_ended > 0 and token.end < End.SENTENCE
        haste = _COST_OF_HASTE if lasts_ms < _MIN_MS else 0.0
        found.append((index + 1, 1 + inner + _COST_OF_END[token.end] + haste + is_begun * _COST_OF_A_BEGINNING))
    return found


def _cost_between(before: Token, behind: Token) -> float:
    """Of two tokens that share a caption."""
    is_silent = behind.start_ms - before.end_ms > _LONG_SILENCE_MS
    return _COST_OF_GOING_ON[before.end] + is_silent * _COST_OF_SILENCE


def _width(token: Token, *, is_first: bool) -> int:
    return len(token.text) + (token.has_space and not is_first)


def _lines(part: Sequence[Token]) -> tuple[str, ...]:
    whole = _line(part)
    if len(whole) <= MAX_LINE_CHARS:
        return (whole,)
    halves = [(_line(part[:place]), _line(part[place:]), part[place - 1].end) for place in range(1, len(part))]
    fitting = [half for half in halves if max(len(half[0]), len(half[1])) <= MAX_LINE_CHARS]
    first, second, _ = min(
        fitting, key=lambda half: abs(len(half[0]) - len(half[1])) + (half[2] is End.NOTHING) * _COST_OF_BREAK_CHARS
    )
    return first, second


def _line(part: Sequence[Token]) -> str:
    return "".join((" " if token.has_space and index else "") + token.text for index, token in enumerate(part))
