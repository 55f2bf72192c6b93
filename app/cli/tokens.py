"""The pieces of a text that a caption may not part, each with the time in which it is spoken.

A piece is what stands between white space, with its punctuation; in scripts without spaces, a word. Words that the
voice gave no time to share the time between those around them. Where there is none between them, the voice has been
silent on them (code, a script that it does not know), and they are left out.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final

import msgspec

from app.cli.pieces import TimedWord
from engines.sentences import CLOSERS, Verdict, has_blank_line, sentence_end

_FASTEST: Final = 0.5
"""Of the time that the voice takes for its words: what has less time than that was not spoken."""

_CLAUSE_MARKS: Final = frozenset(",;:–—،؛，、；：")
_VISIBLE = re.compile(r"\S+")
_SPACE = re.compile(r"\s*")
_LINE_END = re.compile(r"[^\S\n]*(?:\n|\Z)")
_MAX_CLOSERS: Final = 3
_OPENING: Final = ("Ps", "Pi")  # Source: Unicode, general categories


class End(IntEnum):
    """What ends behind a token."""

    NOTHING = 0
    CLAUSE = 1
    SENTENCE = 2
    LINE = 3  # a heading, an item, a paragraph


class Token(msgspec.Struct, frozen=True):
    """A piece of text. `has_space`: white space stands in front of it."""

    text: str
    start_ms: float
    end_ms: float
    has_space: bool
    end: End


class _Span(msgspec.Struct):
    """A token that is being made: its place in the text, and its time where a word gave it one."""

    start: int
    end: int
    times_ms: tuple[float, float] | None
    has_space: bool


def tokens(text: str, words: Sequence[TimedWord], audio_ms: float, max_chars: int) -> list[Token]:
    """All that was spoken of a text in tokens of at most `max_chars` characters, in order. Times do not run backwards.
    `audio_ms` is how long all of it sounds.
    """
    spans = _joined(text, list(_spans(text, words)))
    _fill_times(spans, audio_ms)
    return [token for span in spans if span.times_ms for token in _cut(_token(text, span, span.times_ms), max_chars)]


def _spans(text: str, words: Sequence[TimedWord]) -> Iterator[_Span]:
    waiting = list(reversed(words))
    for visible in _VISIBLE.finditer(text):
        inside: list[TimedWord] = []
        while waiting and waiting[-1].char_start < visible.end():
            word = waiting.pop()
            if word.char_end > visible.start():
                inside.append(word)
        yield from _parted(text, visible.start(), visible.end(), inside)


def _parted(text: str, start: int, end: int, words: Sequence[TimedWord]) -> Iterator[_Span]:
    """A stretch without white space, cut in front of each of its words but the first."""
    has_space = True
    for index, word in enumerate(words):
        is_last = index + 1 == len(words)
        cut = end if is_last else _before_openers(text, start, words[index + 1].char_start)
        if cut > start:
            yield _Span(start, cut, (word.start_ms, word.end_ms), has_space)
            start, has_space = cut, False
    if not words:
        yield _Span(start, end, None, has_space)


def _before_openers(text: str, start: int, place: int) -> int:
    while place > start and unicodedata.category(text[place - 1]) in _OPENING:
        place -= 1
    return place


def _joined(text: str, spans: Sequence[_Span]) -> list[_Span]:
    """Marks that stand alone belong to what is before them; those that begin a line, to what is behind. A line of
    nothing else parts what is around it, and is left out.
    """
    joined: list[_Span] = []
    opening: _Span | None = None
    for span in spans:
        if opening is not None:
            span.start, opening = opening.start, None
        is_mark = span.times_ms is None and not any(map(str.isalnum, text[span.start : span.end]))
        if is_mark and _begins_line(text, span.start):
            opening = None if _LINE_END.match(text, span.end) else span
        elif is_mark:
            joined[-1].end = span.end
        else:
            joined.append(span)
    return joined


def _begins_line(text: str, place: int) -> bool:
    line = place
    while line and text[line - 1].isspace() and text[line - 1] != "\n":
        line -= 1
    return not line or text[line - 1] == "\n"


def _fill_times(spans: Sequence[_Span], audio_ms: float) -> None:
    """Give every span that was spoken a time, and none one that begins before the last has."""
    ms_per_char = _ms_per_char(spans)
    now_ms, first = 0.0, 0
    while first < len(spans):
        times_ms = spans[first].times_ms
        if times_ms is not None:
            begin_ms = max(times_ms[0], now_ms)
            now_ms = max(times_ms[1], begin_ms)
            spans[first].times_ms = begin_ms, now_ms
            first += 1
            continue
        last = next((i for i in range(first, len(spans)) if spans[i].times_ms is not None), len(spans))
        behind = spans[last].times_ms if last < len(spans) else None
        _share(spans[first:last], now_ms, audio_ms if behind is None else behind[0], ms_per_char * _FASTEST)
        first = last


def _ms_per_char(spans: Sequence[_Span]) -> float:
    times_ms = [(span.times_ms, span.end - span.start) for span in spans if span.times_ms is not None]
    num_chars = sum(num for _, num in times_ms)
    return sum(end_ms - start_ms for (start_ms, end_ms), _ in times_ms) / num_chars if num_chars else 0.0


def _share(spans: Sequence[_Span], from_ms: float, to_ms: float, least_ms: float) -> None:
    """Divide a time by the lengths of texts, where it comes to `least_ms` a character."""
    per_char_ms = (to_ms - from_ms) / sum(span.end - span.start for span in spans)
    if per_char_ms >= least_ms:
        for span in spans:
            end_ms = from_ms + (span.end - span.start) * per_char_ms
            span.times_ms = from_ms, end_ms
            from_ms = end_ms


def _token(text: str, span: _Span, times_ms: tuple[float, float]) -> Token:
    written = " ".join(text[span.start : span.end].split())
    return Token(written, *times_ms, span.has_space, _end(text, span.end))


def _end(text: str, index: int) -> End:
    """What ends at a place behind which there is white space, or more text."""
    space = _SPACE.match(text, index)
    gap = space[0] if space else ""
    line = index + gap.find("\n") + 1
    if has_blank_line(gap) or (line > index and _is_end(text, line)):
        return End.LINE
    if _is_end(text, index):
        return End.SENTENCE
    last = text[max(0, index - _MAX_CLOSERS - 1) : index].rstrip("".join(CLOSERS))[-1:]
    return End.CLAUSE if last in _CLAUSE_MARKS else End.NOTHING


def _is_end(text: str, place: int) -> bool:
    return sentence_end(text, place, is_final=True) is Verdict.END


def _cut(token: Token, max_chars: int) -> Iterator[Token]:
    """A token, in several where it is too long for a line."""
    num_chars = len(token.text)
    per_char_ms = (token.end_ms - token.start_ms) / num_chars
    for start in range(0, num_chars, max_chars):
        text = token.text[start : start + max_chars]
        is_last = start + max_chars >= num_chars
        yield Token(
            text.strip(),
            token.start_ms + start * per_char_ms,
            token.end_ms if is_last else token.start_ms + (start + len(text)) * per_char_ms,
            token.has_space if start == 0 else " " in token.text[start - 1 : start + 1],
            token.end if is_last else End.NOTHING,
        )
