"""What stands inside a line: escapes, entities, code, and the marks that other parts know.

Source: CommonMark 0.31, sections 2.4 (escapes), 2.5 (entities) and 6.1 (code spans). A code span ends with its line.
"""

import html
import re
from collections.abc import Callable
from typing import Final

from engines.clauses import WAIT
from engines.markup.blocks import is_sentence_end
from engines.markup.emphasis import emphasis
from engines.markup.links import closing_bracket, image, opening_bracket
from engines.markup.place import Answer, Line, Look, Place
from engines.markup.tables import bar, is_line_end, rest_of_rule
from engines.markup.tags import tag
from engines.sentences import is_cjk

_ESCAPED: Final = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_STOP: Final = "。"
"""Ends a sentence with no white space behind it, and has no sound."""

_PLAIN = re.compile(r"[^\\*_~=`\[\]!<&|#\n]+")
_CELL = re.compile(r"[^\\*_~=`\[\]!<&|#\s]+|[^\S\n]+")  # of a row: words and padding one by one
_CODE = re.compile(r"[^`|\s]+|[^\S\n]+")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ENTITY_BEGUN = re.compile(r"&(?:#[0-9]{0,7}|#[xX][0-9a-fA-F]{0,6}|[A-Za-z][A-Za-z0-9]{0,31})?\Z")


def inline(look: Look, place: Place) -> Answer:
    """What stands in the place of what comes next on a line."""
    first = look.text[0]
    if first == "\n":
        return _newline(look, place)
    if place.line is Line.RULE:
        return rest_of_rule(look)
    plain = _plain(place).match(look.text)
    if plain is not None:
        return plain[0]
    rule = _RULES.get(first)
    return rule(look, place) if rule else None


def _plain(place: Place) -> re.Pattern[str]:
    """What means itself. Prose is taken in one go: it is what most text is."""
    if place.num_ticks:
        return _CODE
    return _CELL if place.line is Line.ROW else _PLAIN


def _newline(look: Look, place: Place) -> Answer:
    """The end of a line. A heading or a row ends a sentence, however long it is and however the text goes on."""
    if place.line not in (Line.HEADING, Line.ROW):
        return "\n"
    num_chars = look.run(" \t\r\n")
    if "\n" in look.text[1:num_chars]:
        return "\n"
    if look.is_open_at(num_chars):
        return WAIT
    following = look.text[num_chars : num_chars + 1]
    return "\n" if not following or is_sentence_end(place, following) else _STOP


def _escape(look: Look, place: Place) -> Answer:
    if look.is_open_at(1):
        return WAIT
    follows = look.text[1:2]
    if place.is_address or not (follows in _ESCAPED or follows == "\n"):
        return None
    return " " if follows in ("", "\n") else f" {follows}"


def _entity(look: Look, place: Place) -> Answer:
    match = _ENTITY.match(look.text)
    if match is None or place.is_address:
        return WAIT if not place.is_address and not look.is_closed and _ENTITY_BEGUN.match(look.text) else None
    char = html.unescape(match[0])
    return None if len(char) > 1 else (" " if char.isspace() else char).ljust(match.end())


def _ticks(look: Look, place: Place) -> Answer:
    num_ticks = look.run("`")
    if look.is_open_at(num_ticks):
        return WAIT
    if place.num_ticks:
        place.num_ticks = 0 if num_ticks == place.num_ticks else place.num_ticks
    elif not place.previous.isalnum() or is_cjk(place.previous):
        place.num_ticks = num_ticks
    return " " * num_ticks


def _hashes(look: Look, place: Place) -> Answer:
    """Marks that close a heading."""
    num_marks = look.run("#")
    if place.line is not Line.HEADING:
        return "#" * num_marks
    num_chars = look.run("# \t\r")
    if look.is_open_at(num_chars):
        return WAIT
    return (" " if place.previous in " \t" and is_line_end(look, num_marks) else "#") * num_marks


_RULES: Final[dict[str, Callable[[Look, Place], Answer]]] = {
    "\\": _escape,
    "*": emphasis,
    "_": emphasis,
    "~": emphasis,
    "=": emphasis,
    "`": _ticks,
    "[": opening_bracket,
    "]": closing_bracket,
    "!": image,
    "<": tag,
    "&": _entity,
    "|": bar,
    "#": _hashes,
}
