"""Blocks of code: nothing in them is said.

Source: CommonMark 0.31, section 4.5 (fenced code blocks). A fence may stand at any depth, as LLMs write them in lists.
"""

import re
from typing import Final

from engines.clauses import WAIT
from engines.markup.place import Answer, Fence, Look, Place

_MAX_LINE_CHARS: Final = 80  # of a line of code that might be the closing fence
_OPENING = re.compile(r"(`{3,}|~{3,})([^`~\n]*)(\n|\Z)?")
_CLOSING = re.compile(r"[ \t>]*(`{3,}|~{3,})[ \t\r]*\Z")


def fence(look: Look, place: Place) -> Answer:
    """The line that opens a code block, without its end."""
    match = _OPENING.match(look.text)
    if match is None:
        num_marks = max(look.run("`"), look.run("~"))
        return WAIT if look.is_open_at(num_marks) else None
    if match[3] is None:
        return None  # a code span, on a line that it begins
    if match[3] == "" and not look.is_closed:
        return WAIT
    place.fence = Fence(match[1][0], len(match[1]))
    return place.blank(len(match[1]) + len(match[2]))


def code_line(look: Look, place: Place) -> Answer:
    """What stands in the place of code, as far as the line goes."""
    block = place.fence
    assert block is not None, "inside a code block"
    if look.text[0] == "\n":
        place.fence = None if _closes(block) else block._replace(line="")
        return "\n"
    line = look.text.partition("\n")[0]
    place.fence = block._replace(line=(block.line + line)[:_MAX_LINE_CHARS])
    return " " * len(line)


def _closes(block: Fence) -> bool:
    match = _CLOSING.match(block.line)
    return match is not None and match[1][0] == block.mark and len(match[1]) >= block.num_marks
