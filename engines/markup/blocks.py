"""What a line begins with: headings, items, quotes, rules, definitions.

Source: CommonMark 0.31, sections 4 and 5; GitHub Flavored Markdown, section 5.3 (task list items).
"""

import re
from typing import Final

from engines.clauses import WAIT, Undecided
from engines.cleaning import clean
from engines.full_stops import Verdict
from engines.markup.fences import fence
from engines.markup.place import END_OF_LINE, Answer, Line, Look, Place
from engines.markup.tables import is_line_end, row, rule
from engines.sentences import sentence_end

_RULE_CHARS: Final = 48  # a line that begins with so many marks has nothing else
_MIN_RULE_MARKS: Final = {"-": 2, "=": 2, "*": 3, "_": 3}
_BULLETS: Final = "-*+•"
_HEADING = re.compile(r"#{1,6}(?=[ \t\r\n]|\Z)")
_BOX = re.compile(r"\[[ xX]\](?=\s|\Z)")
_BOX_BEGUN = re.compile(r"(?:\[(?:[ xX]\]?)?)?\Z")
_NUMBER = re.compile(r"([0-9]{1,9})[.)](?=[ \t])")
_NUMBER_BEGUN = re.compile(r"[0-9]{1,9}[.)]?\Z")
_NOTE = re.compile(r"\[\^[^\]\s]{1,40}\]:")
_NOTE_BEGUN = re.compile(r"\[(?:\^(?:[^\]\s]{0,40}\]?)?)?\Z")
_DEFINITION = re.compile(
    rf"\[[^\]\^\n][^\]\n]*\]:[ \t]+(?:<[^<>\n]*>|\S+)"
    rf"(?:[ \t]+(?:\"[^\"\n]*\"|'[^'\n]*'|\([^()\n]*\)))?(?={END_OF_LINE})"
)
_DEFINITION_BEGUN = re.compile(r"\[(?:[^\]\^\n][^\]\n]*(?:\](?::[^\n]*)?)?)?\Z")


def line_start(look: Look, place: Place) -> Answer:
    """What stands in the place of marks that begin a line; None behind the last of them."""
    first = look.text[0]
    if first in " \t\r":
        return look.text[: look.run(" \t\r")]
    if first in "`~":
        return fence(look, place)
    if first in "|:":
        return row(look, place)
    if first == "[":
        return _definition(look, place)
    if first in "0123456789":
        return _number(look, place)
    if first == "#":
        return _heading(look, place)
    if first == ">":
        return _quote(look, place)
    return _marks(look, place)


def is_sentence_end(place: Place, following: str) -> bool:
    """Whether the line above, or the one that a newline would end here, ends a sentence before `following`."""
    above = clean(place.recent)
    above = above if place.is_line_start else f"{above}\n"
    return sentence_end(above + following, above.rfind("\n") + 1, is_final=True) is Verdict.END


def _marks(look: Look, place: Place) -> Answer:
    """Rules, underlines of headings, and items."""
    first = look.text[0]
    if first == "-":
        delimiter = row(look, place)
        if delimiter is not None:
            return delimiter
    num_chars = look.run(f"{first} \t") if first in _MIN_RULE_MARKS else 0
    marks = look.text[: min(num_chars, _RULE_CHARS)]
    if first in _MIN_RULE_MARKS:
        if look.is_open_at(num_chars) and len(marks) < _RULE_CHARS:
            return WAIT
        if _is_rule(marks) and (len(marks) == _RULE_CHARS or is_line_end(look, num_chars)):
            return rule(marks.rstrip(), place)
    return _item(look, place) if first in _BULLETS else None


def _is_rule(marks: str) -> bool:
    first = marks[0]
    num_marks = marks.count(first)
    is_dense = num_marks == len(marks.rstrip())
    return num_marks >= (_MIN_RULE_MARKS[first] if is_dense else 3)


def _item(look: Look, place: Place) -> Answer:
    if look.is_open_at(1):
        return WAIT
    if look.text[0] != "•" and look.text[1:2] not in ("", " ", "\t", "\r", "\n"):
        return None
    num_chars = 1 + look.after(1).run(" \t")
    if look.is_open_at(num_chars):
        return WAIT
    return _with_box(look, num_chars, place)


def _with_box(look: Look, num_chars: int, place: Place) -> Answer:
    """The marker of an item, with the task box behind it."""
    num_box_chars = _task_box(look.after(num_chars))
    return WAIT if isinstance(num_box_chars, Undecided) else place.blank(num_chars + num_box_chars)


def _task_box(look: Look) -> int | Undecided:
    """How many characters the box of a task has; 0 where there is none."""
    if not look.is_closed and _BOX_BEGUN.match(look.text):
        return WAIT
    return 3 if _BOX.match(look.text) else 0


def _number(look: Look, place: Place) -> Answer:
    """The number of an item is said, with a rest behind it that ends no sentence. Only what goes on from the number
    before is one: "24. Dezember" begins no list."""
    match = _NUMBER.match(look.text)
    if match is None:
        return WAIT if not look.is_closed and _NUMBER_BEGUN.match(look.text) else None
    number = int(match[1])
    if number > place.last_number + 1:
        return None
    num_box_chars = _task_box(look.after(match.end() + 1))
    if isinstance(num_box_chars, Undecided):
        return WAIT
    place.last_number = number
    place.end_paragraph()
    spoken = f"{match[1]}," if place.is_above_blank or is_sentence_end(place, f"{match[1]}, ") else match[0]
    place.is_line_start = False
    return f"{spoken} {' ' * num_box_chars}"


def _heading(look: Look, place: Place) -> Answer:
    if look.is_open_at(look.run("#")):
        return WAIT
    match = _HEADING.match(look.text)
    if match is None:
        return None
    output = place.blank(match.end())
    place.line = Line.HEADING
    return output


def _quote(look: Look, place: Place) -> Answer:
    if look.is_open_at(1):
        return WAIT
    if look.text[1:2] == "=":
        return None
    is_same = place.is_above_quote or place.is_quote
    place.is_quote = True
    return " " if is_same else place.blank(1)


def _definition(look: Look, place: Place) -> Answer:
    """The mark of a note, whose text is said; all of the definition of a link."""
    is_begun = _NOTE_BEGUN.match(look.text) or _DEFINITION_BEGUN.match(look.text)
    if is_begun and not look.is_closed:
        return WAIT
    match = _NOTE.match(look.text) or _DEFINITION.match(look.text)
    return place.blank(match.end()) if match else None
