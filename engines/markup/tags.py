"""What stands in angle brackets: HTML is silent, addresses are themselves.

Source: CommonMark 0.31, sections 6.5 (autolinks) and 6.6 (raw HTML).
"""

import re
from typing import Final

from engines.abbreviations import words
from engines.clauses import WAIT
from engines.markup.place import Answer, Line, Look, Place

_ADDRESS = re.compile(r"<([A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]*|[^\s<>@]+@[^\s<>@]+)>")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_ATTRIBUTE: Final = r"[ \t]+[A-Za-z_:@][\w.:-]*(?:[ \t]*=[ \t]*(?:\"[^\"<>\n]*\"|'[^'<>\n]*'|[^\s\"'=<>`]+))?"
_TAG = re.compile(rf"<(/?)([A-Za-z][\w-]*)((?:{_ATTRIBUTE})*)[ \t]*(/?)>")
_BEGUN = re.compile(r"<(?:!(?:-(?:-.*)?)?|/?[^\s<>!][^<>\n]*)?\Z", re.DOTALL)
_PARAGRAPH_ENDS: Final = words("""
    p div li ul ol dd dt tr table blockquote pre h1 h2 h3 h4 h5 h6 section article
""")
_NAMES = _PARAGRAPH_ENDS | words("""
    a abbr audio b bdi bdo big body br button center cite code col del details dfn dl em figure figcaption font footer
    form head header hr html i iframe img input ins kbd label link main mark meta nav option q s samp script select
    small span strike strong style sub summary sup svg tbody td tfoot th thead time title tt u var video wbr
    break emphasis lang phoneme prosody say-as speak voice
""")


def tag(look: Look, place: Place) -> Answer:
    """Blanks for a tag, with a newline where it ends a line; an address without its brackets. A name that HTML does not
    know is said: Vec<String>, <your name>."""
    address = _ADDRESS.match(look.text)
    if address is not None:
        return f" {address[1]} "
    comment = _COMMENT.match(look.text)
    if comment is not None:
        return " " * comment.end()
    match = _TAG.match(look.text)
    if match is None:
        return WAIT if not look.is_closed and _BEGUN.match(look.text) else None
    if match[2].lower() not in _NAMES and not (match[1] or match[4] or "=" in match[3]):
        return f" {match[0][1:-1]} "
    return _line_ends(match, place) + " " * (match.end() - 2)


def _line_ends(match: re.Match[str], place: Place) -> str:
    """What the first two characters of a tag become."""
    name = match[2].lower()
    if place.line is Line.ROW:
        return ", " if name == "br" and place.last_visible.isalnum() else "  "
    if name == "br" or name == "hr":
        return "\n "
    return "\n\n" if match[1] and name in _PARAGRAPH_ENDS else "  "
