"""Tables: a cell is a clause, a row a sentence.

Source: GitHub Flavored Markdown, section 4.10 (tables). Only rows that begin with a bar are taken for rows: what comes
before the delimiter row is spoken before that row is written.
"""

import re
from typing import Final

from engines.clauses import WAIT
from engines.markup.place import END_OF_LINE, Answer, Line, Look, Place

_RULE_CHARS: Final = 48
"""A line that begins with so many dashes, bars, colons and spaces is taken for a delimiter row."""

_DELIMITERS: Final = "|:- \t"
_RULE_MARKS: Final = "|:-*_= \t\r"
_END = re.compile(END_OF_LINE)


def row(look: Look, place: Place) -> Answer:
    """The bar that begins a row; all of a delimiter row."""
    num_chars = look.run(_DELIMITERS)
    dashes = look.text[: min(num_chars, _RULE_CHARS)]
    if look.is_open_at(num_chars) and len(dashes) < _RULE_CHARS:
        return WAIT
    is_rule = "-" in dashes and "|" in dashes and (len(dashes) == _RULE_CHARS or is_line_end(look, num_chars))
    if is_rule:
        return rule(dashes, place)
    if look.text[0] != "|":
        return None
    output = place.blank(1)
    place.line, place.is_line_start = Line.ROW, False
    return output


def bar(look: Look, place: Place) -> Answer:
    """A bar inside a row: a comma where something is on both sides."""
    if place.line is not Line.ROW:
        return None
    num_chars = 1 + look.after(1).run(" \t\r")
    if look.is_open_at(num_chars):
        return WAIT
    follows = look.text[num_chars : num_chars + 1]
    if follows in ("", "\n"):
        return "\n" if follows else " "  # with the end of the line the end of a sentence
    return "," if follows != "|" and place.last_visible not in ("", *",.;:!?…") else " "


def rule(marks: str, place: Place) -> str:
    """What stands in the place of a line of marks, as far as it is known; the rest of it is blank as well."""
    output = place.blank(len(marks))
    place.line, place.is_line_start = Line.RULE, False
    return output


def rest_of_rule(look: Look) -> str:
    """Blanks for further marks on a line of marks; what else stands there means itself."""
    num_chars = look.run(_RULE_MARKS)
    return " " * num_chars if num_chars else look.text[0]


def is_line_end(look: Look, index: int) -> bool:
    """Whether nothing but white space follows on the line."""
    return _END.match(look.text, index) is not None
