"""Where in a Markdown text a filter stands, and how much of what follows it may see."""

from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from engines.clauses import Undecided
from engines.markup.pauses import Rest
from engines.sentences import LOOKBEHIND

WINDOW_CHARS: Final = 256
"""No decision depends on more of the text than this."""

END_OF_LINE: Final = r"[ \t\r]*(?:\n|\Z)"

_ADDRESS_BEGINS = ("://", "www.", "mailto:")
_TAIL_CHARS = 8  # of a word: enough to see an address begin

Answer: TypeAlias = str | Undecided | None
"""What stands in the place of as many characters, WAIT while that is open, None for a character that means itself."""


class Look(NamedTuple):
    """The text from a place on, at most WINDOW_CHARS of it. Closed: decide as if it ended there."""

    text: str
    is_closed: bool

    def after(self, num_chars: int) -> "Look":
        """The same, without its first characters."""
        return Look(self.text[num_chars:], self.is_closed)

    def run(self, chars: str) -> int:
        """How many characters at the beginning are among `chars`."""
        return len(self.text) - len(self.text.lstrip(chars))

    def is_open_at(self, index: int) -> bool:
        """Whether the text ends here, and may go on."""
        return index >= len(self.text) and not self.is_closed


class Line(Enum):
    """What the line is that is being read."""

    PROSE = "prose"
    HEADING = "heading"
    ROW = "row of a table"
    RULE = "nothing but dashes and bars"


class Fence(NamedTuple):
    """What closes a code block: this character, at least so often. `line`: how the line of code begins."""

    mark: str
    num_marks: int
    line: str = ""


class Place:
    """What is behind a place, as far as it matters for what follows. Event loop only."""

    def __init__(self) -> None:
        self.position = 0
        self.rests: list[Rest] = []
        self.fence: Fence | None = None
        self.last_number = 0  # of the last item of an ordered list
        self.begin_text()

    def begin_text(self) -> None:
        """Nothing but a code block goes on from what was before."""
        self.recent = ""  # of what was given out
        self.is_above_blank = True
        self.is_above_quote = False
        self.end_paragraph()
        self._begin_line()

    def end_paragraph(self) -> None:
        """What was opened in it and not closed is closed."""
        self.open_marks = {"*": 0, "_": 0, "~": 0, "=": 0}
        self.num_brackets = 0

    def _begin_line(self) -> None:
        self.previous = "\n"  # as it was pushed
        self.line = Line.PROSE
        self.is_line_start = True
        self.is_quote = False
        self.last_visible = ""  # of what this line gave out
        self.num_ticks = 0  # that opened a code span
        self.is_address = False
        self._tail = ""

    def advance(self, source: str, output: str) -> None:
        """Go on behind `source`, in whose place `output` was given."""
        self.position += len(source)
        self.previous = source[-1]
        self.last_visible = output.rstrip()[-1:] or self.last_visible
        word = "" if output[-1].isspace() else (self._tail + output).split()[-1]
        is_same_word = not any(map(str.isspace, output))
        self.is_address = (self.is_address and is_same_word) or any(begin in word for begin in _ADDRESS_BEGINS)
        self._tail = word[-_TAIL_CHARS:]

    def remember(self, given: str) -> None:
        """What was given out, in the order in which it was."""
        self.recent = (self.recent + given)[-LOOKBEHIND:]

    def end_line(self, *, is_break: bool = False) -> None:
        """The line ended. `is_break`: so that a sentence ends with it."""
        self.is_above_blank = is_break or not self.last_visible
        self.is_above_quote = self.is_quote
        if self.is_above_blank:
            self.end_paragraph()
        self._begin_line()

    def blank(self, num_chars: int) -> str:
        """The place of marks that begin a block: white space, with the newline that it takes to end the text above."""
        self.end_paragraph()
        lead = " " if self.is_above_blank else "\n"
        self.is_above_blank = True
        return lead + " " * (num_chars - 1)
