"""Where a speaker may rest inside a sentence: clause marks, conjunctions after a long breath, words."""

import re
from enum import Enum, IntEnum
from typing import Final, NamedTuple, TypeAlias

from engines.abbreviations import abbreviation, words
from engines.sentences import CLOSERS, LOOKAHEAD, STOPS, STRONG_STOPS, is_cjk
from engines.types import Boundary


class Rank(IntEnum):
    """How good a place is to cut at."""

    WORD = 0
    CLAUSE = 1
    SENTENCE = 2


class Offer(NamedTuple):
    """A place where a segment may end, and what stands there."""

    rank: Rank
    boundary: Boundary


class Undecided(Enum):
    """The answer while too little text stands behind a place."""

    WAIT = "wait"


WAIT: Final = Undecided.WAIT
Answer: TypeAlias = Offer | Undecided | None

BREATH_CHARS = 60
"""So much unpunctuated text is about one breath; a conjunction behind it is as good as a comma."""

# Less than this is no clause worth a segment of its own. A CJK character counts twice, and as a word.
_MIN_CLAUSE_CHARS = 12
_MIN_CLAUSE_WORDS = 2
_CJK_WORD_CHARS = 4

_CJK_MARKS = frozenset("，、；：､")
_SPACED_MARKS = frozenset(",;:،؛–.…")  # with white space behind; full stops where they end no sentence
CLAUSE_MARKS = _CJK_MARKS | _SPACED_MARKS | {"—"}
CLAUSE_ENDS = CLAUSE_MARKS | CLOSERS
_ATTACHED = STOPS | CLOSERS | CLAUSE_MARKS
_TRAILING = _CJK_MARKS | frozenset(f",;:،؛»{STRONG_STOPS}")  # what a space may part from the word it belongs to
_NO_CJK_START = frozenset("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶー・々ゝゞヽヾ\u3099\u309a")
_SPEAKABLE_WORD = re.compile(r"[^\W_]+")
_ORDINARY_WORD = re.compile(r"[^\W\d_]{4,}$")
_NEXT_WORD = re.compile(r"\s*([^\W\d_]+)\s")
_CONJUNCTIONS = words("""
    and but or because which while so that although though since unless whereas
    und aber oder weil dass damit denn sondern obwohl während
    y pero porque aunque mientras cuando sino
    et mais ou car parce puisque lorsque tandis
    e ma perché oppure mentre quando però
""")


def clause_offer(text: str, start: int, index: int, *, is_final: bool) -> Answer:
    """What a clause mark, with the closing quotes behind it, makes of `index` in a segment from `start`."""
    mark = _mark_before(text, start, index)
    behind = text[index : index + 1]
    if mark < 0 or behind in _ATTACHED or not _is_mark(text, mark, behind):
        return None
    visible = text[index : index + LOOKAHEAD].lstrip()
    if not visible and not _is_closed(text, index, is_final):
        return WAIT
    if visible[:1] in _TRAILING or (text[mark - 1 : mark].isdecimal() and visible[:1].isdecimal()):
        return None
    return Offer(Rank.CLAUSE if _is_worth_it(text[start:index]) else Rank.WORD, Boundary.CLAUSE)


def space_offer(text: str, index: int, *, is_final: bool, is_breath: bool) -> Answer:
    """What white space at `index` is worth. `is_breath`: it is long since there was any punctuation."""
    window = text[index : index + LOOKAHEAD]
    visible = window.lstrip()
    is_closed = _is_closed(text, index, is_final)
    if not visible and not is_closed:
        return WAIT
    if visible[:1] in _TRAILING:
        return None
    if is_breath:
        if (match := _NEXT_WORD.match(window)) is None:
            may_become_one = any(word.startswith(visible) for word in _CONJUNCTIONS)
            return WAIT if may_become_one and not is_closed else Offer(Rank.WORD, Boundary.NONE)
        if match[1] in _CONJUNCTIONS:
            return Offer(Rank.CLAUSE, Boundary.CLAUSE)
    return Offer(Rank.WORD, Boundary.NONE)


def cjk_word_offer(text: str, start: int, index: int) -> Offer | None:
    """A place between CJK characters, as far behind the last cut as a word is long."""
    if index - start < _CJK_WORD_CHARS or text[index : index + 1] in _NO_CJK_START:
        return None
    if not all(is_cjk(char) for char in text[index - _CJK_WORD_CHARS : index + 1]):
        return None
    return Offer(Rank.WORD, Boundary.NONE)


def ends_clause(text: str) -> bool:
    """Whether the last thing in a text is a clause mark."""
    mark = _mark_before(text, 0, len(text))
    return mark >= 0 and _is_mark(text, mark, " ")


def _mark_before(text: str, start: int, index: int) -> int:
    """Where the clause mark is that `index` stands behind, closing quotes left out; -1 if nowhere."""
    mark = index - 1
    while mark > max(start, index - 4) and text[mark] in CLOSERS:
        mark -= 1
    return mark if mark >= start and text[mark] in CLAUSE_MARKS else -1


def _is_mark(text: str, mark: int, behind: str) -> bool:
    """Whether the mark is punctuation here, and no part of a number, an address or an abbreviation."""
    char, previous = text[mark], text[mark - 1 : mark]
    if char in _SPACED_MARKS and behind and not behind.isspace():
        return False
    if char == "–":
        return previous.isspace()
    if char == ".":
        word = _ORDINARY_WORD.search(text[max(0, mark - LOOKAHEAD) : mark])
        return previous == "." or (word is not None and abbreviation(word[0]) is None)
    return True


def _is_worth_it(piece: str) -> bool:
    num_cjk = 0 if piece.isascii() else sum(map(is_cjk, piece))
    num_words = len(_SPEAKABLE_WORD.findall(piece)) + num_cjk
    return len(piece) + num_cjk >= _MIN_CLAUSE_CHARS and num_words >= _MIN_CLAUSE_WORDS


def _is_closed(text: str, index: int, is_final: bool) -> bool:
    return is_final or len(text) >= index + LOOKAHEAD
