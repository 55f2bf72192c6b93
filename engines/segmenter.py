"""Text as it comes, cut into segments that can be spoken.

A cut depends on a bounded window of text on either side of it and never on how the text was pushed, so that a
text pushed whole and one pushed letter by letter give the same segments.
"""

import unicodedata
from typing import TypeAlias

from engines.clauses import (
    BREATH_CHARS,
    CLAUSE_ENDS,
    WAIT,
    Answer,
    Offer,
    Rank,
    cjk_word_offer,
    clause_offer,
    ends_clause,
    space_offer,
)
from engines.full_stops import Verdict
from engines.sentences import CLOSERS, LOOKAHEAD, LOOKBEHIND, STOPS, has_blank_line, sentence_end
from engines.types import Boundary, Granularity, Segment

__all__ = ["LOOKAHEAD", "Segmenter", "Verdict", "sentence_end"]

_Cut: TypeAlias = tuple[int, Boundary]

_RANKS: dict[Granularity, Rank] = {"word": Rank.WORD, "clause": Rank.CLAUSE, "sentence": Rank.SENTENCE}
_ENDINGS = STOPS | CLOSERS | {"\n"}
_ZWJ = "\u200d"


class Segmenter:
    """Cuts pushed text into segments, in order. Event loop only.

    Each segment holds at least one letter or digit and at most `max_chars` characters, and stands verbatim at
    its `start` in all text ever pushed. What lies between segments is white space, or marks without a sound.
    """

    def __init__(self, *, max_chars: int = 240, start: int = 0) -> None:
        """`start`: the position of the first character that will be pushed.

        Raises: ValueError for a `max_chars` below 1."""
        if max_chars < 1:
            raise ValueError(f"max_chars is {max_chars}; expected at least 1")
        self._max_chars = max_chars
        self._parts: list[str] = []  # pushed, not looked at yet
        self._text = ""  # at most LOOKBEHIND characters of history, then what is being cut
        self._origin = start  # position of self._text[0]
        self._head = 0  # index in self._text of the first character not yet cut
        self._granularity: Granularity = "sentence"
        self._rewind()

    @property
    def pending(self) -> str:
        """Pushed text that is not cut yet."""
        return self._text[self._head :] + "".join(self._parts)

    @property
    def position(self) -> int:
        """Where `pending` begins in all text ever pushed."""
        return self._origin + self._head

    def push(self, text: str) -> None:
        """Adds text behind all that was pushed before, verbatim."""
        if text:
            self._parts.append(text)

    def next(self, granularity: Granularity = "sentence", *, is_final: bool = False) -> Segment | None:
        """The next segment, of the smallest size that `granularity` allows; None when more text is needed to
        tell, or none is left. With `is_final` the text ends here and everything is decided; more may still be
        pushed afterwards."""
        if granularity != self._granularity:
            self._granularity = granularity
            self._rewind()
        while (cut := self._find(is_final=is_final and not self._parts)) is None:
            if not self._parts:
                return None
            self._load()
        return self._take(*cut)

    def _load(self) -> None:
        keep_from = max(0, self._head - LOOKBEHIND)
        self._text = self._text[keep_from:] + "".join(self._parts)
        self._parts.clear()
        self._origin += keep_from
        self._head -= keep_from

    def _rewind(self) -> None:
        """Looks anew from the head. All that is remembered of a look is counted from there."""
        self._num_seen = 0
        self._soft: _Cut | None = None  # the last clause end: where a long sentence is cut
        self._space: _Cut | None = None  # the last white space: where a long clause is cut
        self._quiet_from = 0  # behind the last punctuation
        self._has_speech = False

    def _move(self, num_chars: int) -> None:
        self._head += num_chars
        self._rewind()

    def _take(self, num_chars: int, boundary: Boundary) -> Segment:
        piece = self._text[self._head : self._head + num_chars].rstrip()
        segment = Segment(text=piece, start=self.position, boundary=boundary)
        self._move(num_chars)
        return segment

    def _find(self, *, is_final: bool) -> _Cut | None:
        """The next cut, counted from the head; None when the text at hand does not decide it."""
        while True:
            self._skip_space()
            remaining = len(self._text) - self._head
            cut, is_waiting = self._look(min(remaining, self._max_chars), is_final)
            if cut is not None or is_waiting or not remaining:
                return cut
            is_end = self._is_end(is_final)
            if is_end is None:
                return None
            cut = self._end_cut() if is_end else self._forced_cut()
            if self._is_spoken(cut[0]):
                return self._settled(*cut, is_final)
            self._move(cut[0])  # nothing to say in all that

    def _skip_space(self) -> None:
        if self._num_seen == 0:
            while self._head < len(self._text) and self._text[self._head].isspace():
                self._head += 1

    def _look(self, limit: int, is_final: bool) -> tuple[_Cut | None, bool]:
        """Goes on to the first place that is worth a cut, or that cannot be judged yet (True)."""
        wanted = _RANKS[self._granularity]
        while self._num_seen < limit:
            num_chars = self._num_seen + 1
            offer = self._offer(num_chars, is_final)
            if offer is WAIT:
                return None, True
            self._has_speech = self._has_speech or self._text[self._head + self._num_seen].isalnum()
            if offer is not None and self._has_speech:
                if offer.rank >= wanted:
                    cut = self._settled(num_chars, offer.boundary, is_final)
                    return cut, cut is None
                self._note(num_chars, offer)
            self._num_seen = num_chars
        return None, False

    def _offer(self, num_chars: int, is_final: bool) -> Answer:
        """What ends `num_chars` behind the head, if anything."""
        text, index = self._text, self._head + num_chars
        if index == len(text) and not is_final:
            return WAIT
        last, behind = text[index - 1], text[index : index + 1]
        if last in _ENDINGS:
            verdict = sentence_end(text, index, is_final=is_final)
            if verdict is not Verdict.NOT_END:
                return WAIT if verdict is Verdict.NEED_MORE else Offer(Rank.SENTENCE, Boundary.SENTENCE)
        if last in CLAUSE_ENDS:
            offer = clause_offer(text, self._head, index, is_final=is_final)
            if offer is not None:
                return offer
        if behind.isspace() and not last.isspace():
            is_breath = num_chars - self._quiet_from >= BREATH_CHARS
            return space_offer(text, index, is_final=is_final, is_breath=is_breath)
        return cjk_word_offer(text, self._head, index) if self._granularity == "word" else None

    def _note(self, num_chars: int, offer: Offer) -> None:
        cut = num_chars, offer.boundary
        if offer.rank >= Rank.CLAUSE:
            self._soft = cut
        else:
            self._space = cut
        if offer.boundary is not Boundary.NONE:
            self._quiet_from = num_chars

    def _settled(self, num_chars: int, boundary: Boundary, is_final: bool) -> _Cut | None:
        """The cut, once it is known whether a blank line follows it."""
        end = self._head + num_chars
        while self._text[end - 1].isspace():
            end -= 1
        window = self._text[end : end + LOOKAHEAD]
        visible = window.lstrip()
        if has_blank_line(window[: len(window) - len(visible)]):
            return num_chars, Boundary.PARAGRAPH
        if not visible and not is_final and len(window) < LOOKAHEAD:
            return None
        return num_chars, boundary

    def _is_end(self, is_final: bool) -> bool | None:
        """Whether the text ends where the look ended, as far as can be seen; None while it is open."""
        seen = self._head + self._num_seen
        window = self._text[seen : seen + LOOKAHEAD]
        if window.strip():
            return False
        return True if is_final or len(window) == LOOKAHEAD else None

    def _end_cut(self) -> _Cut:
        piece = self._text[self._head : self._head + self._num_seen].rstrip()
        return self._num_seen, Boundary.CLAUSE if ends_clause(piece) else Boundary.NONE

    def _forced_cut(self) -> _Cut:
        """The best place inside `max_chars` of text that has no end."""
        hard = grapheme_floor(self._text, self._head, self._head + self._num_seen) - self._head
        return self._soft or self._space or (hard, Boundary.NONE)

    def _is_spoken(self, num_chars: int) -> bool:
        return any(map(str.isalnum, self._text[self._head : self._head + num_chars]))


def grapheme_floor(text: str, start: int, index: int) -> int:
    """The last place behind `start`, up to `index`, that parts no character from its marks; else `index`.

    Source: Unicode UAX #29, extended grapheme clusters (GB6-GB13), with all marks taken as extending."""
    floor = index
    while floor > start and _is_joined(text, start, floor):
        floor -= 1
    return floor if floor > start else index


def _is_joined(text: str, start: int, index: int) -> bool:
    previous, char = text[index - 1], text[index]
    if unicodedata.category(char)[0] == "M" or char == _ZWJ or previous == _ZWJ:
        return True
    code = ord(char)
    if 0xDC00 <= code <= 0xDFFF:
        return 0xD800 <= ord(previous) <= 0xDBFF
    if 0x1F1E6 <= code <= 0x1F1FF:  # flags are pairs of regional indicators
        return _num_regional(text, start, index) % 2 == 1
    is_jamo = 0x1160 <= code <= 0x11FF  # vowels and finals of decomposed Hangul
    return is_jamo or 0x1F3FB <= code <= 0x1F3FF or 0xE0020 <= code <= 0xE007F


def _num_regional(text: str, start: int, index: int) -> int:
    count = 0
    while index - count > start and 0x1F1E6 <= ord(text[index - count - 1]) <= 0x1F1FF:
        count += 1
    return count
