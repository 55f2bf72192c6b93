"""Brackets: links and images are their text, notes and citations are silent.

Source: CommonMark 0.31, sections 6.3 (links) and 6.4 (images); footnotes as GitHub writes them.
"""

import re
from typing import Final

from engines.clauses import WAIT, Undecided
from engines.markup.pauses import pause_tag
from engines.markup.place import Answer, Look, Place

_NOTE = re.compile(r"\[\^[^\]\s]{1,40}\]")
_NOTE_BEGUN = re.compile(r"\[(?:\^[^\]\s]{0,40})?\Z")
_CITATION = re.compile(r"\[\d{1,4}(?:[ ,–-]{1,2}\d{1,4}){0,9}(?=\])")
_CITATION_BEGUN = re.compile(r"\[(?:\d{1,4}(?:[ ,–-]{1,2}\d{1,4}){0,9}[ ,–-]{0,2})?\Z")
_REFERENCE = re.compile(r"\]\[[^\[\]\n]*\]")
_REFERENCE_BEGUN = re.compile(r"\]\[[^\[\]\n]*\Z")
_TITLE = re.compile(r"[ \t]+(?:\"[^\"\n]*\"|'[^'\n]*'|\([^()\n]*\))?[ \t]*\)")
_TITLE_BEGUN = re.compile(r"[ \t]+(?:\"[^\"\n]*\"?|'[^'\n]*'?|\([^()\n]*\)?)?[ \t]*\Z")
_CITED: Final = ".,;:!?)]\"'”’»*_`"


def opening_bracket(look: Look, place: Place) -> Answer:
    """Blanks for a note, for a citation, or for the bracket."""
    note = _silent(look, place)
    if note is WAIT:
        return WAIT
    if note is not None:
        place.num_brackets += not note.endswith("]")
        return " " * len(note)
    if place.is_address:
        return None
    place.num_brackets += 1
    return " "


def closing_bracket(look: Look, place: Place) -> Answer:
    """Blanks for the bracket and for the address behind it."""
    if not place.num_brackets:
        return None
    if look.is_open_at(1):
        return WAIT
    num_chars = _target(look)
    if isinstance(num_chars, Undecided):
        return WAIT
    place.num_brackets -= 1
    place.is_address = False
    return " " * num_chars


def image(look: Look, place: Place) -> Answer:
    """A blank for the mark in front of an image's bracket."""
    if look.is_open_at(1):
        return WAIT
    if look.text[1:2] != "[" or place.is_address:
        return None
    behind = look.after(1)
    for other in (pause_tag(behind.text, is_closed=look.is_closed), _note_or_citation(behind, is_cited=True)):
        if other is not None:
            return WAIT if other is WAIT else None
    return " "


def _silent(look: Look, place: Place) -> Answer:
    is_cited = place.previous.isalnum() or place.previous in _CITED
    return _note_or_citation(look, is_cited=is_cited and not place.is_address)


def _note_or_citation(look: Look, *, is_cited: bool) -> Answer:
    """A note, or a citation without its closing bracket: it may be a link."""
    match = _NOTE.match(look.text) or (_CITATION.match(look.text) if is_cited else None)
    if match is not None:
        return match[0]
    is_begun = _NOTE_BEGUN.match(look.text) or (is_cited and _CITATION_BEGUN.match(look.text))
    return WAIT if is_begun and not look.is_closed else None


def _target(look: Look) -> int | Undecided:
    """How many characters a closing bracket and the address behind it have; 1 where there is no address."""
    follows = look.text[1:2]
    if follows == "(":
        return _address(look)
    if follows != "[":
        return 1
    pause = pause_tag(look.text[1:], is_closed=look.is_closed)
    if pause is not None:
        return WAIT if isinstance(pause, Undecided) else 1
    match = _REFERENCE.match(look.text)
    if match is not None and match[0][2:3] != "^":
        return match.end()
    return WAIT if not match and not look.is_closed and _REFERENCE_BEGUN.match(look.text) else 1


def _address(look: Look) -> int | Undecided:
    text, depth = look.text, 1
    for index in range(2, len(text)):
        char = text[index]
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return index + 1
        if char.isspace():
            return _title(look, index) if depth == 1 else 1
    return 1 if look.is_closed else WAIT


def _title(look: Look, index: int) -> int | Undecided:
    match = _TITLE.match(look.text, index)
    if match is not None:
        return match.end()
    return WAIT if not look.is_closed and _TITLE_BEGUN.match(look.text, index) else 1
