"""Marks of emphasis: told from asterisks and underscores that mean themselves by what is on either side.

Source: CommonMark 0.31, section 6.2 (left- and right-flanking runs), with three differences. A mark need not be closed
to be one: what is said cannot be taken back. Between letters or digits a mark is one only if it closes (2**3, a*b),
or beside a script without spaces. And a mark that closes may stand before a letter: **重点：**内容.
"""

from typing import Final

from engines.clauses import WAIT
from engines.markup.place import Answer, Look, Place
from engines.sentences import is_cjk

_PAIRS: Final = "~="
_NO_OPENING: Final = ")]}"  # an operator behind these, no mark
_NO_UNDERSCORE: Final = "/.\\@:&?#-"  # parts of names and addresses
_SENTENCE_MARKS: Final = ".,;:!?…)\"'”’»"


def emphasis(look: Look, place: Place) -> Answer:
    """Blanks for a run of marks that emphasise; the run itself otherwise."""
    mark = look.text[0]
    num_marks = look.run(mark)
    if look.is_open_at(num_marks):
        return WAIT
    run = mark * num_marks
    following = look.text[num_marks : num_marks + 1]
    if mark in _PAIRS and (num_marks != 2 or following == ">" or place.previous in "!<>"):
        return run
    if _closes(mark, place, following):
        place.open_marks[mark] = max(0, place.open_marks[mark] - num_marks)
    elif not place.is_address and _opens(mark, place.previous, following):
        place.open_marks[mark] += num_marks
    elif not _dangles(mark, place, following):
        return run
    return " " * num_marks


def _closes(mark: str, place: Place, following: str) -> bool:
    if not place.open_marks[mark] or place.previous.isspace():
        return False
    if not (_is_word(place.previous) and _is_word(following)):
        return not place.is_address or not _goes_on(following)
    return mark == "*" and not (place.previous.isdecimal() or following.isdecimal())


def _goes_on(following: str) -> bool:
    """Whether an address goes on behind a mark in it."""
    return _is_word(following) or following in tuple("/?&=#%-")


def _opens(mark: str, previous: str, following: str) -> bool:
    if not following or following.isspace() or _is_word(previous) or previous in _NO_OPENING:
        return False
    if mark == "_" and previous in _NO_UNDERSCORE:
        return False
    return _is_wordlike(following) or not _is_wordlike(previous)


def _dangles(mark: str, place: Place, following: str) -> bool:
    """An asterisk behind a word: a note, or emphasis that began in another paragraph."""
    is_behind = mark == "*" and not place.previous.isspace() and not place.is_address
    return is_behind and (not following or following.isspace() or following in _SENTENCE_MARKS)


def _is_wordlike(char: str) -> bool:
    return char.isalnum()


def _is_word(char: str) -> bool:
    """A letter or digit of a script that has spaces between words."""
    return char.isalnum() and not is_cjk(char)
